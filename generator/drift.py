"""Whether a rendered tree is what its environments render: file by file, since there are thousands.  No I/O."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from generator import tree
from generator.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RENDER: Final = "keyturn render, and commit what it writes"


class Drift:
    """What should stand in the folders `trees` below `clusters/`; what is seen there is compared with it."""

    def __init__(self, wanted: dict[str, bytes], trees: frozenset[str]) -> None:
        self.wanted, self.trees = wanted, trees
        self.folders = {folder for path in wanted for folder in _above(path)}
        self.seen: set[str] = set()

    def see(self, path: str, data: bytes) -> Iterator[Finding]:
        """Yield where one file is not what should stand at its path; a stranger beside ours is none of our business."""
        wanted = self.wanted.get(path)
        if wanted is not None:
            self.seen.add(path)
            if wanted != data and tree.is_ours(data):
                line = _first_difference(data, wanted)
                yield Finding(path, line, 1, "drift", "error", "is not what its environment renders", _RENDER)
            elif wanted != data:
                yield self._foreign(path)
        elif path in self.folders:
            yield self._foreign(path)
        elif path.split("/")[1] in self.trees and tree.is_ours(data):
            yield Finding(path, 1, 1, "left-over", "error", "is of keyturn's, and no environment renders it", _RENDER)

    def missing(self, others: Mapping[str, object]) -> Iterator[Finding]:
        """Yield what should stand and was not seen; `others` are names that are no regular files, such as links."""
        for path in sorted(self.wanted.keys() - self.seen):
            if path in others:
                yield self._foreign(path)
            else:
                hint = "keyturn render, and git add what it writes"
                yield Finding(path, 0, 0, "drift", "error", "is missing, and its environment renders it", hint)

    @staticmethod
    def _foreign(path: str) -> Finding:
        message = "is not keyturn's, and stands where keyturn writes"
        return Finding(path, 0, 0, "foreign-file", "error", message, "move it away, and keyturn render")


def _above(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _first_difference(data: bytes, wanted: bytes) -> int:
    ours, theirs = data.splitlines(), wanted.splitlines()
    pairs = enumerate(zip(ours, theirs, strict=False), start=1)
    return next((number for number, (one, other) in pairs if one != other), min(len(ours), len(theirs)) + 1)
