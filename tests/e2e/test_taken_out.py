"""What leaves git: neither an environment nor an engine takes the network or the key out of the cluster with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import yaml
from e2e import api, servers, stories
from e2e.stories import PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.controlplane import Cluster
    from e2e.hosting import Host
    from e2e.stories import Lab


@pytest.fixture(scope="module")
def lab(place: Path, host: Host, cluster: Cluster) -> Lab:
    return stories.under_flux("lab-ipsec", place / "clusters", host, cluster)


def standing(lab: Lab) -> dict[str, str]:
    """What carries the network in the cluster, and who each of it is."""
    release = lab.cluster.api.get(api.RELEASES, "cilium")
    assert api.ready(release)
    found = {
        "HelmRelease": release,
        "values": lab.cluster.api.get(api.CONFIGMAPS, release["spec"]["valuesFrom"][0]["name"]),
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


def rewrite(lab: Lab, part: str, control: str, *, resources: bool) -> None:
    """Have a Kustomization's folder make a ConfigMap `<control>-<part>` too, and list its resources, or none."""
    path = f"clusters/lab-ipsec/{part}/kustomization.yaml"
    found = yaml.safe_load(lab.repo.read(path))
    unguarded = {"namespace": "kube-system", "literals": ["a=b"], "options": {"disableNameSuffixHash": True}}
    values = [one for one in found.get("configMapGenerator", []) if one["name"] == "cilium-values"]
    found["configMapGenerator"] = [*values, {"name": f"{control}-{part}", **unguarded}]
    found["resources"] = found["resources"] if resources else []
    lab.repo.write(path, yaml.safe_dump(found))


def test_objects_that_leave_their_kustomization_are_not_pruned(lab: Lab) -> None:
    before, parts = standing(lab), ("secrets", "cilium")
    for control, resources in (("old", True), ("new", False)):
        for part in parts:
            rewrite(lab, part, control, resources=resources)
        commit = lab.publish(f"somebody's own folders, with a {control} object")
        lab.reads(commit)
        lab.applied(commit, *parts)
        assert lab.cluster.api.find(api.CONFIGMAPS, f"{control}-cilium") is not None

    assert [lab.cluster.api.find(api.CONFIGMAPS, f"old-{part}") for part in parts] == [None, None]  # so Flux did prune
    assert (standing(lab), lab.line_in_cluster) == (before, lab.line)

    lab.repo.git("revert", "--no-edit", "HEAD", "HEAD^")
    lab.repo.git("push", "-q", "origin", "main")
    lab.reads(lab.head)
    lab.applied(lab.head, *PARTS)


def test_environment_that_leaves_git_leaves_its_network_and_its_key(lab: Lab) -> None:
    before, releases, line = standing(lab), lab.releases(), lab.line
    (lab.repo.root / "environments/lab-ipsec.yaml").unlink()
    lab.keyturn("render")
    lab.keyturn("retire", "lab-ipsec")
    assert not (lab.repo.root / "clusters/lab-ipsec/secrets").exists()

    leave(lab, "lab-ipsec: leaves git, with its Secret")

    assert (standing(lab), lab.releases(), lab.line_in_cluster) == (before, releases, line)


def test_environment_that_comes_back_is_taken_up_again(lab: Lab) -> None:
    before = standing(lab)
    lab.repo.git("revert", "--no-edit", "HEAD")
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
