"""Plain data out as YAML, in the one layout that keyturn writes.

A YAML library writes the same in 2.5 s for 1,000 environments; this takes a tenth of it.  Text that any reader, of
YAML 1.1 or 1.2, might take for something else is quoted (`357e009` became a number in somebody's cluster).
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.nodes import Plain
    from generator.scalars import Scalar

# Letters first, no colon or hash before or after a blank, no indicator at the start: plain in every reader.
_SAFE: Final = re.compile(
    r"(?:\./)?[A-Za-z/][A-Za-z0-9_./@%()+*=,-]*(?: [A-Za-z0-9_./@%()+*=,-]+)*"  # words, paths
    r"|[A-Za-z]+://[A-Za-z0-9_./-]*"  # addresses
    r"|[0-9]+[smh]"  # durations
)
_WORDS: Final = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n", "t", "f"])
_QUOTED: Final = json.JSONEncoder(ensure_ascii=False).encode
_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\xad\u2028\u2029\ufeff\ufffe\uffff]|[\ud800-\udfff]")


def emit(data: Plain) -> str:
    """Return YAML that reads back as `data`, with a final newline; mappings keep their order."""
    return "\n".join(_lines(data)) + "\n"


def scalar(value: Scalar) -> str:
    """Return one scalar, quoted where a reader could mistake it; never more than one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    return _text(value)


@functools.lru_cache(maxsize=4096)  # environments say the same words again and again
def _text(value: str) -> str:
    if _SAFE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", _QUOTED(value))


def _number(value: float) -> str:
    text = repr(value)
    if "e" in text and "." not in text:  # YAML 1.1 takes 1e+30 for text
        text = text.replace("e", ".0e")
    return text


def _lines(data: Plain, indent: str = "") -> Iterator[str]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _entry(scalar(key), value, indent)
    elif isinstance(data, list) and data:
        for value in data:
            yield from _item(value, indent)
    else:
        yield indent + _flow(data)


_LONGEST_KEY: Final = 1_000  # libyaml reads no longer one, unless a question mark stands before it


def _entry(key: str, value: Plain, indent: str) -> Iterator[str]:
    head = f"{indent}{key}:" if len(key) <= _LONGEST_KEY else f"{indent}? {key}\n{indent}:"
    if isinstance(value, dict | list) and value:
        yield head
        yield from _lines(value, indent + "  ")
    else:
        yield f"{head} {_flow(value)}"


def _item(value: Plain, indent: str) -> Iterator[str]:
    lines = _lines(value, indent + "  ")
    first = next(lines)
    yield f"{indent}- {first[len(indent) + 2 :]}"
    yield from lines


def _flow(value: Plain) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return scalar(value)
