"""Words in `cilium.values` that YAML 1.2 reads otherwise than Helm, which reads YAML 1.1: a change without a word."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.findings import Finding
    from generator.model import Environment
    from generator.nodes import Node

_TRUE: Final = ("y", "yes", "on")
_WORD: Final = re.compile("y|yes|on|n|no|off", re.IGNORECASE)
_OCTAL: Final = re.compile("[-+]?0[0-7]+")


def check(environment: Environment) -> Iterator[Finding]:
    """Yield a warning for each unquoted word of the user's own Helm values that the two versions read differently."""
    pending = [environment.cilium.values]
    while pending:
        node = pending.pop()
        pending += [child for _, child in node.entries()]
        if isinstance(node.value, list):
            pending += node.value
        if node.plain and (hint := _meant(node)):
            message = f"cilium.values: {node.text} is {node.value!r} in YAML 1.2, and was not in YAML 1.1"
            yield replace(node.finding("yaml-1-1", message, hint), level="warning")


def _meant(node: Node) -> str:
    if _WORD.fullmatch(node.text):
        return f"write {str(node.text.lower() in _TRUE).lower()}, or quote it"
    if _OCTAL.fullmatch(node.text):
        return f"write 0o{node.text.lstrip('+-0') or '0'}, or {node.value} without the zero"
    return ""
