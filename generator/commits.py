"""One commit as a source of environments: what is read there is what everybody else has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import objects, yamlio
from generator.errors import InputError
from generator.source import Entry

if TYPE_CHECKING:
    from generator.objects import Objects


@dataclass(frozen=True, slots=True)
class Commit:
    """A workspace in a commit; `place` is its folder from the top of the repository."""

    objects: Objects
    oid: str
    words: str
    place: str

    def entries(self, folder: str) -> list[Entry]:
        found = self.objects.find(self.oid, self.path(folder))
        if found is not None and found.mode == objects.LINK:
            raise InputError(f"{folder} is a link{self.words}", hint="make it a folder")
        tree = self.objects.tree(found.oid) if found is not None and found.mode == objects.FOLDER else {}
        return sorted((Entry(one.name, one.mode == objects.FOLDER) for one in tree.values()), key=lambda one: one.name)

    def read(self, path: str) -> bytes | None:
        found = self.objects.find(self.oid, self.path(path))
        if found is None or found.mode not in objects.FILES:
            return None
        return self.objects.blob(found.oid)[: yamlio.MAX_BYTES + 1]

    def has(self, path: str) -> bool:
        return self.objects.find(self.oid, self.path(path)) is not None

    def blob(self, path: str) -> str | None:
        """Return the name of a file's content, which tells whether two commits have the same."""
        found = self.objects.find(self.oid, self.path(path))
        return found.oid if found is not None else None

    def path(self, path: str) -> str:
        """Return a path of the workspace from the top of the repository."""
        return f"{self.place}/{path}" if self.place else path
