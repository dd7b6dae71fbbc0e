"""`keyturn verify`: whether a cluster does what git says.  Everything here reads; nothing changes a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import agents, cluster, engines, git, secret, tree, workspace
from generator.app import standing
from generator.app.asking import Samples, ask
from generator.attestation import Verified
from generator.errors import InputError, ToolError
from generator.evidence import Answer
from generator.findings import InvalidError, errors, tidy
from generator.kubectl import LastingError
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from generator.evidence import Answers, Check
    from generator.kubectl import Kubectl
    from generator.model import Environment
    from generator.progress import Step
    from generator.secret import Told

_PACE: Final = 2.0  # seconds between the first two looks
_SLOWER: Final = 1.5  # how much longer each pause is than the one before
_SLOWEST: Final = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Clock:
    """Time: what it is, in UTC; a count of seconds that only grows; and letting some pass."""

    now: Callable[[], datetime]
    seconds: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How a cluster is asked: for how many seconds until all holds, and what is left out.

    `hub` is where Argo CD runs, if that is another cluster; `tell` takes what a person waits for.
    """

    kubectl: Kubectl
    hub: Kubectl | None
    clock: Clock
    wait: float = 0
    secret: bool = True
    agents: bool = True
    tell: Callable[[str], None] = lambda _: None


def verify(root: Path, name: str, options: Options, step: Step) -> Verified:
    """Look at the cluster until all holds, or the time to wait is over.

    Raises InputError where the environment is wrong or its Secret cannot be read, ToolError where the cluster cannot be
    asked at all.
    """
    looking = _Looking(_environment(root, name), root, options, step)
    clock, pace = options.clock, _PACE
    until = clock.seconds() + options.wait
    while True:
        left = until - clock.seconds()
        try:
            done = looking.look(last=left <= 0)
        except LastingError:
            raise
        except ToolError:
            if left <= 0:
                raise
            options.tell("the cluster does not answer; waiting for it")
        else:
            if options.wait:
                looking.tell(done)
            if done.holds or left <= 0 or any(isinstance(one, LastingError) for one in done.unasked):
                return done
        clock.sleep(min(pace, max(left, 0)))
        pace = min(pace * _SLOWER, _SLOWEST)


def _environment(root: Path, name: str) -> Environment:
    space = workspace.load(WorkTree(root), [name])
    if errors(space.findings, strict=False):
        raise InvalidError(tidy(space.findings))
    return space.environments[0]


class _Looking:
    """One environment, looked at as often as it takes."""

    def __init__(self, environment: Environment, root: Path, options: Options, step: Step) -> None:
        self._environment, self._options = environment, options
        ipsec = environment.encryption.type == "ipsec"
        self._told = _told(root, environment.name) if ipsec else None
        self._wanted, self._notes = _history(root, environment)
        namespace = environment.cilium.namespace
        self._samples = Samples(options.kubectl, namespace, options.clock.sleep, ipsec, step)
        self._seen: dict[str, str] | None = None
        self._failing: list[str] = []

    def look(self, *, last: bool) -> Verified:
        """Ask everything once; agents only where all else holds, or nothing comes after: there may be thousands.

        Raises ToolError where nothing could be asked.
        """
        options, environment = self._options, self._environment
        began = options.clock.now()
        questions = cluster.questions(environment, secret=options.secret)
        about_engine = engines.questions(environment)
        answers = ask(options.kubectl, questions if options.hub else questions | about_engine, options.clock.now)
        if options.hub is not None:
            answers |= ask(options.hub, about_engine, options.clock.now)
        failed = [one.failed for one in answers.values() if one.failed is not None]
        if len(failed) == len(answers):
            raise failed[0]
        answers = self._elsewhere(answers)
        checks = [*cluster.checks(environment, self._told, answers), *self._left_out(answers)]
        checks += engines.checks(environment, answers, self._wanted)
        failed = [one.failed for one in answers.values() if one.failed is not None]
        if last or failed or all(one.ok is not False for one in checks):
            checks += self._agents(answers, failed)
        unasked = list({one.message: one for one in failed}.values())
        commit, nodes = self._wanted.commit, cluster.shown(answers)
        ended = options.clock.now()
        return Verified(environment, commit, self._told, checks, nodes, unasked, began, ended, self._notes)

    def _left_out(self, answers: Answers) -> list[Check]:
        if self._told is None or self._options.secret:
            return []
        return [cluster.left_out(self._told, answers["config"].at)]

    def _elsewhere(self, answers: Answers) -> Answers:
        """Say of Applications that are not there why, where the environment's Argo CD runs in another cluster."""
        gitops = self._environment.gitops
        names = engines.questions(self._environment)
        elsewhere = gitops.engine == "argocd" and not gitops.argocd.destination.is_in_cluster
        if self._options.hub is not None or not elsewhere or any(answers[one].objects for one in names):
            return answers
        why = ToolError("Argo CD runs in another cluster, and is not asked", hint="say its context: --hub-context")
        return answers | {one: Answer(answers[one].at, failed=answers[one].failed or why) for one in names}

    def _agents(self, answers: Answers, failed: list[ToolError]) -> list[Check]:
        """Return the checks that take an agent's answer; why they may not be asked is added to `failed`."""
        now = self._options.clock.now
        if not self._options.agents:
            return [agents.left_out(agents.LEFT_OUT, now())]
        try:
            found = self._samples.take()
        except ToolError as error:
            failed.append(error)
            return [agents.left_out("could not be asked", now())]
        nodes = answers.get("ciliumnodes")
        count = len(nodes.objects) if nodes is not None and nodes.failed is None else None
        return list(agents.checks(self._environment, found, count, now()))

    def tell(self, done: Verified) -> None:
        """Tell of each node that has moved since the last look, and what is still waited for."""
        moved = {node for node, value in done.nodes.items() if self._moved(value)}
        if self._seen is None:
            self._options.tell(f"{len(moved):,} of {len(done.nodes):,} nodes show {self._words}")
        else:
            before = sum(self._moved(value) for value in self._seen.values())
            new = sorted(node for node in moved if not self._moved(self._seen.get(node, "")))
            for number, node in enumerate(new, start=before + 1):
                self._options.tell(f"{node} shows {self._words} ({number:,} of {len(done.nodes):,})")
        self._seen = dict(done.nodes)
        if done.failing and done.failing != self._failing:
            self._options.tell(f"waiting for {', '.join(done.failing)}")
        self._failing = done.failing

    def _moved(self, value: str) -> bool:
        return value == str(self._told.key_id) if self._told else bool(value)

    @property
    def _words(self) -> str:
        return f"key {self._told.key_id}" if self._told else "a public key"


def _told(root: Path, name: str) -> Told:
    """Return what git's Secret tells, in clear.  Raises InputError where there is none, or it does not tell."""
    node, findings = standing.read(root, name)
    if node is None or findings:
        if findings:
            raise InvalidError(tidy(findings))
        raise InputError(f"{name} has no Secret yet", hint=f"keyturn render {name}, and bring it to the cluster")
    return secret.told(node)


def _history(root: Path, environment: Environment) -> tuple[engines.Wanted, list[str]]:
    """Return the commit that the engine has to be at or after, and what a person should know about it."""
    repository = git.find(root)
    if repository is None or repository.commit("HEAD") is None:
        return engines.Wanted(None, lambda _: None), ["git has no commit here, so no engine's revision is compared"]
    folder = f"{tree.CLUSTERS}/{environment.name}"
    commit = repository.last_touching(folder)
    notes = [] if commit else [f"git has no commit of {folder}, so no engine's revision is compared"]
    if repository.differs([folder, workspace.FOLDER]):
        notes.append(f"{folder} or {workspace.FOLDER} is not as in HEAD: the cluster is compared with the work tree")
    return engines.Wanted(commit, lambda other: repository.contains(other, commit or other)), notes
