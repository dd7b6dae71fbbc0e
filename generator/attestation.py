"""What a verification found, as an answer and as a report for an auditor: JSON or Markdown, without key material."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from generator import __version__, ages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from generator.errors import ToolError
    from generator.evidence import Check
    from generator.model import Environment
    from generator.secret import Told

SUFFIXES: Final = (".md", ".json")  # of a report


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who was asked, by what: kubectl's context, the one of Argo CD's cluster where that is another, and versions.

    Each is empty where it is not told.
    """

    context: str = ""
    hub: str = ""
    kubectl: str = ""
    kubernetes: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """The checks of one environment, and when the last look at the cluster began and ended.

    `commit` is the last one that touched its tree, None where git has none; `told` is what git's Secret tells, None
    without IPsec; `nodes` is what each node shows of its encryption, all of it public, None where that could not be
    asked; `unasked` is why something could not be; `notes` are what a person should know beside it.
    """

    environment: Environment
    commit: str | None
    told: Told | None
    checks: list[Check]
    nodes: Mapping[str, str] | None
    unasked: list[ToolError]
    began: datetime
    ended: datetime
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything that is judged holds, and everything could be asked."""
        return not self.unasked and not self.failing

    @property
    def failing(self) -> list[str]:
        return [one.name for one in self.checks if one.ok is False]

    @property
    def verdict(self) -> str:
        if self.unasked:
            return "could not be asked whole"
        return "does not hold" if self.failing else "holds"


def as_json(done: Verified) -> dict[str, Any]:
    return {
        "environment": done.environment.name,
        "commit": done.commit,
        "checks": [one.as_json() for one in done.checks],
    }


def closing(done: Verified) -> str:
    """Return the closing line, with counts."""
    count = Counter(one.ok for one in done.checks)
    words = {True: "hold", False: "do not hold", None: "not judged"}
    parts = [f"{count[ok]} {word}" for ok, word in words.items() if count[ok] or ok]
    return f"{done.environment.name}: of {len(done.checks)} checks {', '.join(parts)}"


_MARKS: Final = {True: "yes", False: "NO", None: "-"}
HEADER: Final = ("holds", "check", "expected", "seen")  # what may be long comes last


def rows(done: Verified) -> list[list[str]]:
    """Return a row for each check, for a person."""
    return [[_MARKS[one.ok], one.name, one.expected, one.short] for one in done.checks]


def report(done: Verified, where: Surroundings) -> dict[str, Any]:
    """Return the answer with times, versions and ids."""
    told, environment = done.told, done.environment
    key = None
    if told is not None:
        key = {
            "id": told.key_id,
            "previous_id": told.previous,
            "fingerprint": told.fingerprint,
            "algorithm": str(told.algorithm),
            "created": ages.stamp(told.created),
        }
    answer = as_json(done)
    for told_check, one in zip(answer["checks"], done.checks, strict=True):
        told_check["at"] = ages.stamp(one.at)
    return {
        "environment": answer.pop("environment"),
        "verdict": done.verdict,
        "began": ages.stamp(done.began),
        "ended": ages.stamp(done.ended),
        "commit": answer.pop("commit"),
        "cluster": environment.cluster_name,
        "context": where.context,
        "hub_context": where.hub or None,
        "encryption": environment.encryption.type,
        "node_encryption": environment.encryption.node_encryption,
        "versions": {
            "keyturn": __version__,
            "cilium": environment.cilium.version,
            "kubectl": where.kubectl,
            "kubernetes": where.kubernetes,
        },
        "key": key,
        "checks": answer["checks"],
        "unasked": [error.message for error in done.unasked],
        "nodes": [{"name": node, _shown(done): value or None} for node, value in sorted((done.nodes or {}).items())],
        "notes": done.notes,
    }


def _shown(done: Verified) -> str:
    return "key_id" if done.environment.encryption.type == "ipsec" else "public_key"


def markdown(done: Verified, where: Surroundings) -> str:
    """Return the same as a page that a person reads and files."""
    return "\n".join(_page(report(done, where), done)) + "\n"


def _page(told: dict[str, Any], done: Verified) -> Iterator[str]:
    yield f"# Encryption of {told['environment']}: {told['verdict']}"
    yield ""
    yield from _table(("", ""), _facts(told))
    yield ""
    yield "## Checks"
    yield ""
    checks = [(_MARKS[one["ok"]], one["name"], one["expected"], one["seen"], one["at"]) for one in told["checks"]]
    yield from _table((*HEADER, "at"), checks)
    for title, lines in {"Could not be asked": told["unasked"], "Notes": told["notes"]}.items():
        if lines:
            yield from ("", f"## {title}", "")
            yield from (f"- {_cell(line)}" for line in lines)
    if told["nodes"]:
        shown = _shown(done)
        yield from ("", "## Nodes", "")
        yield from _table(("node", shown.replace("_", " ")), [(one["name"], one[shown] or "") for one in told["nodes"]])


def _facts(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    versions, key = told["versions"], told["key"]
    yield "looked at", f"{told['began']} to {told['ended']}"
    yield "commit", told["commit"] or "none: git has no commit of this tree"
    yield "cluster", told["cluster"]
    yield "kubectl context", told["context"]
    if told["hub_context"]:
        yield "kubectl context of Argo CD", told["hub_context"]
    yield "encryption", f"{told['encryption']}{', node to node too' if told['node_encryption'] else ''}"
    yield "Cilium asked for", versions["cilium"]
    if key is not None:
        yield "key id", str(key["id"])
        yield "key id before", str(key["previous_id"] or "none")
        yield "key fingerprint, public", key["fingerprint"]
        yield "key algorithm", key["algorithm"]
        yield "key made", key["created"]
    yield (
        "versions",
        f"keyturn {versions['keyturn']}, kubectl {versions['kubectl']}, Kubernetes {versions['kubernetes']}",
    )


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"


def _cell(text: str) -> str:
    """Return text that stays in its cell, and is what it says: a cluster's words are neither Markdown nor obeyed."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(_MEANING.sub(r"\\\g<0>", printable).split())


_MEANING: Final = re.compile(r"[\\|<>`*_\[\]]")
