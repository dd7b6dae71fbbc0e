"""What captures say, as text and JSON.  Nothing is printed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from generator import networks, packets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.judgement import Answer, Crossed, Expected
    from generator.traffic import Sum

SHOWN: Final = 100  # flows that text lists
_TUNNELS: Final = {"": "", "vxlan": " in VXLAN", "geneve": " in Geneve"}
_UNDERLAY: Final = (
    "capture the interface that has the node's own address, such as eth0 (ip route get ANOTHER-NODE names it), "
    "or all: tcpdump -i any -w FILE"
)


def as_json(answers: Iterable[Answer], expected: Expected) -> dict[str, Any]:
    where = expected.networks
    return {
        "environment": expected.environment,
        "type": expected.type,
        "key_id": expected.key_id,
        "previous_key_id": expected.previous,
        "pod_cidrs": [str(one) for one in where.pods],
        "node_cidrs": [str(one) for one in where.nodes],
        "captures": [_json(answer) for answer in answers],
    }


def _json(answer: Answer) -> dict[str, Any]:
    return {
        "file": answer.file,
        "verdict": answer.verdict,
        "packets": answer.packets,
        "damage": answer.damage or None,
        "esp": [
            {"spi": spi, "key": answer.expected.whose(spi), "tunnel": tunnel or None, **_counted(found)}
            for (spi, tunnel), found in sorted(answer.spis.items())
        ],
        "wireguard": [
            {"type": number, "message": packets.MESSAGES[number], **_counted(found)}
            for number, found in sorted(answer.messages.items())
        ],
        "clear": [_flow_json(one) for one in answer.clear],
        "undecided": [_flow_json(one) for one in answer.undecided],
        "inbound": _counted(answer.inbound),
        "by_design": _counted(answer.by_design),
        "nodes": _counted(answer.nodes),
        "inner": _counted(answer.inner),
        "cut": _counted(answer.cut),
        "notes": list(notes(answer)),
    }


def _counted(found: Sum) -> dict[str, Any]:
    return {"packets": found.packets, "bytes": found.bytes, "first": found.first or None}


def _flow_json(one: Crossed) -> dict[str, Any]:
    flow = one.flow
    return {
        "source": networks.shown(flow.source) if flow else None,
        "destination": networks.shown(flow.destination) if flow else None,
        "protocol": _protocol(flow.protocol) if flow else None,
        "port": flow.port if flow else None,
        "tunnel": one.tunnel or None,
        **_counted(one.sum),
    }


def _protocol(number: int) -> str:
    return packets.PROTOCOLS.get(number, str(number))


def lines(answer: Answer) -> Iterator[str]:
    """Yield the verdict, and a line for each thing that was seen."""
    for line in (_verdict(answer), *_seen(answer)):
        yield f"{answer.file}: {line}"


def _verdict(answer: Answer) -> str:
    expected = answer.expected
    of = f"{expected.environment}: {expected.type}"
    encrypted = answer.encrypted.packets
    if answer.verdict == "clear":
        number = sum(one.sum.packets for one in answer.clear)
        first = answer.clear[0].sum.first
        return f"CLEAR: {_packets(number)} of pods left the node in clear, the first is packet {first} ({of})"
    if answer.verdict == "undecided":
        return f"undecided: {', '.join(_reasons(answer))} ({of})"
    if answer.verdict == "nothing":
        return f"NOTHING encrypted as {expected.environment} says, of {_packets(answer.packets)} ({of})"
    return f"encrypted: {_packets(encrypted)}, and none of pods left the node in clear ({of})"


def _reasons(answer: Answer) -> Iterator[str]:
    if answer.is_inner and answer.has_direction:
        yield "nothing in it passes between nodes, so which interface is the underlay is not known"
    elif answer.is_inner:
        yield "all of it is of an inner device, which is clear by nature"
    if answer.undecided:
        number = sum(one.sum.packets for one in answer.undecided)
        yield f"{_packets(number)} in clear, and whether they left the node is not known"
    if answer.cut.packets:
        yield f"{_packets(answer.cut.packets)} without the header that decides"
    if answer.damage:
        yield "the file is not whole"


def _seen(answer: Answer) -> Iterator[str]:
    expected = answer.expected
    words = {
        "current": f"the key of {expected.environment}",
        "previous": f"the key of {expected.environment} before the rotation",
        "other": f"no key of {expected.environment}",
    }
    for (spi, tunnel), found in sorted(answer.spis.items()):
        yield f"ESP{_TUNNELS[tunnel]}, SPI {spi} ({words[expected.whose(spi)]}): {_counts(found)}"
    for number, found in sorted(answer.messages.items()):
        yield f"WireGuard {packets.MESSAGES[number]}: {_counts(found)}"
    for word, flows in (("clear", answer.clear), ("undecided", answer.undecided)):
        for one in flows[:SHOWN]:
            yield f"{word}: {_flow(one)}: {_counts(one.sum)}, the first is packet {one.sum.first}"
        if len(flows) > SHOWN:
            yield f"{word}: and {len(flows) - SHOWN:,} flows more; --output json has them"
    for found, what in _beside(answer):
        if found.packets:
            yield f"{_counts(found)} {what}; the first is packet {found.first}"
    yield f"pods are in {_list(expected.networks.pods)} ({expected.networks.origin}){_nodes(expected)}"


def _beside(answer: Answer) -> Iterator[tuple[Sum, str]]:
    """Yield what was seen in clear and is not judged."""
    yield answer.inbound, "of pods came in in clear, as what was decrypted here does"
    yield answer.by_design, "between a pod and another address in clear, which Cilium leaves so by design"
    if answer.expected.node_encryption:
        yield answer.nodes, "between nodes in clear, for your information"
    if not answer.is_inner:
        yield answer.inner, "of inner devices left out, which are clear by nature"


def _nodes(expected: Expected) -> str:
    return f", but for {_list(expected.networks.nodes)} (--node-cidr)" if expected.networks.nodes else ""


def _list(found: Iterable[object]) -> str:
    return ", ".join(map(str, found)) or "no network"


def _flow(one: Crossed) -> str:
    flow = one.flow
    if flow is None:
        return f"other flows{_TUNNELS[one.tunnel]}"
    port = "" if flow.port is None else f" port {flow.port}"
    ends = f"{networks.shown(flow.source)} -> {networks.shown(flow.destination)}"
    return f"{ends} {_protocol(flow.protocol)}{port}{_TUNNELS[one.tunnel]}"


def _packets(number: int) -> str:
    return "1 packet" if number == 1 else f"{number:,} packets"


def _counts(found: Sum) -> str:
    return f"{_packets(found.packets)}, {found.bytes:,} bytes"


def notes(answer: Answer) -> Iterator[str]:
    """Yield what a person should know beside the answer, and do next."""
    if answer.damage:
        yield answer.damage
    if answer.is_inner and answer.has_direction:
        yield "capture whatever passes, with no filter that leaves nodes out: tcpdump -i any -w FILE"
    elif answer.is_inner:
        yield f"looks like cilium_wg0, cilium_vxlan, a pod's lxc... or the like; {_UNDERLAY}"
    if answer.undecided:
        yield _undecided(answer)
    if answer.cut.packets:
        yield f"packet {answer.cut.first} ends before the header that decides; capture more of each: tcpdump -s 0"
    yield from _about_keys(answer)
    if some := sorted(map(networks.shown, answer.taken_for_nodes)):
        more = f" and {len(some) - 3} more" if len(some) > 3 else ""  # noqa: PLR2004 -- enough to see which
        told = f"{', '.join(some[:3])}{more}"
        yield f"{told} lie in the pods' networks and were taken for nodes; --node-cidr says so for sure"


def _undecided(answer: Answer) -> str:
    if answer.has_direction or (answer.expected.networks.own and answer.has_own):
        return "tunnels carry addresses of no pod network: say the pods' networks with --pod-cidr"
    if answer.expected.networks.own:
        return f"nothing came from --node-ip, so this may be no interface of that node; {_UNDERLAY}"
    return "say the node's own addresses with --node-ip, or capture with tcpdump -i any, which keeps the direction"


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
