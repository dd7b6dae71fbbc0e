"""What `keyturn validate` looks at: which files, as they stand or are staged, and whose environments they touch."""

from __future__ import annotations

import contextlib
import os
import posixpath
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from generator import creation, firstkeys, git, tracked, tree, workspace
from generator.errors import InputError, RefusedError
from generator.objects import Objects
from generator.tracked import Present, Staged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from generator.tracked import Name, View

_ALL_BY: Final = (f"{workspace.GROUPS}/", f"{tree.TEMPLATES}/")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for: some paths or everything; as it is in the index, or what is staged there."""

    paths: tuple[str, ...] = ()
    index: bool = False
    staged: bool = False
    drift: bool = False  # nothing but whether the tree is what the environments render
    deleted: bool = False  # with `index`: also what the commit would take away, and without paths that alone


@dataclass(slots=True)
class Scope:
    """The files of one run.  `paths` are looked through one by one; `gone` are those that a commit would take away."""

    root: Path
    view: View
    store: Objects | None  # None outside git
    index: bool
    whole: bool
    paths: list[str]
    gone: list[str] = field(default_factory=list)
    part: bool = False  # whether the view knows those names alone that matter to the paths

    def environments(self, names: Sequence[str]) -> list[str]:
        """Return the environments that the paths touch."""
        if self._touches_all():
            return list(names)
        touched = {_owner(path) for path in (*self.paths, *self.gone)}
        return [name for name in names if name in touched]

    def trees(self) -> frozenset[str]:
        """Return the folders of `clusters/` that may differ from what is rendered by what the paths touch.

        A Secret makes no difference, since it is not rendered.
        """
        folders = self.view.folders(tree.CLUSTERS)
        if self._touches_all():
            return frozenset(folders)
        moved = (path for path in (*self.paths, *self.gone) if firstkeys.environment(path) is None)
        return frozenset(folders) & {_owner(path) for path in moved}

    def left_over(self, names: Sequence[str]) -> list[str]:
        """Return the folders of `clusters/` that the paths touch and that have no environment."""
        touched = None if self._touches_all() else {_owner(path) for path in (*self.paths, *self.gone)}
        folders = (name for name in self.view.folders(tree.CLUSTERS) if touched is None or name in touched)
        known = set(names)
        return [name for name in folders if name not in known]

    def also(self, paths: Sequence[str]) -> None:
        """Have some more names in view, where not all of them are."""
        if paths and self.part:
            self.view.add(tracked.listed(self.root, paths))

    def _touches_all(self) -> bool:
        if self.whole:
            return True
        return any(_concerns_all(path) for path in (*self.paths, *self.gone))


def _concerns_all(path: str) -> bool:
    """Whether every environment depends on a path."""
    is_config = posixpath.basename(path) == creation.CONFIG
    return is_config or path.startswith(_ALL_BY) or path in (workspace.DEFAULTS, tree.EXEMPTIONS)


def _owner(path: str) -> str:
    """Return whose environment a path belongs to, empty where it is nobody's."""
    parts = path.split("/")
    if parts[0] == tree.CLUSTERS and len(parts) > 1:
        return parts[1]
    name = parts[-1].removesuffix(".yaml")
    return name if workspace.path(name) == path else ""


@contextlib.contextmanager
def opened(root: Path, options: Options) -> Iterator[Scope]:
    """Give what is to be looked at.

    Raises InputError where a path is not there, RefusedError where the index is asked for outside git.
    """
    if git.directory(root) is None:
        if options.index or options.staged:
            raise RefusedError(f"{root} is in no git repository, and so has no index", hint="leave the flag out")
        yield _on_disk(root, options)
        return
    with Objects(root) as store:
        yield _staged(root, store, options) if options.index or options.staged else _present(root, store, options)


def _staged(root: Path, store: Objects, options: Options) -> Scope:
    """Look at the index: what is staged, or what was named."""
    asked = [] if options.drift else _relative(root, options.paths)
    whole = not (asked or options.staged or options.deleted)
    changed = tracked.staged(root, gone=not options.staged) if options.staged or options.deleted else []
    if asked and options.staged:
        changed = [path for path in changed if _below(path, asked)]
    wanted = sorted({*changed, *([] if options.staged else asked)})
    part = not whole and _is_small(wanted)
    names = tracked.listed(root, [*wanted, *_beside(root, wanted)] if part else ())
    view = Staged(root, names, store)
    gone = [one for one in changed if one not in names]
    if options.staged:
        paths = [one for one in changed if one in names]
        return Scope(root, view, store, index=True, whole=False, paths=paths, gone=gone, part=part)
    paths = list(names) if whole else _expanded(root, names, asked, *_UNSTAGED)
    return Scope(root, view, store, index=True, whole=whole or "." in asked, paths=paths, gone=gone, part=part)


_UNSTAGED: Final = ("is not in git's index", "git add it, or leave --index out")
_NOWHERE: Final = ("is not there", "look at its name")


def _is_small(paths: list[str]) -> bool:
    """Whether the names that matter can be asked for one by one, so that the cost follows what is staged."""
    return len(paths) < tracked.MANY and not any(_is_wide(path) or _concerns_all(path) for path in paths)


def _is_wide(path: str) -> bool:
    """Whether a folder holds what every environment depends on."""
    return path in (workspace.FOLDER, workspace.GROUPS, tree.TEMPLATES) or set(path.split("/")) <= {".", ".."}


def _beside(root: Path, paths: list[str]) -> Iterator[str]:
    """Yield what the rules about some paths read beside them."""
    yield from (workspace.FOLDER, tree.TEMPLATES, tree.EXEMPTIONS)
    folders = {posixpath.dirname(path) for path in paths} | {""}
    folders |= set(_upwards(root))
    above = {up for folder in folders for up in _above(folder)}
    yield from sorted(posixpath.join(folder, creation.CONFIG) for folder in folders | above)
    yield from sorted({f"{tree.CLUSTERS}/{name}" for path in paths if (name := _owner(path))})


def _upwards(root: Path) -> Iterator[str]:
    """Yield the folders above the root, up to the repository's top."""
    place = git.place(root) or ""
    for number in range(1, len(place.split("/")) + 1 if place else 1):
        yield "/".join([".."] * number)


def _above(folder: str) -> Iterator[str]:
    while folder and not folder.endswith(".."):
        folder = posixpath.dirname(folder)
        yield folder


def _present(root: Path, store: Objects, options: Options) -> Scope:
    asked = [] if options.drift else _relative(root, options.paths)
    names = tracked.listed(root)
    for path in asked:
        on_disk = root / path
        if path not in names and on_disk.is_dir() and not on_disk.is_symlink():
            inside = git.top(on_disk) == git.top(root)
            more = tracked.untracked(root, path) if inside else tracked.walked(root, path)
            names |= dict.fromkeys(more, tracked.UNTRACKED)
        elif path not in names and os.path.lexists(on_disk):
            names[path] = tracked.UNTRACKED
    view = Present(root, names, store)
    paths = _expanded(root, view.names, asked, *_NOWHERE) if asked else list(view.names)
    return Scope(root, view, store, index=False, whole=not asked or "." in asked, paths=paths)


def _on_disk(root: Path, options: Options) -> Scope:
    """Outside git every file counts."""
    asked = _relative(root, options.paths)
    names = dict.fromkeys(tracked.walked(root), tracked.UNTRACKED)
    for path in asked:
        if path.startswith("../"):
            names |= dict.fromkeys(tracked.walked(root, path) or [path], tracked.UNTRACKED)
    view = Present(root, names)
    paths = _expanded(root, view.names, asked, *_NOWHERE) if asked else list(view.names)
    return Scope(root, view, None, index=False, whole=not asked or "." in asked, paths=paths)


def _relative(root: Path, paths: Sequence[str]) -> list[str]:
    """Return paths from the root; they were given from where the user is."""
    here = Path.cwd()
    return [os.path.relpath(os.path.normpath(here / path), root) for path in paths]


def _expanded(root: Path, names: dict[str, Name], asked: list[str], wrong: str, hint: str) -> list[str]:
    """Return the files that some paths name, those below a folder for the folder."""
    found: dict[str, None] = {}
    for path in asked:
        below = [path] if path in names else [name for name in names if _below(name, [path])]
        if not below and not (path == "." or (root / path).is_dir()):
            raise InputError(f"{path} {wrong}", hint=hint)
        found |= dict.fromkeys(below)
    return list(found)


def _below(path: str, folders: list[str]) -> bool:
    return any(folder in (".", path) or path.startswith(f"{folder}/") for folder in folders)
