"""From a finished commit to a branch, and from there to a request that a person reviews."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import forge, history, objects, remotes
from generator.errors import InputError, RefusedError, ToolError
from generator.history import HEADS, REMOTES
from generator.rotation import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from generator.app.base import Base
    from generator.history import Ref
    from generator.objects import Objects


class Branches:
    """The branches as they were when the run began."""

    def __init__(self, base: Base) -> None:
        base.repository.check_identity()
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
        ref = self.local(branch)
        if ref is None:
            return
        if ref.worktree:
            message = f"{branch} is checked out in {ref.worktree}"
            raise RefusedError(message, hint="git switch to another branch there")
        if ref.commit not in ours and not self._is_merged(ref):
            message = f"there is a branch {branch}, and it holds something else"
            raise RefusedError(message, hint=f"git branch -D {branch}, or another name by --branch")

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
class Commit:
    """What goes onto a branch: path from the top of the repository -> content, on top of `parent`."""

    branch: str
    parent: str
    files: Mapping[str, bytes]
    message: str


def write(base: Base, objects_: Objects, branches: Branches, commit: Commit) -> str:
    """Make the commit and, as the last act, its branch; return the commit's name."""
    root = base.repository.root
    blobs = objects.write(root, list(commit.files.values()))
    tree = objects.graft(root, objects_, commit.parent, dict(zip(commit.files, blobs, strict=True)))
    made = objects.commit(base.repository, tree, commit.parent, commit.message)
    old = branches.local(commit.branch)
    objects.point(root, f"{HEADS}{commit.branch}", made, old.commit if old else None)
    return made


@dataclass(frozen=True, slots=True)
class Publisher:
    """Pushes branches and opens requests; `tell` says what is left to a person."""

    base: Base
    kind: str | None
    tell: Callable[[str], None]

    def publish(self, text: forge.Text, push: remotes.Push, since: datetime) -> str | None:
        """Push a branch and return the address of its request, None where a person opens it.

        A request that was closed since the old key was made is a person's word.  Raises RefusedError for that one,
        ToolError where push or tool fail; the branch stays, and the hint says how to go on.
        """
        urls = remotes.urls(self.base.repository, push.remote)
        where = forge.find(self.base.repository.root, urls, self.kind)
        found = where.requests(text.branch) if where.has_tool else []
        there = next((one for one in found if one.is_open), None)
        closed = [one for one in found if not (one.is_open or one.is_merged) and one.created >= since]
        if there is None and closed:
            hint = f"reopen it, or git branch -D {text.branch} and rotate with another --branch"
            raise RefusedError(f"{closed[0].url} was closed by a person", hint=hint)
        by_hand = where.by_hand(text)
        try:
            said = remotes.push(self.base.repository, push, where.options(text))
        except remotes.PushRefusedError as error:
            hint = f"the branch stays: git push {push.remote} {push.branch}, then {by_hand}"
            raise ToolError(error.message, hint=hint) from None
        if there is not None:
            where.update(there, text)
            return there.url
        return where.create(text) if where.has_tool else self._left(where, where.opened(said), by_hand, text)

    def _left(self, where: forge.Forge, opened: str | None, by_hand: str, text: forge.Text) -> str | None:
        """What a push did without a tool: it opened a request by itself, or a person has to."""
        if opened is None and where.needs_tool:
            hint = f"{text.branch} is pushed and stays: {by_hand}"
            raise ToolError(f"{where.tool} is not to be found, and it opens requests there", hint=hint)
        if opened is None:
            self.tell(f"{text.branch} is pushed; {by_hand}")
        return opened
