"""What leaves git: neither an environment nor an engine takes the network or the key out of the cluster with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from e2e import api, servers, stories
from e2e.stories import PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.hosting import Host
    from e2e.stories import Lab


@pytest.fixture(scope="module")
def lab(place: Path, host: Host, cluster: Cluster) -> Lab:
    return stories.under_flux("lab-ipsec", place / "clusters", host, cluster)


def standing(lab: Lab) -> dict[str, str]:
    """What carries the network in the cluster, and who each of it is."""
    found = {
        "HelmRelease": lab.cluster.api.get(api.RELEASES, "cilium"),
        "HelmRepository": lab.cluster.api.get(api.Kind("source", "helmrepositories", "kube-system"), "cilium"),
        "Secret": lab.cluster.api.get(api.SECRETS, "cilium-ipsec-keys"),
        "ConfigMap": lab.cluster.api.get(api.CONFIGMAPS, "cilium-config"),
        "DaemonSet": lab.cluster.api.get(api.DAEMONSETS, "cilium"),
        "Deployment": lab.cluster.api.get(api.Kind("apps", "deployments", "endor"), "deathstar"),
    }
    assert [name for name, one in found.items() if "deletionTimestamp" in one["metadata"]] == []
    return {name: one["metadata"]["uid"] for name, one in found.items()}


def leave(lab: Lab, message: str) -> None:
    """Push a tree without Flux's objects, and wait until Flux has taken away whatever it takes."""
    commit = lab.publish(message)
    lab.reads(commit)
    servers.until(partial(_root_is_at, lab, commit), f"Flux has applied the root of {commit}")
    for part in PARTS:
        servers.until(partial(_gone, lab, part), f"{part} is gone")


def _root_is_at(lab: Lab, commit: str) -> bool:
    root = lab.cluster.api.get(api.kustomization(), "flux-system")
    return api.ready(root) and str(root["status"]["lastAppliedRevision"]).endswith(commit)


def _gone(lab: Lab, part: str) -> bool:
    return lab.kustomization(part) is None


def test_environment_that_leaves_git_leaves_its_network_and_its_key(lab: Lab) -> None:
    before, releases, line = standing(lab), lab.releases(), lab.line
    (lab.repo.root / "environments/lab-ipsec.yaml").unlink()
    lab.keyturn("render")
    assert not (lab.repo.root / "clusters/lab-ipsec/flux/secrets.yaml").exists()

    leave(lab, "lab-ipsec: leaves")
    lab.keyturn("retire", "lab-ipsec")
    leave(lab, "lab-ipsec: its Secret leaves git")

    assert not (lab.repo.root / lab.secret).exists()
    assert (standing(lab), lab.releases(), lab.line_in_cluster) == (before, releases, line)


def test_environment_that_comes_back_is_taken_up_again(lab: Lab) -> None:
    before = standing(lab)
    lab.repo.git("revert", "--no-edit", "HEAD", "HEAD^")
    lab.repo.git("push", "-q", "origin", "main")

    lab.reads(lab.head)
    lab.applied(lab.head, *PARTS)

    assert standing(lab) == before
    lab.keyturn("render", "--check")


def test_engine_that_leaves_git_leaves_the_network_and_the_key(lab: Lab) -> None:
    before, releases = standing(lab), lab.releases()
    text = lab.repo.read("environments/lab-ipsec.yaml")
    lab.repo.write("environments/lab-ipsec.yaml", f"{text}gitops: {{engine: none}}\n")
    lab.keyturn("render")

    leave(lab, "lab-ipsec: no engine")

    assert (standing(lab), lab.releases(), lab.line_in_cluster) == (before, releases, lab.line)
