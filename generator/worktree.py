"""The files that a person works on, as a source of environments; and where they are.  Nothing is written here."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import git, yamlio
from generator.errors import InputError
from generator.source import Entry
from generator.workspace import FOLDER

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A workspace on the disk; `root` is the folder that holds `environments/`."""

    root: Path

    @property
    def words(self) -> str:
        return ""

    @property
    def place(self) -> str | None:
        return git.place(self.root)

    def entries(self, folder: str) -> list[Entry]:
        path = own(self.root / folder)
        if not path.is_dir():
            return []
        with os.scandir(path) as found:
            return sorted((Entry(entry.name, entry.is_dir()) for entry in found), key=lambda entry: entry.name)

    def read(self, path: str) -> bytes | None:
        """Read no link, which may lead to a secret, and no pipe, which would wait."""
        return regular(f"{self.root}/{path}", yamlio.MAX_BYTES + 1)

    def has(self, path: str) -> bool:
        return os.path.lexists(f"{self.root}/{path}")


def regular(path: str, most: int) -> bytes | None:
    """Return at most so many bytes of a file; None where it is a link, which may lead anywhere, or no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):  # a link, or a socket
            return None
        raise
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            return None
        chunks = [os.read(descriptor, min(most, max(state.st_size, 1)))]
        while chunks[-1] and sum(map(len, chunks)) < most:
            chunks.append(os.read(descriptor, _CHUNK))
        return b"".join(chunks)[:most]
    finally:
        os.close(descriptor)


_CHUNK: Final = 1 << 20


def find_root(start: Path) -> Path:
    """Return the nearest folder, from `start` up to the git repository's top, that holds `environments/`."""
    top = git.top(start)
    for folder in (start, *start.parents):
        if is_root(folder):
            return folder
        if folder == top:
            break
    raise InputError(f"no {FOLDER}/ in {start} or above it", hint="go to the repository, or name it with --root")


def is_root(folder: Path) -> bool:
    return (folder / FOLDER).is_dir()


def named_root(root: Path) -> Path:
    """Return the root that somebody named, once it is one."""
    if not is_root(root):
        raise InputError(f"no {FOLDER}/ in {root}", hint="--root names the folder that holds it")
    return root


def own(folder: Path) -> Path:
    """Return a folder of the workspace that is no link: what it leads to would be somebody else's files."""
    if folder.is_symlink():
        raise InputError(f"{folder} is a link", hint="make it a folder")
    return folder
