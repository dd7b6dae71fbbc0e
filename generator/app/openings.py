"""Rotations that wait on a branch: made, not yet merged, and for which environments that is so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import creation, firstkeys, history, keys, proposal, secret, yamlio
from generator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.commits import Commit
    from generator.history import Pending, Ref
    from generator.rotation import Subject
    from generator.secret import Told


@dataclass(frozen=True, slots=True)
class Opening:
    """A rotation of one environment on the branches `refs`, local ones first; `stale` says why it is no longer one."""

    trailer: proposal.Trailer
    commit: str
    message: str
    refs: tuple[Ref, ...]
    stale: str

    @property
    def where(self) -> str:
        return self.refs[0].short


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
        """Return the rotation that waits for any of the environments, None where none does."""
        return next((one for name in subject.names if (one := self.name(name)) is not None), None)

    def name(self, name: str) -> Opening | None:
        return next((one for one in self._all(name) if not one.stale), None)

    def stale(self, subject: Subject) -> list[Opening]:
        return [one for name in subject.names for one in self._all(name) if one.stale]

    def every(self) -> list[Opening]:
        return [one for name in self._pending for one in self._all(name)]

    def _all(self, name: str) -> list[Opening]:
        """Return what waits for an environment; only that which is asked for is judged, since there may be many."""
        if name not in self._found:
            self._found[name] = [
                Opening(trailer, pending.commit, pending.message, refs, self._stale(trailer, pending))
                for trailer, pending in self._pending.get(name, [])
                if (refs := self._shown(pending))
            ]
        return self._found[name]

    def _shown(self, pending: Pending) -> tuple[Ref, ...]:
        """Return the branches that end with a commit, else the one by which git log found it."""
        ends = tuple(ref for ref in self._refs if ref.commit == pending.commit)
        names = (pending.ref, f"refs/{pending.ref}", f"{history.HEADS}{pending.ref}", f"{history.REMOTES}{pending.ref}")
        return ends or tuple(ref for ref in self._refs if ref.name in names)[:1]

    def is_together(self, opening: Opening) -> bool:
        """Whether it waits on the branch of those that turn together."""
        tip = self._tip
        return tip is not None and any(ref.branch == tip.branch for ref in opening.refs)

    @property
    def stack(self) -> str | None:
        """The commit that one more rotation together can follow; None where there is none, or the base has moved on."""
        if self._tip is None or any(one.stale for one in self.every() if self.is_together(one)):
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
        wanted, given = self._readers(trailer.environment), self._given(pending.commit, path)
        if wanted is not None and given != wanted:
            return "the recipients have changed"
        return ""

    def _given(self, commit: str, path: str) -> creation.Groups | None:
        found = self._base.objects.find(commit, self._base.path(path))
        root = yamlio.read(self._base.objects.blob(found.oid), path)[0] if found is not None else None
        return creation.readers(root) if root is not None else None


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
