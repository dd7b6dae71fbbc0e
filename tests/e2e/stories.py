"""What the stories share: a person with a repository of clusters, from `keyturn init` to what Flux makes of it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import turned
from e2e import api, programs, servers
from e2e.controlplane import CILIUM_CRDS, FLUX, FLUX_CRDS
from kit import Ran, Repo, missing
from rig import SECRET

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from e2e.api import Object
    from e2e.controlplane import Cluster
    from e2e.hosting import Host

PARTS: Final = ("secrets", "cilium", "demo")
NODES: Final = ("kind-control-plane", "kind-worker", "kind-worker2", "kind-worker3")


def needs(*names: str) -> None:
    """Skip a story where one of these could not be built, or fail it where CI is set."""
    for name in names:
        if programs.built(name) is None:
            missing(f"{name} {programs.version(name)}, which `make e2e` builds,")


@dataclass
class Lab:
    """One environment in a clone, the host that it is pushed to, and the cluster that reads from there."""

    repo: Repo
    name: str
    host: Host
    cluster: Cluster

    # ---- what a person types

    def keyturn(self, *words: str, code: int = 0) -> Ran:
        """Run keyturn, and see how it ends."""
        ran = self.repo.run(*words)
        assert ran.code == code, (words, ran)
        return ran

    def publish(self, message: str, *, ago: timedelta = turned.NO_AGE) -> str:
        """Commit all, push, and return the commit."""
        commit = turned.commit(self.repo, message, ago=ago)
        self.repo.git("push", "-q", "origin", "main")
        return commit

    def bootstrap(self) -> Ran:
        """Run the environment's bootstrap.sh against the cluster."""
        script = ["sh", f"clusters/{self.name}/bootstrap.sh"]
        env = {**os.environ, "KUBE_CONTEXT": "lab"}
        done = subprocess.run(
            script, cwd=self.repo.root, env=env, capture_output=True, text=True, timeout=servers.START, check=False
        )
        assert done.returncode == 0, done.stderr
        self.repo.git("pull", "-q", "--ff-only", "origin", "main")
        return Ran(done.returncode, done.stdout, done.stderr)

    def hand_over(self) -> None:
        """Give a cluster to Flux that has a network already: bootstrap.sh without Cilium and key."""
        self.cluster.kubectl("create", "namespace", "flux-system")
        words = ["--context", "lab", "--namespace", "flux-system", "--url", self.host.url("clusters.git")]
        argv = ["flux", "bootstrap", "git", *words, "--branch", "main", f"--path=clusters/{self.name}/flux"]
        subprocess.run(argv, cwd=self.repo.root, capture_output=True, timeout=servers.PATIENCE, check=True)
        self.repo.git("pull", "-q", "--ff-only", "origin", "main")

    # ---- what git and the cluster hold

    @property
    def head(self) -> str:
        return turned.tip(self.repo, "HEAD")

    @property
    def secret(self) -> str:
        """The path of the Secret."""
        return f"clusters/{self.name}/{SECRET}"

    @property
    def line(self) -> str:
        """The key line that git holds, as `sops decrypt` gives it."""
        argv = ["sops", "decrypt", "--extract", '["stringData"]["keys"]', self.secret]
        done = subprocess.run(argv, cwd=self.repo.root, capture_output=True, text=True, check=True)
        return done.stdout

    @property
    def line_in_cluster(self) -> str:
        return base64.b64decode(self.cluster.api.get(api.SECRETS, "cilium-ipsec-keys")["data"]["keys"]).decode()

    @property
    def config(self) -> dict[str, str]:
        return dict(self.cluster.api.get(api.CONFIGMAPS, "cilium-config")["data"])

    def releases(self) -> list[str]:
        """The names of Helm's records of the release, the oldest first."""
        found = [one["metadata"]["name"] for one in self.cluster.api.list(api.SECRETS)]
        return sorted(name for name in found if name.startswith("sh.helm.release.v1.cilium."))

    def kustomization(self, part: str) -> Object | None:
        return self.cluster.api.find(api.kustomization(), f"{self.name}-{part}")

    # ---- Flux

    def reads(self, commit: str) -> None:
        """Have Flux look at git now, as `flux reconcile source git` does, and wait until it has that commit."""
        found, name = self.cluster.api, "flux-system"
        annotations = {"reconcile.fluxcd.io/requestedAt": commit}
        found.patch(api.source(), name, {"metadata": {"annotations": annotations}})

        def revision() -> bool:
            artifact = found.get(api.source(), name).get("status", {}).get("artifact", {})
            return bool(artifact.get("revision", "").endswith(commit))

        servers.until(revision, f"Flux has {commit}")

    def applied(self, commit: str, *parts: str) -> None:
        """Wait until Kustomizations are ready at a commit."""
        for part in parts:
            servers.until(
                partial(self._ready, part, commit), f"{part} is ready at {commit}", told=partial(self._why, part)
            )

    def _ready(self, part: str, commit: str) -> bool:
        found = self.kustomization(part)
        revision = (found or {}).get("status", {}).get("lastAppliedRevision", "")
        return api.ready(found) and revision.endswith(commit)

    def _why(self, part: str) -> str:
        return api.why(self.kustomization(part))

    def retry(self, part: str) -> None:
        """Have Flux try a Kustomization again now, as `flux reconcile kustomization` does."""
        annotations = {"reconcile.fluxcd.io/requestedAt": str(time.monotonic())}
        self.cluster.api.patch(api.kustomization(), f"{self.name}-{part}", {"metadata": {"annotations": annotations}})

    def flux_says(self, part: str, words: str) -> None:
        """Wait until Flux says that about a Kustomization."""
        servers.until(
            lambda: words in self._why(part), f"Flux says {words!r} about {part}", told=partial(self._why, part)
        )

    # ---- what agents would do

    def agents(self, *, key: int = 0, public_keys: bool = False) -> None:
        """Make nodes, and for each the CiliumNode that its agent would write."""
        for number, node in enumerate(NODES, start=1):
            self.cluster.api.create(api.NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
            known = base64.b64encode(number.to_bytes(32, "big")).decode()
            body: Object = {
                "apiVersion": "cilium.io/v2",
                "kind": "CiliumNode",
                "metadata": {
                    "name": node,
                    "annotations": {"network.cilium.io/wg-pub-key": known} if public_keys else {},
                },
                "spec": {"encryption": {"key": key or 255}},
            }
            self.cluster.api.create(api.CILIUMNODES, body)

    def moves(self, node: str, key: int) -> None:
        """Let a node's agent take a key."""
        self.cluster.api.patch(api.CILIUMNODES, node, {"spec": {"encryption": {"key": key}}})


def begin(name: str, folder: Path, host: Host, cluster: Cluster) -> Lab:
    """Do as the README says: init, name the chart's source, render, commit two days ago, push."""
    folder.mkdir()
    lab = Lab(Repo(folder), name, host, cluster)
    host.publish("1.16.0")
    lab.keyturn("init")
    group = lab.repo.read("environments/groups/lab.yaml")
    source = f"  chart: {{repository: '{host.charts}'}}\n"
    lab.repo.write("environments/groups/lab.yaml", group.replace("  version: 1.16.0\n", f"  version: 1.16.0\n{source}"))
    lab.keyturn("render", "--new-identity")
    lab.repo.git("remote", "add", "origin", host.repository("clusters.git"))
    turned.commit(lab.repo, "the clusters", ago=2 * turned.DAY)
    lab.repo.git("push", "-q", "-u", "origin", "main")
    return lab


def under_flux(name: str, folder: Path, host: Host, cluster: Cluster) -> Lab:
    """Go the whole way of `begin`, bootstrap.sh and Flux, until all of the environment is applied."""
    needs(*FLUX, "helm")
    cluster.install({**FLUX_CRDS, **CILIUM_CRDS})
    lab = begin(name, folder, host, cluster)
    lab.bootstrap()
    cluster.start_flux()
    lab.applied(lab.head, *PARTS)
    return lab


def checks(lab: Lab, code: int = 0) -> dict[str, bool | None]:
    """Run `verify`, and return check -> whether it holds; `code` is how it has to end."""
    told = lab.keyturn("verify", lab.name, "--no-exec", "--output", "json", code=code).out
    return {one["name"]: one["ok"] for one in json.loads(told)["checks"]}


def failing(lab: Lab) -> dict[str, str]:
    """Run `verify`, which has to find something, and return check -> what was seen of what does not hold."""
    told = lab.keyturn("verify", lab.name, "--no-exec", "--output", "json", code=1).out
    return {one["name"]: one["seen"] for one in json.loads(told)["checks"] if one["ok"] is False}
