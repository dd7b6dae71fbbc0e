"""For whom first Secrets are encrypted: the rules of `.sops.yaml`, or a `.sops.yaml` for an identity of one's own."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import creation, files, firstkeys, fitting, git, identity, tree
from generator.errors import RefusedError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from generator.model import Environment


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who has no `.sops.yaml` yet: `may_make(place)` is asked before one is made, and `tell` says what was made."""

    may_make: Callable[[str], bool]
    tell: Callable[[str], None]


def config_file(root: Path) -> Path | None:
    """Return the nearest `.sops.yaml`, from the root up to the git repository's top; a stranger's is never taken."""
    top = git.top(root) or root
    for folder in (root, *root.parents):
        file = folder / creation.CONFIG
        if file.exists():
            return file
        if file.is_symlink():
            raise RefusedError(f"{file} is a link to nowhere", hint="remove it, or mend it")
        if folder == top:
            break
    return None


def rules(root: Path, file: Path, environments: list[Environment]) -> Mapping[str, creation.Rule]:
    """Return path -> creation rule, once each of them is one that the tree can use."""
    config = creation.Config(file.read_bytes())
    above = root.relative_to(file.parent).as_posix()
    place = "" if above == "." else f"{above}/"
    return {firstkeys.path(one.name): fitting.rule(config, place, one) for one in environments}


def refuse_protected(environments: list[Environment]) -> None:
    """Raise RefusedError where one of the environments may not have recipients that nobody chose."""
    if protected := [environment.name for environment in environments if environment.protected]:
        message = f"no {creation.CONFIG}, and {', '.join(protected)} is protected"
        raise RefusedError(message, hint="choose the recipients by hand and write it")


def make_config(root: Path, newcomer: Newcomer) -> tree.Change:
    """Write a `.sops.yaml` for the identity that sops would find, and that identity where there is none.

    Raises RefusedError where nobody allowed it.
    """
    place = identity.location(os.environ)
    if not newcomer.may_make(str(place)):
        hint = "keyturn render --new-identity makes one with an age identity of yours, or write it by hand"
        raise RefusedError(f"no {creation.CONFIG} says for whom the Secrets are encrypted", hint=hint)
    public = identity.recipient(place)
    if public is None:
        public = identity.make(place)
        newcomer.tell(f"made an age identity: {place}")
    else:
        newcomer.tell(f"found an age identity: {place}")
    newcomer.tell("BACK IT UP: without it nobody can read the Secrets that are encrypted for it")
    if (git.top(root) or root) in place.absolute().parents:
        newcomer.tell("it lies inside this repository: NEVER COMMIT IT")
    data = creation.first_config(public).encode()
    files.create(root / creation.CONFIG, data)
    newcomer.tell(f"made {creation.CONFIG} with its public half as the only recipient: {public}")
    return tree.Change("created", creation.CONFIG, None, data)


def sweep(root: Path) -> None:
    """Take away what a killed run may have left beside `.sops.yaml` and the identity."""
    files.sweep(root / creation.CONFIG)
    with contextlib.suppress(ToolError, OSError):  # no place for an identity, so nothing of ours was left there
        files.sweep(identity.location(os.environ))
