"""What a packet is, from its bytes: each link type, order and header, and whatever else may stand in a file."""

from __future__ import annotations

import pcaps
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pcaps import NODE, NODE6, OTHER, OTHER6, PEER, PEER6, POD, POD6, address, ether, ip, ipv6

from generator import packets
from generator.networks import Membership
from generator.packets import Flow, Packet, Ports, decode
from generator.shortcuts import Sum
from generator.sightings import Sightings
from generator.traffic import Row, Tally

PORTS = Ports()
NODES = Flow(address(NODE), address(OTHER), 17, 8472)
PODS = Flow(address(POD), address(PEER), 17, 8080)
ESP = ip(NODE, OTHER, 50, pcaps.esp(3))
NOBODY = Membership((), (), frozenset())
_POD_NETWORK = ((4, 0xFFFF0000, int.from_bytes(address("10.244.0.0"), "big")),)
LAB = Membership(_POD_NETWORK, (), frozenset({address(NODE)}))
LAB_GIVEN = Membership(_POD_NETWORK, (), frozenset(), given=True)


def seen(data: bytes, link: int = pcaps.ETHERNET) -> tuple[object, ...]:
    """What a packet is, but for its frame."""
    return tuple(decode(link, data, PORTS))[1:]


def esp(source: str = NODE, destination: str = OTHER, spi: int = 3) -> tuple[object, ...]:
    return "esp", Flow(address(source), address(destination), 50, None), "", None, spi


# Link types


@pytest.mark.parametrize(
    ("link", "data"),
    [
        (1, ether(ESP)),
        (1, ether(pcaps.ether(ESP)[12:], kind=0x8100)[:14] + b"\0\7" + pcaps.ether(ESP)[12:]),
        (1, ether(b"\0\7\x81\0\0\x08" + pcaps.ether(ESP)[12:], kind=0x88A8)),
        (113, pcaps.sll(ESP)),
        (113, pcaps.sll(b"\0\7\x08\0" + ESP, kind=0x8100)),
        (276, pcaps.sll2(ESP)),
        (276, pcaps.sll2(b"\0\7\x08\0" + ESP, kind=0x8100)),
        *((link, ESP) for link in (12, 14, 101, 228)),
        (0, b"\2\0\0\0" + ESP),
        (108, b"\0\0\0\2" + ESP),
    ],
)
def test_esp_is_esp_whatever_stands_before_it(link: int, data: bytes) -> None:
    assert seen(data, link) == esp()


@pytest.mark.parametrize("link", sorted({1, 113, 276, 101, 229, 0}))
def test_ipv6_is_read_in_every_link_type(link: int) -> None:
    data = ipv6(NODE6, OTHER6, 50, pcaps.esp(3))
    framed = {
        1: ether(data, kind=0x86DD),
        113: pcaps.sll(data, kind=0x86DD),
        276: pcaps.sll2(data, kind=0x86DD),
        0: b"\x1e\0\0\0" + data,
    }

    assert seen(framed.get(link, data), link) == esp(NODE6, OTHER6)


@pytest.mark.parametrize(("way", "went_out"), [(4, True), (0, False), (1, False), (2, False), (3, False)])
def test_direction_and_interface_come_from_the_cooked_header(way: int, went_out: bool) -> None:  # noqa: FBT001 -- a case
    newer, older = decode(276, pcaps.sll2(ESP, way, 7), PORTS).frame, decode(113, pcaps.sll(ESP, way), PORTS).frame

    assert newer == packets.Frame(7, 1, went_out, b"", b"\x08\0", 20)
    assert older == packets.Frame(pcaps.HERE if went_out else 0, 1, went_out, b"", b"\x08\0", 16)


# Both orders


@pytest.mark.parametrize("tunnel", ["vxlan", "geneve"])
@pytest.mark.parametrize("options", [b"", b"\1\1\1\1" * 3])
def test_esp_and_clear_text_in_a_tunnel_are_told_apart(tunnel: str, options: bytes) -> None:
    def carried(frame: bytes) -> bytes:
        inside = pcaps.vxlan(frame) if tunnel == "vxlan" else pcaps.geneve(frame, options=options)
        return pcaps.between_nodes(inside)

    port = 8472 if tunnel == "vxlan" else 6081
    outer = NODES._replace(port=port)
    inner = Flow(address(POD), address(PEER), 50, None)
    assert seen(carried(pcaps.between_pods(pcaps.esp(5), 50))) == ("esp", outer, tunnel, inner, 5)
    assert seen(carried(pcaps.between_pods())) == ("clear", outer, tunnel, PODS, 0)
    assert seen(carried(pcaps.arp(POD, PEER))) == ("other", outer, tunnel, None, 0)


def test_geneve_may_carry_ip_without_ethernet() -> None:
    inside = ip(POD, PEER, 17, pcaps.udp(40_000, 8080))

    found = seen(pcaps.between_nodes(pcaps.geneve(inside, kind=0x0800)))

    assert found == ("clear", NODES._replace(port=6081), "geneve", PODS, 0)


@pytest.mark.parametrize(("port", "tunnel"), [(8472, "vxlan"), (6081, "geneve")])
def test_tunnel_is_one_from_wireguards_port_too(port: int, tunnel: str) -> None:
    """A kernel draws the source port of a tunnel by flow, so one flow in 28,000 has that."""
    inside = (pcaps.vxlan if tunnel == "vxlan" else pcaps.geneve)(pcaps.between_pods())[8:]

    found = seen(pcaps.between_nodes(pcaps.udp(51871, port, inside)))

    assert found == ("clear", NODES._replace(port=port), tunnel, PODS, 0)


def test_port_of_a_tunnel_without_its_header_is_a_port_like_others() -> None:
    for inside in (pcaps.udp(9, 8472, bytes(60)), pcaps.udp(9, 6081, b"\xff" * 60), pcaps.udp(9, 6081, bytes(60))):
        kind, _, tunnel, *_ = seen(pcaps.between_nodes(inside))
        assert (kind, tunnel) == ("clear", "")


@pytest.mark.parametrize(
    ("protocol", "inside", "tunnel"),
    [
        (4, pcaps.between_pods()[14:], "ipip"),
        (47, pcaps.gre(pcaps.between_pods()[14:]), "gre"),
        (47, pcaps.gre(pcaps.between_pods()[14:], flags=0xB000), "gre"),
        (47, pcaps.gre(pcaps.between_pods(), 0x6558, flags=0x2000), "gre"),
    ],
)
def test_ip_in_ip_and_gre_are_looked_into(protocol: int, inside: bytes, tunnel: str) -> None:
    outer = Flow(address(NODE), address(OTHER), protocol, None)

    assert seen(pcaps.between_nodes(inside, protocol)) == ("clear", outer, tunnel, PODS, 0)
    assert seen(pcaps.between_nodes(inside[:3], protocol)) == ("cut", outer, tunnel, None, 0)


def test_gre_of_another_protocol_is_like_any_other() -> None:
    outer = Flow(address(NODE), address(OTHER), 47, None)

    assert seen(pcaps.between_nodes(pcaps.gre(b"x" * 20, 0x880B, flags=1), 47)) == ("clear", outer, "", None, 0)


# WireGuard


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
@pytest.mark.parametrize(("source", "destination"), [(51871, 51871), (40_000, 51871), (51871, 40_000)])
def test_messages_of_wireguard_are_told_by_type(kind: int, source: int, destination: int) -> None:
    found = decode(1, pcaps.between_nodes(pcaps.udp(source, destination, pcaps.wireguard(kind))), PORTS)

    assert (found.kind, found.number) == ("wireguard", kind)


@pytest.mark.parametrize("size", [16, 32, 33, 1_440, 1_452])
def test_data_of_wireguard_has_any_length(size: int) -> None:
    """A message that fills the MTU is not padded to sixteen bytes: 1,452 of them at Cilium's 1,420."""
    assert seen(pcaps.between_nodes(pcaps.udp(51871, 51871, pcaps.wireguard(4, size))))[0] == "wireguard"


@pytest.mark.parametrize(
    "payload",
    [
        pcaps.wireguard(0),
        pcaps.wireguard(5),
        pcaps.wireguard(4, 15),
        b"\4\0\0\1" + bytes(92),
        b"GET / HTTP/1.1\r\n\r\n" + bytes(14),
    ],
)
def test_what_another_program_sends_to_that_port_is_not_wireguard(payload: bytes) -> None:
    assert seen(pcaps.between_nodes(pcaps.udp(51871, 51871, payload)))[0] == "clear"


# Headers of IP


def test_options_of_ipv4_are_stepped_over() -> None:
    assert seen(ether(ip(NODE, OTHER, 50, pcaps.esp(3), options=b"\1" * 8))) == esp()


@pytest.mark.parametrize(
    ("chain", "first"),
    [
        (bytes([50, 0]) + bytes(6), 0),
        (bytes([60, 1]) + bytes(14) + bytes([50, 0]) + bytes(6), 43),
        (bytes([50, 4]) + bytes(22), 51),
        (bytes([50, 0, 0, 1]) + bytes(4), 44),
    ],
)
def test_extension_headers_of_ipv6_are_stepped_over(chain: bytes, first: int) -> None:
    assert seen(ether(ipv6(NODE6, OTHER6, first, chain + pcaps.esp(3)), kind=0x86DD)) == esp(NODE6, OTHER6)


def test_endless_chain_of_headers_is_given_up() -> None:
    data = ether(ipv6(NODE6, OTHER6, 60, bytes([60, 0] + [0] * 6) * 2_000), kind=0x86DD)

    assert seen(data) == ("cut", None, "", None, 0)


def test_later_fragment_has_no_port_and_no_spi() -> None:
    later = ether(ip(POD, PEER, 6, b"x" * 64, fragment=100))
    of_esp = ether(ip(NODE, OTHER, 50, b"x" * 64, fragment=100))
    newer = ether(ipv6(POD6, PEER6, 44, bytes([17, 0, 1, 0]) + bytes(4) + b"x" * 64), kind=0x86DD)
    hidden = ether(ipv6(POD6, PEER6, 44, bytes([60, 0, 1, 0]) + bytes(4) + b"x" * 64), kind=0x86DD)

    assert seen(later) == ("clear", Flow(address(POD), address(PEER), 6, None), "", None, 0)
    assert seen(of_esp)[0] == "fragment"
    assert seen(newer) == ("clear", Flow(address(POD6), address(PEER6), 17, None), "", None, 0)
    assert seen(hidden) == ("clear", Flow(address(POD6), address(PEER6), 60, None), "", None, 0)


@pytest.mark.parametrize(
    ("source", "destination", "port"), [(40_000, 80, 80), (80, 40_000, 80), (40_000, 50_000, 50_000), (7, 9, 9)]
)
def test_port_is_that_of_the_one_who_is_called(source: int, destination: int, port: int) -> None:
    found = decode(1, ether(ip(POD, PEER, 6, pcaps.tcp(source, destination))), PORTS)

    assert found.flow == Flow(address(POD), address(PEER), 6, port)


# What is cut, or is nothing of ours


@pytest.mark.parametrize(
    ("whole", "least"),
    [
        (ether(ESP), 38),
        (pcaps.between_nodes(pcaps.vxlan(pcaps.between_pods(pcaps.esp(5), 50))), 88),
        (pcaps.between_nodes(pcaps.geneve(pcaps.between_pods(pcaps.esp(5), 50))), 88),
        (pcaps.between_nodes(pcaps.udp(51871, 51871, pcaps.wireguard())), 46),
    ],
)
def test_packet_that_ends_before_what_decides_is_cut(whole: bytes, least: int) -> None:
    kinds = [decode(1, whole[:size], PORTS).kind for size in range(len(whole))]

    assert set(kinds[:least]) == {"cut"}
    assert set(kinds[least:]) == {decode(1, whole, PORTS).kind}


def test_arp_tells_who_asks_for_whom_and_other_protocols_nothing() -> None:
    assert seen(pcaps.arp(NODE, OTHER)) == ("arp", Flow(address(NODE), address(OTHER), 0, None), "", None, 0)
    assert seen(pcaps.arp(NODE, OTHER)[:30]) == ("other", None, "", None, 0)
    assert seen(ether(b"x" * 50, kind=0x88CC)) == ("other", None, "", None, 0)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(packets.LINKS)), st.binary(max_size=200))
def test_no_bytes_make_it_fail(link: int, data: bytes) -> None:
    assert isinstance(decode(link, data, PORTS), Packet)


INNER_NODES = ip("192.0.2.1", "192.0.2.2", 6, pcaps.tcp(40_000, 80))
GOOD = (
    ether(ESP),
    ether(ip(NODE, OTHER, 50, pcaps.esp(3), options=b"\1" * 4)),
    ether(ipv6(NODE6, OTHER6, 44, bytes([50, 0, 0, 1]) + bytes(4) + pcaps.esp(9)), kind=0x86DD),
    ether(ipv6(NODE6, OTHER6, 17, pcaps.udp(51871, 51871, pcaps.wireguard())), kind=0x86DD),
    pcaps.between_nodes(pcaps.vxlan(pcaps.between_pods(pcaps.esp(5), 50))),
    pcaps.between_nodes(pcaps.vxlan(pcaps.between_pods())),
    pcaps.between_nodes(pcaps.geneve(pcaps.between_pods(), options=b"\1\1\1\1")),
    pcaps.between_nodes(pcaps.geneve(pcaps.between_pods())),
    pcaps.between_nodes(pcaps.udp(51871, 51871, pcaps.wireguard(1))),
    pcaps.between_nodes(pcaps.udp(51871, 40_000, pcaps.wireguard(4))),
    ether(b"\0\7" + ether(ESP)[12:], kind=0x8100),
    pcaps.between_pods(pcaps.tcp(40_000, 80), 6),
    pcaps.between_pods(pcaps.tcp(80, 40_000), 6),
    pcaps.between_pods(pcaps.udp(51871, 51871, pcaps.wireguard(4))),
    pcaps.between_pods(pcaps.udp(51871, 80, pcaps.wireguard(4))),
    pcaps.between_pods(pcaps.udp(80, 51871, pcaps.wireguard(4))),
    pcaps.between_pods(pcaps.esp(4), 50),
    pcaps.between_pods(pcaps.vxlan(pcaps.between_pods(pcaps.esp(4), 50))),
    *(pcaps.between_nodes(pcaps.udp(*two, pcaps.wireguard(4, 20))) for two in ((8472, 40_000), (51871, 53), (9, 53))),
    pcaps.between_nodes(pcaps.udp(40_000, 50_000)),
    pcaps.between_nodes(pcaps.udp(51871, 8472, pcaps.vxlan(pcaps.between_pods())[8:])),
    pcaps.between_nodes(pcaps.udp(51871, 8472, pcaps.wireguard())),
    pcaps.between_nodes(pcaps.between_pods()[14:], 4),
    pcaps.between_nodes(INNER_NODES, 4),
    pcaps.between_nodes(pcaps.gre(pcaps.between_pods()[14:]), 47),
    pcaps.between_nodes(pcaps.gre(INNER_NODES), 47),
    pcaps.between_nodes(pcaps.tcp(8472, 50_000), 6),
    ether(ipv6(NODE6, OTHER6, 17, pcaps.vxlan(pcaps.between_pods())), kind=0x86DD),
    ether(ipv6(POD6, PEER6, 6, pcaps.tcp(80, 40_000)), kind=0x86DD),
    pcaps.arp(NODE, OTHER),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good packet with a few other bytes in its headers, or cut."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for place in draw(st.lists(st.integers(6, min(len(data), 100) - 1), max_size=4)):
        data[place] = draw(st.sampled_from([0, 1, 4, 6, 8, 17, 44, 50, 60, 69, 0x81, 0xCA, draw(st.integers(0, 255))]))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@pytest.mark.parametrize("membership", [NOBODY, LAB, LAB_GIVEN])
@settings(max_examples=100, deadline=None)
@given(data=st.lists(mutated(), min_size=1, max_size=40))
def test_keys_of_what_was_seen_before_change_no_sum(membership: Membership, data: list[bytes]) -> None:
    """Reading each packet by a tally of its own knows nothing of the packets before."""
    together = Tally.of(1, PORTS, membership, is_esp_outermost=False)
    together.read((100, one) for one in data * 2)

    apart: dict[Row, Sum] = {}
    learned = Sightings(membership, is_esp_outermost=False)
    for number, one in enumerate(data * 2, start=1):
        alone = Tally.of(1, PORTS, membership, is_esp_outermost=False)
        alone.read([(100, one)])
        (row,) = alone.rows
        learned.underlays |= alone.sightings.underlays
        learned.ends |= alone.sightings.ends
        learned.inside |= alone.sightings.inside
        found = apart.setdefault(row, Sum(0, 0, number))
        found.packets += 1
        found.bytes += 100
    seen = together.sightings
    assert together.rows == apart
    assert (seen.underlays, seen.ends, seen.inside) == (learned.underlays, learned.ends, learned.inside)
