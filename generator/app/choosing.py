"""Which keys turn: those that were asked for, less those that something forbids, that wait already, or are not due."""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator import firstkeys, history, rotation, secret, workspace, yamlio
from generator.app.guards import guards
from generator.errors import InputError, KeyturnError, RefusedError
from generator.findings import InvalidError, errors, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from generator.app.base import Base
    from generator.app.guards import Guards
    from generator.app.openings import Opening, Openings
    from generator.commits import Commit
    from generator.findings import Finding
    from generator.model import Environment
    from generator.rotation import Held, Subject
    from generator.secret import Told
    from generator.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: names, or `every` environment with IPsec, or those of them that are `due`."""

    names: tuple[str, ...] = ()
    every: bool = False
    due: bool = False
    force: bool = False
    pr: bool = False
    together: bool = False
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Turning:
    """A subject that may turn; `forced` says what --force passed, and `stale` what it replaces."""

    subject: Subject
    held: Held
    stale: tuple[Opening, ...] = ()
    forced: str = ""

    @property
    def oldest(self) -> datetime:
        """When the key was made that turns."""
        return min(told.created for told in self.held.values() if told is not None)

    @property
    def replaceable(self) -> set[str]:
        """The commits that a branch may lose, since they are stale."""
        return {opening.commit for opening in self.stale}


@dataclass(slots=True)
class Choice:
    """What turns; what waits already and is only to be published; what does not turn, and why."""

    turning: list[Turning] = field(default_factory=list)
    waiting: list[tuple[Turning, Opening]] = field(default_factory=list)
    skipped: list[tuple[Subject, str, Opening | None]] = field(default_factory=list)
    problems: list[tuple[list[str], KeyturnError]] = field(default_factory=list)
    next_due: tuple[datetime, str] | None = None
    openings: Openings | None = None  # None where nothing could turn, so nobody looked


class Chooser:
    """Chooses among the environments of one commit."""

    def __init__(self, base: Base, commit: Commit, wish: Wish, now: datetime, tell: Callable[[str], None]) -> None:
        self._base, self._commit, self._wish, self._now, self._tell = base, commit, wish, now, tell
        self._choice = Choice()
        self._names: list[str] = []
        self._read: dict[str, bool] = {}

    def choose(self, openings: Callable[[list[Subject]], Openings]) -> Choice:
        """Return what turns; `openings` is asked for what waits, once that matters."""
        having = list(self._having(self._due(list(self._readable(self._subjects())))))
        if not having:
            return self._choice
        found = self._choice.openings = openings([turning.subject for turning in having])
        waiting = {turning.subject: one for turning in having if (one := found.of(turning.subject)) is not None}
        if self._wish.together and len(waiting) < len(having) and found.stack is None:
            waiting = {subject: one for subject, one in waiting.items() if not found.is_together(one)}
        free = [turning for turning in having if turning.subject not in waiting]
        for turning in having:
            if turning.subject in waiting:
                self._wait(turning, waiting[turning.subject])
        if not free:
            return self._choice
        guard = guards(self._base.repository, self._commit, [one.subject for one in free], self._now)
        for turning in free:
            try:
                self._guarded(turning, found, guard)
            except KeyturnError as error:
                self._choice.problems.append((turning.subject.names, error))
        return self._choice

    def _subjects(self) -> list[Subject]:
        """Return what turns together with what was asked for.  Raises InvalidError where a named one is wrong."""
        wish = self._wish
        space = workspace.load(self._commit, wish.names)
        self._names = space.names
        wrong = errors(space.findings, strict=False)
        if wish.names:
            if wrong:
                raise InvalidError(tidy(space.findings))
            for environment in space.environments:
                refuse_type(environment)
            together = [one.name for one in space.mates]
            if together:
                self._tell(f"{', '.join(together)} too: the members of a mesh turn together")
            return rotation.subjects((*space.environments, *space.mates))
        found = rotation.subjects(space.environments)
        return list(self._sound(found, space, wrong)) if wrong else found

    def _sound(self, subjects: list[Subject], space: Workspace, wrong: list[Finding]) -> Iterator[Subject]:
        """Yield what nothing is wrong with; an unreadable file may be the member of any mesh that it names."""
        read = {environment.path for environment in space.environments}
        by_path = {path: [one for one in wrong if one.path == path] for path in {one.path for one in wrong}}
        inherited = any(path.startswith(f"{workspace.GROUPS}/") or path == workspace.DEFAULTS for path in by_path)
        for name in space.names:
            path = workspace.path(name)
            if path in by_path and path not in read:
                self._choice.problems.append(([name], InvalidError(tidy(by_path[path]))))
        for subject in subjects:
            found = by_path.get(subject.environments[0].path, [])
            if subject.mesh or inherited:
                found = errors(workspace.load(self._commit, subject.names[:1]).findings, strict=False)
            if found:
                self._choice.problems.append((subject.names, InvalidError(tidy(found))))
            else:
                yield subject

    def _readable(self, subjects: Iterable[Subject]) -> Iterator[tuple[Subject, Held]]:
        for subject in subjects:
            try:
                yield subject, {one.name: told(self._commit, one) for one in subject.environments}
            except KeyturnError as error:
                self._choice.problems.append((subject.names, error))

    def _due(self, having: list[tuple[Subject, Held]]) -> Iterator[tuple[Subject, Held]]:
        """Yield all, or with --due those whose key is old enough; remember when the next is."""
        for subject, held in having:
            due = rotation.due_first(subject, held)
            if self._wish.due and due is None:
                self._choice.skipped.append((subject, "it has no key yet", None))
            elif not self._wish.due or due is None or due <= self._now:
                yield subject, held
            elif self._choice.next_due is None or due < self._choice.next_due[0]:
                self._choice.next_due = due, subject.label

    def _having(self, having: Iterable[tuple[Subject, Held]]) -> Iterator[Turning]:
        """Yield what has a key that has a successor."""
        for subject, held in having:
            try:
                rotation.refuse_held(subject, held)
                self._refuse_lost(held)
                self._refuse_unread(subject, held)
            except KeyturnError as error:
                self._choice.problems.append((subject.names, error))
            else:
                yield Turning(subject, held)

    def _refuse_lost(self, held: Held) -> None:
        """A member of a mesh without a Secret joins it; one that had a key before would lose it."""
        for name in (name for name, one in held.items() if one is None):
            path = firstkeys.path(name)
            if written := history.written(self._base.repository.root, self._base.oid, path):
                message = f"{path} stood in git until after {written[0].commit[:12]}, and its cluster may use that key"
                raise RefusedError(message, hint=f"git restore --source={written[0].commit[:12]} {path}, and commit it")

    def _refuse_unread(self, subject: Subject, held: Held) -> None:
        """Raise RefusedError where a cluster holds a mesh's key and its environment does not say whose member it is."""
        prints = {one.fingerprint for one in held.values() if one is not None}
        others = {name for one in prints for name in self._holders[one]} - held.keys() if subject.mesh else set()
        for name in sorted(others):
            if not self._is_read(name):
                message = f"{name} holds the key of {subject.label}, and its environment cannot be read"
                raise RefusedError(message, hint=f"mend {workspace.path(name)}{self._commit.words}")

    def _is_read(self, name: str) -> bool:
        """Whether an environment's file says what it has to say; found out once."""
        if name not in self._read:
            self._read[name] = bool(workspace.load(self._commit, [name]).environments)
        return self._read[name]

    @functools.cached_property
    def _holders(self) -> dict[str, set[str]]:
        """Fingerprint -> the environments whose Secret tells it; by a search of bytes, since there may be many."""
        found: dict[str, set[str]] = defaultdict(set)
        for name in self._names:
            for one in secret.FINGERPRINT.findall(self._commit.read(firstkeys.path(name)) or b""):
                found[one.decode("ascii")].add(name)
        return found

    def _wait(self, turning: Turning, found: Opening) -> None:
        subject, ref = turning.subject, found.ref
        message = f"a rotation of {subject.label} waits on {found.where}"
        if not self._wish.names:
            self._choice.skipped.append((subject, f"its rotation waits on {found.where}", found))
        elif not (ref.branch.startswith(rotation.PREFIX) or ref.branch == self._wish.branch):
            ways = f"it is part of that branch, of which no request is made here: merge it into {self._base.name}"
            if ref.commit == found.commit and ref.branch != self._base.branch:
                ways = f"keyturn rotate {subject.names[0]} --pr --branch {ref.branch} opens its request"
            self._choice.problems.append((subject.names, RefusedError(message, hint=ways)))
        elif self._wish.pr:
            self._choice.waiting.append((turning, found))
        else:
            ways = f"keyturn rotate {subject.names[0]} --pr opens its request; {ref.dropping} drops it"
            self._choice.problems.append((subject.names, RefusedError(message, hint=ways)))

    def _guarded(self, turning: Turning, openings: Openings, guard: Guards) -> None:
        subject = turning.subject
        guard.refuse_unknown(subject)
        guard.refuse_upgrade(subject)
        young = guard.young(subject)
        if young and not self._wish.force:
            raise RefusedError(young, hint="wait until every node has the key, or pass --force")
        self._choice.turning.append(Turning(subject, turning.held, tuple(openings.stale(subject)), young))


def refuse_type(environment: Environment) -> None:
    """Raise RefusedError where an environment has no key that could turn."""
    kind = environment.encryption.type
    if kind != "ipsec":
        why = "its nodes make their own keys" if kind == "wireguard" else "it has no key"
        raise RefusedError(f"{environment.name} does not use IPsec: {why}", hint=f"encryption.type is {kind}")


def told(commit: Commit, environment: Environment) -> Told | None:
    """Return what an environment's Secret tells in a commit, None where it has none.

    Raises RefusedError where it cannot be read, or is not the one that the environment needs.
    """
    path = firstkeys.path(environment.name)
    data = commit.read(path)
    if data is None:
        if commit.has(path):
            raise RefusedError(f"{path} is no regular file{commit.words}", hint=secret.RESTORE)
        return None
    root, findings = yamlio.read(secret.head(data), path)
    findings += list(secret.check(root, environment)) if root is not None else []
    if findings or root is None:
        one = findings[0]
        raise RefusedError(f"{one.path}:{one.line}: {one.message}{commit.words}", hint=one.hint)
    try:
        return secret.told(root)
    except InputError as error:
        hint = f"{secret.RESTORE}, or git rm {path} and keyturn adopt {environment.name}"
        raise RefusedError(f"{path}: {error.message}{commit.words}", hint=hint) from None
