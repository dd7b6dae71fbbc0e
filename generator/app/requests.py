"""Requests for rotations: how many may be open at a time, and the words of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import firstkeys, forge, proposal, remotes, workspace
from generator.app.openings import readers_at, told_at
from generator.errors import RefusedError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from generator.app import publish
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
        return max(0, limit - len(there | {one.ref.branch for one in waiting}))

    def ask(self, branch: str, commit: str, words: tuple[str, str], since: datetime, ours: set[str]) -> str | None:
        """Push a commit and open or update its request, titled and described by `words`; return its address."""
        if self.base.remote is None:
            names = self.base.repository.remotes()
            which = f"none of the remotes {', '.join(names)} is called origin," if names else "there is no remote"
            way = "git config checkout.defaultRemote NAME" if names else "git remote add origin URL"
            hint = f"{way}, git push {'NAME' if names else 'origin'} {branch}, and open a request for it"
            raise ToolError(f"{which} to push {branch} to", hint=hint)
        if self.base.branch is None:
            raise RefusedError(f"{self.base.name} is no branch, so nobody can be asked to merge", hint="say --base")
        text = forge.Text(branch, self.base.branch, *words)
        push = remotes.Push(self.base.remote, branch, commit, self.branches.instead_of(branch, ours))
        return self._publish(text, push, since)

    def ask_again(
        self, branch: str, openings: Sequence[Opening], rows: Sequence[proposal.Row], since: datetime
    ) -> str | None:
        """Ask for what waits on a branch already; return the request's address."""
        tip = self.branches.tip(branch)
        messages = list(dict.fromkeys(opening.message for opening in openings))
        title = messages[0].partition("\n")[0] if len(messages) == 1 else proposal.together(len(rows))
        words = title, proposal.body("\n\n".join(map(proposal.why, messages)), rows)
        return self.ask(branch, tip.commit if tip else openings[0].commit, words, since, set())

    def _publish(self, text: forge.Text, push: remotes.Push, since: datetime) -> str | None:
        """Push a branch and return the address of its request, None where a person opens it.

        A request that was closed since the old key was made is a person's word.  Raises RefusedError for that one,
        ToolError where push or tool fail; the branch stays, and the hint says how to go on.
        """
        urls = remotes.urls(self.base.repository, push.remote)
        where = forge.find(self.base.repository.root, urls, self.kind)
        by_hand = where.by_hand(text)
        try:
            found = where.requests(text.branch) if where.has_tool else []
        except ToolError as error:
            hint = f"the branch stays: git push {push.remote} {push.branch}, then {by_hand}"
            raise ToolError(error.message, hint=hint) from None
        there = next((one for one in found if one.is_open), None)
        closed = [one for one in found if not (one.is_open or one.is_merged) and one.created >= since]
        if there is None and closed:
            drop = f"git branch -D {text.branch}; git push {push.remote} --delete {text.branch}"
            hint = f"reopen it; or, for another key: {drop}, then rotate with another --branch"
            raise RefusedError(f"{closed[0].url} was closed by a person", hint=hint)
        try:
            said = remotes.push(self.base.repository, push, where.options(text))
        except remotes.PushRefusedError as error:
            raise ToolError(error.message, hint=_way(error, push, by_hand)) from None
        try:
            if there is not None:
                where.update(there, text)
                return there.url
            return where.create(text) if where.has_tool else self._left(where, where.opened(said), by_hand, text)
        except ToolError as error:
            left = f"{there.url} is open, and shows it" if there is not None else by_hand
            raise ToolError(error.message, hint=error.hint or f"{push.branch} is pushed and stays: {left}") from None

    def _left(self, where: forge.Forge, opened: str | None, by_hand: str, text: forge.Text) -> str | None:
        """What a push did without a tool: it opened a request by itself, or a person has to."""
        if opened is None and where.needs_tool:
            hint = f"{text.branch} is pushed and stays: {by_hand}"
            raise ToolError(f"{where.tool} is not to be found, and it opens requests there", hint=hint)
        if opened is None:
            self.tell(f"{text.branch} is pushed; {by_hand}")
        return opened


def _way(error: remotes.PushRefusedError, push: remotes.Push, by_hand: str) -> str:
    """How to go on where the remote did not take a branch."""
    if error.is_behind:
        mine = f"git fetch {push.remote}, then git branch -D {push.branch} to take what is there"
        return f"somebody else has pushed that branch: {mine}; the branch stays here until then"
    return f"the branch stays: git push {push.remote} {push.branch}, then {by_hand}"


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
    return proposal.Row(name, mesh, before, after, readers_at(source, opening.commit, path))
