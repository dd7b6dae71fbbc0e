"""`keyturn status`: the keys of a work tree, how old they are, and which rotations wait.  No key, no network."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from generator import history, rotation, secret, workspace
from generator.app import base as bases
from generator.app import standing
from generator.app.openings import Openings
from generator.errors import InputError, RefusedError
from generator.findings import Finding, InvalidError, errors, tidy
from generator.outcome import Status, Stood
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from generator.model import Environment
    from generator.secret import Told


def status(root: Path, names: Sequence[str], now: datetime) -> Stood:
    """Return how every environment stands, or those named.

    A Secret that cannot be read is a finding.  Raises InvalidError where an environment is wrong.
    """
    space = workspace.load(WorkTree(root), names)
    if errors(space.findings, strict=False):
        raise InvalidError(tidy(space.findings))
    findings: list[Finding] = []
    with contextlib.ExitStack() as stack:
        waits = _waits(root, stack)
        rows = [_status(root, one, now, waits, findings) for one in space.environments]
    return Stood(rows, tidy(findings))


def _status(
    root: Path, environment: Environment, now: datetime, waits: Callable[[str], str | None], findings: list[Finding]
) -> Status:
    told = None
    if environment.encryption.type == "ipsec":
        told = _told(root, environment.name, findings)
    due = rotation.due(environment, told) if told else None
    return Status(environment, told, due, due is not None and due <= now, waits(environment.name))


def _told(root: Path, name: str, findings: list[Finding]) -> Told | None:
    node, found = standing.read(root, name)
    findings += found
    if node is None:
        return None
    try:
        return secret.told(node)
    except InputError as error:
        findings.append(Finding(node.source, 0, 0, "annotations", "error", error.message, secret.RESTORE))
        return None


def _waits(root: Path, stack: contextlib.ExitStack) -> Callable[[str], str | None]:
    """Return what tells the branch on which an environment's rotation waits; none outside git or before a commit."""
    try:
        base = bases.resolve(root, None)
        commit = stack.enter_context(bases.opened(base))
    except RefusedError:
        return lambda _: None
    openings = Openings(commit, history.refs(root), lambda _: None)
    return lambda name: found.where if (found := openings.of_environment(name)) else None
