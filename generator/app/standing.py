"""What stands in the work tree: one environment, the Secrets, and what one of them tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import files, firstkeys, secret, tree, workspace, yamlio
from generator.errors import InputError
from generator.findings import InvalidError, errors, tidy
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path

    from generator.findings import Finding
    from generator.model import Environment
    from generator.nodes import Node
    from generator.secret import Told


def environment(root: Path, name: str) -> Environment:
    """Return one environment.  Raises InputError where there is none of that name, or it is wrong."""
    space = workspace.load(WorkTree(root), [name])
    if errors(space.findings, strict=False):
        raise InvalidError(tidy(space.findings))
    return space.environments[0]


def told(root: Path, name: str) -> Told:
    """Return what an environment's Secret tells in clear.  Raises InputError where there is none, or it does not."""
    node, findings = read(root, name)
    if findings:
        raise InvalidError(tidy(findings))
    if node is None:
        hint = f"keyturn render {name}, or go to the branch that has it"
        raise InputError(f"{name} has no Secret here, which tells its key", hint=hint)
    try:
        return secret.told(node)
    except InputError as error:
        raise InputError(f"{node.source}: {error.message}", hint=secret.RESTORE) from None


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
