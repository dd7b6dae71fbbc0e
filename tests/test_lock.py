"""One writer at a time: where the lock lies, who is told to wait, and that no crash leaves it behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import rig
from kit import Ran, Repo

from generator import lock
from generator.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from generator import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def other_process(root: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock until its stdin ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_lock_lies_in_the_git_directory(repo: Repo) -> None:
    repo.init()
    inner = repo.root / "a" / "b"

    assert (lock.path(repo.root), lock.path(inner)) == (repo.root / ".git" / "keyturn.lock",) * 2


def test_lock_lies_at_the_root_outside_git(repo: Repo) -> None:
    assert lock.path(repo.root) == repo.root / ".keyturn.lock"


def test_worktrees_of_a_repository_share_the_lock_as_they_share_branches(repo: Repo, tmp_path: Path) -> None:
    repo.init()
    repo.write("README", "x\n")
    repo.commit()
    repo.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "work"))

    assert lock.path(tmp_path / "work") == repo.root / ".git" / "keyturn.lock"


def test_lock_names_its_holder_while_it_is_held(repo: Repo) -> None:
    with lock.hold(repo.root):
        during = repo.read(".keyturn.lock")

    assert (during, repo.read(".keyturn.lock")) == (f"process {os.getpid()}\n", "")


def test_second_process_is_told_who_holds_the_lock(repo: Repo) -> None:
    with other_process(repo.root) as child:
        started = time.monotonic()
        with pytest.raises(RefusedError) as refused, lock.hold(repo.root, wait=0.2):
            pytest.fail("two hold the lock")
        waited = time.monotonic() - started
        child.communicate("")

    file = repo.root / ".keyturn.lock"
    message = f"process {child.pid} holds {file}; wait for it to end, then run this again"
    assert (str(refused.value), refused.value.exit_code) == (message, 3)
    assert 0.2 <= waited < 5


def test_waiting_ends_when_the_lock_is_free(repo: Repo) -> None:
    with other_process(repo.root) as child:
        assert child.stdin is not None
        child.stdin.close()
        with lock.hold(repo.root, wait=10):
            held = repo.read(".keyturn.lock")

    assert (child.returncode, held) == (0, f"process {os.getpid()}\n")


def test_crash_of_the_holder_frees_the_lock(repo: Repo) -> None:
    with other_process(repo.root) as child:
        child.kill()

    with lock.hold(repo.root, wait=0):
        held = repo.read(".keyturn.lock")

    assert held == f"process {os.getpid()}\n"


def test_error_of_the_holder_frees_the_lock(repo: Repo) -> None:
    with pytest.raises(ZeroDivisionError), lock.hold(repo.root):
        raise ZeroDivisionError

    with lock.hold(repo.root, wait=0):
        pass


def test_programs_that_the_holder_started_do_not_keep_the_lock(repo: Repo) -> None:
    with lock.hold(repo.root):
        child = subprocess.Popen(["sleep", "30"])

    with child:
        try:
            with lock.hold(repo.root, wait=0):
                pass
        finally:
            child.kill()


def test_two_runs_at_once_make_one_key(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    command = [sys.executable, "-m", "generator", "-q", "render"]
    children = [subprocess.Popen(command, cwd=repo.root, stderr=subprocess.PIPE, text=True) for _ in range(3)]

    ended = [(child.communicate(timeout=30)[1], child.returncode) for child in children]

    assert ended == [("", 0)] * 3
    assert rig.command(repo.root, "render", "--check") == Ran(
        0,
        "1 environment: 0 created, 0 updated, 0 removed, 10 unchanged (checked only, nothing written)\n",
        "",
    )


def test_check_does_not_wait_for_the_lock(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)

    with other_process(repo.root) as child:
        ran = rig.command(repo.root, "render", "--check")
        child.communicate("")

    assert (ran.code, ran.err) == (1, "")
