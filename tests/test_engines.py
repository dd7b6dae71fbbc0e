"""What engines have in common: one takes the other's place without touching the key, and what none could work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import rig
from kit import Ran

from generator import workspace
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path

    from kit import Repo

SECRET = f"clusters/lab/{rig.SECRET}"
REPOSITORY = "https://git.example.com/platform/clusters.git"


def lab(engine: str, gitops: str = f"repository: '{REPOSITORY}'", encryption: str = "ipsec") -> str:
    return (
        "cilium: {version: 1.18.12, values: {hubble: {enabled: false}}}\n"
        f"encryption: {{type: {encryption}}}\n"
        f"gitops: {{engine: {engine}, {gitops}}}\n"
    )


SHOWN = "demo: {ping: true}\n"
OF_ENGINE = {
    "flux": {
        *("cilium/helmrelease.yaml", "cilium/helmrepository.yaml", "cilium/kustomization.yaml"),
        *("cilium/kustomizeconfig.yaml", "flux/cilium.yaml", "flux/demo.yaml", "flux/secrets.yaml"),
    },
    "argocd": {
        *("argocd-root.yaml", "argocd/cilium.yaml", "argocd/demo.yaml", "argocd/secrets.yaml", "secrets/ksops.yaml"),
    },
    "none": set(),
}
ALWAYS = {
    *("bootstrap.sh", "cilium/values.yaml", "demo/kustomization.yaml", "demo/ping.yaml"),
    *(rig.SECRET, "secrets/kustomization.yaml"),
}


@pytest.mark.parametrize(("old", "new"), [("flux", "argocd"), ("argocd", "flux"), ("argocd", "none")])
def test_new_engine_replaces_the_files_of_the_old_one_and_leaves_the_secret(
    old: str, new: str, repo: Repo, home: Path
) -> None:
    rig.lab(repo, home, lab(old) + SHOWN)
    assert rig.command(repo.root, "render").code == 0
    before = rig.standing(repo.root)[SECRET]
    repo.environment("lab", lab(new) + SHOWN)

    turned, again = rig.command(repo.root, "render"), rig.command(repo.root, "render", "--check")

    tree = {path.removeprefix("clusters/lab/") for path in repo.files() if path.startswith("clusters/")}
    gone = "is gone, and its Applications work on in Argo CD until somebody deletes them there"
    told = f"keyturn: clusters/lab/argocd-root.yaml {gone}\n" if old == "argocd" else ""
    assert (turned.code, turned.err, again.code) == (0, told, 0)
    assert rig.standing(repo.root)[SECRET] == before
    assert tree == ALWAYS | OF_ENGINE[new]


def test_root_application_that_changed_is_left_to_a_person(repo: Repo, home: Path) -> None:
    rig.lab(repo, home, lab("argocd"))
    assert rig.command(repo.root, "render").code == 0
    repo.environment("lab", lab("argocd").replace("engine: argocd", "engine: argocd, revision: v2"))

    checked, ran = rig.command(repo.root, "render", "--check"), rig.command(repo.root, "render")

    told = "keyturn: clusters/lab/argocd-root.yaml changed, and nobody but a person applies it\n"
    assert (checked.err, ran.err) == ("", told)


def test_environment_that_leaves_argocd_is_taken_away_but_for_the_secret(repo: Repo, home: Path) -> None:
    rig.lab(repo, home, lab("argocd"))
    assert rig.command(repo.root, "render").code == 0
    before = rig.standing(repo.root)[SECRET]
    (repo.root / "environments/lab.yaml").unlink()

    assert rig.command(repo.root, "render").code == 0

    assert rig.standing(repo.root)[SECRET] == before
    assert [path for path in repo.files() if path.startswith("clusters/")] == [SECRET]


TWICE = "gitops.argocd.destination: expected server or name; keep one, and write null for the other [destination]"
NOWHERE = f"gitops.repository is missing, and Argo CD has to be told it; such as repository: {REPOSITORY} [missing-key]"
BOTH = "argocd: {destination: {server: 'https://203.0.113.7', name: lab}}"


@pytest.mark.parametrize(
    ("gitops", "line"),
    [
        (f"{BOTH}, repository: '{REPOSITORY}'", f"3:48: error: {TWICE}"),
        ("revision: main", f"3:9: error: {NOWHERE}"),
    ],
)
def test_application_that_could_not_work_is_refused(gitops: str, line: str, repo: Repo) -> None:
    repo.environment("lab", lab("argocd", gitops))

    ran = rig.command(repo.root, "render")

    assert ran == Ran(2, "", f"environments/lab.yaml:{line}\n")
    assert not (repo.root / "clusters").exists()


def test_name_beside_the_server_of_a_group_is_refused(repo: Repo) -> None:
    repo.write("environments/groups/hub.yaml", "gitops: {argocd: {destination: {server: 'https://203.0.113.7'}}}\n")
    named = lab("argocd", f"repository: '{REPOSITORY}', argocd: {{destination: {{name: lab}}}}")
    repo.environment("lab", f"extends: [hub]\n{named}")

    ran = rig.command(repo.root, "render")

    assert (
        ran.code,
        ran.err.endswith("expected server or name; keep one, and write null for the other [destination]\n"),
    ) == (2, True)


@pytest.mark.parametrize("engine", ["argocd", "flux", "none"])
def test_name_leaves_room_for_its_longest_part_in_a_label(engine: str, repo: Repo) -> None:
    for length in (55, 56):
        repo.environment("e" * length, "cluster: {name: lab}\n" + lab(engine))

    told = [(finding.path, finding.rule, finding.level) for finding in workspace.load(WorkTree(repo.root)).findings]

    refused = [(f"environments/{'e' * 56}.yaml", "engine-name", "error")]
    assert told == (refused if engine != "none" else [])


@pytest.mark.parametrize("engine", ["argocd", "flux"])
def test_path_that_is_not_the_folder_in_git_is_a_warning(engine: str, repo: Repo) -> None:
    repo.init()
    repo.environment("lab", lab(engine, f"repository: '{REPOSITORY}', path: fleet"))

    (told,) = workspace.load(WorkTree(repo.root)).findings

    assert (told.rule, told.level, told.hint) == ("gitops-path", "warning", "the engine would not find the tree")
