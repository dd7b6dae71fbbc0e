"""YAML and JSON files as anybody writes them: their documents, and the v1 Secrets in these.  No I/O.

A document is read only where its bytes can hold what is looked for, so that a file of a thousand objects costs little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from generator import yamlio
from generator.findings import Finding
from generator.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PARTS: Final = ("data", "stringData")  # of a Secret

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_SEPARATOR: Final = re.compile(rb"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)
_SECRET: Final = re.compile(rb"\bkind\b[\"']?\s*:[\s>|+-]*(?:[&!]\S*\s+)*[\"']?Secret(?:List)?\b")
_PART: Final = re.compile(rb"\b(?:data|stringData)\b[\"']?\s*:")
_SOPS: Final = re.compile(rb"(?:^|[{,\s])[\"']?sops[\"']?\s*:")
_EMPTY: Final = re.compile(rb"(?:---|\.\.\.)?(?:[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z))*")


@dataclass(frozen=True, slots=True)
class Document:
    """One document that may hold a Secret or a `sops` block; `root` is None where it cannot be read.

    `before` is the number of lines of the file before it: places in `root` count from there.
    """

    root: Node | None
    before: int
    problems: tuple[Finding, ...]
    has_secret: bool
    text: bytes = b""

    def placed(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield findings of this document with the lines of the file."""
        for finding in findings:
            yield replace(finding, line=finding.line + self.before) if finding.line else finding


def is_named(path: str) -> bool:
    """Whether a file is called a manifest; any other is taken for one only where it reads like one."""
    return path.lower().endswith(_SUFFIXES)


def documents(data: bytes, path: str) -> Iterator[Document]:
    """Yield the documents of a file that may hold a Secret or a `sops` block."""
    if b"Secret" not in data and b"sops" not in data:
        return
    budget, slow = yamlio.MAX_BYTES, yamlio.MAX_SLOW
    for part, before in _parts(data):
        has_secret = _SECRET.search(part) is not None and _PART.search(part) is not None
        if not (has_secret or _SOPS.search(part)):
            continue
        root, problems = _json(part, path)
        if root is None:
            budget -= len(part) + _DOCUMENT
            if budget < 0:
                yield Document(None, before, (Finding(path, 1, 1, "file-size", "error", _TOO_MUCH),), has_secret)
                return
            root, problems = yamlio.read(part.removeprefix(b"..."), path, most_slow=slow)
            slow -= len(part) if b"{" in part or b"[" in part else 0
        yield Document(root, before, tuple(problems), has_secret, part)


def bare(data: bytes) -> Iterator[int]:
    """Yield the lines where documents begin that say something and have no `sops` block."""
    for part, before in _parts(data):
        if not _SOPS.search(part) and not _EMPTY.fullmatch(part):
            yield before + 1


def _parts(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each document's text, and the number of lines before it."""
    start = before = 0
    ends = [match.start() for match in _SEPARATOR.finditer(data)] if b"\n---" in data or b"\n..." in data else []
    for end in (*ends, len(data)):
        yield data[start:end], before
        before += data.count(b"\n", start, end)
        start = end


_DOCUMENT: Final = 200  # bytes that reading a document costs as much as, however short it is
_TOO_MUCH: Final = "more than 1 MiB in documents that could be Secrets"


def _json(part: bytes, path: str) -> tuple[Node | None, list[Finding]]:
    """Read JSON that YAML does not take: long, with escapes of its own, one value after the other; without places."""
    text = part.lstrip()
    if text[:1] not in (b"{", b"[") or (len(part) <= yamlio.MAX_BYTES and b"\\u" not in part and b"}\n{" not in part):
        return None, []
    import json  # noqa: PLC0415 -- for few files, and a hook should be quick

    decoder, found, at = json.JSONDecoder(), [], 0
    try:
        whole = text.decode("utf-8").rstrip()
        while at < len(whole):
            value, end = decoder.raw_decode(whole, at)
            found.append(value)
            at = end + len(whole[end:]) - len(whole[end:].lstrip()) if len(found) < _MANY else len(whole)
    except (ValueError, RecursionError):
        return None, []
    return _node(found[0] if len(found) == 1 else found, path), []


_MANY: Final = 1_000  # values one after the other


def _node(value: object, path: str) -> Node:
    """Return what JSON says as a node; its nesting is what Python's own reader takes."""
    if isinstance(value, dict):
        return Node({str(key): _node(child, path) for key, child in value.items()}, path, 1, 1)
    if isinstance(value, list):
        return Node([_node(child, path) for child in value], path, 1, 1)
    return Node(value if isinstance(value, str | int | float | bool) else None, path, 1, 1)


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
            if _says(node, "apiVersion", "v1", None):
                if _says(node, "kind", "Secret"):
                    yield node
                elif _says(node, "kind", "SecretList"):  # whose items need no kind
                    items = node.get("items")
                    yield from items.value if items is not None and isinstance(items.value, list) else ()
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
        yield from _leaves(node) if node is not None else ()


def applied(secret: Node) -> Node | None:
    """Return the annotation in which kubectl keeps a Secret as it was applied, where it holds values in clear."""
    annotations = secret.get("metadata.annotations")
    for name, node in annotations.entries() if annotations is not None else ():
        if name == _APPLIED and isinstance(node.value, str):
            read = yamlio.read(node.value.encode("utf-8", "replace"), node.source, most_slow=0)[0]
            if read is not None and any(any(clear_values(one)) for one in secrets(read)):
                return node
    return None


_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def _leaves(node: Node) -> Iterator[Node]:
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


def literal_line(text: bytes) -> int | None:
    """Return the line of a value in clear in a Secret that is no YAML, such as a chart's template; None without one."""
    indent = None
    for number, line in enumerate(text.split(b"\n"), start=1):
        depth = len(line) - len(line.lstrip())
        if indent is not None and line.strip() and depth <= indent and not line.startswith(_CONFLICT):
            indent = None
        if re.fullmatch(rb"\s*[\"']?(?:data|stringData)[\"']?:\s*", line):
            indent = depth
        elif indent is not None and (match := re.fullmatch(_LITERAL, line.rstrip())) and not _is_filled(match[1]):
            return number
    return None


_CONFLICT: Final = (b"<<<<<<<", b"=======", b">>>>>>>")
_LITERAL: Final = rb"\s*[^\s#:{}]+\s*:\s+[\"']?([^\s\"'#|>{&*!][^{}$]*?)[\"']?"


def _is_filled(value: bytes) -> bool:
    return _FILLED_IN.fullmatch(value.decode("utf-8", "replace")) is not None or value.startswith(b"ENC[")


def is_sealed(value: Node) -> bool:
    """Whether a value has the form in which sops writes a ciphertext."""
    return isinstance(value.value, str) and _SEALED.fullmatch(value.value) is not None


def length(value: Node | None) -> int | None:
    """Return how many bytes a ciphertext of sops' stands for, None where it is none: AES-GCM makes nothing longer."""
    if value is None or not is_sealed(value):
        return None
    data = str(value.value).partition("data:")[2].partition(",")[0]
    return len(data) // 4 * 3 - data.count("=")


_FILLED_IN: Final = re.compile(
    r"\$\{[A-Za-z_]\w*\}|\$\([A-Za-z_]\w*\)|<path:[^<>]+>|<[A-Z][A-Z0-9_ -]*>|<your [^<>]+>|\{\{.+\}\}"
)
_BASE64: Final = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_SEALED: Final = re.compile(
    rf"ENC\[AES256_GCM,data:(?=[^,]){_BASE64},iv:[A-Za-z0-9+/]{{43}}=,tag:[A-Za-z0-9+/]{{22}}==,"
    r"type:(?:str|int|float|bool|bytes|comment|time)\]"
)
