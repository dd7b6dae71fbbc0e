"""`keyturn verify`: whether a cluster does what git says.  Everything here reads; nothing changes a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import agents, cluster, engines, git, tree, workspace
from generator.app import standing
from generator.app.asking import Samples, ask
from generator.attestation import Verified
from generator.errors import InputError, ToolError
from generator.evidence import Answer
from generator.following import Following
from generator.kubectl import LastingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from generator.evidence import Answers, Check
    from generator.kubectl import Kubectl
    from generator.model import Environment
    from generator.progress import Step

_PACE: Final = 2.0  # seconds between the first two looks
_SLOWER: Final = 1.5  # how much longer each pause is than the one before
_SLOWEST: Final = 30.0  # seconds
_LEAST: Final = 10.0  # seconds that a question may take, though the time to wait is over
_MOST: Final = 90.0  # kubectl itself tries again for 10 s where a connection is dropped


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
    looking = _Looking(standing.environment(root, name), root, options, step)
    clock, pace, following = options.clock, _PACE, Following()
    until = clock.seconds() + options.wait
    while True:
        left = until - clock.seconds()
        try:
            done = looking.look(min(max(left, _LEAST), _MOST) if options.wait else _MOST, last=left <= 0)
        except LastingError:
            raise
        except ToolError:
            if left <= 0:
                raise
            options.tell("the cluster does not answer; waiting for it")
        else:
            for line in following.lines(done) if options.wait else ():
                options.tell(line)
            if done.holds or left <= 0 or any(isinstance(one, LastingError) for one in done.unasked):
                return done
        clock.sleep(min(pace, max(left, 0)))
        pace = min(pace * _SLOWER, _SLOWEST)


class _Looking:
    """One environment, looked at as often as it takes."""

    def __init__(self, environment: Environment, root: Path, options: Options, step: Step) -> None:
        """Raises InputError where a hub is named for an engine that has none."""
        if options.hub is not None and environment.gitops.engine != "argocd":
            engine = environment.gitops.engine
            raise InputError(f"--hub-context is for Argo CD, and {environment.name} has engine {engine}")
        self._environment, self._options = environment, options
        ipsec = environment.encryption.type == "ipsec"
        self._told = standing.told(root, environment.name) if ipsec else None
        self._wanted, self._notes = _history(root, environment)
        namespace = environment.cilium.namespace
        self._samples = Samples(options.kubectl, namespace, options.clock.sleep, ipsec, step)

    def look(self, seconds: float, *, last: bool) -> Verified:
        """Ask everything once; agents only where all else holds, or nothing comes after: there may be thousands.

        A question may take some seconds.  Raises ToolError where nothing could be asked.
        """
        environment, now = self._environment, self._options.clock.now
        began = now()
        answers = self._answers(seconds)
        checks = [*cluster.checks(environment, self._told, answers), *self._left_out(answers)]
        checks += engines.checks(environment, answers, self._wanted)
        failed = [one.failed for one in answers.values() if one.failed is not None]
        lasting = any(isinstance(one, LastingError) for one in failed)
        if last or lasting or not (failed or any(one.ok is False for one in checks)):
            checks += self._agents(answers, failed)
        unasked = list({one.message: one for one in failed}.values())
        nodes = cluster.shown(environment, answers)
        return Verified(environment, self._wanted.commit, self._told, checks, nodes, unasked, began, now(), self._notes)

    def _answers(self, seconds: float) -> Answers:
        """Return every answer.  Raises ToolError where there is none."""
        options, environment = self._options, self._environment
        questions = cluster.questions(environment, secret=options.secret)
        about_engine = engines.questions(environment)
        here = questions if options.hub else questions | about_engine
        answers = ask(options.kubectl, here, seconds, options.clock.now)
        if options.hub is not None:
            answers |= ask(options.hub, about_engine, seconds, options.clock.now)
        failed = [one.failed for one in answers.values() if one.failed is not None]
        if len(failed) == len(answers):
            raise failed[0]
        return self._elsewhere(answers)

    def _left_out(self, answers: Answers) -> list[Check]:
        if self._told is None or self._options.secret:
            return []
        return [cluster.left_out(self._told, answers["config"].at)]

    def _elsewhere(self, answers: Answers) -> Answers:
        """Say of Applications that are not there why, where the environment's Argo CD runs in another cluster."""
        names = engines.questions(self._environment)
        elsewhere = engines.is_elsewhere(self._environment)
        if self._options.hub is not None or not elsewhere or any(answers[one].objects for one in names):
            return answers
        why = LastingError("Argo CD runs in another cluster, and is not asked", hint="say its context: --hub-context")
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
        return list(agents.checks(self._environment, found, cluster.shown(self._environment, answers), now()))


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
