"""The gate to Helm: the program on PATH, else the library of the extra `keyturn[helm]` in a process of its own.

Measured with Helm 4: rendering reaches for no network but for what a chart's schema refers to, which is why Helm gets
charts without schemas, and no way out.  A pull does not compare the archive with the digest in the repository's index.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from generator import process
from generator.charts import FailsError, told
from generator.errors import ToolError
from generator.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.nodes import Plain

RELEASE: Final = "cilium"
Rendering = dict[str, str]
"""What each template has become, without the notes for a person."""

_ASSUMED: Final = "monitoring.coreos.com/v1"  # Cilium's chart renders no monitor without it; only a cluster tells
_PULL: Final = 300.0  # seconds
_LIBRARY: Final = "helm_python"
_CHILD: Final = Path(__file__).with_name("helmchild.py")


@dataclass(frozen=True, slots=True)
class Reference:
    """A chart where it is published."""

    repository: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} from {redact(self.repository)}"

    @property
    def in_registry(self) -> str | None:
        """Its address in an OCI registry, None where it stands in a HelmRepository."""
        return f"{self.repository.rstrip('/')}/{self.name}" if self.repository.startswith("oci://") else None


class Helm(Protocol):
    """One of the two ways to Helm."""

    def render(self, chart: Path, namespace: str, values: Mapping[str, Plain]) -> Rendering:
        """Render a chart's folder.  Raises FailsError where Helm does not, with the chart's own words."""

    def pull(self, reference: Reference, folder: Path) -> Path:
        """Bring a chart's archive from the network into an empty folder, and return it.  Raises ToolError."""

    def close(self) -> None:
        """End what still runs."""


def find(folder: Path) -> Helm:
    """Return the helm on PATH, else the library; `folder` is for what Helm keeps while it runs.

    Raises ToolError where there is neither.
    """
    if program := shutil.which("helm"):
        return Program(program, folder)
    if importlib.util.find_spec(_LIBRARY) is not None:
        return Library(folder)
    raise ToolError("helm is not to be found", hint="pip install 'keyturn[helm]', or put helm on PATH")


@dataclass(frozen=True, slots=True)
class Program:
    """The program `helm`, of version 3 or 4.

    It runs where its user is: a version manager may stand in its place, and look there for which one to take.
    """

    program: str
    folder: Path

    def render(self, chart: Path, namespace: str, values: Mapping[str, Plain]) -> Rendering:
        words = ["--namespace", namespace, "--api-versions", _ASSUMED, "--values", "-"]
        result = process.run(
            [self.program, "template", RELEASE, str(chart), *words],
            cwd=Path.cwd(),
            env=_secluded(os.environ, self.folder),
            stdin=json.dumps(values).encode(),
        )
        if result.code != 0:
            raise FailsError(reason(result.stderr.decode("utf-8", "replace")))
        return _templates(result.stdout.decode("utf-8", "replace"))

    def pull(self, reference: Reference, folder: Path) -> Path:
        address = reference.in_registry
        words = [address] if address else [reference.name, "--repo", reference.repository]
        result = process.run(
            [self.program, "pull", *words, "--version", reference.version, "--destination", str(folder)],
            cwd=Path.cwd(),
            env=_own(os.environ, self.folder),
            seconds=_PULL,
        )
        if result.code != 0:
            raise _not_pulled(reference, reason(result.stderr.decode("utf-8", "replace")))
        return _pulled(reference, folder)

    def close(self) -> None:
        """Nothing runs on."""


@dataclass(slots=True)
class Library:
    """Helm as a library; one process renders all charts, each of which it reads once."""

    folder: Path
    _child: process.Dialogue | None = field(default=None, repr=False)

    def render(self, chart: Path, namespace: str, values: Mapping[str, Plain]) -> Rendering:
        words = {"name": RELEASE, "namespace": namespace, "api_versions": [_ASSUMED]}
        request = {"do": "render", "chart": str(chart), "values": json.dumps(values), "words": words}
        try:
            if self._child is None:
                env = _secluded(os.environ, self.folder)
                self._child = process.Dialogue(_argv(), "helm", cwd=self.folder, env=env)
            answer = json.loads(self._child.ask(_line(request)))
        except ToolError as error:
            raise ToolError(redact(error.message)) from None  # it may quote what the library said at its end
        if "failed" in answer:
            raise FailsError(reason(f"Error: {answer['failed']}"))
        rendering: Rendering = answer["done"]
        return rendering

    def pull(self, reference: Reference, folder: Path) -> Path:
        words = {"version": reference.version, "destination": str(folder)}
        address = reference.in_registry
        words |= {"chart_ref": address} if address else {"chart_ref": reference.name, "repo_url": reference.repository}
        env = _own(os.environ, self.folder)
        request = _line({"do": "pull", "words": words})
        result = process.run(_argv(), cwd=self.folder, env=env, stdin=request, seconds=_PULL)
        if result.code != 0:
            raise _not_pulled(reference, reason(result.stderr.decode("utf-8", "replace")))
        answer: dict[str, Any] = json.loads(result.stdout)
        if "failed" in answer:
            raise _not_pulled(reference, reason(f"Error: {answer['failed']}"))
        return _pulled(reference, folder)

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def _argv() -> list[str]:
    return [sys.executable, "-P", str(_CHILD)]  # -P: the folder of the script holds modules of ours


def _line(request: Mapping[str, object]) -> bytes:
    return json.dumps(request).encode() + b"\n"


def _not_pulled(reference: Reference, why: str) -> ToolError:
    hint = "see cilium.chart and cilium.version, or say --chart"
    return ToolError(f"helm did not pull {reference}: {why}", hint=hint)


def _pulled(reference: Reference, folder: Path) -> Path:
    found = list(folder.glob("*.tgz"))
    if len(found) != 1:
        raise _not_pulled(reference, "there is no .tgz afterwards")
    return found[0]


# Each would change what is rendered or told, or where Helm keeps things.
_FOREIGN: Final = re.compile(r"HELM_(?:NAMESPACE|DEBUG|KUBE.*|DRIVER.*|PLUGINS|.*CACHE|COLOR)|KUBECONFIG")
_NOWHERE: Final = "http://127.0.0.1:1"
# Go's own settings for a program that runs for some milliseconds.  Measured: a fifth less.
_SHORT_RUN: Final = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}


def _own(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables for Helm: it knows its user's registries, and keeps nothing of its own."""
    kept = {name: value for name, value in given.items() if not _FOREIGN.fullmatch(name)}
    return {**_SHORT_RUN, **kept, "HELM_CACHE_HOME": str(folder / "cache"), "HELM_DATA_HOME": str(folder / "data")}


def _secluded(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables for a rendering, which has no business in the network."""
    kept = {name: value for name, value in _own(given, folder).items() if name.lower() != "no_proxy"}
    return {**kept, "HTTP_PROXY": _NOWHERE, "HTTPS_PROXY": _NOWHERE}


_SOURCE: Final = re.compile(r"# Source: (\S+)\n")


def _templates(stream: str) -> Rendering:
    """Return what each template has become, by the comments that Helm begins each document with."""
    found: Rendering = {}
    name = RELEASE
    for document in re.split(r"(?m)^---[ \t]*\n", stream):
        match = _SOURCE.match(document)
        name = match[1] if match else name
        if document.strip():
            found[name] = f"{found[name]}---\n{document}" if name in found else document
    return found


def reason(words: str) -> str:
    """Return Helm's last words on one line: what a template's `fail` says is its user's to read."""
    lines = [line.strip() for line in words.splitlines() if line.strip() and not line.startswith("Use --debug ")]
    starts = [number for number, line in enumerate(lines) if line.startswith("Error: ")] or [-1]
    text = told(" ".join(lines[starts[-1] :]).removeprefix("Error: "))
    return (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...") or "it says nothing"


_LONGEST: Final = 400
