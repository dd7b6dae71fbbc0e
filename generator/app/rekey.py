"""`keyturn rekey`: the same key for other recipients, as a commit on a branch; it takes a private key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from generator import firstkeys, history, proposal, workspace
from generator.app import base as bases
from generator.app import choosing, publish, sealing
from generator.app.openings import Openings, readers_at
from generator.app.requests import Requests
from generator.errors import InputError, KeyturnError, RefusedError
from generator.findings import InvalidError, errors, tidy
from generator.outcome import Rekeyed, Rewrapped, Skipped
from generator.rotation import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from generator.app.base import Base
    from generator.app.sealing import Sealer
    from generator.commits import Commit
    from generator.creation import Groups
    from generator.model import Environment


_SAME_KEY: Final = "The key is the same: only a rotation takes it away from who could read it before."


@dataclass(frozen=True, slots=True)
class Options:
    """Which Secrets are rewrapped, from which commit, and how they are asked for."""

    names: tuple[str, ...]
    tell: Callable[[str], None]
    reason: str | None = None
    base: str | None = None
    fetch: bool = False
    branch: str | None = None
    pr: bool = False
    dry_run: bool = False
    forge: str | None = None


def rekey(root: Path, options: Options) -> Rekeyed:
    """Rewrap Secrets whose recipients are not those of `.sops.yaml` any more, each on a branch of its own.

    Raises InvalidError where an environment is wrong; what is refused of one environment is in `problems`.
    """
    base = bases.resolve(root, options.base, fetch=(options.fetch or options.pr) and not options.dry_run)
    if options.branch is not None:
        publish.check_name(base, options.branch)
        if len(set(options.names)) > 1:
            raise InputError("--branch names one branch, and there is more than one environment", hint="name one")
    with bases.opened(base) as commit:
        space = workspace.load(commit, options.names)
        if errors(space.findings, strict=False):
            raise InvalidError(tidy(space.findings))
        with sealing.sealer(commit) as sealer:
            run = _Run(base, commit, sealer, options)
            for environment in space.environments:
                run.one(environment)
    return run.done


class _Run:
    def __init__(self, base: Base, commit: Commit, sealer: Sealer, options: Options) -> None:
        self._base, self._commit, self._sealer, self._options = base, commit, sealer, options
        self._branches = publish.Branches(base)
        self._requests = Requests(base, self._branches, options.forge, options.tell)
        self._pending = history.pending(base.repository.root, base.oid, proposal.REWRAPPED)
        self._openings = Openings(commit, self._branches.refs, lambda _: None)
        self.done = Rekeyed(base.oid, base.name)

    def one(self, environment: Environment) -> None:
        try:
            self._rewrap(environment)
        except KeyturnError as error:
            self.done.problems.append(error)
            self.done.skipped.append(Skipped(environment.name, error.message, failed=True))

    def _rewrap(self, environment: Environment) -> None:
        name, path = environment.name, firstkeys.path(environment.name)
        choosing.refuse_type(environment)
        told = choosing.told(self._commit, environment)
        if told is None:
            raise RefusedError(f"{name} has no Secret on the base yet", hint=f"keyturn render {name}, and commit")
        rule = self._sealer.rule(environment)
        old = readers_at(self._commit, self._base.oid, path)
        if old == rule.groups:
            self.done.skipped.append(Skipped(name, f"its recipients are those of .sops.yaml{self._commit.words}"))
            return
        branch = self._options.branch or f"{PREFIX}rekey-{name}"
        new, had = _flat(rule.groups), _flat(old)
        found = Rewrapped(name, sorted(new - had), sorted(had - new), branch, None)
        ours = {one.commit for one in self._pending if _is_of(one.message, name)}
        fresh = {commit for commit in ours if self._is_fresh(commit, name, rule.groups)}
        kept = (ref for ref in self._branches.refs if ref.commit in fresh and ref.branch != self._base.branch)
        waiting = next(kept, None)
        if waiting is not None:
            self._options.tell(f"{waiting.short} waits already")
            found = replace(found, branch=waiting.branch, commit=waiting.commit)
        else:
            self._branches.refuse(branch, ours)
            if not self._options.dry_run:
                self._base.repository.check_identity()
            data = self._commit.read(path) or b""
            self._sealer.prove(name, data)
            found = self._write(found, self._sealer.rewrap(environment, data))
        if (rotation := self._openings.of_environment(name)) is not None:
            self._options.tell(
                f"{rotation.where} turns the key of {name} too: what is merged second is to be made anew"
            )
        self._options.tell(f"only a rotation takes the key itself away from who could read it: keyturn rotate {name}")
        self.done.rewrapped.append(self._asked(found, ours))

    def _is_fresh(self, commit: str, name: str, wanted: Groups) -> bool:
        """Whether a rewrapping that waits still follows the base, and is for those who should read."""
        parent = next(one.parent for one in self._pending if one.commit == commit)
        path = self._commit.path(firstkeys.path(name))
        before = self._commit.objects.find(parent, path) if parent else None
        same = before is not None and before.oid == self._commit.blob(firstkeys.path(name))
        return same and readers_at(self._commit, commit, firstkeys.path(name)) == wanted

    def _write(self, found: Rewrapped, data: bytes) -> Rewrapped:
        if self._options.dry_run:
            return found
        message = proposal.rewrap_message(found.environment, self._why(found))
        files = {self._commit.path(firstkeys.path(found.environment)): data}
        draft = publish.Draft(found.branch, self._base.oid, files, message)
        return replace(found, commit=publish.write(self._base, self._commit.objects, self._branches, draft))

    def _since(self) -> datetime:
        """Return when the recipients changed: a request that was closed after that is a person's word."""
        return history.written(self._base.repository.root, self._base.oid, self._sealer.source, top=True)[0].time

    def _why(self, found: Rewrapped) -> str:
        told = [f"added {', '.join(found.added)}"] if found.added else []
        told += [f"removed {', '.join(found.removed)}"] if found.removed else []
        told = told or ["in other groups"]
        return self._options.reason or f"Recipients: {'; '.join(told)}."

    def _asked(self, found: Rewrapped, ours: set[str]) -> Rewrapped:
        if not self._options.pr or found.commit is None:
            return found
        title = proposal.rewrap_message(found.environment, "").partition("\n")[0]
        body = f"{self._why(found)}\n\n{_SAME_KEY}\n"
        try:
            url = self._requests.ask(found.branch, found.commit, (title, body), self._since(), ours)
        except KeyturnError as error:
            self.done.problems.append(error)
            return found
        return replace(found, pull_request=url)


def _flat(groups: Groups) -> set[str]:
    return {f"{kind} {who}" for group in groups for kind, who in group}


def _is_of(message: str, name: str) -> bool:
    return message.rstrip().endswith(f"\n\n{proposal.REWRAPPED}: {name}")
