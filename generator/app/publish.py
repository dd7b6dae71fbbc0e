"""Branches as a run finds them, and a commit that becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import history, objects
from generator.errors import InputError, RefusedError
from generator.history import HEADS, REMOTES
from generator.rotation import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.app.base import Base
    from generator.history import Ref
    from generator.objects import Objects


class Branches:
    """The branches as they were when the run began."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self.refs = history.refs(base.repository.root)
        self._by_name = {ref.name: ref for ref in self.refs}

    def local(self, branch: str) -> Ref | None:
        return self._by_name.get(f"{HEADS}{branch}")

    def remote(self, branch: str) -> Ref | None:
        return self._by_name.get(f"{REMOTES}{self._base.remote}/{branch}") if self._base.remote else None

    def tip(self, branch: str) -> Ref | None:
        """Return the branch, here or on the remote, whichever is ahead; None where it is on neither."""
        local, remote = self.local(branch), self.remote(branch)
        if local is None or remote is None:
            return local or remote
        return remote if history.is_ancestor(self._base.repository.root, local.commit, remote.commit) else local

    def refuse(self, branch: str, ours: set[str]) -> None:
        """Raise RefusedError where a branch holds what the base has not, or is not ours to replace."""
        ref, remote = self.local(branch), self.remote(branch)
        if ref is not None and ref.worktree:
            message = f"{branch} is checked out in {ref.worktree}"
            raise RefusedError(message, hint="git switch to another branch there")
        if ref is not None and ref.commit not in ours and not self._is_merged(ref):
            way = f"{ref.dropping}, or another name by --branch" if branch.startswith(PREFIX) else "take another name"
            raise RefusedError(f"there is a branch {branch}, and it holds something else", hint=way)
        if remote is None or remote.commit in ours or self._is_merged(remote):
            return
        if not branch.startswith(PREFIX):
            raise RefusedError(f"there is a branch {remote.short}, and it is a person's", hint="take another name")
        if ref is None or ref.commit != remote.commit:
            message = f"{remote.short} holds what cannot be merged any more, and commits of somebody else"
            raise RefusedError(message, hint=f"{remote.dropping} drops it, or another name by --branch")

    def instead_of(self, branch: str, ours: set[str]) -> str | None:
        """Return what the remote's branch holds and may lose, None where it may lose nothing."""
        ref = self.remote(branch)
        return ref.commit if ref is not None and (ref.commit in ours or self._is_merged(ref)) else None

    def _is_merged(self, ref: Ref) -> bool:
        """Whether it is one of keyturn's that the base has; a branch of a person's stays where it is."""
        return ref.branch.startswith(PREFIX) and history.is_ancestor(
            self._base.repository.root, ref.commit, self._base.oid
        )


def check_name(base: Base, branch: str) -> None:
    """Raise InputError where git takes no branch of that name."""
    if not base.repository.is_branch_name(branch):
        raise InputError(f"--branch {branch} is no name of a branch", hint=f"such as {PREFIX}rotate-lab")
    if branch in (base.branch, base.name):
        raise InputError(f"--branch {branch} is what the request is for", hint=f"such as {PREFIX}rotate-lab")


@dataclass(frozen=True, slots=True)
class Draft:
    """What goes onto a branch: path from the top of the repository -> content, on top of `parent`."""

    branch: str
    parent: str
    files: Mapping[str, bytes]
    message: str


def write(base: Base, objects_: Objects, branches: Branches, draft: Draft) -> str:
    """Make the commit and, as the last act, its branch; return the commit's name."""
    root = base.repository.root
    blobs = objects.write(root, list(draft.files.values()))
    tree = objects.graft(root, objects_, draft.parent, dict(zip(draft.files, blobs, strict=True)))
    made = objects.commit(base.repository, tree, draft.parent, draft.message)
    old = branches.local(draft.branch)
    objects.point(root, f"{HEADS}{draft.branch}", made, old.commit if old else None)
    return made
