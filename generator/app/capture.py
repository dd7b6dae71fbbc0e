"""`keyturn capture`: what a capture says of the traffic between nodes.  It reads files, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import capturefile, cilium, judgement, networks, packets
from generator.app import standing
from generator.errors import InputError
from generator.judgement import Answer, Expected
from generator.traffic import Tally
from generator.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from generator.model import Environment


@dataclass(frozen=True, slots=True)
class Options:
    """What a user says of the addresses in a capture."""

    pods: Sequence[str] = ()
    nodes: Sequence[str] = ()
    own: Sequence[str] = ()


def expected(root: Path, name: str, options: Options) -> Expected:
    """Return what an environment says of its traffic.

    Raises InputError where it says that nothing is encrypted, or where its Secret does not tell which key it is.
    """
    environment = standing.environment(root, name)
    kind = environment.encryption.type
    if kind == "none":
        raise InputError(f"{environment.path}: encryption.type is none, so nothing is to be encrypted")
    told = standing.told(root, name) if kind == "ipsec" else None
    view = View(environment, cilium.version(environment.cilium.version))
    return Expected(
        name,
        kind,
        environment.encryption.node_encryption,
        networks.read(environment, options.pods, options.nodes, options.own),
        _ports(environment),
        view.version.minor >= cilium.ESP_OUTERMOST or not view.tunnel,
        told.key_id if told else None,
        told.previous if told else None,
    )


def _ports(environment: Environment) -> packets.Ports:
    """Return the ports of tunnels: those that are usual, and the environment's own."""
    ports = packets.Ports()
    found = environment.cilium.values.get("tunnelPort")
    own = found.value if found is not None else None
    protocol = environment.cilium.values.get("tunnelProtocol")
    if not isinstance(own, int) or not own:
        return ports
    if protocol is not None and protocol.value == "geneve":
        return ports._replace(geneve=ports.geneve | {own}, vxlan=ports.vxlan - {own})
    return ports._replace(vxlan=ports.vxlan | {own}, geneve=ports.geneve - {own})


def capture(file: str, wanted: Expected) -> Answer:
    """Read a capture to its end.  Raises InputError where it is none."""
    opened = capturefile.opened(file)
    if opened.link not in packets.LINKS:
        hint = "capture the node's own interface, or tcpdump -i any"
        raise InputError(f"{opened.name}: link type {opened.link} is none of a node's interface", hint=hint)
    tally = Tally.of(opened.link, wanted.ports, wanted.networks.test(), is_esp_outermost=wanted.is_esp_outermost)
    tally.read(opened.packets())
    return judgement.judge(opened.name, tally, wanted, opened.damage)
