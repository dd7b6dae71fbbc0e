"""The progress bar: at a terminal, after a second, gone in the end, and never where nobody asked for it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
import rig
import screen
from kit import IPSEC, PROJECT, Repo

from generator import progress, terminal

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN, BACK = "\x1b[?25l", "\x1b[?25h"  # the cursor
MOVES = {HIDDEN, BACK, "\x1b[2K", "\x1b[1A"}
NAMES = ("a", "b", "c")
SMALL = f"{IPSEC}gitops: {{engine: none}}\n"

# Two quick enough, so that the bar comes with the second; the third does what is asked for.
SOPS = """[ "$1" != --version ] || { echo sops 3.11.0; exit; }
echo >> "$CALLS"
[ "$(wc -l < "$CALLS")" -lt 3 ] || eval "$LAST"
sleep 0.6
exec "$REAL" "$@"
"""
ANSWER = "".join(
    f"created clusters/{name}/{file}\n"
    for name in NAMES
    for file in ("bootstrap.sh", "cilium/values.yaml", rig.SECRET, "secrets/kustomization.yaml")
)
SUM = "3 environments: 12 created, 0 updated, 0 removed, 0 unchanged\n"

RUNS: dict[str, tuple[list[str], str, dict[str, str]]] = {
    "terminal": (["render"], "", {}),
    "no colour": (["render"], "", {"NO_COLOR": "1"}),
    "answer piped": (["render"], "out", {}),
    "talk piped": (["render"], "err", {}),
    "quiet": (["-q", "render"], "", {}),
    "dumb": (["render"], "", {"TERM": "dumb"}),
    "failed": (["render"], "", {"LAST": "echo broken >&2; exit 9"}),
    "interrupted": (["render"], "", {"LAST": "exec sleep 30"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slow")


@pytest.fixture(scope="module")
def seen(folder: Path) -> dict[str, screen.Seen]:
    """How runs ended whose sops is slow; all of them at once, since most of it is waiting."""
    rig.script(folder / "bin", "sops", SOPS)
    running = {}
    for name, (words, piped, variables) in RUNS.items():
        repo, home = Repo(folder / name), folder / f"home of {name}"
        repo.root.mkdir()
        for environment in NAMES:
            repo.environment(environment, SMALL)
        repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
        env = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(home),
            "PYTHONPATH": str(PROJECT),
            "CALLS": str(home / "calls"),
            "REAL": rig.real_sops(folder),
            "LAST": "",
            **variables,
        }
        running[name] = screen.Terminal(repo.root, screen.keyturn(*words, "--jobs", "1"), env, piped)
    running["interrupted"].wait_for("encrypting")
    running["interrupted"].interrupt()
    return {name: one.end() for name, one in running.items()}


def test_bar_shows_how_far_the_work_is_and_is_gone_afterwards(seen: dict[str, screen.Seen]) -> None:
    ended = seen["terminal"]

    assert ended.code == 0
    assert "encrypting" in ended.sent
    assert "/3" in ended.sent
    assert screen.shown(screen.plain(ended.sent)) == f"{ANSWER}{SUM}".split("\n")
    assert ended.sent.rindex(HIDDEN) < ended.sent.rindex(BACK) < ended.sent.index("created")


def test_bar_without_colour_is_a_bar(seen: dict[str, screen.Seen]) -> None:
    ended = seen["no colour"]

    assert "encrypting" in ended.sent
    assert screen.sequences(ended.sent) <= MOVES
    assert screen.shown(ended.sent) == f"{ANSWER}{SUM}".split("\n")


def test_bar_stands_on_stderr_where_the_answer_goes_into_a_pipe(seen: dict[str, screen.Seen]) -> None:
    ended = seen["answer piped"]

    assert (ended.code, ended.out) == (0, f"{ANSWER}{SUM}")
    assert "encrypting" in ended.sent
    assert screen.shown(ended.sent) == [""]


def test_bar_is_neither_in_a_pipe_nor_on_stdout(seen: dict[str, screen.Seen]) -> None:
    ended = seen["talk piped"]

    assert (ended.code, ended.err) == (0, "")
    assert screen.plain(ended.sent) == f"{ANSWER}{SUM}"


@pytest.mark.parametrize(("name", "answer"), [("quiet", ""), ("dumb", f"{ANSWER}{SUM}")])
def test_nobody_is_shown_a_bar_who_cannot_or_will_not_see_it(
    seen: dict[str, screen.Seen], name: str, answer: str
) -> None:
    assert seen[name] == screen.Seen(0, answer)


def test_error_is_told_where_the_bar_was(seen: dict[str, screen.Seen]) -> None:
    ended = seen["failed"]

    told = f"keyturn: error: sops failed to encrypt clusters/c/{rig.SECRET}: broken"
    assert (ended.code, "encrypting" in ended.sent) == (3, True)
    assert screen.shown(ended.sent) == [told, ""]
    assert ended.sent.rindex(HIDDEN) < ended.sent.rindex(BACK)


def test_interrupt_gives_the_cursor_back_and_writes_nothing(seen: dict[str, screen.Seen], folder: Path) -> None:
    ended = seen["interrupted"]

    assert (ended.code, "encrypting" in ended.sent) == (130, True)
    assert [line for line in screen.shown(ended.sent) if line] == ["keyturn: interrupted"]
    assert ended.sent.rindex(HIDDEN) < ended.sent.rindex(BACK)
    assert not (folder / "interrupted" / "clusters").exists()


def test_bar_comes_while_one_sops_is_still_at_work(repo: Repo, home: Path, tmp_path: Path) -> None:
    rig.lab(repo, home, SMALL)
    waits = 'while [ ! -e "$GO" ]; do sleep 0.05; done\nexec "$REAL" "$@"\n'
    rig.script(tmp_path / "bin", "sops", f"{SOPS.splitlines()[0]}\n{waits}")
    release, path = tmp_path / "go", f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    env = {"PATH": path, "GO": str(release), "REAL": rig.real_sops(repo.root)}
    running = screen.Terminal(repo.root, screen.keyturn("render"), env)

    try:
        running.wait_for("encrypting", seconds=4)
    finally:
        release.touch()
        ended = running.end()

    total = "1 environment: 4 created, 0 updated, 0 removed, 0 unchanged"
    assert (ended.code, screen.shown(ended.sent)[-2:]) == (0, [total, ""])


def test_question_is_not_covered_by_the_bar(repo: Repo, home: Path) -> None:
    repo.environment("lab", SMALL)
    running = screen.Terminal(repo.root, screen.keyturn("render"), {})

    running.wait_for("[y/N]: ")
    time.sleep(1.3)  # the time that a person takes to read it
    running.type("y\n")
    ended = running.end()

    question = f"Make one for the age identity in {rig.keyring(home)} (made if it is not there)? [y/N]: y"
    assert screen.shown(screen.plain(ended.sent))[0] == f"There is no .sops.yaml. {question}"
    assert ended.code == 0


def test_work_is_shown_once_it_takes_longer_than_a_second() -> None:
    sent: list[bytes] = []
    made: list[terminal.Bar] = []
    with screen.attached(sent) as stream:

        def make() -> terminal.Bar:
            made.append(terminal.Bar(stream))
            return made[-1]

        delayed = progress.Delayed(make)
        for number in range(3):
            delayed.step("rendering", number, 9)
        early = len(made)
        time.sleep(1.01)
        delayed.step("rendering", 7, 9)
        delayed.step("encrypting", 0, 4)
        delayed.close()

    said = screen.plain(screen.text(b"".join(sent)))
    assert (early, len(made)) == (0, 1)
    assert [what for what in ("7/9", "0/4") if what not in said] == []
    assert screen.shown(said) == [""]


def test_work_that_was_never_shown_leaves_nothing_to_close() -> None:
    sent: list[bytes] = []
    with screen.attached(sent) as stream:
        delayed = progress.Delayed(lambda: terminal.Bar(stream))
        delayed.step("rendering", 0, 1)
        delayed.close()

    assert sent == []
