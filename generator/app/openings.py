"""Rotations that wait on a branch: made, not yet merged, and for which environments that is so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import creation, firstkeys, history, keys, proposal, secret, yamlio
from generator.errors import InputError
from generator.rotation import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.commits import Commit
    from generator.history import Pending, Ref
    from generator.rotation import Subject
    from generator.secret import Told


@dataclass(frozen=True, slots=True)
class Opening:
    """A rotation of one environment on the branches `refs`; `stale` says why it is no longer one.

    `members` are the environments that turn to the same key in the same commit.
    """

    trailer: proposal.Trailer
    commit: str
    message: str
    refs: tuple[Ref, ...]
    members: frozenset[str]
    stale: str

    @property
    def ref(self) -> Ref:
        """The branch that it was made on, where that is still there, else any that has it."""
        return next((ref for ref in self.refs if ref.branch.startswith(PREFIX)), self.refs[0])

    @property
    def where(self) -> str:
        return self.ref.short


class Openings:
    """All that wait, by environment; newest first."""

    def __init__(
        self, base: Commit, refs: list[Ref], readers: Callable[[str], creation.Groups | None], tip: Ref | None = None
    ) -> None:
        """Look for them; `readers` gives whom an environment's Secret is to be encrypted for, None where unknown.

        `tip` is the branch of those that turn together, where there is one.
        """
        self._base = base
        self._refs = refs
        self._readers = readers
        self._tip = tip
        self._pending: dict[str, list[tuple[proposal.Trailer, Pending]]] = {}
        self._found: dict[str, list[Opening]] = {}
        for pending in history.pending(base.objects.root, base.oid, proposal.ENVIRONMENT):
            for trailer in proposal.trailers(pending.message):
                self._pending.setdefault(trailer.environment, []).append((trailer, pending))

    def of(self, subject: Subject) -> Opening | None:
        """Return the rotation that waits for a subject, None where none does."""
        waiting = (one for name in subject.names for one in self._all(name) if not one.stale)
        return next((one for one in waiting if one.members == frozenset(subject.names)), None)

    def of_environment(self, name: str) -> Opening | None:
        return next((one for one in self._all(name) if not one.stale), None)

    def stale(self, subject: Subject) -> list[Opening]:
        """Return what cannot be merged any more, also since a mesh has other members by now."""
        found = [one for name in subject.names for one in self._all(name)]
        return [one for one in found if one.stale or one.members != frozenset(subject.names)]

    def every(self) -> list[Opening]:
        return [one for name in self._pending for one in self._all(name)]

    def _all(self, name: str) -> list[Opening]:
        """Return what waits for an environment; only that which is asked for is judged, since there may be many."""
        if name not in self._found:
            self._found[name] = [
                self._opening(trailer, pending, refs)
                for trailer, pending in self._pending.get(name, [])
                if (refs := self._shown(pending))
            ]
        return self._found[name]

    def _opening(self, trailer: proposal.Trailer, pending: Pending, refs: tuple[Ref, ...]) -> Opening:
        members, stale = _members(trailer, pending), self._stale(trailer, pending)
        return Opening(trailer, pending.commit, pending.message, refs, members, stale)

    def _shown(self, pending: Pending) -> tuple[Ref, ...]:
        """Return the branches that end with a commit, else those that have it."""
        ends = tuple(ref for ref in self._refs if ref.commit == pending.commit)
        if any(ref.branch.startswith(PREFIX) for ref in ends):
            return ends
        names = history.containing(self._base.objects.root, pending.commit)
        return tuple(ref for ref in self._refs if ref.name in names)

    def on(self, branch: str) -> list[Opening]:
        """Return what waits on a branch."""
        return [one for one in self.every() if not one.stale and one.ref.branch == branch]

    def is_together(self, opening: Opening) -> bool:
        """Whether it waits on the branch of those that turn together."""
        tip = self._tip
        return tip is not None and any(ref.branch == tip.branch for ref in opening.refs)

    @property
    def stack(self) -> str | None:
        """The commit that one more rotation together can follow; None where there is none, or the base has moved on."""
        together = [one for one in self.every() if self.is_together(one)]
        if self._tip is None or not together or any(one.stale for one in together):
            return None
        follows = history.is_ancestor(self._base.objects.root, self._base.oid, self._tip.commit)
        return self._tip.commit if follows and self._tip.commit != self._base.oid else None

    def _stale(self, trailer: proposal.Trailer, pending: Pending) -> str:
        """Say why what waits cannot be merged any more: the base has gone on without it."""
        path = firstkeys.path(trailer.environment)
        at_base = told_at(self._base, self._base.oid, path)
        if at_base is None or keys.next_id(at_base.key_id) != trailer.key_id:
            return f"the key id{self._base.words} is {at_base.key_id if at_base else 'gone'}"
        if pending.parent is not None:
            before = self._base.objects.find(pending.parent, self._base.path(path))
            if before is None or before.oid != self._base.blob(path):
                return f"the Secret{self._base.words} is another by now"
        wanted = self._readers(trailer.environment)
        if wanted is not None and readers_at(self._base, pending.commit, path) != wanted:
            return "the recipients have changed"
        return ""


def _members(trailer: proposal.Trailer, pending: Pending) -> frozenset[str]:
    told = proposal.trailers(pending.message)
    return frozenset(one.environment for one in told if one.fingerprint == trailer.fingerprint)


def readers_at(source: Commit, commit: str, path: str) -> creation.Groups:
    """Return who can read a Secret in some commit."""
    found = source.objects.find(commit, source.path(path))
    root = yamlio.read(source.objects.blob(found.oid), path)[0] if found is not None else None
    return creation.readers(root) if root is not None else frozenset()


def told_at(source: Commit, commit: str, path: str) -> Told | None:
    """Return what a Secret tells in some commit, None where it is not there or does not tell."""
    found = source.objects.find(commit, source.path(path))
    if found is None:
        return None
    root, _ = yamlio.read(secret.head(source.objects.blob(found.oid)), path)
    try:
        return secret.told(root) if root is not None else None
    except InputError:
        return None
