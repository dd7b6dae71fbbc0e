"""`keyturn init`: where it writes, what, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import rig
import yaml
from alone import CREATED, HOOKS, NEXT, SWITCH_ON, WRITTEN, init, keyturn, told
from kit import Ran, Repo

if TYPE_CHECKING:
    from pathlib import Path


def refused(folder: Path, names: str) -> Ran:
    hint = "name an empty folder or repository; nothing was written"
    return Ran(3, "", f"keyturn: error: {folder} is not empty: {names}; {hint}\n")


def branch(folder: Path) -> str:
    return Repo(folder).git("symbolic-ref", "--short", "HEAD").strip()


# Where it writes, and what


def test_empty_folder_becomes_a_repository_of_clusters(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.root)

    ran = init()

    assert ran == Ran(0, CREATED, told(repo.root, repository=True, root=""))
    assert repo.files() == WRITTEN
    assert branch(repo.root) == "main"


@pytest.mark.parametrize("folder", ["clusters", "not/there/yet"])
def test_missing_folder_is_made_with_its_parents(tmp_path: Path, folder: str) -> None:
    target = tmp_path / folder

    ran = init(target)

    assert ran == Ran(0, CREATED, told(target, repository=True))
    assert (Repo(target).files(), branch(target)) == (WRITTEN, "main")


def test_folder_is_named_from_where_the_person_is(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.root)

    ran = init("mine")

    made = f"keyturn: made a git repository in {repo.root / 'mine'}\n"
    assert ran == Ran(
        0,
        CREATED,
        f"{made}{SWITCH_ON}keyturn: {NEXT} keyturn --root mine render --new-identity\n",
    )
    assert Repo(repo.root / "mine").files() == WRITTEN


def test_empty_repository_keeps_its_branch_and_is_not_made_anew(repo: Repo) -> None:
    repo.git("init", "-q", "-b", "trunk")
    before = rig.standing(repo.root / ".git")

    ran = init(repo.root)

    assert ran == Ran(0, CREATED, told(repo.root, repository=False))
    assert (rig.standing(repo.root / ".git"), repo.files()) == (before, WRITTEN)


def test_worktree_whose_git_directory_is_elsewhere_is_a_repository_too(repo: Repo, tmp_path: Path) -> None:
    repo.git("init", "-q", "--separate-git-dir", str(tmp_path / "git"))

    ran = init(repo.root)

    assert ran == Ran(0, CREATED, told(repo.root, repository=False))


def test_neither_a_persons_settings_nor_a_hook_change_what_is_made(
    repo: Repo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = trunk\n", "utf-8")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "git"))

    init(repo.root)

    monkeypatch.delenv("GIT_DIR")
    assert (branch(repo.root), (tmp_path / "git").exists()) == ("main", False)


def test_what_a_forge_and_a_person_made_before_is_kept(repo: Repo) -> None:
    repo.init()
    theirs = {"README.md": b"# Ours\r\n", "LICENSE": b"MIT", "NOTICE.txt": b"\xff", ".venv/bin/keyturn": b"#!python"}
    for path, data in theirs.items():
        repo.write(path, data)
    before = rig.standing(repo.root)

    ran = init(repo.root)

    created = CREATED.replace("created README.md\n", "")
    after = rig.standing(repo.root)
    assert ran == Ran(0, created, told(repo.root, repository=False))
    assert repo.files() == WRITTEN | theirs
    assert {path: after[path] for path in theirs} == {path: before[path] for path in theirs}


@pytest.mark.parametrize("name", ["clusters", "platform/eu", "2026", "true"])
def test_subfolder_of_a_repository_says_where_it_is(repo: Repo, name: str) -> None:
    repo.init()
    repo.write("other.txt", "of somebody else\n")
    folder = repo.root / name

    ran = init(folder)

    up = "../" * (name.count("/") + 1)
    created = f"{CREATED}created {up}{HOOKS}\n".replace(f"created {HOOKS}\n", "", 1)
    assert ran == Ran(0, created, told(folder, repository=False))
    assert not (folder / ".git").exists()
    rendered = rig.command(folder, "render", "--new-identity", "lab-ipsec")
    assert (rendered.code, "gitops" in rendered.err) == (0, False), rendered.err
    flux = (folder / "clusters" / "lab-ipsec" / "flux" / "secrets.yaml").read_text("utf-8")
    assert yaml.safe_load(flux)["spec"]["path"] == f"./{name}/clusters/lab-ipsec/secrets"


def test_folder_beside_a_repository_is_not_taken_for_a_part_of_it(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.init()
    monkeypatch.chdir(repo.root)

    ran = init("../beside")

    assert ran.code == 0
    assert (Repo(tmp_path / "beside").files(), branch(tmp_path / "beside")) == (WRITTEN, "main")


def test_folder_reached_by_a_link_is_the_one_it_leads_to(repo: Repo, tmp_path: Path) -> None:
    repo.init()
    (repo.root / "clusters").mkdir()
    (tmp_path / "link").symlink_to(repo.root / "clusters")

    ran = init(tmp_path / "link")

    assert (ran.code, (repo.root / "clusters" / ".git").exists()) == (0, False)
    assert repo.read("clusters/environments/defaults.yaml").endswith("gitops:\n  path: clusters\n")


def test_second_run_creates_nothing(repo: Repo) -> None:
    init(repo.root)
    before = rig.standing(repo.root)

    ran = init(repo.root)

    assert ran == Ran(0, "", told(repo.root, repository=False, hooks=False))
    assert rig.standing(repo.root) == before


@pytest.mark.parametrize("folder", [".", "platform"])
def test_what_a_killed_run_did_not_write_is_written_by_the_next(repo: Repo, folder: str) -> None:
    repo.init()
    init(repo.root / folder)
    there = Repo(repo.root / folder)
    whole = there.files()
    for path in ("README.md", "environments/production.yaml"):
        (there.root / path).unlink()
    leftover = there.write("environments/.production.yaml.keyturn-tmp", "half of ")
    before = rig.standing(there.root / "environments" / "groups")

    ran = init(there.root)

    created = "created README.md\ncreated environments/production.yaml\n"
    assert ran == Ran(0, created, told(there.root, repository=False, hooks=False))
    assert (there.files(), leftover.exists()) == (whole, False)
    assert rig.standing(there.root / "environments" / "groups") == before


# What it refuses


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (["notes.txt"], "notes.txt"),
        (["environments/lab.yaml"], "environments/lab.yaml"),
        (["src/.git/config"], "src/.git/config"),
        (["Makefile"], "Makefile"),
        (["sub/README.md"], "sub/README.md"),
        (["c", "a", "b"], "a, b, c"),
    ],
)
def test_folder_with_anything_else_is_refused_by_name_and_left_alone(repo: Repo, paths: list[str], named: str) -> None:
    for path in paths:
        repo.write(path, "mine\n")
    before = rig.standing(repo.root)

    ran = init(repo.root)

    assert ran == refused(repo.root, named)
    assert rig.standing(repo.root) == before


def test_of_many_files_a_few_are_named(repo: Repo) -> None:
    for number in range(9):
        repo.write(f"{number}.txt", "")

    ran = init(repo.root)

    assert (ran.code, ran.out, ran.err.count(".txt"), ran.err.count("\n")) == (3, "", 3, 1)
    assert " and more; name an empty folder" in ran.err


def test_changed_file_is_not_overwritten(repo: Repo) -> None:
    init(repo.root)
    with (repo.root / "environments" / "lab-ipsec.yaml").open("a", encoding="utf-8") as stream:
        stream.write("protected: true\n")
    (repo.root / "Makefile").unlink()
    before = rig.standing(repo.root)

    ran = init(repo.root)

    assert ran == refused(repo.root, "environments/lab-ipsec.yaml")
    assert rig.standing(repo.root) == before


def test_rendered_repository_is_not_started_again(repo: Repo) -> None:
    init(repo.root)
    rig.command(repo.root, "render", "--new-identity", "lab-ipsec")
    before = rig.standing(repo.root)

    ran = init(repo.root)

    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"keyturn: error: {repo.root} is not empty: .sops.yaml, clusters/")
    assert rig.standing(repo.root) == before


def test_what_stands_in_the_folder_is_told_in_order_on_any_disk(repo: Repo) -> None:
    for number in range(9):
        repo.write(f"{number}/file", "mine\n")

    ran = init(repo.root)

    assert f"{repo.root} is not empty: 0/file, 1/file, 2/file and more; " in ran.err


def test_file_is_no_folder(repo: Repo) -> None:
    file = repo.write("file", "mine\n")

    ran = init(file)

    assert ran == Ran(2, "", f"keyturn: error: {file} is not a folder\n")
    assert repo.files() == {"file": b"mine\n"}


def test_nothing_is_written_through_a_link(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (repo.root / "environments").symlink_to(tmp_path / "elsewhere")

    ran = init(repo.root)

    assert ran.code in (2, 3)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("folder", [".", "not/there/yet"])
def test_without_git_nothing_is_written(repo: Repo, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    before = rig.standing(repo.root)
    monkeypatch.setenv("PATH", str(repo.root))

    ran = init(repo.root / folder)

    assert ran == Ran(3, "", "keyturn: error: git is not to be found\n")
    assert rig.standing(repo.root) == before


def test_folder_that_may_not_be_written_is_told(repo: Repo) -> None:
    repo.init()
    repo.root.chmod(0o555)
    if os.access(repo.root, os.W_OK):
        pytest.skip("this user may write anywhere")

    ran = init(repo.root)

    repo.root.chmod(0o755)
    assert (ran.code, ran.out, ran.err.count("\n"), repo.files()) == (3, "", 1, {})
    assert ran.err.endswith(": Permission denied\n")


def test_full_disk_leaves_no_file(repo: Repo) -> None:
    repo.init()
    # The size that a file may have stands in for the space on a disk; the schema is larger.
    least, most = len(WRITTEN["README.md"]), len(WRITTEN["environments/.schema.json"])
    limit = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({(least + most) // 2},) * 2)"

    done = subprocess.run(
        [sys.executable, "-c", f"{limit}; from generator.__main__ import main; main()", "init", str(repo.root)],
        capture_output=True,
        text=True,
        check=False,
    )

    file = repo.root / "environments" / ".schema.json"
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"keyturn: error: {file}: {os.strerror(errno.EFBIG)}\n"
    assert repo.files() == {}


# How it answers


def test_json_names_the_root_and_what_was_created(repo: Repo) -> None:
    whole, nothing = (init(repo.root, "--output", "json") for _ in range(2))

    assert (whole.code, nothing.code) == (0, 0)
    assert json.loads(whole.out) == {"root": str(repo.root), "created": sorted(WRITTEN)}
    assert json.loads(nothing.out) == {"root": str(repo.root), "created": []}


def test_quiet_leaves_out_what_was_created(repo: Repo) -> None:
    ran = keyturn("-q", "init", repo.root)

    assert ran == Ran(0, "", told(repo.root, repository=True))
    assert repo.files() == WRITTEN


def test_root_names_the_folder_where_no_other_does(repo: Repo) -> None:
    ran = rig.command(repo.root, "init")

    assert (ran.code, repo.files()) == (0, WRITTEN)


def test_root_and_a_folder_are_one_too_many(repo: Repo, tmp_path: Path) -> None:
    ran = rig.command(repo.root, "init", str(tmp_path / "other"))

    assert ran == Ran(2, "", "keyturn: error: --root and DIR both name the folder; see keyturn init --help\n")


def test_link_to_nowhere_is_no_folder(repo: Repo) -> None:
    link = repo.root / "link"
    link.symlink_to("nowhere")

    ran = init(link)

    assert ran == Ran(2, "", f"keyturn: error: {link} is a link to nowhere; remove it\n")
    assert [entry.name for entry in repo.root.iterdir()] == ["link"]
