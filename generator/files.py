"""The gate to the disk: what stands in `clusters/`, and changes to it, each file old or new at any moment."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from generator import tree
from generator.errors import RefusedError
from generator.progress import Step, untold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TEMPORARY: Final = ".keyturn-tmp"
SOPS_FILE: Final = ".sops.yaml"  # how the name of a SOPS file in the tree ends
_CHUNK: Final = 65_536  # bytes read at once, which hold the first line of any file of ours


@dataclass(slots=True)
class Snapshot:
    """What stands below one folder; paths are relative to the root.  Links are foreign and are not followed."""

    ours: dict[str, bytes] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    leftovers: list[str] = field(default_factory=list)  # of a run that was killed

    def in_the_way(self, wanted: Iterable[str]) -> list[str]:
        """Return what would have to go before the wanted files can be written, and is not ours to remove."""
        blocked: set[str] = set()
        for path in wanted:
            if path in self.foreign or path in self.folders:
                blocked.add(path)
            while path := path.rpartition("/")[0]:
                if path in self.foreign or path in self.ours:
                    blocked.add(path)
        return sorted(blocked)


def snapshot(root: Path, folder: str) -> Snapshot:
    """Read what is ours below a folder; of other files, no more than their start.

    A SOPS file is never ours, whatever its first line says: no render writes it again or takes it away.
    """
    found = Snapshot()
    parent = ""
    for part in folder.split("/"):  # the folder itself and those above it may be links too
        parent = f"{parent}/{part}".lstrip("/")
        if (mode := _mode(f"{root}/{parent}")) is None:
            return found
        if not stat.S_ISDIR(mode):
            found.foreign.add(parent)
            return found
        found.folders.add(parent)
    _walk(root, folder, found)
    return found


def _mode(path: Path | str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return None


def _walk(root: Path, folder: str, found: Snapshot) -> None:
    with os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                found.folders.add(path)
                _walk(root, path, found)
            elif not entry.is_file(follow_symlinks=False):
                found.foreign.add(path)
            elif entry.name.startswith(".") and entry.name.endswith(TEMPORARY):
                found.leftovers.append(path)
            elif not entry.name.endswith(SOPS_FILE) and (data := _ours(entry.path)) is not None:
                found.ours[path] = data
            else:
                found.foreign.add(path)


def _ours(path: str) -> bytes | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)  # there are thousands, and a stream for each costs as much
    try:
        data = os.read(descriptor, _CHUNK)
        if not tree.is_ours(data):
            return None
        while more := os.read(descriptor, _CHUNK):
            data += more
        return data
    finally:
        os.close(descriptor)


def folders(root: Path, folder: str) -> list[str]:
    """Return the names of the folders in a folder, sorted; links are not followed."""
    path = root / folder
    if not path.is_dir() or path.is_symlink():
        return []
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def read(root: Path, path: str, most: int) -> bytes | None:
    """Return at most `most` bytes of a regular file, or None where there is none; no link on the way is followed."""
    parent = ""
    for part in path.split("/")[:-1]:
        parent = f"{parent}/{part}".lstrip("/")
        if (mode := _mode(f"{root}/{parent}")) is None:
            return None
        if not stat.S_ISDIR(mode):
            raise RefusedError(f"{parent} is not a folder", hint="make it one, or move it away")
    if (mode := _mode(f"{root}/{path}")) is None:
        return None
    if not stat.S_ISREG(mode):
        raise RefusedError(f"{path} is not a regular file", hint="move it away")
    with (root / path).open("rb") as stream:
        return stream.read(most)


def apply(changes: list[tree.Change], root: Path, leftovers: Iterable[str] = (), step: Step = untold) -> None:
    """Make the changes, one file after the other; a kill at any moment leaves each file old or new."""
    for path in leftovers:
        (root / path).unlink(missing_ok=True)
    for number, change in enumerate(changes):
        step("writing", number, len(changes))
        if change.after is None:
            (root / change.path).unlink(missing_ok=True)
            _prune(root, change.path)
        elif change.path.endswith(SOPS_FILE):
            create(root / change.path, change.after)
        else:
            write(root / change.path, change.after)


def write(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Replace a file by a whole one; an existing file keeps its permissions, a new one gets `mode` less the umask."""
    with _whole(path, data, mode) as temporary:
        os.replace(temporary, path)  # noqa: PTH105 -- thousands of times, and a Path for each costs as much


def create(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a whole file where none stands.  Raises FileExistsError where one does, or comes in between."""
    with _whole(path, data, mode) as temporary:
        path.hardlink_to(temporary)
        temporary.unlink()


@contextlib.contextmanager
def _whole(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Give a temporary file beside `path` that holds `data` and is on the disk; where this fails, it is gone."""
    temporary = _temporary(path)
    try:
        descriptor = _opened(temporary, mode)
        try:
            old = _mode(path)
            if old is not None and stat.S_ISREG(old):
                os.fchmod(descriptor, stat.S_IMODE(old))
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    except BaseException as error:
        if isinstance(error, OSError):
            error.filename = error.filename or str(path)  # a full disk names none
        temporary.unlink(missing_ok=True)
        raise


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}{TEMPORARY}")


def _opened(temporary: Path, mode: int) -> int:
    """Open a new file for writing, and make its folder or take away what a killed run left, where that is needed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(temporary, flags, mode)
    except FileNotFoundError:
        temporary.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        temporary.unlink(missing_ok=True)
    return os.open(temporary, flags, mode)


def sweep(path: Path) -> None:
    """Take away what a killed run may have left beside a file."""
    _temporary(path).unlink(missing_ok=True)


def _prune(root: Path, path: str) -> None:
    """Remove the folders that a removed file leaves empty, but never `clusters` itself."""
    parent = path.rpartition("/")[0]
    while "/" in parent:
        try:
            (root / parent).rmdir()
        except OSError:  # not empty: somebody else's files stand here
            return
        parent = parent.rpartition("/")[0]
