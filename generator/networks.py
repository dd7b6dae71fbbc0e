"""Which addresses are of pods and which of nodes, by the words of a user or an environment.  Pure."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from generator.model import Environment
    from generator.nodes import Node

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Span = tuple[int, int, int]  # length of an address in bytes, mask, network

_POOL: Final = "ipam.operator.clusterPool"
_POOLS: Final = {f"{_POOL}IPv4PodCIDRList": "10.0.0.0/8", f"{_POOL}IPv6PodCIDRList": "fd00::/104"}  # the chart's own
KIND: Final = "10.244.0.0/16"  # kind's own
KIND6: Final = "fd00:10:244::/56"
_NATIVE: Final = ("ipv4NativeRoutingCIDR", "ipv6NativeRoutingCIDR")
_SAY: Final = "say the pods' networks: --pod-cidr"


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks of pods, networks of nodes within them, and the addresses of the node that captured.

    `origin` says where the pods' networks were found; where a user gave them, `given`, no address in them is a node's,
    and `unsaid` is what the environment would have said.
    """

    pods: tuple[Network, ...]
    nodes: tuple[Network, ...]
    own: frozenset[bytes]
    origin: str
    given: bool
    unsaid: tuple[Network, ...] = ()

    def test(self) -> Membership:
        return Membership(_spans(self.pods), _spans(self.nodes), self.own, _spans(self.unsaid), given=self.given)


@dataclass(frozen=True, slots=True)
class Membership:
    """Networks as numbers: the question is asked of each new address."""

    pods: tuple[Span, ...]
    nodes: tuple[Span, ...]
    own: frozenset[bytes]
    unsaid: tuple[Span, ...] = ()
    given: bool = False

    def is_pod(self, address: bytes) -> bool:
        return _within(address, self.pods) and not self.is_node(address)

    def may_be_pod(self, address: bytes) -> bool:
        """Whether a network of pods has it that the environment names, and the user does not."""
        return _within(address, self.unsaid) and not _within(address, self.pods) and not self.is_node(address)

    def knows(self, address: bytes) -> bool:
        """Whether a network of pods of this family is known at all."""
        return any(size == len(address) for size, _, _ in self.pods)

    def is_node(self, address: bytes) -> bool:
        """Whether somebody said that it is a node's."""
        return address in self.own or _within(address, self.nodes)


def _within(address: bytes, spans: tuple[Span, ...]) -> bool:
    number, length = int.from_bytes(address, "big"), len(address)
    for size, mask, network in spans:  # noqa: SIM110 -- a generator takes twice as long, in a flood of addresses
        if length == size and number & mask == network:
            return True
    return False


def _spans(networks: Iterable[Network]) -> tuple[Span, ...]:
    return tuple((one.max_prefixlen // 8, int(one.netmask), int(one.network_address)) for one in networks)


def read(environment: Environment, pods: Sequence[str], nodes: Sequence[str], own: Sequence[str]) -> Networks:
    """Return the networks that were given, and for pods else what the environment says.

    Raises InputError where a word is no network, or where nothing tells where the pods are.
    """
    origin, found = ("--pod-cidr", pods) if pods else _of(environment)
    unsaid: tuple[Network, ...] = ()
    if pods:
        with contextlib.suppress(InputError):  # the user's word is enough
            where, words = _of(environment)
            unsaid = tuple(network(one, where) for one in words)
    return Networks(
        tuple(network(one, origin) for one in found),
        tuple(network(one, "--node-cidr") for one in nodes),
        frozenset(_address(one) for one in own),
        origin,
        bool(pods),
        unsaid,
    )


def network(text: str, origin: str) -> Network:
    """Read a network.  Raises InputError, which says what it would have to be."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise InputError(f"{origin}: {text!r} is no network", hint="such as 10.244.0.0/16") from None
    raise InputError(f"{origin}: {text!r} has bits behind its prefix", hint=f"did you mean {meant}?")


def _address(text: str) -> bytes:
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        raise InputError(f"--node-ip: {text!r} is no address", hint="such as 172.18.0.3") from None


def _of(environment: Environment) -> tuple[str, list[str]]:
    """Return where an environment says which networks pods are in, and which these are."""
    values = environment.cilium.values
    node = values.get("ipam.mode")
    mode = node.value if node is not None else "cluster-pool"
    native = [str(found.value) for path in _NATIVE if (found := values.get(path)) is not None and found.value]
    if mode == "cluster-pool":
        said = {path: list(_words(found)) for path in _POOLS if (found := values.get(path)) is not None}
        origin = f"{environment.path}: {_POOL}..." if said else "the chart's default"
        return origin, [one for path, default in _POOLS.items() for one in said.get(path, [default])]
    if mode == "kubernetes" and environment.kind is not None:
        has_ipv6 = (found := values.get("ipv6.enabled")) is not None and found.value is True
        return "kind's default", [KIND, KIND6] if has_ipv6 else [KIND]
    if native:
        return f"{environment.path}: {_NATIVE[0]}", native
    raise InputError(f"{environment.path}: with ipam.mode {mode!r} nothing here tells where the pods are", hint=_SAY)


def _words(node: Node) -> Iterator[str]:
    """Yield the networks of a list, or of words with spaces between, which the chart takes too."""
    if isinstance(node.value, list):
        yield from (str(one.value) for one in node.value)
    else:
        yield from str(node.value).split()


def shown(address: bytes) -> str:
    """Return an address as people write it."""
    return str(ipaddress.ip_address(address))
