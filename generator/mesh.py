"""Cluster Mesh: which environments are members of one, and what they have to agree on.  No I/O.

All clusters of a mesh hold the same IPsec key and turn it together, so a rotation has to be over in the slowest of them
before the old key goes.  Ids and names are what Cilium tells the clusters apart by.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from generator import cilium, firstkeys
from generator.findings import Finding
from generator.view import finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from generator.model import Environment

_ARGOCD_SYNC: Final = 180.0  # seconds: argocd-cm's timeout.reconciliation and its jitter, 120s and 60s by default
_SLACK: Final = 300.0  # seconds for kubelet and agent to see a Secret that the engine has applied


def members(environments: Iterable[Environment]) -> dict[str, list[Environment]]:
    """Return mesh -> its members, both sorted by name."""
    found: dict[str, list[Environment]] = {}
    for environment in sorted(environments, key=lambda one: (one.cluster.mesh or "", one.name)):
        if environment.cluster.mesh is not None:
            found.setdefault(environment.cluster.mesh, []).append(environment)
    return found


def check(environments: Iterable[Environment]) -> Iterator[Finding]:
    """Yield where members of a mesh disagree; each finding stands in the file of one that comes later by name."""
    for mesh, clusters in members(environments).items():
        yield from _identities(mesh, clusters)
        yield from _encryption(mesh, clusters)
        yield from _rotation(mesh, clusters)


def keys(told: Mapping[str, tuple[str, str]], mesh: str) -> Iterator[Finding]:
    """Yield the members whose Secret tells of another key than most; `told` is member -> key id and fingerprint."""
    count = Counter(told[name] for name in sorted(told))
    if len(count) < _TWO:
        return
    shared = count.most_common(1)[0][0]
    agreed = next(name for name in sorted(told) if told[name] == shared)
    for name, (key_id, fingerprint) in told.items():
        if (key_id, fingerprint) != shared:
            message = (
                f"the mesh {mesh} shares one key, and this is {fingerprint} with id {key_id}; "
                f"{agreed} has {shared[1]} with id {shared[0]}"
            )
            hint = f"keyturn rotate {agreed} turns the whole mesh, in one commit"
            yield Finding(firstkeys.path(name), 0, 0, "mesh-key", "error", message, hint)


_TWO: Final = 2


def _identities(mesh: str, clusters: list[Environment]) -> Iterator[Finding]:
    taken = {one.cluster.id for one in clusters}
    free = next((number for number in range(1, 256) if number not in taken), None)
    ids: dict[int, str] = {}
    names: dict[str, str] = {}
    for one in clusters:
        if one.cluster.id == 0:
            message = f"a member of the mesh {mesh} needs a cluster.id"
            yield finding(one, "mesh-id", "error", ("cluster.id", message, "1..255, unique within the mesh"))
        elif other := ids.get(one.cluster.id):
            message = f"cluster.id {one.cluster.id} is {other}'s in the mesh {mesh}"
            hint = f"{free} is free" if free else "a mesh has at most 255 clusters"
            yield finding(one, "mesh-id", "error", ("cluster.id", message, hint))
        if other := names.get(one.cluster_name):
            message = f"the cluster's name {one.cluster_name} is {other}'s in the mesh {mesh}"
            yield finding(one, "mesh-name", "error", ("cluster.name", message, "set another cluster.name"))
        ids.setdefault(one.cluster.id, one.name)
        names.setdefault(one.cluster_name, one.name)


def _encryption(mesh: str, clusters: list[Environment]) -> Iterator[Finding]:
    first = clusters[0]
    for one in clusters[1:]:
        here, there = one.encryption, first.encryption
        if here.type != there.type:
            message = f"encryption.type is {here.type}, and {first.name} of the mesh {mesh} has {there.type}"
            yield finding(one, "mesh-type", "error", ("encryption.type", message, "a mesh is all of one type"))
        elif here.type == "ipsec" and here.ipsec.algorithm != there.ipsec.algorithm:
            message = f"{here.ipsec.algorithm} is not the algorithm of {first.name} in the mesh {mesh}"
            hint = f"a mesh shares one key: {there.ipsec.algorithm}"
            yield finding(one, "mesh-algorithm", "error", ("encryption.ipsec.algorithm", message, hint))
        elif here.type == "ipsec" and here.ipsec.key_size != there.ipsec.key_size:
            message = f"keySize {here.ipsec.key_size} is not that of {first.name} in the mesh {mesh}"
            hint = f"a mesh shares one key: {there.ipsec.key_size}"
            yield finding(one, "mesh-algorithm", "error", ("encryption.ipsec.keySize", message, hint))
        versions = cilium.version(one.cilium.version), cilium.version(first.cilium.version)
        if versions[0][:2] != versions[1][:2]:
            message = f"Cilium {versions[0]} in a mesh with {first.name}, which has {versions[1]}"
            yield finding(one, "mesh-version", "error", ("cilium.version", message, "one minor version a mesh"))


def _rotation(mesh: str, clusters: list[Environment]) -> Iterator[Finding]:
    slowest = max(clusters, key=_sync)
    least = 2 * _sync(slowest) + _SLACK
    for one in clusters:
        duration = one.encryption.ipsec.key_rotation_duration
        if one.encryption.type == "ipsec" and round(least - duration.seconds, 6) > 0:
            message = f"a keyRotationDuration of {duration} may end before every cluster of the mesh {mesh} has the key"
            hint = f"at least {math.ceil(least / 60)}m: twice what the engine of {slowest.name} may wait, plus 5m"
            complaint = ("encryption.ipsec.keyRotationDuration", message, hint)
            yield finding(one, "mesh-rotation-duration", "error", complaint)


def _sync(environment: Environment) -> float:
    """How long the engine may take to see a commit, in seconds; a person who applies by hand is there."""
    engine = environment.gitops.engine
    return {"flux": environment.gitops.flux.interval.seconds, "argocd": _ARGOCD_SYNC, "none": 0.0}[engine]
