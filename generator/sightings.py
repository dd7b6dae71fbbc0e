"""What packets tell, beside what they are: where nodes talk, who is a node, and whose MAC it is.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from generator.networks import Membership
    from generator.packets import Flow, Packet

_MAX: Final = 20_000  # of anything that is kept
_INNER: Final = frozenset({772, 0xFFFE})  # ARPHRD of the loopback, and of what is no Ethernet: tunnels
_POD, _SAID, _OWN, _KNOWN, _ROUTED = 1, 2, 4, 8, 16

Relation = Literal["pods", "pod", "nodes", "unknown"]  # two pods, a pod and another, no pod, or no network to tell by


@dataclass(slots=True)
class Sightings:
    """What was learned of one capture.

    `underlays` are interfaces that carry what passes between nodes; `ends` the ends of tunnels, `inside` whom tunnels
    carry; `macs` are of the node that captured, and `others` of other nodes, each with an address of its own.
    """

    membership: Membership
    is_esp_outermost: bool
    underlays: set[int | bytes] = field(default_factory=set)
    candidates: set[int | bytes] = field(default_factory=set)  # underlays, where --node-ip is of another node
    ends: set[bytes] = field(default_factory=set)
    inside: set[bytes] = field(default_factory=set)
    macs: set[bytes] = field(default_factory=set)
    others: dict[bytes, bytes] = field(default_factory=dict)
    has_own: bool = False  # something came from, or went to, an address that is the node's own
    _standings: dict[bytes, int] = field(default_factory=dict)

    @property
    def nodes(self) -> set[bytes]:
        """The ends of tunnels that no tunnel carries."""
        return self.ends - self.inside if len(self.inside) < _MAX else set()

    @property
    def shared(self) -> set[bytes]:
        """Addresses of other nodes that a MAC sends for which is this node's too, so that MACs tell nothing."""
        return {address for mac, address in self.others.items() if mac in self.macs}

    def is_pod(self, address: bytes) -> bool:
        return bool(self.standing(address) & _POD)

    def standing(self, address: bytes) -> int:
        """Return all that the words of a user or an environment say of an address, as bits."""
        found = self._standings.get(address)
        if found is None:
            if len(self._standings) >= _MAX:
                self._standings.clear()
            tells = self.membership
            if tells.is_pod(address):
                found = _POD | _KNOWN
            else:
                found = _SAID * tells.is_node(address) | _OWN * (address in tells.own) | _KNOWN * tells.knows(address)
            found |= _ROUTED * _is_routed(address)
            self._standings[address] = found
        return found

    def relation(self, flow: Flow) -> Relation:
        source, destination = self.standing(flow.source), self.standing(flow.destination)
        if source & _POD:
            return "pods" if destination & _POD else "pod"
        if destination & _POD:
            return "pod"
        is_said = source & _KNOWN or (source | destination) & _SAID
        return "nodes" if is_said or not is_unicast(flow) else "unknown"

    def learn(self, packet: Packet, flow: Flow, relation: Relation) -> None:
        """Keep what a packet tells, whose outermost flow and the relation of its ends are known."""
        frame, own = packet.frame, self.membership.own
        assert frame is not None  # noqa: S101 -- its caller has looked
        is_own = flow.source in own or flow.destination in own
        is_esp = packet.kind == "esp" and not packet.tunnel
        may_pods = self.is_esp_outermost if is_esp else not own  # they may be addresses of nodes all the same
        is_end = is_esp or packet.kind == "wireguard" or bool(packet.tunnel)
        is_underlay = is_end and (is_own or relation in ("nodes", "unknown") or (relation == "pods" and may_pods))
        if is_end and not is_underlay and relation == "pods" and len(self.candidates) < _MAX:
            self.candidates.add(frame.interface)
        if frame.mac:
            self._learn_mac(packet, flow, relation, is_underlay=is_underlay)
        self.has_own = self.has_own or is_own
        if packet.inner is not None and len(self.inside) < _MAX:
            self.inside.update((packet.inner.source, packet.inner.destination))
        if is_underlay and (is_own or not own) and len(self.ends) < _MAX:
            self.ends.update((flow.source, flow.destination))
        passes = is_underlay or (relation == "nodes" and is_unicast(flow) and self.membership.knows(flow.source))
        is_protected = is_esp or packet.kind == "wireguard"
        if passes and len(self.underlays) < _MAX and (frame.hardware not in _INNER or is_protected):
            self.underlays.add(frame.interface)

    def _learn_mac(self, packet: Packet, flow: Flow, relation: Relation, *, is_underlay: bool) -> None:
        """Keep whose MACs these are: a frame to the node's own address is no frame of its own."""
        frame, own = packet.frame, self.membership.own
        assert frame is not None  # noqa: S101 -- its caller has looked
        if len(self.macs) + len(self.others) >= _MAX:
            return
        if flow.source in own:
            self.macs.add(frame.mac)
            return
        if flow.destination in own and not frame.receiver[0] & 1:  # of one machine
            self.macs.add(frame.receiver)
        if flow.destination in own or (is_underlay and relation == "nodes"):
            self.others.setdefault(frame.mac, flow.source)


def is_unicast(flow: Flow) -> bool:
    """Whether two machines talk to each other, and neither to itself nor by an address of the link alone."""
    return flow.source != flow.destination and _is_routed(flow.source) and _is_routed(flow.destination)


def _is_routed(address: bytes) -> bool:
    if len(address) == 4:  # noqa: PLR2004 -- IPv4
        return address[0] not in (0, 127) and address[0] < 224 and address[:2] != b"\xa9\xfe"  # noqa: PLR2004 -- multicast
    return address[0] not in (0, 0xFF) and address[:2] != b"\xfe\x80"
