"""What one file says, judged by itself: secrets in clear, Secrets without encryption, SOPS files that are not whole.

These rules hold in any repository, whether keyturn rendered it or not.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import cleartext, creation, firstkeys, manifests, sopsfile, yamlio
from generator.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from generator.creation import Rule
    from generator.manifests import Document
    from generator.nodes import Node

CLEAR_SECRET: Final = "the Secret is not encrypted"  # noqa: S105 -- a message
_SPENT: Final = "take it out of git; what it held is spent"
_LIMITS: Final = ("file-size", "nodes", "depth")
_SEALED: Final = re.compile(r"[^/]+\.sops\.(?:ya?ml|json|env|ini|toml|txt)")
_BLOCKS: Final = (b"sops:", b'"sops"', b"sops_", b"[sops]")


@dataclass(frozen=True, slots=True)
class Judged:
    """What is wrong with a file, and whether sops encrypted some of it."""

    findings: list[Finding]
    is_sealed: bool


def check(data: bytes, path: str, rule_for: Callable[[str], Rule | None]) -> Judged:
    """Judge a file; `rule_for` gives the creation rule for a path, None where there is none."""
    findings = list(cleartext.search(data, path))
    is_sealed = False
    for document in manifests.documents(data, path):
        found, has_block = _document(document, path, rule_for)
        is_sealed = is_sealed or has_block
        findings += document.placed(found)
    if not is_sealed and _SEALED.fullmatch(path.rpartition("/")[2]) and not any(block in data for block in _BLOCKS):
        hint = "sops encrypt --in-place, or give it another name; what it held is spent"
        findings.append(Finding(path, 0, 0, "not-encrypted", "error", "is called a SOPS file, and is not one", hint))
    return Judged(findings, is_sealed)


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
        unread = [one for one in document.problems if one.rule in _LIMITS and document.has_secret]
        message = "looks like a Secret, and cannot be looked through: "
        hint = "split it, so that it can be"
        return [Finding(path, 1, 1, "not-searched", "error", message + one.message, hint) for one in unread], False
    if root.get("sops") is None:
        return [_clear(secret) for secret in manifests.secrets(root) if any(manifests.clear_values(secret))], False
    return list(sealed(root, path, rule_for)), True


def _clear(secret: Node) -> Finding:
    return secret.finding("clear-secret", CLEAR_SECRET, _SPENT)


def sealed(root: Node, path: str, rule_for: Callable[[str], Rule | None]) -> Iterator[Finding]:
    """Yield what is wrong with an encrypted document."""
    yield from sopsfile.check(root, strict=firstkeys.environment(path) is not None)
    try:
        rule = rule_for(path)
    except creation.RuleError as error:
        yield error.finding
    else:
        if rule is not None:
            yield from sopsfile.recipients(root, rule.groups, rule.place)
