"""Completion: the real bash with the script that is printed, and Click's protocol as zsh and fish speak it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import rig
import screen
from alone import keyturn
from kit import WIREGUARD, Ran, Repo, program

SHELLS = ("bash", "zsh", "fish")
ODD = ("lab x", "lab\nplain,y", "lab$(touch z)", "lab;z", "lab,z", "-lab", "lab\x1b[31m", "LAB", "läb", ".lab")
COMMANDS = [
    *("adopt", "capture", "completion", "engine", "init", "log", "rekey", "render", "retire", "rotate", "rules"),
    *("schema", "status", "validate", "verify"),
]

# What bash does at a Tab; `compopt` works at a prompt alone, and asks for the names of files there.
TAB = """. "$SCRIPT"
compopt() { echo "the shell's own: ${!#}"; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_keyturn_completion keyturn
for word in "${COMPREPLY[@]}"; do echo "$word"; done
"""


def path() -> str:
    """Return a PATH whose first keyturn is this one."""
    return f"{Path(program('keyturn')).parent}:{os.environ['PATH']}"


def line(words: tuple[str, ...]) -> list[str]:
    return ["keyturn", *map(shlex.quote, words[:-1]), words[-1]]


def asked(cwd: Path, **variables: str) -> Ran:
    """Run keyturn in this process as a shell does that asks for completions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        for name, value in variables.items():
            patch.setenv(name, value)
        return keyturn()


def tab(shell: str, cwd: Path, *words: str) -> list[str]:
    """Return what a shell is told to offer at a Tab after `keyturn` and some words, the last of them incomplete."""
    current = words[-1] if shell == "fish" else str(len(words))
    ran = asked(cwd, _KEYTURN_COMPLETE=f"{shell}_complete", COMP_WORDS=" ".join(line(words)), COMP_CWORD=current)
    assert (ran.code, ran.err) == (0, "")
    said = ran.out.split("\n") if ran.out.strip() else []
    if shell == "zsh":  # type, value, help
        assert set(said[:-1:3]) <= {"plain"}
        return said[1::3]
    assert {one.partition(",")[0] for one in said[:-1]} <= {"plain"}
    return [one.removeprefix("plain,").partition("\t")[0] for one in said[:-1]]


def real_tab(cwd: Path, *words: str) -> list[str]:
    """Return what the real bash offers."""
    script = cwd / "keyturn.bash"
    script.write_text(keyturn("completion", "bash").out, "utf-8")
    done = subprocess.run(
        [program("bash"), "--norc", "-c", TAB, "bash", *line(words)],
        cwd=cwd,
        env={**os.environ, "PATH": path(), "SCRIPT": str(script)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def repo(repo: Repo) -> Repo:
    repo.init()
    for name in ("lab", "lab-b", "eu"):
        repo.environment(name, WIREGUARD)
    for name in ("lab", "gone"):
        repo.write(f"clusters/{name}/{rig.SECRET}", "kind: Secret\n")
    repo.write("environments/defaults.yaml", "protected: true\n")
    repo.write("environments/groups/group.yaml", "demo: {ping: true}\n")
    return repo


every = pytest.mark.parametrize("shell", SHELLS)


# The script


@every
def test_script_is_printed_wherever_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.chdir(tmp_path)

    ran = keyturn("completion", shell)

    assert (ran.code, ran.err) == (0, "")
    assert f"_KEYTURN_COMPLETE={shell}_complete" in ran.out


def test_script_for_bash_is_one(tmp_path: Path) -> None:
    file = tmp_path / "keyturn.bash"
    file.write_text(keyturn("completion", "bash").out, "utf-8")

    done = subprocess.run([program("bash"), "-n", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_other_shell_is_a_usage_error() -> None:
    ran = keyturn("completion", "tcsh")

    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in ran.err


def test_tab_at_a_prompt_of_bash_completes_the_name(repo: Repo) -> None:
    repo.environment("production", WIREGUARD)
    shell = screen.Terminal(repo.root, [program("bash"), "--norc", "--noprofile", "-i"], {"PATH": path(), "PS1": "> "})

    shell.type('eval "$(keyturn completion bash)"\nkeyturn render prod\t')
    shell.wait_for("keyturn render production ")
    shell.type("\x01echo typed: \nexit\n")  # at the beginning of the line

    assert "typed: keyturn render production\n" in shell.end().sent


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["render", "lab", ""], ["eu", "lab-b"]),
        (["engine", "flux", "x"], []),
        (["--root", "../another one", "render", ""], ["far"]),
        (["init", "--te"], ["--templates"]),
        (["--root", ""], ["the shell's own: dirnames"]),
    ],
)
def test_real_bash_offers_what_it_is_told(repo: Repo, tmp_path: Path, words: list[str], offered: list[str]) -> None:
    Repo(tmp_path / "another one").environment("far", WIREGUARD)
    for name in ODD:
        repo.environment(name, WIREGUARD)

    assert real_tab(repo.root, *words) == offered


# Names


@every
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["render", ""], ["eu", "lab", "lab-b"]),
        (["render", "lab"], ["lab", "lab-b"]),
        (["render", "--check", "e"], ["eu"]),
        (["-q", "render", "--jobs", "2", "e"], ["eu"]),
        (["render", "lab", ""], ["eu", "lab-b"]),
        (["render", "lab", "--diff", "lab-b", ""], ["eu"]),
        (["render", "lab", "lab-b", "la"], []),
        (["render", "x"], []),
        (["retire", ""], ["gone"]),
        (["retire", "gone", ""], []),
        (["engine", "argocd", "l"], ["lab", "lab-b"]),
        (["engine", "flux", "eu", ""], []),
    ],
)
def test_names_of_environments_are_offered_once(repo: Repo, shell: str, words: list[str], offered: list[str]) -> None:
    assert tab(shell, repo.root, *words) == offered


@every
def test_where_no_secret_is_left_over_all_are_offered_to_retire(repo: Repo, shell: str) -> None:
    (repo.root / f"clusters/gone/{rig.SECRET}").unlink()

    assert tab(shell, repo.root, "retire", "") == ["lab"]


@every
def test_names_are_those_of_the_root_that_is_named(repo: Repo, tmp_path: Path, shell: str) -> None:
    other = Repo(tmp_path / "another one")
    other.environment("far", WIREGUARD)

    answers = [tab(shell, place, "--root", str(other.root), "render", "") for place in (repo.root, tmp_path)]

    assert answers == [["far"], ["far"]]


@every
def test_names_are_those_of_the_repository_from_below_too(repo: Repo, shell: str) -> None:
    assert tab(shell, repo.root / "environments" / "groups", "render", "e") == ["eu"]


@every
def test_what_is_no_environment_is_not_offered(repo: Repo, shell: str) -> None:
    for name in ODD:
        repo.environment(name, WIREGUARD)
    repo.write("environments/lab-c.yml", WIREGUARD)
    (repo.root / "environments" / "lab-folder.yaml").mkdir()

    assert tab(shell, repo.root, "render", "") == ["eu", "lab", "lab-b"]


@every
def test_broken_environment_is_offered_like_any_other(repo: Repo, shell: str) -> None:
    repo.environment("lab", "encryption: [\n")
    repo.write("environments/defaults.yaml", b"\xff")

    assert tab(shell, repo.root, "render", "lab") == ["lab", "lab-b"]


@every
@pytest.mark.parametrize("where", ["nowhere", "a file", "a link"])
def test_without_a_repository_nothing_is_offered_and_nothing_said(tmp_path: Path, shell: str, where: str) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    if where == "a file":
        (folder / "environments").write_text("", "utf-8")
    elif where == "a link":
        (folder / "environments").symlink_to(tmp_path / "home")

    answers = [tab(shell, folder, *words, "") for words in (["render"], ["retire"], ["engine", "argocd"])]

    assert answers == [[], [], []]


# Commands and options


@every
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], COMMANDS),
        (["re"], ["rekey", "render", "retire"]),
        (["engine", ""], ["argocd", "flux", "rbac"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["render", "--output", ""], ["text", "json"]),
        (["render", "--new"], ["--new-identity"]),
        (["init", "--te"], ["--templates"]),
        (["--ro"], ["--root"]),
        (["no-command", ""], COMMANDS),
    ],
)
def test_commands_options_and_their_values_are_offered(
    tmp_path: Path, shell: str, words: list[str], offered: list[str]
) -> None:
    assert tab(shell, tmp_path, *words) == offered


def test_completion_that_no_shell_asks_for_is_no_traceback(tmp_path: Path) -> None:
    assert asked(tmp_path, _KEYTURN_COMPLETE="tcsh_complete") == Ran(3, "", "")
