"""Captures that a test writes itself, byte by byte: files of pcap and pcapng, and packets of every kind."""

from __future__ import annotations

import ipaddress
import struct

ETHERNET, RAW, SLL, SLL2 = 1, 101, 113, 276
NODE, OTHER = "172.18.0.3", "172.18.0.4"
POD, PEER = "10.244.1.5", "10.244.2.7"
NODE6, OTHER6, POD6, PEER6 = "fc00:f853::3", "fc00:f853::4", "fd00::105", "fd00::207"
MACS = {NODE: b"\2\0\0\0\0\3", OTHER: b"\2\0\0\0\0\4"}
HERE, THERE = MACS[NODE], MACS[OTHER]
OUT, IN = 4, 0


def address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def ether(payload: bytes, source: bytes = HERE, destination: bytes = THERE, kind: int = 0x0800) -> bytes:
    return destination + source + struct.pack(">H", kind) + payload


def ip(
    source: str, destination: str, protocol: int, payload: bytes, *, fragment: int = 0, options: bytes = b""
) -> bytes:
    size = 20 + len(options)
    head = struct.pack(">BBHHHBBH", 0x40 | size // 4, 0, size + len(payload), 7, fragment, 64, protocol, 0)
    return head + address(source) + address(destination) + options + payload


def ipv6(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    head = struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64)
    return head + address(source) + address(destination) + payload


def udp(source: int, destination: int, payload: bytes = b"") -> bytes:
    return struct.pack(">HHHH", source, destination, 8 + len(payload), 0) + payload


def tcp(source: int, destination: int) -> bytes:
    return struct.pack(">HHIIBBHHH", source, destination, 0, 0, 0x50, 2, 1000, 0, 0)


def esp(spi: int = 1, number: int = 1, size: int = 64) -> bytes:
    return struct.pack(">II", spi, number) + b"\xaa" * size


def wireguard(kind: int = 4, size: int | None = None) -> bytes:
    whole = {1: 148, 2: 92, 3: 64, 4: 96}.get(kind, 32) if size is None else size
    return (struct.pack("<I", kind) + bytes(whole))[:whole]


def vxlan(frame: bytes) -> bytes:
    return udp(50_000, 8472, b"\x08\0\0\0\0\0\2\0" + frame)


def geneve(frame: bytes, *, options: bytes = b"", kind: int = 0x6558) -> bytes:
    return udp(50_000, 6081, struct.pack(">BBHI", len(options) // 4, 0, kind, 2 << 8) + options + frame)


def gre(payload: bytes, kind: int = 0x0800, *, flags: int = 0) -> bytes:
    return struct.pack(">HH", flags, kind) + bytes(4 * (flags >> 12).bit_count()) + payload


def arp(asking: str, asked: str) -> bytes:
    head = b"\0\1\x08\0\6\4\0\1"
    return ether(head + HERE + address(asking) + bytes(6) + address(asked), HERE, b"\xff" * 6, 0x0806)


def sll2(payload: bytes, way: int = OUT, interface: int = 2, hardware: int = 1, kind: int = 0x0800) -> bytes:
    return struct.pack(">HHIHBB8s", kind, 0, interface, hardware, way, 6, HERE) + payload


def sll(payload: bytes, way: int = OUT, sender: bytes = HERE, hardware: int = 1, kind: int = 0x0800) -> bytes:
    return struct.pack(">HHH8sH", way, hardware, 6, sender, kind) + payload


def between_nodes(payload: bytes, protocol: int = 17) -> bytes:
    """An Ethernet frame from this node to the other."""
    return ether(ip(NODE, OTHER, protocol, payload))


def between_pods(payload: bytes | None = None, protocol: int = 17) -> bytes:
    """An Ethernet frame from a pod of this node to one of the other, in plain."""
    return ether(ip(POD, PEER, protocol, udp(40_000, 8080) if payload is None else payload))


def pcap(
    *packets: bytes, link: int = ETHERNET, order: str = "<", magic: int = 0xA1B2C3D4, snap: int = 262_144
) -> bytes:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap, link)
    return head + b"".join(
        struct.pack(f"{order}IIII", number, 0, min(len(one), snap), len(one)) + one[:snap]
        for number, one in enumerate(packets)
    )


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = ETHERNET, order: str = "<") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, 262_144), order)


def enhanced(packet: bytes, order: str = "<", number: int = 0) -> bytes:
    return block(6, struct.pack(f"{order}IIIII", number, 0, 1, len(packet), len(packet)) + packet, order)


def simple(packet: bytes) -> bytes:
    return block(3, struct.pack("<I", len(packet)) + packet)


def pcapng(*packets: bytes, link: int = ETHERNET, order: str = "<") -> bytes:
    return section(order) + interface(link, order) + b"".join(enhanced(one, order) for one in packets)
