"""What the commands did, or with `--check` would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator.findings import InvalidError

if TYPE_CHECKING:
    from datetime import datetime

    from generator.errors import KeyturnError
    from generator.findings import Finding
    from generator.model import Environment
    from generator.secret import Told
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


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key that turned, or in a dry run would: of one environment or a mesh; what is not known is None.

    `fingerprint`, `commit` and `created` are None in a dry run, whose key nobody will have.
    """

    environments: list[str]
    mesh: str | None
    previous_id: int
    key_id: int
    previous_fingerprint: str | None
    fingerprint: str | None
    created: datetime | None
    branch: str
    commit: str | None
    pull_request: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An environment that did not turn, and why."""

    environment: str
    reason: str
    failed: bool = False


@dataclass(slots=True)
class Rotated:
    """What a rotation did: from which commit, what turned, what did not; `problems` are the refusals and failures.

    `plan` has the lines of a dry run, `note` what else a person should know.
    """

    base: str
    base_name: str
    rotations: list[Rotation] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    problems: list[KeyturnError] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def waits(self) -> list[Skipped]:
        """What was skipped without a failure."""
        return [one for one in self.skipped if not one.failed]

    def skip(self, names: list[str], reason: str) -> None:
        self.skipped += [Skipped(name, reason) for name in names]

    def fail(self, names: list[str], error: KeyturnError) -> None:
        self.problems.append(error)
        reason = str(error.findings[0]) if isinstance(error, InvalidError) else error.message
        self.skipped += [Skipped(name, reason, failed=True) for name in names]


@dataclass(frozen=True, slots=True)
class Status:
    """How an environment stands: what its Secret tells, when that is due, and where a rotation waits."""

    environment: Environment
    told: Told | None
    due: datetime | None
    overdue: bool
    branch: str | None


@dataclass(frozen=True, slots=True)
class Stood:
    """Every environment that was asked for; `findings` are the Secrets that cannot be read."""

    environments: list[Status]
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class Turned:
    """A key that came with a commit."""

    date: datetime
    key_id: int
    fingerprint: str
    author: str
    commit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Logged:
    """The keys that came, newest first; where the clone is `shallow`, there may be more before them."""

    keys: list[Turned]
    shallow: bool


@dataclass(frozen=True, slots=True)
class Adopted:
    """A key that was taken over from a cluster, and what a person should know of it."""

    environment: str
    change: Change | None  # None where it stood there already
    key_id: int
    fingerprint: str
    created: datetime
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """A Secret for other recipients, on a branch; `commit` is None in a dry run."""

    environment: str
    added: list[str]
    removed: list[str]
    branch: str
    commit: str | None
    pull_request: str | None = None


@dataclass(slots=True)
class Rekeyed:
    """What a rewrapping did, from which commit."""

    base: str
    base_name: str
    rewrapped: list[Rewrapped] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    problems: list[KeyturnError] = field(default_factory=list)
