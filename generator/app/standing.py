"""The Secrets that stand in the tree: which there are, reading one, and whether it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import files, firstkeys, secret, tree, workspace, yamlio
from generator.findings import Finding
from generator.keys import algorithm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from generator.findings import Level
    from generator.model import Environment
    from generator.nodes import Node


def names(root: Path) -> list[str]:
    """Return the folders of the tree that hold a Secret themselves; what a link leads to is another's."""
    return [name for name in files.folders(root, tree.CLUSTERS) if _has(root, name)]


def left_over(root: Path) -> list[str]:
    """Return those whose environment is gone; where there are none, all of them."""
    every = names(root)
    return [name for name in every if not (root / workspace.path(name)).exists()] or every


def _has(root: Path, name: str) -> bool:
    return firstkeys.path(name) in files.snapshot(root, f"{tree.CLUSTERS}/{name}").foreign


def read(root: Path, name: str) -> tuple[Node | None, list[Finding]]:
    """Return an environment's Secret and what makes it unfit for use; None where there is none, or none to be read."""
    path = firstkeys.path(name)
    data = files.read(root, path, yamlio.MAX_BYTES + 1)
    if data is None:
        return None, []
    node, findings = yamlio.read(secret.head(data), path)
    if node is not None:
        findings += secret.clear_values(node)
    return node, findings


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


def other_algorithm(node: Node, environment: Environment) -> Iterator[Finding]:
    """Yield where a Secret's annotations tell of another algorithm than the environment asks for."""
    seen = secret.annotation(node, "algorithm"), secret.annotation(node, "key-bits")
    ipsec = environment.encryption.ipsec
    used = algorithm(ipsec.algorithm, ipsec.key_size)
    if seen != (str(used), str(used.key_bits)):
        holds = f"{seen[0]} with {seen[1]} bits" if all(seen) else "an algorithm that its annotations do not tell"
        message = f"the Secret holds {holds}, not {used} with {used.key_bits} bits"
        hint = "render never changes a key; say in the environment what the Secret holds"
        yield Finding(node.source, 0, 0, "other-algorithm", _level(environment), message, hint)


def _level(environment: Environment) -> Level:
    return "error" if environment.protected else "warning"
