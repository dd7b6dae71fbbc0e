"""Where the files of a workspace are read from: the work tree, or one commit.  No I/O here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder."""

    name: str
    is_folder: bool


class Source(Protocol):
    """Reads files by POSIX paths relative to the workspace's root.  Links are told, never followed."""

    @property
    def words(self) -> str:
        """Where that is, for a message: empty for the work tree, ` in origin/main` for a commit."""

    @property
    def place(self) -> str | None:
        """The folder that the root is in its git repository, None outside one."""

    def entries(self, folder: str) -> list[Entry]:
        """Return what a folder holds, sorted by name; nothing where there is no such folder.

        Raises InputError where it is a link.
        """

    def read(self, path: str) -> bytes | None:
        """Return what a reader needs of a file, which is its start where it is too long; None where it is no file."""

    def has(self, path: str) -> bool:
        """Whether anything stands there, a link to nowhere too."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A source with other content in some of its files."""

    source: Source
    files: Mapping[str, bytes]

    @property
    def words(self) -> str:
        return self.source.words

    @property
    def place(self) -> str | None:
        return self.source.place

    def entries(self, folder: str) -> list[Entry]:
        return self.source.entries(folder)

    def read(self, path: str) -> bytes | None:
        return self.files.get(path) or self.source.read(path)

    def has(self, path: str) -> bool:
        return path in self.files or self.source.has(path)
