"""Requests for rotations: how many may be open at a time, and the words of each."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

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


@dataclass
class Requests:
    """What one run asks for; `kind` is the forge that somebody named, `tell` says what is left to a person."""

    base: Base
    branches: publish.Branches
    kind: str | None
    tell: Callable[[str], None]
    _found: dict[str, list[forge.Request] | None] = field(default_factory=dict)

    def room(self, limit: int, openings: Openings, waiting: Sequence[Opening]) -> int:
        """Return how many more requests may be open: each branch on the remote counts, and each that goes there now.

        One whose request a person closed counts no more.
        """
        waits = [one for one in openings.every() if not one.stale]
        there = {ref.branch for one in waits for ref in one.refs if ref == self.branches.remote(ref.branch)}
        there = {branch for branch in there if not self._is_closed(branch)}
        return max(0, limit - len(there | {one.ref.branch for one in waiting}))

    def state(self, opening: Opening) -> str:
        """Say of a rotation that waits where its request is not open, as far as the forge's tool can tell."""
        ref = opening.ref
        if len(self._found) >= _ASKED or self.branches.remote(ref.branch) is None:
            return ""
        try:
            found = self._requests(ref.branch)
        except ToolError:
            return ""
        if found is None or any(one.is_open for one in found):
            return ""
        closed = next((one.url for one in found if not one.is_merged), None)
        if closed:
            return f", and a person closed its request: {closed}"
        return f", and it has no request: keyturn rotate {opening.trailer.environment} --pr opens it"

    def _is_closed(self, branch: str) -> bool:
        """Whether all that was asked for a branch is closed, as far as that was looked at."""
        found = self._found.get(branch)
        return bool(found) and not any(one.is_open or one.is_merged for one in found or [])

    def refuse_closed(self, branch: str, since: datetime) -> None:
        """Raise RefusedError where a person closed the request of a branch since the old key was made."""
        try:
            found = self._requests(branch) or []
        except ToolError:  # told where the request is made
            return
        closed = [one for one in found if not (one.is_open or one.is_merged) and one.created >= since]
        if closed and not any(one.is_open for one in found):
            refs = (self.branches.local(branch), self.branches.remote(branch))
            drop = "; ".join(ref.dropping for ref in refs if ref is not None)
            hint = f"reopen it; or, for another key: {f'{drop}, then ' if drop else ''}rotate with another --branch"
            raise RefusedError(f"{closed[0].url} was closed by a person", hint=hint)

    def _requests(self, branch: str) -> list[forge.Request] | None:
        """Return the requests of a branch, None where no tool tells; asked for once."""
        if branch not in self._found:
            where = self._forge
            self._found[branch] = where.requests(branch) if where is not None and where.has_tool else None
        return self._found[branch]

    @functools.cached_property
    def _forge(self) -> forge.Forge | None:
        remote = self.base.remote
        if remote is None:
            return None
        return forge.find(self.base.repository.root, remotes.urls(self.base.repository, remote), self.kind)

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
        self, branch: str, openings: Sequence[Opening], rows: Sequence[proposal.Row], since: datetime, *, resized: bool
    ) -> str | None:
        """Ask for what waits on a branch already; `resized` where it says another keySize.  Return the address."""
        tip = self.branches.tip(branch)
        messages = list(dict.fromkeys(opening.message for opening in openings))
        title = messages[0].partition("\n")[0] if len(messages) == 1 else proposal.together(len(rows))
        words = title, proposal.body("\n\n".join(map(proposal.why, messages)), rows, environment_files=resized)
        return self.ask(branch, tip.commit if tip else openings[0].commit, words, since, set())

    def _publish(self, text: forge.Text, push: remotes.Push, since: datetime) -> str | None:
        """Push a branch and return the address of its request, None where a person opens it.

        A request that was closed since the old key was made is a person's word.  Raises RefusedError for that one,
        ToolError where push or tool fail; the branch stays, and the hint says how to go on.
        """
        where = self._forge
        assert where is not None  # noqa: S101 -- there is a remote to push to
        by_hand = where.by_hand(text)
        try:
            found = self._requests(text.branch) or []
        except ToolError as error:
            hint = f"the branch stays: git push {push.remote} {push.branch}, then {by_hand}"
            raise ToolError(error.message, hint=hint) from None
        self.refuse_closed(text.branch, since)
        there = next((one for one in found if one.is_open), None)
        try:
            said = remotes.push(self.base.repository, push, where.options(text))
        except remotes.PushRefusedError as error:
            raise ToolError(error.message, hint=_way(error, push, by_hand)) from None
        try:
            if there is not None:
                where.update(there, text)
                return there.url
            if where.has_tool:
                made = where.create(text)
                if made is None:
                    self.tell(f"{where.tool} made a request for {text.branch}, and does not tell where")
                return made
            return self._left(where, where.opened(said), by_hand, text)
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


_ASKED: Final = 20  # branches that a forge is asked about beside those that turn


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


def resizes(source: Commit, opening: Opening) -> bool:
    """Whether a rotation that waits changes its environment's file too."""
    path = workspace.path(opening.trailer.environment)
    there = source.objects.find(opening.commit, source.path(path))
    return there is not None and there.oid != source.blob(path)
