"""What a value of the environment file may be: each shape reads a node and says its JSON Schema.

One declaration serves the parser, the messages and `keyturn schema`, so that they cannot disagree.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from generator.nodes import Node
from generator.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.findings import Finding

T = TypeVar("T")
Schema = dict[str, Any]


class WrongError(Exception):
    """A node does not fit its shape.  `message` says what it is, `hint` what to write."""

    def __init__(self, message: str, hint: str = "", *, rule: str = "wrong-value") -> None:
        super().__init__(message)
        self.message, self.hint, self.rule = message, hint, rule


class Shape(ABC, Generic[T]):
    """Reads one node.  Raises WrongError about the node itself; a record adds findings about its members."""

    @abstractmethod
    def read(self, node: Node, name: str, findings: list[Finding]) -> T: ...

    @abstractmethod
    def schema(self) -> Schema: ...


def described(node: Node) -> str:
    """Say what a node is, as its author wrote it."""
    value = node.value
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        shown = redact(value)
        return f"{shown!r}" if len(shown) <= 60 else f"{shown[:57]!r}..."  # noqa: PLR2004 -- one line
    return f"the {'boolean' if isinstance(value, bool) else 'number'} {node.text}"


def wrong_type(node: Node, expected: str, hint: str = "") -> WrongError:
    return WrongError(f"expected {expected}, not {described(node)}", hint, rule="wrong-type")


@dataclass(frozen=True, slots=True)
class Text(Shape[str]):
    """Text that fits `pattern` whole; `expected` says so in words, and `longest` limits it."""

    pattern: str
    expected: str
    hint: str = ""
    longest: int = 253

    def read(self, node: Node, name: str, findings: list[Finding]) -> str:
        if not isinstance(node.value, str):
            quotable = node.value is not None and node.text and re.fullmatch(self.pattern, node.text)
            raise wrong_type(node, self.expected, f"quote it: '{node.text}'" if quotable else self.hint)
        if len(node.value) > self.longest:
            raise WrongError(f"expected {self.expected} of at most {self.longest} characters", self.hint)
        if not re.fullmatch(self.pattern, node.value):
            raise WrongError(f"expected {self.expected}, not {described(node)}", self.hint)
        return node.value

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$", "maxLength": self.longest}


@dataclass(frozen=True, slots=True)
class Flag(Shape[bool]):
    """True or false, and not one of YAML 1.1's many words for them."""

    def read(self, node: Node, name: str, findings: list[Finding]) -> bool:
        if isinstance(node.value, bool):
            return node.value
        meant = str(node.value).lower()
        if meant in ("yes", "on", "true", "no", "off", "false"):
            raise wrong_type(node, "true or false", f"write {str(meant in ('yes', 'on', 'true')).lower()}")
        raise wrong_type(node, "true or false")

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number(Shape[int]):
    """A whole number from `least` to `most`."""

    least: int
    most: int

    def read(self, node: Node, name: str, findings: list[Finding]) -> int:
        expected = f"a number from {self.least} to {self.most}"
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            raise wrong_type(node, expected, "take the quotes off" if str(node.value).isdecimal() else "")
        if not self.least <= node.value <= self.most:
            raise WrongError(f"expected {expected}, not {node.text}")
        return node.value

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


C = TypeVar("C", str, int)


@dataclass(frozen=True, slots=True)
class Choice(Shape[C]):
    """One of a few values; `later` names those that are known and not to be had yet, with the reason."""

    values: tuple[C, ...]
    later: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: Node, name: str, findings: list[Finding]) -> C:
        for value in self.values:
            if type(node.value) is type(value) and node.value == value:
                return value
        words = ", ".join(str(value) for value in self.values)
        if isinstance(node.value, str) and node.value in self.later:
            raise WrongError(f"{node.value} {self.later[node.value]}", f"one of {words}", rule="not-yet")
        if isinstance(node.value, dict | list):
            raise wrong_type(node, f"one of {words}")
        if node.value in [str(value) for value in self.values if not isinstance(value, str)]:
            raise wrong_type(node, f"one of {words}", "take the quotes off")
        close = nearest(node.text, [str(value) for value in self.values if isinstance(value, str)])
        raise WrongError(f"expected one of {words}, not {described(node)}", f"did you mean {close}?" if close else "")

    def schema(self) -> Schema:
        return {"enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class Span:
    """A duration, as written and in seconds."""

    text: str
    seconds: float

    def __str__(self) -> str:
        return self.text


_LONGEST_SPAN: Final = (2**63 - 1) / 1e9  # seconds: Go counts nanoseconds in 64 bits
UNITS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Duration(Shape[Span]):
    """A duration in Go's form (`1h30m`), or, where `units` has them, with days and weeks."""

    units: tuple[str, ...] = ("ms", "s", "m", "h")
    least: float = 0

    def read(self, node: Node, name: str, findings: list[Finding]) -> Span:
        if not isinstance(node.value, str):
            raise wrong_type(node, "a duration such as 5m", f"with its unit, one of {', '.join(self.units)}")
        if not re.fullmatch(self._pattern(), node.value) or len(node.value) > self._LONGEST:
            hint = f"numbers with a unit each, of {', '.join(self.units)}"
            raise WrongError(f"expected a duration such as 5m, not {described(node)}", hint)
        span = span_of(node.value)
        if span.seconds > _LONGEST_SPAN:
            raise WrongError(f"expected a duration that Go can hold, not {node.value}", "290 years at most")
        if span.seconds < self.least:
            raise WrongError(f"expected a duration of at least {self.least:g}s, not {node.value}")
        return span

    _LONGEST: ClassVar[int] = 24

    def _pattern(self) -> str:
        return rf"(?:[0-9]+(?:\.[0-9]+)?(?:{'|'.join(self.units)}))+"

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{self._pattern()}$", "maxLength": self._LONGEST}


def span_of(text: str) -> Span:
    """Return the duration that `text` writes; it has been matched already, or stands in our own source."""
    parts = re.findall(r"([0-9.]+)(ms|us|ns|s|m|h|d|w)", text)
    return Span(text, sum(float(number) * UNITS[unit] for number, unit in parts))


@dataclass(frozen=True, slots=True)
class Nullable(Shape[T | None]):
    """Null, or the shape inside."""

    inner: Shape[T]

    def read(self, node: Node, name: str, findings: list[Finding]) -> T | None:
        return None if node.value is None else self.inner.read(node, name, findings)

    def schema(self) -> Schema:
        return {"anyOf": [self.inner.schema(), {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Names(Shape[tuple[str, ...]]):
    """A list of different names."""

    item: Text

    def read(self, node: Node, name: str, findings: list[Finding]) -> tuple[str, ...]:
        if not isinstance(node.value, list):
            usable = node.value is not None and re.fullmatch(self.item.pattern, node.text)
            name_of_one = node.text if isinstance(node.value, str) else f"'{node.text}'"
            raise wrong_type(node, "a list of names", f"write [{name_of_one}]" if usable else "")
        names: list[str] = []
        for member in node.value:
            try:
                read = self.item.read(member, name, findings)
            except WrongError as wrong:
                findings.append(member.finding(wrong.rule, f"{name}: {wrong.message}", wrong.hint))
                continue
            if read in names:
                findings.append(member.finding("wrong-value", f"{name}: {read!r} stands twice", "keep one"))
            names.append(read)
        return tuple(names)

    def schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema(), "uniqueItems": True}


@dataclass(frozen=True, slots=True)
class Free(Shape[Node]):
    """Any mapping, kept with its places."""

    def read(self, node: Node, name: str, findings: list[Finding]) -> Node:
        if not isinstance(node.value, dict):
            raise wrong_type(node, "a mapping")
        return node

    def schema(self) -> Schema:
        return {"type": "object"}


def nearest(word: str, known: list[str]) -> str | None:
    """Return the known name that `word` most likely stands for, or None."""
    folded = {name.lower(): name for name in known}
    import difflib  # noqa: PLC0415 -- for a typo, and a hook should be quick

    close = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None
