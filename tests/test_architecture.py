"""Who may import whom: one gate to each outside world, no cycle, the layers of the design."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest
from kit import PROJECT

MODULES = {
    ".".join(file.relative_to(PROJECT).with_suffix("").parts): ast.parse(file.read_text("utf-8"))
    for file in sorted((PROJECT / "generator").rglob("*.py"))
}

COMMANDS = {
    name for name in MODULES if name.startswith("generator.commands.") and name != "generator.commands.__init__"
}

GATES = {
    "subprocess": {"generator.process"},
    "click": {"generator.cli", "generator.talk", *COMMANDS},
    "jinja2": {"generator.render"},
    "_ruamel_yaml": {"generator.yamlio"},
    "pyrage": {"generator.identity"},
    "fcntl": {"generator.lock"},
    "rich": {"generator.terminal"},
    "jsonschema": {"generator.charts"},
    "referencing": {"generator.charts"},
    "helm_python": {"generator.helmchild"},
    "tarfile": {"generator.chartfiles"},
    "pcapy": {"generator.capturefile"},
}

PURE = {
    "generator." + name
    for name in (
        *("cilium", "chartkeys", "combinations", "creation", "emit", "errors", "findings", "firstkeys", "inheritance"),
        *(
            "keys",
            "mesh",
            "model",
            "records",
            "render",
            "report",
            "scalars",
            "secret",
            "shapes",
            "strictmode",
            "tree",
            "view",
        ),
        "nodes",
        "outcome",
        "redaction",
        "texts",
        "yamlio",
        "yamltext",
        "yamlwords",
        "ages",
        "keysize",
        "proposal",
        "rotation",
        "source",
        "workspace",
        "charts",
        "cleartext",
        "contents",
        "drift",
        "exemptions",
        "fitting",
        "manifests",
        "rules",
        "sopsfile",
        "succession",
        "verdicts",
        "agents",
        "attestation",
        "cluster",
        "engines",
        "evidence",
        "following",
        "adoption",
        "captured",
        "judgement",
        "networks",
        "packets",
        "remarks",
        "shortcuts",
        "sightings",
        "traffic",
    )
}
WORLD = {"os", "subprocess", "time", "random", "secrets", "socket", "shutil", "tempfile", "pathlib"}


@functools.cache
def imports(module: str, *, typing: bool = True) -> set[str]:
    """Modules that a module imports; without `typing`, those that only annotations need are left out."""
    found: set[str] = set()
    pending: list[ast.AST] = [MODULES[module]]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inside if name in MODULES} or {node.module}
        pending += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize(("outside", "gates"), GATES.items())
def test_outside_world_has_one_gate(outside: str, gates: set[str]) -> None:
    users = {module for module in MODULES if any(name.split(".")[0] == outside for name in imports(module))}

    assert users == gates


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_module_touches_neither_disk_nor_clock_nor_chance(module: str) -> None:
    assert not imports(module, typing=False) & WORLD


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_module_imports_only_pure_modules(module: str) -> None:
    ours = {name for name in imports(module, typing=False) if name.startswith("generator.")}

    assert ours <= PURE


def test_imports_have_no_cycle() -> None:
    graph = {module: {name for name in imports(module, typing=False) if name in MODULES} for module in MODULES}
    while free := {module for module, needs in graph.items() if not needs}:
        graph = {module: needs - free for module, needs in graph.items() if module not in free}

    assert graph == {}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(MODULES[module])


def test_modules_and_functions_stay_small() -> None:
    long = [module for module in MODULES if len(_source(module).splitlines()) > 300]
    for module, parsed in MODULES.items():
        functions = (node for node in ast.walk(parsed) if isinstance(node, ast.FunctionDef))
        long += [f"{module}.{one.name}" for one in functions if (one.end_lineno or 0) - one.lineno >= 45]

    assert long == []


def _source(module: str) -> str:
    file = PROJECT / Path(*module.split("."))
    return file.with_suffix(".py").read_text("utf-8")
