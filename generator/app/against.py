"""`keyturn validate --against`: what a change does to keys and encryption, compared with the branch that it is for.

It compares with the merge base and with the branch's tip: what was right when it was made may be stale by now.  No
private key is needed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import (
    creation,
    exemptions,
    firstkeys,
    git,
    history,
    mesh,
    rotation,
    secret,
    succession,
    tree,
    workspace,
    yamlio,
)
from generator.app import sealing
from generator.app.guards import guards
from generator.commits import Commit
from generator.errors import InputError, KeyturnError, RefusedError
from generator.findings import Finding
from generator.succession import Before, Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from generator.exemptions import Exemption
    from generator.git import Repository
    from generator.model import Environment
    from generator.objects import Objects
    from generator.source import Source

_DEPTH = "fetch-depth: 0 in GitHub's checkout, GIT_DEPTH: 0 in GitLab, or git fetch --unshallow"


@dataclass(frozen=True, slots=True)
class Branch:
    """What a change is compared with: a branch's tip, and where the change left it."""

    repository: Repository
    base: Commit
    tip: Commit
    words: str  # how the user calls it

    @property
    def moved(self) -> bool:
        """Whether the branch has gone on since."""
        return self.base.oid != self.tip.oid


def resolve(root: Path, revision: str, store: Objects) -> Branch:
    """Return the branch to compare with.

    Raises InputError where there is no such revision; RefusedError in a shallow clone, and where the change has no
    commit in common with it.
    """
    repository = git.Repository(root)
    if repository.is_shallow():
        raise RefusedError("this clone is shallow, and --against needs the history", hint=_DEPTH)
    tip, head = repository.commit(revision), repository.commit("HEAD")
    if tip is None:
        raise InputError(f"--against {revision} is no commit here", hint=f"git fetch, or another name; in CI {_DEPTH}")
    base = history.merge_base(root, head, tip) if head else tip
    if base is None:
        raise RefusedError(f"HEAD and {revision} have no commit in common", hint=_DEPTH)
    place = git.place(root) or ""
    there, fork = f" in {revision}", f" in {base[:12]}"
    return Branch(repository, Commit(store, base, fork, place), Commit(store, tip, there, place), revision)


def check(branch: Branch, after: Source, now: datetime, *, staged: bool) -> Iterator[Finding]:
    """Yield what forbids the change; `after` is what it makes of the tree, the index where `staged` says so."""
    changed = history.changed(branch.repository.root, branch.base.oid, [workspace.FOLDER, tree.CLUSTERS], index=staged)
    yield from _Change(branch, after, frozenset(changed), now).findings()


def new_exceptions(branch: Branch, now: list[Exemption]) -> list[Exemption]:
    """Return the exceptions that the change adds."""
    before, _ = exemptions.load(branch.base.read(tree.EXEMPTIONS), lambda _: None)
    return [one for one in now if one not in before]


class _Change:
    """What differs from the merge base, environment by environment."""

    def __init__(self, branch: Branch, after: Source, changed: frozenset[str], now: datetime) -> None:
        self._branch, self._after, self._changed, self._now = branch, after, changed, now
        self._turned: dict[str, Held] = {}  # environments that have another key
        self._now_here: dict[str, Environment] = {}
        self._before: dict[str, Environment] = {}

    def findings(self) -> Iterator[Finding]:
        secrets = [name for path in sorted(self._changed) if (name := firstkeys.environment(path)) is not None]
        touched = self._touched()
        if not secrets and not touched:
            return
        self._now_here = _environments(self._after, {*secrets, *touched})
        self._before = _environments(self._branch.base, {*secrets, *touched})
        for name in secrets:
            yield from self._secret(name)
        for name in touched:
            if name in self._before and name in self._now_here:
                yield from succession.encryption(self._before[name], self._now_here[name])
        yield from self._meshes()
        yield from self._versions()
        yield from self._cooldown()
        yield from self._renamed(touched)

    def _touched(self) -> list[str]:
        """Return the environments whose file changed, all where what they inherit did."""
        names = sorted({*workspace.names(self._after), *workspace.names(self._branch.base)})
        return workspace.touched(names, self._changed)

    def _secret(self, name: str) -> Iterator[Finding]:
        path = firstkeys.path(name)
        environment = self._now_here.get(name)
        was_there = self._branch.base.has(path)
        after = _held(self._after.read(path), path)
        if after is None:  # gone, or told by the rules about one file
            if was_there and not self._after.has(path) and environment and environment.encryption.type == "ipsec":
                yield succession.removed(name, self._branch.base.oid[:12])
            return
        size = environment.encryption.ipsec.key_size if environment else after.told.algorithm.key_bits
        base, tip = self._branch.base, self._branch.tip
        if self._branch.moved and tip.read(path) == self._after.read(path):
            return  # what the branch has by now
        before = self._before_at(base, path)
        found = list(succession.check(name, after, before, size)) if before is not None else []
        if before is not None and before.held.told.fingerprint != after.told.fingerprint:
            self._turned[name] = after
        yield from found or self._stale(name, after, size)

    def _stale(self, name: str, after: Held, size: int) -> Iterator[Finding]:
        """Yield why a Secret that fits the merge base does not fit the branch any more."""
        base, tip, path = self._branch.base, self._branch.tip, firstkeys.path(name)
        if not self._branch.moved:
            return
        if base.blob(path) != tip.blob(path):
            before = self._before_at(tip, path)
            found = list(succession.check(name, after, before, size)) if before is not None else []
            yield from (_stale(path, one.message) for one in found)
            if not found:
                yield _stale(path, f"the Secret{tip.words} is another by now")
        environment = self._now_here.get(name)
        wanted = sealing.readers(tip, environment) if environment is not None else None
        if wanted not in (None, sealing.readers(base, environment) if environment else None, after.readers):
            yield _stale(path, f"the recipients{tip.words} have changed")

    def _before_at(self, commit: Commit, path: str) -> Before | None:
        """Return what a Secret is judged against in a commit: what stands there, or what stood there last."""
        known = self._known.get(path, {})
        held, words = _held(commit.read(path), path), commit.words.removeprefix(" in ")
        if held is not None:
            return Before(held, words, known)
        for one in history.versions(self._branch.repository.root, commit.oid, [path]):
            held = _held(commit.objects.blob(one.oid), path)
            if held is not None:
                return Before(held, one.commit[:12], known)
        return None

    @functools.cached_property
    def _known(self) -> dict[str, dict[str, str]]:
        """Secret -> the fingerprints that it had before on the branch, each with the commit that brought it first."""
        paths = [path for path in self._changed if firstkeys.environment(path) is not None]
        tip = self._branch.tip
        versions = history.versions(self._branch.repository.root, tip.oid, paths)
        found: dict[str, dict[str, str]] = {}
        for one, data in zip(versions, tip.objects.blobs([one.oid for one in versions], yamlio.MAX_BYTES), strict=True):
            if match := secret.FINGERPRINT.search(data or b""):
                found.setdefault(one.path, {})[match[1].decode("ascii")] = one.commit
        for path, prints in found.items():
            if (now := _held(tip.read(path), path)) is not None:
                prints.pop(now.told.fingerprint, None)
        return found

    def _meshes(self) -> Iterator[Finding]:
        """Yield the members that keep their key, also those that joined on the branch in the meantime."""
        here = mesh.members(_with_ipsec(self._now_here.values()))
        for name, members in here.items():
            yield from succession.turned_in_part(name, *self._parted(self._after, members))
        if not (self._branch.moved and self._turned):
            return
        tip = self._branch.tip
        for name, members in mesh.members(_with_ipsec(_environments(tip, set(self._turned)).values())).items():
            new = [one for one in members if one.name not in self._now_here or one.name in self._turned]
            for finding in succession.turned_in_part(name, *self._parted(tip, new)):
                yield _stale(finding.path, f"{finding.message}{tip.words}")

    def _parted(self, source: Source, members: list[Environment]) -> tuple[dict[str, str], dict[str, str]]:
        """Return member -> fingerprint of those that have turned, and of the others."""
        turned, left = {}, {}
        for one in members:
            path = firstkeys.path(one.name)
            if one.name in self._turned:
                turned[one.name] = self._turned[one.name].told.fingerprint
            elif (held := _held(source.read(path), path)) is not None:
                left[one.name] = held.told.fingerprint
        return turned, left

    def _versions(self) -> Iterator[Finding]:
        """Yield the turned environments for which Cilium is moved in the same change, theirs or a mate's."""
        names = sorted(self._now_here)
        before, after = workspace.versions(self._branch.base, names), workspace.versions(self._after, names)
        moved = {name: (before[name], after[name]) for name in names if name in before and name in after}
        moved = {name: pair for name, pair in moved.items() if pair[0] != pair[1]}
        for name in sorted(self._turned.keys() & self._now_here.keys()):
            own = self._now_here[name].cluster.mesh
            mates = [one for one in moved if one == name or (own and self._now_here[one].cluster.mesh == own)]
            if mates:
                yield succession.upgraded(name, mates[0], moved[mates[0]])

    def _cooldown(self) -> Iterator[Finding]:
        """Yield the turned environments that turned, or whose Cilium moved, too short a time ago on the branch."""
        here = [self._now_here[name] for name in sorted(self._turned) if name in self._now_here]
        subjects = rotation.subjects(here)
        if not subjects:
            return
        guard = guards(self._branch.repository, self._branch.tip, subjects, self._now)
        for subject in subjects:
            path = firstkeys.path(next(name for name in subject.names if name in self._turned))
            if young := guard.young(subject):
                hint = "wait until every node has the key, then merge"
                yield Finding(path, 0, 0, "cooldown", "error", f"{young}{self._branch.tip.words}", hint)
            if len({one.cilium.version for one in subject.environments}) > 1:
                continue  # told as a rotation with an upgrade
            try:
                guard.refuse_upgrade(subject)
            except KeyturnError as error:
                yield Finding(path, 0, 0, "cooldown", "error", error.message, error.hint)

    def _renamed(self, touched: list[str]) -> Iterator[Finding]:
        gone = [self._before[name] for name in touched if name in self._before and name not in self._now_here]
        gone = [one for one in gone if not self._after.has(workspace.path(one.name))]
        new = [self._now_here[name] for name in touched if name in self._now_here and name not in self._before]
        gone, new = _with_ipsec(gone), _with_ipsec(new)
        for environment in new:
            after = _held(self._after.read(path := firstkeys.path(environment.name)), path)
            for old in gone:
                before = _held(self._branch.base.read(path := firstkeys.path(old.name)), path)
                if after and before and after.told.fingerprint != before.told.fingerprint:
                    yield from succession.renamed(old, environment, alone=len(gone) == len(new) == 1)


def _environments(source: Source, names: set[str]) -> dict[str, Environment]:
    """Return the environments among some names that are there and can be read, and the mates of their meshes."""
    there = sorted(name for name in names if source.has(workspace.path(name)))
    space = workspace.load(source, there) if there else None
    return {one.name: one for one in (*space.environments, *space.mates)} if space else {}


def _with_ipsec(environments: Iterable[Environment]) -> list[Environment]:
    return [one for one in environments if one.encryption.type == "ipsec"]


def _held(data: bytes | None, path: str) -> Held | None:
    """Return what a Secret tells, None where there is none, or none that tells."""
    root = yamlio.read(data, path)[0] if data is not None else None
    if root is None:
        return None
    try:
        told = secret.told(root)
    except InputError:
        return None
    return Held(told, secret.ciphertext(root), creation.readers(root))


def _stale(path: str, message: str) -> Finding:
    hint = "make it anew: git fetch, then keyturn rotate"
    return Finding(path, 0, 0, "stale", "error", f"stale: {message}", hint)
