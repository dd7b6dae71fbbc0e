"""The files under `environments/`, resolved, from the work tree or from a commit.  No I/O but through the source."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from generator import combinations, inheritance, mesh, yamlio
from generator.errors import InputError
from generator.findings import Finding
from generator.model import Environment, parse
from generator.nodes import Node
from generator.shapes import nearest
from generator.texts import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from generator.source import Source

FOLDER: Final = "environments"
GROUPS: Final = f"{FOLDER}/groups"
DEFAULTS: Final = f"{FOLDER}/defaults.yaml"
_SHOWN: Final = 10  # names that a message lists


def path(name: str) -> str:
    """Return where an environment's file stands, relative to the root."""
    return f"{FOLDER}/{name}.yaml"


@dataclass(slots=True)
class Workspace:
    """The environments that were asked for, whole; `names` has every environment that there is.

    `mates` are the other members of their meshes, which say what the mesh agrees on.
    """

    environments: list[Environment] = field(default_factory=list)
    mates: list[Environment] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def load(source: Source, wanted: Iterable[str] = ()) -> Workspace:
    """Read the environments named in `wanted`, or all of them.  What is wrong with them is in `findings`.

    Raises InputError where there is no such environment.
    """
    space = Workspace()
    strays: list[Finding] = []
    space.names = _names(source, strays)
    chosen = _chosen(space.names, list(wanted), source.words)
    reader = _Reader(source, space.findings)
    for name in chosen:
        environment, findings = reader.environment(name)
        space.findings += findings
        if environment is not None:
            space.environments.append(environment)
            space.findings += combinations.check(environment)
            space.findings += _placed(environment, source.place)
    groups = reader.groups
    if len(chosen) == len(space.names):
        space.findings += strays + groups.strays + groups.unused()
    reader.add_mates(space, sorted(set(space.names) - set(chosen)))
    wrong = {finding.path for finding in space.findings if finding.level == "error"}
    space.findings += mesh.check(one for one in (*space.environments, *space.mates) if one.path not in wrong)
    space.findings += groups.findings()
    return space


def names(source: Source) -> list[str]:
    """Return the names of all environments, sorted."""
    return _names(source, [])


def touched(names: Iterable[str], paths: AbstractSet[str]) -> list[str]:
    """Return the environments whose file is among some paths, all where one of these is what they inherit."""
    if any(path.startswith(f"{GROUPS}/") or path == DEFAULTS for path in paths):
        return list(names)
    return [name for name in names if path(name) in paths]


def versions(source: Source, wanted: Iterable[str]) -> dict[str, str]:
    """Return name -> resolved `cilium.version` of the environments that are there and say one."""
    reader = _Reader(source, [])
    found = {}
    for name in wanted:
        node = reader.resolved(name)[0] if source.has(path(name)) else None
        version = node.get("cilium.version") if node is not None else None
        if version is not None and isinstance(version.value, str):
            found[name] = version.value
    return found


def _names(source: Source, strays: list[Finding]) -> list[str]:
    return sorted(name for name in _stems(source, FOLDER, strays) if path(name) != DEFAULTS)


class _Reader:
    """Reads one environment after the other; defaults and groups are read once."""

    def __init__(self, source: Source, findings: list[Finding]) -> None:
        self._source = source
        self.groups = _Groups(source)
        self._defaults = _defaults(source, findings)

    def environment(self, name: str) -> tuple[Environment | None, list[Finding]]:
        node, findings = self.resolved(name)
        if node is None:
            return None, findings
        environment, problems = parse(node, name)
        return environment, findings + problems

    def resolved(self, name: str) -> tuple[Node | None, list[Finding]]:
        """Return what an environment says once it has inherited, None where its file cannot be read."""
        node, findings = _read(self._source, path(name))
        if node is None:
            return None, findings
        names, found = inheritance.order(node, self.groups)
        self.groups.used.update(names)
        return inheritance.resolve(node, self._defaults, self.groups, names), findings + found

    def add_mates(self, space: Workspace, others: list[str]) -> None:
        """Find the members of the environments' meshes among the files that were not asked for.

        A search of bytes leaves out the files that cannot name one of the meshes, nor a group that does; one with an
        escape in it could name anything.
        """
        meshes = {environment.cluster.mesh for environment in space.environments if environment.cluster.mesh}
        if not meshes:
            return
        groups = self.groups
        words = [word.encode() for word in (*meshes, *groups.saying(meshes), "\\")]
        groups.blame(words)
        everywhere = _mesh(self._defaults) in meshes
        for name in others:
            data = self._source.read(path(name))
            if not everywhere and data is not None and not any(word in data for word in words):
                continue
            used = set(groups.used)
            node, findings = self.resolved(name)
            if node is not None and _mesh(node) not in meshes:
                groups.used = used
                continue
            environment, problems = parse(node, name) if node is not None else (None, [])
            space.findings += findings + problems
            if environment is not None:
                space.mates.append(environment)


def _mesh(node: Node | None) -> object:
    """Return what a file says of `cluster.mesh`, unread."""
    said = node.get("cluster.mesh") if node is not None else None
    return said.value if said is not None and isinstance(said.value, str) else None


def _placed(environment: Environment, actual: str | None) -> Iterator[Finding]:
    """The paths in an engine's objects begin at the top of the git repository."""
    path = environment.gitops.path
    if environment.gitops.engine != "none" and actual not in (None, path):
        message = f"gitops.path is {path!r}, and this folder is {actual!r} in its git repository"
        place = environment.place("gitops.path")
        yield replace(place.finding("gitops-path", message, "the engine would not find the tree"), level="warning")


def _stems(source: Source, folder: str, strays: list[Finding]) -> Iterator[str]:
    """Yield the names of the YAML files that are read; what looks like one and is not is a stray."""
    for entry in source.entries(folder):
        path = f"{folder}/{entry.name}"
        stem, dot, suffix = entry.name.rpartition(".")
        if entry.name.startswith(".") or path == GROUPS:
            continue
        if entry.is_folder:
            hint = f"environments stand in {FOLDER}/ itself, groups in {GROUPS}/"
            strays.append(Finding(path, 0, 0, "stray-file", "error", "the folder is not read", hint))
        elif dot and suffix == "yml":
            hint = f"git mv {path} {path.removesuffix('.yml')}.yaml"
            strays.append(Finding(path, 0, 0, "stray-file", "error", "the file is not read", hint))
        elif dot and suffix == "yaml" and is_name(stem):
            yield stem
        elif dot and suffix == "yaml":
            message = f"the name {stem!r} is no DNS label"
            strays.append(Finding(path, 0, 0, "name", "error", message, "rename it: a-z, 0-9 and -, at most 63"))


def is_name(stem: str) -> bool:
    """Whether an environment may have that name."""
    return len(stem) <= NAME.longest and _NAME.fullmatch(stem) is not None


_NAME: Final = re.compile(NAME.pattern)


def _chosen(names: list[str], wanted: list[str], where: str) -> list[str]:
    if unknown := [name for name in wanted if name not in names]:
        close = nearest(unknown[0].removeprefix(f"{FOLDER}/").removesuffix(".yaml"), names)
        some = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        hint = f"did you mean {close}?" if close else f"there is {some or 'none'}"
        raise InputError(f"no environment {', '.join(map(repr, unknown))}{where}", hint=hint)
    return sorted(set(wanted)) if wanted else names


class _Groups(dict[str, Node]):
    """Every group by name; remembers which were used, since only their errors matter to a part of the environments."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.used: set[str] = set()
        self.strays: list[Finding] = []
        self._found: dict[str, list[Finding]] = {}
        self._unread: dict[str, bytes] = {}
        for name in _stems(source, GROUPS, self.strays):
            file = f"{GROUPS}/{name}.yaml"
            node, findings = _read(source, file)
            if node is None:
                self._unread[name] = source.read(file) or b""
            self[name] = node or Node(None, file, 1, 1)
            self._found[name] = findings

    def findings(self) -> list[Finding]:
        """Return what could not be read in the groups that were used."""
        return [finding for name in self.used for finding in self._found[name]]

    def saying(self, meshes: AbstractSet[str]) -> set[str]:
        """Return the names of the groups that name one of the meshes, or extend one that does."""
        found = {name for name, node in self.items() if _mesh(node) in meshes}
        while more := {name for name, node in self.items() if inheritance.names(node) & found} - found:
            found |= more
        return found

    def blame(self, words: list[bytes]) -> None:
        """Count the groups as used that could not be read and have one of the words: they may say what matters."""
        self.used.update(name for name, data in self._unread.items() if any(word in data for word in words))

    def unused(self) -> list[Finding]:
        """Return what is wrong with the groups that nothing extends; a group may leave anything out."""
        findings: list[Finding] = []
        for name in self.keys() - self.used:
            found = parse(self[name], name)[1] if isinstance(self[name].value, dict) else []
            findings += self._found[name] + [finding for finding in found if finding.rule != "missing-key"]
        return findings


def _defaults(source: Source, findings: list[Finding]) -> Node | None:
    if not source.has(DEFAULTS):  # a link to nowhere is told, not taken for none
        return None
    node, found = _read(source, DEFAULTS)
    findings += found
    if node is not None and (extends := node.get("extends")) is not None:
        hint = "say it in a group or an environment"
        findings.append(extends.finding("defaults-extend", "defaults apply to all and extend nothing", hint, key=True))
    return node


def _read(source: Source, file: str) -> tuple[Node | None, list[Finding]]:
    data = source.read(file)
    if data is None:
        return None, [Finding(file, 0, 0, "stray-file", "error", "is no regular file", "write it here")]
    node, findings = yamlio.read(data, file)
    if node is not None and not isinstance(node.value, dict | None):
        findings.append(node.finding("wrong-type", "expected a mapping", "such as cilium: {version: 1.16.0}"))
        return None, findings
    return node, findings
