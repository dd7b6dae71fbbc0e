"""Nothing is left of a server, however the tests end: not the program, not what it started, not its folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
from e2e import servers
from kit import HERE, missing

if TYPE_CHECKING:
    from pathlib import Path

# A test run that starts a server, which starts a program of its own, and runs another one beside it; then it hangs.
RUN = """
import os, pathlib, subprocess, sys, time
from e2e import servers
folder = pathlib.Path(sys.argv[1])
one = servers.Servers(folder)
one.start("server", ["sh", "-c", "sleep 300 & echo $! $$ > ../pids.new; mv ../pids.new ../pids; wait"])
beside = subprocess.Popen(["sh", "-c", "sleep 300"], env={**os.environ, "HOME": str(folder / "server" / "home")})
(folder / "beside").write_text(str(beside.pid))
time.sleep(300)
"""


@pytest.fixture
def folder(place: Path, request: pytest.FixtureRequest) -> Path:
    folder = place / str(request.node.name)
    folder.mkdir()
    return folder


def gone(folder: Path, pids: list[int]) -> bool:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            return False
    return not (folder / "server").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_run_that_is_killed_leaves_neither_programs_nor_folders(folder: Path, number: signal.Signals) -> None:
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    with subprocess.Popen([sys.executable, "-c", RUN, folder], env=env, stderr=subprocess.DEVNULL) as run:
        for name in ("pids", "beside"):
            servers.until((folder / name).exists, "the server runs", 30)
        pids = [int(pid) for name in ("pids", "beside") for pid in (folder / name).read_text("utf-8").split()]
        assert not gone(folder, pids)
        run.send_signal(number)

    servers.until(partial(gone, folder, pids), "all of it is gone", 30)


def test_leash_whose_other_end_is_gone_from_the_start_leaves_nothing(folder: Path) -> None:
    for number in range(12):
        room = folder / f"room-{number}"
        room.mkdir()
        script = f"echo $$ > {folder}/pid-{number}; exec sleep 300"
        argv: list[str | Path] = [sys.executable, servers.LEASH, "60", room, "sh", "-c", script]
        subprocess.run(argv, stdin=subprocess.DEVNULL, check=False, timeout=60)

    pids = [int(file.read_text("utf-8")) for file in folder.glob("pid-*") if file.stat().st_size]
    servers.until(lambda: gone(folder, pids) and not [*folder.glob("room-*")], "all of it is gone", 30)


@pytest.mark.parametrize("folder", ["", "/", "/tmp", "room", "/tmp/room/.."])  # noqa: S108 -- they are refused
def test_leash_refuses_a_folder_that_could_be_anybody_s(folder: str) -> None:
    argv = [sys.executable, str(servers.LEASH), "60", folder, "true"]

    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (1, f"leash: {folder!r} is no folder of a program's own\n")


def test_leash_lets_a_program_of_a_folder_with_a_longer_name_live(folder: Path) -> None:
    room, other = folder / "room", folder / "room-2"
    for one in (room, other):
        one.mkdir()
    with subprocess.Popen(["sleep", "300"], env={**os.environ, "HOME": str(other)}) as beside:
        argv = [sys.executable, str(servers.LEASH), "60", str(room)]
        subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=60, check=False)
        lives = beside.poll() is None
        beside.kill()

    assert (lives, room.exists(), other.exists()) == (True, False, True)


def test_capture_that_is_killed_leaves_no_network(place: Path) -> None:
    words = "import time, wire\nwith wire.two_nodes() as nodes:\n    print(nodes.here, nodes.there, flush=True)\n"
    argv = [sys.executable, "-c", f"{words}    nodes.run(nodes.here, 'sleep', '300')\n"]
    with subprocess.Popen(
        argv, cwd=place, env={**os.environ, "PYTHONPATH": str(HERE)}, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        names = run.stdout.readline().split()
        if not names:
            missing("the right to make network namespaces, or a program of the captures")
        assert all(_is_network(name) for name in names)
        run.kill()

    servers.until(lambda: not any(_is_network(name) for name in names), "the networks are gone", 30)


def _is_network(name: str) -> bool:
    return subprocess.run(["ip", "-n", name, "link"], capture_output=True, check=False).returncode == 0


def test_server_that_lives_too_long_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LIFE", 1)
    one = servers.Servers(folder)

    one.start("server", ["sleep", "300"])

    servers.until(lambda: one.running["server"].poll() is not None, "it is ended", 30)
    assert not (folder / "server").exists()
    one.end()


def test_server_that_ends_at_once_is_told_with_its_last_words(folder: Path) -> None:
    one = servers.Servers(folder)
    one.start("server", ["sh", "-c", "echo no such thing >&2; exit 3"])

    with pytest.raises(AssertionError, match=r"server has ended:\nno such thing"):
        one.ready("server", lambda: False)

    one.end()
