"""What came to the base a short time ago and forbids a rotation: the rotation before, an upgrade of Cilium."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from generator import firstkeys, history, rotation, tree, workspace
from generator.app.openings import told_at
from generator.commits import Commit
from generator.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from generator.git import Repository
    from generator.history import Arrival
    from generator.rotation import Subject


class Guards:
    """The arrivals of the longest cool-down of some subjects; what they brought is looked at once for all of these."""

    def __init__(
        self, base: Commit, now: datetime, arrivals: list[Arrival], names: list[str], *, shallow: bool
    ) -> None:
        self._base, self._now, self._arrivals, self._names, self._shallow = base, now, arrivals, names, shallow
        self._turned: dict[str, frozenset[str]] = {}
        self._moved: dict[str, dict[str, tuple[str, str]]] = {}

    def young(self, subject: Subject) -> str:
        """Say why a subject was rotated too short a time ago, empty where it was not."""
        for arrival in self._since(subject):
            if not self._keys(arrival).isdisjoint(subject.names):
                return rotation.too_young(subject, arrival.commit, arrival.time, self._now)
        return ""

    def refuse_upgrade(self, subject: Subject) -> None:
        """Raise RefusedError where `cilium.version` changed within the cool-down, or a mesh has more than one."""
        changed: dict[str, tuple[str, str]] = {}
        for arrival in self._since(subject):
            moved = self._versions(arrival)
            changed |= {name: moved[name] for name in subject.names if name in moved}
        rotation.refuse_versions(subject, changed)

    def refuse_unknown(self, subject: Subject) -> None:
        """Raise RefusedError where a shallow clone begins within the cool-down: what was before is not known."""
        if self._shallow and any(arrival.parent is None for arrival in self._since(subject)):
            message = f"this clone is shallow and begins within the cool-down of {subject.label}"
            raise RefusedError(message, hint="git fetch --unshallow (in CI fetch-depth: 0)")

    def _since(self, subject: Subject) -> list[Arrival]:
        return [arrival for arrival in self._arrivals if arrival.time > self._now - subject.cooldown]

    def _keys(self, arrival: Arrival) -> frozenset[str]:
        """Return the environments to which a commit brought another key."""
        if arrival.commit not in self._turned:
            paths = {firstkeys.path(name): name for name in self._names}
            turned = (paths[path] for path in arrival.paths if path in paths and self._is_turned(arrival, path))
            self._turned[arrival.commit] = frozenset(turned)
        return self._turned[arrival.commit]

    def _is_turned(self, arrival: Arrival, path: str) -> bool:
        """Whether a commit brought another key; a first, an adopted and a rewrapped one do not count, a revert does."""
        before = told_at(self._base, arrival.parent, path) if arrival.parent else None
        after = told_at(self._base, arrival.commit, path) if before is not None else None
        if after is None or before is None:
            return False
        if after.fingerprint == before.fingerprint:
            return False
        return after.previous is not None or self._was_there(arrival, path, after.fingerprint)

    def _was_there(self, arrival: Arrival, path: str, fingerprint: str) -> bool:
        """Whether a key without a predecessor was there before, as it is where somebody reverted a rotation."""
        earlier = history.written(self._base.objects.root, arrival.parent or "", path)
        found = (told_at(self._base, one.commit, path) for one in earlier)
        return any(told is not None and told.fingerprint == fingerprint for told in found)

    def _versions(self, arrival: Arrival) -> dict[str, tuple[str, str]]:
        """Return environment -> `cilium.version` before and after a commit that changed it."""
        if arrival.commit not in self._moved:
            touched = self._touched(arrival) if arrival.parent is not None else []
            after, before = (
                workspace.versions(Commit(self._base.objects, oid, "", self._base.place), touched) if touched else {}
                for oid in (arrival.commit, arrival.parent or "")
            )
            moved = {name: (before[name], after[name]) for name in touched if name in before and name in after}
            self._moved[arrival.commit] = {name: pair for name, pair in moved.items() if pair[0] != pair[1]}
        return self._moved[arrival.commit]

    def _touched(self, arrival: Arrival) -> list[str]:
        """Return the environments whose file a commit changed, all of them where it changed what they inherit."""
        return workspace.touched(self._names, frozenset(arrival.paths))


def guards(repository: Repository, base: Commit, subjects: Sequence[Subject], now: datetime) -> Guards:
    """Read once what the longest cool-down of the subjects needs."""
    longest = max((subject.cooldown for subject in subjects), default=timedelta())
    names = [name for one in subjects for name in one.names]
    folders = [workspace.FOLDER, *(map(firstkeys.path, names) if len(names) <= _MANY else [tree.CLUSTERS])]
    arrivals = history.arrivals(repository.root, base.oid, now - longest - _LATE, folders)
    shallow = any(arrival.parent is None for arrival in arrivals) and repository.is_shallow()
    return Guards(base, now, arrivals, names, shallow=shallow)


_MANY: Final = 20  # paths that git is given one by one
_LATE: Final = timedelta(days=7)  # git stops at the first older commit, and a clock may have been late
