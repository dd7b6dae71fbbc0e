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
CI: Final = {"github": ".github/workflows/keyturn-rotate.yml", "gitlab": ".gitlab-ci.yml"}
"""Where the workflow of each forge stands, from the top of the repository."""
_TOLD: Final = 3  # strangers that a message names
_MINE: Final = (".git", ".venv")  # what a person has made before; .git may be a file
_MINE_FILES: Final = ("README", "LICENSE", "COPYING", "NOTICE")  # how the names of files start that a forge makes


@dataclass(frozen=True, slots=True)
class Started:
    """What was written, relative to the root; `repository` where git was not there before."""

    root: Path
    created: list[str]
    repository: bool


def init(folder: Path, *, templates: bool, ci: str | None = None) -> Started:
    """Write what a repository of clusters starts with, and a workflow of `CI`; a second run writes what is missing.

    A workspace that is there already gets the workflow alone.  Raises InputError where it is no folder, RefusedError
    where it holds anything else, ToolError where git fails.
    """
    root = folder.resolve()
    if ci is not None and (root / "environments").is_dir():
        return Started(root, _add_workflow(root, ci), repository=False)
    if folder.is_symlink() and not root.exists():
        raise InputError(f"{folder} is a link to nowhere", hint="remove it")
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is not a folder")
    wanted = _wanted(root, templates=templates)
    known = {**wanted, **{path: _workflow(root, one) for one, path in CI.items()}}
    if strangers := _strangers(root, known):
        shown = ", ".join(strangers[:_TOLD]) + (" and more" if len(strangers) > _TOLD else "")
        hint = "name an empty folder or repository; nothing was written"
        raise RefusedError(f"{root} is not empty: {shown}", hint=hint)
    if ci is not None:
        _missing_workflow(root, ci)
    repository = git.top(root) is None
    if repository:
        git.init(root)
    root.mkdir(parents=True, exist_ok=True)
    missing = [path for path in wanted if not (root / path).exists()]
    _write(root, {path: wanted[path] for path in missing})
    return Started(root, [*missing, *(_add_workflow(root, ci) if ci else ())], repository)


def _add_workflow(root: Path, ci: str) -> list[str]:
    """Write a workflow at the top of the repository, where its forge looks; return what was written."""
    top = git.top(root) or root
    data = _missing_workflow(root, ci)
    if data is None:
        return []
    _write(top, {CI[ci]: data})
    return [(Path(os.path.relpath(top, root)) / CI[ci]).as_posix()]


def _missing_workflow(root: Path, ci: str) -> bytes | None:
    """Return the workflow that is to be written, None where it stands.  Raises RefusedError where another does."""
    top = git.top(root) or root
    data = _workflow(root, ci)
    found = files.read(top, CI[ci], len(data) + 1) if top.exists() else None
    if found is not None and found != data:
        hint = f"keyturn init --ci {ci} in an empty folder writes one to copy from"
        raise RefusedError(f"{top / CI[ci]} is there already, and says something else", hint=hint)
    return data if found is None else None


def _workflow(root: Path, ci: str) -> bytes:
    top = git.top(root)
    place = "." if top in (None, root) else _place(root, top)
    text = (packaged.folder("starter") / "ci" / f"{ci}.yml").read_text("utf-8")
    return text.replace("@VERSION@", __version__).replace("@PLACE@", place).encode()


def _wanted(root: Path, *, templates: bool) -> dict[str, bytes]:
    found = {target: (packaged.folder("starter") / name).read_bytes() for name, target in _STARTER.items()}
    for folder in ("environments", "templates") if templates else ("environments",):
        found |= _copied(folder)
    top = git.top(root)
    if top is not None and top != root:  # the engine's paths begin at the top of the repository
        place = _place(root, top)
        found["environments/defaults.yaml"] += f"gitops:\n  path: {scalar(place)}\n".encode()
    return dict(sorted(found.items()))


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
        for entry in entries:
            path = f"{below}{entry.name}"
            if path in _MINE:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, f"{path}/")
            else:
                yield path


def _write(root: Path, wanted: dict[str, bytes]) -> None:
    """Write all of it or, where the disk fails, nothing."""
    done: list[Path] = []
    try:
        for path, data in wanted.items():
            files.create(root / path, data)
            done.append(root / path)
    except OSError:
        for file in done:
            file.unlink(missing_ok=True)
        for folder in sorted({(root / path).parent for path in wanted} - {root}, reverse=True):
            with contextlib.suppress(OSError):  # not there, or not empty
                folder.rmdir()
        raise
