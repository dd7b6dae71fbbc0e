"""What git's history says about Secrets: what came to a branch, what waits on others, who turned which key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from generator import git, tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEADS: Final = "refs/heads/"
REMOTES: Final = "refs/remotes/"
_START: Final = "\x01"  # of an entry; no name of a file that matters has it


@dataclass(frozen=True, slots=True)
class Arrival:
    """A first-parent commit of a branch, when it was made, and the files that it changed, relative to the root."""

    commit: str
    parent: str | None  # None for a root, or where a shallow clone ends
    time: datetime
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """A commit that waits on a branch: its parent, and its message."""

    commit: str
    parent: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch, local or remote-tracking, by its whole name; `worktree` is where it is checked out."""

    name: str
    commit: str
    worktree: str

    @property
    def branch(self) -> str:
        """The branch's name in its own repository; a remote's name has no slash."""
        return self.short if self.name.startswith(HEADS) else self.short.partition("/")[2]

    @property
    def dropping(self) -> str:
        """The command that takes the branch away, where it is."""
        if self.name.startswith(HEADS):
            return f"git branch -D {self.short}"
        return f"git push {self.short.partition('/')[0]} --delete {self.branch}"

    @property
    def short(self) -> str:
        return self.name.removeprefix(HEADS).removeprefix(REMOTES)


@dataclass(frozen=True, slots=True)
class Written:
    """A commit that wrote a file; one without a parent is a root, or where a shallow clone begins."""

    commit: str
    parent: str | None
    time: datetime
    author: str
    message: str


def arrivals(root: Path, base: str, since: datetime, folders: Sequence[str]) -> list[Arrival]:
    """Return what came to `base` since a time, newest first: merges by what they brought, not by whose work it was."""
    words = (
        *("log", "--first-parent", "--diff-merges=first-parent", "--no-renames", "--relative", "--name-only"),
        *(f"--since=@{int(since.timestamp())}", "-z", f"--format={_START}%H%x00%P%x00%ct%x00", base, "--", *folders),
    )
    found = (entry.split("\0") for entry in _text(git.output(root, *words)).split(_START)[1:])
    return [
        Arrival(commit, parents.partition(" ")[0] or None, _time(seconds), tuple(filter(None, _stripped(names))))
        for commit, parents, seconds, *names in found
    ]


def pending(root: Path, base: str, trailer: str) -> list[Pending]:
    """Return the commits that are on a branch, local or remote-tracking, not on `base`, and have a trailer."""
    words = ("log", "--encoding=UTF-8", "--basic-regexp", f"--grep=^{trailer}: ", "--format=%H%x00%P%x00%B%x00")
    found = _records(git.output(root, *words, "--branches", "--remotes", "--not", base, "--"), 3)
    return [Pending(commit, parents.partition(" ")[0] or None, message) for commit, parents, message in found]


def refs(root: Path) -> list[Ref]:
    """Return every branch, local ones first."""
    shown = "%(refname)%00%(objectname)%00%(worktreepath)"
    words = ("for-each-ref", f"--format={shown}", HEADS.rstrip("/"), REMOTES.rstrip("/"))
    return [Ref(*line.split("\0")) for line in _text(git.output(root, *words)).split("\n")[:-1]]


def containing(root: Path, commit: str) -> set[str]:
    """Return the whole names of the branches that have a commit."""
    words = ("for-each-ref", "--format=%(refname)", f"--contains={commit}", HEADS.rstrip("/"), REMOTES.rstrip("/"))
    return set(_text(git.output(root, *words)).split("\n")[:-1])


def is_ancestor(root: Path, commit: str, of: str) -> bool:
    return git.run(root, "merge-base", "--is-ancestor", commit, of).code == 0


@dataclass(frozen=True, slots=True)
class Version:
    """One content that a file has had, by the name of its object, and the commit that wrote it."""

    commit: str
    path: str
    oid: str


def versions(root: Path, revision: str, paths: Sequence[str]) -> list[Version]:
    """Return every content that some files, from the root, have had up to a revision, newest first."""
    limit = [f":(literal){path}" for path in paths] if len(paths) <= _MANY else [tree.CLUSTERS]
    words = ("log", "--full-history", "-m", "--no-renames", "--diff-filter=AM", "--relative", "--raw", "--no-abbrev")
    found = []
    for entry in _text(git.output(root, *words, "-z", f"--format={_START}%H", revision, "--", *limit)).split(_START)[
        1:
    ]:
        commit, *fields = entry.split("\0")
        lines = [field.strip("\n") for field in fields if field.strip("\n")]
        for told, path in zip(lines[::2], lines[1::2], strict=True):
            if len(paths) <= _MANY or path in paths:
                found.append(Version(commit.strip("\n"), path, told.split(" ")[3]))
    return found


_MANY: Final = 20  # paths that git is given one by one


def merge_base(root: Path, one: str, other: str) -> str | None:
    """Return the commit where two have parted, None where they have nothing in common."""
    result = git.run(root, "merge-base", one, other)
    return _text(result.stdout).strip() if result.code == 0 else None


def changed(root: Path, commit: str, folders: Sequence[str], *, index: bool) -> list[str]:
    """Return the files of some folders, from the root, in which the work tree or the index differs from a commit."""
    where = ["--cached"] if index else []
    words = ("diff-index", *where, "--no-renames", "--relative", "--name-only", "-z", commit, "--", *folders)
    return list(filter(None, _text(git.output(root, *words, index=True)).split("\0")))


def written(root: Path, revision: str, path: str, *, top: bool = False) -> list[Written]:
    """Return the commits that wrote a file, newest first; `path` is from the root, or from the repository's `top`."""
    shown = "--format=%H%x00%P%x00%ct%x00%an <%ae>%x00%B%x00"
    words = ("log", "--encoding=UTF-8", "--no-renames", "--diff-filter=AM", shown)
    found = _records(git.output(root, *words, revision, "--", f":(literal{',top' if top else ''}){path}"), 5)
    return [
        Written(commit, parents.partition(" ")[0] or None, _time(seconds), author, message)
        for commit, parents, seconds, author, message in found
    ]


def _records(output: bytes, count: int) -> Iterator[list[str]]:
    """Yield so many fields at a time; no message has a NUL."""
    fields = _text(output).split("\0")
    for start in range(0, len(fields) - count, count):
        first, *others = fields[start : start + count]
        yield [first.lstrip("\n"), *others]


def _stripped(names: Sequence[str]) -> Iterator[str]:
    return (name.strip("\n") for name in names)


def _time(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _text(output: bytes) -> str:
    return os.fsdecode(output)
