"""Secrets in clear text, found in any file by their form alone, and told without a word of them.  No I/O.

Sources: `keys` for the line that Cilium's agent reads, age's and OpenSSH's own headers, wg(8) for its configuration.
"""

from __future__ import annotations

import base64
import functools
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
        """The regular expression, compiled once it is needed, which is seldom."""
        return _compiled(self.regex)


@functools.cache
def _compiled(regex: bytes) -> re.Pattern[bytes]:
    return re.compile(regex)


_KEY_LINE: Final = Form(
    "clear-key",
    "an IPsec key in clear",
    frozenset({b"rfc4106", b"hmac", b"cbc"}),
    rb"(?:rfc4106\\*\(gcm\\*\(aes\\*\)\\*\)|hmac\\*\([a-z0-9-]+\\*\)|cbc\\*\(aes\\*\))"  # a shell needs backslashes
    rb"[\W_]{1,60}(?:0x)?[0-9a-fA-F]{16,}",  # whatever a shell, a table or a fold puts between
    f"{SPENT}: keyturn rotate",
)
_PSK: Final = Form(
    "clear-key",
    "a pre-shared key in clear",
    frozenset({b"PSK"}),
    rb"PSK[\"']?\s{0,9}[:=][\s(\"'$]{0,40}(?:0x)?[0-9a-fA-F]{40,}",
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
    rb"-----?\s?BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?\s?-----?(?:"
    rb"[ \t]{0,9}(?:\\+[rn]|\r?\n)(?:[^\w+/\r\n-]{0,40}\r?\n)?[^\w+/\r\n-]{0,40}(?:[-+][ \t]{0,9})?"  # an indentation
    rb"(?:[A-Za-z-]+: |[A-Za-z0-9+/]{4,}={0,2}(?:[\"'\\\s,]*[\r\n\\\"']|\Z))"
    rb"|\s{0,9}[A-Za-z0-9+/]{32,})"  # prose names the header too, and goes on with words
    rb"|PuTTY-User-Key-File-\d:[\s\S]{0,600}?Private-Lines:",
)
_WIREGUARD: Final = Form(
    "clear-wireguard-key",
    "a WireGuard key in clear",
    frozenset({b"rivate", b"RIVATE", b"reshared", b"RESHARED"}),
    rb"(?i)(?:private|pre[-_]?shared)[-_]?key[\W_]{1,24}(?-i:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)",
)
FORMS: Final = (_KEY_LINE, _PSK, _AGE, _PRIVATE, _WIREGUARD)


def search(data: bytes, path: str) -> Iterator[Finding]:
    """Yield where a file holds a secret in clear, each line and rule once.  Nothing of it is in a finding."""
    told: set[tuple[int, str]] = set()
    yield from _searched(data, path, told)
    if b"\0" in data[:_START]:  # UTF-16, as some shells write their history: a line stays a line
        yield from _searched(data.replace(b"\0", b""), path, told)


def _searched(data: bytes, path: str, told: set[tuple[int, str]]) -> Iterator[Finding]:
    line, counted = 1, 0
    for form, offset in sorted(_found(data), key=lambda found: found[1]):
        line += data.count(b"\n", counted, offset)
        counted = offset
        if (line, form.rule) not in told:
            told.add((line, form.rule))
            column = offset - data.rfind(b"\n", 0, offset)
            yield Finding(path, line, column, form.rule, "error", form.message, form.hint)


_START: Final = 1_024


def _found(data: bytes) -> Iterator[tuple[Form, int]]:
    there = [needle for needle in _NEEDLES if needle in data]
    for form in FORMS if there else ():
        if not form.needles.isdisjoint(there):
            for match in form.pattern.finditer(data):
                yield form, match.start()
    for piece in _ENCODED.intersection(there):
        yield from _encoded(data, piece)


def _pieces(word: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of a word at each of its three alignments, without the characters at its ends."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + word).rstrip(b"=")
        yield encoded[(8 * before + 5) // 6 : (8 * (before + len(word))) // 6]


# Halves, since a line of 76 characters may end in a word.
_WORDS: Final = (b"rfc4106(", b"gcm(aes))", b"hmac(sha", b"cbc(aes)", b"AGE-SECR", b"ET-KEY-", b" PRIVATE", b"ATE KEY")
_ENCODED: Final = frozenset(piece for word in _WORDS for piece in _pieces(word))
_NEEDLES: Final = tuple({*_ENCODED, *(needle for form in FORMS for needle in form.needles)})
_AROUND: Final = 400  # characters of base64 that are looked at before a word, and after it
_MOST_TRIED: Final = 500  # places of one file that are decoded
_LEFT: Final = rb"[A-Za-z0-9+/\s\\n]*\Z"
_RIGHT: Final = rb"[A-Za-z0-9+/\s\\n]*"
_WRAPPED: Final = rb"\\n|\\|\s+"


def _encoded(data: bytes, piece: bytes) -> Iterator[tuple[Form, int]]:
    """Yield what is found once base64 is undone around a piece of a word that begins a secret."""
    offset = data.find(piece)
    for _ in range(_MOST_TRIED):
        if offset < 0:
            return
        before = data[max(0, offset - _AROUND) : offset]
        left = len(before) - len(re.sub(_LEFT, b"", before, count=1)) if before else 0
        right = re.match(_RIGHT, data[offset : offset + _AROUND])
        end = offset + (right.end() if right else len(piece))
        text = re.sub(_WRAPPED, b"", data[offset - left : end])
        for skipped in range(4):
            clear = _decoded(text[skipped:])
            found = next((form for form in FORMS if form.pattern.search(clear)), None)
            if found is not None:
                yield found, offset
                break
        offset = data.find(piece, end)


def _decoded(text: bytes) -> bytes:
    """Undo base64; what its alphabet does not have was taken out before."""
    return base64.b64decode(text[: len(text) // 4 * 4])
