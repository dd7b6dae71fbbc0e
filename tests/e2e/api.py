"""The API server as JSON over HTTPS: what tests put into a cluster and look up in it."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

Object = dict[str, Any]

GROUPS: Final = {
    "": "api/v1",
    "apps": "apis/apps/v1",
    "argocd": "apis/argoproj.io/v1alpha1",
    "cilium": "apis/cilium.io/v2",
    "extensions": "apis/apiextensions.k8s.io/v1",
    "flux": "apis/kustomize.toolkit.fluxcd.io/v1",
    "helm": "apis/helm.toolkit.fluxcd.io/v2",
    "source": "apis/source.toolkit.fluxcd.io/v1",
}


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind lie: a group of GROUPS, the plural, and a namespace if they have one."""

    group: str
    plural: str
    namespace: str = ""

    def path(self, name: str = "") -> str:
        inside = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"/{GROUPS[self.group]}{inside}/{self.plural}{f'/{name}' if name else ''}"


def kustomization(namespace: str = "flux-system") -> Kind:
    return Kind("flux", "kustomizations", namespace)


def source(namespace: str = "flux-system") -> Kind:
    return Kind("source", "gitrepositories", namespace)


SECRETS: Final = Kind("", "secrets", "kube-system")
CONFIGMAPS: Final = Kind("", "configmaps", "kube-system")
RELEASES: Final = Kind("helm", "helmreleases", "kube-system")
DAEMONSETS: Final = Kind("apps", "daemonsets", "kube-system")
CRDS: Final = Kind("extensions", "customresourcedefinitions")
CILIUMNODES: Final = Kind("cilium", "ciliumnodes")
NODES: Final = Kind("", "nodes")


@dataclass(frozen=True)
class Api:
    """One API server, and the token to talk to it."""

    address: str
    token: str = field(repr=False)
    authority: Path

    def ask(self, method: str, path: str, body: object = None, form: str = "application/json") -> Object | None:
        """Return the answer; None where there is no such object.  Anything else is an AssertionError with its words."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": form}
        request = urllib.request.Request(self.address + path, data, headers, method=method)  # noqa: S310 -- loopback
        try:
            with self._opener().open(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                words = error.read().decode()
            if error.code == 404:
                return None
            raise AssertionError(f"{method} {path}: {error.code} {words}") from None

    def find(self, kind: Kind, name: str) -> Object | None:
        return self.ask("GET", kind.path(name))

    def get(self, kind: Kind, name: str) -> Object:
        found = self.find(kind, name)
        assert found is not None, f"no {kind.plural} {name}"
        return found

    def list(self, kind: Kind) -> list[Object]:
        """Return the objects of a kind; none where the kind itself is not there."""
        found = self.ask("GET", kind.path()) or {"items": []}
        return list(found["items"])

    def create(self, kind: Kind, body: Object) -> Object:
        made = self.ask("POST", kind.path(), body)
        assert made is not None, f"nowhere to put {kind.plural}"
        return made

    def patch(self, kind: Kind, name: str, body: Object, part: str = "") -> Object | None:
        """Merge into an object, or into a `part` of it such as /status; None where it is gone."""
        return self.ask("PATCH", kind.path(name) + part, body, "application/merge-patch+json")

    def delete(self, kind: Kind, name: str) -> None:
        assert self.ask("DELETE", kind.path(name)) is not None, f"no {kind.plural} {name}"

    def well(self) -> bool:
        """Tell whether it serves."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.address + "/readyz", headers=headers)  # noqa: S310 -- loopback
        try:
            with self._opener().open(request, timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:  # a refusal, of the server or of TLS, is one too
            return False

    def _opener(self) -> urllib.request.OpenerDirector:
        secure = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.authority))
        return urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)  # loopback is behind no proxy


def ready(one: Object | None) -> bool:
    """Tell whether a controller says that an object of its is ready, as it stands now."""
    status = (one or {}).get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    generation = (one or {}).get("metadata", {}).get("generation")
    seen = status.get("observedGeneration") == generation
    return bool(seen and conditions.get("Ready", {}).get("status") == "True")


def why(one: Object | None) -> str:
    """Return what a controller says of an object's readiness."""
    conditions = (one or {}).get("status", {}).get("conditions", [])
    return next((f"{each['reason']}: {each['message']}" for each in conditions if each["type"] == "Ready"), "")
