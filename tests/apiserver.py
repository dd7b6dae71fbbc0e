"""A small API server on loopback: it speaks enough of Kubernetes' HTTP for the real kubectl to `get` objects.

Objects are plain JSON.  What it answers instead of them, an error, an ended connection or silence, is told by path.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Object = dict[str, Any]

# group/version -> plural, kind, whether it is in a namespace
RESOURCES: dict[str, list[tuple[str, str, bool]]] = {
    "v1": [
        ("configmaps", "ConfigMap", True),
        ("nodes", "Node", False),
        ("pods", "Pod", True),
        ("secrets", "Secret", True),
    ],
    "apps/v1": [("daemonsets", "DaemonSet", True)],
    "cilium.io/v2": [("ciliumnodes", "CiliumNode", False)],
    "kustomize.toolkit.fluxcd.io/v1": [("kustomizations", "Kustomization", True)],
    "helm.toolkit.fluxcd.io/v2": [("helmreleases", "HelmRelease", True)],
    "argoproj.io/v1alpha1": [("applications", "Application", True)],
}
KINDS = {kind: plural for kinds in RESOURCES.values() for plural, kind, _ in kinds}
_PATH = re.compile(
    r"/api(?:s/(?P<group>[a-z0-9.]+))?/(?P<version>v[a-z0-9]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
)


@dataclass(frozen=True)
class Request:
    """What was asked, in the words of RBAC."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


@dataclass
class Server:
    """What stands in the cluster, and how it misbehaves; safe to change between two requests."""

    objects: list[Object] = field(default_factory=list)
    groups: set[str] = field(default_factory=lambda: set(RESOURCES))
    failing: dict[str, Callable[[Handler, dict[str, str]], None]] = field(default_factory=dict)  # by a plural's name
    undiscovered: set[str] = field(default_factory=set)  # of the groups, those whose kinds it does not tell
    allowed: Callable[[Request], bool] = lambda _: True
    requests: list[Request] = field(default_factory=list)
    address: str = ""

    def kubeconfig(self, file: Path) -> Path:
        """Write a kubeconfig with the contexts `lab`, which is this server, and `other`, which nobody serves."""
        clusters = {"lab": self.address, "other": "http://127.0.0.1:1"}
        text = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": name, "cluster": {"server": address}} for name, address in clusters.items()],
            "users": [{"name": "jane", "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "jane"}} for name in clusters],
        }
        file.write_text(json.dumps(text), "utf-8")
        return file

    def found(self, kind: str, name: str = "", namespace: str = "") -> list[Object]:
        return [
            one
            for one in self.objects
            if one["kind"] == kind
            and name in ("", one["metadata"]["name"])
            and namespace in ("", one["metadata"].get("namespace", ""))
        ]

    def take(self, kind: str, name: str = "") -> None:
        """Take objects away."""
        gone = self.found(kind, name)
        self.objects = [one for one in self.objects if one not in gone]


class Handler(BaseHTTPRequestHandler):
    """Answers GET: discovery, one object, a list in pieces."""

    protocol_version = "HTTP/1.1"
    state: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        """Say nothing."""

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        discovered = self._discovery(split.path)
        if split.path.removeprefix("/apis/") in self.state.undiscovered:
            self.status(503, "ServiceUnavailable", "no discovery")
        elif discovered is not None:
            self.answer(200, discovered)
        elif match := _PATH.fullmatch(split.path):
            self._objects({name: value or "" for name, value in match.groupdict().items()}, query)
        else:
            self.status(404, "NotFound", "the server could not find the requested resource")

    def _discovery(self, path: str) -> Object | None:
        groups = sorted(self.state.groups - {"v1"})
        if path == "/version":
            return {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(one) for one in groups]}
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if group := next((one for one in groups if one.partition("/")[0] == version), None):
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
        if version not in self.state.groups or not path.startswith("/api"):
            return None
        names = [
            {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": _VERBS}
            for plural, kind, namespaced in RESOURCES[version]
        ]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": names}

    def _objects(self, asked: dict[str, str], query: dict[str, str]) -> None:
        version = "/".join(part for part in (asked["group"], asked["version"]) if part)
        kinds = {plural: kind for plural, kind, _ in RESOURCES.get(version, [])}
        name = asked["name"] or re.sub(r".*metadata\.name=", "", query.get("fieldSelector", ""))
        verb = "get" if asked["name"] else "list"
        request = Request(verb, asked["group"], asked["plural"], asked["namespace"], name)
        self.state.requests.append(request)
        if not self.state.allowed(request):
            return self.forbid(request)
        if asked["plural"] in self.state.failing:
            return self.state.failing[asked["plural"]](self, query)
        if asked["plural"] not in kinds or version not in self.state.groups:
            return self.status(404, "NotFound", "the server could not find the requested resource")
        found = self.state.found(kinds[asked["plural"]], name, asked["namespace"])
        if not asked["name"]:
            return self.list(kinds[asked["plural"]], version, _selected(found, query), query)
        if not found:
            words = f'{asked["plural"]}{"." if asked["group"] else ""}{asked["group"]} "{name}" not found'
            return self.status(404, "NotFound", words)
        return self.answer(200, found[0])

    def list(self, kind: str, version: str, found: list[Object], query: dict[str, str]) -> None:
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 0)) or len(found)
        rest = {"continue": str(start + limit)} if start + limit < len(found) else {}
        items = found[start : start + limit]
        self.answer(200, {"kind": f"{kind}List", "apiVersion": version, "metadata": rest, "items": items})

    def forbid(self, asked: Request) -> None:
        where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
        what = ".".join(part for part in (asked.resource, asked.group) if part)
        what += f' "{asked.name}"' if asked.name else ""
        words = f'User "jane" cannot {asked.verb} resource "{asked.resource}" in API group "{asked.group}" {where}'
        self.status(403, "Forbidden", f"{what} is forbidden: {words}")

    def status(self, code: int, reason: str, message: str) -> None:
        failure = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        self.answer(code, {**failure, "reason": reason, "message": message, "code": code})

    def answer(self, code: int, body: Object) -> None:
        self.send(code, json.dumps(body).encode())

    def send(self, code: int, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


_VERBS = ["get", "list"]


def _group(version: str) -> Object:
    name, _, number = version.partition("/")
    one = {"groupVersion": version, "version": number}
    return {"name": name, "versions": [one], "preferredVersion": one}


def _selected(found: list[Object], query: dict[str, str]) -> list[Object]:
    wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
    return [one for one in found if wanted.items() <= one["metadata"].get("labels", {}).items()]


@contextlib.contextmanager
def serving(state: Server) -> Iterator[Server]:
    """Serve on a free port of loopback for as long as the context lasts."""
    handler = type("Bound", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
