"""A rendered tree as a mapping from path to text, whose it is, and the changes between two.  No I/O.

Paths are POSIX text relative to the workspace's root, as git and the engines write them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Action = Literal["created", "updated", "removed"]

CLUSTERS: Final = "clusters"  # the folder of all trees
TEMPLATES: Final = "templates"  # of what they are rendered from
EXEMPTIONS: Final = ".keyturn.yaml"  # the reviewed exceptions
UNMADE: Final = b""  # stands for the content of a file that only the real run makes

_OURS: Final = re.compile(rb"# Rendered by keyturn from environments/[a-z0-9-]+\.yaml; edits are overwritten\r?\n")


def header(name: str) -> str:
    """Return the first line of a rendered file, which is what makes it ours."""
    return f"# Rendered by keyturn from environments/{name}.yaml; edits are overwritten\n"


def is_ours(data: bytes) -> bool:
    """Whether a file on the disk is one that keyturn rendered, for whichever environment."""
    return _OURS.match(data) is not None


@dataclass(frozen=True, slots=True)
class Change:
    """One file that would be or was changed; `before` and `after` are its bytes, None where there is no file."""

    action: Action
    path: str
    before: bytes | None = field(repr=False)
    after: bytes | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.action} {self.path}"


def changes(current: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[Change]:
    """Return what turns `current` into `wanted`, by path; what equals is not in it."""
    found: list[Change] = []
    for path in sorted(current.keys() | wanted.keys()):
        before, after = current.get(path), wanted.get(path)
        if before == after:
            continue
        action: Action = "created" if before is None else "removed" if after is None else "updated"
        found.append(Change(action, path, before, after))
    return found


def diff(change: Change) -> Iterator[str]:
    """Yield the lines of a unified diff, as `git apply` takes them."""
    old = f"a/{change.path}" if change.before is not None else "/dev/null"
    new = f"b/{change.path}" if change.after is not None else "/dev/null"
    before, after = _lines(change.before), _lines(change.after)
    import difflib  # noqa: PLC0415 -- for --diff, and a hook should be quick

    for line in difflib.unified_diff(before, after, old, new):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(data: bytes | None) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", (data or b"").decode("utf-8", "replace"))
