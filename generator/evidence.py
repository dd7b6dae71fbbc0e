"""What a cluster was asked, what it answered, and checks: what was seen beside what was expected.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from generator.errors import ToolError

Object = dict[str, Any]
"""An object of Kubernetes as JSON, or what is kept of one: what somebody else wrote, so nothing in it is sure."""


def _whole(one: Object) -> Object:
    return one


@dataclass(frozen=True, slots=True)
class Question:
    """One `kubectl get`; without a name all of a kind.

    `kept` takes from each object what is needed of it: thousands of them would fill the memory.
    """

    resource: str
    name: str = ""
    namespace: str = ""
    selector: str = ""
    kept: Callable[[Object], Object] = field(default=_whole, compare=False)

    def __str__(self) -> str:
        what = f"{self.resource} {self.name}".rstrip()
        return f"{what} in {self.namespace}" if self.namespace else what


@dataclass(frozen=True, slots=True)
class Answer:
    """When a question was answered and by what; no objects where there are none, or no such kind.

    `failed` is why it could not be asked.
    """

    at: datetime
    objects: Sequence[Object] = field(default=(), repr=False)  # one may be the Secret: it stays out of tracebacks
    failed: ToolError | None = None


Answers = dict[str, Answer]
"""By the names that the questions have."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was seen and what was expected; `ok` is None where it is not judged, or could not be.

    `rest` are more of the names that end `seen`, which a terminal does not show; `at` is when the answer came.
    """

    name: str
    ok: bool | None
    seen: str
    expected: str
    at: datetime
    rest: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "ok": self.ok, "seen": self.whole, "expected": self.expected}

    @property
    def whole(self) -> str:
        """What was seen, with every name."""
        return ", ".join((self.seen, *self.rest))

    @property
    def short(self) -> str:
        """What was seen, on a line that a person reads."""
        return f"{self.seen} and {len(self.rest):,} more" if self.rest else self.seen


_SHOWN: Final = 160  # characters of names on one line


def failing(name: str, seen: str, expected: str, at: datetime, names: Sequence[str]) -> Check:
    """Return a check that does not hold for some names, of which the first few are shown behind `seen`."""
    shown, length = 1, len(names[0])
    while shown < len(names) and (length := length + len(names[shown]) + 2) <= _SHOWN:
        shown += 1
    first = ", ".join(names[:shown])
    return Check(name, False, seen + first, expected, at, tuple(names[shown:]))  # noqa: FBT003 -- a check's own word


def counted(count: int, word: str) -> str:
    """Return `1 node`, `5,000 nodes`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def dig(one: object, *path: str) -> Any:
    """Return what stands at a path in an object, None where nothing does."""
    for name in path:
        if not isinstance(one, dict):
            return None
        one = one.get(name)
    return one


def text(one: object, *path: str) -> str:
    """Return the text at a path, empty where there is none."""
    found = dig(one, *path)
    return found if isinstance(found, str) else ""


def texts(one: object, *path: str) -> dict[str, str]:
    """Return the texts of the mapping at a path, empty where there is none."""
    found = dig(one, *path)
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def number(one: object, *path: str) -> int:
    """Return the number at a path, 0 where there is none: Kubernetes and Cilium leave zeros out."""
    found = dig(one, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def items(one: object, *path: str) -> list[Any]:
    """Return the list at a path, empty where there is none."""
    found = dig(one, *path)
    return found if isinstance(found, list) else []


def name(one: Object) -> str:
    return text(one, "metadata", "name")
