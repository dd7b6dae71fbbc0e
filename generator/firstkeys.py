"""May an environment get a first key?  A live cluster must never get a fresh one with id 1.  No I/O.

The datapath takes the lower of two key ids, so an id that goes back breaks traffic without a word; and a key that is
made anew is one that no running node has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from generator.errors import RefusedError
from generator.secret import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

SECRETS: Final = f"clusters/*/{FILE}"
_SECRET: Final = re.compile(rf"clusters/([^/]+)/{re.escape(FILE)}")


def path(name: str) -> str:
    """Return where an environment's Secret stands, relative to the root."""
    return f"clusters/{name}/{FILE}"


def environment(file: str) -> str | None:
    """Return whose Secret stands at a path from the root, None where none does."""
    match = _SECRET.fullmatch(file)
    return match[1] if match else None


@dataclass(frozen=True, slots=True)
class Past:
    """What git and the disk know; everything is relative to the root, and empty outside git."""

    head: AbstractSet[str] = frozenset()  # files of HEAD under clusters/ and environments/
    index: AbstractSet[str] = frozenset()  # files of the index under clusters/
    history: Mapping[str, str] = field(default_factory=dict)  # file -> last commit that wrote it
    shallow: bool = False
    folders: AbstractSet[str] = frozenset()  # those of the environments that need a key
    disk: AbstractSet[str] = frozenset()  # files of ours under clusters/, and every Secret


def refusals(new: list[str], names: AbstractSet[str], past: Past) -> Iterator[RefusedError]:
    """Yield what forbids first keys for the environments `new`; `names` are all environments that there are."""
    for name in new:
        yield from _known_before(name, past)
    if new and past.shallow and any(file.startswith("clusters/") for file in past.head):
        message = f"this clone is shallow, so it cannot be told whether {_listed(new)} had a key before"
        yield RefusedError(message, hint="git fetch --unshallow")
    if new:
        yield from _renamed(new, names, past)


def _known_before(name: str, past: Past) -> Iterator[RefusedError]:
    file = path(name)
    message = f"{file} is gone, and git knows it: its cluster may be using that key"
    if file in past.index:
        yield RefusedError(message, hint=f"git restore {file}")
    elif file in past.head:
        yield RefusedError(message, hint=f"git restore --staged --worktree {file}")
    elif commit := past.history.get(file):
        hint = f"git restore --source={commit} {file}, or give a new cluster's environment another name"
        yield RefusedError(f"{file} stood in git until after {commit}: its cluster may be using that key", hint=hint)


def _renamed(new: list[str], names: AbstractSet[str], past: Past) -> Iterator[RefusedError]:
    """A Secret whose environment has just gone, beside a new environment, looks like a rename.

    It has just gone while HEAD has its file, or while its other rendered files still stand: the next render takes
    them away, and what is left is a Secret that somebody has seen and kept.
    """
    for file in sorted(past.disk | past.head):
        old = environment(file)
        if old is None or old in names:
            continue
        folder = f"clusters/{old}/"
        rest = any(other.startswith(folder) and other != file for other in past.disk | past.head)
        if rest or f"environments/{old}.yaml" in past.head:
            message = (
                f"the key of {old} is left without environments/{old}.yaml, while {_listed(new)} would get a new one"
            )
            hint = f"if {old} was renamed: {_move(old, new, past)}; if its cluster is gone: {_retire(old, file, past)}"
            yield RefusedError(message, hint=hint)


def _move(old: str, new: list[str], past: Past) -> str:
    """The commands that give the key of `old` to the environment it was renamed to."""
    target = new[0] if len(new) == 1 else f"NEW, where NEW is one of {_listed(new)}"
    tracked = path(old) in past.index or path(old) in past.head
    if f"clusters/{target}/secrets" in past.folders:
        what, where = path(old), f"clusters/{target}/secrets/"
    elif f"clusters/{target}" in past.folders:
        what, where = f"clusters/{old}/secrets", f"clusters/{target}/"
    else:
        what, where = f"clusters/{old}", f"clusters/{target}"
    move = f"{'git mv' if tracked else 'mv'} {what} {where}"
    if path(old) in past.disk:
        return move
    return f"git restore {'' if path(old) in past.index else '--staged --worktree '}clusters/{old} && {move}"


def _retire(old: str, file: str, past: Past) -> str:
    if file not in past.disk:
        return "commit that it is gone"
    return f"keyturn retire {old}{', and commit that' if file in past.head else ''}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004 -- one line
