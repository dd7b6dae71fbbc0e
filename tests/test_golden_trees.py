"""Whole trees, as a reviewer sees them and as the real tools take them.

`golden/trees/<environment>/` is the tree of a sample of this repository, or of an environment of `golden/workspace/`:
all of it but the Secret, of which the clear part stands in `secret.txt`, with what is chance cut out.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import rig
import yaml
from kit import HERE, PROJECT, Repo, program

from generator import workspace
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOLDEN = HERE / "golden" / "trees"
SAMPLES = PROJECT / "environments"
FURTHER = HERE / "golden" / "workspace" / "environments"
SAMPLE = {one.name: one for one in workspace.load(WorkTree(SAMPLES.parent)).environments}
ENVIRONMENT = SAMPLE | {one.name: one for one in workspace.load(WorkTree(FURTHER.parent)).environments}
IPSEC = [name for name, one in ENVIRONMENT.items() if one.encryption.type == "ipsec"]
FLUX = [name for name, one in ENVIRONMENT.items() if one.gitops.engine == "flux"]
LABS = [name for name, one in SAMPLE.items() if one.kind]

CLEAR = "secret.txt"
CORE = ("v1", "apps/v1")
VERSIONS = ("1.26.0", kubernetes_validate.latest_version())  # the oldest that Cilium 1.15 is tested on, and the newest

Object = dict[str, Any]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Environment -> its folder of `clusters/`, rendered once by the real command with the real sops."""
    found: dict[str, Path] = {}
    for source in (SAMPLES, FURTHER):
        root = tmp_path_factory.mktemp("workspace")
        shutil.copytree(source, root / "environments")
        if source is SAMPLES:
            shutil.copytree(PROJECT / "templates", root / "templates")
        env = {"HOME": str(root), "SOPS_AGE_KEY_FILE": str(root / "keys.txt"), "PYTHONPATH": str(PROJECT)}
        ran = Repo(root).run("render", "--new-identity", "--strict", env=env)
        assert ran.code == 0, ran.err
        found |= {tree.name: tree for tree in (root / "clusters").iterdir()}
    return found


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def buildable(tree: Path) -> list[Path]:
    """The folders that kustomize builds by itself, without a program that decrypts."""
    found = {file.parent: yaml.safe_load(file.read_text("utf-8")) for file in sorted(tree.rglob("kustomization.yaml"))}
    return [folder for folder, kustomization in found.items() if "generators" not in kustomization]


def objects(text: str) -> list[Object]:
    return [document for document in yaml.safe_load_all(text) if document]


@functools.cache
def built(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder."""
    done = subprocess.run([program("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def flux(tree: Path) -> dict[str, Object]:
    """The Flux Kustomizations of a tree, by name of their file."""
    return {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in (tree / "flux").glob("*.yaml")}


def clear_part(text: str) -> str:
    """A Secret without its ciphertext, the `sops` block, and what chance and the clock put in."""
    text = text[: text.index("\nsops:\n") + 1]
    text = re.sub(r"ENC\[AES256_GCM,data:[^]]+,type:str\]", "<CIPHERTEXT>", text)
    text = re.sub(r"fingerprint: sha256:[0-9a-f]{32}\n", "fingerprint: <fingerprint>\n", text)
    return re.sub(r'created: "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', "created: <time>", text)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_tree_is_the_golden_one(name: str, trees: dict[str, Path], golden: Callable[[Path, str], None]) -> None:
    tree = contents(trees[name])
    if name in IPSEC:
        tree[CLEAR] = clear_part(tree.pop(rig.SECRET))

    for path, text in tree.items():
        golden(GOLDEN / name / path, text)
    assert contents(GOLDEN / name).keys() == tree.keys()


def test_there_is_a_golden_tree_for_each_environment_and_no_other() -> None:
    assert sorted(folder.name for folder in GOLDEN.iterdir()) == sorted(ENVIRONMENT)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_every_kustomization_builds(name: str, trees: dict[str, Path]) -> None:
    kinds = {folder.name: [one["kind"] for one in objects(built(folder))] for folder in buildable(trees[name])}

    assert kinds == KINDS[name]


ENDOR = ["Namespace", "Service", "Deployment", "Deployment", "Deployment"]
CILIUM = ["ConfigMap", "HelmRelease", "HelmRepository"]
KINDS = {
    "lab-ipsec": {"cilium": CILIUM, "demo": [*ENDOR, "Pod", "Pod"], "secrets": ["Secret"]},
    "lab-node-encryption": {"demo": [*ENDOR, "Pod", "Pod"]},
    "lab-wireguard": {"cilium": CILIUM, "demo": [*ENDOR, "Pod", "Pod"]},
    "production": {},
    "production-b": {},
    "argocd-server": {"demo": ["Pod", "Pod"], "secrets": ["Secret"]},
    "cbc-1-15": {"cilium": CILIUM, "secrets": ["Secret"]},
    "no-engine": {},
    "oci-1-20": {"cilium": ["ConfigMap", "HelmRelease", "OCIRepository"], "demo": ["Pod", "Pod"]},
    "subfolder": {"cilium": CILIUM, "demo": ENDOR, "secrets": ["Secret"]},
}


@pytest.mark.parametrize("name", FLUX)
def test_new_values_are_a_new_config_map_that_the_release_names(
    name: str, trees: dict[str, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "cilium"
    shutil.copytree(trees[name] / "cilium", copy)
    values = copy / "values.yaml"
    values.write_text(values.read_text("utf-8") + "debug: {enabled: true}\n", "utf-8")

    before, after = _values_names(built(trees[name] / "cilium")), _values_names(built(copy))

    assert before[0].startswith("cilium-values-")
    assert (before[0], after[0]) == (before[1], after[1])
    assert before != after


def _values_names(text: str) -> tuple[str, str]:
    """The generated ConfigMap's name, and the one in the HelmRelease."""
    by_kind = {found["kind"]: found for found in objects(text)}
    assert by_kind["ConfigMap"]["metadata"]["namespace"] == by_kind["HelmRelease"]["metadata"]["namespace"]
    return by_kind["ConfigMap"]["metadata"]["name"], by_kind["HelmRelease"]["spec"]["valuesFrom"][0]["name"]


@pytest.mark.parametrize("name", FLUX)
def test_config_map_holds_the_values_file_whole(name: str, trees: dict[str, Path]) -> None:
    found = next(one for one in objects(built(trees[name] / "cilium")) if one["kind"] == "ConfigMap")

    assert found["data"] == {"values.yaml": (trees[name] / "cilium" / "values.yaml").read_text("utf-8")}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ENVIRONMENT)
def test_every_core_object_validates_strictly(name: str, version: str, trees: dict[str, Path]) -> None:
    core = [one for folder in buildable(trees[name]) for one in objects(built(folder)) if one["apiVersion"] in CORE]
    for one in core:
        one.pop("sops", None)
        kubernetes_validate.validate(one, version, strict=True)

    expected = sum(
        len([kind for kind in kinds if "Helm" not in kind and "OCI" not in kind]) for kinds in KINDS[name].values()
    )
    assert len(core) == expected


@pytest.mark.parametrize("name", [name for name in IPSEC if "secrets" in KINDS[name]])
def test_secret_reaches_the_cluster_as_sops_wrote_it(name: str, trees: dict[str, Path]) -> None:
    [secret] = objects(built(trees[name] / "secrets"))

    assert secret == yaml.safe_load((trees[name] / rig.SECRET).read_text("utf-8"))
    assert re.fullmatch(r"ENC\[AES256_GCM,data:.+,iv:.+,tag:.+,type:str\]", secret["stringData"]["keys"])


RELEASE_GUARDS = {
    "releaseName": "cilium",
    "timeout": "15m",
    "install": {"strategy": {"name": "RetryOnFailure"}},
    "upgrade": {"strategy": {"name": "RetryOnFailure"}},
}


@pytest.mark.parametrize("name", FLUX)
def test_helm_release_is_the_one_that_helm_installed(name: str, trees: dict[str, Path]) -> None:
    by_kind = {found["kind"]: found for found in objects(built(trees[name] / "cilium"))}
    namespace = "cilium" if name == "cbc-1-15" else "kube-system"

    release, config = by_kind["HelmRelease"], by_kind["ConfigMap"]["metadata"]

    assert release["metadata"] == {
        "name": "cilium",
        "namespace": namespace,
        "annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"},
    }
    source = release["spec"].pop("chartRef", None) or release["spec"].pop("chart")
    assert source == SOURCES.get(name, _chart("1.16.0"))
    assert release["spec"] == {
        **RELEASE_GUARDS,
        "interval": "30m" if name == "subfolder" else "10m",
        "targetNamespace": namespace,
        "storageNamespace": namespace,
        "valuesFrom": [{"kind": "ConfigMap", "name": config["name"], "valuesKey": "values.yaml"}],
    }


def _chart(version: str, name: str = "cilium") -> Object:
    return {"spec": {"chart": name, "version": version, "sourceRef": {"kind": "HelmRepository", "name": "cilium"}}}


SOURCES = {
    "cbc-1-15": _chart("1.15.19"),
    "oci-1-20": {"kind": "OCIRepository", "name": "cilium"},
    "subfolder": _chart("1.19.6", "cilium-lts"),
}


@pytest.mark.parametrize("name", FLUX)
def test_taking_objects_out_of_git_uninstalls_nothing(name: str, trees: dict[str, Path]) -> None:
    built_ones = [
        one for part in ("cilium", "secrets") if part in KINDS[name] for one in objects(built(trees[name] / part))
    ]
    kept = {
        one["kind"]
        for one in built_ones
        if one["metadata"].get("annotations", {}).get("kustomize.toolkit.fluxcd.io/prune") == "disabled"
    }
    orphans = {stem: one["spec"]["deletionPolicy"] for stem, one in flux(trees[name]).items()}

    assert {one["kind"] for one in built_ones} - kept == {"ConfigMap"}  # the network does not hang on it
    assert orphans == dict.fromkeys(KINDS[name], "Orphan")


@pytest.mark.parametrize("name", FLUX)
def test_kustomizations_wait_for_one_another(name: str, trees: dict[str, Path]) -> None:
    chain = {stem: one["spec"].get("dependsOn") for stem, one in flux(trees[name]).items()}

    assert chain == {
        **({"secrets": None} if "secrets" in KINDS[name] else {}),
        "cilium": [{"name": f"{name}-secrets"}] if "secrets" in KINDS[name] else None,
        **({"demo": [{"name": f"{name}-cilium"}]} if "demo" in KINDS[name] else {}),
    }


@pytest.mark.parametrize("name", FLUX)
def test_only_the_secrets_kustomization_decrypts(name: str, trees: dict[str, Path]) -> None:
    decryption = {stem: one["spec"].get("decryption") for stem, one in flux(trees[name]).items()}

    key = "fleet-age" if name == "subfolder" else "sops-age"
    expected = dict.fromkeys(KINDS[name])
    assert decryption == expected | (
        {"secrets": {"provider": "sops", "secretRef": {"name": key}}} if "secrets" in KINDS[name] else {}
    )


@pytest.mark.parametrize("name", FLUX)
def test_kustomizations_name_the_folders_of_the_repository(name: str, trees: dict[str, Path]) -> None:
    above = "./platform/eu/clusters" if name == "subfolder" else "./clusters"
    source, namespace = ("fleet", "gitops") if name == "subfolder" else ("flux-system", "flux-system")

    found = {
        stem: (one["metadata"], one["spec"]["path"], one["spec"]["sourceRef"])
        for stem, one in flux(trees[name]).items()
    }

    assert found == {
        stem: (
            {"name": f"{name}-{stem}", "namespace": namespace},
            f"{above}/{name}/{stem}",
            {"kind": "GitRepository", "name": source},
        )
        for stem in KINDS[name]
    }


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_bootstrap_script_is_clean_shell(name: str, trees: dict[str, Path]) -> None:
    done = subprocess.run(
        [program("shellcheck"), str(trees[name] / "bootstrap.sh")], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", LABS)
def test_kind_cluster_is_the_labs(name: str, trees: dict[str, Path]) -> None:
    found = yaml.safe_load((trees[name] / "kind.yaml").read_text("utf-8"))

    assert found == {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": "kind",
        "nodes": [{"role": "control-plane"}, {"role": "worker"}, {"role": "worker"}, {"role": "worker"}],
        "networking": {"disableDefaultCNI": True},
    }


def test_samples_are_a_lab_of_three_and_production() -> None:
    assert LABS == ["lab-ipsec", "lab-node-encryption", "lab-wireguard"]
    assert sorted(SAMPLE) == [*LABS, "production", "production-b"]


IPSEC_ALONE = {"enabled": True, "type": "ipsec", "nodeEncryption": False}
WIREGUARD_ALONE = {"enabled": True, "type": "wireguard", "nodeEncryption": False}
ENCRYPTION = {
    **dict.fromkeys(IPSEC, IPSEC_ALONE),
    "lab-node-encryption": WIREGUARD_ALONE | {"nodeEncryption": True},
    "lab-wireguard": WIREGUARD_ALONE,
    "no-engine": {"enabled": False, "nodeEncryption": False},
    "oci-1-20": WIREGUARD_ALONE,
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_values_say_what_the_environment_asks_for(name: str, trees: dict[str, Path]) -> None:
    values = yaml.safe_load((trees[name] / "cilium" / "values.yaml").read_text("utf-8"))

    said = {key: value for key, value in values["encryption"].items() if not isinstance(value, dict)}

    assert said == ENCRYPTION[name]
