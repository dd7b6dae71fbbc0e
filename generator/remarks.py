"""What a person should know of a capture beside the answer, and do next.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from generator import networks, packets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.judgement import Answer, Crossed

TUNNELS: Final = {"": "", "vxlan": " in VXLAN", "geneve": " in Geneve", "ipip": " in IP", "gre": " in GRE"}
_UNDERLAY: Final = (
    "capture the interface that has the node's own address, such as eth0 (ip route get ANOTHER-NODE names it), "
    "or all: tcpdump -i any -w FILE"
)
_ANY: Final = "tcpdump -i any keeps the direction"


def flow(one: Crossed) -> str:
    """Return who talks to whom, in words."""
    found = one.flow
    if found is None:
        return f"other flows{TUNNELS[one.tunnel]}"
    port = "" if found.port is None else f" port {found.port}"
    ends = f"{networks.shown(found.source)} -> {networks.shown(found.destination)}"
    return f"{ends} {protocol(found.protocol)}{port}{TUNNELS[one.tunnel]}"


def protocol(number: int) -> str:
    return packets.PROTOCOLS.get(number, str(number))


def notes(answer: Answer) -> Iterator[str]:
    """Yield what a person should know beside the answer, and do next."""
    if answer.damage:
        yield answer.damage
    if answer.is_inner and answer.has_direction:
        yield "capture whatever passes, with no filter that leaves nodes out: tcpdump -i any -w FILE"
    elif answer.is_inner:
        yield f"looks like cilium_wg0, cilium_vxlan, a pod's lxc... or the like; {_UNDERLAY}"
    yield from _undecided(answer)
    if answer.cut.packets:
        yield f"packet {answer.cut.first} ends before the header that decides; capture more of each: tcpdump -s 0"
    yield from _about_keys(answer)
    if answer.taken_for_nodes:
        told = _some(answer.taken_for_nodes)
        yield f"{told} lie in the pods' networks and were taken for nodes; --node-cidr says so for sure"
    if answer.left_out is not None and not answer.is_inner:
        where = f"{flow(answer.left_out)}, the first is packet {answer.left_out.sum.first}"
        yield f"left out, since it is where no nodes talk: {where}; look there if that is a node's own"


def _undecided(answer: Answer) -> Iterator[str]:
    """Yield for each reason what would decide it."""
    ends: dict[str, set[bytes]] = {}
    for one in answer.undecided:
        seen = ends.setdefault(one.reason or "", set())
        if one.flow is not None:
            seen.update((one.flow.source, one.flow.destination))
    if "direction" in ends:
        yield _aimless(answer)
    if "interface" in ends:
        yield (
            "nothing that went out passes between nodes, so which interface is the underlay is not known; "
            "a newer tcpdump -i any tells interfaces (-y LINUX_SLL2)"
        )
    if "carried" in ends:
        yield "tunnels carry addresses of no pod network: say the pods' networks with --pod-cidr"
    if "learned" in ends:
        told = _some(ends["learned"] & answer.sightings.nodes)
        yield f"{told} lie in the pods' networks and are ends of tunnels; --node-cidr says which are nodes"
    if "family" in ends:
        yield f"no network of pods is known that {_some(ends['family'])} could be in: say all of them with --pod-cidr"
    if "outside" in ends:
        found = {one for one in ends["outside"] if answer.sightings.membership.may_be_pod(one)}
        yield f"{_some(found)} lie in the environment's pod networks, outside of --pod-cidr: say all of them"
    if "many" in ends:
        yield "there are too many flows to tell each; capture less at a time"


def _aimless(answer: Answer) -> str:
    """Return why nothing tells whether packets left, and what would."""
    sightings = answer.sightings
    if not answer.expected.networks.own:
        return "say the node's own addresses with --node-ip, or capture with tcpdump -i any, which keeps the direction"
    if not sightings.has_own:
        return f"nothing came from --node-ip or went to it, so this may be no interface of that node; {_UNDERLAY}"
    if sightings.shared:
        told = _some(sightings.shared)
        return f"one MAC sends for --node-ip and for {told}, so MACs tell no direction; say all --node-ip, or {_ANY}"
    if answer.link != packets.ETHERNET:
        return f"this link has no MACs, so nothing tells whether packets of pods left; {_ANY}"
    return f"there are too many flows to tell by each one's MAC whether it left; {_ANY}"


def _some(addresses: Iterable[bytes]) -> str:
    shown = [networks.shown(one) for one in sorted(addresses, key=lambda one: (len(one), one))]
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""  # noqa: PLR2004 -- enough to see which
    return f"{', '.join(shown[:3])}{more}"


def _about_keys(answer: Answer) -> Iterator[str]:
    expected = answer.expected
    whose = {expected.whose(spi) for spi, _ in answer.spis}
    if expected.type == "wireguard":
        if answer.spis:
            yield f"there is ESP, and {expected.environment} has WireGuard, so it does not count"
        if answer.messages and packets.DATA not in answer.messages:
            yield "WireGuard shook hands and carried no data"
        return
    if packets.DATA in answer.messages:
        yield f"there is WireGuard, and {expected.environment} has IPsec, so it does not count"
    if "other" in whose:
        ids = ", ".join(
            str(spi) for spi in sorted({spi for spi, _ in answer.spis if expected.whose(spi) == "other"})[:5]
        )
        known = f"{expected.key_id}" + (f" or {expected.previous}" if expected.previous else "")
        yield f"ESP with SPI {ids} is by no key of {expected.environment}, whose id is {known}, so it does not count"
    if "previous" in whose and "current" not in whose:
        yield f"all ESP is by key {expected.previous}, none yet by {expected.key_id}: nodes have not moved"
