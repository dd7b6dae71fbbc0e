"""Bytes to the text of a YAML file: its size, its encoding, and the characters that YAML has no place for."""

from __future__ import annotations

import re
from typing import Final

MAX_BYTES: Final = 1 << 20


class UnreadableError(Exception):
    """Reading cannot go on."""

    def __init__(self, rule: str, message: str, hint: str, at: tuple[int, int] = (0, 0)) -> None:
        super().__init__(message)
        self.rule, self.message, self.hint = rule, message, hint
        self.line, self.column = at


def decode(data: bytes) -> str:
    """Return the text of a YAML file.  Raises UnreadableError, with the place, where it can be none."""
    if len(data) > MAX_BYTES:
        raise UnreadableError("file-size", "the file is larger than 1 MiB", "split it into groups")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        before = data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")
        column = len(before.removeprefix("\ufeff")) + 1
        raise UnreadableError("not-utf8", "the file is not UTF-8", "save it as UTF-8", (line, column)) from None
    for match in _FORBIDDEN.finditer(text):
        at = text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start())
        name = "NUL" if match[0] == "\0" else f"U+{ord(match[0]):04X}"
        raise UnreadableError("control-character", f"the file holds the control character {name}", "take it out", at)
    return text


# What a YAML stream may not hold; the parser would say only at which offset.
_FORBIDDEN: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
