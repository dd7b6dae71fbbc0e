"""The gate to kubectl, which only ever asks: `get`, and one command inside an agent."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from generator import process
from generator.errors import ToolError, UnansweredError
from generator.evidence import items, text
from generator.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.evidence import Object, Question


class LastingError(ToolError):
    """kubectl knows no such cluster, or this user may not ask that: waiting changes nothing."""


_LIMIT: Final = 90.0  # seconds for a question; kubectl itself tries again for 10 s where a connection is dropped
_REQUEST: Final = 30.0  # seconds for one request; a long list is several
_AGENT: Final = "cilium-agent"  # the container
NODES: Final = "node-encryption"  # an entry of EncryptionStatus
_PROGRAMS: Final = ("cilium-dbg", "cilium")  # what the agent's own client is called, from 1.15 and before


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The program, and which cluster it speaks with; None: what it takes by itself.

    `patience` is how many seconds an agent may take.
    """

    program: str
    kubeconfig: Path | None = None
    context: str | None = None
    patience: float = 30

    def get(self, question: Question, seconds: float = _LIMIT) -> list[Object]:
        """Return what there is, of each object what the question keeps; nothing where there is no such kind either.

        Raises LastingError where it may not be asked, ToolError where the cluster does not answer within `seconds`.
        """
        words = ["get", question.resource, *([question.name] if question.name else []), "-o", "json"]
        words += ["-n", question.namespace] if question.namespace else []
        words += ["-l", question.selector] if question.selector else []
        result = self._asked(*words, seconds=seconds)
        if result.code != 0 and _EXPIRED.search(result.stderr):  # a long list has changed between two of its pieces
            result = self._asked(*words, "--chunk-size=0", seconds=seconds)
        start = f"{question} cannot be asked for: "
        if result.code != 0:
            if _MISSING.search(result.stderr):
                return []
            if _NO_KIND.search(result.stderr):
                self._refuse_undiscovered(question.resource.partition(".")[2], start, seconds)
                return []
            raise _failure(result, start)
        try:
            return [question.kept(one) for one in _objects(result.stdout)]
        except (ValueError, RecursionError):
            raise ToolError(f"what kubectl answers about {question} is no JSON") from None

    def _asked(self, *words: str, seconds: float) -> process.Result:
        """Ask, with a limit for each request, since what kubectl then says tells more than that it was ended."""
        return self._run(*words, f"--request-timeout={min(_REQUEST, seconds):g}s", seconds=seconds + 1)

    def _refuse_undiscovered(self, group: str, start: str, seconds: float) -> None:
        """Raise ToolError where the cluster does not tell a group's kinds: kubectl says then that there are none."""
        result = self._asked("get", "--raw", f"/apis/{group}", seconds=seconds)
        if result.code == 0:
            versions = items(_parsed(result.stdout), "versions")
            results = [
                self._asked("get", "--raw", f"/apis/{text(one, 'groupVersion')}", seconds=seconds) for one in versions
            ]
            result = next((one for one in results if one.code != 0), result)
        if result.code != 0 and not _MISSING.search(result.stderr):
            raise _failure(result, start)

    def encryption(self, namespace: str, pod: str) -> Object:
        """Return what an agent tells of its encryption, in the words of Cilium's API model EncryptionStatus.

        No version's `encrypt status` tells of node encryption, so an agent by WireGuard is asked for its whole status
        too.  Raises LastingError where one may not ask, ToolError, with the reason, where it does not answer.
        """
        found = self._agent(namespace, pod, "encrypt", "status")
        wireguard = found.get("wireguard")
        if isinstance(wireguard, dict) and text(found, "mode") == "Wireguard" and not wireguard.get(NODES):
            wireguard[NODES] = self._node_encryption(namespace, pod)
        return found

    def _node_encryption(self, namespace: str, pod: str) -> str:
        """Return an agent's word for whether it encrypts between nodes, empty where it has none."""
        try:
            return text(self._agent(namespace, pod, "status"), "encryption", "wireguard", NODES)
        except LastingError:
            raise
        except ToolError:  # it has answered before; what is not told is judged as off
            return ""

    def _agent(self, namespace: str, pod: str, *command: str) -> Object:
        """Run a command of the agent's own client, by the name that it has there, and return its answer."""
        failed: list[ToolError] = []
        for program in _PROGRAMS:
            words = ("exec", "-n", namespace, pod, "-c", _AGENT, "--", program, *command, "-o", "json")
            result = self._run(*words, seconds=self.patience)
            if result.code == 0:
                found = _parsed(result.stdout)
                if not isinstance(found, dict):
                    raise ToolError("what it answers is no JSON")
                return found
            failed.append(_failure(result))
            if not _NO_PROGRAM.search(result.stderr):
                raise failed[-1]
        raise failed[0]

    def versions(self) -> tuple[str, str]:
        """Return kubectl's own version and the cluster's, each empty where it is not told."""
        try:
            told = _parsed(self._asked("version", "-o", "json", seconds=_REQUEST).stdout)
        except ToolError:
            return "", ""
        return text(told, "clientVersion", "gitVersion"), text(told, "serverVersion", "gitVersion")

    def where(self) -> str:
        """Return the context that is asked, empty where kubectl names none."""
        if self.context is not None:
            return self.context
        result = self._run("config", "current-context")
        return result.stdout.decode("utf-8", "replace").strip() if result.code == 0 else ""

    def _run(self, *words: str, seconds: float = _LIMIT) -> process.Result:
        which = [] if self.kubeconfig is None else ["--kubeconfig", str(self.kubeconfig)]
        which += [] if self.context is None else ["--context", self.context]
        env = {**os.environ, "LC_ALL": "C"}  # its words are read
        try:
            return process.run([self.program, *which, *words], cwd=Path.cwd(), env=env, seconds=seconds)
        except UnansweredError:
            raise UnansweredError(f"kubectl {words[0]} did not answer within {seconds:g} s") from None


def find(kubeconfig: Path | None, context: str | None) -> Kubectl:
    """Return the kubectl on PATH.  Raises ToolError where there is none."""
    program = shutil.which("kubectl")
    if program is None:
        raise ToolError("kubectl is not to be found", hint="put it on PATH")
    return Kubectl(program, kubeconfig, context)


_MISSING: Final = re.compile(rb"^Error from server \(NotFound\)", re.MULTILINE)
_NO_KIND: Final = re.compile(rb"^error: the server doesn't have a resource type", re.MULTILINE)
_EXPIRED: Final = re.compile(rb"^Error from server \((?:Expired|Gone)\)", re.MULTILINE)
_NO_PROGRAM: Final = re.compile(rb'executable file not found|exec: "[^"]+": [^\n]*no such file or directory')
_FORBIDDEN: Final = re.compile(
    r'(?:User "(?P<who>[^"]*)" )?cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)" '
    r'(?:in the namespace "(?P<namespace>[^"]+)"|at the cluster scope)'
)
_NO_CLUSTER: Final = re.compile(
    r"Error in configuration|error: (?:context|error loading|stat|no context|You must be logged in|exec plugin)"
)
_NO_CONFIG: Final = "localhost:8080"  # where kubectl looks if nothing tells it of a cluster
_RIGHTS: Final = "keyturn engine rbac prints the rights that are needed"


def _failure(result: process.Result, start: str = "") -> ToolError:
    """Say why kubectl got no answer, by the line that says it; the lines of its own log come before."""
    lines = [line.strip() for line in result.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if not _LOGGED.match(line)] or lines[-1:] or [f"exit {result.code}"]
    line = redact(told[0])
    bare = re.sub(r"^(?:error: |Error from server )", "", line).rstrip(".")
    if match := _FORBIDDEN.search(line):
        resource = ".".join(part for part in (match["resource"], match["group"]) if part)
        where = f"in namespace {match['namespace']}" if match["namespace"] else "in the whole cluster"
        return LastingError(f"{match['who'] or 'you'} may not {match['verb']} {resource} {where}", hint=_RIGHTS)
    if "(Forbidden)" in line:
        return LastingError(f"{start}forbidden{bare.removeprefix('(Forbidden)')}", hint=_RIGHTS)
    if _NO_CLUSTER.match(line):
        return LastingError(f"kubectl: {bare}", hint="see kubectl config get-contexts")
    hint = "say --kubeconfig or --context: kubectl knows of no cluster" if _NO_CONFIG in line else ""
    return ToolError(f"{start}{bare}", hint=hint)


_LOGGED: Final = re.compile(r"[IWEF][0-9]{4} [0-9:.]+ +[0-9]+ |Warning: ")


_DECODER: Final = json.JSONDecoder()
_LIST: Final = re.compile(r'\{\s*"apiVersion": "v1",\s*"items": \[')  # how kubectl begins a list
_BETWEEN: Final = re.compile(r"[\s,]*")


def _parsed(output: bytes) -> object:
    """Return what a program printed as JSON, None where it is none."""
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        return None


def _objects(output: bytes) -> Iterator[Object]:
    """Yield the objects that kubectl printed, of a list one after the other, so that they need not all be kept.

    Raises ValueError where it is no JSON, or none of Kubernetes.
    """
    words = output.decode("utf-8")
    start = _LIST.match(words)
    if start is None:
        one = json.loads(words)
        if not isinstance(one, dict):
            raise ValueError("no object")
        yield from one["items"] if isinstance(one.get("items"), list) else [one]
        return
    at = _after(words, start.end())
    while words[at : at + 1] != "]":
        one, at = _DECODER.raw_decode(words, at)
        yield one
        at = _after(words, at)


def _after(words: str, at: int) -> int:
    """Return where the next object of a list begins, or its end."""
    between = _BETWEEN.match(words, at)
    assert between is not None  # noqa: S101 -- it matches nothing too
    return between.end()
