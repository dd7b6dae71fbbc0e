"""The lab by IPsec: from `keyturn init` by bootstrap.sh to a cluster that Flux keeps as git says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from e2e import api, controlplane, servers, stories
from e2e.stories import PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.controlplane import Cluster
    from e2e.hosting import Host
    from e2e.stories import Lab

VALUES = "clusters/lab-ipsec/cilium/values.yaml"


@pytest.fixture(scope="module")
def lab(place: Path, host: Host, cluster: Cluster) -> Lab:
    """The README's lab, rendered, committed and pushed, and a cluster that knows Flux's and Cilium's kinds."""
    stories.needs(*controlplane.FLUX, "helm")
    cluster.install({**controlplane.FLUX_CRDS, **controlplane.CILIUM_CRDS})
    return stories.begin("lab-ipsec", place / "clusters", host, cluster)


@pytest.fixture(scope="module")
def by_hand(lab: Lab) -> dict[str, Any]:
    """What stands in the cluster after bootstrap.sh, before Flux has done anything."""
    words = lab.bootstrap().err
    daemonset = lab.cluster.api.get(api.DAEMONSETS, "cilium")
    return {"words": words, "uid": daemonset["metadata"]["uid"], "releases": lab.releases()}


@pytest.fixture(scope="module")
def keyless(lab: Lab, by_hand: dict[str, Any]) -> dict[str, Any]:
    """What Flux says without its decryption key, in a cluster that has lost the Secret too; then it gets the key."""
    del by_hand
    kind = api.Kind("", "secrets", "flux-system")
    given = lab.cluster.api.get(kind, "sops-age")
    lab.cluster.api.delete(kind, "sops-age")
    lab.cluster.api.delete(api.SECRETS, "cilium-ipsec-keys")
    lab.cluster.start_flux()
    lab.flux_says("secrets", "sops-age")
    lab.flux_says("cilium", "dependency 'flux-system/lab-ipsec-secrets'")
    lab.flux_says("demo", "dependency 'flux-system/lab-ipsec-cilium'")
    found = {"release": lab.cluster.api.find(api.RELEASES, "cilium")}
    lab.cluster.api.create(kind, {"metadata": {"name": "sops-age"}, "data": given["data"]})
    lab.retry("secrets")
    return found


@pytest.fixture(scope="module")
def flux(lab: Lab, keyless: dict[str, Any]) -> Lab:
    """The lab once Flux has applied all of it."""
    del keyless
    lab.applied(lab.head, *PARTS)
    return lab


def moment(lab: Lab, part: str) -> str:
    """When a Kustomization became ready."""
    conditions = (lab.kustomization(part) or {})["status"]["conditions"]
    return next(str(one["lastTransitionTime"]) for one in conditions if one["type"] == "Ready")


def moved(lab: Lab, commit: str) -> set[str]:
    """The Kustomizations that are applied at a commit."""
    found = {part: (lab.kustomization(part) or {})["status"]["lastAppliedRevision"] for part in PARTS}
    return {part for part, revision in found.items() if str(revision).endswith(commit)}


def created(one: api.Object) -> str:
    return str(one["metadata"]["creationTimestamp"])


def test_bootstrap_brings_key_and_cilium_and_hands_over(lab: Lab, by_hand: dict[str, Any]) -> None:
    steps = ["applying the key sha256:", "installing Cilium 1.16.0", "giving Flux the decryption key sops-age"]
    steps.append(f"handing over to Flux, which reads {lab.host.address}")
    assert [step for step in steps if step not in by_hand["words"]] == []
    assert by_hand["releases"] == ["sh.helm.release.v1.cilium.v1"]
    assert lab.line_in_cluster == lab.line


def test_second_bootstrap_does_no_harm(lab: Lab, by_hand: dict[str, Any]) -> None:
    lab.bootstrap()

    assert lab.cluster.api.get(api.DAEMONSETS, "cilium")["metadata"]["uid"] == by_hand["uid"]
    assert lab.line_in_cluster == lab.line


def test_cilium_and_demo_wait_for_a_secret_that_cannot_be_decrypted(keyless: dict[str, Any]) -> None:
    assert keyless["release"] is None


def test_flux_applies_secrets_then_cilium_then_demo(flux: Lab) -> None:
    release = flux.cluster.api.get(api.RELEASES, "cilium")
    endor = flux.cluster.api.get(api.Kind("", "namespaces"), "endor")

    order = [moment(flux, "secrets"), created(release), moment(flux, "cilium"), created(endor), moment(flux, "demo")]
    assert order == sorted(order)


def test_secret_that_flux_applies_is_exactly_what_sops_decrypts(flux: Lab) -> None:
    found = flux.cluster.api.get(api.SECRETS, "cilium-ipsec-keys")
    managers = {one["manager"] for one in found["metadata"]["managedFields"]}

    assert flux.line_in_cluster == flux.line
    assert found["data"].keys() == {"keys"}
    assert found["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == "lab-ipsec-secrets"
    assert "kustomize-controller" in managers
    in_git = yaml.safe_load(flux.repo.read(flux.secret))["metadata"]["annotations"]
    assert in_git.items() <= found["metadata"]["annotations"].items()


def test_release_that_helm_installed_is_adopted_and_not_replaced(flux: Lab, by_hand: dict[str, Any]) -> None:
    release = flux.cluster.api.get(api.RELEASES, "cilium")

    assert api.ready(release)
    assert flux.cluster.api.get(api.DAEMONSETS, "cilium")["metadata"]["uid"] == by_hand["uid"]
    assert flux.releases()[: len(by_hand["releases"])] == by_hand["releases"]
    assert release["status"]["history"][0]["version"] == len(flux.releases())


def test_our_values_arrive(flux: Lab) -> None:
    assert flux.config == {
        "cluster-name": "lab-ipsec",
        "cluster-id": "0",
        "enable-ipsec": "true",
        "ipsec-key-file": "/etc/ipsec/keys",
        "enable-ipsec-key-watcher": "true",
        "ipsec-key-rotation-duration": "5m",
    }


def test_demo_runs_in_its_namespaces(flux: Lab) -> None:
    deployments = flux.cluster.api.list(api.Kind("apps", "deployments", "endor"))
    pods = flux.cluster.api.list(api.Kind("", "pods", "default"))

    assert {one["metadata"]["name"] for one in deployments} == {"deathstar", "tiefighter", "xwing"}
    assert {one["metadata"]["name"]: one["spec"]["nodeName"] for one in pods} == {
        "pod-worker": "kind-worker",
        "pod-worker2": "kind-worker2",
    }


def test_verify_holds_once_the_agents_show_the_key(flux: Lab) -> None:
    early = stories.checks(flux, code=1)
    flux.agents(key=1)
    late = stories.checks(flux)

    assert [name for name, ok in early.items() if ok is False] == ["ciliumnodes/key"]
    assert late == {**early, "ciliumnodes/key": True}


def test_auditor_can_verify_with_the_rights_that_keyturn_prints_and_not_without(flux: Lab) -> None:
    words = ("verify", "lab-ipsec", "--no-exec", "--context", "auditor")
    before = flux.keyturn(*words, code=3)
    printed = flux.keyturn("engine", "rbac", "lab-ipsec", "--no-exec").out

    flux.cluster.kubectl("apply", "--server-side", "-f", "-", given=printed)

    assert "auditor may not get configmaps in namespace kube-system; keyturn engine rbac prints" in before.err
    assert flux.keyturn(*words).out == flux.keyturn(*words[:3]).out


def test_change_of_values_alone_upgrades_the_release(flux: Lab) -> None:
    before = flux.releases()
    text = flux.repo.read("environments/lab-ipsec.yaml")
    more = "cilium: {values: {extraConfig: {monitor-aggregation: low}}}\n"
    flux.repo.write("environments/lab-ipsec.yaml", text + more)
    assert flux.keyturn("render").out.splitlines()[0] == f"updated {VALUES}"

    commit = flux.publish("lab: look closer")
    with flux.cluster.workloads.held():  # the rollout does not end, so what depends on it waits
        flux.reads(commit)
        flux.flux_says("demo", "dependency 'flux-system/lab-ipsec-cilium'")
        servers.until(lambda: "rollout" in stories.failing(flux), "verify tells that agents are not rolled out")
        assert moved(flux, commit) == {"secrets"}
    flux.applied(commit, *PARTS)

    assert flux.repo.git("diff", "--name-only", "HEAD^", "--", "clusters").split() == [VALUES]
    assert flux.config["monitor-aggregation"] == "low"
    assert len(flux.releases()) == len(before) + 1
    flux.keyturn("verify", "lab-ipsec", "--no-exec")


def test_release_that_somebody_changed_by_hand_is_told(flux: Lab) -> None:
    flux.cluster.api.patch(api.CONFIGMAPS, "cilium-config", {"data": {"enable-ipsec": "false"}})

    assert stories.failing(flux) == {"cilium-config/enable-ipsec": "false"}
