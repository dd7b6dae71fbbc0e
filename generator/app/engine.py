"""`keyturn engine`: what Flux or Argo CD needs before it can apply a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import templating, workspace
from generator.errors import InputError
from generator.findings import InvalidError, errors, tidy
from generator.render import Renderer
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path


def manifests(root: Path | None, engine: str, name: str | None) -> str:
    """Return YAML documents for `engine`, with the names that the environment `name` uses, else the defaults.

    Without a root the package's own templates serve.  Raises InputError where another engine applies the environment.
    """
    environment = None
    if root is not None and name is not None:
        space = workspace.load(WorkTree(root), [name])
        if errors(space.findings, strict=False):
            raise InvalidError(tidy(space.findings))
        environment = space.environments[0]
        applied = environment.gitops.engine
        if applied != engine:
            message = f"{name} is applied by {applied}, not by {engine}"
            hint = "" if applied == "none" else f"keyturn engine {applied} {name}"
            raise InputError(message, hint=hint)
    templates, _ = templating.load(WorkTree(root) if root is not None else None)
    return Renderer(templates).engine(f"engine/{engine}.yaml", environment)
