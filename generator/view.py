"""An environment as Cilium would take it, and the form of a rule about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from generator.cilium import Version
    from generator.model import Environment
    from generator.scalars import Scalar

Complaint = tuple[str, str, str]  # dotted path, message, hint


@dataclass(frozen=True, slots=True)
class Rule:
    """A named check of one environment; `since` and `below` are minors of Cilium 1."""

    name: str
    level: Level
    check: Callable[[View], Iterator[Complaint]]
    since: int = 0
    below: int = 1_000


@dataclass(frozen=True, slots=True)
class View:
    """An environment, with its Helm values as Cilium would take them."""

    environment: Environment
    version: Version

    @property
    def ipsec(self) -> bool:
        return self.environment.encryption.type == "ipsec"

    @property
    def wireguard(self) -> bool:
        return self.environment.encryption.type == "wireguard"

    @property
    def tunnel(self) -> bool:
        return self.value("routingMode") in (None, "", "tunnel") and not self.on("gke.enabled")

    def value(self, path: str, default: Scalar = None) -> Scalar:
        """Return a scalar of `cilium.values`; the chart's default where it is not set."""
        node = self.environment.cilium.values.get(path)
        if node is None or isinstance(node.value, dict | list):
            return default
        return node.value

    def on(self, path: str, *, default: bool = False) -> bool:
        return str(self.value(path, default)).lower() not in ("", "none", "false", "disabled", "0")


def finding(environment: Environment, rule: str, level: Level, complaint: Complaint) -> Finding:
    """Return a complaint at the place it is about, or at the nearest above it that was written."""
    path, message, hint = complaint
    place = environment.place(path)
    return Finding(place.source, place.line, place.column, rule, level, message, hint)
