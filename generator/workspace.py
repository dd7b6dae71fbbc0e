"""The files under `environments/`, read and resolved.  Nothing is written here."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from generator import combinations, git, inheritance, mesh, yamlio
from generator.errors import InputError
from generator.findings import Finding
from generator.model import Environment, parse
from generator.nodes import Node
from generator.shapes import WrongError, nearest
from generator.texts import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

FOLDER: Final = "environments"
_DEFAULTS: Final = "defaults"
_SHOWN: Final = 10  # names that a message lists


def find_root(start: Path) -> Path:
    """Return the nearest folder, from `start` up to the git repository's top, that holds `environments/`."""
    top = git.top(start)
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return folder
        if folder == top:
            break
    raise InputError(f"no {FOLDER}/ in {start} or above it", hint="go to the repository, or name it with --root")


def own(folder: Path) -> Path:
    """Return a folder of the workspace that is no link: what it leads to would be somebody else's files."""
    if folder.is_symlink():
        raise InputError(f"{folder} is a link", hint="make it a folder")
    return folder


def named_root(root: Path) -> Path:
    """Return the root that somebody named, once it is one."""
    if not (root / FOLDER).is_dir():
        raise InputError(f"no {FOLDER}/ in {root}", hint="--root names the folder that holds it")
    return root


@dataclass(slots=True)
class Workspace:
    """The environments that were asked for, whole; `names` has every environment that there is.

    `mates` are the other members of their meshes, which say what the mesh agrees on.
    """

    environments: list[Environment] = field(default_factory=list)
    mates: list[Environment] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def load(root: Path, wanted: Iterable[str] = ()) -> Workspace:
    """Read the environments named in `wanted`, or all of them.  What is wrong with them is in `findings`.

    Raises InputError where there is no such environment.
    """
    space = Workspace()
    folder = own(root / FOLDER)
    strays: list[Finding] = []
    space.names = _names(folder, strays)
    chosen = _chosen(space.names, list(wanted))
    groups = _Groups(own(folder / "groups"))
    defaults = _defaults(folder, space.findings)
    place = _place(root)
    for name in chosen:
        environment, findings = _environment(folder / f"{name}.yaml", defaults, groups)
        space.findings += findings
        if environment is not None:
            space.environments.append(environment)
            space.findings += combinations.check(environment)
            space.findings += _placed(environment, place)
    if len(chosen) == len(space.names):
        space.findings += strays + groups.strays + groups.unused()
    others = (folder / f"{name}.yaml" for name in sorted(set(space.names) - set(chosen)))
    _add_mates(space, others, defaults, groups)
    wrong = {finding.path for finding in space.findings if finding.level == "error"}
    space.findings += mesh.check(one for one in (*space.environments, *space.mates) if one.path not in wrong)
    space.findings += groups.findings()
    return space


def names(root: Path) -> list[str]:
    """Return the names of all environments, sorted."""
    return _names(own(root / FOLDER), [])


def _names(folder: Path, strays: list[Finding]) -> list[str]:
    return sorted(file.stem for file in _files(folder, FOLDER, strays) if file.stem != _DEFAULTS)


def _add_mates(space: Workspace, others: Iterable[Path], defaults: Node | None, groups: _Groups) -> None:
    """Find the members of the environments' meshes among the files that were not asked for.

    A search of bytes leaves out the files that cannot name one of the meshes, nor a group that does; one with an escape
    in it could name anything.
    """
    meshes = {environment.cluster.mesh for environment in space.environments if environment.cluster.mesh is not None}
    if not meshes:
        return
    words = [word.encode() for word in (*meshes, *groups.saying(meshes), "\\")]
    groups.blame(words)
    everywhere = _mesh(defaults) in meshes
    for file in others:
        if not everywhere and not _has(file, words) and _bytes(file) is not None:
            continue
        used = set(groups.used)
        node, findings = _resolved(file, defaults, groups)
        if node is not None and _mesh(node) not in meshes:
            groups.used = used
            continue
        environment, problems = parse(node, file.stem) if node is not None else (None, [])
        space.findings += findings + problems
        if environment is not None:
            space.mates.append(environment)


def _has(file: Path, words: Iterable[bytes]) -> bool:
    data = _bytes(file)
    return data is not None and any(word in data for word in words)


def _mesh(node: Node | None) -> object:
    """Return what a file says of `cluster.mesh`, unread."""
    said = node.get("cluster.mesh") if node is not None else None
    return said.value if said is not None and isinstance(said.value, str) else None


def _place(root: Path) -> str | None:
    """Return the folder that the root is in its git repository, None outside one."""
    top = git.top(root)
    if top is None:
        return None
    return "" if root == top else root.relative_to(top).as_posix()


def _placed(environment: Environment, actual: str | None) -> Iterator[Finding]:
    """The paths in an engine's objects begin at the top of the git repository."""
    path = environment.gitops.path
    if environment.gitops.engine != "none" and actual not in (None, path):
        message = f"gitops.path is {path!r}, and this folder is {actual!r} in its git repository"
        place = environment.place("gitops.path")
        yield replace(place.finding("gitops-path", message, "the engine would not find the tree"), level="warning")


def _files(folder: Path, shown: str, strays: list[Finding]) -> Iterator[Path]:
    """Yield the YAML files that are read; what looks like one and is not is a stray."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{shown}/{entry.name}"
        stem, dot, suffix = entry.name.rpartition(".")
        if entry.name.startswith(".") or path == f"{FOLDER}/groups":
            continue
        if entry.is_dir():
            hint = f"environments stand in {FOLDER}/ itself, groups in {FOLDER}/groups/"
            strays.append(Finding(path, 0, 0, "stray-file", "error", "the folder is not read", hint))
        elif dot and suffix == "yml":
            hint = f"git mv {path} {path.removesuffix('.yml')}.yaml"
            strays.append(Finding(path, 0, 0, "stray-file", "error", "the file is not read", hint))
        elif dot and suffix == "yaml" and _is_name(stem):
            yield folder / entry.name
        elif dot and suffix == "yaml":
            message = f"the name {stem!r} is no DNS label"
            strays.append(Finding(path, 0, 0, "name", "error", message, "rename it: a-z, 0-9 and -, at most 63"))


def _is_name(stem: str) -> bool:
    try:
        NAME.read(Node(stem), "", [])
    except WrongError:
        return False
    return True


def _chosen(names: list[str], wanted: list[str]) -> list[str]:
    if unknown := [name for name in wanted if name not in names]:
        close = nearest(unknown[0].removeprefix(f"{FOLDER}/").removesuffix(".yaml"), names)
        some = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        hint = f"did you mean {close}?" if close else f"there is {some or 'none'}"
        raise InputError(f"no environment {', '.join(map(repr, unknown))}", hint=hint)
    return sorted(set(wanted)) if wanted else names


class _Groups(dict[str, Node]):
    """Every group by name; remembers which were used, since only their errors matter to a part of the environments."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.used: set[str] = set()
        self.strays: list[Finding] = []
        self._found: dict[str, list[Finding]] = {}
        self._unread: list[Path] = []
        for file in _files(folder, f"{FOLDER}/groups", self.strays) if folder.is_dir() else ():
            node, findings = _read(file, f"{FOLDER}/groups/{file.name}")
            if node is None:
                self._unread.append(file)
            self[file.stem] = node or Node(None, f"{FOLDER}/groups/{file.name}", 1, 1)
            self._found[file.stem] = findings

    def findings(self) -> list[Finding]:
        """Return what could not be read in the groups that were used."""
        return [finding for name in self.used for finding in self._found[name]]

    def saying(self, meshes: AbstractSet[str]) -> set[str]:
        """Return the names of the groups that name one of the meshes, or extend one that does."""
        found = {name for name, node in self.items() if _mesh(node) in meshes}
        while more := {name for name, node in self.items() if inheritance.names(node) & found} - found:
            found |= more
        return found

    def blame(self, words: Iterable[bytes]) -> None:
        """Count the groups as used that could not be read and have one of the words: they may say what matters."""
        self.used.update(file.stem for file in self._unread if _has(file, words))

    def unused(self) -> list[Finding]:
        """Return what is wrong with the groups that nothing extends; a group may leave anything out."""
        findings: list[Finding] = []
        for name in self.keys() - self.used:
            found = parse(self[name], name)[1] if isinstance(self[name].value, dict) else []
            findings += self._found[name] + [finding for finding in found if finding.rule != "missing-key"]
        return findings


def _defaults(folder: Path, findings: list[Finding]) -> Node | None:
    file = folder / f"{_DEFAULTS}.yaml"
    if not file.exists() and not file.is_symlink():  # a link to nowhere is told, not taken for none
        return None
    node, found = _read(file, f"{FOLDER}/{file.name}")
    findings += found
    if node is not None and (extends := node.get("extends")) is not None:
        hint = "say it in a group or an environment"
        findings.append(extends.finding("defaults-extend", "defaults apply to all and extend nothing", hint, key=True))
    return node


def _environment(file: Path, defaults: Node | None, groups: _Groups) -> tuple[Environment | None, list[Finding]]:
    node, findings = _resolved(file, defaults, groups)
    if node is None:
        return None, findings
    environment, problems = parse(node, file.stem)
    return environment, findings + problems


def _resolved(file: Path, defaults: Node | None, groups: _Groups) -> tuple[Node | None, list[Finding]]:
    node, findings = _read(file, f"{FOLDER}/{file.name}")
    if node is None:
        return None, findings
    names, found = inheritance.order(node, groups)
    groups.used.update(names)
    return inheritance.resolve(node, defaults, groups, names), findings + found


def _read(file: Path, source: str) -> tuple[Node | None, list[Finding]]:
    data = _bytes(file)
    if data is None:
        return None, [Finding(source, 0, 0, "stray-file", "error", "is no regular file", "write it here")]
    node, findings = yamlio.read(data, source)
    if node is not None and not isinstance(node.value, dict | None):
        findings.append(node.finding("wrong-type", "expected a mapping", "such as cilium: {version: 1.16.0}"))
        return None, findings
    return node, findings


def _bytes(file: Path) -> bytes | None:
    """Return what a reader needs of a file; None of a link, which may lead to a secret, or a pipe, which would wait."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):  # a link, or a socket
            return None
        raise
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        return stream.read(yamlio.MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
