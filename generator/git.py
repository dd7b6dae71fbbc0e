"""The gate to git.  But for `init` it only reads; outside a repository `find` says so and nothing else is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import process
from generator.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Set where keyturn runs inside a hook; they would point git at another repository or index, or at other paths.
_LOCAL: Final = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)


# A user's own settings would change what log answers.
_SETTINGS: Final = ("log.diffMerges=separate", "log.follow=false", "log.showRoot=true", "log.showSignature=false")


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree; paths that go in and come out are relative to `root`, the workspace inside it."""

    root: Path

    def is_shallow(self) -> bool:
        return self._output("rev-parse", "--is-shallow-repository").strip() == "true"

    def has_commit(self) -> bool:
        return self._run("rev-parse", "-q", "--verify", "HEAD^{commit}").code == 0

    def head(self, folders: Sequence[str]) -> set[str]:
        """Return the files of HEAD below the given folders."""
        return set(self._names("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", *folders))

    def index(self, folder: str) -> set[str]:
        """Return the files of the index below a folder."""
        return set(self._names("ls-files", "-z", "--", folder))

    def history(self, pattern: str) -> dict[str, str]:
        """Return file -> last commit that wrote it, for every file that any line of HEAD's history ever had.

        `pattern` is a glob whose `*` stops at a slash.
        """
        log = self._output(
            *("log", "--full-history", "-m", "--no-renames", "--diff-filter=AM", "--relative"),
            *("-z", "--format=%x01%h%x00", "--name-only", "HEAD", "--", f":(glob){pattern}"),
        )
        found: dict[str, str] = {}
        for entry in log.split("\x01")[1:]:
            commit, *names = (part.strip("\n") for part in entry.split("\0"))
            for name in filter(None, names):
                found.setdefault(name, commit)
        return found

    def blob(self, revision: str, path: str) -> bytes | None:
        """Return a file as a revision has it, or None."""
        result = self._run("cat-file", "blob", f"{revision}:./{path}")
        return result.stdout if result.code == 0 else None

    def _names(self, *arguments: str) -> list[str]:
        return [name for name in self._output(*arguments).split("\0") if name]

    def _output(self, *arguments: str) -> str:
        result = self._run(*arguments)
        if result.code != 0:
            raise ToolError(f"git {arguments[0]} failed: {_reason(result.stderr)}")
        return os.fsdecode(result.stdout)

    def _run(self, *arguments: str) -> process.Result:
        return _git(self.root, *arguments)


def find(root: Path) -> Repository | None:
    """Return the repository around `root`, or None where there is none.

    Raises ToolError where there is one that git is missing for or refuses to read.
    """
    if directory(root) is None:
        return None
    result = _git(root, "rev-parse", "--show-toplevel")
    if result.code != 0:
        raise ToolError(f"git does not read this repository: {_reason(result.stderr)}")
    return Repository(root)


def init(folder: Path) -> None:
    """Make an empty repository whose first branch is `main`, and its folder.  Raises ToolError where git cannot."""
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    result = _git(there, "init", "--quiet", "--initial-branch=main", "--", str(folder))
    if result.code != 0:
        raise ToolError(f"git init failed: {_reason(result.stderr)}")


def directory(root: Path) -> Path | None:
    """Return the git directory that belongs to the work tree around `root`, or None; asks no program."""
    for folder in (root, *root.parents):
        entry = folder / ".git"
        if entry.is_dir():
            return entry
        if entry.is_file():  # a worktree or submodule
            target = entry.read_text("utf-8").removeprefix("gitdir:").strip()
            return folder / target
    return None


def top(root: Path) -> Path | None:
    """Return the folder that holds `.git`, upwards from `root`, or None; asks no program."""
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)


def _git(root: Path, *arguments: str) -> process.Result:
    env = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    # A partial clone would fetch what it lacks: no protocol is allowed, and what is missing is told instead.
    env |= {"LC_ALL": "C", "GIT_ALLOW_PROTOCOL": "none", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    options = [word for setting in _SETTINGS for word in ("-c", setting)]
    return process.run(["git", *options, *arguments], cwd=root, env=env)


def _reason(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ") if lines else "it says nothing"
