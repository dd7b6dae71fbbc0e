"""A value of a YAML file and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from generator.findings import Finding
from generator.scalars import Scalar

Plain = Scalar | list["Plain"] | dict[str, "Plain"]


@dataclass(slots=True, eq=False)
class Node:
    """One value and where it stands; `line` and `column` count from 1, `key_line` is 0 outside a mapping.

    `text` is a scalar as it was written (`1.10` where the value is the number 1.1).
    """

    value: Scalar | list[Node] | dict[str, Node] = field(repr=False)
    source: str = ""
    line: int = 0
    column: int = 0
    key_line: int = 0
    key_column: int = 0
    text: str = field(default="", repr=False)
    plain: bool = False

    def entries(self) -> list[tuple[str, Node]]:
        """Return key and value of each entry; none where this is no mapping."""
        return list(self.value.items()) if isinstance(self.value, dict) else []

    def get(self, path: str) -> Node | None:
        """Return the node at a dotted path, or None."""
        node: Node | None = self
        for key in path.split("."):
            if node is None or not isinstance(node.value, dict):
                return None
            node = node.value.get(key)
        return node

    def finding(self, rule: str, message: str, hint: str = "", *, key: bool = False) -> Finding:
        """Return an error at this value, or at its key."""
        line, column = (self.key_line, self.key_column) if key and self.key_line else (self.line, self.column)
        return Finding(self.source, line, column, rule, "error", message, hint)


def plain(node: Node) -> Plain:
    """Return the bare data of a node: what JSON can hold."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value
