"""`keyturn engine`: what Flux or Argo CD needs before it can apply a tree, and what `verify` needs to look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from generator import engines, templating
from generator.app import standing
from generator.cilium import SECRET_NAME
from generator.errors import InputError
from generator.model import Gitops
from generator.render import Renderer
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from generator.model import Environment


def manifests(root: Path | None, engine: str, name: str | None) -> str:
    """Return YAML documents for `engine`, with the names that the environment `name` uses, else the defaults.

    Without a root the package's own templates serve.  Raises InputError where another engine applies the environment.
    """
    environment = standing.environment(root, name) if root is not None and name is not None else None
    if environment is not None and environment.gitops.engine != engine:
        applied = environment.gitops.engine
        message = f"{name} is applied by {applied}, not by {engine}"
        raise InputError(message, hint="" if applied == "none" else f"keyturn engine {applied} {name}")
    return _renderer(root).engine(f"engine/{engine}.yaml", environment)


def rbac(root: Path | None, name: str | None, *, secret: bool, agents: bool, hub: bool) -> str:
    """Return the Roles, as YAML documents, that `keyturn verify` takes for an environment, else for any under Flux.

    `secret` and `agents` say whether the Secret is read and the agents are asked; with `hub` they are those for Argo
    CD's own cluster.  Raises InputError where that is not another one.
    """
    environment = standing.environment(root, name) if root is not None and name is not None else None
    types = ("ipsec", "wireguard") if environment is None else (environment.encryption.type,)
    elsewhere = environment is not None and engines.is_elsewhere(environment)
    if hub and not elsewhere:
        message = "--hub is for an environment whose Argo CD runs in another cluster"
        raise InputError(message, hint="" if name else "name it: keyturn engine rbac ENV --hub")
    values = {
        "name": name,
        "cilium_namespace": _NAMESPACE if environment is None else environment.cilium.namespace,
        "secret_name": SECRET_NAME,
        "encrypted": types != ("none",),
        "wireguard": "wireguard" in types,
        "secret": secret and "ipsec" in types,
        "exec": agents,
        "left_out": [flag for flag, wanted in {"--no-exec": agents, "--no-secret": secret}.items() if not wanted],
        "flux": environment is None or environment.gitops.engine == "flux",
        "hub": hub,
        "elsewhere": elsewhere,
        "engines": [] if elsewhere and not hub else list(_engines(environment)),
    }
    return _renderer(root).engine("engine/rbac.yaml", environment, values)


def _engines(environment: Environment | None) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield namespace, API group and resource of the objects that steer an engine, and their names; none: any."""
    if environment is None:
        yield Gitops().flux.namespace, "kustomize.toolkit.fluxcd.io", "kustomizations", []
        return
    asked = engines.questions(environment).values()
    for kind in ("kustomizations", "applications"):
        of_kind = [one for one in asked if one.resource.startswith(f"{kind}.")]
        if of_kind:
            group = of_kind[0].resource.partition(".")[2]
            yield of_kind[0].namespace, group, kind, [one.name for one in of_kind]


_NAMESPACE: Final = "kube-system"  # Cilium's, where nobody says another


def _renderer(root: Path | None) -> Renderer:
    templates, _ = templating.load(WorkTree(root) if root is not None else None)
    return Renderer(templates)
