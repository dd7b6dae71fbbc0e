"""The command line itself: what stands on which stream, and every exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rig
from kit import PROJECT, WIREGUARD, Ran, Repo, missing, program

from generator import __version__, cli, lock

COMMANDS = [
    *("adopt", "capture", "completion", "engine", "init", "log", "rekey", "render", "retire", "rotate", "rules"),
    *("schema", "status", "validate", "verify"),
]


def ended(arguments: list[str], cwd: Path, **variables: str) -> Ran:
    done = subprocess.run(
        arguments, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def lab(repo: Repo) -> Repo:
    repo.init()
    repo.environment("lab", WIREGUARD)
    return repo


# Help and version


def test_help_lists_every_command(tmp_path: Path) -> None:
    ran = Repo(tmp_path).run("--help")

    listed = re.findall(r"^  ([a-z]+) ", ran.out.partition("Commands:\n")[2], re.MULTILINE)
    assert (ran.code, ran.err, listed) == (0, "", COMMANDS)


def test_help_tells_what_each_exit_code_means(tmp_path: Path) -> None:
    told = " ".join(Repo(tmp_path).run("-h").out.split())

    assert (
        "Exit codes: 0 done or clean; 1 differences, findings, an overdue key, a cluster that does otherwise, or "
        "traffic in clear; 2 wrong input; 3 a tool is missing or failed, something cannot be told, or keyturn refuses "
        "for safety; 4 a bug; 130 interrupted." in told
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_needs_no_repository(tmp_path: Path, command: str) -> None:
    ran = rig.command(tmp_path, command, "--help")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: keyturn {command} ")


def test_both_ways_to_start_are_the_same_program(tmp_path: Path) -> None:
    ways = [[program("keyturn")], [sys.executable, "-m", "generator"]]

    answers = [ended([*way, "--version"], tmp_path) for way in ways]

    assert answers == [Ran(0, f"keyturn, version {__version__}\n", "")] * 2


# Usage errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rendr"], "No such command 'rendr'. Did you mean 'render'?; see keyturn --help"),
        (["--rot", "."], "No such option '--rot'. Did you mean '--root'?; see keyturn --help"),
        (["--root", "x", "render"], "Invalid value for '--root': Directory 'x' does not exist; see keyturn --help"),
        (["retire"], "Missing argument 'ENV'; see keyturn retire --help"),
    ],
)
def test_words_that_make_no_command_are_an_input_error(tmp_path: Path, arguments: list[str], message: str) -> None:
    assert Repo(tmp_path).run(*arguments) == Ran(2, "", f"keyturn: error: {message}\n")


# The root


def test_folder_without_environments_is_an_input_error(tmp_path: Path) -> None:
    ran = Repo(tmp_path).run("render")

    message = f"no environments/ in {tmp_path} or above it; go to the repository, or name it with --root"
    assert ran == Ran(2, "", f"keyturn: error: {message}\n")


def test_root_is_not_looked_for_above_the_repository(repo: Repo) -> None:
    repo.environment("lab", WIREGUARD)
    inner = Repo(repo.root / "clone")
    inner.root.mkdir()
    inner.init()

    ran = inner.run("render")

    message = f"no environments/ in {inner.root} or above it; go to the repository, or name it with --root"
    assert ran == Ran(2, "", f"keyturn: error: {message}\n")


def test_named_root_without_environments_is_an_input_error_and_stays_empty(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    ran = Repo(tmp_path).run("--root", "empty", "render")

    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(f"keyturn: error: no environments/ in {empty}")
    assert list(empty.iterdir()) == []


def test_root_may_be_named_from_anywhere(lab: Repo, tmp_path: Path) -> None:
    for named in (str(lab.root), os.path.relpath(lab.root, tmp_path), f"{lab.root}/environments/.."):
        ran = Repo(tmp_path).run("--root", named, "-q", "render")

        assert ran == Ran(0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "repo"]


# Exit codes


def test_schema_is_an_answer_and_so_on_stdout(tmp_path: Path) -> None:
    ran = Repo(tmp_path).run("schema")

    assert (ran.code, ran.err, ran.out[:2], ran.out[-2:]) == (0, "", "{\n", "}\n")


def test_differences_are_1_and_their_absence_is_0(lab: Repo) -> None:
    codes = [lab.run(*arguments).code for arguments in (("render", "--check"), ("render",), ("render", "--check"))]

    assert codes == [1, 0, 0]


def test_wrong_environment_is_2(lab: Repo) -> None:
    lab.environment("lab", "encryption: {type: wireguard}\n")

    ran = lab.run("render")

    assert (ran.code, ran.out) == (2, "")


def test_refusal_is_3(lab: Repo) -> None:
    lab.write("clusters/lab/bootstrap.sh", "mine\n")

    ran = lab.run("render")

    assert (ran.code, ran.out) == (3, "")


def test_trouble_with_the_system_is_3_and_names_the_file(lab: Repo) -> None:
    lab.environment("lab")
    place = lab.root / "environments" / "lab.yaml" / "keys.txt"

    ran = lab.run("render", "--new-identity", env={"SOPS_AGE_KEY_FILE": str(place)})

    assert ran == Ran(3, "", f"keyturn: error: {place}: Not a directory\n")


def test_bug_is_4_and_told_without_its_words(lab: Repo, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "click.py").write_text("raise RuntimeError('a key, perhaps')\n", "utf-8")

    ran = lab.run("render", env={"PYTHONPATH": f"{broken}:{PROJECT}"})

    assert ran == Ran(4, "", f"keyturn: bug: RuntimeError at {broken}/click.py:1; please report it\n")


def test_interrupt_while_waiting_for_the_lock_is_130(lab: Repo) -> None:
    with lock.hold(lab.root):
        child = subprocess.Popen(
            [sys.executable, "-m", "generator", "-v", "render"], cwd=lab.root, stderr=subprocess.PIPE, text=True
        )
        assert child.stderr is not None
        first = child.stderr.readline()
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        rest = child.communicate(timeout=10)[1]

    assert (child.returncode, first, rest.strip()) == (130, f"keyturn: root: {lab.root}\n", "keyturn: interrupted")
    assert not (lab.root / "clusters").exists()


def test_interrupt_while_modules_are_loaded_is_130_too(lab: Repo, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "click.py").write_text("raise KeyboardInterrupt\n", "utf-8")

    ran = lab.run("render", env={"PYTHONPATH": f"{broken}:{PROJECT}"})

    assert (ran.code, ran.out, "Traceback" in ran.err) == (130, "", False)


def test_interrupt_while_sops_runs_is_130_and_leaves_no_file(
    repo: Repo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.lab(repo, home)
    started = tmp_path / "started"
    rig.script(
        tmp_path / "bin",
        "sops",
        f'[ "$1" = --version ] && {{ echo sops 3.11.0; exit; }}\ntouch {started}\nexec sleep 30\n',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    before = rig.standing(repo.root, without=(".git",))
    child = subprocess.Popen(
        [sys.executable, "-m", "generator", "render", "--jobs", "1"],
        cwd=repo.root,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for _ in range(200):
        if started.exists():
            break
        time.sleep(0.05)

    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to everything in the foreground
    told = child.communicate(timeout=10)[1]

    assert (child.returncode, told.strip()) == (130, "keyturn: interrupted")
    assert rig.standing(repo.root, without=(".git",)) == before


# Streams


@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["render", "--check", "--diff"], ["render"]])
def test_reader_that_has_gone_is_neither_a_difference_nor_a_traceback(lab: Repo, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-m", "generator", *arguments],
        cwd=lab.root,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    os.close(writing)
    assert (done.returncode, done.stderr) == (3, "")


def test_full_disk_behind_stdout_is_told(lab: Repo) -> None:
    if not Path("/dev/full").exists():
        missing("/dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "generator", "schema"],
            cwd=lab.root,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr.splitlines()[:1]) == (
        3,
        ["keyturn: error: the system: No space left on device"],
    )
    assert "Traceback" not in done.stderr


def test_program_works_without_utf8_around_it(lab: Repo) -> None:
    lab.environment("lab", f"{WIREGUARD}# ümlaut\n")

    assert lab.run("-q", "render", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}) == Ran(0, "", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "Missing command; see keyturn --help"),
        (["engine"], "Missing command; see keyturn engine --help"),
        (
            ["completion"],
            "Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish; see keyturn completion --help",
        ),
    ],
)
def test_what_is_missing_is_told_in_one_line(tmp_path: Path, words: list[str], line: str) -> None:
    ran = rig.command(tmp_path, *words)

    assert ran == Ran(2, "", f"keyturn: error: {line}\n")


def test_closed_stderr_changes_no_verdict(repo: Repo) -> None:
    repo.environment("lab", WIREGUARD)
    rig.command(repo.root, "render")

    closed = subprocess.run(
        ["sh", "-c", '"$0" -m generator render --check 2>&-', sys.executable], cwd=repo.root, check=False
    )

    assert closed.returncode == 0


def test_unknown_environment_among_many_is_told_in_a_short_line(repo: Repo) -> None:
    for number in range(12):
        repo.environment(f"c{number:02}", WIREGUARD)

    ran = rig.command(repo.root, "render", "zz")

    there = ", ".join(f"c{number:02}" for number in range(10))
    assert ran == Ran(2, "", f"keyturn: error: no environment 'zz'; there is {there} and 2 more\n")


def test_every_module_of_a_command_is_a_command() -> None:
    folder = Path(cli.__file__).parent / "commands"

    assert sorted(file.stem for file in folder.glob("[a-z]*.py")) == sorted(cli.COMMANDS)
