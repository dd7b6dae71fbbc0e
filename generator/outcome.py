"""What the commands did, or with `--check` would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generator.findings import Finding
    from generator.tree import Change


@dataclass(frozen=True, slots=True)
class Rendered:
    """One folder of `clusters/`: what changed, and how many files did not; `gone` where its environment is."""

    name: str
    changes: list[Change]
    unchanged: int
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every folder that was looked at; `config` is set where `.sops.yaml` is new."""

    environments: list[Rendered]
    warnings: list[Finding]
    config: Change | None = None

    @property
    def changes(self) -> list[Change]:
        own = [self.config] if self.config else []
        return own + [change for rendered in self.environments for change in rendered.changes]


@dataclass(frozen=True, slots=True)
class Retired:
    """A Secret that was removed; `commit` is where git still has it, None where it has it nowhere."""

    environment: str
    change: Change
    commit: str | None
