"""`keyturn adopt`: a running cluster's key, encrypted into the tree as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import adoption, creation, files, firstkeys, fitting, secret, sops, tree, workspace, yamlio
from generator.app import meshkeys, recipients, sealing, standing
from generator.errors import InputError, RefusedError
from generator.findings import InvalidError, errors, tidy
from generator.outcome import Adopted
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from generator.model import Environment
    from generator.workspace import Workspace


def adopt(root: Path, name: str, given: Callable[[], bytes], now: datetime) -> Adopted:
    """Write the key of the Secret that `given` returns, with its id; the environment says where.

    Raises InputError where it is no such Secret, RefusedError where another stands there or belongs to its mesh.
    """
    space = workspace.load(WorkTree(root), [name])
    if errors(space.findings, strict=False):
        raise InvalidError(tidy(space.findings))
    environment = space.environments[0]
    if environment.encryption.type != "ipsec":
        message = f"{name} does not use IPsec: encryption.type is {environment.encryption.type}"
        raise RefusedError(message, hint=f"say type: ipsec in {environment.path}")
    file = recipients.config_file(root)
    if file is None:
        hint = "write it, or keyturn render --new-identity in a repository without a key"
        raise RefusedError(f"no {creation.CONFIG} says for whom the Secret is encrypted", hint=hint)
    path = firstkeys.path(name)
    rule = recipients.rules(root, file, [environment])[path]
    found = adoption.read(given(), environment.cilium.namespace, name)
    created = min(found.created or now, now).replace(microsecond=0)
    issue = secret.Issue(found.key, created)
    key = found.key
    warnings = [] if key.per_tunnel else [f"the key line has no +, and keeps none until the first rotation of {name}"]
    gate = sops.Sops(sops.find(root), file)
    if _is_there(root, name, issue):
        warnings += _compared(gate, root, name, issue)
        return Adopted(name, None, key.id, key.fingerprint(), created, warnings)
    data = gate.encrypt(secret.document(issue, environment.cilium.namespace), root / path, rule)
    warnings += _judged(root, space, environment, data)
    change = tree.Change("created", path, None, data)
    files.apply([change], root)
    return Adopted(name, change, key.id, key.fingerprint(), created, warnings)


def _is_there(root: Path, name: str, issue: secret.Issue) -> bool:
    """Whether the tree has that very key already.  Raises RefusedError where it has another."""
    path = firstkeys.path(name)
    if files.read(root, path, yamlio.MAX_BYTES + 1) is None:
        return False
    node, findings = standing.read(root, name)
    try:
        told = secret.told(node) if node is not None and not findings else None
    except InputError:
        told = None
    if told is not None and (told.key_id, told.fingerprint) == (issue.key.id, issue.key.fingerprint()):
        return True
    hint = f"if the cluster never had that one: rm {path}, then adopt again"
    raise RefusedError(f"{path} is there already, and holds another key", hint=hint)


def _compared(gate: sops.Sops, root: Path, name: str, issue: secret.Issue) -> list[str]:
    """See that the tree's key line has a + where the cluster's has one, which no annotation tells."""
    path = firstkeys.path(name)
    clear = gate.decrypt(root / path)
    if clear is None:
        return ["no private key at hand reads the tree's key, so it is not known whether it has a + like the cluster's"]
    if sealing.opened(clear, path).key.per_tunnel != issue.key.per_tunnel:
        hint = f"rm {path}, then adopt again"
        raise RefusedError(f"{path} holds that key with another +, which would change every derived key", hint=hint)
    return []


def _judged(root: Path, space: Workspace, environment: Environment, data: bytes) -> list[str]:
    """Return what a person should know of the new Secret; raise where it does not fit the environment or its mesh."""
    node, _ = yamlio.read(data, firstkeys.path(environment.name))
    if node is None:
        return []
    meshkeys.holders(root, space, {environment.name: node})
    findings = list(fitting.other_algorithm(node, environment))
    if errors(findings, strict=False):
        raise InvalidError(findings)
    return [f"{one.message}; {one.hint}" for one in findings]
