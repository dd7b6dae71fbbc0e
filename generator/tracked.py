"""The files that git tracks, as they stand in the work tree or as they are staged, as a source of environments.

Paths are relative to the root; those of the repository above it start with `../`.  Nothing is written here.
"""

from __future__ import annotations

import functools
import os
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import git, objects, worktree, yamlio
from generator.errors import InputError
from generator.source import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from generator.objects import Objects

MOST: Final = 64 << 20  # bytes of a file that is looked through; no Secret is a hundredth of that
MANY: Final = 100  # paths that git is given one by one; it compares each with each of its names


@dataclass(frozen=True, slots=True)
class Name:
    """A line of the index; `away` is a file that a sparse checkout leaves out of the work tree."""

    mode: str
    oid: str
    away: bool = False

    @property
    def is_file(self) -> bool:
        return self.mode in objects.FILES


Content = tuple[str, bytes | None]
"""The path of a file that was looked at, and what it holds; None where it is too long."""

UNTRACKED: Final = Name(objects.FILE, "")
"""Stands for a file that git does not know, and that somebody named."""


def listed(root: Path, paths: Sequence[str] = ()) -> dict[str, Name]:
    """Return what the index holds, all of it or what is at or below some paths, in git's order; conflicts are left out.

    Raises ToolError where git fails.
    """
    words = [f":(literal){path}" for path in paths] if 0 < len(paths) <= MANY else [":(top)"]
    found: dict[str, Name] = {}
    for line in os.fsdecode(git.output(root, "ls-files", "-s", "-t", "-z", "--", *words, index=True)).split("\0")[:-1]:
        told, _, name = line.partition("\t")
        tag, mode, oid, stage = told.split(" ")
        if stage == "0":
            found[name] = Name(mode, oid, tag == "S")
    return found


def staged(root: Path, *, gone: bool = False) -> list[str]:
    """Return the paths that a commit would change, or those alone that it would take away."""
    top = git.top(root) or root
    words = ("diff", "--cached", "--name-only", "--no-renames", "-z", *(["--diff-filter=D"] if gone else []))
    changed = git.output(root, *words, index=True)
    return [inside(root, top, path) for path in os.fsdecode(changed).split("\0")[:-1]]


def inside(root: Path, top: Path, path: str) -> str:
    """Return a path from the repository's top as one from the root."""
    place = root.relative_to(top).as_posix()
    return path if place == "." else posixpath.relpath(path, place)


def untracked(root: Path, folder: str) -> list[str]:
    """Return the files below a folder that git does not track, and does not ignore."""
    words = ("ls-files", "--others", "--exclude-standard", "-z", "--", f":(literal){folder}")
    return os.fsdecode(git.output(root, *words, index=True)).split("\0")[:-1]


class _Names:
    """What both views know: their names, and what folders these make."""

    def __init__(self, root: Path, names: dict[str, Name]) -> None:
        self.root, self.names = root, names

    @property
    def words(self) -> str:
        return ""

    @property
    def place(self) -> str | None:
        return git.place(self.root)

    @functools.cached_property
    def _folders(self) -> dict[str, dict[str, Entry]]:
        """Folder -> what it holds."""
        found: dict[str, dict[str, Entry]] = {}
        for path in self.names:
            folder, _, name = path.rpartition("/")
            entry = Entry(name, is_folder=False)
            while name not in (entries := found.setdefault(folder, {})):
                entries[name] = entry
                if not folder:
                    break
                folder, _, name = folder.rpartition("/")
                entry = Entry(name, is_folder=True)
        return found

    def add(self, names: dict[str, Name]) -> None:
        """Know some more names."""
        self.names |= names
        self.__dict__.pop("_folders", None)  # made anew when it is asked for

    def entries(self, folder: str) -> list[Entry]:
        name = self.names.get(folder)
        if name is not None and name.mode == objects.LINK:
            raise InputError(f"{folder} is a link", hint="make it a folder")
        return sorted(self._folders.get(folder, {}).values(), key=lambda entry: entry.name)

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        return [entry.name for entry in self.entries(folder) if entry.is_folder]

    def has(self, path: str) -> bool:
        return path in self.names or path in self._folders


class Staged(_Names):
    """The index: what the next commit would hold."""

    def __init__(self, root: Path, names: dict[str, Name], store: Objects) -> None:
        super().__init__(root, names)
        self._store = store
        self._kept: dict[str, bytes] = {}

    def read(self, path: str) -> bytes | None:
        if path not in self._kept:
            name = self.names.get(path)
            if name is None or not name.is_file:
                return None
            self._kept[path] = self._store.blob(name.oid)[: yamlio.MAX_BYTES + 1]
        return self._kept[path]

    def contents(self, paths: Iterable[str]) -> Iterator[Content]:
        wanted = [path for path in paths if (name := self.names.get(path)) is not None and name.is_file]
        found = self._store.blobs([self.names[path].oid for path in wanted], MOST)
        return zip(wanted, found, strict=True)

    def keep(self, paths: Iterable[str]) -> None:
        """Read many small files at once, which are asked for one by one later."""
        wanted = [path for path in paths if path not in self._kept]
        self._kept |= {path: data[: yamlio.MAX_BYTES + 1] for path, data in self.contents(wanted) if data}


class Present(_Names):
    """The work tree: the tracked files as they stand on the disk, and others that were named.

    What was taken away from the disk is gone, also where that is not staged.
    """

    def __init__(self, root: Path, names: dict[str, Name], store: Objects | None = None) -> None:
        there = {path: name for path, name in names.items() if name.away or os.path.lexists(f"{root}/{path}")}
        super().__init__(root, there)
        self._store = store

    def read(self, path: str) -> bytes | None:
        data = self._whole(path, yamlio.MAX_BYTES + 1) if path in self.names else None
        return None if data is None else data[: yamlio.MAX_BYTES + 1]

    def contents(self, paths: Iterable[str]) -> Iterator[Content]:
        for path in paths:
            data = self._whole(path, MOST + 1) if path in self.names else None
            if data is not None:
                yield path, data if len(data) <= MOST else None

    def _whole(self, path: str, most: int) -> bytes | None:
        name = self.names[path]
        if name.away and self._store is not None:
            return self._store.blob(name.oid)
        return worktree.regular(f"{self.root}/{path}", most)

    def keep(self, paths: Iterable[str]) -> None:
        """Do nothing: the disk is quick."""


def walked(root: Path, folder: str = "") -> list[str]:
    """Return the files below a folder that no git knows; links are left out."""
    found = []
    for at, folders, files in os.walk(root / folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        place = os.path.relpath(at, root)
        found += [name if place == "." else f"{place}/{name}" for name in sorted(files)]
    return found


View = Staged | Present
