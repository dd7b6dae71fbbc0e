"""The files under `environments/` and `templates/`, read and resolved.  Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from generator import combinations, inheritance, yamlio
from generator.errors import InputError
from generator.findings import Finding
from generator.model import NAME, Environment, parse
from generator.render import FILES, SUFFIX, Template
from generator.shapes import WrongError, nearest
from generator.yamlio import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER: Final = "environments"
_DEFAULTS: Final = "defaults"


def find_root(start: Path) -> Path:
    """Return the nearest folder, from `start` upwards, that holds `environments/`."""
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return folder
    raise InputError(f"no {FOLDER}/ in {start} or above it", hint="go to the repository, or name it with --root")


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
    folder = root / FOLDER
    if not folder.is_dir():
        raise InputError(f"no {FOLDER}/ in {root}", hint="--root names the folder that holds it")
    strays: list[Finding] = []
    space.names = [file.stem for file in _files(folder, FOLDER, strays) if file.stem != _DEFAULTS]
    chosen = _chosen(space.names, list(wanted))
    groups = _Groups(folder / "groups")
    defaults = _defaults(folder, space.findings)
    for name in chosen:
        environment, findings = _environment(folder / f"{name}.yaml", defaults, groups)
        space.findings += findings
        if environment is not None:
            space.environments.append(environment)
            space.findings += combinations.check(environment)
    whole = len(chosen) == len(space.names)
    space.findings += strays + groups.strays if whole else []
    space.findings += groups.findings(groups if whole else groups.used)
    return space


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
    for name in wanted:
        if name not in names:
            close = nearest(name.removeprefix(f"{FOLDER}/").removesuffix(".yaml"), names)
            hint = f"did you mean {close}?" if close else f"there is {', '.join(names) or 'none'}"
            raise InputError(f"no environment {name!r}", hint=hint)
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

    def findings(self, names: Iterable[str]) -> list[Finding]:
        return [finding for name in names for finding in self._found[name]]


def _defaults(folder: Path, findings: list[Finding]) -> Node | None:
    file = folder / f"{_DEFAULTS}.yaml"
    if not file.exists():
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
    if not file.is_file():  # a pipe would wait for ever
        return None, [Finding(source, 0, 0, "stray-file", "error", "is not a file", "")]
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
    own = dict(_templates(root / "templates", "templates")) if root / "templates" != packaged else {}
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
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{shown}/{name}: the file is not UTF-8") from None
        yield name, Template(text, f"{shown}/{name}")
