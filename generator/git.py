"""The gate to git: what a repository says.  `objects` writes to one, `remotes` speaks with others.

Outside a repository `find` says so and nothing else is asked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from generator import process
from generator.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Set where keyturn runs inside a hook; they would point git at another repository or index, or at other paths.
_LOCAL: Final = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
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


_LIMIT: Final = 60.0  # seconds
PATIENCE: Final = 600.0  # seconds for a network, or a person who types a passphrase

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

    def commit(self, revision: str) -> str | None:
        """Return the object name of a commit, None where there is none by that name."""
        result = self._run("rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        name = os.fsdecode(result.stdout).strip()
        return name if result.code == 0 and not name.startswith("^") else None

    def last_touching(self, folder: str) -> str | None:
        """Return the last commit of HEAD that changed something below a folder, None where there is none."""
        return self._output("log", "-1", "--format=%H", "HEAD", "--", folder).strip() or None

    def contains(self, commit: str, other: str) -> bool | None:
        """Whether `commit` is `other` or comes after it; None where one of them is not in this clone."""
        code = self._run("merge-base", "--is-ancestor", other, commit).code
        return None if code > 1 else code == 0

    def differs(self, folders: Sequence[str]) -> bool:
        """Whether something below the folders is not as HEAD has it; what git ignores does not count."""
        return bool(self._output("status", "--porcelain", "-z", "--", *folders))

    def has_ref(self, name: str) -> bool:
        """Whether there is a ref of that whole name."""
        return self._run("show-ref", "--verify", "--quiet", "--", name).code == 0

    def symbolic(self, ref: str) -> str | None:
        """Return what a symbolic ref such as HEAD names, None where it is none."""
        result = self._run("symbolic-ref", "-q", ref)
        return os.fsdecode(result.stdout).strip() if result.code == 0 else None

    def setting(self, name: str, kind: str = "") -> str | None:
        """Return a setting of the user's, None where it is not set; `kind` is one of git's, such as `bool`."""
        result = self._run("config", *([f"--type={kind}"] if kind else []), "--get", name)
        if result.code > 1:  # 1 is how git says that it is not set
            raise ToolError(f"git config {name} cannot be read: {last_line(result.stderr)}")
        return os.fsdecode(result.stdout).rstrip("\n") if result.code == 0 else None

    def is_branch_name(self, name: str) -> bool:
        result = self._run("check-ref-format", "--branch", name)
        return result.code == 0 and os.fsdecode(result.stdout).strip() == name and name not in ("@", "HEAD")

    def check_identity(self) -> None:
        """Raise ToolError where git does not know in whose name to commit."""
        result = self._run("var", "GIT_COMMITTER_IDENT")
        if result.code != 0:
            message = f"git makes no commit: {last_line(result.stderr)}"
            raise ToolError(message, hint="git config user.name and user.email say who you are")

    def remotes(self) -> list[str]:
        return self._output("remote").split()

    def _names(self, *arguments: str) -> list[str]:
        return [name for name in self._output(*arguments).split("\0") if name]

    def _output(self, *arguments: str) -> str:
        return os.fsdecode(output(self.root, *arguments))

    def _run(self, *arguments: str) -> process.Result:
        return run(self.root, *arguments)


def find(root: Path) -> Repository | None:
    """Return the repository around `root`, or None where there is none.

    Raises ToolError where there is one that git is missing for or refuses to read.
    """
    if directory(root) is None:
        return None
    result = run(root, "rev-parse", "--show-toplevel")
    if result.code != 0:
        raise ToolError(f"git does not read this repository: {reason(result.stderr)}")
    return Repository(root)


def init(folder: Path) -> None:
    """Make an empty repository whose first branch is `main`, and its folder.  Raises ToolError where git cannot."""
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    result = run(there, "init", "--quiet", "--initial-branch=main", "--", str(folder))
    if result.code != 0:
        raise ToolError(f"git init failed: {reason(result.stderr)}")


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


def place(root: Path) -> str | None:
    """Return the folder that `root` is in its git repository, None outside one; asks no program."""
    above = top(root)
    if above is None:
        return None
    return "" if root == above else root.relative_to(above).as_posix()


def output(root: Path, *arguments: str, stdin: bytes = b"", index: bool = False, seconds: float = _LIMIT) -> bytes:
    """Run git and return what it prints.  Raises ToolError, with git's first line, where it fails."""
    result = run(root, *arguments, stdin=stdin, index=index, seconds=seconds)
    if result.code != 0:
        raise ToolError(f"git {arguments[0]} failed: {reason(result.stderr)}")
    return result.stdout


def run(
    root: Path,
    *arguments: str,
    stdin: bytes = b"",
    network: bool = False,
    index: bool = False,
    seconds: float = _LIMIT,
) -> process.Result:
    """Run git in a folder; only where `network` says so may it speak with another machine.

    With `index` it reads the one that a hook is for: `git commit FILE` and `git commit -a` have one of their own.
    """
    env = environment(network=network) | (_index(root) if index else {})
    return process.run(argv(*arguments), cwd=root, env=env, stdin=stdin, seconds=seconds)


def _index(root: Path) -> dict[str, str]:
    """Return the variable that names a hook's index, where it is one of the repository around `root`."""
    file, here = os.environ.get("GIT_INDEX_FILE"), Path.cwd()
    return {"GIT_INDEX_FILE": str(here / file)} if file and top(here) == top(root) else {}


def argv(*arguments: str) -> list[str]:
    """Return the words that run git with the settings that keyturn relies on."""
    return ["git", *(word for setting in _SETTINGS for word in ("-c", setting)), *arguments]


def environment(*, network: bool = False) -> dict[str, str]:
    """Return the variables for git.

    A partial clone would fetch what it lacks: without `network` no protocol is allowed, and what is missing is told.
    """
    env = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    env |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    return env if network else env | {"GIT_ALLOW_PROTOCOL": "none", "GIT_TERMINAL_PROMPT": "0"}


def last_line(stderr: bytes) -> str:
    """Return git's last line of complaint, where the first ones only advise."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("fatal: ").removeprefix("error: ") if lines else "it says nothing"


def reason(stderr: bytes) -> str:
    """Return git's first line of complaint."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ").removeprefix("error: ") if lines else "it says nothing"
