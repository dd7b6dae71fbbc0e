"""YAML text in, with the place of every value.  No file is opened here.

Built on the events of libyaml's parser, not on a loader: a loader recurses (100 kB of `[` crash it), expands aliases
without limit and forgets places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import _ruamel_yaml as libyaml

from generator import scalars
from generator.findings import Finding
from generator.scalars import Scalar

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
MAX_KEY: Final = 512  # libyaml reads no plain key of more than 1024 characters back

Plain = Scalar | list["Plain"] | dict[str, "Plain"]


@dataclass(slots=True, eq=False)
class Node:
    """One value and where it stands; `line` and `column` count from 1, `key_line` is 0 outside a mapping.

    `text` is a scalar as it was written (`1.10` where the value is the number 1.1).
    """

    value: Scalar | list[Node] | dict[str, Node]
    source: str = ""
    line: int = 0
    column: int = 0
    key_line: int = 0
    key_column: int = 0
    text: str = ""

    def under(self, key: Node) -> Node:
        """Return the same value as an entry of a mapping; an alias stands under more than one key."""
        return Node(self.value, self.source, self.line, self.column, key.line, key.column, self.text)

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


def read(data: bytes, source: str) -> tuple[Node | None, list[Finding]]:
    """Return the one document in `data`, and everything wrong with it; None where nothing could be read.

    A node comes back beside findings too, so that a file's other errors can be told in the same run.
    An empty file is a node whose value is None.
    """
    try:
        text = _text(data)
        builder = _Builder(source)
        builder.run(libyaml.CParser(text))
    except _UnreadableError as stop:
        return None, [Finding(source, stop.line, stop.column, stop.rule, "error", stop.message, stop.hint)]
    except libyaml.YAMLError as error:
        return None, [_syntax(error, source)]
    return builder.root or Node(None, source, 1, 1), builder.findings


class _UnreadableError(Exception):
    """Reading cannot go on."""

    def __init__(self, rule: str, message: str, hint: str, at: tuple[int, int] = (0, 0)) -> None:
        super().__init__(message)
        self.rule, self.message, self.hint = rule, message, hint
        self.line, self.column = at


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _UnreadableError("file-size", "the file is larger than 1 MiB", "split it into groups")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise _UnreadableError("not-utf8", "the file is not UTF-8", "save it as UTF-8", (line, column)) from None
    for match in _FORBIDDEN.finditer(text):
        at = text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start())
        name = "NUL" if match[0] == "\0" else f"U+{ord(match[0]):04X}"
        raise _UnreadableError("control-character", f"the file holds the control character {name}", "take it out", at)
    return text


# What a YAML stream may not hold; the parser would say only at which offset.
_FORBIDDEN: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


def _syntax(error: Any, source: str) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    problem = getattr(error, "problem", None) or "not readable"
    context = getattr(error, "context", None)
    message = f"not YAML: {context + ', ' if context else ''}{problem}"
    return Finding(source, line, column, "yaml-syntax", "error", message, "see the line before too")


@dataclass(slots=True)
class _Frame:
    """A mapping or list whose end has not come yet."""

    node: Node
    anchor: str | None
    first: int  # nodes counted before it
    deepest: int
    key: Node | None = None


@dataclass(slots=True)
class _Anchored:
    node: Node
    nodes: int
    height: int


@dataclass(slots=True)
class _Builder:
    source: str
    root: Node | None = None
    findings: list[Finding] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)
    anchors: dict[str, _Anchored | None] = field(default_factory=dict)  # None: still open
    nodes: int = 0

    def run(self, parser: Any) -> None:
        documents = 0
        while True:
            event = parser.get_event()
            kind = type(event)
            if kind is libyaml.ScalarEvent:
                self.scalar(event)
            elif kind is libyaml.MappingStartEvent:
                self.open(event, {})
            elif kind is libyaml.SequenceStartEvent:
                self.open(event, [])
            elif kind is libyaml.MappingEndEvent or kind is libyaml.SequenceEndEvent:
                self.close()
            elif kind is libyaml.AliasEvent:
                self.alias(event)
            elif kind is libyaml.DocumentStartEvent:
                documents += 1
                self.document(event, documents)
            elif kind is libyaml.StreamEndEvent:
                return

    def document(self, event: Any, count: int) -> None:
        if count > 1:
            raise _UnreadableError("documents", "more than one document", "one file, one document", _at(event))
        if event.version not in (None, (1, 2)):
            raise _UnreadableError("yaml-version", "a %YAML directive other than 1.2", "take it out", _at(event))

    def scalar(self, event: Any) -> None:
        self.tag(event)
        value: Scalar = event.value
        line, column = _at(event)
        node = Node(value, self.source, line, column, text=event.value)
        if not event.style:
            node.value = self.resolve(node)
        self.count(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(node, 1, 0)
        self.attach(node)

    def resolve(self, node: Node) -> Scalar:
        try:
            return scalars.resolve(node.text)
        except ValueError as error:
            self.findings.append(node.finding("number", str(error), "quote it if it is text"))
            return None

    def open(self, event: Any, value: list[Node] | dict[str, Node]) -> None:
        self.tag(event)
        depth = len(self.stack) + 1
        if depth > MAX_DEPTH:
            raise _UnreadableError("depth", f"more than {MAX_DEPTH} levels", "flatten it", _at(event))
        line, column = _at(event)
        node = Node(value, self.source, line, column)
        if self.stack and isinstance(self.stack[-1].node.value, dict) and self.stack[-1].key is None:
            raise _UnreadableError("key-type", "a key is a mapping or list", "a key must be text", _at(event))
        self.count(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Frame(node, event.anchor, self.nodes - 1, depth))

    def close(self) -> None:
        frame = self.stack.pop()
        if frame.anchor is not None:
            height = frame.deepest - len(self.stack)
            self.anchors[frame.anchor] = _Anchored(frame.node, self.nodes - frame.first, height)
        if self.stack:
            self.stack[-1].deepest = max(self.stack[-1].deepest, frame.deepest)
        self.attach(frame.node)

    def alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise _UnreadableError("alias", f"alias *{event.anchor} has no anchor before it", "", _at(event))
        target = self.anchors[event.anchor]
        if target is None:
            raise _UnreadableError("alias", f"alias *{event.anchor} refers to itself", "write it out", _at(event))
        depth = len(self.stack) + target.height
        if depth > MAX_DEPTH:
            raise _UnreadableError("depth", f"more than {MAX_DEPTH} levels", "flatten it", _at(event))
        self.count(event, target.nodes)
        if self.stack:
            self.stack[-1].deepest = max(self.stack[-1].deepest, depth)
        line, column = _at(event)
        self.attach(Node(target.node.value, self.source, line, column, text=target.node.text))

    def attach(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if isinstance(frame.node.value, list):
            frame.node.value.append(node)
        elif frame.key is None:
            frame.key = node
        else:
            key, frame.key = frame.key, None
            self.entry(frame.node, key, node)

    def entry(self, mapping: Node, key: Node, node: Node) -> None:
        entries = mapping.value
        assert isinstance(entries, dict)  # noqa: S101 -- attach has looked
        if not isinstance(key.value, str):
            self.findings.append(key.finding("key-type", f"the key {key.text or 'null'} is not text", "quote it"))
        elif len(key.value) > MAX_KEY:
            self.findings.append(key.finding("key-type", f"a key has more than {MAX_KEY} characters", "shorten it"))
        elif key.value == "<<":
            self.findings.append(key.finding("merge-key", "merge keys are not read", "use extends, or write it out"))
        elif key.value in entries:
            first = entries[key.value].key_line
            hint = f"it stands on line {first} already; keep one"
            self.findings.append(key.finding("duplicate-key", f"duplicate key {key.value!r}", hint))
        else:
            entries[key.value] = node.under(key)

    def tag(self, event: Any) -> None:
        if event.tag is not None:
            line, column = _at(event)
            hint = "take it out; quotes make a value text"
            self.findings.append(
                Finding(self.source, line, column, "yaml-tag", "error", "YAML tags are not read", hint)
            )

    def count(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            hint = "aliases count as often as they are used"
            raise _UnreadableError("nodes", f"more than {MAX_NODES:,} nodes", hint, _at(event))


def _at(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
