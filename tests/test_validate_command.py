"""`keyturn validate` as a program: what it looks at, how it answers, and how it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import corpus
import pytest
import rig
import sealed
import turned
from judged import LAB, VALUES, edit
from kit import IPSEC, PROJECT, WIREGUARD, Ran, Repo

if TYPE_CHECKING:
    from pathlib import Path

KEY = f"{corpus.KEY}\n"
CLEAR_HINT = "take it out; who can read this file has it, so what it opens needs a new one: keyturn rotate"
SEALED_HINT = "sops encrypt --in-place, or give it another name; what it held is spent"


@pytest.fixture
def world(world: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """The good repository, where the test stands."""
    monkeypatch.chdir(world.root)
    return world


@pytest.fixture
def strangers(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository that keyturn did not render."""
    repo.init()
    repo.write("app/deployment.yaml", "kind: Deployment\n")
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", "apps")
    monkeypatch.chdir(repo.root)
    return repo


def validate(*words: str) -> Ran:
    """Run it where the test stands, without --root."""
    return rig.words("validate", *words)


def told(*words: str) -> list[tuple[str, str]]:
    ran = validate("--no-key", *words, "--output", "json")
    assert ran.out, ran.err
    return [(one["path"], one["rule"]) for one in json.loads(ran.out)["findings"]]


# What is looked at.


def test_untracked_and_ignored_files_are_not_looked_at(world: Repo) -> None:
    world.write("notes.txt", KEY)
    world.write(".gitignore", "*.tmp\n")
    world.write("a.tmp", KEY)

    assert told() == []


def test_file_that_is_named_is_looked_at_whether_git_tracks_it_or_not(world: Repo) -> None:
    world.write("notes.txt", KEY)
    world.write("more.txt", KEY)

    assert told("notes.txt") == [("notes.txt", "clear-key")]


def test_folder_that_is_named_is_looked_at_with_what_git_does_not_ignore(world: Repo) -> None:
    world.write(".gitignore", "*.tmp\n")
    for path in ("docs/a.md", "docs/b.tmp", "other.md"):
        world.write(path, KEY)

    assert told("docs") == [("docs/a.md", "clear-key")]


def test_paths_are_from_where_the_user_is(world: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("docs/deep/a.md", KEY)
    monkeypatch.chdir(world.root / "docs")

    assert told("deep/a.md") == [("docs/deep/a.md", "clear-key")]
    assert told("../docs/deep") == [("docs/deep/a.md", "clear-key")]


@pytest.mark.usefixtures("world")
def test_file_outside_the_repository_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "history").write_text(KEY, "utf-8")

    assert told(str(tmp_path / "history")) == [("../history", "clear-key")]


def test_work_tree_is_what_counts_without_index(world: Repo) -> None:
    world.write("README.md", KEY)

    assert told() == [("README.md", "clear-key")]
    assert told("--index") == []


def test_index_is_what_counts_with_index(world: Repo) -> None:
    world.write("README.md", KEY)
    world.git("add", "README.md")
    world.write("README.md", "words\n")

    assert told() == []
    assert told("--index") == [("README.md", "clear-key")]
    assert told("--index", "README.md") == [("README.md", "clear-key")]
    assert told("--staged") == [("README.md", "clear-key")]


def test_staged_looks_at_what_is_staged_alone(world: Repo) -> None:
    world.write("old.txt", KEY)
    turned.commit(world)
    world.write("new.txt", "words\n")
    world.git("add", "-A")

    assert told("--staged") == []
    assert told("--index", "new.txt") == []


def test_staged_takes_paths_too(world: Repo) -> None:
    world.write("a/one.txt", KEY)
    world.write("b/two.txt", KEY)
    world.git("add", "-A")

    assert told("--staged", "a") == [("a/one.txt", "clear-key")]


def test_staged_before_the_first_commit(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.init()
    repo.write("a.txt", KEY)
    repo.git("add", "-A")
    monkeypatch.chdir(repo.root)

    assert told("--staged") == [("a.txt", "clear-key")]


def test_secret_that_is_staged_to_go_is_missed(world: Repo) -> None:
    world.git("rm", "-q", LAB)

    assert told("--staged") == [(LAB, "missing-secret")]


def test_hook_sees_what_the_commit_takes_away_though_it_is_given_no_name_of_it(world: Repo) -> None:
    world.write("README.md", "other words\n")
    world.git("add", "README.md")
    world.git("rm", "-q", LAB)

    assert told("--index", "--deleted", "README.md") == [(LAB, "missing-secret")]
    assert told("--index", "--deleted") == [(LAB, "missing-secret")]
    assert told("--index", "README.md") == []
    assert told("--index") == [(LAB, "missing-secret")]


def test_hook_without_a_name_looks_at_nothing_else(world: Repo) -> None:
    world.write("keys.txt", KEY)
    world.git("add", "-A")

    assert told("--index", "--deleted") == []


def test_environment_that_is_staged_without_its_tree_is_drift(world: Repo) -> None:
    edit(world, "environments/wg.yaml", "1.16.0", "1.16.19")
    world.git("add", "-A")

    assert {rule for _, rule in told("--staged")} == {"drift"}
    assert told("--index", "environments/wg.yaml") == told("--staged")
    assert told("--index", "README.md") == []


def test_group_concerns_every_environment(world: Repo) -> None:
    world.write("environments/defaults.yaml", "cilium: {namespace: other}\n")
    world.git("add", "-A")

    assert {path.split("/")[1] for path, _ in told("--staged")} == {"lab", "m1", "m2", "wg"}


@pytest.mark.parametrize("folder", ["environments", ".", "environments/defaults.yaml"])
def test_folder_that_holds_what_concerns_all_concerns_every_environment(world: Repo, folder: str) -> None:
    world.write("environments/defaults.yaml", "cilium: {namespace: other}\n")
    world.git("add", "-A")

    assert {path.split("/")[1] for path, _ in told("--index", folder)} == {"lab", "m1", "m2", "wg"}


def test_template_concerns_every_environment(world: Repo) -> None:
    world.write("templates/bootstrap.sh.j2", "# {{ name }}\n")
    world.git("add", "-A")

    assert told("--staged") == [(f"clusters/{name}/bootstrap.sh", "drift") for name in ("lab", "m1", "m2", "wg")]


def test_sops_config_concerns_every_secret(world: Repo, home: Path) -> None:
    edit(world, ".sops.yaml", "age: ", f"age: {rig.identity(home / 'other')},")
    world.git("add", "-A")

    assert told("--index", ".sops.yaml") == []  # the Secrets themselves were not named
    assert told("--index") == [(sealed.path(name), "sops-recipients") for name in ("lab", "m1", "m2")]


def test_member_of_a_mesh_is_held_against_its_mates_in_the_hook(world: Repo) -> None:
    sealed.seal(world, "m1", sealed.clear(sealed.key(2), 1))
    world.git("add", "-A")

    assert [rule for _, rule in told("--staged")] == ["mesh-key"]


def test_rendered_file_that_is_not_added_is_drift(world: Repo) -> None:
    world.environment("new", WIREGUARD)
    assert rig.command(world.root, "-q", "render").code == 0
    world.git("add", "environments/new.yaml", "clusters/new/bootstrap.sh")

    assert ("clusters/new/cilium/values.yaml", "drift") in told("--staged")


def test_environment_of_which_git_has_nothing_is_not_compared(world: Repo) -> None:
    world.environment("new", WIREGUARD)
    world.git("add", "-A")

    ran = validate("--no-key")

    assert (ran.code, ran.out) == (0, "")
    assert "keyturn: not compared: new; git tracks nothing of them in clusters/\n" in ran.err


def test_drift_alone(world: Repo) -> None:
    world.write("README.md", KEY)
    edit(world, VALUES, "enabled: true", "enabled: false")
    world.git("add", "-A")

    assert told("--drift") == [(VALUES, "drift")]
    assert told("--drift", "--index") == [(VALUES, "drift")]


def test_file_of_a_sparse_checkout_is_read_from_git(world: Repo) -> None:
    world.git("reset", "-q", "--hard")
    world.git("sparse-checkout", "set", "--no-cone", "/*", "!/clusters/lab/cilium/")
    assert not (world.root / VALUES).exists()

    assert told() == []


def test_conflict_is_no_crash(world: Repo) -> None:
    world.git("checkout", "-q", "-b", "other")
    world.write("README.md", "theirs\n")
    turned.commit(world)
    world.git("checkout", "-q", "main")
    world.write("README.md", "ours\n")
    turned.commit(world)
    subprocess.run(["git", "merge", "-q", "other"], cwd=world.root, capture_output=True, check=False)

    assert told() == []
    assert told("--index") == []


def test_link_is_not_followed(world: Repo, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(KEY, "utf-8")
    (world.root / "link").symlink_to(tmp_path / "outside")
    world.git("add", "-A")

    assert (told(), told("link"), told("--index", "link")) == ([], [], [])


def test_names_that_git_would_take_for_patterns(world: Repo) -> None:
    for name in ("a*b.txt", "a b.txt", "-x.txt", ":(top)c.txt", "ü\t.txt"):
        world.write(name, KEY)
    world.write("axb.txt", "words\n")
    world.git("add", "-A")

    assert told("--index", "./a*b.txt") == [("a*b.txt", "clear-key")]
    assert [path for path, _ in told("--staged")] == sorted(["a*b.txt", "a b.txt", "-x.txt", ":(top)c.txt", "ü\t.txt"])


def test_name_that_is_no_utf_8_is_shown(world: Repo) -> None:
    with open(os.fsencode(world.root) + b"/\xff.txt", "wb") as stream:  # noqa: PTH123 -- a name in bytes
        stream.write(KEY.encode())
    world.git("add", "-A")

    assert validate("--no-key").out.startswith("\\xdcff.txt:1:4: error: an IPsec key in clear")
    assert "\\udcff.txt" in validate("--no-key", "--output", "github").out


def test_file_that_is_too_long_to_be_looked_through_is_said(world: Repo) -> None:
    with world.write("large.bin", "").open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    world.git("add", "-A")

    assert told() == [("large.bin", "not-searched")]
    assert told("--staged") == [("large.bin", "not-searched")]


def test_many_paths_are_read_in_one_go(world: Repo) -> None:
    names = [f"many/{number}.txt" for number in range(150)]
    for name in names:
        world.write(name, "words\n")
    world.write("many/77.txt", KEY)
    world.git("add", "-A")

    assert told("--index", *names) == [("many/77.txt", "clear-key")]


def test_template_that_fails_is_found_though_nothing_is_rendered(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.init()
    repo.environment("wg", WIREGUARD)
    repo.write("templates/bootstrap.sh.j2", "{{ nobody }}\n")
    repo.write("templates/nothing.j2", "")
    repo.git("add", "-A")
    monkeypatch.chdir(repo.root)

    assert told() == [("templates", "template")]

    repo.write("templates/bootstrap.sh.j2", "echo\n")

    assert told() == [("templates/nothing.j2", "stray-template")]


def test_this_repository_passes_its_own_gate() -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("not a clone of the repository")

    assert rig.command(PROJECT, "validate", "--no-key", "--strict").out == ""


# Repositories of others.


def test_repository_of_others_gets_the_rules_for_any_file(strangers: Repo) -> None:
    strangers.write("app/secret.yaml", corpus.secret())
    strangers.git("add", "-A")

    ran = validate()

    hint = "take it out of git; what it held is spent"
    assert ran.code == 1
    assert ran.out == f"app/secret.yaml:1:1: error: the Secret is not encrypted; {hint} [clear-secret]\n"
    assert ran.err == (
        "keyturn: no environments/ here: the rules for any file are used, and none about environments\n"
        "keyturn: 1 error: 2 files looked through\n"
    )


def test_repository_of_others_is_judged_from_its_top(strangers: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    strangers.write("keys.txt", KEY)
    strangers.git("add", "-A")
    monkeypatch.chdir(strangers.root / "app")

    assert told() == [("keys.txt", "clear-key")]


def test_folder_without_git_is_judged_whole(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write("a/keys.txt", KEY)
    monkeypatch.chdir(repo.root)

    assert told() == [("a/keys.txt", "clear-key")]
    assert told("a/keys.txt") == [("a/keys.txt", "clear-key")]


def test_files_above_a_workspace_are_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = Repo(tmp_path / "top")
    top.write("keys.txt", KEY)
    Repo(top.root / "sub").environment("wg", WIREGUARD + "gitops: {path: sub}\n")
    top.init()
    top.git("add", "-A")
    monkeypatch.chdir(top.root / "sub")

    assert told() == [("../keys.txt", "clear-key")]
    assert told("--index") == [("../keys.txt", "clear-key")]
    assert told("--staged") == [("../keys.txt", "clear-key")]
    assert validate("--output", "github").out.startswith("::error file=keys.txt,line=1,col=4,")


def test_hook_from_the_top_names_the_workspace_by_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = Repo(tmp_path / "top")
    sub = Repo(top.root / "sub")
    sub.environment("wg", WIREGUARD + "gitops: {path: sub}\nmore: 1\n")
    top.init()
    top.git("add", "-A")
    monkeypatch.chdir(top.root)

    ran = rig.words("--root", "sub", "validate", "--index", "sub/environments/wg.yaml", "--output", "json")

    assert [(one["path"], one["rule"]) for one in json.loads(ran.out)["findings"]] == [
        ("environments/wg.yaml", "unknown-key")
    ]


# How it ends.


@pytest.mark.usefixtures("world")
def test_clean_is_0_and_says_nothing_on_stdout() -> None:
    ran = validate("--no-key")

    assert (ran.code, ran.out) == (0, "")


def test_warnings_are_0_and_1_with_strict(world: Repo) -> None:
    world.environment("lab", IPSEC.replace("1.16.0", "1.21.0"))
    assert rig.command(world.root, "-q", "render").code == 0

    assert {rule for _, rule in told()} == {"newer-cilium"}
    assert (validate("--no-key").code, validate("--no-key", "--strict").code) == (0, 1)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("words", [("gone.txt",), ("--index", "gone.txt"), ("gone/",)])
def test_path_that_is_not_there_is_2(words: tuple[str, ...]) -> None:
    ran = validate(*words)

    assert (ran.code, ran.out) == (2, "")
    assert re.match(r"keyturn: error: gone(.txt)? is not (there|in git's index); ", ran.err)


def test_untracked_path_with_index_is_2(world: Repo) -> None:
    world.write("new.txt", "words\n")

    ran = validate("--index", "new.txt")

    assert (ran.code, ran.err) == (
        2,
        "keyturn: error: new.txt is not in git's index; git add it, or leave --index out\n",
    )


@pytest.mark.parametrize("flag", ["--index", "--staged"])
def test_index_outside_git_is_3(repo: Repo, monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    monkeypatch.chdir(repo.root)

    ran = validate(flag)

    assert (ran.code, "is in no git repository, and so has no index" in ran.err) == (3, True)


@pytest.mark.parametrize(
    "words",
    [
        ("--index", "--staged"),
        ("--deleted",),
        ("--deleted", "--index", "--drift"),
        ("--drift", "a"),
        ("--drift", "--staged"),
        ("--chart", ".", "--pull-chart"),
    ],
)
def test_words_that_contradict_each_other_are_2(world: Repo, words: tuple[str, ...]) -> None:
    world.write("a", "")

    ran = validate(*words)

    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


# How it answers.


@pytest.fixture
def two(strangers: Repo) -> Repo:
    """Two findings, one with a place and one without."""
    strangers.write("a, b: c%.txt", f"x\n{KEY}")
    strangers.write("x.sops.yaml", "a: b\n")
    strangers.git("add", "-A")
    return strangers


@pytest.mark.usefixtures("two")
def test_text_is_a_line_a_finding() -> None:
    assert validate("-h").code == 0
    assert [line.partition(": error: ")[0] for line in validate().out.splitlines()] == [
        "a, b: c%.txt:2:4",
        "x.sops.yaml",
    ]


@pytest.mark.usefixtures("two")
def test_quiet_leaves_out_what_is_no_finding() -> None:
    ran = rig.words("-q", "validate")

    assert (ran.code, ran.out.count("\n"), ran.err) == (1, 2, "")


@pytest.mark.usefixtures("two")
def test_json_has_the_shape_of_the_interface() -> None:
    answer: dict[str, Any] = json.loads(validate("--output", "json").out)

    assert list(answer) == ["findings", "exceptions"]
    assert list(answer["findings"][0]) == ["path", "line", "column", "rule", "level", "message", "hint"]
    assert answer["findings"][1] == {
        "path": "x.sops.yaml",
        "line": 0,
        "column": 0,
        "rule": "not-encrypted",
        "level": "error",
        "message": "is called a SOPS file, and is not one",
        "hint": SEALED_HINT,
    }


@pytest.mark.usefixtures("two")
def test_github_gets_workflow_commands() -> None:
    lines = validate("--output", "github").out.splitlines()

    assert lines == [
        "::error file=a%2C b%3A c%25.txt,line=2,col=4,title=keyturn clear-key::an IPsec key in clear; " + CLEAR_HINT,
        "::error file=x.sops.yaml,title=keyturn not-encrypted::is called a SOPS file, and is not one; " + SEALED_HINT,
    ]


@pytest.mark.usefixtures("two")
def test_sarif_is_a_log_with_one_run() -> None:
    log = json.loads(validate("--output", "sarif").out)
    (run,) = log["runs"]

    assert (log["version"], run["tool"]["driver"]["name"]) == ("2.1.0", "keyturn")
    assert [(one["id"], one["shortDescription"]["text"]) for one in run["tool"]["driver"]["rules"]] == [
        ("clear-key", "who has a cluster's IPsec key reads and forges its traffic, and what was recorded of it"),
        ("not-encrypted", "a file that is called a SOPS file and is none is about to be taken for one"),
    ]
    assert [
        (one["ruleId"], one["ruleIndex"], one["level"], one["locations"][0]["physicalLocation"])
        for one in run["results"]
    ] == [
        (
            "clear-key",
            0,
            "error",
            {
                "artifactLocation": {"uri": "a%2C%20b%3A%20c%25.txt"},
                "region": {"startLine": 2, "startColumn": 4},
            },
        ),
        (
            "not-encrypted",
            1,
            "error",
            {"artifactLocation": {"uri": "x.sops.yaml"}, "region": {"startLine": 1, "startColumn": 1}},
        ),
    ]


def test_nothing_is_written(world: Repo) -> None:
    before = rig.standing(world.root)

    validate()
    validate("--index")
    validate("--against", "HEAD")

    assert rig.standing(world.root) == before


def test_program_ends_like_the_library(world: Repo) -> None:
    world.write("README.md", KEY)
    done = subprocess.run(
        [sys.executable, "-m", "generator", "validate", "--no-key"], capture_output=True, text=True, check=False
    )

    assert Ran(done.returncode, done.stdout, done.stderr) == validate("--no-key")
