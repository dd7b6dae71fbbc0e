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
)


def redact(text: str) -> str:
    """Return `text` with every run that could be secret replaced."""
    return _SENSITIVE.sub("[redacted]", text)
