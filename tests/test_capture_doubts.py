"""`keyturn capture` where a capture could be read in two ways: whose addresses these are, and what left the node.

Encrypted is said only where nothing was seen that may be traffic of pods which left in clear.
"""

from __future__ import annotations

import pcaps
import pytest
from capturing import (
    BY_NODE,
    DATA,
    ESP4,
    FROM_OTHER,
    HTTP,
    IN_VXLAN,
    PLAIN,
    answer,
    capture,
    cooked,
    lab,
    made,
    verdict,
)
from kit import WIREGUARD, Repo
from pcaps import HERE, NODE, NODE6, OTHER, OTHER6, PEER, POD, THERE, ether, ip, ipv6, sll2

PODS = ("--pod-cidr", "10.244.0.0/16")
ESP_IN = ether(ip(OTHER, NODE, 50, pcaps.esp(4)), THERE, HERE)
PLAIN_IN = ether(ip(PEER, POD, 6, pcaps.tcp(40_000, 80)), THERE, HERE)
INSIDE = ether(ip("192.0.2.1", "192.0.2.2", 6, pcaps.tcp(40_000, 80)))
PODS_VXLAN = ether(ip(POD, PEER, 17, pcaps.vxlan(pcaps.between_pods())))
__all__ = ["lab", "made"]  # fixtures
PODS_OWN_VXLAN = ether(ip(POD, PEER, 17, pcaps.vxlan(INSIDE)))
PODS_WIREGUARD = ether(ip(POD, PEER, 17, pcaps.udp(51871, 51871, pcaps.wireguard())))
PODS_ESP = ether(ip(POD, PEER, 50, pcaps.esp(4)))
PODS_ESP_IN_VXLAN = ether(ip(POD, PEER, 17, pcaps.vxlan(pcaps.between_pods(pcaps.esp(4), 50))))
PLAIN6 = ether(ipv6("fd00:10:244:1::5", "fd00:10:244:2::7", 6, pcaps.tcp(40_000, 80)), kind=0x86DD)


def only_line(repo: Repo, *data: bytes, words: tuple[str, ...] = BY_NODE, env: str = "lab") -> tuple[int, str]:
    """The exit code, and the one note."""
    ran = capture(repo, pcaps.pcap(*data), *words, env=env)
    return ran.code, ran.err.removeprefix("keyturn: c.pcap: ").removesuffix("\n")


# What pods send each other, though it looks like what nodes do


@pytest.mark.parametrize("words", [BY_NODE, (*BY_NODE, *PODS)])
@pytest.mark.parametrize("packet", [PODS_VXLAN, PODS_OWN_VXLAN])
def test_tunnel_between_pods_is_clear_traffic_of_pods(lab: Repo, packet: bytes, words: tuple[str, ...]) -> None:
    back = ether(packet[14:], THERE, HERE)

    assert verdict(lab, ESP4, packet, words=words) == (1, "clear")
    assert verdict(lab, ESP4, back, words=words) == (0, "encrypted")


@pytest.mark.parametrize("forged", [PODS_VXLAN, PODS_OWN_VXLAN, PODS_WIREGUARD, PODS_ESP, PODS_ESP_IN_VXLAN])
@pytest.mark.parametrize("env", ["lab", "old", "wg"])
def test_no_packet_between_two_pods_makes_them_nodes(lab: Repo, forged: bytes, env: str) -> None:
    good = DATA if env == "wg" else ESP4

    assert verdict(lab, good, forged, PLAIN, env=env) == (1, "clear")
    assert cooked(lab, sll2(good[14:]), sll2(forged[14:]), sll2(PLAIN[14:]), env=env)[0] != 0


@pytest.mark.parametrize(
    ("packet", "env", "expected"),
    [
        (PODS_WIREGUARD, "wg", (1, "clear")),
        (PODS_ESP_IN_VXLAN, "old", (1, "clear")),
        (PODS_ESP, "old", (1, "clear")),
        (PODS_ESP, "lab", (0, "encrypted")),  # the addresses of Cilium's own device are pods', with native routing
    ],
)
def test_what_two_pods_encrypt_is_no_proof(lab: Repo, packet: bytes, env: str, expected: tuple[int, str]) -> None:
    assert verdict(lab, pcaps.arp(NODE, OTHER), packet, env=env, words=(*BY_NODE, *PODS)) == expected


def test_addresses_that_may_be_nodes_are_undecided_until_somebody_says_so(lab: Repo) -> None:
    here, there = "10.1.0.3", "10.1.0.4"
    data = [sll2(ip(here, there, *what)) for what in ((50, pcaps.esp(4)), (6, pcaps.tcp(40_000, 10_250)))]
    whole = pcaps.pcap(*data, link=pcaps.SLL2)

    ran = capture(lab, whole)

    told = "10.1.0.3, 10.1.0.4 lie in the pods' networks and are ends of tunnels; --node-cidr says which are nodes"
    assert (ran.code, ran.err) == (3, f"keyturn: c.pcap: {told}\n")
    assert "1 packet in clear, and whether they are of pods is not known" in ran.out
    assert capture(lab, whole, "--node-cidr", "10.1.0.0/24").code == 0


def test_address_that_a_tunnel_carries_is_no_node(lab: Repo) -> None:
    to_node = ether(ip(POD, NODE, 17, pcaps.vxlan(INSIDE)))

    assert verdict(lab, ESP4, to_node, ether(IN_VXLAN[14:], THERE, HERE), PLAIN) == (1, "clear")
    assert verdict(lab, ESP4, to_node, PLAIN)[0] == 3


# Networks that are not all known


def test_ipv6_of_no_known_network_is_undecided(lab: Repo) -> None:
    ends = "fd00:10:244:1::5, fd00:10:244:2::7"
    note = f"no network of pods is known that {ends} could be in: say all of them with --pod-cidr"

    assert only_line(lab, ESP4, PLAIN6, words=(*BY_NODE, *PODS)) == (3, note)
    assert verdict(lab, ESP4, ether(PLAIN6[14:], THERE, HERE, 0x86DD), words=(*BY_NODE, *PODS)) == (0, "encrypted")
    assert verdict(lab, ESP4, PLAIN6, words=(*BY_NODE, *PODS, "--pod-cidr", "fd00:10:244::/56")) == (1, "clear")


def test_ipv6_of_nodes_needs_no_network_of_pods(lab: Repo) -> None:
    ends = (NODE6, OTHER6)
    neighbours = ether(ipv6("fe80::1", "ff02::2", 58, bytes(8)), kind=0x86DD)
    esp, http = (
        ether(ipv6(*ends, *what), kind=0x86DD) for what in ((50, pcaps.esp(4)), (6, pcaps.tcp(40_000, 10_250)))
    )

    assert verdict(lab, esp, http, ESP4, neighbours, words=(*BY_NODE, *PODS, "--node-ip", NODE6)) == (0, "encrypted")
    assert cooked(lab, sll2(esp[14:], kind=0x86DD), sll2(http[14:], kind=0x86DD)) == (0, "encrypted")


def test_ipv6_of_no_known_network_makes_no_underlay(lab: Repo) -> None:
    on_lxc = [sll2(PLAIN6[14:], interface=7, kind=0x86DD), sll2(PLAIN_IN[14:], interface=7)]

    code, found = answer(lab, pcaps.pcap(sll2(ESP4[14:]), *on_lxc, link=pcaps.SLL2), *PODS)

    assert (code, found["verdict"], found["inner"]["packets"]) == (0, "encrypted", 2)


def test_kinds_default_has_ipv6_where_that_is_on(lab: Repo) -> None:
    values = "enabled: false}, ipam: {mode: kubernetes}, ipv6: {enabled: true}"
    lab.environment("x", f"{WIREGUARD.replace('enabled: false}', values)}kind: {{name: x}}\n")

    ran = capture(lab, pcaps.pcap(DATA, PLAIN6), *BY_NODE, env="x")

    assert (ran.code, ran.out.splitlines()[-1]) == (
        1,
        "c.pcap: pods are in 10.244.0.0/16, fd00:10:244::/56 (kind's default)",
    )


def test_pod_and_address_that_the_environment_has_for_pods_are_undecided(lab: Repo) -> None:
    packet = ether(ip(POD, "10.9.0.7", 6, pcaps.tcp(40_000, 80)))
    note = "10.9.0.7 lie in the environment's pod networks, outside of --pod-cidr: say all of them"

    assert only_line(lab, ESP4, packet, words=(*BY_NODE, *PODS)) == (3, note)
    assert verdict(lab, ESP4, packet, words=(*BY_NODE, *PODS, "--node-cidr", "10.9.0.0/24")) == (0, "encrypted")


def test_flows_that_are_clear_by_design_are_listed(lab: Repo) -> None:
    packet = ether(ip(POD, "192.0.2.1", 6, pcaps.tcp(40_000, 443)))

    code, found = answer(lab, pcaps.pcap(ESP4, packet, packet), *BY_NODE)

    flow = {"source": POD, "destination": "192.0.2.1", "protocol": "tcp", "port": 443, "tunnel": None}
    assert (code, found["by_design"]) == (0, [{**flow, "packets": 2, "bytes": 108, "first": 2}])


# What left the node


def test_node_that_only_receives_is_known_by_what_it_receives(lab: Repo) -> None:
    assert verdict(lab, ESP_IN, FROM_OTHER, PLAIN_IN) == (0, "encrypted")
    assert verdict(lab, ESP_IN, FROM_OTHER, PLAIN) == (1, "clear")


def test_mac_that_sends_for_two_nodes_tells_no_direction(lab: Repo) -> None:
    same = ether(ESP_IN[14:], HERE, HERE)
    note = f"one MAC sends for --node-ip and for {OTHER}, so MACs tell no direction; say all --node-ip, or "

    assert only_line(lab, ESP4, same, PLAIN) == (3, f"{note}tcpdump -i any keeps the direction")
    assert verdict(lab, ESP4, PLAIN) == (1, "clear")
    assert verdict(lab, ESP4, same, IN_VXLAN) == (1, "clear")


def test_link_without_macs_tells_direction_of_tunnels_alone(lab: Repo) -> None:
    def raw(*data: bytes) -> tuple[int, str]:
        ran = capture(lab, pcaps.pcap(*(one[14:] for one in data), link=pcaps.RAW), *BY_NODE)
        return ran.code, ran.err

    note = "this link has no MACs, so nothing tells whether packets of pods left; tcpdump -i any keeps the direction"
    assert raw(ESP4, PLAIN) == (3, f"keyturn: c.pcap: {note}\n")
    assert raw(ESP4, IN_VXLAN) == (1, "")
    assert raw(ESP4, FROM_OTHER) == (0, "")


def test_older_cooked_capture_in_which_nothing_left_for_a_node_is_undecided(lab: Repo) -> None:
    came, left = pcaps.sll(ESP_IN[14:], pcaps.IN, THERE), pcaps.sll(PLAIN[14:])

    ran = capture(lab, pcaps.pcap(came, left, link=pcaps.SLL))

    told = "nothing that went out passes between nodes, so which interface is the underlay is not known"
    assert (ran.code, ran.err) == (
        3,
        f"keyturn: c.pcap: {told}; a newer tcpdump -i any tells interfaces (-y LINUX_SLL2)\n",
    )
    assert capture(lab, pcaps.pcap(came, link=pcaps.SLL)).code == 0
    assert capture(lab, pcaps.pcap(left, link=pcaps.SLL)).code == 1


def test_address_of_another_node_does_not_hide_where_nodes_talk(lab: Repo) -> None:
    """Nodes in the chart's default network, and --node-ip mistaken."""
    here, there = "10.1.0.3", "10.1.0.4"
    data = [
        sll2(ip(here, there, 17, pcaps.udp(51871, 51871, pcaps.wireguard()))),
        sll2(ip(here, there, 17, pcaps.vxlan(PLAIN))),
        sll2(HTTP[14:], interface=9),
    ]

    code, found = answer(lab, pcaps.pcap(*data, link=pcaps.SLL2), "--node-ip", "10.1.0.9", env="wg")

    assert (code, found["verdict"], found["clear"][0]["first"]) == (1, "clear", 2)


# The rest


def test_bare_esp_of_the_node_is_the_underlay(lab: Repo) -> None:
    here = "10.1.0.3"
    esp = ether(ip(here, "10.1.0.4", 50, pcaps.esp(4)))

    assert verdict(lab, esp, env="old", words=("--node-ip", here)) == (0, "encrypted")


def test_traffic_between_nodes_in_clear_is_told_and_not_judged(lab: Repo) -> None:
    ran = capture(lab, pcaps.pcap(ESP4, HTTP), *BY_NODE)

    assert ran.code == 0
    assert "c.pcap: 1 packet, 54 bytes between nodes in clear, for your information; the first is packet 2" in ran.out


def test_packet_of_no_bytes_is_nothing(lab: Repo) -> None:
    code, found = answer(lab, pcaps.pcap(ESP4, b""), *BY_NODE)
    no_length = pcaps.pcap(PLAIN)[24:36] + bytes(4) + PLAIN

    assert (code, found["verdict"], found["packets"]) == (0, "encrypted", 2)
    assert capture(lab, pcaps.pcap(ESP4) + no_length, *BY_NODE).code == 1
