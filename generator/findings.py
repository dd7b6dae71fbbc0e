"""What is wrong with the user's tree, as values: each with its place, its rule and a way out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from generator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong at one place.

    `path` is relative to the root; `line` and `column` count from 1, 0 where the whole file is meant.
    `message` is one lower-case line, `hint` says what to write instead (or is empty).
    """

    path: str
    line: int
    column: int
    rule: str
    level: Level
    message: str
    hint: str = ""

    def __str__(self) -> str:
        path = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in self.path)
        place = f"{path}:{self.line}:{self.column}" if self.line else path
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}: {self.level}: {self.message}{hint} [{self.rule}]"

    def as_json(self) -> dict[str, str | int]:
        return asdict(self)


def tidy(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted by place, each once: an error in a group is found again in each environment that extends it."""
    return sorted(set(findings))


def errors(findings: Iterable[Finding], *, strict: bool) -> list[Finding]:
    """Return the findings that refuse the tree; `strict` counts warnings among them."""
    return [finding for finding in findings if strict or finding.level == "error"]


class InvalidError(InputError):
    """The tree is refused; every finding says why."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = findings
