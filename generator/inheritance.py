"""Files in, one merged node out: which groups an environment extends, in which order, and how they merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.nodes import Node
from generator.shapes import Names, WrongError, nearest
from generator.texts import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.findings import Finding


def merge(below: Node, above: Node) -> Node:
    """Return `above` over `below`: mappings merge deeply, lists and scalars replace."""
    if not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    merged = dict(below.value)
    for key, node in above.value.items():
        merged[key] = merge(merged[key], node) if key in merged else node
    return Node(merged, above.source, above.line, above.column, above.key_line, above.key_column)


def order(start: Node, groups: Mapping[str, Node]) -> tuple[list[str], list[Finding]]:
    """Return the groups that a file extends, lowest first, each once, and what is wrong with them.

    A group stands above the groups it extends, and within one list a later name above an earlier one; where both
    cannot be (`[b, a]`, and b extends a), that is a finding.
    """
    walk = _Walk(groups)
    walk.visit(start, ())
    return walk.sorted(), walk.findings


class _Walk:
    def __init__(self, groups: Mapping[str, Node]) -> None:
        self.groups = groups
        self.found: list[str] = []  # each after what it extends
        self.below: dict[str, set[str]] = {}
        self.listed: list[tuple[str, Node]] = []  # a name, and the one behind it in the same list
        self.findings: list[Finding] = []

    def visit(self, file: Node, trail: tuple[str, ...]) -> None:
        previous = ""
        for member in extended(file, self.findings):
            name = str(member.value)
            if not self.usable(member, name, trail):
                continue
            if name not in self.below:
                self.below[name] = set()
                self.visit(self.groups[name], (*trail, name))
                self.found.append(name)
            if trail:
                self.below[trail[-1]].add(name)
            if previous not in ("", name):
                self.listed.append((previous, member))
            previous = name

    def sorted(self) -> list[str]:
        """Return what was found, sorted so that each stands above all that must stand below it."""
        below = {name: set(names) for name, names in self.below.items()}
        for name, behind in self.listed:
            below[str(behind.value)].add(name)
        done: list[str] = []
        while rest := [name for name in self.found if name not in done]:
            free = next((name for name in rest if below[name] <= set(done)), None)
            if free is None:
                self.contradiction(below)
                return done + rest
            done.append(free)
        return done

    def contradiction(self, below: dict[str, set[str]]) -> None:
        """Tell of the last list that names one above what has to stand above it."""
        for name, behind in reversed(self.listed):
            under, pending = {name}, [name]
            while pending:
                fresh = below[pending.pop()] - under
                under |= fresh
                pending += fresh
            if behind.value in under:
                message = f"{behind.value} stands below {name} already"
                hint = f"name {behind.value} first, or not at all"
                self.findings.append(behind.finding("extends-order", message, hint))
                return

    def usable(self, member: Node, name: str, trail: tuple[str, ...]) -> bool:
        if name in trail:
            cycle = " -> ".join([*trail[trail.index(name) :], name])
            self.findings.append(
                member.finding("extends-cycle", f"groups extend each other: {cycle}", "break the cycle")
            )
        elif name not in self.groups:
            close = nearest(name, list(self.groups))
            hint = f"did you mean {close}?" if close else f"make environments/groups/{name}.yaml"
            self.findings.append(member.finding("unknown-group", f"no group {name!r}", hint))
        else:
            return True
        return False


def extended(file: Node, findings: list[Finding]) -> list[Node]:
    """Return the names in `extends`; one that cannot be a name is a finding."""
    node = file.get("extends")
    if node is None:
        return []
    try:
        usable = Names(NAME).read(node, "extends", findings)
    except WrongError as wrong:
        findings.append(node.finding(wrong.rule, f"extends: {wrong.message}", wrong.hint))
        return []
    return [member for member in node.value if member.value in usable] if isinstance(node.value, list) else []


def names(file: Node) -> set[str]:
    """Return the names in `extends`, where they are any."""
    return {str(member.value) for member in extended(file, [])}


def resolve(file: Node, defaults: Node | None, groups: Mapping[str, Node], chosen: list[str]) -> Node:
    """Return the environment's node: defaults, then its groups in the order of `chosen`, then the file itself."""
    node = Node({}, file.source, file.line, file.column)
    for layer in [defaults, *(groups[name] for name in chosen), file]:
        if layer is not None and layer.value is not None:
            node = merge(node, layer)
    return _with_own_extends(node, file)


def _with_own_extends(node: Node, file: Node) -> Node:
    # `extends` says what one file inherits, so it is no value to be inherited.
    if not isinstance(node.value, dict):
        return node
    entries = {key: child for key, child in node.value.items() if key != "extends"}
    if (own := file.get("extends")) is not None:
        entries["extends"] = own
    return Node(entries, file.source, file.line, file.column)
