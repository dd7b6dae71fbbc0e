"""What Flux or Argo CD has to show: each of its objects ready, at a revision that holds what git says.  No I/O.

Sources: Flux's API (kustomize.toolkit.fluxcd.io/v1, helm.toolkit.fluxcd.io/v2), Argo CD's Application status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import render
from generator.evidence import Check, Question, dig, items, number, text
from generator.redaction import redact_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from generator.evidence import Answer, Answers, Object
    from generator.model import Environment

_COMMIT: Final = re.compile(r"(?:.*[@/:])?([0-9a-f]{40}|[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The commit that an engine has to be at, or after; None where git has none.

    `holds` tells whether another commit is that one or comes after it, None where this clone does not have the other.
    """

    commit: str | None
    holds: Callable[[str], bool | None]


def questions(environment: Environment) -> dict[str, Question]:
    """Return what is asked about the engine's objects, by the names of their checks."""
    gitops, name = environment.gitops, environment.name
    parts = [part for part in ("secrets", "cilium", "demo") if _is_rendered(environment, part)]
    if gitops.engine == "flux":
        kind, namespace = "kustomizations.kustomize.toolkit.fluxcd.io", gitops.flux.namespace
        asked = {f"kustomization/{name}-{part}": Question(kind, f"{name}-{part}", namespace) for part in parts}
        release = Question("helmreleases.helm.toolkit.fluxcd.io", "cilium", environment.cilium.namespace)
        return {**asked, "helmrelease/cilium": release}
    if gitops.engine == "argocd":
        kind, namespace = "applications.argoproj.io", gitops.argocd.namespace
        return {f"application/{name}-{part}": Question(kind, f"{name}-{part}", namespace) for part in ("root", *parts)}
    return {}


def is_elsewhere(environment: Environment) -> bool:
    """Whether the engine runs in another cluster, a hub: Argo CD alone can."""
    gitops = environment.gitops
    return gitops.engine == "argocd" and not gitops.argocd.destination.is_in_cluster


def _is_rendered(environment: Environment, part: str) -> bool:
    wanted = render.FILES.get(f"{environment.gitops.engine}/{part}.yaml")
    return wanted is not None and wanted(environment)


def checks(environment: Environment, answers: Answers, wanted: Wanted) -> Iterator[Check]:
    """Yield a check for each of the engine's objects that was asked for."""
    for name in questions(environment):
        yield _check(environment, name, answers[name], wanted)


def _check(environment: Environment, name: str, answer: Answer, wanted: Wanted) -> Check:
    kind = name.partition("/")[0]
    version = environment.cilium.version
    expected = {
        "kustomization": f"ready, at {_named(wanted)}",
        "helmrelease": f"ready, chart {version}",
        "application": f"synced and healthy, at {_named(wanted)}",
    }[kind]
    if answer.failed is not None:
        return Check(name, None, "could not be asked", expected, answer.at)
    if not answer.objects:
        return Check(name, ok=False, seen="it is not there", expected=expected, at=answer.at)
    found = answer.objects[0]
    if kind == "kustomization":
        ok, seen = _joined(_ready(found), _revision([text(found, "status", "lastAppliedRevision")], wanted))
    elif kind == "helmrelease":
        ok, seen = _joined(_ready(found), _chart(found, version))
    else:
        revisions = [text(found, "status", "sync", "revision"), *items(found, "status", "sync", "revisions")]
        ok, seen = _joined(_synced(found), _revision([one for one in revisions if isinstance(one, str)], wanted))
    return Check(name, ok, seen, expected, answer.at)


def _named(wanted: Wanted) -> str:
    return f"{wanted.commit[:12]} or later" if wanted.commit else "any commit, since git has none of it"


Verdict = tuple[bool, str]


def _joined(*verdicts: Verdict) -> Verdict:
    return all(ok for ok, _ in verdicts), ", ".join(words for _, words in verdicts if words)


def _ready(found: Object) -> Verdict:
    """Judge the condition Ready, of the newest generation; a suspended object is as it was, whatever it says."""
    if dig(found, "spec", "suspend") is True:
        return False, "suspended"
    if number(found, "status", "observedGeneration") < number(found, "metadata", "generation"):
        return False, "a change that is not looked at yet"
    for one in items(found, "status", "conditions"):
        if text(one, "type") == "Ready":
            ready = text(one, "status") == "True"
            return ready, "ready" if ready else f"not ready: {_told(text(one, 'message') or text(one, 'reason'))}"
    return False, "not ready yet"


_LONGEST: Final = 200


def _told(message: str) -> str:
    """Return an engine's words on one line; they may quote what it could not apply."""
    line = redact_keys(" ".join(message.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _chart(found: Object, version: str) -> Verdict:
    """Judge the chart's version that Helm installed last; one that is ready and does not tell is right by that."""
    history = items(found, "status", "history")
    seen = text(history[0], "chartVersion") if history else ""
    return not seen or seen.partition("+")[0] == version, f"chart {seen}" if seen else ""


def _synced(found: Object) -> Verdict:
    sync, health = text(found, "status", "sync", "status"), text(found, "status", "health", "status")
    seen = f"{sync or 'never synced'}, {health or 'health unknown'}"
    if (sync, health) == ("Synced", "Healthy"):
        return True, seen
    failed = text(found, "status", "operationState", "phase") in ("Error", "Failed")
    message = text(found, "status", "operationState", "message") if failed else ""
    return False, f"{seen}: {_told(message)}" if message else seen


def _revision(revisions: list[str], wanted: Wanted) -> Verdict:
    """Judge whether what was applied last contains the wanted commit."""
    commits = [match[1] for one in revisions if (match := _COMMIT.fullmatch(one))]
    if not commits:
        return wanted.commit is None, "at no commit" if wanted.commit else ""
    if wanted.commit is None:
        return True, f"at {commits[-1][:12]}"
    held = wanted.holds(commits[-1])
    if held is None:
        return False, f"at {commits[-1][:12]}, which this clone does not have: git fetch"
    return held, f"at {commits[-1][:12]}{'' if held else ', which is before it'}"
