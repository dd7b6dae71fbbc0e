"""Which Cilium versions are known, and the chart's keys by version over what a user writes in `cilium.values`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import cilium, view
from generator.findings import Finding, Level
from generator.shapes import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.model import Environment
    from generator.nodes import Node


def known_version(environment: Environment, version: cilium.Version) -> Iterator[Finding]:
    oldest, newest = f"1.{cilium.OLDEST}", f"1.{cilium.NEWEST}"
    if version < (1, cilium.OLDEST) or version.major > 1:
        message = f"Cilium {version} is not known here; {oldest} to {newest} are"
        hint = "upgrade keyturn" if version.major > 1 else "upgrade Cilium first"
        yield view.finding(environment, "cilium-version", "error", ("cilium.version", message, hint))
    elif version.minor > cilium.NEWEST:
        message = f"Cilium {version} is newer than {newest}, whose rules are used"
        yield view.finding(environment, "newer-cilium", "warning", ("cilium.version", message, "upgrade keyturn"))


def in_values(environment: Environment, version: cilium.Version) -> Iterator[Finding]:
    """The keys by version, over an `encryption` block that stands where none may."""
    for name, node in environment.cilium.values.entries():
        if name == "encryption":
            message = "cilium.values may not hold an encryption block"
            yield node.finding("encryption-block", message, "say it under encryption, beside cilium", key=True)
            yield from _chart_keys(node, "", version)
        elif nearest(name, ["encryption"]):
            message = f"cilium.values: unknown key {name!r} would leave the cluster unencrypted without a word"
            yield node.finding("encryption-block", message, "did you mean encryption, beside cilium?", key=True)


def _chart_keys(node: Node, path: str, version: cilium.Version) -> Iterator[Finding]:
    known = cilium.BY_PATH.get(path)
    if path and known is None and not any(key.startswith(f"{path}.") for key in cilium.BY_PATH):
        close = nearest(path, list(cilium.BY_PATH))
        hint = f"did you mean encryption.{close}?" if close else "take it out"
        yield node.finding("chart-key", f"encryption.{path} is no key of Cilium {version}", hint, key=True)
    elif known is not None:
        yield from _standing(node, known, version)
    else:
        for name, child in node.entries():
            yield from _chart_keys(child, f"{path}.{name}".lstrip("."), version)


def _standing(node: Node, key: cilium.Key, version: cilium.Version) -> Iterator[Finding]:
    status = key.status(version.minor)
    if status == "works":
        return
    level: Level = "warning" if status in ("deprecated", "no effect") else "error"
    words = "has no effect" if status == "no effect" else f"is {status}"
    hint = f"use encryption.{key.instead}" if key.instead else "take it out"
    message = f"encryption.{key.path} {words} in Cilium {version}"
    yield Finding(node.source, node.key_line, node.key_column, "chart-key", level, message, hint)
