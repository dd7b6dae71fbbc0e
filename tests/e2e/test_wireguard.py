"""The lab by WireGuard, then with node encryption: no Secret, the nodes' own keys, and a capture of real WireGuard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import wire
from e2e import api, controlplane, stories
from e2e.stories import NODES

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.controlplane import Cluster
    from e2e.hosting import Host
    from e2e.stories import Lab

WIREGUARD = {
    "cluster-name": "lab-wireguard",
    "cluster-id": "0",
    "enable-wireguard": "true",
    "wireguard-persistent-keepalive": "0s",
}
PARTS = ("cilium", "demo")


@pytest.fixture(scope="module")
def lab(place: Path, host: Host, cluster: Cluster) -> Lab:
    """A cluster that had no Cilium when Flux took it over, and whose agents have made their keys."""
    stories.needs(*controlplane.FLUX)
    cluster.install({**controlplane.FLUX_CRDS, **controlplane.CILIUM_CRDS})
    lab = stories.begin("lab-wireguard", place / "clusters", host, cluster)
    lab.hand_over()
    cluster.start_flux()
    lab.applied(lab.head, *PARTS)
    lab.agents(public_keys=True)
    return lab


@pytest.fixture(scope="module")
def captures(place: Path) -> Path:
    """What tcpdump on a node caught of real WireGuard between two network namespaces, and of clear traffic."""
    stories.needs("wireguard-go")
    return wire.captures(place)


def test_no_secret_is_in_git_or_in_the_cluster(lab: Lab) -> None:
    kinds = (api.SECRETS, api.Kind("", "secrets", "flux-system"))
    secrets = {one["metadata"]["name"] for kind in kinds for one in lab.cluster.api.list(kind)}

    assert secrets == set(lab.releases())
    assert lab.kustomization("secrets") is None
    assert not (lab.repo.root / "clusters/lab-wireguard/secrets").exists()


def test_release_is_installed_by_flux_alone(lab: Lab) -> None:
    (record,) = lab.cluster.api.get(api.RELEASES, "cilium")["status"]["history"]

    assert lab.releases() == ["sh.helm.release.v1.cilium.v1"]
    assert (record["version"], record["chartVersion"], record["status"]) == (1, "1.16.0", "deployed")


def test_values_say_wireguard(lab: Lab) -> None:
    assert lab.config == WIREGUARD


def test_verify_reads_the_public_key_of_every_node(lab: Lab) -> None:
    told = lab.keyturn("verify", lab.name, "--no-exec", "--output", "json").out

    found = {one["name"]: one["seen"] for one in json.loads(told)["checks"] if one["name"].startswith("ciliumnodes/")}
    assert found == {
        "ciliumnodes/public-key": "4 nodes, each of them",
        "ciliumnodes/different": "4 keys, no two the same",
    }


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (None, {"ciliumnodes/public-key": "3 of 4 nodes; not: kind-worker (no key)"}),
        ("kind-worker2", {"ciliumnodes/different": "the same key: kind-worker and kind-worker2"}),
    ],
)
def test_verify_finds_the_node_whose_public_key_is_wrong(lab: Lab, other: str | None, found: dict[str, str]) -> None:
    name = "network.cilium.io/wg-pub-key"
    known = {one: lab.cluster.api.get(api.CILIUMNODES, one)["metadata"]["annotations"][name] for one in NODES}

    def put(key: str | None) -> None:
        lab.cluster.api.patch(api.CILIUMNODES, "kind-worker", {"metadata": {"annotations": {name: key}}})

    put(known[other] if other else None)
    seen = stories.failing(lab)
    put(known["kind-worker"])

    assert seen == found
    lab.keyturn("verify", lab.name, "--no-exec")


def test_capture_judges_real_wireguard(lab: Lab, captures: Path) -> None:
    words = ("--env", lab.name, "--node-ip", wire.HERE_IP, "--pod-cidr", "10.244.0.0/16", "--output", "json")
    good = lab.keyturn("capture", str(captures / "wireguard-eth0.pcap"), *words)
    bad = lab.keyturn("capture", str(captures / "clear-eth0.pcap"), *words, code=1)

    (told,), (clear,) = (json.loads(ran.out)["captures"] for ran in (good, bad))
    assert (told["verdict"], clear["verdict"]) == ("encrypted", "clear")
    assert {one["message"] for one in told["wireguard"]} == {"handshake initiation", "handshake response", "data"}


def test_node_encryption_arrives_by_one_word_in_git(lab: Lab) -> None:
    text = lab.repo.read("environments/lab-wireguard.yaml")
    lab.repo.write("environments/lab-wireguard.yaml", f"{text}  nodeEncryption: true\n")
    lab.keyturn("render")
    assert stories.failing(lab) == {"cilium-config/encrypt-node": "not there"}

    commit = lab.publish("lab: nodes too")
    lab.reads(commit)
    lab.applied(commit, *PARTS)

    assert lab.config == {**WIREGUARD, "encrypt-node": "true"}
    lab.keyturn("verify", lab.name, "--no-exec")
