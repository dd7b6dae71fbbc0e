"""What crossed, summed up as a capture is read, in memory that does not grow with it.  Pure.

What is new is decoded and put into a row, what is like a packet before is counted there; nothing is judged here but
what an address is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from generator import packets, shortcuts
from generator.packets import Packet
from generator.shortcuts import Shortcuts, Sum
from generator.sightings import Sightings, is_unicast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.networks import Membership
    from generator.packets import Flow, Kind, Ports
    from generator.shortcuts import Key
    from generator.sightings import Relation

MAX_ROWS: Final = 10_000  # flows told one by one; the rest is one sum
BEYOND: Final = -1  # the interface of what came after too many of them

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
class Tally:
    """The rows of one capture, and what was learned beside."""

    link: int
    ports: Ports
    sightings: Sightings
    shortcuts: Shortcuts
    rows: dict[Row, Sum] = field(default_factory=dict)
    packets: int = 0

    @classmethod
    def of(cls, link: int, ports: Ports, membership: Membership, *, is_esp_outermost: bool) -> Tally:
        sightings = Sightings(membership, is_esp_outermost)
        return cls(link, ports, sightings, Shortcuts.to(link, ports, sightings))

    @property
    def membership(self) -> Membership:
        return self.sightings.membership

    def read(self, captured: Iterable[tuple[int, bytes]]) -> None:
        """Sum up packets: each its length on the wire, and its bytes."""
        shape, look = shortcuts.shape(self.link), self.shortcuts.look
        number = before = self.packets
        for number, (length, data) in enumerate(captured, before + 1):
            key, found = look(data, shape)
            if found is None:
                if not length and not data:
                    continue  # nothing, which some writers leave at the end
                found = self._unseen(number, key, data)
            found.packets += 1
            found.bytes += length
        self.packets = number

    def _unseen(self, number: int, key: Key | None, data: bytes) -> Sum:
        """Return the sum that a packet belongs to whose key is not known, and keep its key where that says all."""
        key, found = self.shortcuts.like(data, key)
        if found is not None:
            return found
        packet = packets.decode(self.link, data, self.ports)
        row = self._row(packet)
        found = self.rows.get(row)
        if found is None:
            row = self._bounded(row)
            found = self.rows.setdefault(row, Sum(0, 0, number))
        is_alike = row.flow is None and row.kind == packet.kind and row.kind in ("clear", "esp")
        self.shortcuts.keep(key, packet, found, is_alike=is_alike)
        return found

    def _bounded(self, row: Row) -> Row:
        """Return the row that a new one goes to: once there are many, one for all that is judged alike."""
        if len(self.rows) < (MAX_ROWS if row.flow else 2 * MAX_ROWS):
            return row
        row = row._replace(flow=None, number=0, way=None if isinstance(row.way, bytes) else row.way)
        if len(self.rows) < 3 * MAX_ROWS:
            return row
        self.sightings.underlays.add(BEYOND)  # a flood of interfaces, made by somebody who has something to hide
        return row._replace(interface=BEYOND)

    def _row(self, packet: Packet) -> Row:
        frame, flow = packet.frame, packet.flow
        if frame is None:
            return Row(0, is_inner=False, way=None, kind="cut", tunnel="")
        is_inner = frame.hardware in (packets.ARPHRD_NONE, packets.ARPHRD_LOOPBACK)
        if flow is None:
            return Row(frame.interface, is_inner, frame.outgoing, packet.kind, packet.tunnel)
        seen = self.sightings
        outer = seen.relation(flow)
        if flow.protocol in packets.CARRYING and packet.kind == "clear" and not self._carries_pods(packet):
            packet = Packet(frame, "clear", flow)  # not of Cilium, and not of pods either
        if outer == "pods":
            packet = self._pods_own(packet, flow)
        seen.learn(packet, flow, outer)
        talking = packet.inner or flow
        relation = seen.relation(talking) if packet.inner else outer
        kind = packet.kind
        if kind == "cut" and not packet.tunnel and flow.protocol == packets.UDP and relation == "pods":
            kind = "clear"  # its ports are not there, and it is a pod's whatever they are
        if kind == "clear" and packet.tunnel and relation == "nodes" and not is_unicast(talking):
            kind = "other"  # neighbours who look for each other, as IPv6 does on every device
        told = talking if kind == "clear" and (relation != "nodes" or packet.tunnel) else None
        return Row(
            frame.interface, is_inner, self._way(packet, flow), kind, packet.tunnel, packet.number, relation, told
        )

    def _carries_pods(self, packet: Packet) -> bool:
        return packet.inner is not None and self.sightings.relation(packet.inner) in ("pods", "pod")

    def _pods_own(self, packet: Packet, flow: Flow) -> Packet:
        """Return what two pods send each other as what it is to us, though it looks like what nodes say.

        Unless a user gave the pods' networks they may be nodes all the same, so only what is about no pod is theirs.
        """
        if packet.kind == "arp" or (packet.kind == "cut" and not packet.tunnel):
            return packet
        if packet.tunnel:
            is_theirs = self.membership.given or (packet.kind == "clear" and not self._carries_pods(packet))
        else:
            is_bare = packet.kind != "wireguard"
            is_theirs = self.membership.given and not (is_bare and self.sightings.is_esp_outermost)
        return Packet(packet.frame, "clear", flow) if is_theirs else packet

    def _way(self, packet: Packet, flow: Flow) -> Way:
        assert packet.frame is not None  # noqa: S101 -- its caller has looked
        own = self.membership.own
        if packet.frame.outgoing is not None or not own:
            return packet.frame.outgoing
        if flow.source in own:
            return True
        return False if flow.destination in own else packet.frame.mac or None
