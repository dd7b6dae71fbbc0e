"""YAML text in, with the place of every value.  No file is opened here.

Built on the events of libyaml's parser, not on a loader: a loader recurses (100 kB of `[` crash it), expands aliases
without limit and forgets places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import _ruamel_yaml as libyaml

from generator import scalars, yamltext
from generator.findings import Finding
from generator.nodes import Node
from generator.redaction import redact
from generator.yamltext import UnreadableError

MAX_BYTES: Final = yamltext.MAX_BYTES
MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
MAX_SLOW: Final = 1 << 15  # characters for ruamel's own parser, which takes half a second to a second for that
MAX_KEY: Final = 512  # libyaml reads no plain key of more than 1024 characters back

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.scalars import Scalar


def read(data: bytes, source: str, *, most_slow: int = MAX_SLOW) -> tuple[Node | None, list[Finding]]:
    """Return the one document in `data`, and everything wrong with it; None where nothing could be read.

    A node comes back beside findings too, so that a file's other errors can be told in the same run.
    An empty file is a node whose value is None.  `most_slow` is the most that the slow parser may be given.
    """
    try:
        builder = _built(yamltext.decode(data), source, most_slow)
    except UnreadableError as stop:
        return None, [Finding(source, stop.line, stop.column, stop.rule, "error", stop.message, stop.hint)]
    except libyaml.YAMLError as error:
        return None, [_syntax(error, source)]
    return builder.root or Node(None, source, 1, 1), builder.findings


def _built(text: str, source: str, most_slow: int) -> _Builder:
    builder = _Builder(source)
    try:
        builder.run(libyaml.CParser(text).get_event)
    except libyaml.YAMLError as error:
        # ruamel's libyaml is 0.1.7, which takes no colon inside {} and [], as in {repository: https://...}.
        if len(text) > most_slow or not re.search(r"[\[{]", text):
            raise
        return _built_slowly(text, source, error)
    return builder


def _built_slowly(text: str, source: str, first: Exception) -> _Builder:
    """Build from the events of ruamel's own parser: YAML 1.2 whole, at a tenth of the speed.

    Raises the error that stands further down: what comes after `first` is what it did not get to.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 -- 50 ms that hardly any run needs

    builder = _Builder(source)
    events = YAML(typ="safe", pure=True).parse(text)
    try:
        builder.run(lambda: next(events))
    except libyaml.YAMLError as error:
        raise max(first, error, key=_line) from None
    except (AssertionError, IndexError, OverflowError, ValueError):  # what that parser does with odd escapes, numbers
        raise first from None
    return builder


def _line(error: Any) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line if mark else -1


def _syntax(error: Any, source: str) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    problem = getattr(error, "problem", None) or "not readable"
    context = getattr(error, "context", None)
    message = f"not YAML: {context + ', ' if context else ''}{problem}"
    hint = "quote what holds the colon" if "':'" in problem else "see the line before too"
    return Finding(source, line, column, "yaml-syntax", "error", message, hint)


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

    def run(self, next_event: Callable[[], Any]) -> None:
        documents = 0
        while True:
            event = next_event()
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
            raise UnreadableError("documents", "more than one document", "one file, one document", _at(event))
        if event.version not in (None, (1, 2)):
            raise UnreadableError("yaml-version", "a %YAML directive other than 1.2", "take it out", _at(event))

    def scalar(self, event: Any) -> None:
        if event.tag is not None:
            self.tag(event)
        text = event.value
        if not text.isascii():
            text.encode()  # a lone surrogate, by an escape, is no character: UnicodeEncodeError is a ValueError
        start, plain = event.start_mark, not event.style
        node = Node(text, self.source, start.line + 1, start.column + 1, 0, 0, text, plain)
        if plain:
            node.value = self.resolve(node)
        self.count(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(node, 1, 0)
        self.attach(node)

    def resolve(self, node: Node) -> Scalar:
        try:
            value = scalars.resolve(node.text)
        except ValueError as error:
            self.findings.append(node.finding("number", str(error), "quote it if it is text"))
            return None
        return value

    def open(self, event: Any, value: list[Node] | dict[str, Node]) -> None:
        if event.tag is not None:
            self.tag(event)
        depth = len(self.stack) + 1
        if depth > MAX_DEPTH:
            raise UnreadableError("depth", f"more than {MAX_DEPTH} levels", "flatten it", _at(event))
        line, column = _at(event)
        node = Node(value, self.source, line, column)
        self.no_key(event)
        self.count(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Frame(node, event.anchor, self.nodes - 1, depth))

    def no_key(self, event: Any) -> None:
        if self.stack and isinstance(self.stack[-1].node.value, dict) and self.stack[-1].key is None:
            raise UnreadableError("key-type", "a key is a mapping or list", "a key must be text", _at(event))

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
            hint = f"put &{event.anchor} before what it stands for"
            raise UnreadableError("alias", f"alias *{event.anchor} has no anchor before it", hint, _at(event))
        target = self.anchors[event.anchor]
        if target is None:
            raise UnreadableError("alias", f"alias *{event.anchor} refers to itself", "write it out", _at(event))
        if target.height:
            self.no_key(event)
        depth = len(self.stack) + target.height
        if depth > MAX_DEPTH:
            raise UnreadableError("depth", f"more than {MAX_DEPTH} levels", "flatten it", _at(event))
        self.count(event, target.nodes)
        self.stack[-1].deepest = max(self.stack[-1].deepest, depth)  # an anchor stands in something, and so does this
        line, column = _at(event)
        self.attach(Node(target.node.value, self.source, line, column, text=target.node.text, plain=target.node.plain))

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
            self.findings.append(
                key.finding("key-type", f"the key {redact(key.text) or 'null'} is not text", "quote it")
            )
        elif len(key.value) > MAX_KEY:
            self.findings.append(key.finding("key-type", f"a key has more than {MAX_KEY} characters", "shorten it"))
        elif key.value == "<<":
            self.findings.append(key.finding("merge-key", "merge keys are not read", "use extends, or write it out"))
        elif key.value in entries:
            first = entries[key.value].key_line
            hint = f"it stands on line {first} already; keep one"
            self.findings.append(key.finding("duplicate-key", f"duplicate key {redact(key.value)!r}", hint))
        else:
            node.key_line, node.key_column = key.line, key.column  # an alias is a node of its own
            entries[key.value] = node

    def tag(self, event: Any) -> None:
        line, column = _at(event)
        hint = "take it out; quotes make a value text"
        self.findings.append(Finding(self.source, line, column, "yaml-tag", "error", "YAML tags are not read", hint))

    def count(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            hint = "aliases count as often as they are used"
            raise UnreadableError("nodes", f"more than {MAX_NODES:,} nodes", hint, _at(event))


def _at(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
