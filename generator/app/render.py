"""`keyturn render`: every environment's tree, written where it differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator import files, firstkeys, fitting, templating, tree, workspace
from generator.app import keymaking, meshkeys, recipients, standing
from generator.errors import InputError, RefusedError
from generator.findings import Finding, InvalidError, errors, tidy
from generator.outcome import Outcome, Rendered
from generator.render import Renderer
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path

    from generator.model import Environment
    from generator.nodes import Node


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; no names means every environment, `check` that nothing is written."""

    keys: keymaking.Options
    names: tuple[str, ...] = ()
    check: bool = False
    strict: bool = False


def render(root: Path, options: Options) -> Outcome:
    """Bring `clusters/` to what the environments say, and make the Secrets that are missing.

    Raises InvalidError with every finding before anything is written, RefusedError where a first key or a foreign file
    forbids going on, ToolError where sops fails.
    """
    space = workspace.load(WorkTree(root), options.names)
    if together := meshkeys.without_key(root, space):
        for name in together:
            options.keys.newcomer.tell(f"{name} is rendered too: the members of a mesh get their first key together")
        space = workspace.load(WorkTree(root), (*options.names, *together))
    if not space.names and not space.findings and not files.folders(root, tree.CLUSTERS):
        raise InputError("there is no environment", hint=f"write {workspace.FOLDER}/<name>.yaml")
    templates, stray = templating.load(WorkTree(root))
    plans: list[_Plan] = []
    findings = space.findings + stray
    if not errors(findings, strict=options.strict):
        renderer = Renderer(templates)
        for number, environment in enumerate(space.environments):
            options.keys.step("rendering", number, len(space.environments))
            plans.append(_plan(root, environment, renderer))
    if not options.names:
        plans += [_left_over(root, name) for name in files.folders(root, tree.CLUSTERS) if name not in space.names]
    findings = tidy([*findings, *(finding for plan in plans for finding in plan.findings)])
    if errors(findings, strict=options.strict):
        raise InvalidError(findings)
    _refuse_foreign(plans)
    holders = meshkeys.holders(root, space, {plan.name: plan.secret for plan in plans if plan.secret})
    keyless = keymaking.Keyless([one for plan in plans for one in plan.keyless], space.names, holders)
    findings = tidy([*findings, *meshkeys.unfit(keyless.environments, holders)])
    if errors(findings, strict=options.strict):
        raise InvalidError(findings)
    made = keymaking.make(root, keyless, options.keys, check=options.check)
    outcome = _outcome(plans, made, findings)
    if not options.check:
        changes = [change for rendered in outcome.environments for change in rendered.changes]
        leftovers = [path for plan in plans for path in plan.snapshot.leftovers]
        files.apply(changes, root, leftovers, options.keys.step)
        recipients.sweep(root)
    return outcome


@dataclass(slots=True)
class _Plan:
    """One folder of the tree: what stands there and what should."""

    name: str
    snapshot: files.Snapshot
    wanted: dict[str, bytes] = field(default_factory=dict)
    environment: Environment | None = None
    findings: list[Finding] = field(default_factory=list)
    has_secret: bool = False
    secret: Node | None = None

    @property
    def keyless(self) -> list[Environment]:
        """The environment, in a list of its own, where it needs a first key."""
        environment = self.environment
        return [environment] if environment and environment.encryption.type == "ipsec" and not self.has_secret else []

    def in_the_way(self) -> list[str]:
        wanted = [*self.wanted, *(firstkeys.path(one.name) for one in self.keyless)]
        return self.snapshot.in_the_way(wanted)


def _plan(root: Path, environment: Environment, renderer: Renderer) -> _Plan:
    plan = _Plan(environment.name, files.snapshot(root, f"{tree.CLUSTERS}/{environment.name}"), environment=environment)
    plan.wanted = renderer.tree(environment)
    path = firstkeys.path(environment.name)
    if path in plan.snapshot.foreign:
        plan.has_secret = True
        plan.secret, findings = standing.read(root, environment.name)
        plan.findings = findings or list(fitting.judge(plan.secret, environment))
    return plan


def _refuse_foreign(plans: list[_Plan]) -> None:
    if blocked := {path for plan in plans for path in plan.in_the_way()}:
        message = f"not written by keyturn: {', '.join(sorted(blocked))}"
        raise RefusedError(message, hint="move it away, then render again; nothing was written")


def _left_over(root: Path, name: str) -> _Plan:
    """A folder whose environment is gone: our files go, a Secret stays until it is retired."""
    plan = _Plan(name, files.snapshot(root, f"{tree.CLUSTERS}/{name}"))
    path = firstkeys.path(name)
    if path in plan.snapshot.foreign:
        plan.findings = standing.read(root, name)[1]
        hint = f"keyturn retire {name} takes it away once the cluster is gone"
        message = f"the Secret is kept, and there is no environments/{name}.yaml"
        plan.findings.append(Finding(path, 0, 0, "unused-secret", "warning", message, hint))
    return plan


def _outcome(plans: list[_Plan], made: keymaking.Made, findings: list[Finding]) -> Outcome:
    rendered = []
    for plan in plans:
        wanted = dict(plan.wanted)
        path = firstkeys.path(plan.name)
        if plan.keyless:
            wanted[path] = made.secrets[path]
        changes = tree.changes(plan.snapshot.ours, wanted)
        kept = plan.has_secret and plan.environment is not None
        unchanged = sum(plan.snapshot.ours.get(path) == data for path, data in wanted.items()) + kept
        if plan.environment is not None or changes:
            rendered.append(Rendered(plan.name, changes, unchanged, plan.environment is None))
    return Outcome(rendered, findings, made.config)
