"""Words for a person without what might be key material or a password in them."""

from __future__ import annotations

import re
from typing import Final

_SENSITIVE: Final = re.compile(
    r"[0-9a-fA-F]{16,}"  # half of the shortest key
    r"|AGE-SECRET-KEY-[0-9A-Z-]+"
    r"|(?<=://)[^/\s]+(?=@)"  # user and password in an address, or a token
    r"|(?<=\?)[^\s?]*=[^\s]*"  # and what stands behind a question mark
    r"|[A-Za-z0-9+=]{40,}"  # base64
    r"|(?=[a-z0-9+/]*[A-Z])(?=[A-Za-z+/]*[0-9])[A-Za-z0-9+/]{40,}={0,2}"  # with a slash: no path
)


def redact(text: str) -> str:
    """Return `text` with every run that could be secret replaced."""
    return _SENSITIVE.sub("[redacted]", text)


_KEPT: Final = re.compile(r"(sha256:[0-9a-f]{32}\b|sha256 is [0-9a-f]{64}\b|age1[a-z0-9]+)")  # made by us, or public


def redact_keys(text: str) -> str:
    """Return a finding's words with every run that could be a key replaced, but no fingerprint and no recipient."""
    return "".join(part if number % 2 else redact(part) for number, part in enumerate(_KEPT.split(text)))
