"""Secrets in clear text, found in any file by their form alone, and told without a word of them.  No I/O.

Sources: `keys` for the line that Cilium's agent reads, age's and OpenSSH's own headers, wg(8) for its configuration.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

SPENT: Final = "take it out; who can read this file has it, so what it opens needs a new one"


@dataclass(frozen=True, slots=True)
class Form:
    """What one kind of secret looks like; a file without one of `needles` is not searched, which is most of them."""

    rule: str
    message: str
    needles: frozenset[bytes]
    regex: bytes
    hint: str = SPENT

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """The regular expression, compiled once it is needed."""
        return re.compile(self.regex)


_KEY_LINE: Final = Form(
    "clear-key",
    "an IPsec key in clear",
    frozenset({b"rfc4106", b"hmac", b"cbc"}),
    rb"(?:rfc4106\\*\(gcm\\*\(aes\\*\)\\*\)|hmac\\*\([a-z0-9-]+\\*\)|cbc\\*\(aes\\*\))"  # a shell needs backslashes
    rb"""[\s"'\\,+]{1,80}(?:0x)?[0-9a-fA-F]{16,}""",
    f"{SPENT}: keyturn rotate",
)
_PSK: Final = Form(
    "clear-key",
    "a pre-shared key in clear",
    frozenset({b"PSK"}),
    rb"""PSK["']?\s*[:=]\s*[("'$]*\s*(?:0x)?[0-9a-fA-F]{40,}""",
    f"{SPENT}: keyturn rotate",
)
_AGE: Final = Form(
    "clear-identity",
    "an age identity in clear",
    frozenset({b"AGE-SECRET-KEY-"}),
    rb"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{20,}",
    "take it out, make another, and give what it reads new recipients and new values",
)
_PRIVATE: Final = Form(
    "clear-private-key",
    "a private key in clear",
    frozenset({b"PRIVATE KEY", b"PuTTY-User-Key-File-"}),
    rb"-----?\s?BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?\s?-----?(?:"
    rb"[ \t]*(?:\\r|\\n|[\r\n])(?:[^\w+/\r\n-]*\r?\n)?[^\w+/\r\n-]*"  # an empty line, and what indents the next
    rb"(?:[A-Za-z-]+:|[A-Za-z0-9+/]{2,}=*(?:[\"'\\\s]|\Z))"
    rb"|\s*[A-Za-z0-9+/]{32,})"  # prose names the header too, and goes on with words
    rb"|PuTTY-User-Key-File-\d:[\s\S]{0,600}?Private-Lines:",
)
_WIREGUARD: Final = Form(
    "clear-wireguard-key",
    "a WireGuard key in clear",
    frozenset({b"rivate", b"RIVATE", b"reshared", b"RESHARED"}),
    rb"(?i)(?:private|pre[-_]?shared)[-_]?key[\"']?\s*[:=]\s*[\"']?(?-i:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)",
)
FORMS: Final = (_KEY_LINE, _PSK, _AGE, _PRIVATE, _WIREGUARD)


def search(data: bytes, path: str) -> Iterator[Finding]:
    """Yield where a file holds a secret in clear, each line and rule once.  Nothing of it is in a finding."""
    told: set[tuple[int, str]] = set()
    line, counted = 1, 0
    for form, offset in sorted(_found(data), key=lambda found: found[1]):
        line += data.count(b"\n", counted, offset)
        counted = offset
        if (line, form.rule) not in told:
            told.add((line, form.rule))
            column = offset - data.rfind(b"\n", 0, offset)
            yield Finding(path, line, column, form.rule, "error", form.message, form.hint)


def _found(data: bytes) -> Iterator[tuple[Form, int]]:
    there = [needle for needle in _NEEDLES if needle in data]
    for form in FORMS if there else ():
        if not form.needles.isdisjoint(there):
            for match in form.pattern.finditer(data):
                yield form, match.start()
    if not _ENCODED.isdisjoint(there):
        yield from _encoded(data)
    if b"\0" in data[:_START]:  # UTF-16, as some shells write their history
        narrow = data.replace(b"\0", b"")
        for form, offset in _found(narrow):
            yield form, _widened(data, narrow.count(b"\n", 0, offset))


_START: Final = 1_024


def _widened(data: bytes, lines: int) -> int:
    """Return where a line begins in text with NULs."""
    offset = 0
    for _ in range(lines):
        offset = data.find(b"\n", offset) + 1
    return offset


def _pieces(word: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of a word at each of its three alignments, without the characters at its ends."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + word).rstrip(b"=")
        yield encoded[(8 * before + 5) // 6 : (8 * (before + len(word))) // 6]


_WORDS: Final = (b"rfc4106(", b"hmac(sha", b"AGE-SECRET-KEY-", b" PRIVATE KEY-")
_ENCODED: Final = frozenset(piece for word in _WORDS for piece in _pieces(word))
_NEEDLES: Final = tuple({*_ENCODED, *(needle for form in FORMS for needle in form.needles)})
_BEFORE: Final = 96  # characters of base64 that are looked at before a word, and after it
_AFTER: Final = 400
_LEFT: Final = re.compile(rb"[A-Za-z0-9+/]*\Z")
_RIGHT: Final = re.compile(rb"(?:[A-Za-z0-9+/]+(?:\\n|\s){0,40})*={0,2}")
_WRAPPED: Final = re.compile(rb"\\n|\s+")


def _encoded(data: bytes) -> Iterator[tuple[Form, int]]:
    """Yield what is found once base64 is undone around each of the words that begin a secret."""
    for piece in _ENCODED:
        offset = data.find(piece)
        while offset >= 0:
            left = _LEFT.search(data, max(0, offset - _BEFORE), offset)
            start = left.start() if left else offset
            right = _RIGHT.match(data, offset, offset + _AFTER)
            text = _WRAPPED.sub(b"", data[start : right.end() if right else offset]).rstrip(b"=")
            for skipped in range(4):
                found = next((form for form, _ in _found_in(_decoded(text[skipped:]))), None)
                if found is not None:
                    yield found, start
                    break
            offset = data.find(piece, right.end() if right else offset + 1)  # what lies between was looked at


def _found_in(clear: bytes) -> Iterator[tuple[Form, int]]:
    return ((form, match.start()) for form in FORMS for match in form.pattern.finditer(clear))


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text[: len(text) // 4 * 4])
    except binascii.Error:
        return b""
