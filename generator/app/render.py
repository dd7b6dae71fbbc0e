"""`keyturn render`: every environment's tree, written where it differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from generator import files, firstkeys, secret, tree, workspace, yamlio
from generator.app import keymaking
from generator.errors import InputError, RefusedError
from generator.findings import Finding, errors, tidy
from generator.keys import algorithm
from generator.render import Renderer

if TYPE_CHECKING:
    from pathlib import Path

    from generator.model import Environment

CLUSTERS: Final = "clusters"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; no names means every environment."""

    keys: keymaking.Options
    names: tuple[str, ...] = ()
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """One folder of `clusters/`: what changed, or would, and how many files did not."""

    name: str
    changes: list[tree.Change]
    unchanged: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did, or with `check` would do.

    `notices` and `details` are for people; `config` is set where `.sops.yaml` is new.
    """

    environments: list[Rendered]
    warnings: list[Finding]
    notices: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    config: tree.Change | None = None

    @property
    def changes(self) -> list[tree.Change]:
        own = [self.config] if self.config else []
        return own + [change for rendered in self.environments for change in rendered.changes]


class InvalidError(InputError):
    """The environments are refused; every finding says why."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = findings


def render(root: Path, options: Options) -> Outcome:
    """Bring `clusters/` to what the environments say, and make the Secrets that are missing.

    Raises InvalidError with every finding before anything is written, RefusedError where a first key or a foreign file
    forbids going on, ToolError where sops fails.
    """
    space = workspace.load(root, options.names)
    if not space.names and not space.findings and not files.folders(root, CLUSTERS):
        raise InputError("there is no environment", hint=f"write {workspace.FOLDER}/<name>.yaml")
    templates, stray = workspace.templates(root)
    plans = []
    findings = space.findings + stray
    if not errors(findings, strict=options.strict):
        renderer = Renderer(templates)
        plans = [_plan(root, environment, renderer) for environment in space.environments]
    if not options.names:
        plans += [_left_over(root, name) for name in files.folders(root, CLUSTERS) if name not in space.names]
    findings = tidy([*findings, *(finding for plan in plans for finding in plan.findings)])
    if errors(findings, strict=options.strict):
        raise InvalidError(findings)
    _refuse_foreign(plans)
    made = keymaking.Made()
    try:
        keymaking.make(root, [one for plan in plans for one in plan.keyless], space.names, options.keys, made)
        outcome = _outcome(plans, made, findings)
        if not options.keys.check:
            leftovers = [path for plan in plans for path in plan.snapshot.leftovers]
            changes = [change for rendered in outcome.environments for change in rendered.changes]
            files.apply(changes, root, leftovers)
    except BaseException as error:
        for notice in made.notices:  # an identity may have been made before things went wrong
            error.add_note(notice)
        raise
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

    @property
    def keyless(self) -> list[Environment]:
        """The environment, in a list of its own, where it needs a first key."""
        environment = self.environment
        return [environment] if environment and environment.encryption.type == "ipsec" and not self.has_secret else []

    def in_the_way(self) -> list[str]:
        wanted = [*self.wanted, *(firstkeys.path(one.name) for one in self.keyless)]
        return self.snapshot.in_the_way(wanted)


def _plan(root: Path, environment: Environment, renderer: Renderer) -> _Plan:
    plan = _Plan(environment.name, files.snapshot(root, f"{CLUSTERS}/{environment.name}"), environment=environment)
    plan.wanted = renderer.tree(environment)
    path = firstkeys.path(environment.name)
    if path in plan.snapshot.foreign:
        plan.has_secret = True
        plan.findings = _secret_findings(root, path, environment)
    return plan


def _secret_findings(root: Path, path: str, environment: Environment) -> list[Finding]:
    data = files.read(root, path, yamlio.MAX_BYTES + 1) or b""
    node, findings = yamlio.read(data, path)
    if environment.encryption.type != "ipsec":
        hint = f"keyturn retire {environment.name} takes it away once no node uses it"
        return [Finding(path, 0, 0, "unused-secret", "warning", "the Secret is kept, and not asked for", hint)]
    if node is None or findings:
        return findings
    wrong = list(secret.check(node, environment))
    return wrong or list(_other_algorithm(node, environment))


def _other_algorithm(node: yamlio.Node, environment: Environment) -> list[Finding]:
    seen = secret.annotation(node, "algorithm"), secret.annotation(node, "key-bits")
    ipsec = environment.encryption.ipsec
    used = algorithm(ipsec.algorithm, ipsec.key_size)
    if seen == (str(used), str(used.key_bits)):
        return []
    message = f"the Secret holds {seen[0] or '?'} with {seen[1] or '?'} bits, not {used} with {used.key_bits}"
    hint = "render never changes a key; say in the environment what the Secret holds"
    return [Finding(node.source, 0, 0, "other-algorithm", "warning", message, hint)]


def _refuse_foreign(plans: list[_Plan]) -> None:
    if blocked := [path for plan in plans for path in plan.in_the_way()]:
        message = f"not written by keyturn: {', '.join(blocked)}"
        raise RefusedError(message, hint="move it away, then render again; nothing was written")


def _left_over(root: Path, name: str) -> _Plan:
    """A folder whose environment is gone: our files go, a Secret stays until it is retired."""
    plan = _Plan(name, files.snapshot(root, f"{CLUSTERS}/{name}"))
    path = firstkeys.path(name)
    if path in plan.snapshot.foreign:
        hint = f"keyturn retire {name} takes it away once the cluster is gone"
        message = f"the Secret is kept, and there is no environments/{name}.yaml"
        plan.findings = [Finding(path, 0, 0, "unused-secret", "warning", message, hint)]
    return plan


def _outcome(plans: list[_Plan], made: keymaking.Made, findings: list[Finding]) -> Outcome:
    rendered = []
    for plan in plans:
        wanted = dict(plan.wanted)
        path = firstkeys.path(plan.name)
        if plan.keyless:
            wanted[path] = made.secrets.get(path, b"")
        changes = tree.changes(plan.snapshot.ours, wanted)
        kept = plan.has_secret and plan.environment is not None
        unchanged = sum(plan.snapshot.ours.get(path) == data for path, data in wanted.items()) + kept
        if plan.environment is not None or changes:
            rendered.append(Rendered(plan.name, changes, unchanged))
    return Outcome(rendered, findings, made.notices, made.details, made.config)
