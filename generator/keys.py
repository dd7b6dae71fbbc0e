"""IPsec key material and its one line of text.  No I/O; chance comes in as an argument.

The grammar is the agent's, narrowed to what every supported agent, cilium-cli and the kernel take alike:
`<id>+ rfc4106(gcm(aes)) <hex> <icv bits>` or `<id>+ hmac(sha256) <hex> cbc(aes) <hex>`, single blanks, no newline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from generator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ID: Final = 15  # the datapath keeps the id in four bits; 0 means "none"
SALT: Final = 4  # bytes that the kernel takes from the end of a GCM key, RFC 4106
ICV_BITS: Final = (96, 128)  # what both the agent and the kernel accept
DEFAULT_ICV: Final = 128
GCM_BITS: Final = (128, 192, 256)  # of AES
GCM: Final = "rfc4106(gcm(aes))"
CBC: Final = "cbc(aes)"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How a key is used: names as the agent writes them, sizes in bits.

    GCM has an ICV and no authentication key of its own (`auth` empty, `auth_bits` 0); CBC has it the other way round.
    """

    auth: str
    crypt: str
    key_bits: int
    auth_bits: int = 0
    icv_bits: int = 0

    def __str__(self) -> str:
        return f"{self.auth} {self.crypt}".lstrip()

    @property
    def is_known(self) -> bool:
        """Whether agent, cilium-cli and kernel take a key of these sizes."""
        if self.auth:
            sizes = _CBC_BYTES.get(self.auth)
            return sizes == (self.auth_bits // 8, self.key_bits // 8) and self.crypt == CBC and not self.icv_bits
        return self.crypt == GCM and self.key_bits in GCM_BITS and self.icv_bits in ICV_BITS and not self.auth_bits

    @property
    def length(self) -> int:
        """Bytes of material: authentication key and encryption key, or encryption key and salt."""
        return self.auth_bits // 8 + self.key_bits // 8 + (0 if self.auth else SALT)


def algorithm(name: str, key_size: int) -> Algorithm:
    """Return the algorithm that cilium-cli calls `name`; `key_size` is the AES bits of rfc4106-gcm-aes alone."""
    return {
        "rfc4106-gcm-aes": Algorithm("", GCM, key_bits=key_size, icv_bits=DEFAULT_ICV),
        "cbc-aes-sha256": Algorithm("hmac(sha256)", CBC, key_bits=128, auth_bits=128),
        "cbc-aes-sha512": Algorithm("hmac(sha512)", CBC, key_bits=128, auth_bits=256),
    }[name]


@dataclass(frozen=True, slots=True)
class Key:
    """One pre-shared key; `material` is in the line's order and stays out of tracebacks."""

    id: int
    algorithm: Algorithm
    material: bytes = field(repr=False)
    per_tunnel: bool = True

    def line(self) -> str:
        """Return the key line.  It may go to sops and nowhere else."""
        head = f"{self.id}{'+' if self.per_tunnel else ''}"
        used = self.algorithm
        if not used.auth:
            return f"{head} {used.crypt} {self.material.hex()} {used.icv_bits}"
        cut = used.auth_bits // 8
        return f"{head} {used.auth} {self.material[:cut].hex()} {used.crypt} {self.material[cut:].hex()}"

    def fingerprint(self) -> str:
        """Return what names the key in clear: 128 bits of a hash over algorithm and material."""
        import hashlib  # noqa: PLC0415 -- a hook knows no key, and should be quick

        hashed = b"\0".join((b"keyturn-fingerprint-v1", str(self.algorithm).encode(), self.material))
        return f"sha256:{hashlib.sha256(hashed).hexdigest()[:32]}"


def first(used: Algorithm, token_bytes: Callable[[int], bytes]) -> Key:
    """Return a new key with id 1; `token_bytes(n)` gives n bytes from the operating system's generator."""
    return Key(1, used, token_bytes(used.length))


def successor(key_id: int, used: Algorithm, token_bytes: Callable[[int], bytes]) -> Key:
    """Return a new key with the id that follows `key_id`; agents agree on exactly this one, which goes from 15 to 1."""
    return Key(next_id(key_id), used, token_bytes(used.length))


def next_id(key_id: int) -> int:
    return key_id % MAX_ID + 1


def is_id(text: str) -> bool:
    """Whether `text` is a key id, 1..15, as annotations write it."""
    return re.fullmatch(r"[1-9]|1[0-5]", text) is not None


_ID: Final = r"(?P<id>[1-9][0-9]?)(?P<plus>\+?)"
_HEX: Final = r"(?:[0-9a-fA-F]{2})+"
_AEAD: Final = re.compile(rf"{_ID} rfc4106\(gcm\(aes\)\) (?P<key>{_HEX}) (?P<icv>{'|'.join(map(str, ICV_BITS))})")
_AUTH: Final = re.compile(rf"{_ID} (?P<auth>hmac\(sha(?:256|512)\)) (?P<auth_key>{_HEX}) cbc\(aes\) (?P<key>{_HEX})")
_CBC_BYTES: Final = {"hmac(sha256)": (16, 16), "hmac(sha512)": (32, 16)}


def parse(line: str) -> Key:
    """Read a key line.  Raises InputError, which never quotes it: it may be a key with one character missing."""
    if match := _AEAD.fullmatch(line):
        material = bytes.fromhex(match["key"])
        used = Algorithm("", GCM, key_bits=8 * (len(material) - SALT), icv_bits=int(match["icv"]))
    elif match := _AUTH.fullmatch(line):
        auth, crypt = bytes.fromhex(match["auth_key"]), bytes.fromhex(match["key"])
        material = auth + crypt
        used = Algorithm(match["auth"], CBC, key_bits=8 * len(crypt), auth_bits=8 * len(auth))
    else:
        raise InputError("the key line is malformed")
    if not used.is_known:
        raise InputError(f"the key line has a key of a wrong length for {used}")
    if int(match["id"]) > MAX_ID:
        raise InputError(f"the key line has an id above {MAX_ID}")
    return Key(int(match["id"]), used, material, per_tunnel=bool(match["plus"]))


def complaint(line: str) -> str:
    """Say what is wrong with a key line that `parse` refuses, without a quote; empty where nothing is."""
    words = line.split(" ")
    if "" in words or words != line.split():
        return "has blanks where none belong"
    if not re.fullmatch(r"(?:[1-9]|1[0-5])\+?", words[0]):
        return f"does not begin with a key id, 1..{MAX_ID}"
    if len(words) == _AEAD_WORDS:
        return _aead_complaint(*words[1:])
    if len(words) != _AUTH_WORDS:
        return f"has {len(words)} words, where agents take {_AEAD_WORDS} ({GCM}) or {_AUTH_WORDS} (with {CBC})"
    return _auth_complaint(*words[1:])


_AEAD_WORDS: Final = 4
_AUTH_WORDS: Final = 5


def _aead_complaint(name: str, key: str, icv: str) -> str:
    if name != GCM:
        return f"names an algorithm that is not {GCM}"
    if not re.fullmatch(_HEX, key):
        return "has a key that is not hexadecimal bytes"
    if icv not in map(str, ICV_BITS):
        return f"has an ICV that is not {' or '.join(map(str, ICV_BITS))} bits: the kernel takes no other"
    size = len(key) // 2
    known = [bits // 8 + SALT for bits in GCM_BITS]
    return "" if size in known else f"has a key of {size} bytes; {GCM} takes {', '.join(map(str, known))}"


def _auth_complaint(auth: str, auth_key: str, crypt: str, key: str) -> str:
    if auth not in _CBC_BYTES or crypt != CBC:
        return f"names algorithms that are not {' or '.join(_CBC_BYTES)} with {CBC}"
    if not (re.fullmatch(_HEX, auth_key) and re.fullmatch(_HEX, key)):
        return "has a key that is not hexadecimal bytes"
    sizes, known = (len(auth_key) // 2, len(key) // 2), _CBC_BYTES[auth]
    told = "has keys of {} and {} bytes; {} takes {} and {}"
    return "" if sizes == known else told.format(*sizes, auth, *known)
