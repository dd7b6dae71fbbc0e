"""`keyturn init`: a repository of clusters, from the samples and the starter files that come with keyturn."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from generator import __version__, files, git, packaged
from generator.emit import scalar
from generator.errors import InputError, RefusedError
from generator.nodes import Node
from generator.shapes import WrongError
from generator.texts import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

_STARTER: Final = {"Makefile": "Makefile", "README.md": "README.md", "gitignore": ".gitignore"}
HOOKS: Final = ".pre-commit-config.yaml"
"""Where pre-commit looks: at the top of the repository."""
_WORKFLOWS: Final = {
    "github": {
        ".github/workflows/keyturn-rotate.yml": "ci/github.yml",
        ".github/workflows/keyturn-validate.yml": "ci/github-validate.yml",
    },
    "gitlab": {".gitlab-ci.yml": "ci/gitlab.yml"},
}
CI: Final = {forge: tuple(paths) for forge, paths in _WORKFLOWS.items()}
"""Where the workflows of each forge stand, from the top of the repository; the first one needs a token."""
_TOLD: Final = 3  # strangers that a message names
_MINE: Final = (".git", ".venv")  # what a person has made before; .git may be a file
_MINE_FILES: Final = ("README", "LICENSE", "COPYING", "NOTICE")  # how the names of files start that a forge makes


@dataclass(frozen=True, slots=True)
class Started:
    """What was written, relative to the root; `repository` where git was not there before.

    `to_add` is what somebody's own `HOOKS` at the top of the repository lacks; it was left alone.
    """

    root: Path
    created: list[str]
    repository: bool
    to_add: str = ""


def init(folder: Path, *, templates: bool, ci: str | None = None) -> Started:
    """Write what a repository of clusters starts with, and workflows of `CI`; a second run writes what is missing.

    A workspace that is there already gets the workflows alone.  Raises InputError where it is no folder, RefusedError
    where it holds anything else, ToolError where git fails.
    """
    root = folder.resolve()
    top = git.top(root) or root
    place = "" if top == root else _place(root, top)
    if ci is not None and (root / "environments").is_dir():
        return Started(root, _write(root, top, {}, _missing(top, _workflows(ci, place))), repository=False)
    if folder.is_symlink() and not root.exists():
        raise InputError(f"{folder} is a link to nowhere", hint="remove it")
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is not a folder")
    wanted, hooks = _wanted(place, templates=templates), _hooks(place)
    at_the_top = {} if place else hooks
    _refuse_strangers(root, {**wanted, **at_the_top, **(_workflows("github", "") | _workflows("gitlab", ""))})
    above = _missing(top, _workflows(ci, place)) if ci else {}
    to_add = "" if at_the_top else _lacking(top, hooks[HOOKS])
    repository = git.top(root) is None
    if repository:
        git.init(root)
    root.mkdir(parents=True, exist_ok=True)
    if place and not os.path.lexists(top / HOOKS):
        above = hooks | above
    own = {path: data for path, data in sorted({**wanted, **at_the_top}.items()) if not (root / path).exists()}
    return Started(root, _write(root, top, own, above), repository, to_add)


def _missing(top: Path, wanted: dict[str, bytes]) -> dict[str, bytes]:
    """Return the workflows that are to be written.  Raises RefusedError where another stands in the place of one."""
    missing = {}
    for path, data in wanted.items():
        found = files.read(top, path, len(data) + 1) if top.exists() else None
        if found is None:
            missing[path] = data
        elif found != data:
            ci = next(name for name, paths in CI.items() if path in paths)
            hint = f"keyturn init --ci {ci} in an empty folder writes one to copy from"
            raise RefusedError(f"{top / path} is there already, and says something else", hint=hint)
    return missing


def _workflows(ci: str, place: str) -> dict[str, bytes]:
    words = {"VERSION": __version__, "PLACE": place or "."}
    return {path: _filled(name, words) for path, name in _WORKFLOWS[ci].items()}


def _hooks(place: str) -> dict[str, bytes]:
    """Return the file with the hooks, which run at the top of the repository."""
    root, folder = (f"--root {place} ", f"{place}/") if place else ("", "")
    entry = f"\n#         entry: keyturn {root}validate --index" if place else ""
    words = {"ROOT": root, "FOLDER": folder, "FILES": folder.replace(".", r"\.")}
    words |= {"VALIDATE": entry and f"{entry} --deleted", "RENDER": entry and f"{entry} --drift"}
    return {HOOKS: _filled("pre-commit-config.yaml", words)}


def _lacking(top: Path, ours: bytes) -> str:
    """Return the lines that somebody's own file with hooks lacks, none where it has them or there is no such file."""
    file = top / HOOKS
    if not os.path.lexists(file):
        return ""
    lines = ours.partition(b"\nrepos:\n")[2]
    return "" if file.is_file() and lines in file.read_bytes() else lines.decode()


def _filled(name: str, words: dict[str, str]) -> bytes:
    """Return a starter file with its words between at signs replaced."""
    text = (packaged.folder("starter") / name).read_text("utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text.encode()


def _wanted(place: str, *, templates: bool) -> dict[str, bytes]:
    found = {target: (packaged.folder("starter") / name).read_bytes() for name, target in _STARTER.items()}
    for folder in ("environments", "templates") if templates else ("environments",):
        found |= _copied(folder)
    if place:  # the engine's paths begin at the top of the repository
        found["environments/defaults.yaml"] += f"gitops:\n  path: {scalar(place)}\n".encode()
    return found


def _place(root: Path, top: Path) -> str:
    """Return the folder that the root is in its repository.  Raises InputError where its name needs quotes."""
    place = root.relative_to(top).as_posix()
    try:
        return FOLDER.read(Node(place), "", [])
    except WrongError as wrong:
        raise InputError(f"the engine cannot be told of {place!r}: {wrong.message}", hint="rename the folder") from None


def _copied(folder: str) -> dict[str, bytes]:
    source = packaged.folder(folder)
    return {
        f"{folder}/{file.relative_to(source).as_posix()}": file.read_bytes()
        for file in source.rglob("*")
        if file.is_file()
    }


def _refuse_strangers(root: Path, known: dict[str, bytes]) -> None:
    """Raise RefusedError where anything stands in the folder that is not ours to stand beside."""
    if strangers := _strangers(root, known):
        shown = ", ".join(strangers[:_TOLD]) + (" and more" if len(strangers) > _TOLD else "")
        hint = "name an empty folder or repository; nothing was written"
        raise RefusedError(f"{root} is not empty: {shown}", hint=hint)


def _strangers(root: Path, wanted: dict[str, bytes]) -> list[str]:
    """Return what stands in the folder and is not ours to stand beside; a few are enough."""
    found = []
    for path in _walk(root):
        if path in wanted and files.read(root, path, len(wanted[path]) + 1) == wanted[path]:
            continue
        if path.endswith(files.TEMPORARY) or ("/" not in path and path.startswith(_MINE_FILES)):
            continue
        found.append(path)
        if len(found) > _TOLD:
            break
    return sorted(found)


def _walk(root: Path, below: str = "") -> Iterator[str]:
    """Yield what is no folder; a link is none, wherever it leads."""
    if not root.exists():
        return
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda one: one.name):  # one folder is told in the same words everywhere
            path = f"{below}{entry.name}"
            if path in _MINE:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, f"{path}/")
            else:
                yield path


def _write(root: Path, top: Path, own: dict[str, bytes], above: dict[str, bytes]) -> list[str]:
    """Write files below the root and others below the top, all or, where the disk fails, none; return their paths."""
    wanted = {root / path: data for path, data in own.items()} | {top / path: data for path, data in above.items()}
    done: list[Path] = []
    try:
        for file, data in wanted.items():
            files.create(file, data)
            done.append(file)
    except OSError:
        for file in done:
            file.unlink(missing_ok=True)
        for folder in sorted({file.parent for file in wanted} - {root, top}, reverse=True):
            with contextlib.suppress(OSError):  # not there, or not empty
                folder.rmdir()
        raise
    return [Path(os.path.relpath(file, root)).as_posix() for file in wanted]
