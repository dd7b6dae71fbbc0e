"""The bytes of a packet: what it is, as far as encryption between nodes goes.  Pure, and never raises.

Sources: libpcap's list of link types, RFC 791, 8200, 4303, 7348 and 8926, and WireGuard's paper for its messages.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["esp", "wireguard", "clear", "arp", "fragment", "cut", "other"]
Tunnel = Literal["", "vxlan", "geneve", "ipip", "gre"]

WIREGUARD_PORT: Final = 51871  # Cilium's
ESP: Final = 50
UDP: Final = 17
GRE: Final = 47
PORTED: Final = {6: "tcp", UDP: "udp", 132: "sctp"}
PROTOCOLS: Final = {**PORTED, 1: "icmp", 58: "icmpv6", ESP: "esp", 2: "igmp", 4: "ipip", 41: "ipv6", 47: "gre"}
CARRYING: Final = frozenset({4, 41, GRE})  # protocols that are a tunnel
EXTENSIONS: Final = frozenset({0, 43, 44, 51, 60, 135})  # headers of IPv6 before the one that matters
EPHEMERAL: Final = 32_768  # Linux's first port for those who call

ETHERNET, SLL, SLL2 = 1, 113, 276
RAW: Final = frozenset({12, 14, 101, 228, 229})
LOOPBACK: Final = frozenset({0, 108})
LINKS: Final = frozenset({ETHERNET, SLL, SLL2}) | RAW | LOOPBACK
ARPHRD_ETHERNET, ARPHRD_LOOPBACK, ARPHRD_NONE = 1, 772, 0xFFFE

_IPV4, _IPV6, _ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"
VLANS: Final = frozenset({b"\x81\x00", b"\x88\xa8", b"\x91\x00"})
_BRIDGED: Final = b"\x65\x58"  # an Ethernet frame in Geneve or GRE
_OUTGOING: Final = 4
_MOST_HEADERS: Final = 16
MESSAGES: Final = {1: "handshake initiation", 2: "handshake response", 3: "cookie reply", 4: "data"}
DATA: Final = 4  # the type of a message
LEAST_DATA: Final = 16  # its header; what follows has any size, since the last message before the MTU is not padded


class Ports(NamedTuple):
    """The UDP ports of tunnels between nodes."""

    vxlan: frozenset[int] = frozenset({8472, 4789})
    geneve: frozenset[int] = frozenset({6081})


class Flow(NamedTuple):
    """Between whom: addresses as bytes, IP protocol, and the port of the one that is called.

    The port is the destination's, or the source's where only the destination's is one of a caller.
    """

    source: bytes
    destination: bytes
    protocol: int
    port: int | None


class Frame(NamedTuple):
    """What the link layer says: the interface, its ARPHRD type, the direction, the MACs, and where IP begins."""

    interface: int | bytes  # an index; in a capture without (SLL), the sender's address of what goes out
    hardware: int
    outgoing: bool | None
    mac: bytes
    ethertype: bytes
    at: int
    receiver: bytes = b""


class Packet(NamedTuple):
    """What a packet is.

    `flow` is the outermost IP header, `inner` what a tunnel carries; `number` is the SPI or the type of the
    message.  A `cut` one lacks a header that decides; a `fragment` is a later part of ESP, which has none.
    """

    frame: Frame | None
    kind: Kind
    flow: Flow | None = None
    tunnel: Tunnel = ""
    inner: Flow | None = None
    number: int = 0


def decode(link: int, data: bytes, ports: Ports) -> Packet:
    """Return what a packet of a known link type is."""
    frame = _frame(link, data)
    if frame is None:
        return Packet(None, "cut")
    if frame.ethertype == _ARP:
        return _arp(frame, data)
    return _network(frame, data, ports) if frame.ethertype in (_IPV4, _IPV6) else Packet(frame, "other")


def _network(frame: Frame, data: bytes, ports: Ports) -> Packet:
    outer = _ip(data, frame.at, frame.ethertype)
    if outer is None:
        return Packet(frame, "cut")
    flow, at, is_whole = outer
    if flow.protocol == ESP:
        return Packet(frame, _esp(data, at, is_whole=is_whole), flow, number=_spi(data, at))
    if flow.protocol in CARRYING and is_whole:
        return _gre(frame, flow, data, at) if flow.protocol == GRE else _ipip(frame, flow, data, at)
    if flow.protocol != UDP or not is_whole:
        return Packet(frame, "clear", flow)
    if len(data) < at + 8:
        return Packet(frame, "cut", flow)
    return _udp(frame, flow, data, at, ports)


def _ipip(frame: Frame, flow: Flow, data: bytes, at: int) -> Packet:
    return _carried(frame, flow, data, at, "ipip", _IPV4 if flow.protocol == 4 else _IPV6)  # noqa: PLR2004 -- IPv4's


def _gre(frame: Frame, flow: Flow, data: bytes, at: int) -> Packet:
    """Return what GRE carries: behind four bytes, and as many for a sum, a key and a number (RFC 2784, 2890)."""
    if len(data) < at + 4:
        return Packet(frame, "cut", flow, "gre")
    ethertype = data[at + 2 : at + 4]
    if data[at + 1] & 7 or ethertype not in (_BRIDGED, _IPV4, _IPV6):
        return Packet(frame, "clear", flow)
    begins = at + 4 + 4 * sum(bool(data[at] & bit) for bit in (0x80, 0x20, 0x10))
    return _carried(frame, flow, data, begins, "gre", b"" if ethertype == _BRIDGED else ethertype)


def _frame(link: int, data: bytes) -> Frame | None:
    """Return what stands before the network layer, None where it is not all there."""
    if link == ETHERNET:
        return _tagged(data, Frame(0, ARPHRD_ETHERNET, None, data[6:12], data[12:14], 14, data[0:6]))
    if link == SLL2:
        hardware = int.from_bytes(data[8:10], "big")
        index = int.from_bytes(data[4:8], "big")
        return _tagged(data, Frame(index, hardware, data[10:11] == b"\x04", b"", data[0:2], 20))
    if link == SLL:
        is_outgoing = int.from_bytes(data[0:2], "big") == _OUTGOING
        hardware = int.from_bytes(data[2:4], "big")
        return _tagged(data, Frame(data[6:12] if is_outgoing else 0, hardware, is_outgoing, b"", data[14:16], 16))
    at, hardware = (4, ARPHRD_LOOPBACK) if link in LOOPBACK else (0, ARPHRD_NONE)
    if len(data) <= at:
        return None
    return Frame(0, hardware, None, b"", _IPV6 if data[at] >> 4 == 6 else _IPV4, at)  # noqa: PLR2004 -- IP's version


def _tagged(data: bytes, frame: Frame) -> Frame | None:
    """Step over VLAN tags."""
    ethertype, at = frame.ethertype, frame.at
    if ethertype not in VLANS and len(data) >= at:
        return frame if len(ethertype) == 2 else None  # noqa: PLR2004 -- its length
    for _ in range(_MOST_HEADERS):
        if ethertype not in VLANS:
            break
        ethertype, at = data[at + 2 : at + 4], at + 4
    if len(data) < at or len(ethertype) < 2:  # noqa: PLR2004 -- its length
        return None
    return frame._replace(ethertype=ethertype, at=at)


def _arp(frame: Frame, data: bytes) -> Packet:
    """Return who asks for whom, where that is about IPv4."""
    asked = data[frame.at : frame.at + 28]
    if len(asked) < 28 or asked[2:6] != b"\x08\x00\x06\x04":  # noqa: PLR2004 -- its length
        return Packet(frame, "other")
    return Packet(frame, "arp", Flow(asked[14:18], asked[24:28], 0, None))


def _ip(data: bytes, at: int, ethertype: bytes) -> tuple[Flow, int, bool] | None:
    """Return addresses and protocol, where that begins, and whether it does: a later fragment has only its middle."""
    if ethertype == _IPV6:
        return _ipv6(data, at)
    if len(data) < at + 20 or data[at] >> 4 != 4 or data[at] & 0x0F < 5:  # noqa: PLR2004 -- version and header length
        return None
    is_whole = not (data[at + 6] & 0x1F or data[at + 7])
    begins = at + (data[at] & 0x0F) * 4
    protocol = data[at + 9]
    port = _port(data, begins, protocol) if is_whole else None
    return Flow(data[at + 12 : at + 16], data[at + 16 : at + 20], protocol, port), begins, is_whole


def _ipv6(data: bytes, at: int) -> tuple[Flow, int, bool] | None:
    if len(data) < at + 40 or data[at] >> 4 != 6:  # noqa: PLR2004 -- version and header length
        return None
    source, destination = data[at + 8 : at + 24], data[at + 24 : at + 40]
    protocol, begins, is_whole = data[at + 6], at + 40, True
    for _ in range(_MOST_HEADERS):
        if protocol not in EXTENSIONS or not is_whole or len(data) < begins + 8:
            break
        if protocol == 44:  # noqa: PLR2004 -- the fragment header
            is_whole = not (data[begins + 2] or data[begins + 3] & 0xF8)
            size = 8
        else:
            size = (data[begins + 1] + 2) * 4 if protocol == 51 else (data[begins + 1] + 1) * 8  # noqa: PLR2004 -- AH
        protocol, begins = data[begins], begins + size
    if is_whole and protocol in EXTENSIONS:
        return None
    port = _port(data, begins, protocol) if is_whole else None
    return Flow(source, destination, protocol, port), begins, is_whole


def _port(data: bytes, at: int, protocol: int) -> int | None:
    if protocol not in PORTED or len(data) < at + 4:
        return None
    source, destination = data[at] << 8 | data[at + 1], data[at + 2] << 8 | data[at + 3]
    return source if destination >= EPHEMERAL > source else destination


def _esp(data: bytes, at: int, *, is_whole: bool) -> Kind:
    if not is_whole:
        return "fragment"
    return "esp" if len(data) >= at + 4 else "cut"


def _spi(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _udp(frame: Frame, flow: Flow, data: bytes, at: int, ports: Ports) -> Packet:
    source, destination = data[at] << 8 | data[at + 1], data[at + 2] << 8 | data[at + 3]
    is_to_tunnel = destination in ports.vxlan or destination in ports.geneve  # from any port, also from WireGuard's
    if destination == WIREGUARD_PORT or (source == WIREGUARD_PORT and not is_to_tunnel):
        return _wireguard(frame, flow, data, at)
    if destination in ports.vxlan:
        if len(data) < at + 9:
            return Packet(frame, "cut", flow, "vxlan")
        if data[at + 8] & 0x08:  # it has an id, as each has
            return _carried(frame, flow._replace(port=destination), data, at + 16, "vxlan")
    if destination in ports.geneve:
        if len(data) < at + 12:
            return Packet(frame, "cut", flow, "geneve")
        begins = at + 16 + (data[at + 8] & 0x3F) * 4
        ethertype = data[at + 10 : at + 12]
        if data[at + 8] >> 6 == 0 and ethertype in (_BRIDGED, _IPV4, _IPV6):
            known = b"" if ethertype == _BRIDGED else ethertype
            return _carried(frame, flow._replace(port=destination), data, begins, "geneve", known)
    return Packet(frame, "clear", flow)


def _wireguard(frame: Frame, flow: Flow, data: bytes, at: int) -> Packet:
    """Return a message of WireGuard; what is none by its first four bytes is another program's."""
    if len(data) < at + 12:
        return Packet(frame, "cut", flow)
    message = data[at + 8]
    if data[at + 9 : at + 12] != b"\0\0\0" or message not in MESSAGES or (message == DATA and is_short(data, at)):
        return Packet(frame, "clear", flow)
    return Packet(frame, "wireguard", flow, number=message)


def is_short(data: bytes, at: int) -> bool:
    """Whether UDP, whose header is there, says that it carries less than WireGuard's data takes."""
    return not data[at + 4] and data[at + 5] < 8 + LEAST_DATA


def _carried(frame: Frame, flow: Flow, data: bytes, at: int, tunnel: Tunnel, ethertype: bytes = b"") -> Packet:
    """Return what a tunnel carries: an Ethernet frame, or what `ethertype` says."""
    if not ethertype:
        carried = _tagged(data, Frame(0, ARPHRD_ETHERNET, None, b"", data[at + 12 : at + 14], at + 14))
        if carried is None:
            return Packet(frame, "cut", flow, tunnel)
        ethertype, at = carried.ethertype, carried.at
    if ethertype not in (_IPV4, _IPV6):
        return Packet(frame, "other", flow, tunnel)
    found = _ip(data, at, ethertype)
    if found is None:
        return Packet(frame, "cut", flow, tunnel)
    inner, begins, is_whole = found
    if inner.protocol != ESP:
        return Packet(frame, "clear", flow, tunnel, inner)
    return Packet(frame, _esp(data, begins, is_whole=is_whole), flow, tunnel, inner, _spi(data, begins))
