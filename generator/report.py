"""Values to text and JSON.  Nothing is printed here."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from generator import ages, tree
from generator.rotation import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from generator.outcome import Adopted, Outcome, Rekeyed, Retired, Rotated, Status, Stood, Turned
    from generator.rules import Rule


def as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def rendered_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "environments": [
            {
                "name": rendered.name,
                **{
                    action: [change.path for change in rendered.changes if change.action == action]
                    for action in ("created", "updated", "removed")
                },
                "unchanged": rendered.unchanged,
            }
            for rendered in outcome.environments
        ],
        "warnings": [finding.as_json() for finding in outcome.warnings],
    }


def rendered_sum(outcome: Outcome, *, check: bool) -> str:
    """Return the closing line, with counts."""
    count = Counter(change.action for change in outcome.changes)
    unchanged = sum(rendered.unchanged for rendered in outcome.environments)
    number = sum(not rendered.gone for rendered in outcome.environments)
    return (
        f"{number} {'environment' if number == 1 else 'environments'}: {count['created']} created, "
        f"{count['updated']} updated, {count['removed']} removed, {unchanged} unchanged"
        f"{' (checked only, nothing written)' if check else ''}"
    )


def rendered_table(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    """Return the header and a row for each environment where anything changed."""
    rows = []
    for rendered in outcome.environments:
        if rendered.changes:
            count = Counter(change.action for change in rendered.changes)
            numbers = [count[action] for action in ("created", "updated", "removed")]
            rows.append([rendered.name, *map(str, (*numbers, rendered.unchanged))])
    return ["environment", "created", "updated", "removed", "unchanged"], rows


def left_to_a_person(outcome: Outcome) -> Iterator[str]:
    """Yield what follows from the changes and no engine does."""
    for change in outcome.changes:
        if change.path.endswith("/argocd-root.yaml") and change.action == "updated":
            yield f"{change.path} changed, and nobody but a person applies it"
        elif change.path.endswith("/argocd-root.yaml") and change.action == "removed":
            yield f"{change.path} is gone, and its Applications work on in Argo CD until somebody deletes them there"


def diff_lines(outcome: Outcome) -> Iterator[str]:
    """Yield a unified diff; of a file that is made in the real run only, its name."""
    for change in outcome.changes:
        if change.after == tree.UNMADE:
            yield f"# {change.path} would be made; its content is chance and ciphertext\n"
        else:
            yield from tree.diff(change)


def retired_json(retired: Retired) -> dict[str, Any]:
    return {"environment": retired.environment, "removed": [retired.change.path], "commit": retired.commit}


def rotated_json(done: Rotated) -> dict[str, Any]:
    return {
        "base": done.base,
        "rotations": [
            {
                "environments": one.environments,
                "mesh": one.mesh,
                "previous_id": one.previous_id,
                "key_id": one.key_id,
                "previous_fingerprint": one.previous_fingerprint,
                "fingerprint": one.fingerprint,
                "created": ages.stamp(one.created) if one.created else None,
                "branch": one.branch,
                "commit": one.commit,
                "pull_request": one.pull_request,
            }
            for one in done.rotations
        ],
        "skipped": [{"environment": one.environment, "reason": one.reason} for one in done.skipped],
    }


def rotated_lines(done: Rotated) -> Iterator[str]:
    """Yield the plan of a dry run, or a line for each key that turned, and for each that waits."""
    yield from done.plan
    for one in () if done.plan else done.rotations:
        who = f"mesh {one.mesh} ({', '.join(one.environments)})" if one.mesh else one.environments[0]
        request = f", {one.pull_request}" if one.pull_request else ""
        where = f"{one.branch} at {one.commit[:12]}" if one.commit else one.branch
        yield f"{who}: IPsec key {one.previous_id} -> {one.key_id} on {where}{request}"
    for skipped in done.waits:
        yield f"{skipped.environment}: skipped, {skipped.reason}"


def rotated_notes(done: Rotated, *, dry_run: bool, pr: bool) -> Iterator[str]:
    """Yield what a person should know beside the answer."""
    if done.note:
        yield done.note
    if dry_run and done.plan:
        thrown = ", and the key is thrown away" if any(one.commit is None for one in done.rotations) else ""
        yield f"a dry run: nothing was written{thrown}"
    elif done.rotations and not pr:
        first = done.rotations[0]
        alone = len(done.rotations) == 1
        named = "" if first.branch.startswith(PREFIX) else f" --branch {first.branch}"
        one = f"keyturn rotate {first.environments[0]}{named} --pr"
        again = one if alone else "push, and open requests; --pr does both"
        yield f"from {done.base_name}; look at it with git show {first.branch}; next: {again}"


def status_json(stood: Stood) -> dict[str, Any]:
    return {"environments": [_status_json(one) for one in stood.environments]}


def _status_json(one: Status) -> dict[str, Any]:
    environment, told = one.environment, one.told
    return {
        "name": environment.name,
        "type": environment.encryption.type,
        "cilium": environment.cilium.version,
        "engine": environment.gitops.engine,
        "mesh": environment.cluster.mesh,
        "key_id": told.key_id if told else None,
        "algorithm": str(told.algorithm) if told else None,
        "fingerprint": told.fingerprint if told else None,
        "created": ages.stamp(told.created) if told else None,
        "due": ages.stamp(one.due) if one.due else None,
        "overdue": one.overdue,
        "branch": one.branch,
    }


def status_table(stood: Stood, now: datetime) -> tuple[list[str], list[list[str]], list[bool]]:
    """Return the header, a row for each environment, and which rows are overdue."""
    rows = []
    for one in stood.environments:
        environment, told = one.environment, one.told
        due = one.due.date().isoformat() if one.due else ""
        rows.append(
            [
                environment.name,
                environment.encryption.type,
                environment.cilium.version,
                environment.gitops.engine,
                str(told.key_id) if told else "none" if environment.encryption.type == "ipsec" else "",
                f"{told.algorithm} {told.algorithm.key_bits}" if told else "",
                ages.words(now - told.created) if told else "",
                f"{due} OVERDUE" if one.overdue else due,
                environment.cluster.mesh or "",
                one.branch or "",
            ]
        )
    header = ["environment", "type", "cilium", "engine", "key", "algorithm", "age", "due", "mesh", "waits on"]
    return header, rows, [one.overdue for one in stood.environments]


def log_json(name: str, turned: list[Turned]) -> dict[str, Any]:
    return {
        "environment": name,
        "rotations": [
            {
                "date": ages.stamp(one.date),
                "key_id": one.key_id,
                "fingerprint": one.fingerprint,
                "author": one.author,
                "commit": one.commit,
                "reason": one.reason,
            }
            for one in turned
        ],
    }


def log_table(turned: list[Turned]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [ages.stamp(one.date), str(one.key_id), one.fingerprint, one.author, one.commit[:12], one.reason]
        for one in turned
    ]
    return ["date", "key", "fingerprint", "author", "commit", "reason"], rows


def adopted_json(adopted: Adopted) -> dict[str, Any]:
    return {
        "environment": adopted.environment,
        "created": [adopted.change.path] if adopted.change else [],
        "key_id": adopted.key_id,
        "fingerprint": adopted.fingerprint,
        "warnings": adopted.warnings,
    }


def rekeyed_json(done: Rekeyed) -> dict[str, Any]:
    return {
        "base": done.base,
        "rewrapped": [
            {
                "environment": one.environment,
                "added": one.added,
                "removed": one.removed,
                "branch": one.branch,
                "commit": one.commit,
                "pull_request": one.pull_request,
            }
            for one in done.rewrapped
        ],
        "skipped": [{"environment": one.environment, "reason": one.reason} for one in done.skipped],
    }


def rekeyed_lines(done: Rekeyed) -> Iterator[str]:
    """Yield a line for each Secret that has other recipients, and for each that needs none."""
    for one in done.rewrapped:
        who = "".join([*(f" +{name}" for name in one.added), *(f" -{name}" for name in one.removed)])
        where = f"{one.branch} at {one.commit[:12]}" if one.commit else one.branch
        yield f"{one.environment}: rewrapped on {where}:{who or ' in other groups'}"
        if one.pull_request:
            yield f"{one.environment}: {one.pull_request}"
    for skipped in done.skipped:
        if not skipped.failed:
            yield f"{skipped.environment}: skipped, {skipped.reason}"


def rules_json(rules: Iterable[Rule]) -> dict[str, Any]:
    return {"rules": [{"rule": one.name, "tier": one.tier, "reason": one.reason} for one in rules]}


def rules_table(rules: Iterable[Rule]) -> tuple[list[str], list[list[str]]]:
    return ["rule", "tier", "reason"], [[one.name, one.tier, one.reason] for one in rules]
