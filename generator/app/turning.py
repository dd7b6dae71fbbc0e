"""Next keys: made, proven to follow what stands there, and encrypted, as many at a time as there are processors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import firstkeys, keysize, proposal, rotation, workspace
from generator.errors import KeyturnError
from generator.findings import InvalidError, errors, tidy
from generator.source import Changed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from datetime import datetime

    from generator.app.choosing import Turning
    from generator.app.sealing import Sealer
    from generator.commits import Commit
    from generator.creation import Groups
    from generator.model import Environment
    from generator.rotation import Subject, Turn


@dataclass(frozen=True, slots=True)
class How:
    """How keys are made: why and when, of what size, by whose chance, how many sops at a time."""

    now: datetime
    reason: str | None
    key_size: int | None
    token_bytes: Callable[[int], bytes]
    jobs: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A turn, the files of its commit by path from the root, and who reads each environment's Secret."""

    turn: Turn
    files: dict[str, bytes]
    readers: dict[str, Groups]


def turn(turning: Turning, how: How) -> Turn:
    """Return the rotation of a subject.  Raises KeyturnError where the key has no successor as it is wanted."""
    subject, held = turning.subject, turning.held
    made = rotation.issue(subject, held, how.key_size, how.token_bytes, how.now)
    ages = (one.encryption.ipsec.max_key_age for one in subject.environments)
    why = how.reason or proposal.why_age(turning.oldest, how.now, str(min(ages, key=lambda span: span.seconds)))
    return rotation.Turn(subject, held, made, why, turning.forced)


def sealed(
    commit: Commit, sealer: Sealer, turns: Sequence[Turn], how: How
) -> Generator[Sealed | KeyturnError, None, None]:
    """Yield each turn with its files, in order, or what stopped it."""
    tasks = [
        (one, environment, commit.read(firstkeys.path(environment.name)))
        for one in turns
        for environment in one.subject.environments
    ]

    def seal(task: tuple[Turn, Environment, bytes | None]) -> bytes | KeyturnError:
        one, environment, old = task
        try:
            if old is not None:
                sealer.prove(environment.name, old)
            return sealer.seal(environment, one.issue)
        except KeyturnError as error:
            return error

    pool = ThreadPoolExecutor(how.jobs)
    try:
        results = pool.map(seal, tasks)
        for one in turns:
            made = {environment.name: next(results) for environment in one.subject.environments}
            try:
                yield _whole(commit, sealer, one, made, how)
            except KeyturnError as error:
                yield error
    finally:
        pool.shutdown(cancel_futures=True)  # nobody waits for the rest of what failed


def _whole(commit: Commit, sealer: Sealer, one: Turn, made: dict[str, bytes | KeyturnError], how: How) -> Sealed:
    files = {}
    for name, data in made.items():
        if isinstance(data, KeyturnError):
            raise data
        files[firstkeys.path(name)] = data
    if how.key_size is not None:
        files |= _resized(commit, one.subject, how.key_size)
    return Sealed(one, files, {each.name: sealer.rule(each).groups for each in one.subject.environments})


def _resized(commit: Commit, subject: Subject, size: int) -> dict[str, bytes]:
    """Return the environment files that have to say another `keySize`.

    Raises InvalidError where an environment would be wrong with it.
    """
    files = {
        workspace.path(one.name): keysize.replaced(commit.read(workspace.path(one.name)) or b"", one.path, size)
        for one in subject.environments
        if one.encryption.ipsec.key_size != size
    }
    space = workspace.load(Changed(commit, files), subject.names)
    if errors(space.findings, strict=False):
        raise InvalidError(tidy(space.findings))
    return files
