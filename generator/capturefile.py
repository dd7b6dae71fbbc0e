"""Captures as they stand on the disk or come through a pipe: the gate to libpcap, which reads pcap and pcapng.

A capture is untrusted: libpcap bounds what one packet takes, and what it cannot read ends the file with one line.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pcapy

from generator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN: Final = "-"
_WHOLE: Final = "tcpdump -r FILE -w WHOLE writes what is whole"
_ONE: Final = "write one capture an interface, or let tcpdump -i any write pcap"
_PACKED: Final = {
    b"\x1f\x8b": ("gzip", "zcat"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstdcat"),
    b"\xfd7zXZ": ("xz", "xzcat"),
    b"BZh": ("bzip2", "bzcat"),
}


@dataclass(slots=True)
class Capture:
    """A capture that has been opened; `damage` tells once it was read why that ended early, empty where it did not."""

    name: str
    link: int  # libpcap's DLT_...
    _reader: pcapy.Reader
    damage: str = ""

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """Yield each packet: its length on the wire, and the bytes that were captured of it."""
        following = self._reader.next
        number = 0
        try:
            while True:
                header, data = following()
                if header is None:
                    return
                number += 1
                yield header.getlen(), data
        except pcapy.PcapError as error:
            self.damage = _damage(str(error), number)


def _damage(words: str, number: int) -> str:
    where = f"after packet {number}" if number else "before the first packet"
    way_out = f"; {_WHOLE}" if number else ""
    if words.startswith("truncated"):
        return f"is cut off {where}{way_out}"
    if "the first interface" in words:  # libpcap's readers have one link type and one snapshot length
        return f"holds interfaces of different kinds, and was read no further than {where}; {_ONE}"
    return f"is damaged {where}: {words}{way_out}"


def opened(name: str) -> Capture:
    """Open a capture, `-` for stdin.  Raises InputError where it is none, OSError where it cannot be read."""
    shown = "stdin" if name == STDIN else os.fsencode(name).decode("utf-8", "backslashreplace")
    if name != STDIN:
        _look(name, shown)
    try:
        reader = _reader(name)
    except pcapy.PcapError as error:
        raise _refusal(shown, str(error)) from None
    return Capture(shown, reader.datalink(), reader)


def _reader(name: str) -> pcapy.Reader:
    """Return libpcap's reader, whose binding takes names in UTF-8 alone."""
    try:
        return pcapy.open_offline(name)
    except UnicodeEncodeError:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            return pcapy.open_offline(f"/dev/fd/{descriptor}")
        finally:
            os.close(descriptor)


def _refusal(shown: str, words: str) -> InputError:
    if words.startswith("truncated") and words.endswith("only got 0"):
        return InputError(f"{shown}: is empty", hint="tcpdump writes a header at least")
    told = "is cut off in its header" if words.startswith("truncated") else "is no capture"
    return InputError(f"{shown}: {told}", hint="tcpdump -w writes one")


def _look(name: str, shown: str) -> None:
    """Say what libpcap would say in worse words."""
    state = os.stat(name)  # noqa: PTH116 -- a name as the user wrote it, for the error
    if stat.S_ISDIR(state.st_mode):
        raise InputError(f"{shown}: is a folder, and no capture", hint="name the files in it")
    if not stat.S_ISREG(state.st_mode):
        return
    with open(name, "rb") as file:  # noqa: PTH123 -- likewise
        head = file.read(6)
    for magic, (how, unpack) in _PACKED.items():
        if head.startswith(magic):
            raise InputError(f"{shown}: is packed by {how}", hint=f"{unpack} {shown} | keyturn capture - ...")
