"""Whether the Secret that stands in the tree is the one that its environment asks for, and who may read it.  No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from generator import creation, firstkeys, keys, manifests, secret
from generator.cilium import SECRET_KEY
from generator.errors import InputError, RefusedError
from generator.findings import Finding
from generator.nodes import Node
from generator.records import unknown_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.findings import Level
    from generator.model import Environment

_GUARDS: Final = {
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
}


def judge(node: Node | None, environment: Environment) -> Iterator[Finding]:
    """Yield where a Secret that can be read is not what its environment asks for.

    For a protected environment, what render cannot mend is an error.
    """
    path = firstkeys.path(environment.name)
    if environment.encryption.type != "ipsec":
        hint = f"keyturn retire {environment.name} takes it away once no node uses it"
        message = f"the Secret is kept, and encryption.type is {environment.encryption.type}"
        yield Finding(path, 0, 0, "unused-secret", _level(environment), message, hint)
    elif node is not None:
        wrong = list(secret.check(node, environment))
        yield from wrong or other_algorithm(node, environment)


def strictly(node: Node, environment: Environment) -> Iterator[Finding]:
    """Yield the same for the merge gate, and where the annotations are not those that keyturn writes.

    Another algorithm is an error to it: agents would refuse the next key.
    """
    if environment.encryption.type != "ipsec":
        yield from judge(node, environment)
        return
    yield from secret.check(node, environment)
    yield from _misnamed(node)
    try:
        told = secret.told(node)
    except InputError as error:
        yield _annotations(node, error.message)
    else:
        yield from other_algorithm(node, environment, "error")
        if told.previous is not None and keys.next_id(told.previous) != told.key_id:
            message = f"the Secret's key id is {told.key_id}, and does not follow its keyturn/previous-key-id"
            yield _annotations(node, message)
        yield from _length(node, told)
    kind = node.get("type")
    if kind is not None and kind.value != "Opaque":
        yield kind.finding("secret-reference", "the Secret's type is not Opaque", secret.RESTORE)
    yield from _unguarded(node)


def _length(node: Node, told: secret.Told) -> Iterator[Finding]:
    """Yield where a ciphertext is not as long as the key line that the annotations tell of: sops adds nothing."""
    used = told.algorithm
    lines = {len(keys.Key(told.key_id, used, bytes(used.length), plus).line()) for plus in (True, False)}
    has = manifests.length(node.get(f"stringData.{SECRET_KEY}"))
    if has is not None and has not in lines:
        message = f"the ciphertext is of {has} bytes, and the key that the annotations tell of has {max(lines)}"
        yield _annotations(node, message)


def _misnamed(node: Node) -> Iterator[Finding]:
    """Yield the keys that no Secret has: sops' MAC covers values alone, so a renamed key is not seen by it."""
    for path, known in _KEYS.items():
        for key, child in (node.get(path) or Node({}) if path else node).entries():
            if key not in known and (path != _TOLD or key.startswith("keyturn/")):
                yield unknown_key(child, key, path or "the Secret", list(known))


_TOLD: Final = "metadata.annotations"
_KEYS: Final = {
    "": ("apiVersion", "kind", "metadata", "type", "immutable", *manifests.PARTS, "sops"),
    "metadata": ("name", "namespace", "annotations", "labels"),
    _TOLD: tuple(f"keyturn/{name}" for name in secret.ANNOTATIONS),
}


def other_algorithm(node: Node, environment: Environment, level: Level | None = None) -> Iterator[Finding]:
    """Yield where a Secret's annotations tell of another algorithm than the environment asks for."""
    seen = secret.annotation(node, "algorithm"), secret.annotation(node, "key-bits")
    ipsec = environment.encryption.ipsec
    used = keys.algorithm(ipsec.algorithm, ipsec.key_size)
    if seen != (str(used), str(used.key_bits)):
        holds = f"{seen[0]} with {seen[1]} bits" if all(seen) else "an algorithm that its annotations do not tell"
        message = f"the Secret holds {holds}, not {used} with {used.key_bits} bits"
        hint = "render never changes a key; say in the environment what the Secret holds"
        yield Finding(node.source, 0, 0, "other-algorithm", level or _level(environment), message, hint)


def _unguarded(node: Node) -> Iterator[Finding]:
    """Yield where an engine could take the Secret away once it has left git."""
    annotations = node.get("metadata.annotations")
    values = dict(annotations.entries()) if annotations is not None else {}
    for name, value in _GUARDS.items():
        found = values.get(name)
        if found is None or found.value != value:
            yield _annotations(found or node, f"the Secret's annotation {name} is not {value}")


def rule(config: creation.Config, place: str, environment: Environment) -> creation.Rule:
    """Return the creation rule for an environment's Secret; `place` is the root as the configuration sees it.

    Raises RefusedError where the tree cannot use it.
    """
    found = config.rule_for(f"{place}{firstkeys.path(environment.name)}", secret.ENCRYPTED)
    if environment.protected and config.is_made_for_one:
        message = f"{environment.name} is protected, and {creation.CONFIG} has one recipient that nobody chose"
        raise RefusedError(message, hint=f"choose the recipients, and take the first lines of {creation.CONFIG} out")
    return found


def _annotations(node: Node, message: str) -> Finding:
    return node.finding("annotations", message, secret.RESTORE)


def _level(environment: Environment) -> Level:
    return "error" if environment.protected else "warning"
