"""Which bytes decide what a packet is: keys by which one is known that is like one before.  Pure.

Two packets whose deciding bytes are the same are the same to us, so most packets cost one look into a dictionary.  Of
two ports only the one that is called decides, but for those of tunnels and WireGuard.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from generator import packets
from generator.packets import EPHEMERAL, UDP, WIREGUARD_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from generator.packets import Packet, Ports
    from generator.sightings import Sightings

_MAX_KEYS: Final = 50_000
_TCP: Final = 6

Key = tuple[Any, ...]


@dataclass(slots=True)
class Sum:
    packets: int
    bytes: int
    first: int  # the number of the first packet, from 1


@dataclass(frozen=True, slots=True)
class Deeper:
    """What takes more of a packet, and where."""

    take: Callable[[bytes, int], Key]
    at: int


class Taking(NamedTuple):
    """What takes the bytes that decide: with both ports or an SPI, with the second port, with the first."""

    whole: Callable[[bytes], Key]
    second: Callable[[bytes], Key]
    first: Callable[[bytes], Key]


class Shape(NamedTuple):
    """Where IP begins, and what to take of it."""

    at: int
    ipv4: Taking
    ipv6: Taking


@dataclass(slots=True)
class Shortcuts:
    """What was seen before of one capture, by the bytes that decide.

    `_inside` has what takes a deeper look, `_by_standing` what goes by what addresses are.
    """

    link: int
    told: frozenset[int]  # ports of tunnels, and WireGuard's
    sightings: Sightings
    _known: dict[Key, Sum | Deeper] = field(default_factory=dict)
    _inside: dict[Key, Sum] = field(default_factory=dict)
    _by_standing: dict[Key, Sum] = field(default_factory=dict)

    @classmethod
    def to(cls, link: int, ports: Ports, sightings: Sightings) -> Shortcuts:
        return cls(link, ports.vxlan | ports.geneve | {WIREGUARD_PORT}, sightings)

    def look(self, data: bytes, shape: Shape) -> tuple[Key | None, Sum | None]:
        """Return the key of a packet, None where it has none, and the sum that is known by it."""
        at, ipv4, ipv6 = shape
        try:
            begin = data[at]
            if begin == 0x45:  # noqa: PLR2004 -- IPv4 without options
                protocol = data[at + 9]
                take = self._taking(data, at + 20, protocol, ipv4) if protocol in _PORTED else ipv4.whole
            elif begin >> 4 == 6:  # noqa: PLR2004 -- IPv6
                protocol = data[at + 6]
                take = self._taking(data, at + 40, protocol, ipv6) if protocol in _PORTED else ipv6.whole
            else:
                return None, None
            key = take(data)
            found = self._known.get(key)
            if isinstance(found, Deeper):
                key = (key, found.take(data, found.at))
                return key, self._inside.get(key)
        except (IndexError, struct.error):
            return None, None
        return key, found

    def _taking(self, data: bytes, at: int, protocol: int, taking: Taking) -> Callable[[bytes], Key]:
        """Return what takes the port that decides, as packets.decode tells which that is."""
        source, destination = _TWO(data, at)
        is_answer = destination >= EPHEMERAL > source
        if protocol == UDP:
            if destination in self.told:
                return taking.whole if is_answer else taking.second
            if source == WIREGUARD_PORT:
                return taking.whole
        return taking.first if is_answer else taking.second

    def like(self, data: bytes, key: Key | None) -> tuple[Key | None, Sum | None]:
        """Return what is known of a packet whose own key is not: behind a VLAN's tag, or by what its addresses are."""
        if self._is_tagged(data):
            key, found = self.look(data, shape(self.link, is_tagged=True))
            if found is not None:
                return key, found
        return key, self._by_standing.get(self._standing_key(key))

    def _is_tagged(self, data: bytes) -> bool:
        at = _ETHERTYPES.get(self.link)
        return at is not None and data[at : at + 2] in packets.VLANS

    def keep(self, key: Key | None, packet: Packet, found: Sum, *, is_alike: bool) -> None:
        """Keep the key of a packet, where that says all; `is_alike` where only what its addresses are matters."""
        frame, flow = packet.frame, packet.flow
        if key is None or frame is None or flow is None or packet.kind in ("cut", "arp"):
            return
        if frame.at not in (shape(self.link).at, shape(self.link, is_tagged=True).at):
            return
        if len(self._known) + len(self._inside) + len(self._by_standing) >= _MAX_KEYS:
            for kept in (self._known, self._inside, self._by_standing):
                kept.clear()
        is_deeper = isinstance(key[0], tuple)
        if is_deeper and not _says_all(packet, key[1]):
            return
        if not is_deeper and flow.protocol == UDP and (packet.kind == "wireguard" or packet.tunnel):
            begins = frame.at + (20 if len(flow.source) == 4 else 40)  # noqa: PLR2004 -- IPv4's addresses
            self._known[key] = Deeper(_CARRIED if packet.tunnel else _message, begins)
        elif is_deeper or not self._may_be_more(key, flow.protocol):
            if is_alike and (alike := self._standing_key(key)):
                self._by_standing[alike] = found
            elif is_deeper:
                self._inside[key] = found
            else:
                self._known[key] = found

    def _may_be_more(self, key: Key, protocol: int) -> bool:
        """Whether the next packet of this key may be another thing, since more of it decides than is in the key."""
        if len(key[-1]) > 2:  # noqa: PLR2004 -- a port
            is_whole = len(key[-1]) in _WHOLE
            return is_whole and (protocol == UDP or key[-2][0] in _LONGER)
        return protocol == UDP and int.from_bytes(key[-1], "big") in self.told

    def _standing_key(self, key: Key | None) -> Key:
        """Return the key of all that such addresses say to each other by a protocol, empty where more decides."""
        if key is None:
            return ()
        if isinstance(key[0], tuple):
            return self._standing_key_inside(key)
        last, begin = key[-1], key[:-1]
        if len(last) == 2:  # noqa: PLR2004 -- a port
            if begin[-2][0] == UDP and int.from_bytes(last, "big") in self.told:
                return ()
            begin, last = begin[:-1], begin[-1]
        elif len(last) in _WHOLE:
            if begin[-1][0] in _NOT_BY_ADDRESS:
                return ()
            last = last[:-4]
        else:
            last = last[:-2]
        half = len(last) >> 1
        source, destination = last[:half], last[half:]
        standing = self.sightings.standing
        return *begin, half, standing(source), standing(destination), source == destination

    def _standing_key_inside(self, key: Key) -> Key:
        """Return the same for ESP in a tunnel, whose addresses are known to be carried."""
        (outer, taken), inside = key, self.sightings.inside
        if len(taken) != _CARRIED_PARTS or taken[3][0] != packets.ESP:
            return ()
        source, destination, spi = taken[4][:4], taken[4][4:8], taken[4][8:]
        if source not in inside or destination not in inside:
            return ()
        standing = self.sightings.standing
        return outer, taken[:4], spi, standing(source), standing(destination), source == destination


def _says_all(packet: Packet, taken: Key) -> bool:
    """Whether the bytes that were taken of a tunnel or a message decide what it is: IPv4 is where it should be."""
    if not packet.tunnel:
        return len(taken) == 2  # noqa: PLR2004 -- of a message
    is_plain: bool = packet.tunnel == "vxlan" or (taken[0][0] == 0 and taken[0][2:] == b"\x65\x58")
    return is_plain and taken[1] == b"\x08\x00\x45"


def _message(data: bytes, at: int) -> Key:
    """Return WireGuard's first bytes, and whether what follows is too short."""
    (first,) = _FIRST(data, at)
    return first, packets.is_short(data, at)


_TWO: Final = struct.Struct(">HH4x").unpack_from  # ports, where UDP's header is there
_PORTED: Final = frozenset({UDP, _TCP})
_WHOLE: Final = (12, 36)  # addresses and four bytes more
_FIRST: Final = struct.Struct("8x4s").unpack_from  # behind UDP's header
_CARRIED: Final = struct.Struct("8x4s16x3s5x2sxs2x12s").unpack_from  # a tunnel's first bytes, then as in shape
_CARRIED_PARTS: Final = 5
_LONGER: Final = packets.EXTENSIONS | packets.CARRYING  # more decides than the four bytes that follow addresses
_NOT_BY_ADDRESS: Final = _LONGER | {UDP, packets.ESP}
_ETHERTYPES: Final = {packets.ETHERNET: 12, packets.SLL: 14, packets.SLL2: 0}
_LINKS: Final = {packets.ETHERNET: (14, "6x8s"), packets.SLL: (16, "16s"), packets.SLL2: (20, "11s9x")}
_TAGGED: Final = {packets.ETHERNET: (18, "6x12s"), packets.SLL: (20, "16s4s"), packets.SLL2: (24, "11s9x4s")}


@cache
def shape(link: int, *, is_tagged: bool = False) -> Shape:
    """Return where IP begins, with one VLAN tag or none, and what takes the bytes that decide out of IPv4 and IPv6.

    Of IPv4 the first byte, the fragment's flags and place, the protocol, the addresses and what follows them (ports, or
    an SPI); of IPv6 the same but for the fragment, which is a header of its own.  Before that who sent it, and how.
    """
    plain = (4, "4x") if link in packets.LOOPBACK else (0, "")
    at, before = _TAGGED[link] if is_tagged and link in _TAGGED else _LINKS.get(link, plain)
    ipv4 = (f"{before}s5x2sxs2x{rest}" for rest in ("12s", "8s2x2s4x", "10s6x"))
    ipv6 = (f"{before}6xsx{rest}" for rest in ("36s", "32s2x2s4x", "34s6x"))
    return Shape(at, *(Taking(*(struct.Struct(one).unpack_from for one in some)) for some in (ipv4, ipv6)))
