"""Whether what crossed between nodes was encrypted as an environment says: a tally in, an answer out.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from generator import packets
from generator.shortcuts import Sum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from generator.model import EncryptionType
    from generator.networks import Networks
    from generator.packets import Flow
    from generator.sightings import Sightings
    from generator.traffic import Row, Tally

Verdict = Literal["encrypted", "clear", "undecided", "nothing"]
Whose = Literal["current", "previous", "other"]
Reason = Literal["direction", "interface", "carried", "learned", "family", "outside", "many"]
Passage = Literal["judged", "by design", "nodes"] | Reason
COOKED: Final = (packets.SLL, packets.SLL2)  # tcpdump -i any, which keeps the direction


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
    """Packets in clear that have their flow in common; without one they are the rest, after too many flows.

    `reason` is why it is undecided, where it is: nothing tells whether they left (direction, interface), or whether
    they are of pods: the rest of the reasons, for which see _passage.
    """

    flow: Flow | None
    tunnel: str
    sum: Sum
    reason: Reason | None = None


@dataclass(slots=True)
class Answer:
    """What is known of one capture.

    `clear` went out between nodes though it should not, `undecided` may have; `inbound` came in, as what was decrypted
    does; `by_design` is what Cilium leaves in clear without encryption of nodes, `nodes` what nodes said to each other.
    """

    file: str
    expected: Expected
    sightings: Sightings
    link: int
    packets: int = 0
    damage: str = ""
    spis: dict[tuple[int, str], Sum] = field(default_factory=dict)
    messages: dict[int, Sum] = field(default_factory=dict)
    clear: list[Crossed] = field(default_factory=list)
    undecided: list[Crossed] = field(default_factory=list)
    by_design: list[Crossed] = field(default_factory=list)
    inbound: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    nodes: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    inner: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    cut: Sum = field(default_factory=lambda: Sum(0, 0, 0))
    taken_for_nodes: set[bytes] = field(default_factory=set)
    left_out: Crossed | None = None  # the first of pods that went out where no nodes talk
    is_inner: bool = False  # all of it is of a device that is clear by nature

    @property
    def has_direction(self) -> bool:
        return self.link in COOKED

    @property
    def encrypted(self) -> Sum:
        """What was encrypted as the environment says."""
        found = [one for (spi, _), one in self.spis.items() if self.expected.whose(spi) != "other"]
        if self.expected.type == "wireguard" and packets.DATA in self.messages:
            found.append(self.messages[packets.DATA])
        return total(found)

    @property
    def verdict(self) -> Verdict:
        if self.clear:
            return "clear"
        if self.is_inner or self.undecided or self.damage or self.cut.packets:
            return "undecided"
        return "encrypted" if self.encrypted.packets else "nothing"


def judge(file: str, tally: Tally, expected: Expected, damage: str = "") -> Answer:
    """Return what a tally says."""
    judging = _Judging(tally, expected, Answer(file, expected, tally.sightings, tally.link, tally.packets, damage))
    answer = judging.answer
    for row, found in tally.rows.items():
        judging.put(row, found)
    for crossed in (answer.clear, answer.undecided, answer.by_design):
        crossed.sort(key=lambda one: one.sum.first)
    answer.is_inner = not judging.underlays and answer.inner.packets > 0
    return answer


class _Judging:
    def __init__(self, tally: Tally, expected: Expected, answer: Answer) -> None:
        self.answer, self.link = answer, tally.link
        self.seen, self.expected = tally.sightings, expected
        self.underlays = _underlays(tally)
        self.nodes, self.shared = self.seen.nodes, self.seen.shared
        self.learned = set() if expected.networks.given else {one for one in self.nodes if self.seen.is_pod(one)}

    def put(self, row: Row, found: Sum) -> None:
        """Count a row where it belongs."""
        answer, is_underlay = self.answer, row.interface in self.underlays
        if row.kind == "wireguard":
            _add(answer.messages.setdefault(row.number, Sum(0, 0, found.first)), found)
        elif row.kind == "esp" and is_underlay:
            _add(answer.spis.setdefault((row.number, row.tunnel), Sum(0, 0, found.first)), found)
        elif row.kind == "cut":
            if self._way(row) is not False and (is_underlay or not self.underlays or row.interface == 0):
                _add(answer.cut, found)
        elif row.kind in ("esp", "clear") and not is_underlay:
            self._put_elsewhere(row, found)
        elif row.kind == "clear":
            self._put_clear(row, found)

    def _put_elsewhere(self, row: Row, found: Sum) -> None:
        """Leave out what crossed where no nodes talk, but where the interface of what goes out is not known."""
        is_pods = row.kind == "clear" and row.way is True and self._passage(row) not in ("nodes", "by design")
        if is_pods and self.link == packets.SLL and not any(isinstance(one, bytes) for one in self.underlays):
            self.answer.undecided.append(Crossed(row.flow, row.tunnel, found, "interface"))
            return
        _add(self.answer.inner, found)
        first = self.answer.left_out
        if is_pods and not row.is_inner and (first is None or found.first < first.sum.first):
            self.answer.left_out = Crossed(row.flow, row.tunnel, found)

    def _put_clear(self, row: Row, found: Sum) -> None:
        way, passage, answer = self._way(row), self._passage(row), self.answer
        if passage == "nodes":
            if way is not False:
                _add(answer.nodes, found)
        elif passage == "by design":
            if way is not False:
                answer.by_design.append(Crossed(row.flow, row.tunnel, found))
        elif way is False:
            _add(answer.inbound, found)
        elif way is None:
            answer.undecided.append(Crossed(row.flow, row.tunnel, found, "direction"))
        elif passage == "judged":
            answer.clear.append(Crossed(row.flow, row.tunnel, found))
        else:
            answer.undecided.append(Crossed(row.flow, row.tunnel, found, passage))

    def _passage(self, row: Row) -> Passage:
        """Return what a row in clear is to us, or why that is not known.

        In a tunnel all is of pods, though its addresses may be of no network that is known (carried).
        """
        if row.tunnel:
            return "judged" if row.relation in ("pods", "pod") else "carried"
        if row.flow is None:
            return self._rest(row)
        ends = {row.flow.source, row.flow.destination}
        if row.relation == "unknown":
            return "nodes" if ends & self.nodes else "family"
        if row.relation == "pods":
            return "learned" if ends & self.learned else "judged"
        return self._of_one_pod(row.flow)

    def _of_one_pod(self, flow: Flow) -> Passage:
        seen, is_encrypted = self.seen, self.expected.node_encryption
        pod, other = (flow.source, flow.destination) if seen.is_pod(flow.source) else (flow.destination, flow.source)
        is_node = seen.membership.is_node(other) or other in self.nodes
        if pod in self.learned:
            if is_node and is_encrypted:
                return "learned"
            self.answer.taken_for_nodes.add(pod)
            return "nodes"
        if is_node:
            return "judged" if is_encrypted else "by design"
        return "outside" if seen.membership.may_be_pod(other) else "by design"

    def _rest(self, row: Row) -> Passage:
        """Return what those flows are that were too many to tell one by one."""
        if row.relation == "pods":
            return "many" if self.learned else "judged"
        if row.relation == "pod":
            return "many" if self.expected.node_encryption or self.expected.networks.unsaid else "by design"
        return "family" if row.relation == "unknown" else "nodes"

    def _way(self, row: Row) -> bool | None:
        """Return whether a row went out, None where nothing tells."""
        if not isinstance(row.way, bytes):
            return row.way
        return None if self.shared or not self.seen.macs else row.way in self.seen.macs


def _underlays(tally: Tally) -> set[int | bytes]:
    """Return the interfaces that nodes talk on; where they do nowhere, the only one there is."""
    seen, found = tally.sightings, tally.sightings.underlays
    if seen.membership.own and not seen.has_own:
        found = found | seen.candidates
    if found or tally.link not in COOKED:
        return found
    all_of_them = {row.interface for row in tally.rows if not (row.kind == "cut" and row.way is None)}
    is_one = len(all_of_them) == 1 and not any(row.is_inner for row in tally.rows)
    is_known = tally.link == packets.SLL2 or all_of_them != {0}  # what comes in has no interface in the older form
    return all_of_them if is_one and is_known else found


def total(found: Iterable[Sum]) -> Sum:
    whole = Sum(0, 0, 0)
    for one in found:
        _add(whole, one)
    return whole


def _add(whole: Sum, found: Sum) -> None:
    whole.first = min(whole.first, found.first) if whole.packets else found.first
    whole.packets += found.packets
    whole.bytes += found.bytes
