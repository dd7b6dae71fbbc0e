"""The words of a rotation: commit message and trailers, the request's title and body.  No I/O, and no key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import ages
from generator.secret import Told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from generator.creation import Groups
    from generator.rotation import Turn

ENVIRONMENT: Final = "Keyturn-Environment"
REWRAPPED: Final = "Keyturn-Rekey"
_KEY_ID: Final = "Keyturn-Key-Id"
_FINGERPRINT: Final = "Keyturn-Fingerprint"
_TRAILERS: Final = re.compile(
    rf"^{ENVIRONMENT}: (\S+)\n{_KEY_ID}: ([1-9]|1[0-5])\n{_FINGERPRINT}: (sha256:[0-9a-f]{{32}})$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Trailer:
    """What a rotation's commit tells of one environment."""

    environment: str
    key_id: int
    fingerprint: str


def trailers(message: str) -> list[Trailer]:
    """Return what the last paragraph of a commit message tells of rotations."""
    last = message.rstrip().rpartition("\n\n")[2]
    return [Trailer(name, int(key_id), fingerprint) for name, key_id, fingerprint in _TRAILERS.findall(last)]


def reason(message: str) -> str:
    """Return why a commit was made, on one line: what stands between subject and trailers, else the subject."""
    subject, _, rest = message.strip().partition("\n\n")
    body, _, last = rest.rpartition("\n\n")
    text = body if _is_trailers(last) else rest
    return " ".join((text or subject).split())


def why(message: str) -> str:
    """Return what stands in a commit message between subject and trailers."""
    subject, _, rest = message.strip().partition("\n\n")
    return rest.rpartition("\n\n")[0] or subject


def _is_trailers(paragraph: str) -> bool:
    return all(re.match(r"[A-Za-z][A-Za-z-]*: ", line) for line in paragraph.splitlines())


def why_age(turn_created: datetime, now: datetime, limit: str) -> str:
    """Say why a key turns where nobody said it."""
    made = turn_created.date().isoformat()
    return f"The key is {ages.words(now - turn_created)} old (made {made}); maxKeyAge is {limit}."


def title(turns: Sequence[Turn]) -> str:
    """Return a commit's subject, which is the request's title too."""
    if len(turns) == 1:
        turn = turns[0]
        return f"{turn.subject.label}: rotate IPsec key {turn.old.key_id} -> {turn.issue.key.id}"
    return together(sum(len(turn.subject.names) for turn in turns))


def together(count: int) -> str:
    """Return the title for the keys of several environments at once."""
    return f"together: rotate the IPsec keys of {count} environments"


def message(turns: Sequence[Turn]) -> str:
    """Return the commit message of one or more rotations: what, why, and trailers for each environment."""
    if len(turns) == 1:
        body = _why(turns[0])
    else:
        whys = {_why(turn) for turn in turns}
        lines = [title([turn]) if len(whys) == 1 else f"{title([turn])}\n  {_why(turn)}" for turn in turns]
        body = "\n\n".join([*(whys if len(whys) == 1 else ()), "\n".join(lines)])
    told = "\n".join(_trailer(turn) for turn in turns)
    return f"{title(turns)}\n\n{body}\n\n{told}\n"


def _why(turn: Turn) -> str:
    return f"{turn.why}\nForced: {turn.forced}." if turn.forced else turn.why


def _trailer(turn: Turn) -> str:
    key = turn.issue.key
    return "\n".join(
        f"{ENVIRONMENT}: {name}\n{_KEY_ID}: {key.id}\n{_FINGERPRINT}: {key.fingerprint()}"
        for name in turn.subject.names
    )


def rewrap_message(name: str, why: str) -> str:
    """Return the commit message for a Secret that got other recipients and kept its key."""
    return f"{name}: rewrap the IPsec key for other recipients\n\n{why}\n\n{REWRAPPED}: {name}\n"


_COLUMNS: Final = (
    "environment",
    "mesh",
    "id",
    "algorithm",
    "fingerprint before",
    "fingerprint",
    "age of the old key",
    "recipients",
)
_CHECKS: Final = (
    "the diff changes nothing but the Secrets above{also}",
    "each `keyturn/key-id` goes up by one (after 15 comes 1) from what stands in `keyturn/previous-key-id`",
    "the recipients are the ones that should read the key",
    "Cilium is not being upgraded or downgraded, and the rotation before has reached every node",
    "after the merge the cluster does it, and every node shows the new id: {verify}",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One environment of a request: what its key was, None where it had none, what it becomes, and who reads it."""

    environment: str
    mesh: str | None
    before: Told | None
    after: Told
    readers: Groups


def rows(turn: Turn, readers: Mapping[str, Groups]) -> list[Row]:
    key = turn.issue.key
    after = Told(key.id, key.algorithm, key.fingerprint(), turn.issue.created, turn.issue.previous)
    return [Row(name, turn.subject.mesh, turn.held[name], after, readers[name]) for name in turn.subject.names]


def body(why: str, table: Sequence[Row], *, environment_files: bool = False) -> str:
    """Return the request's body: why, what turns, and what a reviewer should look at."""
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *(_cells(row) for row in table)]
    shown = _fitting([f"| {' | '.join(line)} |" for line in lines])
    also = ", and `keySize` in the environments" if environment_files else ""
    filled = {"{also}": also, "{verify}": _verify(table)}
    checks = "\n".join(f"- [ ] {_PLACE.sub(lambda match: filled[match[0]], check)}" for check in _CHECKS)
    return f"{why}\n\n{shown}\n\nTo check:\n\n{checks}\n"


def _verify(table: Sequence[Row]) -> str:
    """Say what shows that a rotation has reached every node."""
    which = [f"`keyturn verify {row.environment} --wait 15m`" for row in table[:_NAMED]]
    return ", ".join(which) + (", and so on for each" if len(table) > _NAMED else "")


_NAMED: Final = 5  # environments
_PLACE: Final = re.compile(r"\{\w+\}")


def _fitting(lines: list[str]) -> str:
    """Return as many lines as a request holds, and how many more there are."""
    kept, size = 0, 0
    while kept < len(lines) and (size := size + len(lines[kept]) + 1) <= _LONGEST:
        kept += 1
    more = len(lines) - kept
    told = [f"\nand {more} more, which the commit's message names"] if more else []
    return "\n".join([*lines[:kept], *told])


_LONGEST: Final = 60_000  # characters; GitHub takes 65,536 in a request


def _cells(row: Row) -> tuple[str, ...]:
    old, new = row.before, row.after
    return (
        row.environment,
        row.mesh or "",
        f"{old.key_id if old else 'none'} -> {new.key_id}",
        f"{new.algorithm}, AES-{new.algorithm.key_bits}",
        f"`{old.fingerprint}`" if old else "none",
        f"`{new.fingerprint}`",
        ages.words(new.created - old.created) if old else "",
        "<br>".join(f"`{kind}: {who}`" for group in row.readers for kind, who in sorted(group)).replace("|", "\\|"),
    )
