"""The files under `environments/` and `templates/`, read and resolved.  Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from generator import combinations, git, inheritance, yamlio
from generator.errors import InputError
from generator.findings import Finding
from generator.model import Environment, parse
from generator.nodes import Node
from generator.render import FILES, SUFFIX, Template
from generator.shapes import WrongError, nearest
from generator.texts import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER: Final = "environments"
_DEFAULTS: Final = "defaults"


def find_root(start: Path) -> Path:
    """Return the nearest folder, from `start` up to the git repository's top, that holds `environments/`."""
    top = git.top(start)
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return folder
        if folder == top:
            break
    raise InputError(f"no {FOLDER}/ in {start} or above it", hint="go to the repository, or name it with --root")


def _own(folder: Path) -> Path:
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
    """The environments that were asked for, whole; `names` has every environment that there is."""

    environments: list[Environment] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def load(root: Path, wanted: Iterable[str] = ()) -> Workspace:
    """Read the environments named in `wanted`, or all of them.  What is wrong with them is in `findings`.

    Raises InputError where there is no such environment.
    """
    space = Workspace()
    folder = _own(root / FOLDER)
    strays: list[Finding] = []
    space.names = [file.stem for file in _files(folder, FOLDER, strays) if file.stem != _DEFAULTS]
    chosen = _chosen(space.names, list(wanted))
    groups = _Groups(_own(folder / "groups"))
    defaults = _defaults(folder, space.findings)
    for name in chosen:
        environment, findings = _environment(folder / f"{name}.yaml", defaults, groups)
        space.findings += findings
        if environment is not None:
            space.environments.append(environment)
            space.findings += combinations.check(environment)
            space.findings += _placed(environment, root)
    if len(chosen) == len(space.names):
        space.findings += strays + groups.strays + groups.unused()
    space.findings += groups.findings()
    return space


def _placed(environment: Environment, root: Path) -> Iterator[Finding]:
    """The paths in Flux's objects begin at the top of the git repository."""
    top = git.top(root)
    path = environment.gitops.path
    if top is not None and environment.gitops.engine == "flux" and (actual := _below(root, top)) != path:
        message = f"gitops.path is {path!r}, and this folder is {actual!r} in its git repository"
        place = environment.place("gitops.path")
        yield replace(place.finding("gitops-path", message, "Flux would not find the tree"), level="warning")


def _below(root: Path, top: Path) -> str:
    return "" if root == top else root.relative_to(top).as_posix()


def _files(folder: Path, shown: str, strays: list[Finding]) -> Iterator[Path]:
    """Yield the YAML files that are read; what looks like one and is not is a stray."""
    for entry in sorted(folder.iterdir()):
        path = f"{shown}/{entry.name}"
        if entry.name.startswith(".") or path == f"{FOLDER}/groups":
            continue
        if entry.is_dir():
            hint = f"environments stand in {FOLDER}/ itself, groups in {FOLDER}/groups/"
            strays.append(Finding(path, 0, 0, "stray-file", "error", "the folder is not read", hint))
        elif entry.suffix == ".yml":
            hint = f"git mv {path} {path.removesuffix('.yml')}.yaml"
            strays.append(Finding(path, 0, 0, "stray-file", "error", "the file is not read", hint))
        elif entry.suffix == ".yaml" and _is_name(entry.stem):
            yield entry
        elif entry.suffix == ".yaml":
            message = f"the name {entry.stem!r} is no DNS label"
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
        hint = f"did you mean {close}?" if close else f"there is {', '.join(names) or 'none'}"
        raise InputError(f"no environment {', '.join(map(repr, unknown))}", hint=hint)
    return sorted(set(wanted)) if wanted else names


class _Groups(dict[str, Node]):
    """Every group by name; remembers which were used, since only their errors matter to a part of the environments."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.used: set[str] = set()
        self.strays: list[Finding] = []
        self._found: dict[str, list[Finding]] = {}
        for file in _files(folder, f"{FOLDER}/groups", self.strays) if folder.is_dir() else ():
            node, findings = _read(file, f"{FOLDER}/groups/{file.name}")
            self[file.stem] = node or Node(None, f"{FOLDER}/groups/{file.name}", 1, 1)
            self._found[file.stem] = findings

    def findings(self) -> list[Finding]:
        """Return what could not be read in the groups that were used."""
        return [finding for name in self.used for finding in self._found[name]]

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
    node, findings = _read(file, f"{FOLDER}/{file.name}")
    if node is None:
        return None, findings
    names, found = inheritance.order(node, groups)
    groups.used.update(names)
    resolved = inheritance.resolve(node, defaults, groups, names)
    environment, problems = parse(resolved, file.stem)
    return environment, findings + found + problems


def _read(file: Path, source: str) -> tuple[Node | None, list[Finding]]:
    if file.is_symlink() or not file.is_file():  # a link may lead to a secret, a pipe would wait for ever
        return None, [Finding(source, 0, 0, "stray-file", "error", "is no regular file", "write it here")]
    with file.open("rb") as stream:
        node, findings = yamlio.read(stream.read(yamlio.MAX_BYTES + 1), source)
    if node is not None and not isinstance(node.value, dict | None):
        findings.append(node.finding("wrong-type", "expected a mapping", "such as cilium: {version: 1.16.0}"))
        return None, findings
    return node, findings


def templates(root: Path) -> tuple[dict[str, Template], list[Finding]]:
    """Return every template by name; the repository's own go before the package's.

    One of the repository's that stands for nothing is a warning: most likely its name has a typo.  Names that start
    with `_` are parts for other templates to include.
    """
    here = Path(__file__).parent
    packaged = here / "templates" if (here / "templates").is_dir() else here.parent / "templates"
    found = dict(_templates(packaged, "templates"))
    own = dict(_templates(_own(root / "templates"), "templates")) if root / "templates" != packaged else {}
    known = [path + SUFFIX for path in FILES]
    findings = []
    for name, template in own.items():
        if name not in known and not name.rpartition("/")[2].startswith("_"):
            close = nearest(name, known)
            hint = f"did you mean templates/{close}?" if close else "a part to include starts with _"
            findings.append(Finding(template.path, 0, 0, "stray-template", "warning", "stands for no file", hint))
    return {**found, **own}, findings


def _templates(folder: Path, shown: str) -> Iterator[tuple[str, Template]]:
    for file in sorted(folder.rglob(f"*{SUFFIX}")) if folder.is_dir() else ():
        name = file.relative_to(folder).as_posix()
        if file.is_symlink() or not file.is_file():
            raise InputError(f"{shown}/{name}: is no regular file", hint="write the template here")
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{shown}/{name}: the file is not UTF-8") from None
        yield name, Template(text, f"{shown}/{name}")
