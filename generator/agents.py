"""What each agent tells of its encryption, by `cilium-dbg encrypt status -o json`, judged.  No I/O.

Source: Cilium's API model EncryptionStatus, 1.15 to 1.20; what is zero, false or empty is left out of its JSON.  Keys
in use are two a remote node and IP family with per-tunnel keys, and up to double in a rotation: told, never judged.
XFRM errors count from a node's start and grow when others restart: only their growth between two samples is judged.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator.evidence import Check, counted, dig, failing, items, number, text
from generator.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from generator.evidence import Object
    from generator.model import Environment

MODES: Final = {"ipsec": "IPsec", "wireguard": "Wireguard", "none": "Disabled"}
LEFT_OUT: Final = "left out by --no-exec"
_OPTED_OUT: Final = "OptedOut"  # a node that Cilium leaves out of node encryption, by default a control plane
_NAME: Final = "agents"


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent's pod: what it told first and last, or why it told nothing; `alone` where its node has no other."""

    pod: str
    node: str
    first: Object | None = None
    last: Object | None = None
    silent: str = ""
    alone: bool = True

    @property
    def name(self) -> str:
        """What it is called: its node, and with it the pod where it may have more than one."""
        return self.node if self.alone else f"{self.node or 'no node'}, {self.pod}"

    @property
    def complaint(self) -> str:
        """Why it told nothing, or what it complains of itself, such as a kernel that does not do what it should."""
        return self.silent or redact(" ".join(text(self.last, "msg").split()))


@dataclass(frozen=True, slots=True)
class Pod:
    """Where an agent runs; `phase` is Kubernetes' word for how it is."""

    name: str
    node: str
    phase: str
    alone: bool

    def agent(self, last: Object | None = None, silent: str = "") -> Agent:
        return Agent(self.name, self.node, None, last, silent, self.alone)


def pods(objects: Sequence[Object]) -> list[Pod]:
    """Return the agents' pods by node, without those that are ending."""
    found = sorted(
        (text(one, "spec", "nodeName"), text(one, "metadata", "name"), text(one, "status", "phase"))
        for one in objects
        if dig(one, "metadata", "deletionTimestamp") is None
    )
    count = Counter(node for node, _, _ in found)
    return [Pod(pod, node, phase, node != "" and count[node] == 1) for node, pod, phase in found]


def left_out(why: str, at: datetime) -> Check:
    """Return the one check that says that agents are not asked."""
    return Check(_NAME, None, why, "each agent answers and encrypts", at)


def checks(
    environment: Environment, agents: Sequence[Agent], nodes: Collection[str] | None, at: datetime
) -> Iterator[Check]:
    """Yield what all agents together show; `nodes` are the names of the CiliumNodes, None where nobody knows them."""
    answering = [one for one in agents if one.last is not None]
    yield _answer(agents, nodes or (), at)
    if not answering:
        return
    yield _mode(environment, answering, at)
    if environment.encryption.type == "wireguard":
        yield _node_encryption(answering, at, wanted=environment.encryption.node_encryption)
        yield _peers(environment, answering, len(nodes or ()), at)
    if environment.encryption.type == "ipsec":
        yield _errors(answering, at)
        yield _keys(answering, at)


def _answer(agents: Sequence[Agent], nodes: Collection[str], at: datetime) -> Check:
    """Judge whether every node has an agent that answers."""
    expected = "every node's agent answers, and complains of nothing"
    if not agents:
        return Check(f"{_NAME}/answer", ok=False, seen="there is no agent's pod", expected=expected, at=at)
    silent = [f"{one.node or one.pod} ({one.complaint})" for one in agents if one.complaint]
    if len(agents) < len(nodes):
        silent += [f"{node} (no agent)" for node in sorted(set(nodes) - {one.node for one in agents})]
    if silent:
        count = max(len(agents), len(nodes))
        seen = f"{max(count - len(silent), 0):,} of {counted(count, 'agent')}; not: "
        return failing(f"{_NAME}/answer", seen, expected, at, silent)
    seen = f"{counted(len(agents), 'agent')}, each of them"
    return Check(f"{_NAME}/answer", ok=True, seen=seen, expected=expected, at=at)


def _mode(environment: Environment, agents: Sequence[Agent], at: datetime) -> Check:
    wanted = MODES[environment.encryption.type]
    return _alike(f"{_NAME}/mode", {one.name: text(one.last, "mode") or "not told" for one in agents}, (wanted,), at)


def _alike(name: str, said: Mapping[str, str], wanted: Sequence[str], at: datetime) -> Check:
    """Judge whether every node says one of a few words, and one at least the first of them."""
    others = [f"{node} ({word})" for node, word in sorted(said.items()) if word not in wanted]
    expected = wanted[0]
    if others:
        seen = f"{len(said) - len(others):,} of {counted(len(said), 'agent')}; not: "
        return failing(name, seen, expected, at, others)
    words = ", ".join(f"{word}: {counted(count, 'agent')}" for word, count in sorted(Counter(said.values()).items()))
    return Check(name, wanted[0] in said.values(), words, expected, at)


def _node_encryption(agents: Sequence[Agent], at: datetime, *, wanted: bool) -> Check:
    """Judge node to node encryption; a zero is left out of JSON, so what is not told is off."""
    said = {one.name: text(one.last, "wireguard", "node-encryption") or "Disabled" for one in agents}
    allowed = ("Enabled", _OPTED_OUT) if wanted else ("Disabled",)
    return _alike(f"{_NAME}/node-encryption", said, allowed, at)


def _peers(environment: Environment, agents: Sequence[Agent], nodes: int, at: datetime) -> Check:
    """Judge the peers of each agent, which are all other nodes; in a mesh there are more, so they are told only."""
    name = f"{_NAME}/peers"
    said = {
        one.name: sum(number(each, "peer-count") for each in items(one.last, "wireguard", "interfaces"))
        for one in agents
    }
    told = _range(said.values(), "peer")
    if environment.cluster.mesh:
        return Check(name, None, told, "told only: a mesh has more than this cluster's nodes", at)
    if not nodes:
        return Check(name, None, told, "told only: how many nodes there are is not known", at)
    expected = f"{counted(nodes - 1, 'peer')} each, the other nodes"
    others = [f"{node} ({count:,})" for node, count in sorted(said.items()) if count != nodes - 1]
    if others:
        seen = f"{len(said) - len(others):,} of {counted(len(said), 'agent')}; not: "
        return failing(name, seen, expected, at, others)
    return Check(name, ok=True, seen=told, expected=expected, at=at)


def _range(numbers: Iterable[int], what: str) -> str:
    found = sorted(numbers)
    least, most = found[0], found[-1]
    return f"{counted(most, what)} each" if least == most else f"{least:,} to {counted(most, what)}"


def _errors(agents: Sequence[Agent], at: datetime) -> Check:
    """Judge whether XFRM errors grew between the two samples of an agent; after a restart they count anew."""
    name, expected = f"{_NAME}/xfrm-errors", "no more than in the sample before"
    twice = {one.name: (errors(one.first), errors(one.last)) for one in agents if one.first is not None}
    grown = [f"{node} ({old:,} -> {new:,})" for node, (old, new) in sorted(twice.items()) if new > old]
    if grown:
        return failing(name, "they grow: ", expected, at, grown)
    once = len(agents) - len(twice)
    left = f"; {counted(once, 'agent')} answered once, and cannot be judged" if once else ""
    total = sum(new for _, new in twice.values())
    return Check(name, True if twice else None, f"{total:,} so far, none since the sample before{left}", expected, at)


def errors(status: Object | None) -> int:
    """Return how many XFRM errors an agent has counted."""
    each = dig(status, "ipsec", "xfrm-errors")
    named = sum(number(each, one) for one in each) if isinstance(each, dict) else 0
    return max(number(status, "ipsec", "error-count"), named)


def _keys(agents: Sequence[Agent], at: datetime) -> Check:
    counts = [number(one.last, "ipsec", "keys-in-use") for one in agents]
    return Check(f"{_NAME}/keys-in-use", None, _range(counts, "key"), "told only: a rotation doubles them", at)
