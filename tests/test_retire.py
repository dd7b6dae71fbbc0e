"""`keyturn retire`: the Secret of a cluster that is gone, and of no other."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import rig
from kit import IPSEC, WIREGUARD, Ran, Repo

if TYPE_CHECKING:
    from pathlib import Path

SECRET = f"clusters/lab/{rig.SECRET}"


@pytest.fixture
def lab(repo: Repo, home: Path) -> Repo:
    """An IPsec environment, rendered and committed, beside one without a key."""
    rig.lab(repo, home)
    repo.environment("other", WIREGUARD)
    assert rig.command(repo.root, "render").code == 0
    repo.commit("both")
    return repo


@pytest.fixture
def gone(lab: Repo) -> Repo:
    """The same, once the environment was taken away and the tree rendered."""
    (lab.root / "environments/lab.yaml").unlink()
    assert rig.command(lab.root, "render").code == 0
    return lab


def head(repo: Repo) -> str:
    return repo.git("rev-parse", "--short", "HEAD").strip()


def refused(repo: Repo, code: int, message: str, name: str = "lab") -> None:
    before = repo.files()
    assert rig.command(repo.root, "retire", name) == Ran(code, "", f"keyturn: error: {message}\n")
    assert repo.files() | {".keyturn.lock": b""} == before | {".keyturn.lock": b""}


def test_secret_of_a_cluster_that_is_gone_is_removed_and_said_where_git_has_it(gone: Repo) -> None:
    secret = gone.read(SECRET)

    ran = gone.run("retire", "lab")

    told = f"git show {head(gone)}:./{SECRET}"
    assert ran == Ran(0, f"removed {SECRET}\n", f"keyturn: git keeps the Secret: {told}\n")
    assert not (gone.root / "clusters/lab").exists()
    assert subprocess.check_output(shlex.split(told), cwd=gone.root, text=True) == secret


def test_json_names_what_was_removed_and_the_commit_that_has_it(gone: Repo) -> None:
    ran = gone.run("retire", "lab", "--output", "json")

    answer = {"environment": "lab", "removed": [SECRET], "commit": head(gone)}
    told = f"keyturn: git keeps the Secret: git show {head(gone)}:./{SECRET}\n"
    assert (ran.code, json.loads(ran.out), ran.err) == (0, answer, told)


def test_secret_of_a_cluster_that_left_ipsec_is_removed(lab: Repo) -> None:
    lab.environment("lab", WIREGUARD)
    rig.command(lab.root, "render")

    ran = rig.command(lab.root, "retire", "lab")

    assert (ran.code, ran.out, (lab.root / SECRET).exists()) == (0, f"removed {SECRET}\n", False)
    assert rig.command(lab.root, "render").err == ""


def test_files_of_others_beside_the_secret_stay(gone: Repo) -> None:
    gone.write("clusters/lab/secrets/notes.txt", "mine\n")

    ran = rig.command(gone.root, "retire", "lab")

    assert (ran.code, gone.read("clusters/lab/secrets/notes.txt")) == (0, "mine\n")


def test_retire_before_the_next_render_leaves_the_rest_to_it(lab: Repo) -> None:
    (lab.root / "environments/lab.yaml").unlink()

    retired = rig.command(lab.root, "retire", "lab")
    ran = rig.command(lab.root, "render")

    assert (retired.code, ran.code, ran.err, (lab.root / "clusters/lab").exists()) == (0, 0, "", False)


def test_commit_is_the_last_one_that_wrote_the_secret(gone: Repo) -> None:
    wrote = head(gone)
    gone.commit("the environment is gone")

    ran = rig.command(gone.root, "retire", "lab")

    assert ran.err == f"keyturn: git keeps the Secret: git show {wrote}:./{SECRET}\n"


def test_workspace_in_a_folder_of_the_repository_can_retire(repo: Repo, home: Path) -> None:
    repo.init()
    inner = Repo(repo.root / "platform")
    inner.environment("lab")
    inner.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    rig.command(inner.root, "render")
    repo.commit()
    inner.environment("lab", WIREGUARD)
    secret = inner.read(SECRET)

    ran = rig.command(inner.root, "retire", "lab")

    told = ran.err.rpartition(": ")[2]
    assert (ran.code, ran.out) == (0, f"removed {SECRET}\n")
    assert subprocess.check_output(shlex.split(told), cwd=inner.root, text=True) == secret


def test_shallow_clone_can_retire(gone: Repo, tmp_path: Path) -> None:
    gone.commit("the environment is gone")
    clone = Repo(tmp_path / "clone")
    command = ["git", "clone", "-q", "--depth", "1", gone.root.as_uri(), str(clone.root)]
    subprocess.run(command, check=True, capture_output=True)

    ran = rig.command(clone.root, "retire", "lab")

    told = f"git show {head(clone)}:./{SECRET}"
    assert ran == Ran(0, f"removed {SECRET}\n", f"keyturn: git keeps the Secret: {told}\n")


def test_secret_that_is_still_asked_for_is_refused(lab: Repo) -> None:
    refused(
        lab,
        3,
        "lab still asks for IPsec, and a key that is gone is never made anew; "
        "change encryption.type in environments/lab.yaml, or remove the file",
    )


def test_environment_that_cannot_be_read_is_told_and_nothing_removed(lab: Repo) -> None:
    lab.environment("lab", WIREGUARD.replace("wireguard", "wiregard"))
    before = rig.standing(lab.root, without=(".git",))

    ran = rig.command(lab.root, "retire", "lab")

    assert (ran.code, ran.out, ran.err.startswith("environments/lab.yaml:2:20: error: ")) == (2, "", True)
    assert rig.standing(lab.root, without=(".git",)) == before


LOST = "keyturn: git does not hold that Secret as it stood here, so it cannot be had back\n"


def test_secret_that_was_never_committed_is_removed_and_said_to_be_lost(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    rig.command(repo.root, "render")
    repo.environment("lab", WIREGUARD)

    ran = rig.command(repo.root, "retire", "lab", "--output", "json")

    answer = {"environment": "lab", "removed": [SECRET], "commit": None}
    assert (ran.code, json.loads(ran.out), ran.err) == (0, answer, LOST)


def test_secret_that_differs_from_head_is_said_to_be_lost(gone: Repo) -> None:
    gone.write(SECRET, gone.read(SECRET).replace("lastmodified", "last_modified"))

    assert rig.command(gone.root, "retire", "lab") == Ran(0, f"removed {SECRET}\n", LOST)


def test_secret_outside_git_is_said_to_be_lost(gone: Repo) -> None:
    shutil.rmtree(gone.root / ".git")

    assert rig.command(gone.root, "retire", "lab") == Ran(0, f"removed {SECRET}\n", LOST)


def test_retire_does_not_depend_on_the_users_git_settings(gone: Repo) -> None:
    gone.git("config", "log.showRoot", "false")

    ran = rig.command(gone.root, "retire", "lab")

    told = f"git show {head(gone)}:./{SECRET}"
    assert ran == Ran(0, f"removed {SECRET}\n", f"keyturn: git keeps the Secret: {told}\n")


def test_file_that_is_not_the_secret_is_refused(gone: Repo) -> None:
    gone.write(SECRET, "kind: Secret\nmetadata: {name: somebody-elses}\n")
    gone.commit("not ours")

    refused(gone, 3, f"{SECRET} is not the Secret cilium-ipsec-keys; remove it by hand")


def test_link_in_place_of_the_secret_is_refused(gone: Repo) -> None:
    (gone.root / SECRET).rename(gone.root / "kept.yaml")
    (gone.root / SECRET).symlink_to("../../../kept.yaml")

    refused(gone, 3, f"{SECRET} is not a regular file; move it away")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("lap", "; did you mean lab?"), ("other", ""), ("../lab", "; did you mean lab?"), ("nothing-like-it", "")],
)
def test_name_without_a_secret_is_an_input_error(gone: Repo, name: str, hint: str) -> None:
    before = rig.standing(gone.root, without=(".git",))

    ran = rig.command(gone.root, "retire", name)

    assert ran == Ran(2, "", f"keyturn: error: no Secret of an environment {name!r}{hint}\n")
    assert rig.standing(gone.root, without=(".git",)) == before


def test_retired_secret_that_is_restored_is_taken_again(lab: Repo) -> None:
    before = lab.files()
    lab.environment("lab", WIREGUARD)
    rig.command(lab.root, "render")
    rig.command(lab.root, "retire", "lab")
    lab.environment("lab", IPSEC)
    lab.git("restore", SECRET)

    ran = rig.command(lab.root, "render")

    assert (ran.code, ran.err) == (0, "")
    assert lab.files() == before


def test_secret_that_a_link_leads_to_is_another_clusters_and_stays(lab: Repo) -> None:
    (lab.root / "clusters/old").mkdir()
    (lab.root / "clusters/old/secrets").symlink_to("../lab/secrets")

    refused(lab, 2, "no Secret of an environment 'old'", name="old")
