"""Clusters that do what git says, as objects of the test's own API server; agents' answers; ways to look at them."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import apiserver
import kit
import pytest
import rig
import turned
import yaml
from kit import IPSEC, WIREGUARD

from generator import kubectl
from generator.app import verify as app
from generator.progress import untold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kit import Ran, Repo

    from generator.attestation import Verified

Object = dict[str, Any]

ARGOCD = "gitops: {engine: argocd, repository: https://git.example.com/c.git}\n"
NODES = ("control-plane", "worker", "worker2", "worker3")
ENABLED = {"enable-ipv4": "true", "cluster-name": "lab", "cluster-id": "0", "routing-mode": "tunnel"}

# What the charts' ConfigMap says, by type: 1.16 to 1.20 without strict mode.
CONFIG = {
    "ipsec": {
        "enable-ipsec": "true",
        "ipsec-key-file": "/etc/ipsec/keys",
        "enable-ipsec-key-watcher": "true",
        "ipsec-key-rotation-duration": "5m",
    },
    "wireguard": {"enable-wireguard": "true", "wireguard-persistent-keepalive": "0s"},
    "node": {"enable-wireguard": "true", "wireguard-persistent-keepalive": "0s", "encrypt-node": "true"},
    "none": {},
}


def public(number: int) -> str:
    """A node's public key; the real ones are 32 bytes too."""
    return base64.b64encode(number.to_bytes(32, "big")).decode()


def ciliumnode(name: str, *, key: int = 0, public_key: str = "") -> Object:
    """A CiliumNode as the agent writes it, of which most is nobody's business here."""
    annotations = {"network.cilium.io/wg-pub-key": public_key} if public_key else {}
    number = sum(map(ord, name)) % 250
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNode",
        "metadata": {"name": name, "annotations": annotations, "labels": {"kubernetes.io/hostname": name}},
        "spec": {
            "addresses": [{"type": "InternalIP", "ip": f"172.18.0.{number}"}],
            "encryption": {"key": key} if key else {},
            "health": {"ipv4": f"10.244.{number}.9"},
            "ipam": {"podCIDRs": [f"10.244.{number}.0/24"], "pools": {}},
        },
        "status": {"ipam": {"operator-status": {}}},
    }


def node(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"images": []}}


def pod(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"cilium-{name}", "namespace": "kube-system", "labels": {"k8s-app": "cilium"}},
        "spec": {"nodeName": name, "containers": [{"name": "cilium-agent"}]},
        "status": {"phase": "Running"},
    }


def daemonset(version: str, count: int) -> Object:
    image = f"quay.io/cilium/cilium:v{version}@sha256:{'ab' * 32}"
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "cilium", "namespace": "kube-system", "generation": 2},
        "spec": {"template": {"spec": {"containers": [{"name": "cilium-agent", "image": image}]}}},
        "status": {
            "observedGeneration": 2,
            "desiredNumberScheduled": count,
            "updatedNumberScheduled": count,
            "numberAvailable": count,
        },
    }


def nodes(*names: str, key: int = 0, version: str = "1.16.0") -> list[Object]:
    """Return nodes on which Cilium runs: with a key id for IPsec, else each with a public key of its own."""
    made = [daemonset(version, len(names))]
    for number, name in enumerate(names, start=1):
        # by WireGuard too, agents publish a key id of 255; and an annotation outlives the WireGuard that it was for
        made += [node(name), pod(name), ciliumnode(name, key=key or 255, public_key=public(number))]
    return made


def config(kind: str, **more: str) -> Object:
    data = ENABLED | CONFIG[kind] | more
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cilium-config", "namespace": "kube-system"},
        "data": data,
    }


def secret(line: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "cilium-ipsec-keys", "namespace": "kube-system"},
        "type": "Opaque",
        "data": {"keys": base64.b64encode(line.encode()).decode()},
    }


def ready() -> Object:
    return {"observedGeneration": 3, "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded"}]}


def flux(commit: str, *parts: str) -> list[Object]:
    """Flux's objects for `lab`, all of them ready."""
    kustomizations: list[Object] = [
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": f"lab-{part}", "namespace": "flux-system", "generation": 3},
            "spec": {},
            "status": {**ready(), "lastAppliedRevision": f"main@sha1:{commit}"},
        }
        for part in parts
    ]
    release = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "cilium", "namespace": "kube-system", "generation": 3},
        "spec": {},
        "status": {**ready(), "history": [{"chartVersion": "1.16.0", "status": "deployed"}]},
    }
    return [*kustomizations, release]


def argocd(commit: str, *parts: str) -> list[Object]:
    """Argo CD's Applications for `lab`, all of them synced and healthy."""
    return [
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": f"lab-{part}", "namespace": "argocd"},
            "status": {
                "sync": {"status": "Synced"}
                | ({"revisions": ["1.16.0", commit]} if part == "cilium" else {"revision": commit}),
                "health": {"status": "Healthy"},
            },
        }
        for part in parts
    ]


# What agents answer to `encrypt status -o json`, as each version's source writes it: what is zero or empty is left out,
# and no version tells there of node encryption, which stands in `status -o json`.
IPSEC_AGENT: Object = {
    "ipsec": {"decrypt-interfaces": ["eth0"], "keys-in-use": 6, "max-seq-number": "0x4f/0xffffffff"},
    "mode": "IPsec",
}


def wireguard_agent(peers: int = 3) -> Object:
    interface = {"listen-port": 51871, "name": "cilium_wg0", "peer-count": peers, "peers": None}
    return {"mode": "Wireguard", "wireguard": {"interfaces": [interface | {"public-key": public(1)}]}}


def whole_status(node_encryption: str) -> Object:
    """What an agent answers to `status -o json`, of which most is nobody's business here."""
    wireguard = {"interfaces": [{"name": "cilium_wg0", "peer-count": 3}], "node-encryption": node_encryption}
    return {"cilium": {"state": "Ok"}, "encryption": {"mode": "Wireguard", "wireguard": wireguard}}


# `exec` alone is a stand-in: everything else goes to the real kubectl.
STAND_IN = """
case " $* " in
  *" exec "*) ;;
  *) exec "$KUBECTL" "$@" ;;
esac
while [ "$1" != exec ]; do shift; done
pod=$4
program=$8
[ "$9" = status ] && question=status || question=every
echo "$pod $program" >> "$AGENTS/asked"
for file in "$AGENTS/$pod.$question" "$AGENTS/$program" "$AGENTS/$question"; do
  [ ! -f "$file" ] || { . "$file"; exit; }
done
exit 1
"""


@dataclass
class Lab:
    """A repository, a cluster that an API server shows, and the words to ask it; `commit` is git's last."""

    repo: Repo
    server: apiserver.Server
    folder: Path
    commit: str

    def verify(self, *words: str, name: str = "lab") -> Ran:
        """Run the command in this process."""
        return rig.command(self.repo.root, "verify", name, "--kubeconfig", str(self.folder / "config"), *words)

    def agents(self, script: str, which: str = "every") -> None:
        """Say what `exec` does, in lines for sh.

        `which` is `every` (encryption) or `status` (the whole), for one agent behind its pod and a dot, or a program.
        """
        (self.folder / "agents" / which).write_text(script, "utf-8")

    def tell(self, answer: Object, which: str = "every") -> None:
        """Say what `exec` answers."""
        self.agents(f"cat <<'END'\n{json.dumps(answer, indent=2)}\nEND\n", which)

    @property
    def line(self) -> str:
        """The key line that git holds."""
        return str(yaml.safe_load(rig.decrypt(self.repo.root / "clusters/lab" / rig.SECRET))["stringData"]["keys"])

    @property
    def asked(self) -> list[str]:
        """Pod and program of each `exec`."""
        file = self.folder / "agents" / "asked"
        return file.read_text("utf-8").splitlines() if file.exists() else []

    def one(self, kind: str, name: str = "") -> Object:
        (found,) = self.server.found(kind, name)
        return found


def prepare(folder: Path) -> dict[str, str]:
    """Put the stand-in for `exec` on a PATH, the real kubectl behind it; return the variables for it."""
    (folder / "agents").mkdir(parents=True)
    rig.script(folder / "bin", "kubectl", STAND_IN)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "KUBECTL": kit.program("kubectl"), "AGENTS": str(folder / "agents")}


def git_without_kubectl(folder: Path) -> str:
    """Return a PATH on which there is git and no kubectl."""
    folder.mkdir()
    (folder / "git").symlink_to(shutil.which("git") or "git")
    return str(folder)


@pytest.fixture
def serve(repo: Repo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Lab]]:
    """Return a function that makes an environment `lab`, and an empty cluster for it."""
    folder = tmp_path / "lab"
    server = apiserver.Server()
    for name, value in prepare(folder).items():
        monkeypatch.setenv(name, value)

    def make(text: str) -> Lab:
        turned.rendered(repo, home, "lab", text=text)
        return Lab(repo, server, folder, turned.tip(repo, "HEAD"))

    with apiserver.serving(server):
        server.kubeconfig(folder / "config")
        yield make


@pytest.fixture
def lab(serve: Callable[[str], Lab]) -> Lab:
    """Four nodes by IPsec and Flux, which do what git says."""
    lab = serve(IPSEC)
    lab.server.objects = [
        config("ipsec"),
        secret(lab.line),
        *nodes(*NODES, key=1),
        *flux(lab.commit, "secrets", "cilium"),
    ]
    lab.tell(IPSEC_AGENT)
    return lab


@pytest.fixture
def wireguard(serve: Callable[[str], Lab]) -> Lab:
    """Four nodes by WireGuard and Argo CD, which do what git says."""
    lab = serve(WIREGUARD + ARGOCD)
    lab.server.objects = [
        config("wireguard"),
        *nodes(*NODES),
        *argocd(lab.commit, "root", "cilium"),
    ]
    lab.tell(wireguard_agent())
    lab.tell(whole_status("Disabled"), "status")
    return lab


@dataclass
class Time:
    """A clock that stands until somebody sleeps; what happens meanwhile is told in advance."""

    happens: deque[Callable[[], object]] = field(default_factory=deque)
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.happens:
            self.happens.popleft()()

    @property
    def clock(self) -> app.Clock:
        start = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
        return app.Clock(lambda: start + timedelta(seconds=sum(self.slept)), lambda: sum(self.slept), self.sleep)


def look(lab: Lab, time: Time | None = None, told: list[str] | None = None, **options: Any) -> Verified:
    """Look at the cluster by a clock of the test's own."""
    asked = kubectl.find(lab.folder / "config", None)
    said = [] if told is None else told
    wanted = app.Options(asked, None, (time or Time()).clock, tell=said.append, **options)
    return app.verify(lab.repo.root, "lab", wanted, untold)


def seen(done: Verified) -> dict[str, tuple[bool | None, str]]:
    """Return check -> whether it holds, and what was seen; without the entries of cilium-config that hold."""
    return {
        one.name: (one.ok, one.whole) for one in done.checks if not (one.name.startswith("cilium-config/") and one.ok)
    }
