"""What one file says, judged by itself: secrets in clear, Secrets without encryption, SOPS files that are not whole.

These rules hold in any repository, whether keyturn rendered it or not.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from generator import cleartext, creation, firstkeys, manifests, sopsfile, yamlio
from generator.findings import Finding
from generator.secret import SPENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from generator.creation import Rule
    from generator.manifests import Document
    from generator.nodes import Node

CLEAR_SECRET: Final = "the Secret is not encrypted"  # noqa: S105 -- a message
_SEALED: Final = re.compile(r"[^/]+\.sops\.(?:ya?ml|json|env|ini|toml|txt)", re.IGNORECASE)
_BLOCKS: Final = re.compile(rb"^[\"']?sops(?:[\"']?\s*:|_mac=)|\"sops\"\s*:|^\[sops\]", re.MULTILINE)
_PASSED_OVER: Final = ("yaml-tag", "yaml-version", "number")  # problems that hide no value
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Judged:
    """What is wrong with a file, and whether sops encrypted some of it."""

    findings: list[Finding]
    is_sealed: bool


def check(data: bytes, path: str, rule_for: Callable[[str], Rule | None]) -> Judged:
    """Judge a file; `rule_for` gives the creation rule for a path, None where there is none."""
    findings = list(cleartext.search(data, path))
    text = data.decode("utf-16", "replace").encode() if data.startswith(_UTF_16) else data  # as PowerShell writes it
    is_sealed = False
    for document in manifests.documents(text, path):
        found, has_block = _document(document, path, rule_for)
        is_sealed = is_sealed or has_block
        findings += document.placed(found)
    is_called = _SEALED.fullmatch(path.rpartition("/")[2]) is not None
    if is_called and not is_sealed and (path.lower().endswith(_READ) or not _BLOCKS.search(data)):
        hint = "sops encrypt --in-place, or give it another name; what it held is spent"
        findings.append(Finding(path, 0, 0, "not-encrypted", "error", "is called a SOPS file, and is not one", hint))
    for line in manifests.bare(text) if is_sealed else ():
        message = "a document beside encrypted ones has no sops block"
        findings.append(Finding(path, line, 1, "not-encrypted", "error", message, "one file, one document"))
    return Judged(findings, is_sealed)


_READ: Final = (".yaml", ".yml", ".json")  # what is read, so that a comment about sops is no block


def secret(data: bytes, path: str, rule_for: Callable[[str], Rule | None]) -> tuple[Node | None, list[Finding]]:
    """Return a Secret of keyturn's and what is wrong with it; None where nothing can be read."""
    findings = list(cleartext.search(data, path))
    root, problems = yamlio.read(data, path)
    findings += problems
    if root is not None and root.get("sops") is None:
        return root, [*findings, _clear(root)]
    if root is not None:
        findings += sealed(root, path, rule_for)
    return root, findings


def _document(document: Document, path: str, rule_for: Callable[[str], Rule | None]) -> tuple[list[Finding], bool]:
    """Return what is wrong with a document, and whether it has a `sops` block."""
    root = document.root
    if root is None:
        return _unread(document, path), False
    hidden = [one for one in document.problems if one.rule not in _PASSED_OVER]
    if root.get("sops") is not None:
        return [*(_unseen(one) for one in hidden), *sealed(root, path, rule_for)], True
    found = [_clear(one) for one in manifests.secrets(root) if any(manifests.clear_values(one))]
    is_secret = document.has_secret and manifests.is_named(path)
    return found or [_unseen(one) for one in hidden if is_secret], False


def _unread(document: Document, path: str) -> list[Finding]:
    """Return what can be told of a document that is no YAML: a value in clear, or that nobody can look."""
    if not document.has_secret:
        return [one for one in document.problems if _SEALED.fullmatch(path.rpartition("/")[2])]
    problem = document.problems[0]
    if problem.rule in ("file-size", "nodes", "depth"):
        return [_unseen(problem)]
    if not manifests.is_named(path):
        return []
    line = manifests.literal_line(document.text)
    if line is not None:
        return [Finding(path, line, 1, "clear-secret", "error", CLEAR_SECRET, SPENT)]
    return [] if b"{{" in document.text else [_unseen(problem)]  # a chart's template is no YAML before it is rendered


def _unseen(problem: Finding) -> Finding:
    message = f"looks like a Secret, and cannot be looked through: {problem.message}"
    return replace(problem, rule="not-searched", message=message, hint="mend it, so that it can be")


def _clear(secret: Node) -> Finding:
    return secret.finding("clear-secret", CLEAR_SECRET, SPENT)


def sealed(root: Node, path: str, rule_for: Callable[[str], Rule | None]) -> Iterator[Finding]:
    """Yield what is wrong with an encrypted document."""
    ours = firstkeys.environment(path) is not None
    yield from sopsfile.check(root, strict=ours)
    for one in manifests.secrets(root):
        if (place := manifests.applied(one)) is not None:
            yield place.finding("clear-secret", "the Secret stands in clear in an annotation of kubectl's", SPENT)
    try:
        rule = rule_for(path)
    except creation.RuleError as error:
        yield error.finding if ours else replace(error.finding, level="warning")
    else:
        if rule is not None:
            yield from sopsfile.against(root, rule, strict=ours)
