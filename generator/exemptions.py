"""Reviewed exceptions: findings that a person has looked at and lets stand, in a file that shows in a review.

Never inline, where a paste brings them along, and each for one content of one file: a change ends it.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from generator import tree, yamlio
from generator.findings import Finding
from generator.nodes import Node
from generator.records import Record, ReportedError, members, option, unknown_key
from generator.redaction import redact_keys
from generator.shapes import Text, WrongError, described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_EXAMPLE: Final = "exceptions: [{path: docs/page.md, rule: clear-key, reason: spent, sha256: ...}]"


@dataclass(frozen=True, slots=True)
class Exemption:
    """One finding that may stand: of a rule, in a file as long as its SHA-256 is this one."""

    path: str = option(
        Text(r"(?!/|\./).*[^/]", "the path of a file from the root"), "the file", example="path: docs/page.md"
    )
    rule: str = option(Text(r"[a-z0-9-]+", "the name of a rule"), "the rule", example="rule: clear-key")
    reason: str = option(Text(r".*\S.*", "words"), "why it may stand", example="reason: the lab's example, spent")
    sha256: str = option(
        Text(r"[0-9a-f]{64}", "64 hexadecimal digits", "as sha256sum prints them"),
        "of the file's content",
        example="sha256: as sha256sum prints it",
    )
    node: Node = field(default_factory=lambda: Node(None), compare=False, repr=False)

    def as_json(self) -> dict[str, str]:
        return {"path": self.path, "rule": self.rule, "reason": redact_keys(self.reason), "sha256": self.sha256}


def load(data: bytes | None, known: Callable[[str], str | None]) -> tuple[list[Exemption], list[Finding]]:
    """Return the exceptions of a `.keyturn.yaml`, and what is wrong with it; `known` says what a rule is not.

    An exception that is wrong exempts nothing.
    """
    if data is None:
        return [], []
    root, findings = yamlio.read(data, tree.EXEMPTIONS)
    if root is None or root.value is None:
        return [], findings
    if not isinstance(root.value, dict):
        return [], [*findings, root.finding("wrong-type", f"expected a mapping, not {described(root)}", _EXAMPLE)]
    findings += [unknown_key(node, key, "", ["exceptions"]) for key, node in root.entries() if key != "exceptions"]
    listed = root.get("exceptions")
    if listed is None or listed.value is None:
        return [], findings
    if not isinstance(listed.value, list):
        return [], [*findings, listed.finding("wrong-type", f"expected a list, not {described(listed)}", _EXAMPLE)]
    found = []
    for node in listed.value:
        one = _read(node, findings)
        if one is not None and (hint := known(one.rule)) is not None:
            place = node.get("rule") or node
            findings.append(
                place.finding("wrong-value", f"there is no rule {one.rule!r} to make an exception of", hint)
            )
        elif one is not None:
            found.append(one)
    return found, findings


def _read(node: Node, findings: list[Finding]) -> Exemption | None:
    try:
        read = Record(Exemption).read(node, "exceptions", findings)
    except WrongError as wrong:
        findings.append(node.finding(wrong.rule, f"exceptions: {wrong.message}", wrong.hint))
        return None
    except ReportedError:
        return None
    return Exemption(node=node, **{name: getattr(read, name) for name in members(Exemption)})


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is left of the findings, and the exceptions that took the others away."""

    findings: list[Finding]
    used: list[Exemption]


def sift(findings: Iterable[Finding], exemptions: list[Exemption], digest: Callable[[str], str | None]) -> Sifted:
    """Take away the findings that may stand; `digest` gives the SHA-256 of a file as it is judged, None without one."""
    used: set[Exemption] = set()
    left = []
    for finding in findings:
        taken = {
            one
            for one in exemptions
            if (one.path, one.rule) == (finding.path, finding.rule) and one.sha256 == digest(one.path)
        }
        used |= taken
        if not taken:
            left.append(finding)
    return Sifted(left, [one for one in exemptions if one in used])


def idle(exemptions: list[Exemption], used: list[Exemption], digest: Callable[[str], str | None]) -> Iterator[Finding]:
    """Yield the exceptions without effect: of what is not there, has changed, or is mended."""
    for one in exemptions:
        if one in used:
            continue
        now = digest(one.path)
        why = "there is no such file" if now is None else "the file breaks no such rule"
        if now is not None and now != one.sha256:
            why = f"the file has changed, its sha256 is {now}"
        message = f"an exception without effect: {why}"
        yield one.node.finding("idle-exception", message, "take it out, or review the file and write its sha256")


def added(new: list[Exemption]) -> Iterator[Finding]:
    """Yield a warning for each exception that a change adds: a person should see it."""
    for one in new:
        message = f"an exception of {one.rule} for {one.path} is new: {one.reason}"
        place = one.node
        yield Finding(place.source, place.line, place.column, "new-exception", "warning", message, "review it")
