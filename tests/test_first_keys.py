"""A live cluster never gets a fresh key: every way a key can be known, and each refusal's own way out."""

from __future__ import annotations

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
GONE = f"{SECRET} is gone, and git knows it: its cluster may be using that key"


@pytest.fixture
def lab(repo: Repo, home: Path) -> Repo:
    """One IPsec environment, rendered, nothing committed."""
    rig.lab(repo, home)
    assert rig.command(repo.root, "render").code == 0
    return repo


@pytest.fixture
def committed(lab: Repo) -> Repo:
    lab.commit("the lab")
    return lab


def refused(repo: Repo, *reasons: str, arguments: tuple[str, ...] = ()) -> str:
    """See that a run is refused for these reasons alone and writes nothing; return the last hint."""
    before = rig.standing(repo.root, without=(".git",))
    ran = rig.command(repo.root, "render", *arguments)
    assert ran == Ran(3, "", "".join(f"keyturn: error: {reason}\n" for reason in reasons))
    assert rig.standing(repo.root, without=(".git",)) == before
    return reasons[-1].partition("; ")[2]


def follow(repo: Repo, hint: str) -> None:
    """Do what a hint says, to the letter."""
    done = subprocess.run(shlex.split(hint), cwd=repo.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def unchanged(files: int) -> str:
    return f"1 environment: 0 created, 0 updated, 0 removed, {files} unchanged\n"


# The Secret is known to git


def test_secret_that_was_only_deleted_here_is_not_made_anew(committed: Repo) -> None:
    secret = committed.read(SECRET)
    (committed.root / SECRET).unlink()

    hint = refused(committed, f"{GONE}; git restore {SECRET}")
    follow(committed, hint)

    assert rig.command(committed.root, "render") == Ran(0, unchanged(10), "")
    assert committed.read(SECRET) == secret


def test_clusters_folder_that_was_deleted_whole_comes_back_with_the_old_key(committed: Repo) -> None:
    before = committed.files()
    shutil.rmtree(committed.root / "clusters")

    hint = refused(committed, f"{GONE}; git restore {SECRET}")
    follow(committed, hint)

    assert rig.command(committed.root, "render").code == 0
    assert committed.files() == before


def test_check_refuses_a_lost_key_too(committed: Repo) -> None:
    (committed.root / SECRET).unlink()

    refused(committed, f"{GONE}; git restore {SECRET}", arguments=("--check",))


def test_named_run_refuses_a_lost_key_too(committed: Repo) -> None:
    (committed.root / SECRET).unlink()

    refused(committed, f"{GONE}; git restore {SECRET}", arguments=("lab",))


def test_secret_that_is_staged_and_nowhere_else_is_not_made_anew(lab: Repo) -> None:
    lab.commit("something")
    lab.git("rm", "-q", "--cached", SECRET)
    lab.git("commit", "-q", "--amend", "-m", "without the Secret")
    secret = lab.read(SECRET)
    lab.git("add", SECRET)
    (lab.root / SECRET).unlink()

    hint = refused(lab, f"{GONE}; git restore {SECRET}")
    follow(lab, hint)

    assert rig.command(lab.root, "render") == Ran(0, unchanged(10), "")
    assert lab.read(SECRET) == secret


def test_staged_secret_on_a_branch_without_a_commit_is_not_made_anew(lab: Repo) -> None:
    secret = lab.read(SECRET)
    lab.git("add", "-A")
    (lab.root / SECRET).unlink()

    hint = refused(lab, f"{GONE}; git restore {SECRET}")
    follow(lab, hint)

    assert rig.command(lab.root, "render") == Ran(0, unchanged(10), "")
    assert lab.read(SECRET) == secret


def test_secret_whose_removal_is_staged_is_not_made_anew(committed: Repo) -> None:
    secret = committed.read(SECRET)
    committed.git("rm", "-q", SECRET)

    hint = refused(committed, f"{GONE}; git restore --staged --worktree {SECRET}")
    follow(committed, hint)

    assert rig.command(committed.root, "render") == Ran(0, unchanged(10), "")
    assert committed.read(SECRET) == secret


def before_commit(commit: str) -> str:
    return (
        f"{SECRET} stood in git until after {commit}: its cluster may be using that key; "
        f"git restore --source={commit} {SECRET}"
    )


OTHER_NAME = ", or give a new cluster's environment another name"


def history_refused(repo: Repo, commit: str) -> None:
    """See that a Secret known to history alone is refused, and comes back as the hint says."""
    short = repo.git("rev-parse", "--short", commit).strip()
    hint = refused(repo, before_commit(short) + OTHER_NAME)
    follow(repo, hint.removesuffix(OTHER_NAME))
    assert rig.command(repo.root, "render").code == 0
    assert repo.read(SECRET) == repo.git("show", f"{commit}:./{SECRET}")


def test_secret_that_only_history_has_is_not_made_anew(committed: Repo) -> None:
    commit = committed.git("rev-parse", "HEAD").strip()
    committed.git("rm", "-q", SECRET)
    committed.commit("without it")

    history_refused(committed, commit)


def test_another_name_is_the_other_way_out_of_history(committed: Repo) -> None:
    committed.git("rm", "-q", "-r", "clusters/lab", "environments/lab.yaml")
    committed.commit("the cluster is gone")
    committed.environment("lab-2")

    ran = rig.command(committed.root, "render")

    assert (ran.code, ran.err) == (0, "")


def test_secret_that_a_merged_branch_added_and_deleted_is_not_made_anew(lab: Repo) -> None:
    secret = lab.root / SECRET
    aside = lab.root.parent / "aside"
    secret.rename(aside)
    lab.commit("without a key")
    lab.git("switch", "-q", "-c", "side")
    aside.rename(secret)
    commit = lab.commit("a key")
    lab.git("rm", "-q", SECRET)
    lab.commit("no key again")
    lab.git("switch", "-q", "main")
    lab.write("notes.txt", "so that it is no fast-forward\n")
    lab.commit("notes")
    lab.git("merge", "-q", "--no-edit", "side")

    history_refused(lab, commit)


def test_secret_that_only_a_merge_commit_brought_is_not_made_anew(lab: Repo) -> None:
    secret = lab.root / SECRET
    aside = lab.root.parent / "aside"
    secret.rename(aside)
    lab.commit("without a key")
    lab.git("switch", "-q", "-c", "side")
    lab.write("side.txt", "side\n")
    lab.commit("side")
    lab.git("switch", "-q", "main")
    lab.write("main.txt", "main\n")
    lab.commit("main")
    lab.git("merge", "-q", "--no-commit", "side")
    aside.rename(secret)
    commit = lab.commit("a merge that brings a key of its own")
    lab.git("rm", "-q", SECRET)
    lab.commit("no key again")

    history_refused(lab, commit)


def test_other_branches_do_not_forbid_a_first_key(lab: Repo) -> None:
    secret = lab.root / SECRET
    aside = lab.root.parent / "aside"
    secret.rename(aside)
    lab.commit("without a key")
    lab.git("switch", "-q", "-c", "side")
    aside.rename(secret)
    lab.commit("a key on a branch that was never merged")
    lab.git("switch", "-q", "main")

    ran = rig.command(lab.root, "render")

    assert (ran.code, ran.err) == (0, "")


def test_detached_head_remembers_too(committed: Repo) -> None:
    commit = committed.git("rev-parse", "HEAD").strip()
    committed.git("rm", "-q", SECRET)
    committed.commit("without it")
    committed.git("checkout", "-q", "--detach")

    history_refused(committed, commit)


def test_git_worktree_remembers_too(committed: Repo, tmp_path: Path) -> None:
    commit = committed.git("rev-parse", "HEAD").strip()
    committed.git("rm", "-q", SECRET)
    committed.commit("without it")
    committed.git("worktree", "add", "-q", "-b", "work", str(tmp_path / "tree"))

    history_refused(Repo(tmp_path / "tree"), commit)


def test_workspace_in_a_folder_of_the_repository_remembers_too(repo: Repo, home: Path) -> None:
    repo.init()
    inner = Repo(repo.root / "platform" / "clusters")
    inner.environment("lab")
    inner.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    rig.command(inner.root, "render")
    commit = repo.commit()
    inner.git("rm", "-q", SECRET)
    inner.commit("without it")

    history_refused(inner, commit)


def test_secret_deleted_in_a_folder_of_the_repository_comes_back_by_the_hint(repo: Repo, home: Path) -> None:
    repo.init()
    inner = Repo(repo.root / "platform")
    inner.environment("lab", f"{IPSEC}gitops: {{path: platform}}\n")
    inner.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    rig.command(inner.root, "render")
    repo.commit()
    (inner.root / SECRET).unlink()

    hint = refused(inner, f"{GONE}; git restore {SECRET}")
    follow(inner, hint)

    assert rig.command(inner.root, "render") == Ran(0, unchanged(10), "")


def test_root_that_is_named_through_a_link_remembers_too(repo: Repo, home: Path, tmp_path: Path) -> None:
    repo.init()
    inner = Repo(repo.root / "platform")
    inner.environment("lab")
    inner.write(".sops.yaml", f"creation_rules:\n  - age: {rig.identity(rig.keyring(home))}\n")
    rig.command(inner.root, "render")
    repo.commit()
    (inner.root / SECRET).unlink()
    (tmp_path / "link").symlink_to(inner.root)

    ran = rig.command(tmp_path / "link", "render")

    assert ran == Ran(3, "", f"keyturn: error: {GONE}; git restore {SECRET}\n")


def test_each_lost_key_is_told_with_its_own_way_out(committed: Repo) -> None:
    committed.environment("other")
    assert rig.command(committed.root, "render").code == 0
    other = f"clusters/other/{rig.SECRET}"
    committed.git("add", other)
    (committed.root / SECRET).unlink()
    (committed.root / other).unlink()

    refused(
        committed,
        f"{GONE}; git restore {SECRET}",
        f"{other} is gone, and git knows it: its cluster may be using that key; git restore {other}",
    )


def test_key_that_was_retired_is_not_made_anew_under_the_same_name(committed: Repo) -> None:
    commit = committed.git("rev-parse", "HEAD").strip()
    committed.environment("lab", WIREGUARD)
    rig.command(committed.root, "render")
    assert rig.command(committed.root, "retire", "lab").code == 0
    committed.commit("WireGuard")
    committed.environment("lab", IPSEC)

    history_refused(committed, commit)


# What cannot be told


def shallow(repo: Repo, folder: Path) -> Repo:
    clone = ["git", "clone", "-q", "--depth", "1", repo.root.as_uri(), str(folder)]
    subprocess.run(clone, check=True, capture_output=True)
    return Repo(folder)


def test_shallow_clone_with_a_tree_cannot_tell_and_refuses(committed: Repo, tmp_path: Path) -> None:
    committed.environment("new")
    committed.commit("a new environment, not rendered")
    clone = shallow(committed, tmp_path / "clone")

    message = "this clone is shallow, so it cannot be told whether new had a key before"
    hint = refused(clone, f"{message}; git fetch --unshallow")
    follow(clone, hint)

    ran = rig.command(clone.root, "render")
    assert (ran.code, ran.err) == (0, "")


def test_what_a_shallow_clone_hid_is_refused_once_it_is_whole(committed: Repo, tmp_path: Path) -> None:
    commit = committed.git("rev-parse", "HEAD").strip()
    committed.git("rm", "-q", SECRET)
    committed.commit("without it")
    clone = shallow(committed, tmp_path / "clone")

    message = "this clone is shallow, so it cannot be told whether lab had a key before"
    hint = refused(clone, f"{message}; git fetch --unshallow")
    follow(clone, hint)

    history_refused(clone, commit)


def test_shallow_clone_with_every_secret_renders(committed: Repo, tmp_path: Path) -> None:
    clone = shallow(committed, tmp_path / "clone")

    assert rig.command(clone.root, "render") == Ran(0, unchanged(10), "")


def test_shallow_clone_without_any_tree_gets_first_keys(repo: Repo, home: Path, tmp_path: Path) -> None:
    rig.lab(repo, home)
    repo.commit("environments only")
    repo.write("notes.txt", "more\n")
    repo.commit("notes")
    clone = shallow(repo, tmp_path / "clone")

    ran = rig.command(clone.root, "render")

    assert (ran.code, ran.err) == (0, "")


def test_many_environments_are_named_up_to_three(committed: Repo, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d", "e"):
        committed.environment(name)
    committed.commit("five more")
    clone = shallow(committed, tmp_path / "clone")

    message = "this clone is shallow, so it cannot be told whether a, b, c and 2 more had a key before"
    refused(clone, f"{message}; git fetch --unshallow")


# Renames


def left(old: str, new: str) -> str:
    return (
        f"the key of {old} is left without environments/{old}.yaml, while {new} would get a new one; "
        f"if {old} was renamed: git mv clusters/{old} clusters/{new}; "
        f"if its cluster is gone: keyturn retire {old}, and commit that"
    )


def rename_refused(repo: Repo, old: str, new: str) -> None:
    """See that a rename is refused, and keeps its key once the hint is followed."""
    secret = repo.read(f"clusters/{old}/{rig.SECRET}")
    hint = refused(repo, left(old, new))
    follow(repo, hint.partition(": ")[2].partition("; ")[0])
    ran = rig.command(repo.root, "render")
    assert (ran.code, ran.err) == (0, "")
    assert repo.read(f"clusters/{new}/{rig.SECRET}") == secret
    assert not (repo.root / "clusters" / old).exists()


def test_environment_file_that_was_moved_keeps_its_key(committed: Repo) -> None:
    (committed.root / "environments/lab.yaml").rename(committed.root / "environments/prod.yaml")

    rename_refused(committed, "lab", "prod")


def test_environment_file_whose_move_is_staged_keeps_its_key(committed: Repo) -> None:
    committed.git("mv", "environments/lab.yaml", "environments/prod.yaml")

    rename_refused(committed, "lab", "prod")


def test_environment_file_whose_move_is_committed_keeps_its_key(committed: Repo) -> None:
    committed.git("mv", "environments/lab.yaml", "environments/prod.yaml")
    committed.commit("the lab is now prod")

    rename_refused(committed, "lab", "prod")


def test_rename_with_its_folder_moved_too_keeps_its_key(committed: Repo) -> None:
    secret = committed.read(SECRET)
    committed.git("mv", "environments/lab.yaml", "environments/prod.yaml")
    committed.git("mv", "clusters/lab", "clusters/prod")

    ran = rig.command(committed.root, "render")

    assert (ran.code, ran.err) == (0, "")
    assert committed.read(f"clusters/prod/{rig.SECRET}") == secret


def test_named_run_sees_a_rename_too(committed: Repo) -> None:
    committed.git("mv", "environments/lab.yaml", "environments/prod.yaml")

    refused(committed, left("lab", "prod"), arguments=("prod",))


def test_rename_to_an_environment_that_had_a_folder_keeps_its_key(committed: Repo) -> None:
    committed.environment("prod", WIREGUARD)
    rig.command(committed.root, "render")
    committed.commit("prod, with WireGuard")
    secret = committed.read(SECRET)
    committed.environment("prod", IPSEC)
    (committed.root / "environments/lab.yaml").unlink()

    first = rig.command(committed.root, "render")
    follow(committed, first.err.partition("if lab was renamed: ")[2].partition("; ")[0])
    second = rig.command(committed.root, "render")

    assert (first.code, second.code, second.err) == (3, 0, "")
    assert committed.read(f"clusters/prod/{rig.SECRET}") == secret


def test_rename_of_what_was_never_committed_keeps_its_key(lab: Repo) -> None:
    secret = lab.read(SECRET)
    (lab.root / "environments/lab.yaml").rename(lab.root / "environments/prod.yaml")

    first = rig.command(lab.root, "render")
    follow(lab, first.err.partition("if lab was renamed: ")[2].partition("; ")[0])
    second = rig.command(lab.root, "render")

    assert (first.code, second.code, second.err) == (3, 0, "")
    assert lab.read(f"clusters/prod/{rig.SECRET}") == secret


def test_rename_outside_git_keeps_its_key(lab: Repo) -> None:
    shutil.rmtree(lab.root / ".git")
    secret = lab.read(SECRET)
    (lab.root / "environments/lab.yaml").rename(lab.root / "environments/prod.yaml")

    first = rig.command(lab.root, "render")
    follow(lab, first.err.partition("if lab was renamed: ")[2].partition("; ")[0])
    second = rig.command(lab.root, "render")

    assert (first.code, second.code, second.err) == (3, 0, "")
    assert lab.read(f"clusters/prod/{rig.SECRET}") == secret


def test_rename_whose_old_folder_was_deleted_too_keeps_its_key(committed: Repo) -> None:
    secret = committed.read(SECRET)
    (committed.root / "environments/lab.yaml").rename(committed.root / "environments/prod.yaml")
    shutil.rmtree(committed.root / "clusters")

    first = rig.command(committed.root, "render")
    for step in first.err.partition("if lab was renamed: ")[2].partition("; ")[0].split(" && "):
        follow(committed, step)
    second = rig.command(committed.root, "render")

    assert (first.code, second.code, second.err) == (3, 0, "")
    assert committed.read(f"clusters/prod/{rig.SECRET}") == secret


def test_cluster_whose_folder_was_deleted_by_hand_is_gone_once_that_is_committed(committed: Repo) -> None:
    committed.git("rm", "-q", "-r", "environments/lab.yaml", "clusters/lab")
    committed.environment("new")

    first = rig.command(committed.root, "render")
    committed.commit("the lab is gone")
    second = rig.command(committed.root, "render")

    assert (first.code, first.err.rpartition("; ")[2]) == (3, "if its cluster is gone: commit that it is gone\n")
    assert (second.code, second.err) == (0, "")


def test_rename_among_several_new_environments_leaves_the_choice(committed: Repo) -> None:
    (committed.root / "environments/lab.yaml").unlink()
    for name in ("a", "b"):
        committed.environment(name)

    refused(
        committed,
        "the key of lab is left without environments/lab.yaml, while a, b would get a new one; if lab was renamed: "
        "git mv clusters/lab clusters/NEW, where NEW is one of a, b; "
        "if its cluster is gone: keyturn retire lab, and commit that",
    )


def test_one_cluster_gone_and_another_new_goes_by_way_of_retire(committed: Repo) -> None:
    (committed.root / "environments/lab.yaml").unlink()
    committed.environment("new")

    refused(committed, left("lab", "new"))
    retired = rig.command(committed.root, "retire", "lab")
    committed.commit("the lab is gone")
    ran = rig.command(committed.root, "render")

    assert (retired.code, ran.code, ran.err) == (0, 0, "")


def test_secret_that_was_seen_and_kept_does_not_forbid_new_environments(committed: Repo) -> None:
    committed.environment("other", WIREGUARD)
    (committed.root / "environments/lab.yaml").unlink()
    rig.command(committed.root, "render")
    committed.commit("the lab is gone, its Secret is kept")
    committed.environment("new")

    ran = rig.command(committed.root, "render")

    kept = (
        f"{SECRET}: warning: the Secret is kept, and there is no environments/lab.yaml; "
        "keyturn retire lab takes it away once the cluster is gone [unused-secret]\n"
    )
    assert (ran.code, ran.err) == (0, kept)
    assert (committed.root / "clusters/new" / rig.SECRET).is_file()


def test_environment_without_a_key_may_come_while_another_one_goes(committed: Repo) -> None:
    (committed.root / "environments/lab.yaml").unlink()
    committed.environment("new", WIREGUARD)

    ran = rig.command(committed.root, "render")

    assert (ran.code, (committed.root / SECRET).is_file()) == (0, True)


def test_environment_that_had_no_key_may_go_while_one_with_a_key_comes(committed: Repo) -> None:
    committed.environment("other", WIREGUARD)
    rig.command(committed.root, "render")
    committed.commit("other")
    (committed.root / "environments/other.yaml").unlink()
    committed.environment("new")

    ran = rig.command(committed.root, "render")

    assert (ran.code, ran.err) == (0, "")


# Nothing is known


def test_key_that_git_never_had_is_made_again(lab: Repo) -> None:
    first = lab.read(SECRET)
    (lab.root / SECRET).unlink()

    ran = rig.command(lab.root, "render")

    assert ran == Ran(0, f"created {SECRET}\n1 environment: 1 created, 0 updated, 0 removed, 9 unchanged\n", "")
    assert lab.read(SECRET) != first


def test_outside_git_a_first_key_is_made(repo: Repo, home: Path) -> None:
    repo.environment("lab")
    repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))

    ran = rig.command(repo.root, "render")

    assert (ran.code, ran.err) == (0, "")


def test_existing_secret_needs_no_git_at_all(committed: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert rig.command(committed.root, "render") == Ran(0, unchanged(10), "")


def test_first_key_is_refused_where_git_is_missing(
    committed: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (committed.root / SECRET).unlink()
    monkeypatch.setenv("PATH", str(tmp_path))

    refused(committed, "git is not to be found")


def test_first_key_is_refused_where_git_does_not_trust_the_repository(
    committed: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    (committed.root / SECRET).unlink()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    reason = f"git does not read this repository: detected dubious ownership in repository at '{committed.root}'"
    refused(committed, reason)
