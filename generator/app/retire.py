"""`keyturn retire`: take away the Secret of a cluster that is gone, or that no longer uses IPsec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import cilium, files, firstkeys, git, tree, workspace, yamlio
from generator.app import standing
from generator.errors import InputError, RefusedError
from generator.findings import InvalidError, errors, tidy
from generator.outcome import Retired
from generator.shapes import nearest
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path


def retire(root: Path, name: str) -> Retired:
    """Remove the Secret of an environment that does not ask for it any more.

    Raises InputError where there is none, RefusedError where it is still asked for or is not keyturn's.
    """
    path = firstkeys.path(name)
    having = standing.names(root)
    if name not in having:
        close = nearest(name, having)
        raise InputError(f"no Secret of an environment {name!r}", hint=f"did you mean {close}?" if close else "")
    _refuse_needed(root, name)
    data = files.read(root, path, yamlio.MAX_BYTES + 1) or b""
    _refuse_foreign(data, path)
    change = tree.Change("removed", path, data, None)
    commit = _kept_in(root, path, data)
    files.apply([change], root)
    return Retired(name, change, commit)


def _kept_in(root: Path, path: str, data: bytes) -> str | None:
    """Return the commit that last wrote the file, where that is what it wrote."""
    repository = git.find(root)
    if repository is None or not repository.has_commit():
        return None
    commit = repository.history(path).get(path)
    return commit if commit and repository.blob(commit, path) == data else None


def _refuse_needed(root: Path, name: str) -> None:
    if not (root / workspace.path(name)).exists():
        return
    space = workspace.load(WorkTree(root), [name])
    if errors(space.findings, strict=False):
        raise InvalidError(tidy(space.findings))
    if any(environment.encryption.type == "ipsec" for environment in space.environments):
        message = f"{name} still asks for IPsec, and a key that is gone is never made anew"
        raise RefusedError(message, hint=f"change encryption.type in environments/{name}.yaml, or remove the file")


def _refuse_foreign(data: bytes, path: str) -> None:
    root, _ = yamlio.read(data, path)
    seen = [node.value if node else None for node in (root.get("kind"), root.get("metadata.name"))] if root else []
    if seen != ["Secret", cilium.SECRET_NAME]:
        raise RefusedError(f"{path} is not the Secret {cilium.SECRET_NAME}", hint="remove it by hand")
