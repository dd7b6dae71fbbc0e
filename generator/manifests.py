"""YAML and JSON files as anybody writes them: their documents, and the v1 Secrets in these.  No I/O.

A document is read only where its bytes can hold what is looked for, so that a file of a thousand objects costs little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from generator import yamlio
from generator.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.nodes import Node

PARTS: Final = ("data", "stringData")  # of a Secret

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_LOOKS: Final = re.compile(
    rb"\s*(?:\{|---|(?:[\"']?(?:apiVersion|kind|items|metadata|sops|data|stringData)[\"']?\s*:))"
)
_COMMENTS: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*#[^\n]*\n|[ \t]*\r?\n)*")
_SEPARATOR: Final = re.compile(rb"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)
_SECRET: Final = re.compile(rb"\bkind\b[\"']?\s*:[\s>|+-]*(?:[&!]\S*\s+)*[\"']?Secret\b")
_SOPS: Final = re.compile(rb"\bsops\b[\"']?\s*:")


@dataclass(frozen=True, slots=True)
class Document:
    """One document that may hold a Secret or a `sops` block; `root` is None where it cannot be read.

    `before` is the number of lines of the file before it: places in `root` count from there.
    """

    root: Node | None
    before: int
    problems: tuple[Finding, ...]
    has_secret: bool

    def placed(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield findings of this document with the lines of the file."""
        for finding in findings:
            yield replace(finding, line=finding.line + self.before) if finding.line else finding


def documents(data: bytes, path: str) -> Iterator[Document]:
    """Yield the documents of a file that may hold a Secret or a `sops` block; none where it is no such file."""
    if (b"Secret" not in data and b"sops" not in data) or not _is_manifest(data, path):
        return
    budget, slow = yamlio.MAX_BYTES, _MOST_SLOW
    start = before = 0
    ends = [match.start() for match in _SEPARATOR.finditer(data)] if b"\n---" in data or b"\n..." in data else []
    for end in (*ends, len(data)):
        part = data[start:end]
        has_secret = _SECRET.search(part) is not None
        if has_secret or _SOPS.search(part):
            budget -= len(part) + _DOCUMENT
            if budget < 0:
                yield Document(None, 0, (Finding(path, 0, 0, "file-size", "error", _TOO_MUCH),), has_secret)
                return
            root, problems = yamlio.read(part.removeprefix(b"..."), path, most_slow=slow)
            slow -= len(part) if b"{" in part or b"[" in part else 0
            yield Document(root, before, tuple(problems), has_secret)
        before += part.count(b"\n")
        start = end


_DOCUMENT: Final = 200  # bytes that reading a document costs as much as, however short it is
_MOST_SLOW: Final = 1 << 15  # characters of a file for the slow parser: half a second
_TOO_MUCH: Final = "more than 1 MiB in documents that could be Secrets"


def _is_manifest(data: bytes, path: str) -> bool:
    if path.lower().endswith(_SUFFIXES):
        return True
    comments = _COMMENTS.match(data)
    return _LOOKS.match(data, comments.end() if comments else 0) is not None


def secrets(root: Node) -> Iterator[Node]:
    """Yield every v1 Secret in a document: the document itself, in a List, in another object's values."""
    pending = [root]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if isinstance(node.value, list):
            children = node.value
        elif isinstance(node.value, dict):
            children = list(node.value.values())
            if _says(node, "kind", "Secret") and _says(node, "apiVersion", "v1", None):
                yield node
        else:
            continue
        if id(node.value) not in seen:  # an alias has the value of what it stands for
            seen.add(id(node.value))
            pending += children


def _says(node: Node, key: str, *values: str | None) -> bool:
    found = node.get(key)
    return (found.value if found is not None else None) in values


def clear_values(secret: Node) -> Iterator[Node]:
    """Yield the values of a Secret that stand in clear; one that another program fills in is none."""
    for value in values(secret):
        if not is_sealed(value) and not _FILLED_IN.fullmatch(str(value.value)):
            yield value


def values(secret: Node) -> Iterator[Node]:
    """Yield the scalars under `data` and `stringData` that are not empty."""
    for part in PARTS:
        node = secret.get(part)
        yield from leaves(node) if node is not None else ()


def leaves(node: Node) -> Iterator[Node]:
    """Yield the scalars below a node that are not empty: sops leaves those as they are."""
    pending = [node]
    seen: set[int] = set()
    while pending:
        one = pending.pop()
        if isinstance(one.value, dict | list):
            if id(one.value) not in seen:
                seen.add(id(one.value))
                pending += reversed(list(one.value.values()) if isinstance(one.value, dict) else one.value)
        elif one.value not in (None, ""):
            yield one


def is_sealed(value: Node) -> bool:
    """Whether a value has the form in which sops writes a ciphertext."""
    return isinstance(value.value, str) and _SEALED.fullmatch(value.value) is not None


_FILLED_IN: Final = re.compile(r"\$\{[^{}]+\}|\$\([^()]+\)|<[^<>]+>|\{\{.+\}\}")
_BASE64: Final = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_SEALED: Final = re.compile(
    rf"ENC\[AES256_GCM,data:(?=[^,]){_BASE64},iv:[A-Za-z0-9+/]{{43}}=,tag:[A-Za-z0-9+/]{{22}}==,"
    r"type:(?:str|int|float|bool|bytes|comment|time)\]"
)
