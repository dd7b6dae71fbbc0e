"""The one key of a Cluster Mesh: who holds it, whether they agree, and how a member that joins gets it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import firstkeys, fitting, mesh, secret
from generator.app import sealing, standing
from generator.errors import RefusedError
from generator.findings import InvalidError, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from generator.findings import Finding
    from generator.model import Environment
    from generator.nodes import Node
    from generator.sops import Sops
    from generator.workspace import Workspace

Holders = dict[str, list["Holder"]]
"""Mesh -> its members that hold a key already, by name."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A member that has a Secret, and what that says of its key in clear."""

    name: str
    secret: Node

    @property
    def key_id(self) -> str:
        return secret.annotation(self.secret, "key-id")

    @property
    def fingerprint(self) -> str:
        return secret.annotation(self.secret, "fingerprint")


def without_key(root: Path, space: Workspace) -> list[str]:
    """Return the mates that get their first key together with the environments that were asked for."""
    asked = {one.name for one in space.environments}
    found = []
    for clusters in _ipsec(space).values():
        if not any((root / firstkeys.path(one.name)).exists() for one in clusters):
            found += [one.name for one in clusters if one.name not in asked]
    return found


def holders(root: Path, space: Workspace, known: Mapping[str, Node]) -> Holders:
    """Return who holds the key of each mesh; `known` are the Secrets that were read, by environment.

    Raises RefusedError where two members hold different keys, or one does not tell which; InvalidError where one cannot
    be read, since taking it for none would be a second key.
    """
    found: Holders = {}
    for name, clusters in _ipsec(space).items():
        for one in clusters:
            node = known.get(one.name) or _read(root, one.name)
            if node is not None:
                found.setdefault(name, []).append(Holder(one.name, node))
        _refuse_other(name, found.get(name, []))
    return found


def _ipsec(space: Workspace) -> dict[str, list[Environment]]:
    return mesh.members(one for one in (*space.environments, *space.mates) if one.encryption.type == "ipsec")


def _read(root: Path, name: str) -> Node | None:
    node, findings = standing.read(root, name)
    if findings:
        raise InvalidError(tidy(findings))
    return node


def _refuse_other(name: str, held: list[Holder]) -> None:
    """What most of the members hold is the mesh's key, and the first to hold another is named."""
    for one in held:
        if not (one.key_id and one.fingerprint):
            message = f"{firstkeys.path(one.name)} does not tell which key it holds, and the mesh {name} shares one"
            raise RefusedError(message, hint=secret.RESTORE)
    count = Counter((one.key_id, one.fingerprint) for one in held)
    if len(count) > 1:
        shared = count.most_common(1)[0][0]
        agreed = next(one for one in held if (one.key_id, one.fingerprint) == shared)
        other = next(one for one in held if (one.key_id, one.fingerprint) != shared)
        raise RefusedError(
            f"the mesh {name} shares one key, and {other.name} holds {other.fingerprint} with id {other.key_id}, "
            f"{agreed.name} {agreed.fingerprint} with id {agreed.key_id}",
            hint=_steps(other, agreed),
        )


def _steps(other: Holder, agreed: Holder) -> str:
    """How two clusters with keys of their own come to one: ids go up by one, so they have to be equal first."""
    together = f"keyturn rotate {other.name}, which gives the whole mesh one new key, before the clusters are connected"
    if other.key_id == agreed.key_id:
        return together
    return (
        f"take cluster.mesh out of {other.name}, keyturn rotate it until its key id is {agreed.key_id}, "
        f"put cluster.mesh back, then {together}"
    )


def unfit(joining: list[Environment], held: Holders) -> Iterator[Finding]:
    """Yield where the key that a member would join with is not of the algorithm that it asks for."""
    for environment in joining:
        for holder in held.get(environment.cluster.mesh or "", [])[:1]:
            yield from fitting.other_algorithm(holder.secret, environment)


def joined(gate: Sops, root: Path, environment: Environment, held: list[Holder]) -> secret.Issue:
    """Return the key of the mesh that an environment joins, from the first member whose Secret can be decrypted.

    Raises RefusedError where none can, or where one does not hold what it tells.
    """
    for holder in held:
        path = firstkeys.path(holder.name)
        clear = gate.decrypt(root / path)
        if clear is None:
            continue
        return sealing.opened(clear, path)
    raise RefusedError(
        f"{environment.name} joins the mesh {environment.cluster.mesh}, and no private key at hand reads its key in "
        f"{firstkeys.path(held[0].name)}",
        hint=f"render where there is one, or keyturn rotate {held[0].name}, which gives the whole mesh a new key",
    )
