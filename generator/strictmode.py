"""The rules of strict mode, which drops what is not encrypted."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.scalars import Scalar
    from generator.view import Complaint, View


def egress_ipsec(view: View) -> Iterator[Complaint]:
    strict = view.environment.encryption.strict_mode
    if strict and strict.egress and view.ipsec:
        hint = "use Cilium 1.19, or type: wireguard"
        yield "encryption.strictMode.egress", f"strictMode does not work with IPsec in Cilium {view.version}", hint


def empty(view: View) -> Iterator[Complaint]:
    strict = view.environment.encryption.strict_mode
    if strict and not strict.egress and not strict.ingress:
        yield "encryption.strictMode", "strictMode asks for nothing, so nothing is dropped", "write egress, or null"


def unencrypted(view: View) -> Iterator[Complaint]:
    strict = view.environment.encryption.strict_mode
    if strict and (strict.egress or strict.ingress) and not (view.ipsec or view.wireguard):
        yield "encryption.strictMode", "strictMode without encryption", "set type, or take strictMode out"


def ingress_absent(view: View) -> Iterator[Complaint]:
    strict = view.environment.encryption.strict_mode
    if strict and strict.ingress:
        message = f"strictMode.ingress is no key of Cilium {view.version}"
        yield "encryption.strictMode.ingress", message, "use Cilium 1.19 or newer"


def ingress(view: View) -> Iterator[Complaint]:
    strict = view.environment.encryption.strict_mode
    if strict and strict.ingress and view.ipsec:
        yield "encryption.strictMode.ingress", "strictMode.ingress works with WireGuard only", "set type: wireguard"


def ingress_native(view: View) -> Iterator[Complaint]:
    strict = view.environment.encryption.strict_mode
    if strict and strict.ingress and not view.tunnel:
        message = "strictMode.ingress works with tunnel routing only in Cilium 1.19"
        yield "encryption.strictMode.ingress", message, "use Cilium 1.20, or tunnel routing"


def cidr(view: View) -> Iterator[Complaint]:
    strict = view.environment.encryption.strict_mode
    if not strict or not strict.egress:
        return
    path, text = "encryption.strictMode.egress.cidr", strict.egress.cidr
    network = _network(text)
    if network is None:
        yield path, f"expected an IPv4 network, not {text!r}", "such as 10.244.0.0/16"
    elif str(network) != text:
        yield path, f"{text} is an address inside a network", f"write {network}"
    elif not strict.egress.allow_remote_node_identities:
        yield from _strict_remote_nodes(view, network)


def _network(text: str) -> ipaddress.IPv4Network | None:
    address, slash, length = text.partition("/")
    if not slash or not length.isdecimal():
        return None
    try:
        return ipaddress.IPv4Network(f"{address}/{length}", strict=False)
    except ValueError:
        return None


def _strict_remote_nodes(view: View, network: ipaddress.IPv4Network) -> Iterator[Complaint]:
    """Node addresses are not in git, but for the API server's, which is a node's in most clusters."""
    path, hint = "encryption.strictMode.egress", "set allowRemoteNodeIdentities: true"
    server = view.value("k8sServiceHost")
    if view.tunnel:
        yield path, "tunnel mode needs allowRemoteNodeIdentities", hint
    elif network.prefixlen == 0 or (_is_address(server) and ipaddress.IPv4Address(str(server)) in network):
        yield path, f"a node's address lies inside {network}, which needs allowRemoteNodeIdentities", hint


def _is_address(value: Scalar) -> bool:
    try:
        ipaddress.IPv4Address(str(value))
    except ValueError:
        return False
    return True
