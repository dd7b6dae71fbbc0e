"""Environment and templates in, tree out.  No I/O, no clock, no randomness."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jinja2
import jinja2.sandbox

from generator import cilium, secret, tree
from generator.emit import emit, scalar
from generator.errors import InputError
from generator.model import Environment, Gitops
from generator.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

Wanted = Callable[[Environment], bool]


def _always(_: Environment) -> bool:
    return True


def _flux(environment: Environment) -> bool:
    return environment.gitops.engine == "flux"


def _argocd(environment: Environment) -> bool:
    return environment.gitops.engine == "argocd"


def _ksops(environment: Environment) -> bool:
    return _argocd(environment) and _ipsec(environment) and environment.gitops.argocd.secrets == "ksops"


def _ipsec(environment: Environment) -> bool:
    return environment.encryption.type == "ipsec"


def _demo(environment: Environment) -> bool:
    return environment.demo.endor or environment.demo.ping


def _oci(environment: Environment) -> bool:
    return environment.cilium.chart.repository.startswith("oci://")


FILES: Final[dict[str, Wanted]] = {
    "kind.yaml": lambda environment: environment.kind is not None,
    "bootstrap.sh": _always,
    "cilium/values.yaml": _always,
    "cilium/kustomization.yaml": _flux,
    "cilium/kustomizeconfig.yaml": _flux,
    "cilium/helmrepository.yaml": lambda environment: _flux(environment) and not _oci(environment),
    "cilium/ocirepository.yaml": lambda environment: _flux(environment) and _oci(environment),
    "cilium/helmrelease.yaml": _flux,
    "secrets/kustomization.yaml": _ipsec,
    "secrets/ksops.yaml": _ksops,
    "demo/endor.yaml": lambda environment: environment.demo.endor,
    "demo/ping.yaml": lambda environment: environment.demo.ping,
    "demo/kustomization.yaml": _demo,
    "flux/secrets.yaml": lambda environment: _flux(environment) and _ipsec(environment),
    "flux/cilium.yaml": _flux,
    "flux/demo.yaml": lambda environment: _flux(environment) and _demo(environment),
    "argocd-root.yaml": _argocd,
    "argocd/secrets.yaml": _ksops,
    "argocd/cilium.yaml": _argocd,
    "argocd/demo.yaml": lambda environment: _argocd(environment) and _demo(environment),
}
"""The tree of one environment, and when each file stands in it; the template is the path with `.j2` behind it."""

ENGINES: Final = ("engine/argocd.yaml", "engine/flux.yaml", "engine/rbac.yaml")
"""What `keyturn engine` prints: what an engine needs before it can apply a tree, and `keyturn verify` to look at it."""

SUFFIX: Final = ".j2"


@dataclass(frozen=True, slots=True)
class Template:
    """A template's text and the file it came from, for messages."""

    text: str
    path: str


class Renderer:
    """Compiled templates; make it once and render every environment with it."""

    def __init__(self, templates: Mapping[str, Template]) -> None:
        self._jinja = jinja2.sandbox.ImmutableSandboxedEnvironment(
            loader=jinja2.FunctionLoader(lambda name: _source(templates, name)),
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._jinja.filters["yaml"] = scalar
        self._jinja.filters["sh"] = shlex.quote
        self._paths = {template.path for template in templates.values()}
        self._compiled: dict[str, jinja2.Template] = {}

    def tree(self, environment: Environment) -> dict[str, bytes]:
        """Return path -> content of everything rendered for one environment, the Secret not among it.

        Paths are relative to the root.  Raises InputError, with template and line, where a template fails.
        """
        values = context(environment)
        header = tree.header(environment.name)
        hint = f"it failed for environment {environment.name}"
        return {
            f"clusters/{environment.name}/{path}": (header + self._text(path, values, hint)).encode()
            for path, wanted in FILES.items()
            if wanted(environment)
        }

    def engine(self, path: str, environment: Environment | None, more: Mapping[str, object] | None = None) -> str:
        """Return one of `ENGINES`, with the names that an environment uses, else the defaults, and `more` values."""
        if environment is None:
            return self._text(path, {**_engines(Gitops()), "ksops": True, "argument": "", **(more or {})}, "")
        argument = f" {environment.name}"
        values = {**context(environment), "argument": argument, **(more or {})}
        return self._text(path, values, f"it failed for{argument}")

    def _text(self, path: str, values: Mapping[str, object], hint: str) -> str:
        try:
            return self._filled(path + SUFFIX, values)
        except jinja2.TemplateSyntaxError as error:
            raise InputError(f"{error.filename or error.name}:{error.lineno}: {error.message}") from None
        except _TEMPLATE_ERRORS as error:
            place = self._place(error.__traceback__) or f"templates/{path}{SUFFIX}"
            what = (
                f"no template {error.name}"
                if isinstance(error, jinja2.TemplateNotFound)
                else str(error) or type(error).__name__
            )
            raise InputError(f"{place}: {redact(what.rstrip('.'))}", hint=hint) from None

    def _filled(self, name: str, values: Mapping[str, object]) -> str:
        """Fill a template by Jinja's low-level call: `render` copies all values, which costs as much as the filling."""
        template = self._compiled.get(name)
        if template is None:
            template = self._compiled[name] = self._jinja.get_template(name)
            template.globals = dict(template.globals)
        try:
            return "".join(template.root_render_func(template.new_context({**template.globals, **values}, shared=True)))
        except _TEMPLATE_ERRORS:
            return template.render(values)  # raises it again, with the template's own lines

    def _place(self, traceback: TracebackType | None) -> str:
        place = ""
        while traceback is not None:
            filename = traceback.tb_frame.f_code.co_filename
            if filename in self._paths:
                place = f"{filename}:{traceback.tb_lineno}"
            traceback = traceback.tb_next
        return place


# What a template's own expressions can raise.
_TEMPLATE_ERRORS: Final = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def _source(templates: Mapping[str, Template], name: str) -> tuple[str, str, Callable[[], bool]] | None:
    template = templates.get(name)
    return None if template is None else (template.text, template.path, lambda: True)


def context(environment: Environment) -> dict[str, object]:
    """Return what templates see: flat names, which Jinja resolves three times faster than dotted ones."""
    chart, gitops, kind = environment.cilium.chart, environment.gitops, environment.kind
    return {
        "name": environment.name,
        "folder": "/".join(part for part in (gitops.path, "clusters", environment.name) if part),
        "cluster_name": environment.cluster_name,
        "values": emit(dict(cilium.helm_values(environment))).rstrip("\n"),
        "cilium_version": environment.cilium.version,
        "cilium_namespace": environment.cilium.namespace,
        "chart_name": chart.name,
        "chart_repository": chart.repository,
        "chart_url": f"{chart.repository.rstrip('/')}/{chart.name}",
        "oci": _oci(environment),
        "ipsec": _ipsec(environment),
        "secret_name": cilium.SECRET_NAME,
        "secret_file": secret.FILE.rpartition("/")[2],
        **_engines(gitops),
        "flux": _flux(environment),
        "argocd": _argocd(environment),
        "ksops": _ksops(environment),
        "demo_endor": environment.demo.endor,
        "demo_ping": environment.demo.ping,
        "kind_name": kind.name if kind else None,
        "control_planes": kind.control_planes if kind else 0,
        "workers": kind.workers if kind else 0,
    }


def _engines(gitops: Gitops) -> dict[str, object]:
    argocd, destination = gitops.argocd, gitops.argocd.destination
    return {
        "flux_namespace": gitops.flux.namespace,
        "flux_source": gitops.flux.source_name,
        "flux_secret": gitops.flux.decryption_secret,
        "flux_interval": str(gitops.flux.interval),
        "argocd_namespace": argocd.namespace,
        "argocd_project": argocd.project,
        "destination": {"name": destination.name} if destination.name else {"server": destination.server},
        "in_cluster": destination.is_in_cluster,
        "repository": gitops.repository,
        "revision": gitops.revision,
    }
