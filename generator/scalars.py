"""What an unquoted YAML scalar means: the core schema of YAML 1.2, in which `yes` and `on` are text."""

from __future__ import annotations

import re
from typing import Final

Scalar = str | int | float | bool | None

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST: Final = 4_000  # characters; Python refuses to read numbers of more digits


def resolve(text: str) -> Scalar:
    """Return what an unquoted scalar means by the core schema of YAML 1.2 (chapter 10.3).

    Raises ValueError for a number that JSON, and so Helm, cannot carry.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
        if len(text) > _LONGEST or not -(2**63) <= (number := int(text, base)) < 2**63:
            raise ValueError("the number does not fit into 64 bits")
        return number
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError("the number is too large")
        return value
    if _INFINITE.fullmatch(text):
        raise ValueError("infinity and not-a-number have no place in Helm values")
    return text
