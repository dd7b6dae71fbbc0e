"""Send packets from where this runs, a node of wire.py: `speaker.py WHAT...`; what no kernel here makes, scapy does."""

from __future__ import annotations

import socket
import sys

from scapy.arch import get_if_addr
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from scapy.sendrecv import sendp

OWN = "172.18.0.3"
FULL = 1420  # the MTU of a WireGuard device, whose messages are 32 bytes longer
PODS = {"172.18.0.3": ("10.244.1.5", "10.244.2.7"), "172.18.0.4": ("10.244.2.7", "10.244.1.5")}


def main() -> None:
    own = get_if_addr("eth0")
    other = "172.18.0.4" if own == OWN else OWN
    for what in sys.argv[1:]:
        if what == "vxlan":
            _by_the_kernel(*PODS[own], b"in clear")
        elif what == "wireguard":
            _by_the_kernel("10.245.1.5", "10.245.2.7", b"short")
            _by_the_kernel("10.245.1.5", "10.245.2.7", bytes(FULL - 28))
        else:
            _by_scapy(what, own, other)


def _by_the_kernel(source: str, destination: str, what: bytes) -> None:
    """Send one datagram, which the kernel or a userspace WireGuard takes on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 40000))
        sender.sendto(what, (destination, 8080))


def _by_scapy(what: str, own: str, other: str) -> None:
    here, there = PODS[own]
    last = int(own[-1])
    link = Ether(src=f"02:00:00:00:00:0{last}", dst=f"02:00:00:00:00:0{7 - last}")
    pods, payload = IP(src=here, dst=there), Raw(b"x" * 64)
    outer = IP(src=own, dst=other)
    made = {
        "esp": [link / outer / ESP(spi=1, seq=number) / payload for number in range(1, 4)],
        "plain": [link / pods / TCP(sport=40000, dport=8080, flags="S"), link / pods / ICMP()],
        "geneve": [link / outer / UDP(sport=5000, dport=6081) / GENEVE() / Ether() / pods / UDP(sport=9, dport=53)],
        "esp-in-vxlan": [
            link / outer / UDP(sport=5000, dport=8472) / VXLAN(vni=2) / Ether() / pods / ESP(spi=1, seq=1) / payload
        ],
    }
    sendp(made[what], iface="eth0", verbose=False)


if __name__ == "__main__":
    main()
