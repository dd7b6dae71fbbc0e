"""The hooks, by the real git and the real pre-commit: what a commit may not hold, wherever it comes from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import rig
import turned
import yaml
from alone import HOOKS, init
from corpus import KEY
from kit import PROJECT, Ran, Repo, missing, program

if TYPE_CHECKING:
    from collections.abc import Iterator

ID: Final = "keyturn-validate"
NAMES: Final = ("keyturn validate", "keyturn render")
CLEAR: Final = "error: an IPsec key in clear; take it out; who can read this file has it"
PASSED, FAILED, SKIPPED = "Passed", "Failed", "Skipped"


def run(repo: Repo, *words: str, **variables: str) -> Ran:
    env = {**os.environ, **variables}
    done = subprocess.run(words, cwd=repo.root, env=env, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def commit(repo: Repo, *words: str) -> Ran:
    return run(repo, "git", "commit", "-q", "-m", "a commit", *words)


def verdicts(text: str) -> dict[str, str]:
    """How each hook ended, by what pre-commit prints."""
    return dict(re.findall(r"^(\w[^.\n]*?)\.{3,}.*?(Passed|Failed|Skipped)$", text, re.MULTILINE))


def stopped_by(ran: Ran) -> list[str]:
    """The files with a clear key for which a commit was refused; nothing may be wrong but those."""
    lines = [one for one in f"{ran.out}{ran.err}".splitlines() if ": error: " in one]
    assert (ran.code, [one for one in lines if CLEAR not in one]) == (1, []), ran
    return sorted(one.partition(":")[0] for one in lines)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `repo`, which `init` made, rendered and committed, and `clone`, a fresh clone with its hooks on."""
    folder = tmp_path_factory.mktemp("hooks")
    repo, clone = Repo(folder / "repo"), Repo(folder / "clone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(turned.person(folder / "home")))
        patch.setenv("PYTHONPATH", str(PROJECT))
        patch.setenv("PRE_COMMIT_HOME", str(folder / "cache"))
        assert init(repo.root).code == 0
        assert rig.command(repo.root, "-q", "render", "--new-identity").code == 0
        repo.commit("the clusters")
        repo.git("clone", "-q", str(repo.root), str(clone.root))
        clone.git("config", "user.name", "Test")
        assert run(clone, program("pre-commit"), "install").code == 0
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def at_hand(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keyturn on PATH, as the hooks find it, and pre-commit's cache shared."""
    rig.script(tmp_path / "bin", "keyturn", f'exec {program("keyturn")} "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path_factory.getbasetemp() / "pre-commit"))


@pytest.fixture
def clone(made: Path, tmp_path: Path) -> Repo:
    """A copy of the clone; nobody has a private key."""
    return Repo(Path(shutil.copytree(made / "clone", tmp_path / "clone", symlinks=True)))


# git commit


def test_commit_with_a_clear_key_is_stopped_and_without_it_goes_through(clone: Repo) -> None:
    before = clone.git("rev-parse", "HEAD")
    clone.write("docs/notes.md", f"# Notes\n\n{KEY}\n")
    clone.git("add", "-A")

    stopped = commit(clone)
    untouched = clone.git("rev-parse", "HEAD")
    clone.write("docs/notes.md", "# Notes\n")
    clone.git("add", "-A")
    passed = commit(clone)

    assert stopped_by(stopped) == ["docs/notes.md"]
    assert verdicts(stopped.err) == {"keyturn validate": FAILED, "keyturn render": SKIPPED}
    assert (untouched, passed.code, clone.git("status", "--porcelain")) == (before, 0, ""), passed
    assert clone.git("show", "--format=", "--name-only", "HEAD") == "docs/notes.md\n"


def test_key_that_is_in_the_work_tree_alone_stops_nothing(clone: Repo) -> None:
    clone.write("notes", "words\n")
    clone.git("add", "notes")
    clone.write("notes", f"words\n{KEY}\n")

    ran = commit(clone)

    assert (ran.code, clone.git("show", "HEAD:notes")) == (0, "words\n"), ran
    assert clone.read("notes") == f"words\n{KEY}\n"


def test_key_that_is_staged_and_gone_from_the_work_tree_is_stopped(clone: Repo) -> None:
    clone.write("notes", f"{KEY}\n")
    clone.git("add", "notes")
    clone.write("notes", "words\n")

    ran = commit(clone)

    assert stopped_by(ran) == ["notes"]
    assert clone.read("notes") == "words\n"


@pytest.mark.parametrize("words", [["-a"], ["README.md"], ["-i", "README.md"]], ids=" ".join)
def test_commit_that_brings_an_index_of_its_own_is_stopped_too(clone: Repo, words: list[str]) -> None:
    clone.write("README.md", f"{KEY}\n")

    ran = commit(clone, *words)

    assert stopped_by(ran) == ["README.md"]


def test_commit_of_one_file_passes_while_another_has_a_key_staged(clone: Repo) -> None:
    clone.write("notes", f"{KEY}\n")
    clone.git("add", "notes")
    clone.write("README.md", "words\n")

    ran = commit(clone, "README.md")

    assert (ran.code, clone.git("status", "--porcelain")) == (0, "A  notes\n"), ran


def test_name_of_a_file_is_never_an_option(clone: Repo) -> None:
    names = ["--drift", "--help", "-q", "a b", "ümlaut"]
    for name in names:
        clone.write(name, f"{KEY}\n")
    clone.git("add", "-A")

    ran = commit(clone)

    assert stopped_by(ran) == names


def test_linked_worktree_is_looked_at_by_its_own_index(clone: Repo, tmp_path: Path) -> None:
    clone.git("worktree", "add", "-q", str(tmp_path / "linked"))
    linked = Repo(tmp_path / "linked")
    clone.write("notes", f"{KEY}\n")
    clone.git("add", "notes")
    linked.write("other", f"{KEY}\n")
    linked.git("add", "other")

    stopped = commit(linked)
    linked.write("other", "words\n")
    passed = commit(linked, "-a")

    assert stopped_by(stopped) == ["other"]
    assert (passed.code, linked.git("status", "--porcelain")) == (0, ""), passed


def test_merge_that_brings_a_key_is_stopped(clone: Repo) -> None:
    clone.git("checkout", "-q", "-b", "topic")
    clone.write("notes", f"{KEY}\n")
    clone.git("add", "-A")
    clone.git("commit", "-q", "--no-verify", "-m", "passed over")
    clone.git("checkout", "-q", "main")

    ran = run(clone, "git", "merge", "--no-ff", "--no-edit", "topic")

    assert stopped_by(ran) == ["notes"]


def test_key_that_comes_in_while_a_conflict_is_resolved_is_stopped(clone: Repo) -> None:
    clone.git("checkout", "-q", "-b", "topic")
    for branch, text in (("topic", "theirs\n"), ("main", "ours\n")):
        clone.git("checkout", "-q", branch)
        clone.write("README.md", text)
        clone.git("commit", "-q", "-a", "--no-verify", "-m", branch)
    assert run(clone, "git", "merge", "-q", "topic").code == 1
    clone.write("README.md", f"{KEY}\n")
    clone.git("add", "README.md")

    stopped = commit(clone)
    clone.write("README.md", "both\n")
    clone.git("add", "README.md")
    passed = commit(clone)

    assert stopped_by(stopped) == ["README.md"]
    assert passed.code == 0, passed


def test_workspace_in_a_subfolder_has_the_whole_repository_looked_at(repo: Repo) -> None:
    repo.init()
    init(repo.root / "platform/eu")
    assert rig.command(repo.root / "platform/eu", "-q", "render", "--new-identity", "lab-ipsec").code == 0
    run(repo, program("pre-commit"), "install")
    repo.git("add", "-A")
    good = commit(repo)

    for path in ("notes", "platform/eu/notes"):
        repo.write(path, f"{KEY}\n")
    with (repo.root / "platform/eu/clusters/lab-ipsec/kind.yaml").open("a", encoding="utf-8") as stream:
        stream.write("# mine\n")
    repo.git("add", "-A")
    ran = commit(repo)

    assert good.code == 0, good
    assert (ran.code, verdicts(ran.err)) == (1, {"keyturn validate": FAILED, "keyturn render": FAILED}), ran
    assert [one.partition(":")[0] for one in ran.err.splitlines() if CLEAR in one] == ["../../notes", "notes"]


def test_hook_takes_the_keyturn_of_the_workspace_before_the_one_on_path_and_stops_without_any(clone: Repo) -> None:
    clone.write("notes", "words\n")
    clone.git("add", "notes")
    folders = [one for one in os.environ["PATH"].split(os.pathsep) if not (Path(one) / "keyturn").exists()]

    without = run(clone, "git", "commit", "-m", "a commit", PATH=os.pathsep.join(folders))
    rig.script(clone.root / ".venv/bin", "keyturn", 'echo "from .venv: $*"; exit 1\n')
    within = commit(clone)

    assert (without.code, "keyturn: not found" in without.err) == (1, True), without
    assert (within.code, "\nfrom .venv: validate --index --deleted -- notes\n" in within.err) == (1, True), within


def test_plain_hook_of_git_does_the_same(clone: Repo) -> None:
    rig.script(clone.root / ".git/hooks", "pre-commit", "exec keyturn validate --staged\n")
    clone.write("notes", f"{KEY}\n")
    clone.git("add", "-A")
    clone.write("notes", "words\n")

    stopped = commit(clone)
    clone.git("add", "-A")
    passed = commit(clone)

    assert stopped_by(stopped) == ["notes"]
    assert passed == Ran(0, "", "keyturn: clean: 1 file looked through\n")


# pre-commit run


def test_run_over_all_files_judges_the_index_and_the_whole_tree(clone: Repo) -> None:
    words = (program("pre-commit"), "run", "--all-files")
    clone.write("README.md", f"{KEY}\n")  # pre-commit puts nothing aside for this

    good = run(clone, *words)
    clone.git("checkout", "-q", "README.md")
    with (clone.root / "clusters/lab-ipsec/kind.yaml").open("a", encoding="utf-8") as stream:
        stream.write("# mine\n")
    clone.git("add", "-A")
    bad = run(clone, *words)

    assert (good.code, verdicts(good.out)) == (0, dict.fromkeys(NAMES, PASSED)), good
    assert (bad.code, verdicts(bad.out)) == (1, dict.fromkeys(NAMES, FAILED)), bad
    (line,) = {one for one in bad.out.splitlines() if ": error: " in one}
    assert line.startswith("clusters/lab-ipsec/kind.yaml:")


# What others use


def source(folder: Path) -> Repo:
    """This project as it stands, committed in a repository of its own."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".", ":!tests"]
    listed = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        missing("this project's repository")
    repo = Repo(folder)
    for path in filter(None, listed.stdout.split("\0")):
        if (PROJECT / path).exists():
            repo.write(path, (PROJECT / path).read_bytes())
    repo.init()
    repo.commit("as it stands")
    return repo


def test_other_repository_has_pre_commit_install_both_hooks(
    clone: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = source(tmp_path / "keyturn")
    monkeypatch.delenv("PYTHONPATH")  # what was installed is what runs
    monkeypatch.setenv("PIP_NO_COMPILE", "1")
    rig.script(tmp_path / "bin", "keyturn", "exit 9\n")
    clone.write("notes", f"{KEY}\n")
    clone.git("add", "-A")

    ran = run(clone, program("pre-commit"), "try-repo", str(ours.root), "--all-files", "--verbose")

    if ran.code == 3 and re.search(r"No matching distribution|Failed to establish|Connection", ran.out):
        missing("the package registry")
    assert verdicts(ran.out) == {"keyturn validate": FAILED, "keyturn render": PASSED}, ran
    assert stopped_by(ran) == ["notes"]
    files = len(clone.git("ls-files").splitlines())
    assert f"\nkeyturn: 1 error: {files} files looked through\n" in ran.out
    assert ran.out.count("Installing environment for") == 1


# This repository's own


def test_this_repository_runs_both_hooks_itself(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    for path in (HOOKS, "Makefile", "requirements.lock", "pyproject.toml", ".gitignore"):
        repo.write(path, (PROJECT / path).read_bytes())
    repo.init()
    repo.write("tests/notes", f"{KEY}\n")
    repo.git("add", "-A")
    rig.script(repo.root / ".venv/bin", "python", f'exec {sys.executable} "$@"\n')
    rig.script(repo.root / ".venv/bin", "keyturn", f'exec {program("keyturn")} "$@"\n')
    repo.write(".venv/.render", "")  # newer than what it is made from

    ran = run(repo, program("pre-commit"), "run", ID)

    hooks = [hook["id"] for one in yaml.safe_load(repo.read(HOOKS))["repos"] for hook in one["hooks"]]
    offered = [hook["id"] for hook in yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text("utf-8"))]
    assert offered == [ID, "keyturn-render"]
    assert hooks[:5] == [*offered, "ruff", "ruff-format", "mypy"]
    assert stopped_by(ran) == ["tests/notes"]
