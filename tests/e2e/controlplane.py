"""A cluster without nodes: a real etcd, a real API server and real controllers of Flux, all on loopback.

What only nodes could do, a thread stands in for: it says of every workload that it runs.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from e2e import programs, servers
from e2e.api import CRDS, Api, Kind
from kit import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.api import Object

CONTEXT: Final = "lab"
USERS: Final = {CONTEXT: "system:masters", "auditor": "keyturn-verify"}  # context -> the group of its user
FLUX: Final = ("source-controller", "kustomize-controller", "helm-controller")

# Module files under tools/ -> a module that they pin, and the folder or file in it that holds CRDs.
FLUX_CRDS: Final = {name: (f"github.com/fluxcd/{name}", "config/crd/bases") for name in FLUX}
CILIUM_CRDS: Final = {"crds": ("github.com/cilium/cilium", "pkg/k8s/apis/cilium.io/client/crds/v2/ciliumnodes.yaml")}
ARGOCD_CRDS: Final = {"crds": ("github.com/argoproj/argo-cd/v3", "manifests/crds")}


@dataclass
class Cluster:
    """What stands around one API server; `kubeconfig` has a context for each of USERS, the first is the current one."""

    servers: servers.Servers
    api: Api
    kubeconfig: Path
    workloads: Workloads = field(init=False)

    def __post_init__(self) -> None:
        self.workloads = Workloads(self.api)

    def install(self, crds: dict[str, tuple[str, str]]) -> None:
        """Put CRDs into the cluster, from the source of the modules that are pinned, and wait until they serve."""
        for name, (path, inside) in crds.items():
            place = programs.module(name, path) / inside
            files = [place] if place.is_file() else sorted({*place.glob("*-crd.yaml"), *place.glob("*.*_*.yaml")})
            self.kubectl("create", *(word for file in files for word in ("-f", str(file))))
        servers.until(self._serves_all, "every CRD serves")

    def kubectl(self, *words: str, given: str = "") -> str:
        """Run kubectl as the user who may do everything, and return what it says."""
        argv = [program("kubectl"), "--kubeconfig", str(self.kubeconfig), *words]
        done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=servers.PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _serves_all(self) -> bool:
        told = [one.get("status", {}).get("conditions") or [] for one in self.api.list(CRDS)]
        return all(any(one["type"] == "Established" and one["status"] == "True" for one in each) for each in told)

    def start_flux(self) -> None:
        """Start Flux's controllers as they run in a cluster, but for the election of a leader."""
        storage = f"127.0.0.1:{servers.free_port()}"
        more = {
            "source-controller": ["--storage-path=data", f"--storage-addr={storage}", f"--storage-adv-addr={storage}"],
            "kustomize-controller": ["--requeue-dependency=1s"],
            "helm-controller": ["--requeue-dependency=1s", "--graceful-shutdown-timeout=1s"],
        }
        health = {name: f"127.0.0.1:{servers.free_port()}" for name in FLUX}
        for name in FLUX:
            (self.servers.room(name) / "data").mkdir()
            argv: list[str | Path] = [
                programs.find(name),
                f"--health-addr={health[name]}",
                "--metrics-addr=0",
                *more[name],
            ]
            env = {"KUBECONFIG": str(self.kubeconfig), "RUNTIME_NAMESPACE": "flux-system"}
            self.servers.start(name, argv, env)
        for name in FLUX:
            self.servers.ready(name, partial(servers.answers, f"http://{health[name]}/readyz"))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Run an empty cluster for as long as the context lasts."""
    with servers.serving(folder) as started:
        store = _start_etcd(started)
        api = _start_apiserver(started, store, folder / "kubeconfig")
        cluster = Cluster(started, api, folder / "kubeconfig")
        with cluster.workloads.running():
            yield cluster


def _start_etcd(started: servers.Servers) -> str:
    clients, peers = (f"http://127.0.0.1:{servers.free_port()}" for _ in range(2))
    argv: list[str | Path] = [
        *(programs.find("etcd"), "--data-dir", "data", "--unsafe-no-fsync"),
        *("--listen-client-urls", clients, "--advertise-client-urls", clients, "--listen-peer-urls", peers),
        *("--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
    ]
    started.start("etcd", argv)
    started.ready("etcd", lambda: servers.answers(f"{clients}/health"))
    return clients


def _start_apiserver(started: servers.Servers, store: str, kubeconfig: Path) -> Api:
    room = started.room("kube-apiserver")
    key = [program("openssl"), "genrsa", "-out", str(room / "accounts.key"), "2048"]
    subprocess.run(key, capture_output=True, check=True)
    port, tokens = servers.free_port(), {user: secrets.token_hex(16) for user in USERS}
    lines = [f'{tokens[user]},{user},{user},"{group}"\n' for user, group in USERS.items()]
    (room / "tokens.csv").write_text("".join(lines), "utf-8")
    argv: list[str | Path] = [
        *(programs.find("kube-apiserver"), f"--etcd-servers={store}", "--bind-address=127.0.0.1"),
        *(f"--secure-port={port}", "--cert-dir=.", "--token-auth-file=tokens.csv", "--authorization-mode=RBAC"),
        *("--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=accounts.key"),
        *("--service-account-signing-key-file=accounts.key", "--service-cluster-ip-range=10.96.0.0/16"),
        *("--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"),  # no route is needed
        "--disable-admission-plugins=ServiceAccount",  # nobody makes the accounts: that is the controller manager's
    ]
    started.start("kube-apiserver", argv)
    api = Api(f"https://127.0.0.1:{port}", tokens[CONTEXT], room / "apiserver.crt")
    _write(kubeconfig, api, tokens)
    started.ready("kube-apiserver", lambda: (room / "apiserver.crt").exists() and api.well())
    return api


def _write(kubeconfig: Path, api: Api, tokens: dict[str, str]) -> None:
    server = {"server": api.address, "certificate-authority": str(api.authority)}
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": "it", "cluster": server}],
        "users": [{"name": user, "user": {"token": token}} for user, token in tokens.items()],
        "contexts": [{"name": user, "context": {"cluster": "it", "user": user}} for user in tokens],
    }
    kubeconfig.touch(0o600)
    kubeconfig.write_text(json.dumps(text), "utf-8")


class Workloads:
    """Stands in for nodes: says of each DaemonSet, Deployment and Pod that it runs, once it is seen."""

    NODES: Final = 4
    KINDS: Final = (Kind("apps", "daemonsets"), Kind("apps", "deployments"), Kind("", "pods"))

    def __init__(self, api: Api) -> None:
        self._api = api
        self._held = threading.Event()
        self._ended = threading.Event()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing new run meanwhile."""
        self._held.set()
        try:
            yield
        finally:
            self._held.clear()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._keep)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(0.5):
            if self._held.is_set():
                continue
            with contextlib.suppress(OSError, AssertionError):  # what has changed meanwhile is looked at again
                for kind in self.KINDS:
                    for one in self._api.list(kind):
                        self._run(kind, one)

    def _run(self, kind: Kind, one: Object) -> None:
        status = STATUS[kind.plural](one, self.NODES)
        there = dict(one.get("status", {}))
        known = ("type", "status", "reason")  # the server adds times
        there["conditions"] = [
            {name: each[name] for name in known if name in each} for each in there.get("conditions") or []
        ]
        if not status.items() <= there.items():
            inside = Kind(kind.group, kind.plural, one["metadata"]["namespace"])
            self._api.patch(inside, one["metadata"]["name"], {"status": status}, "/status")


def _daemonset(one: Object, nodes: int) -> Object:
    counts = (
        *("currentNumberScheduled", "desiredNumberScheduled", "updatedNumberScheduled"),
        *("numberReady", "numberAvailable"),
    )
    return {
        "observedGeneration": one["metadata"]["generation"],
        "numberMisscheduled": 0,
        **dict.fromkeys(counts, nodes),
    }


def _deployment(one: Object, nodes: int) -> Object:
    count = min(one["spec"]["replicas"], nodes)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
    conditions = [
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ]
    return {"observedGeneration": one["metadata"]["generation"], **counts, "conditions": conditions}


def _pod(one: Object, nodes: int) -> Object:
    del one, nodes
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


STATUS: Final = {"daemonsets": _daemonset, "deployments": _deployment, "pods": _pod}
