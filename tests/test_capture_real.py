"""`keyturn capture` on what a real tcpdump captures: the kernel's VXLAN, a real WireGuard, and ESP by scapy.

Two network namespaces are two nodes; see wire.py.  The captures are of the first.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import rig
import sealed
import turned
import wire
from kit import IPSEC, WIREGUARD, Repo, program

if TYPE_CHECKING:
    from pathlib import Path

BY_NODE = ("--node-ip", wire.HERE_IP)
PODS = ("--pod-cidr", "10.244.0.0/16")


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return wire.captures(base.parent if base.name.startswith("popen-") else base)


@pytest.fixture
def lab(repo: Repo, home: Path) -> Repo:
    rig.lab(repo, home, IPSEC.replace("1.16.0", "1.18.0"))
    repo.environment("old", IPSEC)
    repo.environment("wg", WIREGUARD)
    for name in ("lab", "old"):
        turned.hold(repo, name, sealed.key(1))
    return repo


def answer(repo: Repo, capture: Path, *words: str, env: str = "lab") -> tuple[int, dict[str, Any]]:
    ran = rig.command(repo.root, "capture", str(capture), "--env", env, *words, *PODS, "--output", "json")
    (found,) = json.loads(ran.out)["captures"]
    return ran.code, found


def flows(found: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    return [tuple(one[name] for name in ("source", "destination", "protocol", "port", "tunnel")) for one in found]


def numbered(capture: Path, words: str) -> list[int]:
    """The numbers that tcpdump gives to the packets that it describes so."""
    argv = [program("tcpdump"), "-n", "-#", "-r", str(capture)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    packets = re.split(r"(?m)^ +(?=[0-9]+ )", done.stdout)
    return [int(one.split()[0]) for one in packets if words in one]


LEFT = [
    (wire.HERE_POD, wire.THERE_POD, "udp", 8080, "vxlan"),
    (wire.HERE_POD, wire.THERE_POD, "tcp", 8080, None),
    (wire.HERE_POD, wire.THERE_POD, "icmp", None, None),
    (wire.HERE_POD, wire.THERE_POD, "udp", 53, "geneve"),
]


@pytest.mark.parametrize(("place", "words"), [("any", ()), ("eth0", BY_NODE)])
def test_clear_packets_that_left_are_found(lab: Repo, captures: Path, place: str, words: tuple[str, ...]) -> None:
    code, found = answer(lab, captures / f"clear-{place}.pcap", *words)

    assert (code, found["verdict"], flows(found["clear"]), found["undecided"]) == (1, "clear", LEFT, [])
    assert [(one["spi"], one["key"], one["packets"]) for one in found["esp"]] == [(1, "current", 3)]


def test_first_packet_is_the_one_that_wireshark_numbers_so(lab: Repo, captures: Path) -> None:
    file = captures / "clear-eth0.pcap"

    _, found = answer(lab, file, *BY_NODE)

    in_vxlan = numbered(file, "IP 10.244.1.5.40000 > 10.244.2.7.8080: UDP")
    in_plain = numbered(file, "IP 10.244.1.5.40000 > 10.244.2.7.8080: Flags [S]")
    assert [one["first"] for one in found["clear"][:2]] == [in_vxlan[0], in_plain[0]]


@pytest.mark.parametrize(("place", "words"), [("any", ()), ("eth0", BY_NODE)])
def test_decrypted_packets_that_reappear_are_no_leak(
    lab: Repo, captures: Path, place: str, words: tuple[str, ...]
) -> None:
    code, found = answer(lab, captures / f"encrypted-{place}.pcap", *words)

    assert (code, found["verdict"], found["clear"], found["undecided"]) == (0, "encrypted", [], [])
    assert [one["packets"] for one in found["esp"]] == [6]
    assert found["inbound"]["packets"] == 1


def test_without_a_direction_the_same_capture_is_undecided(lab: Repo, captures: Path) -> None:
    code, found = answer(lab, captures / "encrypted-eth0.pcap")

    assert (code, found["verdict"]) == (3, "undecided")
    assert flows(found["undecided"]) == [(wire.THERE_POD, wire.HERE_POD, "udp", 8080, "vxlan")]


@pytest.mark.parametrize("env", ["lab", "old"])
@pytest.mark.parametrize("place", ["any", "eth0"])
def test_esp_in_vxlan_is_encrypted(lab: Repo, captures: Path, place: str, env: str) -> None:
    code, found = answer(lab, captures / f"esp-in-vxlan-{place}.pcap", *BY_NODE, env=env)

    assert (code, found["verdict"]) == (0, "encrypted")
    assert [(one["spi"], one["tunnel"], one["packets"]) for one in found["esp"]] == [(1, "vxlan", 1)]


@pytest.mark.parametrize("place", ["any", "eth0"])
def test_real_wireguard_is_encrypted(lab: Repo, captures: Path, place: str) -> None:
    code, found = answer(lab, captures / f"wireguard-{place}.pcap", *BY_NODE, env="wg")

    assert (code, found["verdict"], found["clear"]) == (0, "encrypted", [])
    seen = {one["message"]: one["packets"] for one in found["wireguard"]}
    assert seen.keys() == {"handshake initiation", "handshake response", "data"}
    assert sum(seen.values()) == len(numbered(captures / f"wireguard-{place}.pcap", ".51871: UDP"))
    assert len(numbered(captures / f"wireguard-{place}.pcap", ".51871: UDP, length 1452")) == 1  # a full one


@pytest.mark.parametrize(("name", "env"), [("clear-cilium_vxlan", "lab"), ("wireguard-cilium_wg0", "wg")])
def test_capture_of_an_inner_device_is_clear_by_nature(lab: Repo, captures: Path, name: str, env: str) -> None:
    ran = rig.command(lab.root, "capture", str(captures / f"{name}.pcap"), "--env", env)

    assert ran.code == 3
    assert "all of it is of an inner device, which is clear by nature" in ran.out
    assert "such as eth0" in ran.err


@pytest.mark.parametrize("name", ["clear-any", "encrypted-any", "esp-in-vxlan-eth0"])
def test_pcapng_of_another_writer_says_the_same(lab: Repo, captures: Path, name: str, tmp_path: Path) -> None:
    file = captures / f"{name}.pcap"
    newer = tmp_path / f"{name}.pcapng"
    subprocess.run([program("editcap"), "-F", "pcapng", file, newer], check=True, capture_output=True)

    (code, found), (other, same) = answer(lab, file), answer(lab, newer)

    assert (other, {**same, "file": ""}) == (code, {**found, "file": ""})
