"""`keyturn rotate`: the next key of environments, as commits on branches that a person reviews."""

from __future__ import annotations

import contextlib
import functools
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from generator import proposal, rotation, workspace
from generator.app import answer, publish, sealing, turning
from generator.app import base as bases
from generator.app.choosing import Chooser, Wish
from generator.app.openings import Openings
from generator.app.requests import Requests, resizes, waiting
from generator.errors import InputError, KeyturnError, RefusedError
from generator.outcome import Rotated, Rotation
from generator.progress import Step, untold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from generator.app.base import Base
    from generator.app.choosing import Choice, Turning
    from generator.app.openings import Opening
    from generator.app.sealing import Sealer
    from generator.app.turning import Sealed
    from generator.commits import Commit
    from generator.creation import Groups
    from generator.rotation import Subject, Turn


@dataclass(frozen=True, slots=True)
class Options:
    """How keys turn; chance and time come in, so that a test can hold them."""

    wish: Wish
    tell: Callable[[str], None]
    reason: str | None = None
    base: str | None = None
    fetch: bool = False
    limit: int = 5
    key_size: int | None = None
    dry_run: bool = False
    forge: str | None = None
    jobs: int = 1
    token_bytes: Callable[[int], bytes] = secrets.token_bytes
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    step: Step = untold


def rotate(root: Path, options: Options) -> Rotated:
    """Make the commits, and with `pr` their requests; what was refused is in `problems`, and left nothing.

    Raises RefusedError where there is nothing to start from, InvalidError where a named environment is wrong.
    """
    fetch = (options.fetch or options.wish.pr) and not options.dry_run
    base = bases.resolve(root, options.base, fetch=fetch)
    if options.wish.branch is not None:
        publish.check_name(base, options.wish.branch)
    with bases.opened(base) as commit, contextlib.ExitStack() as stack:
        return _Run(base, commit, options, stack).run()


class _Run:
    """One run, from the choice to the requests."""

    def __init__(self, base: Base, commit: Commit, options: Options, stack: contextlib.ExitStack) -> None:
        self._base, self._commit, self._options, self._stack = base, commit, options, stack
        now = options.now()
        self._how = turning.How(now, options.reason, options.key_size, options.token_bytes, options.jobs)
        self._branches = publish.Branches(base)
        self._requests = Requests(base, self._branches, options.forge, options.tell)
        self._done = Rotated(base.oid, base.name)

    def run(self) -> Rotated:
        wish, done = self._options.wish, self._done
        choice = Chooser(self._base, self._commit, wish, self._how.now, self._options.tell).choose(self._look)
        for subject, reason, opening in choice.skipped:
            asked = self._requests.state(opening) if opening and wish.pr and not self._options.dry_run else ""
            done.skip(subject.names, f"{reason}{asked}")
        for names, error in choice.problems:
            done.fail(names, error)
        if wish.together and done.problems:
            raise answer.whole(done.problems)
        if choice.openings is not None:
            if wish.together and choice.turning:
                self._together(choice, choice.openings)
            elif not wish.together:
                self._alone(choice.turning, self._room(choice, choice.openings))
            self._again(choice, choice.openings)
        if not (choice.turning or choice.waiting or choice.skipped or choice.problems):
            done.note = answer.next_due(choice, self._how.now)
        return done

    @functools.cached_property
    def _sealer(self) -> Sealer:
        """What encrypting needs, taken up once it is needed: where nothing turns there may be no `.sops.yaml`."""
        return self._stack.enter_context(sealing.sealer(self._commit))

    def _look(self, subjects: list[Subject]) -> Openings:
        """Look for what waits."""
        sealer = self._sealer
        known = {one.name: one for subject in subjects for one in subject.environments}

        def readers(name: str) -> Groups | None:
            with contextlib.suppress(RefusedError):  # sealing will say why
                return sealer.rule(known[name]).groups if name in known else None
            return None

        tip = self._branches.tip(self._options.wish.branch or rotation.TOGETHER)
        return Openings(self._commit, self._branches.refs, readers, tip)

    def _room(self, choice: Choice, openings: Openings) -> int:
        """Return how many rotations may be made: with --pr, as many as there is room for among the requests."""
        if not self._options.wish.pr:
            return len(choice.turning)
        return self._requests.room(self._options.limit, openings, [opening for _, opening in choice.waiting])

    def _alone(self, chosen: list[Turning], room: int) -> None:
        """Turn each on a branch of its own, as far as there is room; what fails leaves nothing of that one."""
        if self._options.wish.branch is not None and len(chosen) > 1:
            raise InputError("--branch names one branch, and more than one key turns", hint="add --together")
        turns: list[tuple[Turning, Turn]] = []
        for one in chosen:
            if len(turns) >= room:
                self._done.skip(
                    one.subject.names, f"waits for the next run: no more than --limit {self._options.limit}"
                )
                continue
            try:
                turn = turning.turn(one, self._how)
                branch = self._branch(turn)
                self._branches.refuse(branch, one.replaceable)
                if self._options.wish.pr and not self._options.dry_run:
                    self._requests.refuse_closed(branch, one.oldest)
                turns.append((one, turn))
            except KeyturnError as error:
                self._done.fail(one.subject.names, error)
        if not turns:
            return
        self._check_identity()
        sealed = turning.sealed(self._commit, self._sealer, [turn for _, turn in turns], self._how)
        for number, ((one, turn), made) in enumerate(zip(turns, sealed, strict=True)):
            self._options.step("rotating", number, len(turns))
            if isinstance(made, KeyturnError):
                self._done.fail(one.subject.names, made)
                continue
            self._one(one, turn, made)

    def _one(self, one: Turning, turn: Turn, made: Sealed) -> None:
        branch = self._branch(turn)
        for opening in one.stale:
            if opening.ref.branch == branch:
                self._options.tell(f"{opening.where} is made anew, for {opening.stale or 'the mesh has other members'}")
        try:
            commit = self._write(branch, self._base.oid, [made])
        except KeyturnError as error:
            self._done.fail(one.subject.names, error)
            return
        done = answer.turned(turn, branch, commit)
        self._done.rotations.append(self._asked([made], [done], [], one.oldest, one.replaceable)[0])

    def _together(self, choice: Choice, openings: Openings) -> None:
        """Turn all in one commit, or none; it follows what waits on the branch already, where that can be."""
        branch = self._options.wish.branch or rotation.TOGETHER
        ours = {opening.commit for opening in openings.every() if openings.is_together(opening)}
        stack = openings.stack
        self._branches.refuse(branch, {*ours, stack} if stack else ours)
        turns = [turning.turn(one, self._how) for one in choice.turning]
        self._check_identity()
        made = []
        with contextlib.closing(turning.sealed(self._commit, self._sealer, turns, self._how)) as sealed:
            for number, one in enumerate(sealed):
                self._options.step("encrypting", number, len(turns))
                if isinstance(one, KeyturnError):
                    raise one
                made.append(one)
        before = openings.on(branch) if stack else []
        commit = self._write(branch, stack or self._base.oid, made)
        done = [answer.turned(one.turn, branch, commit) for one in made]
        since = min(one.oldest for one in choice.turning)
        self._done.rotations += self._asked(made, done, before, since, set() if stack else ours)

    def _check_identity(self) -> None:
        """Say that git makes no commit before sops has worked for it."""
        if not self._options.dry_run:
            self._base.repository.check_identity()

    def _branch(self, turn: Turn) -> str:
        return self._options.wish.branch or turn.subject.branch(turn.issue.key.id)

    def _write(self, branch: str, parent: str, made: list[Sealed]) -> str | None:
        """Write the commit and its branch; in a dry run, say what they would be."""
        message = proposal.message([one.turn for one in made])
        files = {self._commit.path(path): data for one in made for path, data in one.files.items()}
        if self._options.dry_run:
            self._done.plan += answer.plan(made, branch, self._base, parent)
            return None
        draft = publish.Draft(branch, parent, files, message)
        return publish.write(self._base, self._commit.objects, self._branches, draft)

    def _asked(
        self, made: list[Sealed], done: list[Rotation], before: list[Opening], since: datetime, ours: set[str]
    ) -> list[Rotation]:
        """Open the request of one branch, where that is wanted; `before` is what it follows there.

        The branch stays where this fails.
        """
        commit = done[0].commit
        if not self._options.wish.pr or commit is None:
            return done
        turns = [one.turn for one in made]
        rows = [row for opening in before if (row := waiting(self._commit, opening)) is not None]
        rows += [row for one in made for row in proposal.rows(one.turn, one.readers)]
        whys = [*(proposal.why(opening.message) for opening in before), *(turn.why for turn in turns)]
        resized = any(path.startswith(f"{workspace.FOLDER}/") for one in made for path in one.files)
        body = proposal.body("\n".join(dict.fromkeys(whys)), rows, environment_files=resized)
        title = proposal.together(len(rows)) if before else proposal.title(turns)
        try:
            url = self._requests.ask(done[0].branch, commit, (title, body), since, ours)
        except KeyturnError as error:
            self._done.problems.append(error)
            return done
        return [replace(one, pull_request=url) for one in done]

    def _again(self, choice: Choice, openings: Openings) -> None:
        """Ask for what waits already, without a new key: once for each branch."""
        branches: dict[str, list[tuple[Turning, Opening]]] = {}
        for one, opening in choice.waiting:
            branches.setdefault(opening.ref.branch, []).append((one, opening))
        given = {
            "--reason": self._options.reason,
            "--key-size": self._options.key_size,
            "--branch": self._options.wish.branch,
        }
        for branch, group in branches.items():
            unheard = " and ".join(name for name, value in given.items() if value not in (None, branch))
            if unheard:
                self._options.tell(f"{unheard} changes nothing of what waits already")
            if self._options.dry_run:
                self._done.plan.append(f"push {branch}, and open or update its request")
            self._options.tell(f"{group[0][1].where} waits already: no new key")
            asked = {one.branch: one.pull_request for one in self._done.rotations}
            url = asked[branch] if branch in asked else self._ask_again(branch, group, openings.on(branch))
            self._done.rotations += [answer.waits(self._commit, one, opening, url) for one, opening in group]

    def _ask_again(self, branch: str, group: list[tuple[Turning, Opening]], openings: list[Opening]) -> str | None:
        if self._options.dry_run:
            return None
        rows = [row for opening in openings if (row := waiting(self._commit, opening)) is not None]
        try:
            resized = any(resizes(self._commit, opening) for opening in openings)
            since = min(one.oldest for one, _ in group)
            return self._requests.ask_again(branch, openings, rows, since, resized=resized)
        except KeyturnError as error:
            self._done.problems.append(error)
            return None
