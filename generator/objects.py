"""Git's objects: read by one `git cat-file` that stays open, and written without a work tree or an index.

What is written is nobody's until a ref names it: a kill before that leaves nothing that anybody sees.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from generator import git, process
from generator.errors import RefusedError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER: Final = "40000"  # modes, as a tree writes them
LINK: Final = "120000"
FILE: Final = "100644"
FILES: Final = (FILE, "100755")
_MODULE: Final = "160000"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree."""

    mode: str
    name: str
    oid: str


Tree = dict[str, Entry]


class Objects:
    """Reads objects; `root` is any folder of the repository.  To be closed, as a context."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._program = process.Dialogue(
            git.argv("cat-file", "--batch"), "git cat-file", cwd=root, env=git.environment()
        )
        self._trees: dict[str, Tree] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.close()

    def find(self, commit: str, path: str) -> Entry | None:
        """Return what stands at a path from the top of a commit's tree, None where nothing does."""
        found = Entry(FOLDER, "", f"{commit}^{{tree}}")
        for part in path.split("/") if path else []:
            if found.mode != FOLDER or part not in (tree := self.tree(found.oid)):
                return None
            found = tree[part]
        return found

    def tree(self, oid: str) -> Tree:
        """Return a tree's entries by name, in its own order; none where there is no such tree."""
        if oid not in self._trees:
            kind, data = self._read(oid)
            self._trees[oid] = _parsed(data, len(oid.partition("^")[0]) // 2) if kind == "tree" else {}
        return self._trees[oid]

    def blob(self, oid: str) -> bytes:
        """Return a file's content.  Raises ToolError where the repository does not hold it."""
        kind, data = self._read(oid)
        if kind != "blob":
            raise _lost(oid)
        return data

    def blobs(self, oids: Sequence[str], most: int) -> Iterator[bytes | None]:
        """Yield files' contents, in order, None for one of more than `most` bytes; quicker than one after the other.

        Raises ToolError where the repository does not hold one.
        """
        for start in range(0, len(oids), _BATCH):
            batch = oids[start : start + _BATCH]
            self._program.tell("".join(f"{oid}\n" for oid in batch).encode())
            yield from [self._many(oid, most) for oid in batch]  # read whole, since others may ask in between

    def _many(self, oid: str, most: int) -> bytes | None:
        words = self._program.line().split(b" ")
        if len(words) != _FOUND or words[1] != b"blob":
            raise _lost(oid)
        size = int(words[2])
        if size > most:
            self._program.skip(size + 1)
            return None
        return self._program.exactly(size + 1)[:-1]

    def _read(self, name: str) -> tuple[str, bytes]:
        """Return kind and content of an object, an empty kind where there is none."""
        words = self._program.ask(os.fsencode(name) + b"\n").split(b" ")
        if len(words) != _FOUND or not words[2].isdigit():  # `<name> missing`
            return "", b""
        data = self._program.exactly(int(words[2]) + 1)[:-1]
        return words[1].decode("ascii"), data


def _lost(oid: str) -> ToolError:
    return ToolError(f"git does not hold the file {oid}", hint="git fetch, or a clone that holds everything")


_BATCH: Final = 64  # names that are asked for at once
_FOUND: Final = 3  # words of the line before an object: its name, its kind, its size


def _parsed(data: bytes, length: int) -> Tree:
    """Read a tree object: `<mode> <name>`, NUL and the name of an object in bytes, once for each entry."""
    found: Tree = {}
    for mode, name, oid in re.findall(rb"([0-7]+) ([^\0]+)\0(.{%d})" % length, data, re.DOTALL):
        text = os.fsdecode(name)
        found[text] = Entry(mode.decode("ascii"), text, oid.hex())
    return found


def write(root: Path, contents: Sequence[bytes]) -> list[str]:
    """Write files as objects and return their names, in order; by one git, however many they are."""
    if len(contents) == 1:
        return [_text(git.output(root, "hash-object", "-w", "--stdin", stdin=contents[0]))]
    import tempfile  # noqa: PLC0415 -- a hook writes nothing, and should be quick

    with tempfile.TemporaryDirectory(prefix="keyturn-") as folder:
        files = [Path(folder) / str(number) for number in range(len(contents))]
        for file, data in zip(files, contents, strict=True):
            file.write_bytes(data)
        names = "".join(f"{file}\n" for file in files).encode()
        return _text(git.output(root, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names)).split()


def graft(root: Path, objects: Objects, commit: str, files: Mapping[str, str]) -> str:
    """Return the name of a tree: that of `commit` with other files at some paths; `files` is path -> blob.

    Raises RefusedError where a file stands in the way of a folder.
    """
    changed: dict[str, Tree] = {}  # folder -> its entries
    for path, blob in files.items():
        folder, _, name = path.rpartition("/")
        entries = _opened(objects, commit, folder, changed)
        old = entries.get(name)
        if old is not None and old.mode not in FILES:
            raise RefusedError(f"{path} is not a regular file in git", hint="move it away")
        entries[name] = Entry(FILE, name, blob) if old is None else replace(old, oid=blob)
    tree = ""
    program = process.Dialogue(
        git.argv("mktree", "-z", "--missing", "--batch"), "git mktree", cwd=root, env=git.environment()
    )
    with contextlib.closing(program):
        for folder in sorted(changed, key=_depth, reverse=True):  # a folder before the one that it is in
            tree = program.ask(_listed(changed[folder])).decode("ascii")
            if folder:
                parent, _, name = folder.rpartition("/")
                changed[parent][name] = Entry(FOLDER, name, tree)
    return tree


def _opened(objects: Objects, commit: str, folder: str, changed: dict[str, Tree]) -> Tree:
    """Return the entries of a folder, to be changed, and have those above it in `changed` too."""
    if folder not in changed:
        if folder:
            _opened(objects, commit, folder.rpartition("/")[0], changed)
        found = objects.find(commit, folder)
        if found is not None and found.mode != FOLDER:
            raise RefusedError(f"{folder} is not a folder in git", hint="make it one, or move it away")
        changed[folder] = dict(objects.tree(found.oid)) if found else {}
    return changed[folder]


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0


def _listed(tree: Tree) -> bytes:
    """Return a tree as `git mktree` reads it, with the empty line that ends it."""
    lines = (f"{entry.mode} {_kind(entry.mode)} {entry.oid}\t{entry.name}\0" for entry in tree.values())
    return os.fsencode("".join(lines) + "\0")


def _kind(mode: str) -> str:
    return {FOLDER: "tree", _MODULE: "commit"}.get(mode, "blob")


def commit(repository: git.Repository, tree: str, parent: str, message: str) -> str:
    """Write a commit by the user's name, signed where the user signs; return its name."""
    sign = ["-S"] if repository.setting("commit.gpgSign", "bool") == "true" else []
    words = ["-c", "i18n.commitEncoding=UTF-8", "commit-tree", tree, "-p", parent, *sign]
    result = git.run(repository.root, *words, stdin=message.encode(), seconds=git.PATIENCE)
    if result.code != 0:
        hint = "commit.gpgSign asks for a signature: see git config user.signingKey and gpg.program" if sign else ""
        raise ToolError(f"git made no commit: {git.last_line(result.stderr)}", hint=hint)
    return _text(result.stdout)


def point(root: Path, ref: str, new: str, old: str | None) -> None:
    """Let a ref name a commit, all at once; `old` is what it names now, None where it must not be there yet.

    Raises RefusedError where somebody else was faster, or git takes no such name.
    """
    words = ("update-ref", "-m", "keyturn", ref, new, old or "0" * len(new))
    result = git.run(root, *words)
    if result.code != 0:
        hint = "another branch may be in the way: --branch names another, or run it again where somebody was faster"
        raise RefusedError(f"git does not let {ref} be written: {git.reason(result.stderr)}", hint=hint)


def _text(output: bytes) -> str:
    return output.decode("ascii").strip()
