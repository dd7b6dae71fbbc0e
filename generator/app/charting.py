"""`keyturn validate` with a chart: does it know the values, and does its rendering do what the environment asks for."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from generator import chartfiles, charts, cilium, helm
from generator.errors import InputError
from generator.helm import Reference
from generator.view import finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from generator.chartfiles import Chart
    from generator.findings import Finding
    from generator.model import Environment
    from generator.nodes import Node, Plain

    Tell = Callable[[str], None]


class Charts:
    """The chart of each environment, for as long as the context lasts; what it unpacks is gone afterwards.

    `tell` gets lines for stderr, each once.
    """

    def __init__(self, given: Path | None, cache: Path | None, tell: Tell) -> None:
        """Give one chart for all environments, or the folder that keeps those that are pulled."""
        self._given, self._cache, self._tell = given, cache, tell
        self._stack = contextlib.ExitStack()
        self._folder = Path()
        self._charts: dict[Reference | None, Chart] = {}
        self._helm: helm.Helm | None = None
        self._told: set[str] = set()

    @classmethod
    def given(cls, path: Path, tell: Tell) -> Charts:
        """One chart, a folder or a .tgz, for every environment.  Entering raises InputError where it is none."""
        return cls(path, None, tell)

    @classmethod
    def pulled(cls, cache: Path, tell: Tell) -> Charts:
        """The chart that each environment names, from `cache` or else from where it is published."""
        return cls(None, cache, tell)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyturn-"))).resolve()
            if self._given is not None:
                self._charts[None] = self._opened(self._given)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def check(self, environment: Environment) -> Iterator[Finding]:
        """Yield what the environment's chart says against it.

        Raises InputError where a chart is none, ToolError where Helm is missing or fails to pull.
        """
        chart = self._chart(environment)
        wanted = environment.cilium.version
        if chart.version is not None and chart.version != wanted:
            other = charts.other_minor(chart.version, wanted)
            what = "and is not checked against it" if other else "and is checked against it all the same"
            message = f"Cilium {wanted} is not the chart's version, which is {charts.told(chart.version)}, {what}"
            hint = "give the chart of that version, or --pull-chart"
            yield finding(environment, "chart-version", "warning", ("cilium.version", message, hint))
            if other:
                return
        values = cilium.helm_values(environment)
        wrong = chart.schema.problems(values) if chart.schema else []
        for problem in wrong:
            place = _place(environment, problem.place)
            yield place.finding("chart-schema", problem.message, problem.hint)
        for problem in charts.unknown(values, chart.keys) if chart.keys is not None else ():
            place = _place(environment, problem.place)
            yield place.finding("chart-value", problem.message, problem.hint, key=True)
        if chart.missing:
            self._say(chart.missing)
        elif not wrong:  # Helm would say the same again
            yield from self._rendered(environment, chart, values)

    def _rendered(self, environment: Environment, chart: Chart, values: dict[str, Plain]) -> Iterator[Finding]:
        namespace, place = environment.cilium.namespace, environment.place("cilium.values")
        try:
            first, second = (self._found_helm().render(chart.folder, namespace, values) for _ in range(2))
            config = charts.config(first)
        except charts.FailsError as error:
            yield place.finding("chart-fails", f"the chart does not render: {error}")
            return
        if differing := charts.differing(first, second):
            yield _differs(environment, differing)
        if config is None:
            hint = "is that Cilium's chart, with the agent in it?"
            yield place.finding("chart-intent", f"the chart renders no ConfigMap {charts.CONFIG}", hint)
            return
        for one in cilium.contradictions(config, cilium.expected_config(environment)):
            place = environment.place(_SAID_BY.get(one.name, "encryption.strictMode"))
            yield place.finding("chart-intent", _contradicted(one), "see what this chart makes of encryption")

    def _found_helm(self) -> helm.Helm:
        if self._helm is None:
            self._helm = helm.find(self._folder)
            self._stack.callback(self._helm.close)
        return self._helm

    def _chart(self, environment: Environment) -> Chart:
        if self._cache is None:
            return self._charts[None]
        asked = environment.cilium
        reference = Reference(asked.chart.repository, asked.chart.name, asked.version)
        if reference not in self._charts:
            data = self._archive(reference, chartfiles.Cache(self._cache))
            self._charts[reference] = self._read(data, str(reference))
        return self._charts[reference]

    def _archive(self, reference: Reference, cache: chartfiles.Cache) -> bytes:
        data = cache.get(reference)
        if data is None:
            self._say(f"pulling {reference}")
            folder = self._new()
            folder.mkdir()
            data = chartfiles.archive(self._found_helm().pull(reference, folder), str(reference))
            cache.keep(reference, data)
        return data

    def _opened(self, path: Path) -> Chart:
        shown = charts.told(str(path))
        if path.is_dir():
            chart = chartfiles.read(path, shown)
            return chart if chart.missing else chartfiles.alone(chart, self._new())
        if not path.is_file():
            raise InputError(f"{shown} is no chart: there is no such file", hint=chartfiles.GIVE)
        return self._read(chartfiles.archive(path, shown), shown)

    def _read(self, data: bytes, shown: str) -> Chart:
        """Unpack an archive and read the chart in it."""
        chart = chartfiles.read(chartfiles.unpack(data, self._new(), shown), shown)
        return chart if chart.missing else chartfiles.alone(chart, self._new())

    def _new(self) -> Path:
        """Return the path of a folder that is not there yet."""
        return Path(tempfile.mkdtemp(dir=self._folder)) / "chart"

    def _say(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


# Where an entry of cilium-config is decided; that of the others is strict mode.
_SAID_BY: Final = {
    "enable-ipsec": "encryption.type",
    "enable-wireguard": "encryption.type",
    "encrypt-node": "encryption.nodeEncryption",
    "ipsec-key-file": "encryption.ipsec",
    "enable-ipsec-key-watcher": "encryption.ipsec",
    "ipsec-key-rotation-duration": "encryption.ipsec.keyRotationDuration",
}


def _contradicted(one: cilium.Contradiction) -> str:
    says = f"says {one.name}: {charts.told(one.seen)}" if one.seen is not None else f"has no {one.name}"
    asks = f"asks for {one.wanted}" if one.wanted is not None else "does not ask for it"
    return f"{charts.CONFIG} {says}, and the environment {asks}"


def _differs(environment: Environment, templates: list[str]) -> Finding:
    """Certificates that Helm makes while it renders are the one thing in Cilium's chart that does that."""
    mesh = any("/clustermesh" in one for one in templates) and not any("/hubble" in one for one in templates)
    method = "clustermesh.apiserver.tls.auto.method" if mesh else "hubble.tls.auto.method"
    hint = f"set {method} to cronJob or certmanager{'' if mesh else ', or turn Hubble off'}"
    message = f"{charts.told(templates[0])} differs at every rendering"
    return environment.place(f"cilium.values.{method}").finding("chart-differs", message, hint)


def _place(environment: Environment, keys: charts.Place) -> Node:
    """Return the node that a Helm value was written as; of what we write ourselves, the nearest thing it comes from."""
    written = [environment.cilium.values]
    for key in keys:
        below = _below(written[-1], key)
        if below is None:
            break
        written.append(below)
    if len(written) <= len(keys) and keys[0] in ("encryption", "cluster"):
        return environment.place(".".join(map(str, keys)))
    return written[-1] if len(written) > 1 else environment.place("cilium.values")


def _below(node: Node, key: str | int) -> Node | None:
    value = node.value
    if isinstance(key, str):
        return value.get(key) if isinstance(value, dict) else None
    return value[key] if isinstance(value, list) and key < len(value) else None
