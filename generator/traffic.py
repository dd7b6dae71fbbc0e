"""What crossed, summed up as a capture is read, in memory that does not grow with it.  Pure.

Two packets whose deciding bytes are the same are the same to us, so these bytes are a key, and most packets cost one
look into a dictionary.  What is new is decoded and put into a row; nothing is judged here but what an address is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from generator import packets
from generator.packets import Flow, Packet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.networks import Membership
    from generator.packets import Kind, Ports

MAX_ROWS: Final = 10_000  # flows told one by one; the rest is one sum
BEYOND: Final = -1  # the interface of what came after too many of them
_MAX_KEYS: Final = 50_000
_MAX_NODES: Final = 20_000

Relation = Literal["pods", "pod", "nodes"]  # who talks: two pods, a pod and another, or no pod at all
Way = bool | bytes | None  # whether it went out; the sender's MAC where that is to tell; None where nothing does


class Row(NamedTuple):
    """What packets have in common that are summed up together."""

    interface: int | bytes
    is_inner: bool  # a device that is no underlay by its kind: the loopback, a tunnel
    way: Way
    kind: Kind
    tunnel: str
    number: int = 0
    relation: Relation = "nodes"
    flow: Flow | None = None


@dataclass(slots=True)
class Sum:
    packets: int
    bytes: int
    first: int  # the number of the first packet, from 1


Key = tuple[Any, ...]
Taking = Callable[..., tuple[bytes, ...]]
Found = tuple[Taking, int]  # what takes more of a packet, and where
Shape = tuple[int, Taking, Taking]


@dataclass(slots=True)
class Tally:
    """The rows of one capture, and what was learned of its interfaces and addresses.

    `underlays` are interfaces that carry what passes between nodes; `nodes` the ends of tunnels; `macs` the senders of
    what came from one of the node's own addresses, where there was any.
    """

    link: int
    ports: Ports
    membership: Membership
    is_esp_outermost: bool
    rows: dict[Row, Sum] = field(default_factory=dict)
    underlays: set[int | bytes] = field(default_factory=set)
    nodes: set[bytes] = field(default_factory=set)
    macs: set[bytes] = field(default_factory=set)
    has_own: bool = False
    packets: int = 0
    _known: dict[Key, Sum | Found] = field(default_factory=dict)

    def read(self, captured: Iterable[tuple[int, bytes]]) -> None:
        """Sum up packets: each its length on the wire, and its bytes."""
        shape = _shape(self.link)
        number = before = self.packets
        for number, (length, data) in enumerate(captured, before + 1):
            key, found = self._look(data, shape)
            if found is None:
                found = self._unseen(number, key, data)
            found.packets += 1
            found.bytes += length
        self.packets = number

    def _look(self, data: bytes, shape: Shape) -> tuple[Key | None, Sum | None]:
        """Return the key of a packet, None where it has none, and the sum that is known by it."""
        at, ipv4, ipv6 = shape
        try:
            begin = data[at]
            key: Key
            if begin == 0x45:  # noqa: PLR2004 -- IPv4 without options
                key = ipv4(data)
            elif begin >> 4 == 6:  # noqa: PLR2004 -- IPv6
                key = ipv6(data)
            else:
                return None, None
            found = self._known.get(key)
            if isinstance(found, tuple):
                deeper, where = found
                key = (key, deeper(data, where))
                found = self._known.get(key)
        except (IndexError, struct.error):
            return None, None
        return key, found  # type: ignore[return-value]  # nothing lies deeper than that

    def _unseen(self, number: int, key: Key | None, data: bytes) -> Sum:
        """Return the sum that a packet belongs to whose key is not known, and keep its key where that says all."""
        if found := self._known.get(_without_ports(key)):
            return found  # type: ignore[return-value]  # likewise
        if self.link in _TAGGED:
            tagged, found = self._look(data, _shape(self.link, is_tagged=True))
            if found := found or self._known.get(_without_ports(tagged)):
                return found  # type: ignore[return-value]  # likewise
        packet = packets.decode(self.link, data, self.ports)
        row = self._row(packet)
        if row not in self.rows:
            row = self._bounded(row)
        found = self.rows.setdefault(row, Sum(0, 0, number))
        at = packet.frame.at if packet.frame else 0
        if at == _shape(self.link)[0] and key is not None:
            self._keep(key, packet, row, found)
        elif self.link in _TAGGED and at == _shape(self.link, is_tagged=True)[0] and tagged is not None:
            self._keep(tagged, packet, row, found)
        return found

    def _bounded(self, row: Row) -> Row:
        """Return the row that a new one goes to: once there are many, one for all that is judged alike."""
        if len(self.rows) < (MAX_ROWS if row.flow else 2 * MAX_ROWS):
            return row
        row = row._replace(flow=None, number=0, way=None if isinstance(row.way, bytes) else row.way)
        if len(self.rows) < 3 * MAX_ROWS:
            return row
        self.underlays.add(BEYOND)  # a flood of interfaces, which only somebody makes who has something to hide
        return row._replace(interface=BEYOND)

    def _keep(self, key: Key, packet: Packet, row: Row, found: Sum) -> None:
        frame, flow = packet.frame, packet.flow
        if frame is None or flow is None or packet.kind in ("cut", "arp"):
            return
        kept: Sum | Found | None = found
        if isinstance(key[0], tuple):
            kept = found if _says_all(packet, key[1]) else None
        elif packet.kind == "wireguard" or packet.tunnel:
            begins = frame.at + (20 if len(flow.source) == 4 else 40)  # noqa: PLR2004 -- IPv4's addresses
            kept = (_CARRIED if packet.tunnel else _MESSAGE, begins)
        elif key[-2][0] in packets.EXTENSIONS or self._may_be_more(flow, key[-1][-4:]):
            kept = None
        elif row.kind == "clear" and row.flow is None and flow.protocol != packets.UDP:
            key = _without_ports(key)
        if kept is not None:
            if len(self._known) >= _MAX_KEYS:
                self._known.clear()
            self._known[key] = kept

    def _may_be_more(self, flow: Flow, ports: bytes) -> bool:
        """Whether the next packet between the same ports may be another thing, since this one only seemed to be."""
        called = int.from_bytes(ports[2:], "big")
        is_told = packets.WIREGUARD_PORT in (int.from_bytes(ports[:2], "big"), called)
        return flow.protocol == packets.UDP and (is_told or called in self.ports.vxlan | self.ports.geneve)

    def _row(self, packet: Packet) -> Row:
        frame, flow = packet.frame, packet.flow
        if frame is None:
            return Row(0, is_inner=False, way=None, kind="cut", tunnel="")
        is_inner = frame.hardware in (packets.ARPHRD_NONE, packets.ARPHRD_LOOPBACK)
        if flow is None:
            return Row(frame.interface, is_inner, None, packet.kind, packet.tunnel)
        packet = self._pods_own_tunnel(packet, flow)
        self._learn(packet, flow, is_inner=is_inner)
        way = self._way(packet, flow)
        talking = packet.inner or flow
        relation = self._relation(talking)
        kind = packet.kind
        if kind == "cut" and not packet.tunnel and flow.protocol == packets.UDP and relation == "pods":
            kind = "clear"  # its ports are not there, and it is a pod's whatever they are
        if kind == "clear" and packet.tunnel and relation == "nodes" and not _is_unicast(talking):
            kind = "other"  # neighbours who look for each other, as IPv6 does on every device
        is_told = kind == "clear" and (relation != "nodes" or packet.tunnel)
        return Row(
            frame.interface, is_inner, way, kind, packet.tunnel, packet.number, relation, talking if is_told else None
        )

    def _pods_own_tunnel(self, packet: Packet, flow: Flow) -> Packet:
        """Return what two pods send each other in a tunnel of their own as what it is to us: traffic of pods."""
        inner = packet.inner
        if inner is None or self._relation(flow) != "pods" or self._relation(inner) != "nodes":
            return packet
        return Packet(packet.frame, "clear", flow)

    def _relation(self, flow: Flow) -> Relation:
        pods = self.membership.is_pod(flow.source) + self.membership.is_pod(flow.destination)
        return "pods" if pods == 2 else "pod" if pods else "nodes"  # noqa: PLR2004 -- both

    def _way(self, packet: Packet, flow: Flow) -> Way:
        assert packet.frame is not None  # noqa: S101 -- its caller has looked
        if packet.frame.outgoing is not None:
            return packet.frame.outgoing
        own = self.membership.own
        if not own:
            return None
        if flow.source in own:
            return True
        return False if packet.tunnel else packet.frame.mac or None

    def _learn(self, packet: Packet, flow: Flow, *, is_inner: bool) -> None:
        """Keep what a packet tells of its interface, of the nodes' addresses, and of this node's MAC."""
        frame = packet.frame
        assert frame is not None  # noqa: S101 -- its caller has looked
        if flow.source in self.membership.own:
            self.has_own = True
            if frame.mac and len(self.macs) < _MAX_NODES:
                self.macs.add(frame.mac)
        is_end = packet.kind == "wireguard" or bool(packet.tunnel) or (packet.kind == "esp" and self.is_esp_outermost)
        passes = is_end or (self._relation(flow) == "nodes" and _is_unicast(flow))
        is_protected = packet.kind in ("esp", "wireguard") and not packet.tunnel
        if len(self.underlays) < _MAX_NODES and passes and (not is_inner or is_protected):
            self.underlays.add(frame.interface)
        if is_end and len(self.nodes) < _MAX_NODES:
            self.nodes.update((flow.source, flow.destination))


def _is_unicast(flow: Flow) -> bool:
    """Whether two machines talk to each other, and neither to itself nor by an address of the link alone."""
    return flow.source != flow.destination and _is_routed(flow.source) and _is_routed(flow.destination)


def _is_routed(address: bytes) -> bool:
    if len(address) == 4:  # noqa: PLR2004 -- IPv4
        return address[0] not in (0, 127) and address[0] < 224 and address[:2] != b"\xa9\xfe"  # noqa: PLR2004 -- multicast
    return address[0] not in (0, 0xFF) and address[:2] != b"\xfe\x80"


def _says_all(packet: Packet, taken: tuple[bytes, ...]) -> bool:
    """Whether the bytes that were taken of a tunnel or a message decide what it is: IPv4 is where it should be."""
    if not packet.tunnel:
        return len(taken) == 2  # noqa: PLR2004 -- of a message
    is_plain = packet.tunnel == "vxlan" or (taken[0][0] == 0 and taken[0][2:] == b"\x65\x58")
    return is_plain and taken[1] == b"\x08\x00\x45"


def _without_ports(key: Key | None) -> Key:
    """Return the key of all that two addresses say to each other by a protocol, whose ports do not matter."""
    if key is None or isinstance(key[0], tuple):
        return ()
    return (*key[:-1], key[-1][:-4])


_MESSAGE: Final = struct.Struct("4x2s2x4s").unpack_from  # from UDP's header on: length, and WireGuard's first bytes
_CARRIED: Final = struct.Struct("8x4s16x3s5x2sxs2x12s").unpack_from  # a tunnel's first bytes, then as in _shape
_LINKS: Final = {packets.ETHERNET: (14, "6x8s"), packets.SLL: (16, "16s"), packets.SLL2: (20, "11s9x")}
_TAGGED: Final = {packets.ETHERNET: (18, "6x12s"), packets.SLL: (20, "16s4s"), packets.SLL2: (24, "11s9x4s")}


@cache
def _shape(link: int, *, is_tagged: bool = False) -> Shape:
    """Return where IP begins, with one VLAN tag or none, and what takes the bytes that decide out of IPv4 and IPv6.

    Of IPv4 the first byte, the fragment's flags and place, the protocol, the addresses and what follows them (ports, or
    an SPI); of IPv6 the same but for the fragment, which is a header of its own.  Before that who sent it, and how.
    """
    plain = (4, "4x") if link in packets.LOOPBACK else (0, "")
    at, before = _TAGGED[link] if is_tagged else _LINKS.get(link, plain)
    ipv4, ipv6 = struct.Struct(f"{before}s5x2sxs2x12s"), struct.Struct(f"{before}6xsx36s")
    return at, ipv4.unpack_from, ipv6.unpack_from
