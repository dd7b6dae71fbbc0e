"""Requests for rotations: how many may be open at a time, and the words of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import creation, firstkeys, forge, proposal, remotes, workspace, yamlio
from generator.app import publish
from generator.app.openings import told_at
from generator.errors import RefusedError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from generator.app.base import Base
    from generator.app.openings import Opening, Openings
    from generator.commits import Commit


@dataclass(frozen=True, slots=True)
class Requests:
    """What one run asks for; `kind` is the forge that somebody named, `tell` says what is left to a person."""

    base: Base
    branches: publish.Branches
    kind: str | None
    tell: Callable[[str], None]

    def room(self, limit: int, openings: Openings, waiting: Sequence[Opening]) -> int:
        """Return how many more requests may be open: each branch on the remote counts, and each that goes there now."""
        waits = [one for one in openings.every() if not one.stale]
        there = {ref.branch for one in waits for ref in one.refs if ref == self.branches.remote(ref.branch)}
        return max(0, limit - len(there | {one.refs[0].branch for one in waiting}))

    def ask(self, branch: str, commit: str, words: tuple[str, str], since: datetime, ours: set[str]) -> str | None:
        """Push a commit and open or update its request, titled and described by `words`; return its address."""
        if self.base.remote is None:
            hint = f"git remote add origin URL, git push origin {branch}, and open a request for it"
            raise ToolError(f"there is no remote to push {branch} to", hint=hint)
        if self.base.branch is None:
            raise RefusedError(f"{self.base.name} is no branch, so nobody can be asked to merge", hint="say --base")
        text = forge.Text(branch, self.base.branch, *words)
        push = remotes.Push(self.base.remote, branch, commit, self.branches.instead_of(branch, ours))
        return publish.Publisher(self.base, self.kind, self.tell).publish(text, push, since)

    def ask_again(
        self, branch: str, openings: Sequence[Opening], rows: Sequence[proposal.Row], since: datetime
    ) -> str | None:
        """Ask for what waits on a branch already; return the request's address."""
        tip = self.branches.tip(branch)
        messages = list(dict.fromkeys(opening.message for opening in openings))
        title = messages[0].partition("\n")[0] if len(messages) == 1 else proposal.together(len(rows))
        words = title, proposal.body("\n\n".join(map(proposal.why, messages)), rows)
        return self.ask(branch, tip.commit if tip else openings[0].commit, words, since, set())


def waiting(source: Commit, opening: Opening) -> proposal.Row | None:
    """Return what a rotation that waits turns, as its commit tells; None where that cannot be read."""
    name = opening.trailer.environment
    path = firstkeys.path(name)
    after = told_at(source, opening.commit, path)
    if after is None:
        return None
    space = workspace.load(source, [name])
    mesh = next((one.cluster.mesh for one in space.environments), None)
    before = told_at(source, source.oid, path)
    return proposal.Row(name, mesh, before, after, readers_at(source, opening.commit, name))


def readers_at(source: Commit, commit: str, name: str) -> creation.Groups:
    """Return who can read an environment's Secret in some commit."""
    path = firstkeys.path(name)
    found = source.objects.find(commit, source.path(path))
    root = yamlio.read(source.objects.blob(found.oid), path)[0] if found is not None else None
    return creation.readers(root) if root is not None else frozenset()
