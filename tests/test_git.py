"""What git knows, asked from the real git: history with its merges, index, HEAD, odd names, misleading settings."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
import rig
from kit import Repo

from generator import git
from generator.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATTERN = "clusters/*/key"
A, B = "clusters/a/key", "clusters/b/key"
ODD = ["a b", 'quo"te', "ümlaut", "tab\there", "new\nline", "back\\slash", "-dash", ":colon", "*"]


def short(repo: Repo, name: str = "HEAD") -> str:
    return repo.git("rev-parse", "--short", name).strip()


def add(repo: Repo, path: str, text: str = "x\n") -> str:
    repo.write(path, text)
    repo.commit(f"write {path}")
    return short(repo)


def remove(repo: Repo, path: str) -> None:
    repo.git("rm", "-q", path)
    repo.git("commit", "-q", "-m", f"remove {path}")


def asked(root: Path) -> git.Repository:
    found = git.find(root)
    assert found is not None
    return found


def history(repo: Repo, pattern: str = PATTERN) -> dict[str, str]:
    return asked(repo.root).history(pattern)


@pytest.fixture
def tree(repo: Repo) -> Repo:
    """A repository with one commit that has nothing to do with keys."""
    repo.init()
    add(repo, "README", "hello\n")
    return repo


# Where the repository is


def test_outside_git_there_is_no_repository(repo: Repo) -> None:
    assert (git.find(repo.root), git.directory(repo.root), git.top(repo.root)) == (None, None, None)


def test_repository_is_found_from_a_folder_inside(tree: Repo) -> None:
    inner = tree.root / "a" / "b"
    inner.mkdir(parents=True)

    assert git.find(inner) == git.Repository(inner)
    assert (git.directory(inner), git.top(inner)) == (tree.root / ".git", tree.root)


def test_git_directory_of_a_worktree_is_its_own(tree: Repo, tmp_path: Path) -> None:
    work = tmp_path / "work"
    tree.git("worktree", "add", "-q", "-b", "side", str(work))

    assert (git.directory(work), git.top(work)) == (tree.root / ".git" / "worktrees" / "work", work)
    assert asked(work).has_commit()


def test_git_directory_of_a_submodule_is_found_by_its_relative_path(tree: Repo, tmp_path: Path) -> None:
    inner = Repo(tmp_path / "inner")
    inner.root.mkdir()
    inner.init()
    add(inner, A)
    tree.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.root), "sub")

    directory = git.directory(tree.root / "sub")

    assert directory is not None
    assert directory.resolve() == tree.root / ".git" / "modules" / "sub"
    assert history(Repo(tree.root / "sub")) == {A: short(inner)}


def test_repository_that_git_does_not_trust_is_told(tree: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(ToolError) as refused:
        git.find(tree.root)

    reason = f"detected dubious ownership in repository at '{tree.root}'"
    assert str(refused.value) == f"git does not read this repository: {reason}"


def test_missing_git_is_told(tree: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolError, match=r"\Agit is not to be found\Z"):
        git.find(tree.root)


# HEAD and index


def test_branch_without_a_commit_has_an_index_and_no_head(repo: Repo) -> None:
    repo.init()
    repo.write(A, "x\n")
    repo.git("add", A)

    found = asked(repo.root)

    assert (found.has_commit(), found.index("clusters"), found.blob("HEAD", A)) == (False, {A}, None)
    with pytest.raises(ToolError) as refused:
        found.head(["clusters"])
    assert str(refused.value) == "git ls-tree failed: Not a valid object name HEAD"


def test_head_and_index_are_told_apart(tree: Repo) -> None:
    add(tree, A, "first\n")
    tree.write(A, "second\n")
    tree.write(B, "x\n")
    tree.git("add", "-A")
    tree.git("rm", "-q", "--cached", A)

    found = asked(tree.root)

    assert (found.has_commit(), found.head(["clusters"]), found.index("clusters")) == (True, {A}, {B})
    assert (found.blob("HEAD", A), found.blob("HEAD", B)) == (b"first\n", None)


def test_head_lists_the_folders_that_were_asked_for(tree: Repo) -> None:
    for path in (A, "environments/a.yaml", "clusters-old/a/key"):
        add(tree, path)

    found = asked(tree.root)

    assert found.head(["clusters", "environments"]) == {A, "environments/a.yaml"}
    assert found.head(["nothing"]) == set()


def test_paths_are_relative_to_the_workspace_inside_the_repository(tree: Repo) -> None:
    inner = Repo(tree.root / "in" / "side")
    inner.write(A, "x\n")
    add(tree, A)

    found = asked(inner.root)

    assert (found.head(["clusters"]), found.index("clusters"), found.history(PATTERN)) == ({A}, {A}, {A: short(tree)})
    assert found.blob("HEAD", A) == b"x\n"


@pytest.mark.parametrize("name", ODD)
def test_odd_names_come_back_as_they_are(tree: Repo, name: str) -> None:
    path = f"clusters/{name}/key"
    commit = add(tree, path)

    found = asked(tree.root)

    assert (found.head(["clusters"]), found.index("clusters"), found.history(PATTERN)) == (
        {path},
        {path},
        {path: commit},
    )
    assert found.blob("HEAD", path) == b"x\n"


def test_name_that_is_not_utf8_comes_back_as_the_disk_has_it(tree: Repo) -> None:
    path = os.fsdecode(b"clusters/\xff/key")
    commit = add(tree, path)

    found = asked(tree.root)

    assert (found.head(["clusters"]), found.history(PATTERN)) == ({path}, {path: commit})


def test_content_of_a_commit_comes_byte_for_byte(tree: Repo) -> None:
    data = bytes(range(256)) + b"\r\n"
    tree.write(A, data)
    tree.commit()

    assert asked(tree.root).blob("HEAD", A) == data


# History


def test_history_has_the_last_commit_that_wrote_each_file(tree: Repo) -> None:
    add(tree, A, "first\n")
    second = add(tree, A, "second\n")
    other = add(tree, B)
    add(tree, "README", "more\n")

    assert history(tree) == {A: second, B: other}


def test_history_knows_files_that_are_gone(tree: Repo) -> None:
    commit = add(tree, A)
    remove(tree, A)

    assert history(tree) == {A: commit}


def test_star_stops_at_a_slash(tree: Repo) -> None:
    add(tree, "clusters/a/more/key")
    add(tree, "clusters/key")
    commit = add(tree, A)

    assert history(tree) == {A: commit}


def test_history_has_both_names_of_a_file_that_was_renamed(tree: Repo) -> None:
    first = add(tree, A, "the same text in both\n" * 10)
    tree.git("mv", "clusters/a", "clusters/b")
    second = tree.commit("rename")

    assert history(tree) == {A: first, B: short(tree, second)}


def test_history_knows_what_a_merged_branch_added_and_removed(tree: Repo) -> None:
    tree.git("switch", "-q", "-c", "side")
    commit = add(tree, A)
    remove(tree, A)
    tree.git("switch", "-q", "main")
    add(tree, "README", "more\n")
    tree.git("merge", "-q", "--no-edit", "side")

    assert history(tree) == {A: commit}


def test_history_knows_what_a_merge_left_out(tree: Repo) -> None:
    tree.git("switch", "-q", "-c", "side")
    commit = add(tree, A)
    tree.git("switch", "-q", "main")
    add(tree, "README", "more\n")
    tree.git("merge", "-q", "--no-edit", "-s", "ours", "side")

    assert history(tree) == {A: commit}


def brought_by_a_merge(tree: Repo) -> str:
    tree.git("switch", "-q", "-c", "side")
    add(tree, "side", "x\n")
    tree.git("switch", "-q", "main")
    add(tree, "main", "x\n")
    tree.git("merge", "-q", "--no-commit", "side")
    return add(tree, A)


def test_history_knows_what_only_a_merge_brought(tree: Repo) -> None:
    commit = brought_by_a_merge(tree)
    remove(tree, A)

    assert history(tree) == {A: commit}


def test_history_of_another_branch_is_another_history(tree: Repo) -> None:
    tree.git("switch", "-q", "-c", "side")
    commit = add(tree, A)
    tree.git("switch", "-q", "main")

    assert history(tree) == {}
    tree.git("checkout", "-q", "--detach", "side")
    assert history(tree) == {A: commit}


def test_file_of_the_first_commit_is_in_history(repo: Repo) -> None:
    repo.init()
    commit = add(repo, A)
    remove(repo, A)

    assert history(repo) == {A: commit}


def first_commit(repo: Repo) -> str:
    repo.git("checkout", "-q", "--orphan", "fresh")
    repo.git("rm", "-q", "-r", "-f", ".")
    commit = add(repo, A)
    remove(repo, A)
    return commit


SETTINGS: list[tuple[str, Callable[[Repo], str]]] = [
    ("log.showRoot=false", first_commit),
    ("log.follow=true", first_commit),
    ("log.showSignature=true", first_commit),
    ("log.diffMerges=off", brought_by_a_merge),
    ("log.diffMerges=combined", brought_by_a_merge),
    ("log.diffMerges=first-parent", brought_by_a_merge),
    ("color.ui=always", first_commit),
    ("core.quotePath=true", first_commit),
    ("diff.renames=copies", first_commit),
    ("diff.relative=false", first_commit),
    ("format.pretty=fuller", first_commit),
    ("log.decorate=full", first_commit),
]


@pytest.mark.parametrize(("setting", "happened"), SETTINGS, ids=[setting for setting, _ in SETTINGS])
def test_history_does_not_depend_on_the_users_git_settings(
    tree: Repo, setting: str, happened: Callable[[Repo], str]
) -> None:
    commit = happened(tree)
    name, _, value = setting.partition("=")
    tree.git("config", "--global", name, value)

    assert history(tree) == {A: commit}


@pytest.mark.parametrize(
    "name", ["GIT_LITERAL_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_PAGER_IN_USE"]
)
def test_history_does_not_depend_on_how_a_caller_has_git_read_paths(
    tree: Repo, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    commit = first_commit(tree)
    monkeypatch.setenv(name, "1")

    assert history(tree) == {A: commit}


def test_variables_of_a_hook_in_another_repository_do_not_mislead(
    tree: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = add(tree, A)
    other = Repo(tmp_path / "other")
    other.root.mkdir()
    other.init()
    add(other, B)
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.root))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git" / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.root / ".git" / "objects"))
    monkeypatch.setenv("GIT_PREFIX", "somewhere/")

    found = asked(tree.root)

    assert (found.head(["clusters"]), found.index("clusters"), found.history(PATTERN)) == ({A}, {A}, {A: commit})


def test_git_directory_that_only_a_variable_names_is_nobodys(
    repo: Repo, tree: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = repo.root.parent / "outside"
    outside.mkdir()
    monkeypatch.setenv("GIT_DIR", str(tree.root / ".git"))

    assert git.find(outside) is None


def test_shallow_clone_is_told_from_a_whole_one(tree: Repo, tmp_path: Path) -> None:
    add(tree, A)
    clone = ["git", "clone", "-q", "--depth", "1", tree.root.as_uri(), str(tmp_path / "clone")]
    subprocess.run(clone, check=True, capture_output=True)

    assert (asked(tree.root).is_shallow(), asked(tmp_path / "clone").is_shallow()) == (False, True)


def test_asking_writes_nothing(tree: Repo) -> None:
    add(tree, A)
    (tree.root / A).touch()  # a stale time in the index, which git likes to refresh
    before = rig.standing(tree.root)

    found = asked(tree.root)
    found.is_shallow()
    found.has_commit()
    found.head(["clusters"])
    found.index("clusters")
    found.history(PATTERN)
    found.blob("HEAD", A)

    assert rig.standing(tree.root) == before
