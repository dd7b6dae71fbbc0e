"""What a person at a terminal sees, beside what a pipe gets: colour, a table, and a stranger's text as it is."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import screen
from kit import WIREGUARD, Repo

SMALL = f"{WIREGUARD}gitops: {{engine: none}}\n"  # two files
LONG = "a" * 63
GREEN, YELLOW, RED, BOLD, RESET = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[1m", "\x1b[0m"
NO_COLOR = {"NO_COLOR": "1"}
PLAIN = pytest.mark.parametrize("plain", [NO_COLOR, {"TERM": "dumb"}, {"TERM": "unknown"}], ids=str)

# Rich's markup and emoji, a colour, a title, another character set, and the one character that stands for `ESC [`.
STRANGE = "[red]x[/red] :smile: \x1b[31m \x1b]0;z\x07 \x0e \x9b8m"
SHOWN = r"[red]x[/red] :smile: \x1b[31m \x1b]0;z\x07 \x0e \x9b8m"


@pytest.fixture
def lab(repo: Repo) -> Repo:
    repo.init()
    repo.environment("lab", SMALL)
    return repo


def piped(repo: Repo, *words: str) -> str:
    """Return what a pipe is told."""
    return screen.run(repo.root, *words, piped="out err").out


# Colour


def test_changes_are_coloured_by_their_kind(lab: Repo) -> None:
    lab.environment("gone", SMALL)
    created = screen.run(lab.root, "render")
    (lab.root / "environments" / "gone.yaml").unlink()
    lab.environment("lab", SMALL.replace("wireguard", "none"))
    later = screen.run(lab.root, "render")

    files = [f"clusters/{name}/{file}" for name in ("gone", "lab") for file in ("bootstrap.sh", "cilium/values.yaml")]
    lines = "".join(f"{GREEN}created {RESET}{file}\n" for file in files)
    assert created == screen.Seen(0, f"{lines}2 environments: 4 created, 0 updated, 0 removed, 0 unchanged\n")
    assert later.sent.splitlines() == [
        f"{YELLOW}updated {RESET}{files[3]}",
        f"{RED}removed {RESET}{files[0]}",
        f"{RED}removed {RESET}{files[1]}",
        "1 environment: 0 created, 1 updated, 2 removed, 1 unchanged",
    ]


def test_errors_and_warnings_are_coloured(lab: Repo) -> None:
    lab.environment("lab", "cilium: {version: 1.16.0}\nencryption: {type: wireguard}\n")
    warned = screen.run(lab.root, "render", "--check").sent.splitlines()[0]
    lab.environment("lab", "encryption: {type: wireguard}\n")

    wrong = screen.run(lab.root, "render").sent
    refused = screen.run(lab.root, "retire", "lab").sent

    bold_red = "\x1b[1;31m"
    assert warned.startswith(f"{YELLOW}environments/lab.yaml:1:9: warning:{RESET} hubble")
    assert wrong.startswith(f"{bold_red}environments/lab.yaml:1:1: error:{RESET} cilium is missing")
    assert refused.startswith(f"{bold_red}keyturn: error:{RESET} ")


def test_diff_is_coloured_and_otherwise_the_one_of_a_pipe(lab: Repo) -> None:
    screen.run(lab.root, "render")
    lab.environment("lab", SMALL.replace("false", "true, relay: {image: '[bold]x[/bold]'}"))

    seen = screen.run(lab.root, "render", "--check", "--diff").sent

    assert "[bold]x[/bold]" in seen
    assert screen.plain(seen) == piped(lab, "render", "--check", "--diff")
    starts = {line[: line.index("m") + 2] for line in seen.splitlines() if line.startswith("\x1b")}
    assert starts == {f"{BOLD}-", f"{BOLD}+", "\x1b[36m@", f"{GREEN}+", f"{RED}-", f"{YELLOW}u"}


@PLAIN
@pytest.mark.parametrize("words", [["render", "--diff"], ["render", "--check"], ["retire", "lab"], ["no-command"]])
def test_terminal_without_colour_shows_what_a_pipe_gets(lab: Repo, plain: dict[str, str], words: list[str]) -> None:
    lab.environment("warned", "cilium: {version: 1.16.0}\nencryption: {type: wireguard}\n")

    seen = screen.run(lab.root, *words, env=plain)
    shutil.rmtree(lab.root / "clusters", ignore_errors=True)
    other = screen.run(lab.root, *words, piped="out err")

    assert (seen.code, seen.sent) == (other.code, other.err + other.out)
    assert "\x1b" not in seen.sent


def test_pipe_gets_no_colour_while_the_other_stream_is_a_terminal(lab: Repo) -> None:
    lab.environment("lab", "cilium: {version: 1.16.0}\nencryption: {type: wireguard}\n")

    out, err = screen.run(lab.root, "render", "--check", piped="out"), screen.run(lab.root, "render", piped="err")

    assert (screen.sequences(out.sent), screen.sequences(out.out)) == ({YELLOW, RESET}, set())
    assert (screen.sequences(err.sent), screen.sequences(err.err)) == ({GREEN, RESET}, set())


def test_empty_no_color_takes_nothing_away(lab: Repo) -> None:
    assert GREEN in screen.run(lab.root, "render", env={"NO_COLOR": ""}).sent


@pytest.mark.parametrize(
    "words",
    [
        *(["schema"], ["engine", "argocd"], ["engine", "flux"], ["completion", "bash"], ["--version"]),
        *(["init", "--output", "json", "new"], ["render", "--check", "--output", "json"]),
    ],
)
def test_what_a_program_reads_is_the_same_at_a_terminal(repo: Repo, words: list[str]) -> None:
    repo.environment("lab", SMALL)

    seen = screen.run(repo.root, *words, piped="err", columns=40)
    shutil.rmtree(repo.root / "new", ignore_errors=True)
    other = screen.run(repo.root, *words, piped="out err")

    assert (seen.code, seen.sent) == (other.code, other.out)
    if "json" in words:
        assert json.loads(seen.sent)


# A stranger's text


def test_text_of_a_file_is_shown_as_it_is(lab: Repo) -> None:
    said = json.dumps(STRANGE)
    lab.environment("lab", f"encryption: {{type: {said}}}\n")

    coloured, plain = screen.run(lab.root, "render"), screen.run(lab.root, "render", env=NO_COLOR)

    assert screen.sequences(coloured.sent) == {"\x1b[1;31m", RESET}
    assert screen.plain(coloured.sent) == plain.sent
    assert f"not '{SHOWN}'" in plain.sent.replace(r"\\", "\\")
    assert re.findall(r"[^\n -~]", plain.sent) == []


@pytest.mark.parametrize("suffix", ["yml", "yaml"])
@pytest.mark.parametrize("place", ["environments", "environments/groups", "templates"])
def test_name_of_a_file_is_shown_as_it_is(lab: Repo, place: str, suffix: str) -> None:
    name = STRANGE.replace("/", "|")
    lab.write(f"{place}/{name}.{'j2' if place == 'templates' else suffix}", "")

    coloured, plain = (
        screen.run(lab.root, "render", "--strict"),
        screen.run(lab.root, "render", "--strict", env=NO_COLOR),
    )

    shown = SHOWN.replace("/", "|")
    assert (coloured.code, screen.plain(coloured.sent)) == (2, plain.sent)
    assert f"{place}/{shown}" in plain.sent
    assert screen.sequences(coloured.sent) <= {"\x1b[1;31m", YELLOW, RESET}
    assert re.findall(r"[^\n -~]", plain.sent) == []


@pytest.mark.parametrize("words", [["render", STRANGE], ["retire", STRANGE], ["engine", "flux", STRANGE], [STRANGE]])
def test_word_of_the_command_line_is_shown_as_it_is(lab: Repo, words: list[str]) -> None:
    seen = screen.run(lab.root, *words, env=NO_COLOR)

    assert (seen.code, re.findall(r"[^\n -~]", seen.sent)) == (2, [])
    assert SHOWN in seen.sent.replace(r"\\", "\\")


def test_folder_that_is_left_over_is_shown_as_it_is(lab: Repo) -> None:
    screen.run(lab.root, "render")
    (lab.root / "environments" / "lab.yaml").unlink()
    name = STRANGE.replace("/", "|")
    (lab.root / "clusters" / "lab").rename(lab.root / "clusters" / name)

    seen = screen.run(lab.root, "render", env=NO_COLOR).sent

    assert re.findall(r"[^\n -~]", seen) == []
    assert seen.splitlines()[0] == f"removed clusters/{SHOWN.replace('/', '|')}/bootstrap.sh"


# Lines and tables


def test_long_line_is_not_cut(lab: Repo) -> None:
    lab.environment(LONG, f"{SMALL}cluster: {{name: short}}\n")

    seen = screen.run(lab.root, "render", "--check", columns=20).sent

    assert f"created {RESET}clusters/{LONG}/cilium/values.yaml\n" in seen
    assert screen.plain(seen) == piped(lab, "render", "--check")


def many(repo: Repo, number: int) -> list[str]:
    names = sorted(f"e{count:03}" for count in range(number))
    for name in names:
        repo.environment(name, SMALL)
    return names


def test_two_hundred_changes_are_told_line_by_line(repo: Repo) -> None:
    many(repo, 100)

    seen = screen.run(repo.root, "render", "--check").sent

    assert screen.plain(seen) == piped(repo, "render", "--check")
    assert seen.count("created ") == 200


def test_of_more_changes_a_terminal_gets_a_table_and_a_pipe_every_line(repo: Repo) -> None:
    names = many(repo, 101)

    seen = screen.run(repo.root, "render", "--check").sent
    lines = piped(repo, "render", "--check").splitlines()

    *rows, total = (line.split() for line in screen.plain(seen).splitlines())
    assert rows[0] == ["environment", "created", "updated", "removed", "unchanged"]
    assert rows[1:] == [[name, "2", "0", "0", "0"] for name in names]
    told = "101 environments: 202 created, 0 updated, 0 removed, 0 unchanged (checked only, nothing written)"
    assert " ".join(total) == told
    files = ("bootstrap.sh", "cilium/values.yaml")
    assert lines == [*(f"created clusters/{name}/{file}" for name in names for file in files), told]
    assert screen.sequences(seen) == {BOLD, RESET}


def test_table_has_no_colour_where_a_person_wants_none_and_is_left_out_where_it_is_quiet(repo: Repo) -> None:
    many(repo, 101)

    plain = screen.run(repo.root, "render", "--check", env=NO_COLOR)
    quiet = screen.run(repo.root, "-q", "render", "--check")

    assert (plain.code, plain.sent.count("\n"), "\x1b" in plain.sent) == (1, 103, False)
    assert quiet == screen.Seen(1, "")


@pytest.mark.parametrize("columns", [40, 80])
def test_table_cuts_no_name_and_no_number(repo: Repo, columns: int) -> None:
    many(repo, 100)
    repo.environment(LONG, f"{SMALL}cluster: {{name: short}}\n")

    seen = screen.plain(screen.run(repo.root, "render", "--check", columns=columns).sent)

    assert "…" not in seen
    assert [line.split() for line in seen.splitlines() if line.startswith(LONG)] == [[LONG, "2", "0", "0", "0"]]
