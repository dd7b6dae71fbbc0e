"""What captures say, as text and JSON.  Nothing is printed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from generator import networks, packets, remarks
from generator.judgement import total

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from generator.judgement import Answer, Crossed, Expected
    from generator.shortcuts import Sum

SHOWN: Final = 100  # flows that text lists


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
        "by_design": [_flow_json(one) for one in answer.by_design],
        "nodes": _counted(answer.nodes),
        "inner": _counted(answer.inner),
        "cut": _counted(answer.cut),
        "notes": list(remarks.notes(answer)),
    }


def _counted(found: Sum) -> dict[str, Any]:
    return {"packets": found.packets, "bytes": found.bytes, "first": found.first or None}


def _flow_json(one: Crossed) -> dict[str, Any]:
    flow = one.flow
    return {
        "source": networks.shown(flow.source) if flow else None,
        "destination": networks.shown(flow.destination) if flow else None,
        "protocol": remarks.protocol(flow.protocol) if flow else None,
        "port": flow.port if flow else None,
        "tunnel": one.tunnel or None,
        **_counted(one.sum),
    }


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
    aimless = [one.sum for one in answer.undecided if one.reason in ("direction", "interface")]
    if aimless:
        yield f"{_packets(total(aimless).packets)} in clear, and whether they left the node is not known"
    if nameless := [one.sum for one in answer.undecided if one.reason not in ("direction", "interface")]:
        yield f"{_packets(total(nameless).packets)} in clear, and whether they are of pods is not known"
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
        yield f"ESP{remarks.TUNNELS[tunnel]}, SPI {spi} ({words[expected.whose(spi)]}): {_counts(found)}"
    for number, found in sorted(answer.messages.items()):
        yield f"WireGuard {packets.MESSAGES[number]}: {_counts(found)}"
    for word, flows in (("clear", answer.clear), ("undecided", answer.undecided), ("by design", answer.by_design)):
        for one in flows[:SHOWN]:
            yield f"{word}: {remarks.flow(one)}: {_counts(one.sum)}, the first is packet {one.sum.first}"
        if len(flows) > SHOWN:
            yield f"{word}: and {len(flows) - SHOWN:,} flows more; --output json has them"
    for found, what in _beside(answer):
        if found.packets:
            yield f"{_counts(found)} {what}; the first is packet {found.first}"
    yield f"pods are in {_list(expected.networks.pods)} ({expected.networks.origin}){_nodes(expected)}"


def _beside(answer: Answer) -> Iterator[tuple[Sum, str]]:
    """Yield what was seen in clear and is not judged."""
    yield answer.inbound, "of pods came in in clear, as what was decrypted here does"
    by_design = total(one.sum for one in answer.by_design)
    yield by_design, "between a pod and another address in clear, which Cilium leaves so by design"
    yield answer.nodes, "between nodes in clear, for your information"
    if not answer.is_inner:
        yield answer.inner, "of inner devices left out, which are clear by nature"


def _nodes(expected: Expected) -> str:
    return f", but for {_list(expected.networks.nodes)} (--node-cidr)" if expected.networks.nodes else ""


def _list(found: Iterable[object]) -> str:
    return ", ".join(map(str, found)) or "no network"


def _packets(number: int) -> str:
    return "1 packet" if number == 1 else f"{number:,} packets"


def _counts(found: Sum) -> str:
    return f"{_packets(found.packets)}, {found.bytes:,} bytes"
