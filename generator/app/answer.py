"""What a run of rotations answers: values, out of what it did or would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import ages, firstkeys, proposal
from generator.app.openings import told_at
from generator.errors import KeyturnError, ManyRefusedError, RefusedError
from generator.outcome import Rotation

if TYPE_CHECKING:
    from datetime import datetime

    from generator.app.base import Base
    from generator.app.choosing import Choice, Turning
    from generator.app.openings import Opening
    from generator.app.turning import Sealed
    from generator.commits import Commit
    from generator.rotation import Turn


def turned(turn: Turn, branch: str, commit: str | None) -> Rotation:
    """Return a rotation that this run made; without a commit, one that a dry run would make."""
    key = turn.issue.key
    known = commit is not None
    return Rotation(
        turn.subject.names,
        turn.subject.mesh,
        turn.old.key_id,
        key.id,
        turn.previous_fingerprint,
        key.fingerprint() if known else None,
        turn.issue.created if known else None,
        branch,
        commit,
    )


def waits(source: Commit, turning: Turning, opening: Opening, url: str | None) -> Rotation:
    """Return a rotation that an earlier run made."""
    subject, trailer = turning.subject, opening.trailer
    turn = next(told for told in turning.held.values() if told is not None)
    prints = {told.fingerprint if told else None for told in turning.held.values()}
    made = told_at(source, opening.commit, firstkeys.path(trailer.environment))
    return Rotation(
        subject.names,
        subject.mesh,
        turn.key_id,
        trailer.key_id,
        turn.fingerprint if len(prints) == 1 else None,
        trailer.fingerprint,
        made.created if made else None,
        opening.ref.branch,
        opening.commit,
        url,
    )


def whole(problems: list[KeyturnError]) -> KeyturnError:
    """Return what stopped a run that is all or nothing."""
    refused = [one for one in problems if isinstance(one, RefusedError)]
    return problems[0] if len(problems) == 1 or len(refused) < len(problems) else ManyRefusedError(refused)


def next_due(choice: Choice, now: datetime) -> str:
    """Say when the next key is due, where none is now."""
    if choice.next_due is None:
        return "nothing is due: there is no environment with IPsec"
    time, label = choice.next_due
    return f"nothing is due; the next is {label}, on {ages.stamp(time)}, in {ages.words(time - now)}"


def plan(made: list[Sealed], branch: str, base: Base, parent: str) -> list[str]:
    """Return the lines of a dry run; no fingerprint, since the key is thrown away."""
    lines = []
    for one in made:
        turn = one.turn
        key = turn.issue.key
        lines.append(proposal.title([turn]))
        lines.append(f"  why: {turn.why}{f' Forced: {turn.forced}.' if turn.forced else ''}")
        lines.append(f"  key: {key.algorithm} with {key.algorithm.key_bits} bits")
        lines += [f"  writes {path}" for path in one.files]
        for name, groups in one.readers.items():
            who = ", ".join(f"{kind} {recipient}" for group in groups for kind, recipient in sorted(group))
            lines.append(f"  {name} is for {who}")
    after = "" if parent == base.oid else f", after {parent[:12]} on it"
    return [*lines, f"branch {branch}, from {base.name} at {base.oid[:12]}{after}"]
