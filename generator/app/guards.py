"""What came to the base a short time ago and forbids a rotation: the rotation before, an upgrade of Cilium."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from generator import firstkeys, history, rotation, workspace
from generator.app.openings import told_at
from generator.commits import Commit
from generator.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from generator.git import Repository
    from generator.history import Arrival
    from generator.rotation import Subject


@dataclass(frozen=True, slots=True)
class Guards:
    """The arrivals of the longest cool-down of some subjects."""

    base: Commit
    now: datetime
    arrivals: list[Arrival]
    shallow: bool

    def young(self, subject: Subject) -> str:
        """Say why a subject was rotated too short a time ago, empty where it was not."""
        for arrival in self._since(subject):
            for name in subject.names:
                path = firstkeys.path(name)
                if path in arrival.paths and self._turned(arrival, path):
                    return rotation.too_young(subject, arrival.commit, arrival.time, self.now)
        return ""

    def _turned(self, arrival: Arrival, path: str) -> bool:
        """Whether a commit brought another key; a first, an adopted and a rewrapped one do not count."""
        after = told_at(self.base, arrival.commit, path)
        before = told_at(self.base, arrival.parent, path) if arrival.parent else None
        if after is None or before is None:
            return False
        return after.previous is not None and after.fingerprint != before.fingerprint

    def refuse_upgrade(self, subject: Subject) -> None:
        """Raise RefusedError where `cilium.version` changed within the cool-down, or a mesh has more than one."""
        changed: dict[str, tuple[str, str]] = {}
        for arrival in self._since(subject):
            touched = self._touched(arrival, subject.names)
            if not touched or arrival.parent is None:
                continue
            after, before = (
                workspace.versions(Commit(self.base.objects, oid, "", self.base.place), touched)
                for oid in (arrival.commit, arrival.parent)
            )
            moved = {name: (before[name], after[name]) for name in touched if name in before and name in after}
            changed |= {name: pair for name, pair in moved.items() if pair[0] != pair[1]}
        rotation.refuse_versions(subject, changed)

    def refuse_unknown(self, subject: Subject) -> None:
        """Raise RefusedError where a shallow clone begins within the cool-down: what was before is not known."""
        if self.shallow and any(arrival.parent is None for arrival in self._since(subject)):
            message = f"this clone is shallow and begins within the cool-down of {subject.label}"
            raise RefusedError(message, hint="git fetch --unshallow (in CI fetch-depth: 0)")

    def _since(self, subject: Subject) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if arrival.time > self.now - subject.cooldown]

    @staticmethod
    def _touched(arrival: Arrival, names: list[str]) -> list[str]:
        """Return the environments whose file a commit changed, all of them where it changed what they inherit."""
        own = {workspace.path(name): name for name in names}
        files = [path for path in arrival.paths if path.startswith(f"{workspace.FOLDER}/")]
        if any(path.startswith(f"{workspace.GROUPS}/") or path == workspace.DEFAULTS for path in files):
            return names
        return [own[path] for path in files if path in own]


def guards(repository: Repository, base: Commit, subjects: Sequence[Subject], now: datetime) -> Guards:
    """Read once what the longest cool-down of the subjects needs."""
    longest = max((subject.cooldown for subject in subjects), default=timedelta())
    folders = [workspace.FOLDER, *(firstkeys.path(name) for one in subjects for name in one.names)]
    if len(folders) > _MANY:
        folders = [workspace.FOLDER, "clusters"]
    arrivals = history.arrivals(repository.root, base.oid, now - longest, folders)
    shallow = any(arrival.parent is None for arrival in arrivals) and repository.is_shallow()
    return Guards(base, now, arrivals, shallow)


_MANY = 20  # paths that git is given one by one
