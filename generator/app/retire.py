"""`keyturn retire`: take away the Secret of a cluster that is gone, or that no longer uses IPsec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import cilium, files, firstkeys, git, tree, workspace, yamlio
from generator.app.render import InvalidError
from generator.errors import InputError, RefusedError
from generator.findings import errors, tidy
from generator.shapes import nearest

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Retired:
    """What was removed; `commit` is where git still has it."""

    environment: str
    change: tree.Change
    commit: str


def retire(root: Path, name: str) -> Retired:
    """Remove the Secret of an environment that does not ask for it any more.

    Raises InputError where there is none, RefusedError where it is still asked for, is not ours, or is not in git.
    """
    path = firstkeys.path(name)
    having = [folder for folder in files.folders(root, "clusters") if (root / firstkeys.path(folder)).is_file()]
    if name not in having:
        close = nearest(name, having)
        raise InputError(f"no Secret of an environment {name!r}", hint=f"did you mean {close}?" if close else "")
    _refuse_needed(root, name)
    data = files.read(root, path, yamlio.MAX_BYTES + 1) or b""
    _refuse_foreign(data, path)
    repository = git.find(root)
    if repository is None:
        raise RefusedError(f"{path} is in no git repository and could not be had back", hint="remove it by hand")
    if not repository.has_commit() or repository.committed(path) != data:
        raise RefusedError(
            f"{path} is not in HEAD as it stands here", hint="commit it first, so that it can be had back"
        )
    change = tree.Change("removed", path, data, None)
    files.apply([change], root)
    return Retired(name, change, repository.history(path)[path])


def _refuse_needed(root: Path, name: str) -> None:
    if not (root / workspace.FOLDER / f"{name}.yaml").exists():
        return
    space = workspace.load(root, [name])
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
