"""`keyturn capture`: what it says of captures that a test writes byte by byte, and how it ends."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pcaps
import pytest
import rig
import sealed
from capturing import (
    BY_NODE,
    DATA,
    ESP3,
    ESP4,
    FROM_OTHER,
    HELLO,
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
from kit import PROJECT, WIREGUARD, Ran, Repo
from pcaps import NODE, NODE6, OTHER, OTHER6, PEER, PEER6, POD, POD6, ether, ip, ipv6, sll2

__all__ = ["lab", "made"]  # fixtures
NO_ID = "here, which tells its key"


# The answer


def test_text_tells_what_was_encrypted_and_what_was_not(lab: Repo) -> None:
    ran = capture(lab, pcaps.pcap(ESP4, ESP4, ESP3, IN_VXLAN, PLAIN, FROM_OTHER, IN_VXLAN), *BY_NODE)

    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines() == [
        "c.pcap: CLEAR: 3 packets of pods left the node in clear, the first is packet 4 (lab: ipsec)",
        "c.pcap: ESP, SPI 3 (the key of lab before the rotation): 1 packet, 106 bytes",
        "c.pcap: ESP, SPI 4 (the key of lab): 2 packets, 212 bytes",
        "c.pcap: clear: 10.244.1.5 -> 10.244.2.7 udp port 8080 in VXLAN: 2 packets, 184 bytes, the first is packet 4",
        "c.pcap: clear: 10.244.1.5 -> 10.244.2.7 udp port 8080: 1 packet, 42 bytes, the first is packet 5",
        "c.pcap: 1 packet, 92 bytes of pods came in in clear, as what was decrypted here does; the first is packet 6",
        "c.pcap: pods are in 10.0.0.0/8, fd00::/104 (the chart's default)",
    ]


def test_json_tells_the_same(lab: Repo) -> None:
    ran = capture(lab, pcaps.pcap(ESP4, HELLO, PLAIN), *BY_NODE, "--output", "json")

    nothing = {"packets": 0, "bytes": 0, "first": None}
    flow = {"source": POD, "destination": PEER, "protocol": "udp", "port": 8080, "tunnel": None}
    assert (ran.code, json.loads(ran.out)) == (
        1,
        {
            "environment": "lab",
            "type": "ipsec",
            "key_id": 4,
            "previous_key_id": 3,
            "pod_cidrs": ["10.0.0.0/8", "fd00::/104"],
            "node_cidrs": [],
            "captures": [
                {
                    "file": "c.pcap",
                    "verdict": "clear",
                    "packets": 3,
                    "damage": None,
                    "esp": [{"spi": 4, "key": "current", "tunnel": None, "packets": 1, "bytes": 106, "first": 1}],
                    "wireguard": [
                        {"type": 1, "message": "handshake initiation", "packets": 1, "bytes": 190, "first": 2}
                    ],
                    "clear": [{**flow, "packets": 1, "bytes": 42, "first": 3}],
                    "undecided": [],
                    "inbound": nothing,
                    "by_design": [],
                    "nodes": nothing,
                    "inner": nothing,
                    "cut": nothing,
                    "notes": [],
                }
            ],
        },
    )


def test_one_clear_packet_among_a_million_is_named(lab: Repo) -> None:
    esp = pcaps.between_nodes(pcaps.esp(4, size=16), 50)
    encrypted = pcaps.pcap(*[esp] * 1_000)[24:]
    clear = pcaps.pcap(PLAIN)[24:]
    with (lab.root / "c.pcap").open("wb") as file:
        file.write(pcaps.pcap())
        for thousand in range(1_000):
            file.write(encrypted + (clear if thousand == 700 else b""))

    ran = rig.command(lab.root, "capture", "c.pcap", "--env", "lab", *BY_NODE)

    assert (ran.code, ran.out.splitlines()[:3]) == (
        1,
        [
            "c.pcap: CLEAR: 1 packet of pods left the node in clear, the first is packet 701001 (lab: ipsec)",
            "c.pcap: ESP, SPI 4 (the key of lab): 1,000,000 packets, 58,000,000 bytes",
            "c.pcap: clear: 10.244.1.5 -> 10.244.2.7 udp port 8080: 1 packet, 42 bytes, the first is packet 701001",
        ],
    )


def test_several_captures_are_told_one_by_one_and_end_as_the_worst(lab: Repo) -> None:
    lab.write("a.pcap", pcaps.pcap(ESP4))
    lab.write("b.pcap", pcaps.pcap(PLAIN, ESP4))
    lab.write("d.pcap", pcaps.pcap(HTTP))

    def code(*names: str) -> int:
        return rig.command(lab.root, "-q", "capture", *names, "--env", "lab").code

    assert [code("a.pcap"), code("a.pcap", "b.pcap"), code("d.pcap", "b.pcap", "a.pcap")] == [0, 3, 1]


def test_text_lists_a_hundred_flows_and_says_how_many_more(lab: Repo) -> None:
    flows = [ether(ip(POD, f"10.244.9.{number}", 6, pcaps.tcp(40_000, 80))) for number in range(1, 121)]

    lines = capture(lab, pcaps.pcap(ESP4, *flows), *BY_NODE).out.splitlines()

    assert len([line for line in lines if line.startswith("c.pcap: clear: 10.244.1.5 -> ")]) == 100
    assert "c.pcap: clear: and 20 flows more; --output json has them" in lines


def test_text_tells_what_is_not_judged(lab: Repo) -> None:
    pod = ether(ip(POD, "192.0.2.1", 6, pcaps.tcp(40_000, 443)))

    ran = capture(lab, pcaps.pcap(DATA, HTTP, pod), *BY_NODE, "--node-cidr", "172.18.0.0/16", env="wg")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[2:] == [
        "c.pcap: by design: 10.244.1.5 -> 192.0.2.1 tcp port 443: 1 packet, 54 bytes, the first is packet 3",
        (
            "c.pcap: 1 packet, 54 bytes between a pod and another address in clear, which Cilium leaves so by design; "
            "the first is packet 3"
        ),
        "c.pcap: 1 packet, 54 bytes between nodes in clear, for your information; the first is packet 2",
        "c.pcap: pods are in 10.0.0.0/8, fd00::/104 (the chart's default), but for 172.18.0.0/16 (--node-cidr)",
    ]


def test_packets_that_are_cut_are_told_with_the_way_out(lab: Repo) -> None:
    ran = capture(lab, pcaps.pcap(ESP4, IN_VXLAN[:60], b"short"), *BY_NODE)

    assert (ran.code, ran.out.splitlines()[0]) == (
        3,
        "c.pcap: undecided: 2 packets without the header that decides (lab: ipsec)",
    )
    assert ran.err == (
        "keyturn: c.pcap: packet 2 ends before the header that decides; capture more of each: tcpdump -s 0\n"
    )


def members(value: Any) -> Any:
    """The names in a JSON value, and nothing of what they hold."""
    if isinstance(value, dict):
        return {name: members(one) for name, one in value.items()}
    return [members(one) for one in value[:1]] if isinstance(value, list) else None


def test_document_shows_what_json_has(lab: Repo) -> None:
    text = (PROJECT / "docs" / "json.md").read_text("utf-8").partition("## `keyturn capture`")[2]
    shown = json.loads(text.partition("```json\n")[2].partition("```")[0])
    data = pcaps.pcap(ESP4, HELLO, PLAIN)

    ran = capture(lab, data, *BY_NODE, "--node-cidr", "172.18.0.0/16", "--output", "json")

    said = json.loads(ran.out)
    said["captures"][0]["notes"] = shown["captures"][0]["notes"] = []
    assert members(shown) == members(said)


# What counts as encrypted


@pytest.mark.parametrize(
    ("env", "packets", "expected"),
    [
        ("lab", [ESP4], (0, "encrypted")),
        ("lab", [ESP3], (0, "encrypted")),
        ("lab", [pcaps.between_nodes(pcaps.esp(5), 50)], (1, "nothing")),
        ("lab", [DATA], (1, "nothing")),
        ("lab", [HTTP], (1, "nothing")),
        ("lab", [], (1, "nothing")),
        ("lab", [pcaps.between_nodes(pcaps.vxlan(pcaps.between_pods(pcaps.esp(4), 50)))], (0, "encrypted")),
        ("old", [pcaps.between_nodes(pcaps.vxlan(pcaps.between_pods(pcaps.esp(4), 50)))], (0, "encrypted")),
        ("wg", [HELLO, DATA], (0, "encrypted")),
        ("wg", [HELLO], (1, "nothing")),
        ("wg", [ESP4], (1, "nothing")),
        ("lab", [ether(ipv6(NODE6, OTHER6, 50, pcaps.esp(4)), kind=0x86DD)], (0, "encrypted")),
    ],
)
def test_only_what_the_environment_says_counts(
    lab: Repo, env: str, packets: list[bytes], expected: tuple[int, str]
) -> None:
    assert verdict(lab, *packets, env=env) == expected


@pytest.mark.parametrize(
    ("env", "packet", "note"),
    [
        ("lab", ESP3, "all ESP is by key 3, none yet by 4: nodes have not moved"),
        (
            "lab",
            pcaps.between_nodes(pcaps.esp(5), 50),
            "ESP with SPI 5 is by no key of lab, whose id is 4 or 3, so it does not count",
        ),
        ("lab", DATA, "there is WireGuard, and lab has IPsec, so it does not count"),
        ("wg", ESP4, "there is ESP, and wg has WireGuard, so it does not count"),
        ("wg", HELLO, "WireGuard shook hands and carried no data"),
    ],
)
def test_what_does_not_count_is_told(lab: Repo, env: str, packet: bytes, note: str) -> None:
    ran = capture(lab, pcaps.pcap(packet), env=env)

    assert ran.err == f"keyturn: c.pcap: {note}\n"


# Direction


def test_without_a_direction_clear_packets_are_undecided(lab: Repo) -> None:
    ran = capture(lab, pcaps.pcap(ESP4, PLAIN))

    assert ran.code == 3
    assert ran.out.splitlines()[0] == (
        "c.pcap: undecided: 1 packet in clear, and whether they left the node is not known (lab: ipsec)"
    )
    assert "--node-ip, or capture with tcpdump -i any" in ran.err


def test_node_that_never_speaks_leaves_it_undecided(lab: Repo) -> None:
    ran = capture(lab, pcaps.pcap(ESP4, PLAIN, IN_VXLAN), "--node-ip", "172.18.0.9")

    assert ran.code == 3
    assert "nothing came from --node-ip" in ran.err


def test_what_comes_in_is_not_judged(lab: Repo) -> None:
    plain = ether(PLAIN[14:], pcaps.THERE, pcaps.HERE)

    assert verdict(lab, ESP4, FROM_OTHER, plain) == (0, "encrypted")
    assert cooked(lab, sll2(ESP4[14:]), sll2(FROM_OTHER[14:], pcaps.IN), sll2(PLAIN[14:], pcaps.IN)) == (0, "encrypted")
    assert cooked(lab, sll2(ESP4[14:]), sll2(PLAIN[14:])) == (1, "clear")


def test_mac_of_the_node_may_be_learned_after_the_packet(lab: Repo) -> None:
    assert verdict(lab, PLAIN, ESP4) == (1, "clear")
    assert verdict(lab, PLAIN, pcaps.arp(NODE, OTHER)) == (1, "clear")


def test_older_cooked_captures_tell_interfaces_by_the_sender(lab: Repo) -> None:
    pod = b"\6\6\6\6\6\6"

    def code(*data: bytes) -> tuple[int, str]:
        number, found = answer(lab, pcaps.pcap(*data, link=pcaps.SLL))
        return number, found["verdict"]

    assert code(pcaps.sll(ESP4[14:]), pcaps.sll(PLAIN[14:], sender=pod)) == (0, "encrypted")
    assert code(pcaps.sll(ESP4[14:]), pcaps.sll(PLAIN[14:])) == (1, "clear")
    assert code(pcaps.sll(ESP4[14:]), pcaps.sll(PLAIN[14:], pcaps.IN)) == (0, "encrypted")


# Inner devices


def test_inner_devices_in_a_capture_of_all_are_left_out(lab: Repo) -> None:
    data = [
        sll2(PLAIN[14:], interface=5),
        sll2(HTTP[14:], interface=9, hardware=0xFFFE),
        sll2(ip("127.0.0.1", "127.0.0.1", 6, pcaps.tcp(1, 2)), interface=1, hardware=772),
        sll2(ESP4[14:]),
    ]

    code, found = answer(lab, pcaps.pcap(*data, link=pcaps.SLL2))

    assert (code, found["verdict"], found["inner"]["packets"]) == (0, "encrypted", 3)


@pytest.mark.parametrize("env", ["lab", "old", "wg"])
@pytest.mark.parametrize(
    ("link", "packet"),
    [
        (pcaps.ETHERNET, PLAIN),
        (pcaps.RAW, IN_VXLAN[14:]),
        (pcaps.RAW, HTTP[14:]),
    ],
)
def test_capture_of_an_inner_device_names_the_right_one(lab: Repo, env: str, link: int, packet: bytes) -> None:
    ran = capture(lab, pcaps.pcap(packet, link=link), env=env)

    assert (ran.code, ran.out.splitlines()[0]) == (
        3,
        (
            f"c.pcap: undecided: all of it is of an inner device, which is clear by nature ({env}: "
            f"{'wireguard' if env == 'wg' else 'ipsec'})"
        ),
    )
    assert "capture the interface that has the node's own address, such as eth0" in ran.err


def test_capture_of_all_that_was_filtered_to_pods_cannot_tell(lab: Repo) -> None:
    """On a pod's own device the packet is in clear too, and nothing tells this one from eth0."""
    only_pods = [sll2(PLAIN[14:], pcaps.IN, interface=7), sll2(PLAIN[14:])]

    ran = capture(lab, pcaps.pcap(*only_pods, link=pcaps.SLL2))

    assert (ran.code, ran.err) == (
        3,
        "keyturn: c.pcap: capture whatever passes, with no filter that leaves nodes out: tcpdump -i any -w FILE\n",
    )
    assert "which interface is the underlay is not known" in ran.out
    assert cooked(lab, *only_pods, sll2(pcaps.arp(NODE, OTHER)[14:], kind=0x0806)) == (1, "clear")


def test_only_interface_of_a_capture_of_all_is_the_underlay(lab: Repo) -> None:
    assert cooked(lab, sll2(PLAIN[14:])) == (1, "clear")
    assert cooked(lab, sll2(PLAIN[14:], pcaps.IN)) == (1, "nothing")
    assert cooked(lab, sll2(PLAIN[14:], hardware=0xFFFE)) == (3, "undecided")


def test_first_of_pods_that_went_out_where_no_nodes_talk_is_told(lab: Repo) -> None:
    data = [sll2(ESP4[14:]), *[sll2(PLAIN[14:], interface=7)] * 2]

    ran = capture(lab, pcaps.pcap(*data, link=pcaps.SLL2))

    first = f"{POD} -> {PEER} udp port 8080, the first is packet 2"
    assert (ran.code, ran.err) == (
        0,
        f"keyturn: c.pcap: left out, since it is where no nodes talk: {first}; look there if that is a node's own\n",
    )


def test_esp_on_cilium_vxlan_does_not_make_it_the_underlay(lab: Repo) -> None:
    between = ether(ip("10.244.3.112", "10.244.0.74", 50, pcaps.esp(4)))

    assert verdict(lab, between, PLAIN, env="old", words=()) == (3, "undecided")
    assert verdict(lab, between, env="lab", words=()) == (0, "encrypted")  # 1.18: ESP is outermost, pods or not


# What is judged


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (ether(ip(POD, PEER, 1, bytes(8))), "clear"),
        (ether(ipv6(POD6, PEER6, 6, pcaps.tcp(40_000, 80)), kind=0x86DD), "clear"),
        (pcaps.between_nodes(pcaps.geneve(PLAIN)), "clear"),
        (pcaps.between_nodes(PLAIN[14:], 4), "clear"),
        (pcaps.between_nodes(pcaps.gre(PLAIN[14:]), 47), "clear"),
        (pcaps.between_nodes(ip("192.0.2.1", "192.0.2.2", 6, pcaps.tcp(40_000, 80)), 4), "encrypted"),
        (pcaps.between_nodes(pcaps.vxlan(ether(ip(POD, NODE, 6, pcaps.tcp(40_000, 80))))), "clear"),
        (pcaps.between_nodes(pcaps.vxlan(pcaps.arp(POD, PEER))), "encrypted"),
        (pcaps.between_nodes(pcaps.vxlan(ether(ip("192.0.2.1", "192.0.2.2", 6, pcaps.tcp(40_000, 80))))), "undecided"),
        (pcaps.between_nodes(pcaps.vxlan(ether(ipv6("fe80::1", "ff02::2", 58, bytes(8)), kind=0x86DD))), "encrypted"),
        (ether(ip(POD, "192.0.2.1", 6, pcaps.tcp(40_000, 443))), "encrypted"),
        (ether(ip(POD, OTHER, 6, pcaps.tcp(40_000, 10_250))), "encrypted"),
        (HTTP, "encrypted"),
        (ether(ip(POD, PEER, 17, pcaps.vxlan(ether(ip("192.0.2.1", "192.0.2.2", 6, b""))))), "clear"),
        (ether(ip(POD, PEER, 17, b"x" * 20, fragment=9)), "clear"),
        (ether(ip(POD, PEER, 17, b"")), "clear"),
        (IN_VXLAN[:70], "undecided"),
        (ether(ip(NODE, OTHER, 50, b"x" * 20, fragment=9)), "encrypted"),
    ],
)
def test_traffic_of_pods_in_clear_is_found_in_every_form(lab: Repo, packet: bytes, expected: str) -> None:
    found = verdict(lab, ESP4, packet)[1]

    assert found == expected


def test_traffic_between_pod_and_node_is_judged_with_encryption_of_nodes(lab: Repo) -> None:
    packet = ether(ip(POD, OTHER, 6, pcaps.tcp(40_000, 10_250)))

    assert verdict(lab, DATA, packet, env="wg") == (0, "encrypted")
    assert verdict(lab, DATA, packet, env="wgn") == (1, "clear")
    assert verdict(lab, DATA, HTTP, env="wgn") == (0, "encrypted")


def test_nodes_inside_the_pods_networks_are_known_by_their_tunnels(lab: Repo) -> None:
    """The chart's default, 10.0.0.0/8, swallows many a network of nodes."""
    here, there, other = "10.1.0.3", "10.1.0.4", "10.1.0.5"
    esp = ether(ip(here, there, 50, pcaps.esp(4)))
    http = ether(ip(here, there, 6, pcaps.tcp(40_000, 10_250)))
    unseen = ether(ip(here, other, 6, pcaps.tcp(40_000, 10_250)))
    by_node = ("--node-ip", here)

    ran = capture(lab, pcaps.pcap(esp, http), *by_node)

    assert (ran.code, ran.err) == (
        0,
        "keyturn: c.pcap: 10.1.0.4 lie in the pods' networks and were taken for nodes; --node-cidr says so for sure\n",
    )
    assert verdict(lab, esp, http, unseen, words=(*by_node, "--node-cidr", "10.1.0.0/24")) == (0, "encrypted")
    assert verdict(lab, esp, http, words=(*by_node, "--pod-cidr", "10.0.0.0/8")) == (0, "encrypted")
    assert verdict(lab, esp, PLAIN, words=by_node) == (1, "clear")


def test_flood_of_flows_is_summed_up_and_hides_nothing(lab: Repo) -> None:
    flood = [
        ether(ip(f"10.244.{number >> 8}.{number & 255}", PEER, 17, pcaps.udp(40_000, port)))
        for number in range(1_100)
        for port in range(1, 11)
    ]

    code, found = answer(lab, pcaps.pcap(*flood, ESP4), *BY_NODE)

    flows = [*found["clear"], *found["undecided"]]
    assert (code, len(found["clear"]), sum(one["packets"] for one in flows)) == (1, 10_000, 11_000)
    assert [(one["source"], one["packets"], one["first"]) for one in found["undecided"]] == [(None, 1_000, 10_001)]


def test_flood_of_interfaces_and_spis_takes_bounded_memory_and_is_still_judged(lab: Repo) -> None:
    one = sll2(ip(NODE, OTHER, 50, pcaps.esp(size=0)))
    numbers = (struct.pack(">I", number) for number in range(35_000))
    flood = [one[:4] + number + one[8:40] + number + one[44:] for number in numbers]

    assert cooked(lab, *flood, sll2(PLAIN[14:], interface=90_000)) == (1, "clear")


# The file


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_pcap_is_read_in_both_orders_and_both_clocks(lab: Repo, order: str, magic: int) -> None:
    assert answer(lab, pcaps.pcap(ESP4, ESP4, order=order, magic=magic))[1]["esp"][0]["packets"] == 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_is_read_in_both_orders(lab: Repo, order: str) -> None:
    assert answer(lab, pcaps.pcapng(ESP4, ESP4, order=order))[1]["esp"][0]["packets"] == 2


def test_pcapng_with_more_sections_and_other_blocks_is_read(lab: Repo) -> None:
    data = pcaps.pcapng(ESP4) + pcaps.block(0x99, b"unknown") + pcaps.simple(ESP4) + pcaps.pcapng(PLAIN)

    code, found = answer(lab, data, *BY_NODE)

    assert (code, found["packets"], found["clear"][0]["first"]) == (1, 3, 3)


@pytest.mark.parametrize("cut", [1, 60, len(ESP4) + 3])
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_file_that_is_cut_off_is_judged_so_far_and_never_clean(lab: Repo, form: str, cut: int) -> None:
    whole = pcaps.pcap if form == "pcap" else pcaps.pcapng

    clean, unclean = capture(lab, whole(ESP4, ESP4)[:-cut]), capture(lab, whole(PLAIN, ESP4, ESP4)[:-cut], *BY_NODE)

    assert (clean.code, unclean.code) == (3, 1)
    assert clean.err == "keyturn: c.pcap: is cut off after packet 1; tcpdump -r FILE -w WHOLE writes what is whole\n"
    assert "is cut off after packet 2" in unclean.err


@pytest.mark.parametrize(
    "damage",
    [
        struct.pack("<IIII", 0, 0, 0xFFFFFFFF, 0xFFFFFFFF) + b"x" * 40,
        struct.pack("<IIII", 0, 0, 300_000, 300_000) + b"x" * 300_000,
    ],
)
def test_damaged_header_ends_the_file_with_one_line(lab: Repo, damage: bytes) -> None:
    ran = capture(lab, pcaps.pcap(ESP4) + damage)

    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "is damaged after packet 1: invalid packet capture length" in ran.err


@pytest.mark.parametrize("before", [(), (ESP4,)])
@pytest.mark.parametrize("second", [pcaps.RAW, pcaps.SLL2])
def test_interface_of_another_kind_ends_the_file_with_one_line(
    lab: Repo, second: int, before: tuple[bytes, ...]
) -> None:
    ran = capture(lab, pcaps.pcapng(*before) + pcaps.interface(second) + pcaps.enhanced(ESP4))

    where = "after packet 1" if before else "before the first packet"
    told = f"holds interfaces of different kinds, and was read no further than {where}"
    more = "write one capture an interface, or let tcpdump -i any write pcap"
    assert (ran.code, ran.err) == (3, f"keyturn: c.pcap: {told}; {more}\n")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "is empty; tcpdump writes a header at least"),
        (b"10:00 IP 172.18.0.3 > 172.18.0.4: ESP\n", "is no capture; tcpdump -w writes one"),
        (pcaps.pcap()[:9], "is cut off in its header; tcpdump -w writes one"),
        (gzip.compress(pcaps.pcap(ESP4), mtime=0), "is packed by gzip; zcat c.pcap | keyturn capture - ..."),
        (
            pcaps.pcap(ESP4, link=105),
            "link type 105 is none of a node's interface; capture the node's own interface, or tcpdump -i any",
        ),
    ],
)
def test_file_that_is_no_capture_is_the_users_mistake(lab: Repo, data: bytes, line: str) -> None:
    assert capture(lab, data) == Ran(2, "", f"keyturn: error: c.pcap: {line}\n")


def test_what_is_no_file_is_refused_in_one_line(lab: Repo) -> None:
    for name, line in (
        ("environments", "environments: is a folder, and no capture; name the files in it"),
        ("/dev/null", "/dev/null: is empty; tcpdump writes a header at least"),
        ("nowhere", "Invalid value for 'FILE...': Path 'nowhere' does not exist; see keyturn capture --help"),
    ):
        assert rig.command(lab.root, "capture", name, "--env", "lab") == Ran(2, "", f"keyturn: error: {line}\n")


def test_name_that_is_not_utf8_is_read(lab: Repo) -> None:
    name = os.fsdecode(os.fsencode(lab.root) + b"/\xff.pcap")
    Path(name).write_bytes(pcaps.pcap(ESP4))

    ran = rig.command(lab.root, "capture", name, "--env", "lab", "--output", "json")

    assert (ran.code, json.loads(ran.out)["captures"][0]["file"]) == (0, f"{lab.root}/\\xff.pcap")


def test_capture_may_come_through_a_pipe(lab: Repo) -> None:
    argv = [sys.executable, "-m", "generator", "capture", "-", "--env", "lab"]

    done = subprocess.run(argv, cwd=lab.root, input=pcaps.pcap(ESP4), capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"stdin: encrypted: 1 packet")
    assert rig.command(lab.root, "capture", "-", "-", "--env", "lab").code == 2


# The environment


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--env", "lob"), "no environment 'lob'; did you mean lab?"),
        (("--env", "open"), "environments/open.yaml: encryption.type is none, so nothing is to be encrypted"),
        (
            ("--env", "bare"),
            f"bare has no Secret {NO_ID}; keyturn render bare, or go to the branch that has it",
        ),
        (
            ("--env", "lab", "--pod-cidr", "10.244.0.0/33"),
            "--pod-cidr: '10.244.0.0/33' is no network; such as 10.244.0.0/16",
        ),
        (
            ("--env", "lab", "--node-cidr", "172.18.0.3/16"),
            "--node-cidr: '172.18.0.3/16' has bits behind its prefix; did you mean 172.18.0.0/16?",
        ),
        (("--env", "lab", "--node-ip", "node-1"), "--node-ip: 'node-1' is no address; such as 172.18.0.3"),
    ],
)
def test_wrong_words_are_the_users_mistake(lab: Repo, words: tuple[str, ...], line: str) -> None:
    lab.write("c.pcap", pcaps.pcap(ESP4))

    assert rig.command(lab.root, "capture", "c.pcap", *words) == Ran(2, "", f"keyturn: error: {line}\n")


@pytest.mark.parametrize(
    ("values", "more", "expected"),
    [
        ("", "", "10.0.0.0/8, fd00::/104 (the chart's default)"),
        (
            "ipam: {operator: {clusterPoolIPv4PodCIDRList: [10.9.0.0/16, 10.8.0.0/16]}}",
            "",
            "10.9.0.0/16, 10.8.0.0/16, fd00::/104 (environments/x.yaml: ipam.operator.clusterPool...)",
        ),
        (
            "ipam: {operator: {clusterPoolIPv4PodCIDRList: 10.9.0.0/16 10.8.0.0/16}}",
            "",
            "10.9.0.0/16, 10.8.0.0/16, fd00::/104 (environments/x.yaml: ipam.operator.clusterPool...)",
        ),
        ("ipam: {mode: kubernetes}", "kind: {name: x}\n", "10.244.0.0/16 (kind's default)"),
        (
            "ipam: {mode: kubernetes}, ipv4NativeRoutingCIDR: 10.7.0.0/16",
            "",
            "10.7.0.0/16 (environments/x.yaml: ipv4NativeRoutingCIDR)",
        ),
    ],
)
def test_networks_of_pods_come_from_the_environment_and_are_told(
    lab: Repo, values: str, more: str, expected: str
) -> None:
    lab.environment("x", f"{WIREGUARD.replace('enabled: false}', f'enabled: false}}, {values}')}{more}")

    assert capture(lab, pcaps.pcap(DATA), env="x").out.splitlines()[-1] == f"c.pcap: pods are in {expected}"


def test_where_nothing_tells_the_pods_networks_they_are_asked_for(lab: Repo) -> None:
    lab.environment("x", WIREGUARD.replace("enabled: false}", "enabled: false}, ipam: {mode: eni}"))

    ran = capture(lab, pcaps.pcap(DATA), env="x")

    told = "environments/x.yaml: with ipam.mode 'eni' nothing here tells where the pods are"
    assert (ran.code, ran.err) == (2, f"keyturn: error: {told}; say the pods' networks: --pod-cidr\n")
    assert capture(lab, pcaps.pcap(DATA), "--pod-cidr", "10.3.0.0/16", env="x").code == 0


@pytest.mark.parametrize("protocol", ["vxlan", "geneve"])
def test_port_of_the_tunnel_is_the_environments(lab: Repo, protocol: str) -> None:
    values = f"enabled: false}}, tunnelProtocol: {protocol}, tunnelPort: 7777"
    lab.environment("x", WIREGUARD.replace("enabled: false}", values))
    inside = (pcaps.vxlan if protocol == "vxlan" else pcaps.geneve)(PLAIN)
    packet = pcaps.between_nodes(pcaps.udp(50_000, 7777, inside[8:]))

    assert verdict(lab, DATA, packet, env="x") == (1, "clear")
    assert verdict(lab, DATA, packet, env="wg") == (0, "encrypted")


def test_wrong_environment_and_wrong_secret_are_told_by_line(lab: Repo) -> None:
    lab.environment("x", WIREGUARD.replace("wireguard}", "wireguard, nodeEncrption: true}"))
    file = lab.root / sealed.path("lab")
    file.write_text(file.read_text("utf-8").replace("ENC[", "clear["), "utf-8")

    for name, told in (("x", "environments/x.yaml:2:31: error: unknown key"), ("lab", f"{sealed.path('lab')}:")):
        ran = capture(lab, pcaps.pcap(ESP4), env=name)
        assert (ran.code, ran.out, ran.err.startswith(told)) == (2, "", True), ran.err


def test_secret_that_tells_no_key_id_is_the_users_mistake(lab: Repo) -> None:
    file = lab.root / sealed.path("lab")
    file.write_text(file.read_text("utf-8").replace('keyturn/key-id: "4"', 'keyturn/key-id: "44"'), "utf-8")

    ran = capture(lab, pcaps.pcap(ESP4))

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"keyturn: error: {sealed.path('lab')}: the Secret's keyturn/key-id is malformed")


def test_nothing_is_written(lab: Repo) -> None:
    lab.write("c.pcap", pcaps.pcap(ESP4, PLAIN))
    before = sealed.standing(lab)

    rig.command(lab.root, "capture", "c.pcap", "--env", "lab")

    assert sealed.standing(lab) == before
