"""Whether what crossed between nodes was encrypted as an environment says: a tally in, an answer out.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from generator import packets
from generator.traffic import Sum

if TYPE_CHECKING:
    from generator.model import EncryptionType
    from generator.networks import Networks
    from generator.packets import Flow
    from generator.traffic import Row, Tally

Verdict = Literal["encrypted", "clear", "undecided", "nothing"]
Whose = Literal["current", "previous", "other"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What an environment says of its traffic; the ids are those of its Secret, None without IPsec."""

    environment: str
    type: EncryptionType
    node_encryption: bool
    networks: Networks
    ports: packets.Ports
    is_esp_outermost: bool  # not in VXLAN: from Cilium 1.18 on, and where nothing is tunnelled
    key_id: int | None = None
    previous: int | None = None

    def whose(self, spi: int) -> Whose:
        if self.type == "ipsec" and spi in (self.key_id, self.previous):
            return "current" if spi == self.key_id else "previous"
        return "other"


@dataclass(frozen=True, slots=True)
class Crossed:
    """Packets in clear that have their flow in common; without one they are the rest, after too many flows."""

    flow: Flow | None
    tunnel: str
    sum: Sum


@dataclass(slots=True)
class Answer:
    """What is known of one capture.

    `clear` went out between nodes though it should not, `undecided` may have; `inbound` came in, as what was decrypted
    does; `by_design` is what Cilium leaves in clear without encryption of nodes, `nodes` what nodes said to each other.
    """

    file: str
    expected: Expected
    packets: int = 0
    damage: str = ""
    spis: dict[tuple[int, str], Sum] = field(default_factory=dict)
    messages: dict[int, Sum] = field(default_factory=dict)
    clear: list[Crossed] = field(default_factory=list)
    undecided: list[Crossed] = field(default_factory=list)
    inbound: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    by_design: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    nodes: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    inner: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    cut: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    taken_for_nodes: set[bytes] = field(default_factory=set)
    is_inner: bool = False  # all of it is of a device that is clear by nature
    has_direction: bool = True
    has_own: bool = True  # something came from an address that is the node's own

    @property
    def encrypted(self) -> Sum:
        """What was encrypted as the environment says."""
        total = Sum(0, 0, 0)
        if self.expected.type == "wireguard" and packets.DATA in self.messages:
            _add(total, self.messages[packets.DATA])
        for (spi, _), found in self.spis.items():
            if self.expected.whose(spi) != "other":
                _add(total, found)
        return total

    @property
    def verdict(self) -> Verdict:
        if self.clear:
            return "clear"
        if self.is_inner or self.undecided or self.damage or self.cut.packets:
            return "undecided"
        return "encrypted" if self.encrypted.packets else "nothing"


def judge(file: str, tally: Tally, expected: Expected, damage: str = "") -> Answer:
    """Return what a tally says."""
    answer = Answer(file, expected, tally.packets, damage)
    answer.has_direction = tally.link in (packets.SLL, packets.SLL2)
    answer.has_own = tally.has_own
    learned = set() if expected.networks.given else {one for one in tally.nodes if tally.membership.is_pod(one)}
    for row, found in tally.rows.items():
        _put(answer, tally, row, found, learned)
    for crossed in (answer.clear, answer.undecided):
        crossed.sort(key=lambda one: one.sum.first)
    answer.is_inner = not tally.underlays and answer.inner.packets > 0
    return answer


def _put(answer: Answer, tally: Tally, row: Row, found: Sum, learned: set[bytes]) -> None:
    """Count a row where it belongs."""
    is_underlay = row.interface in tally.underlays
    if row.kind == "wireguard":
        _add(answer.messages.setdefault(row.number, Sum(0, 0, found.first)), found)
    elif row.kind == "esp" and is_underlay:
        _add(answer.spis.setdefault((row.number, row.tunnel), Sum(0, 0, found.first)), found)
    elif row.kind == "cut":
        if _way(tally, row) is not False and (is_underlay or not tally.underlays or row.interface == 0):
            _add(answer.cut, found)
    elif row.kind in ("esp", "clear") and not is_underlay:
        _add(answer.inner, found)
    elif row.kind == "clear":
        _put_clear(answer, tally, row, found, learned)


def _put_clear(answer: Answer, tally: Tally, row: Row, found: Sum, learned: set[bytes]) -> None:
    way = _way(tally, row)
    passage = _passage(answer, tally, row, learned)
    if way is False:
        _add(answer.inbound if passage in ("judged", "unknown") else Sum(0, 0, 0), found)
    elif passage == "nodes":
        _add(answer.nodes, found)
    elif passage == "by design":
        _add(answer.by_design, found)
    else:
        is_decided = way is True and passage == "judged"
        (answer.clear if is_decided else answer.undecided).append(Crossed(row.flow, row.tunnel, found))


def _passage(
    answer: Answer, tally: Tally, row: Row, learned: set[bytes]
) -> Literal["judged", "unknown", "by design", "nodes"]:
    """Return what a row in clear is to us; in a tunnel all is of pods, though we may not know their networks."""
    if row.tunnel:
        return "unknown" if row.relation == "nodes" else "judged"
    if row.flow is None:
        return "judged" if row.relation == "pods" else "by design" if row.relation == "pod" else "nodes"
    ends = (row.flow.source, row.flow.destination)
    answer.taken_for_nodes.update(one for one in ends if one in learned)
    pods = [one for one in ends if tally.membership.is_pod(one) and one not in learned]
    if len(pods) == len(ends):
        return "judged"
    if not pods:
        return "nodes"
    other = ends[0] if pods[0] == ends[1] else ends[1]
    is_node = tally.membership.is_node(other) or other in tally.nodes
    return "judged" if is_node and answer.expected.node_encryption else "by design"


def _way(tally: Tally, row: Row) -> bool | None:
    """Return whether a row went out, None where nothing tells."""
    if tally.link in (packets.SLL, packets.SLL2):
        return row.way is True
    if not tally.has_own:
        return None
    if isinstance(row.way, bytes):
        return row.way in tally.macs if tally.macs else None
    return row.way


def _add(total: Sum, found: Sum) -> None:
    total.first = min(total.first, found.first) if total.packets else found.first
    total.packets += found.packets
    total.bytes += found.bytes
