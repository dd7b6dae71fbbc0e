"""Argo CD's objects: the Application that a person applies, those below it, and that none of them takes anything away.

The samples and some small environments are rendered once, in one workspace.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import rig
import yaml
from kit import PROJECT, Repo, program

from generator import workspace
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path

REPOSITORY = "https://git.example.com/platform/clusters.git"
ARN = "arn:aws:eks:eu-central-1:111122223333:cluster/eu_central"
SECRETS, CILIUM, DEMO = "secrets", "cilium", "demo"

Object = dict[str, Any]


def small(gitops: str = "", cilium: str = "", encryption: str = "type: ipsec", more: str = "") -> str:
    """An environment in four lines."""
    return (
        f"cilium: {{version: 1.18.12{cilium}}}\nencryption: {{{encryption}}}\n"
        f"gitops: {{engine: argocd, repository: '{REPOSITORY}'{gitops}}}\n{more}"
    )


def argocd(words: str) -> str:
    return f", argocd: {{{words}}}"


def chart(words: str) -> str:
    return f", chart: {{{words}}}"


SMALL = {
    "by-server": small(argocd("destination: {server: 'https://203.0.113.7:6443'}")),
    "by-name": small(argocd(f"destination: {{name: '{ARN}'}}"), more="demo: {endor: true, ping: true}\n"),
    "subfolder": small(", path: platform/eu, revision: release/2026.1", more="demo: {ping: true}\n"),
    "own-hub": small(argocd("namespace: gitops, project: network"), more="demo: {endor: true}\n"),
    "oci": small(cilium=chart("repository: 'oci://registry.example.com:5000/charts'")),
    "oci-slash": small(cilium=chart("repository: 'oci://registry.example.com:5000/charts/', name: cilium-own")),
    "mirror": small(cilium=f", namespace: network{chart('repository: https://mirror.example.com/helm/')}"),
    "none": small(argocd("secrets: none"), more="demo: {endor: true}\n"),
    "wireguard": small(encryption="type: wireguard"),
    "none-wireguard": small(argocd("secrets: none"), encryption="type: wireguard"),
    # What other readers of YAML would take for numbers and truths.
    "1": small(", revision: '1.20'" + argocd("namespace: '1', project: 'true', destination: {name: '0o7'}")),
}
PLAIN = {
    "parts": (SECRETS, CILIUM),
    "destination": {"server": "https://kubernetes.default.svc"},
    "folder": "clusters",
    "revision": "main",
    "hub": ("argocd", "default"),
    "namespace": "kube-system",
    "chart": ("https://helm.cilium.io", "cilium", "1.18.12"),
}
PRODUCTION = {"chart": ("https://helm.cilium.io", "cilium", "1.20.0")}
CASES: dict[str, Object] = {
    "lab-node-encryption": {"parts": (CILIUM, DEMO), "chart": ("https://helm.cilium.io", "cilium", "1.16.0")},
    "production": PRODUCTION | {"destination": {"name": "production"}},
    "production-b": PRODUCTION | {"destination": {"name": "production-b"}},
    "by-server": {"destination": {"server": "https://203.0.113.7:6443"}},
    "by-name": {"destination": {"name": ARN}, "parts": (SECRETS, CILIUM, DEMO)},
    "subfolder": {"folder": "platform/eu/clusters", "revision": "release/2026.1", "parts": (SECRETS, CILIUM, DEMO)},
    "own-hub": {"hub": ("gitops", "network"), "parts": (SECRETS, CILIUM, DEMO)},
    "oci": {"chart": ("registry.example.com:5000/charts", "cilium", "1.18.12")},
    "oci-slash": {"chart": ("registry.example.com:5000/charts", "cilium-own", "1.18.12")},
    "mirror": {"chart": ("https://mirror.example.com/helm/", "cilium", "1.18.12"), "namespace": "network"},
    "none": {"parts": (CILIUM, DEMO)},
    "wireguard": {"parts": (CILIUM,)},
    "none-wireguard": {"parts": (CILIUM,)},
    "1": {"revision": "1.20", "hub": ("1", "true"), "destination": {"name": "0o7"}},
}
CASES = {name: PLAIN | case for name, case in CASES.items()}
KEYED = [name for name, case in CASES.items() if SECRETS in case["parts"]]
SHOWN = [name for name, case in CASES.items() if DEMO in case["parts"]]

every = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `clusters/` of the samples and the small environments, rendered by the real command."""
    repo = Repo(tmp_path_factory.mktemp("workspace"))
    shutil.copytree(PROJECT / "environments", repo.root / "environments")
    for name, text in SMALL.items():
        repo.environment(name, text)
    env = {"HOME": str(repo.root), "SOPS_AGE_KEY_FILE": str(repo.root / "keys.txt"), "PYTHONPATH": str(PROJECT)}
    ran = repo.run("render", "--new-identity", "--strict", env=env)
    assert ran.code == 0, ran.err
    return repo.root / "clusters"


def load(file: Path) -> Object:
    return dict(yaml.safe_load(file.read_text("utf-8")))


def below(tree: Path) -> dict[str, Object]:
    """What Argo CD finds in the folder of the root Application: part -> Application."""
    return {file.stem: load(file) for file in (tree / "argocd").iterdir()}


def application(name: str, part: str, wave: str | None, spec: Object) -> Object:
    """A whole Application as it should be; what differs between the parts is given."""
    namespace, project = CASES[name]["hub"]
    metadata = {"name": f"{name}-{part}", "namespace": namespace, "labels": {"keyturn/environment": name}}
    if wave is not None:
        metadata["annotations"] = {"argocd.argoproj.io/sync-wave": wave}
    kept = [] if part == "demo" else ["Delete=false"]
    options = {"automated": {"prune": False}, "syncOptions": ["ServerSideApply=true", *kept, *spec.pop("options", [])]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": metadata,
        "spec": {"project": project, **spec, "syncPolicy": options},
    }


def git(name: str, **more: str) -> Object:
    return {"repoURL": REPOSITORY, "targetRevision": CASES[name]["revision"], **more}


def folder(name: str, part: str) -> str:
    return f"{CASES[name]['folder']}/{name}/{part}"


def destination(name: str, namespace: str) -> Object:
    return {**CASES[name]["destination"], "namespace": namespace}


@every
def test_root_is_one_application_over_the_folder_of_the_others_in_the_hub(name: str, clusters: Path) -> None:
    hub = {"server": "https://kubernetes.default.svc", "namespace": CASES[name]["hub"][0]}

    root = load(clusters / name / "argocd-root.yaml")

    assert root == application(
        name, "root", None, {"destination": hub, "source": git(name, path=folder(name, "argocd"))}
    )


@every
def test_cilium_is_the_chart_with_the_values_of_this_repository(name: str, clusters: Path) -> None:
    repository, chart_name, version = CASES[name]["chart"]
    certificate = ["/data/ca.crt", "/data/tls.crt", "/data/tls.key"]
    values = folder(name, "cilium/values.yaml")
    helm = {"releaseName": "cilium", "valueFiles": [f"$values/{values}"]}

    found = below(clusters / name)[CILIUM]

    assert found == application(
        name,
        CILIUM,
        "1",
        {
            "destination": destination(name, CASES[name]["namespace"]),
            "sources": [
                {"repoURL": repository, "chart": chart_name, "targetRevision": version, "helm": helm},
                git(name, ref="values"),
            ],
            "ignoreDifferences": [
                {"kind": "ConfigMap", "name": "hubble-ca-cert", "jsonPointers": ["/data/ca.crt"]},
                {"kind": "Secret", "name": "hubble-relay-client-certs", "jsonPointers": certificate},
                {"kind": "Secret", "name": "hubble-server-certs", "jsonPointers": certificate},
            ],
            "options": ["CreateNamespace=true", "RespectIgnoreDifferences=true"],
        },
    )
    assert (clusters / values.removeprefix(f"{CASES[name]['folder']}/")).is_file()


@pytest.mark.parametrize("name", KEYED)
def test_secret_is_an_application_of_its_own(name: str, clusters: Path) -> None:
    found = below(clusters / name)[SECRETS]

    spec = {
        "destination": destination(name, CASES[name]["namespace"]),
        "source": git(name, path=folder(name, SECRETS)),
        "options": ["CreateNamespace=true"],
    }
    assert found == application(name, SECRETS, "0", spec)


@pytest.mark.parametrize("name", SHOWN)
def test_demo_is_an_application_of_its_own(name: str, clusters: Path) -> None:
    found = below(clusters / name)[DEMO]

    spec = {"destination": destination(name, "default"), "source": git(name, path=folder(name, DEMO))}
    assert found == application(name, DEMO, "2", spec)


@every
def test_below_the_root_are_the_parts_of_the_environment_and_no_other(name: str, clusters: Path) -> None:
    parts = set(CASES[name]["parts"])

    assert below(clusters / name).keys() == parts
    assert [part for part in parts if not (clusters / name / part).is_dir()] == []
    assert not (clusters / name / "flux").exists()


def test_parts_come_in_waves_of_whole_numbers(clusters: Path) -> None:
    waves = {
        part: one["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
        for part, one in below(clusters / "by-name").items()
    }

    assert sorted(waves, key=lambda part: int(waves[part])) == [SECRETS, CILIUM, DEMO]
    assert [wave for wave in waves.values() if not re.fullmatch(r"\d+", wave)] == []


def files(clusters: Path) -> list[Path]:
    return [*clusters.glob("*/argocd-root.yaml"), *clusters.glob("*/argocd/*.yaml")]


def test_no_application_takes_away_what_it_applied(clusters: Path) -> None:
    found = {file: load(file) for file in files(clusters)}

    assert [file for file, one in found.items() if "finalizers" in one["metadata"]] == []
    assert [file for file, one in found.items() if one["spec"]["syncPolicy"]["automated"] != {"prune": False}] == []
    text = "".join(file.read_text("utf-8") for file in found)
    assert re.findall(r"(?i)prune=true|finalizer|replace=true|force=true", text) == []


def test_one_hub_tells_its_clusters_applications_apart(clusters: Path) -> None:
    names = [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in map(load, files(clusters))]

    assert len(names) == len(set(names)) == sum(1 + len(case["parts"]) for case in CASES.values())


# The Secret


@pytest.mark.parametrize("name", KEYED)
def test_generator_has_ksops_decrypt_the_secret_beside_it(name: str, clusters: Path) -> None:
    secrets = clusters / name / SECRETS
    generator = load(secrets / "ksops.yaml")

    assert generator == {
        "apiVersion": "viaduct.ai/v1",
        "kind": "ksops",
        "metadata": {
            "name": "cilium-ipsec-keys",
            "annotations": {"config.kubernetes.io/function": "exec:\n  path: ksops\n"},
        },
        "files": ["./cilium-ipsec-keys.sops.yaml"],
    }
    assert load(secrets / "kustomization.yaml") == {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "generators": ["ksops.yaml"],
    }
    beside = {"cilium-ipsec-keys.sops.yaml", "ksops.yaml", "kustomization.yaml"}
    assert {file.name for file in secrets.iterdir()} == beside


@pytest.mark.parametrize("name", ["production", "mirror"])
def test_secret_that_ksops_hands_on_is_valid_and_outlives_its_application(
    name: str, clusters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(clusters.parent / "keys.txt"))

    secret = yaml.safe_load(rig.decrypt(clusters / name / rig.SECRET))

    kubernetes_validate.validate(secret, kubernetes_validate.latest_version(), strict=True)
    assert secret["metadata"]["namespace"] == CASES[name]["namespace"]
    assert secret["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"


NOT_BROUGHT = """\
# MISSING: nothing here brings the Secret cilium-ipsec-keys to the cluster, since gitops.argocd.secrets is none.
# clusters/none/secrets holds it for SOPS; decrypt and apply it by a way of your own, before Cilium.
"""
NOT_DECRYPTED = """\
# MISSING: Argo CD does not decrypt, since gitops.argocd.secrets is none, and no Application applies this folder.
# Bring the Secret to the cluster by a way of your own: an operator in the cluster or a plugin, before Cilium.
"""


def test_comments_say_what_is_missing_where_nothing_decrypts(clusters: Path) -> None:
    said = {
        file.relative_to(clusters).as_posix(): "".join(re.findall(r"(?m)^# MISSING.*\n(?:#.*\n)*", text))
        for file in sorted(clusters.rglob("*"))
        if file.is_file() and "MISSING" in (text := file.read_text("utf-8"))
    }

    assert said == {"none/argocd/cilium.yaml": NOT_BROUGHT, "none/secrets/kustomization.yaml": NOT_DECRYPTED}


def test_secret_that_nothing_decrypts_is_kept_for_another_way(clusters: Path) -> None:
    secrets = clusters / "none" / SECRETS

    assert load(secrets / "kustomization.yaml")["resources"] == ["cilium-ipsec-keys.sops.yaml"]
    assert sorted(file.name for file in secrets.iterdir()) == ["cilium-ipsec-keys.sops.yaml", "kustomization.yaml"]


ENDOR = {"Namespace", "Service", "Deployment"}
BUILT = {
    ("none", SECRETS): {"Secret"},
    ("none", DEMO): ENDOR,
    ("subfolder", DEMO): {"Pod"},
    ("by-name", DEMO): ENDOR | {"Pod"},
}


@pytest.mark.parametrize(("name", "part"), BUILT)
def test_folder_that_needs_no_ksops_builds_into_valid_objects(name: str, part: str, clusters: Path) -> None:
    command = [program("kubectl"), "kustomize", str(clusters / name / part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(yaml.safe_load_all(done.stdout))
    for one in found:
        one.pop("sops", None)
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert {one["kind"] for one in found} == BUILT[name, part]


# The samples


def test_argocd_environments_of_the_samples_are_all_looked_at() -> None:
    samples = {one.name for one in workspace.load(WorkTree(PROJECT)).environments if one.gitops.engine == "argocd"}

    assert samples | SMALL.keys() == CASES.keys()


def test_production_is_what_a_fleet_of_two_needs() -> None:
    found = {one.name: one for one in workspace.load(WorkTree(PROJECT), ["production", "production-b"]).environments}

    for one in found.values():
        ipsec = one.encryption.ipsec
        assert (one.encryption.type, ipsec.algorithm, ipsec.key_size) == ("ipsec", "rfc4106-gcm-aes", 256)
        assert (one.cilium.version, one.gitops.engine, one.kind) == ("1.20.0", "argocd", None)
        assert (one.demo.endor, one.demo.ping) == (False, False)
    assert [(one.name, one.cluster.mesh, one.cluster.id) for one in found.values()] == [
        *(("production", "production", 1), ("production-b", "production", 2))
    ]
