"""One writer at a time in a repository."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

from generator import git
from generator.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT: Final = 10.0
_POLL: Final = 0.05


def path(root: Path) -> Path:
    """`keyturn.lock` in the git directory, `.keyturn.lock` at the root outside git."""
    directory = git.directory(root)
    if directory is None:
        return root / ".keyturn.lock"
    common = directory / "commondir"  # worktrees of one repository share its branches
    shared = directory / common.read_text("utf-8").strip() if common.is_file() else directory
    return shared.resolve() / "keyturn.lock" if common.is_file() else shared / "keyturn.lock"


@contextlib.contextmanager
def hold(root: Path, wait: float = WAIT) -> Iterator[None]:
    """Hold the lock, which the system takes back when this process ends, however it ends.

    Raises RefusedError, naming the holder, where it is not free within `wait` seconds.
    """
    file = path(root)
    with file.open("a+", encoding="utf-8") as stream:
        deadline = time.monotonic() + wait
        while not _taken(stream.fileno()):
            if time.monotonic() >= deadline:
                stream.seek(0)
                holder = stream.read(80).strip() or "another keyturn"
                raise RefusedError(f"{holder} holds {file}", hint="wait for it to end, then run this again")
            time.sleep(_POLL)
        stream.truncate(0)
        stream.write(f"process {os.getpid()}\n")
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
