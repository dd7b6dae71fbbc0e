"""Asks a cluster, several questions at a time; what could not be asked is an answer too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from generator import agents as told
from generator.cluster import PODS
from generator.errors import ToolError
from generator.evidence import Answer, Answers, Question
from generator.kubectl import LastingError
from generator.progress import Step, untold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from generator.agents import Agent, Pod
    from generator.evidence import Object
    from generator.kubectl import Kubectl

_AT_ONCE: Final = 8  # kubectls
APART: Final = 5.0  # seconds between two samples of an agent


def ask(kubectl: Kubectl, questions: Mapping[str, Question], seconds: float, now: Callable[[], datetime]) -> Answers:
    """Return the answers, by the names of the questions; each may take some seconds."""

    def answer(question: Question) -> Answer:
        try:
            found = kubectl.get(question, seconds)
        except ToolError as error:
            return Answer(now(), failed=error)
        return Answer(now(), found)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(questions, pool.map(answer, questions.values()), strict=True))


@dataclass
class Samples:
    """What the agents of a cluster tell, one sample after the other; of what they told before, the last is kept.

    `twice` asks each a second time where nothing was asked before: some numbers are judged by their growth.
    """

    kubectl: Kubectl
    namespace: str
    sleep: Callable[[float], None]
    twice: bool
    step: Step = untold
    _before: dict[str, Object] = field(default_factory=dict)

    def take(self) -> list[Agent]:
        """Ask every agent; one that does not answer says why.

        Raises LastingError where they may not be asked, ToolError where the cluster does not tell which there are.
        """
        pods = told.pods(self.kubectl.get(Question("pods", namespace=self.namespace, selector=PODS)))
        before = {pod.name: self._before[pod.name] for pod in pods if pod.name in self._before}
        if self.twice and len(before) < len(pods):
            new = [pod for pod in pods if pod.name not in before]
            before |= {one.pod: one.last for one in self._asked(new) if one.last is not None}
            self.sleep(APART)
        found = self._asked(pods)
        self._before = {one.pod: one.last for one in found if one.last is not None}
        return [replace(one, first=before.get(one.pod)) for one in found]

    def _asked(self, pods: list[Pod]) -> list[Agent]:
        agents = []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for number, agent in enumerate(pool.map(self._ask, pods), start=1):
                agents.append(agent)
                self.step("agents", number, len(pods))
        return agents

    def _ask(self, pod: Pod) -> Agent:
        if pod.phase != "Running":
            return pod.agent(silent=pod.phase or "no phase")
        try:
            return pod.agent(last=self.kubectl.encryption(self.namespace, pod.name))
        except LastingError:
            raise
        except ToolError as error:
            return pod.agent(silent=error.message)
