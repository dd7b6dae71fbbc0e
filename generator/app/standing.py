"""The Secrets that stand in the tree: which there are, and reading one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import files, firstkeys, secret, tree, workspace, yamlio

if TYPE_CHECKING:
    from pathlib import Path

    from generator.findings import Finding
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
