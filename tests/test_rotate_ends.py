"""How a rotation ends: by a signal, by a person who closed its request, by a remote or an object that is not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import forges
import pytest
import rig
import sealed
import turned
from forges import BRANCH, FIRST, GITHUB, Forge
from kit import IPSEC, Ran, Repo

from generator import lock
from generator.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOBS = os.cpu_count() or 1
BARE = f"{IPSEC}gitops: {{engine: none}}\n"
MESH = "keyturn/rotate-mesh-prod-1"
NO_KEY = "128"  # how the real sops ends where no private key is at hand
PROGRAM = (sys.executable, "-m", "generator", "-q", "rotate")

# A sops that notes its process, answers for what `answered` matches, and else hangs.
SOPS = """
case " $* " in
*" --version "*) echo sops 3.11.0; exit ;;
*" decrypt "*) cat >/dev/null; exit {no_key} ;;
{answered}) exec {real} "$@" ;;
esac
echo $$ >{hanging}/$$
exec sleep 600
"""
HOLDER = """
import sys
from pathlib import Path
from generator import lock
with lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forges.prepared(tmp_path_factory)


@pytest.fixture
def forge(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """A clone whose remote is on GitHub, with `gh`."""
    return forges.at(forges.start(prepared, tmp_path / "forge", monkeypatch), "gh")


@pytest.fixture
def lab(prepared: Path, tmp_path: Path) -> Repo:
    """A repository without a remote."""
    return forges.alone(prepared, tmp_path / "lab")


def publish(forge: Forge) -> None:
    """Commit the work tree on `main`, a day ago, and push it."""
    turned.commit(forge.repo)
    forge.repo.git("push", "-q", "origin", "HEAD:main")


def instead(repo: Repo, environments: dict[str, str], like: str) -> None:
    """Have these environments and no others, each with a Secret; what stands before a dash has one key.

    None of them decrypts to what it tells, which nobody sees without the private key.
    """
    secret = repo.read(sealed.path(like))
    (told,) = re.findall("sha256:([0-9a-f]{32})", secret)
    shutil.rmtree(repo.root / "environments")
    shutil.rmtree(repo.root / "clusters")
    for name, text in environments.items():
        repo.environment(name, text)
        repo.write(
            sealed.path(name), secret.replace(told, hashlib.sha256(name.partition("-")[0].encode()).hexdigest()[:32])
        )
    turned.commit(repo)


def waited(until: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def runs(number: int) -> bool:
    """Whether a process runs that nobody has waited for."""
    with contextlib.suppress(OSError):
        return " Z " not in Path(f"/proc/{number}/stat").read_text("utf-8").rpartition(")")[2][:3]
    return False


# Signals


class Hanging:
    """Many environments; the sops that `env` finds answers for the first one, and hangs for each of the others."""

    def __init__(self, repo: Repo, folder: Path) -> None:
        self.repo, self.names = repo, [f"e{number:03}" for number in range(2 * JOBS + 2)]
        self.first = f"keyturn/rotate-{self.names[0]}-3"
        self._notes, self._temporary = folder / "hanging", folder / "temporary"
        self._notes.mkdir()
        self._temporary.mkdir()
        instead(repo, dict.fromkeys(self.names, BARE), "lab")
        answered = f"*clusters/{self.names[0]}/*"
        real = rig.real_sops(repo.root)
        rig.script(
            folder / "hangs", "sops", SOPS.format(no_key=NO_KEY, answered=answered, real=real, hanging=self._notes)
        )
        path = f"{folder / 'hangs'}{os.pathsep}{os.environ['PATH']}"
        self.env = {**os.environ, "PATH": path, "TMPDIR": str(self._temporary)}

    @property
    def started(self) -> list[int]:
        return [int(file.name) for file in self._notes.iterdir()]

    @property
    def left(self) -> tuple[list[int], list[str]]:
        """The programs that still run, and what is left where temporary files are."""
        return [one for one in self.started if runs(one)], [file.name for file in self._temporary.glob("keyturn-*")]


@pytest.fixture
def hanging(lab: Repo, tmp_path: Path) -> Iterator[Hanging]:
    found = Hanging(lab, tmp_path)
    yield found
    for number in found.left[0]:
        os.kill(number, signal.SIGKILL)


ENDS = {"SIGTERM": (signal.SIGTERM, 143), "SIGINT": (signal.SIGINT, 130)}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_signal_to_keyturn_alone_ends_what_it_runs_and_leaves_what_was_finished(
    hanging: Hanging, name: str, *, together: bool
) -> None:
    number, code = ENDS[name]
    words = ("--all", "--together") if together else ("--all",)
    finished = [] if together else [hanging.first]
    with subprocess.Popen(
        [*PROGRAM, *words], cwd=hanging.repo.root, env=hanging.env, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            waited(lambda: len(hanging.started) >= JOBS and (together or turned.branches(hanging.repo) == finished))
            start = time.monotonic()
            child.send_signal(number)
            said = child.communicate(timeout=20)[1]
        finally:
            child.kill()
    took = time.monotonic() - start

    ended = child.returncode, said, turned.branches(hanging.repo), hanging.left
    ran = turned.rotate(hanging.repo, *words)

    assert ended == (code, "\nkeyturn: interrupted\n", finished, ([], []))
    assert took < 5
    made = ["keyturn/rotate-together"] if together else [f"keyturn/rotate-{one}-3" for one in hanging.names]
    assert (ran.code, turned.branches(hanging.repo)) == (0, made)


# Requests that a person closed, or nobody opened


@pytest.fixture
def due(forge: Forge) -> Forge:
    """Four keys are due: lab, new, one, two."""
    turned.hold(forge.repo, "new", sealed.key(2, start=0x30), previous=1, old=forges.OLD)
    publish(forge)
    return forge


def opened(number: int) -> str:
    return re.sub("1$", str(number), FIRST["gh"])


def test_closed_requests_take_no_place_and_are_told(due: Forge) -> None:
    first = due.asked("--due", "--limit", "2")["rotations"]
    for number in (1, 2):
        due.change(number, state="closed")

    done = due.asked("--due", "--limit", "2")

    assert [one["environments"] for one in first] == [["lab"], ["new"]]
    turns = [(one["environments"], one["pull_request"]) for one in done["rotations"]]
    assert turns == [(["one"], opened(3)), (["two"], opened(4))]
    why = "its rotation waits on keyturn/rotate-{0}-3, and a person closed its request: {1}"
    skipped = [
        {"environment": name, "reason": why.format(name, opened(number))}
        for number, name in enumerate(("lab", "new"), start=1)
    ]
    assert done["skipped"] == skipped
    assert [one["state"] for one in due.requests()] == ["closed", "closed", "open", "open"]


def test_request_that_is_open_takes_a_place(due: Forge) -> None:
    due.asked("--due", "--limit", "2")
    due.change(1, state="closed")

    done = due.asked("--due", "--limit", "2")

    assert [one["environments"] for one in done["rotations"]] == [["one"]]
    assert done["skipped"] == [
        {
            "environment": "lab",
            "reason": f"its rotation waits on {BRANCH}, and a person closed its request: {opened(1)}",
        },
        {"environment": "new", "reason": "its rotation waits on keyturn/rotate-new-3"},
        {"environment": "two", "reason": "waits for the next run: no more than --limit 2"},
    ]


def test_branch_without_a_request_is_told_with_the_command_that_opens_it(due: Forge) -> None:
    due.broken("gh pr create")
    failed = due.rotate("--due", "--pr", "--limit", "2")
    due.broken("")

    done = due.asked("--due", "--limit", "2")
    reason = {one["environment"]: one["reason"] for one in done["skipped"]}["lab"]
    (way,) = re.findall("keyturn rotate (.*) opens it$", reason)
    ran = due.rotate(*way.split())

    assert (failed.code, done["rotations"]) == (3, [])
    assert reason == f"its rotation waits on {BRANCH}, and it has no request: keyturn rotate lab --pr opens it"
    (request,) = due.requests()
    assert (ran.code, request["branch"], request["state"]) == (0, BRANCH, "open")


def test_closed_request_of_a_dropped_branch_fails_before_a_key_is_made_and_the_others_turn(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.asked("lab")
    forge.change(1, state="closed")
    forge.bare.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    fresh = Repo(forge.folder / "fresh")
    forge.repo.git("clone", "-q", str(forge.folder / "remote.git"), str(fresh.root))
    forge.address(GITHUB, fresh)
    notes, real = forge.folder / "notes", rig.real_sops(forge.folder)
    rig.script(forge.folder / "noting", "sops", f'echo "$*" >>{notes}\nexec {real} "$@"\n')
    monkeypatch.setenv("PATH", f"{forge.folder / 'noting'}{os.pathsep}{os.environ['PATH']}")

    done = turned.answer(fresh, "--due", "--pr", code=3)

    assert [(one["environments"], one["pull_request"]) for one in done["rotations"]] == [
        (["one"], opened(2)),
        (["two"], opened(3)),
    ]
    assert (turned.branches(fresh), BRANCH in forge.there()) == (
        ["keyturn/rotate-one-3", "keyturn/rotate-two-3"],
        False,
    )
    asked = notes.read_text("utf-8")
    assert sorted(re.findall(r"encrypt .*clusters/(\w+)/", asked)) == ["one", "two"]
    assert len(re.findall("(?m)^decrypt ", asked)) <= 2
    why = f"{FIRST['gh']} was closed by a person"
    assert [one["reason"] for one in done["skipped"] if one["environment"] == "lab"] == [why]


# What a request says of keySize


SIZED = ", and `keySize` in the environments"


@pytest.mark.parametrize(
    ("there", "words", "bits", "told"),
    [("", "--key-size 256", 256, True), ("256", "--key-size 256", 256, False), ("256", "", 128, False)],
    ids=["changed", "the same", "not asked for"],
)
def test_request_for_what_waits_tells_of_a_key_size_that_the_commit_changes(
    forge: Forge, there: str, words: str, bits: int, *, told: bool
) -> None:
    if there:
        for number, name in enumerate("ab", start=1):
            forge.repo.environment(name, sealed.member(number, more=f"keySize: {there}"))
        publish(forge)
    made = forge.rotate("a", *words.split())

    forge.asked("a")

    (request,) = forge.requests()
    assert (made.code, request["branch"]) == (0, MESH)
    body = request["body"]
    assert (f"AES-{bits} " in body, SIZED in body, "keySize" in body) == (True, told, told)


# What is not there


@pytest.fixture
def partial(forge: Forge) -> Repo:
    """A clone without the content of any file, and no work tree."""
    forge.bare.git("config", "uploadpack.allowFilter", "true")
    found = Repo(forge.folder / "partial")
    url = f"file://{forge.folder / 'remote.git'}"
    forge.repo.git("clone", "-q", "--filter=blob:none", "--no-checkout", url, str(found.root))
    return found


@pytest.mark.parametrize("words", ["lab", "--all", "--due --together", "lab --dry-run"])
def test_partial_clone_is_refused_in_one_line(partial: Repo, words: str) -> None:
    (partial.root / "environments").mkdir()
    before = turned.refs(partial)

    ran = turned.rotate(partial, *words.split())

    (line,) = ran.err.splitlines()
    assert (ran.code, ran.out, turned.refs(partial)) == (3, "", before)
    assert re.fullmatch("keyturn: error: git .*could not fetch [0-9a-f]{40} from promisor remote.*", line), line


def test_partial_clone_without_a_work_tree_is_refused_in_one_line(partial: Repo) -> None:
    ran = turned.rotate(partial, "lab")

    way = "--root names the folder that holds it"
    assert ran == Ran(2, "", f"keyturn: error: no environments/ in {partial.root}; {way}\n")


@pytest.mark.parametrize("words", [("--fetch",), ("--pr",), ("--pr", "--base", "main"), ("--fetch", "--base", "main")])
@pytest.mark.parametrize("command", ["rotate", "rekey"])
def test_remote_that_is_down_is_told_in_one_line_with_a_way_out(
    forge: Forge, command: str, words: tuple[str, ...]
) -> None:
    (forge.folder / "remote.git").rename(forge.folder / "down.git")
    before = turned.refs(forge.repo), turned.private(forge.repo)

    ran = rig.command(forge.repo.root, command, "lab", *words)

    (line,) = ran.err.splitlines()
    after = turned.refs(forge.repo), turned.private(forge.repo)
    assert (ran.code, ran.out, after, forge.calls) == (3, "", before, [])
    way = "without --pr and --fetch, what was fetched last serves"
    assert re.fullmatch(f"keyturn: error: git ls-remote failed: .*remote.git.*; {way}", line), line


@pytest.mark.parametrize("words", [(), ("--base", "main"), ("--base", "origin/main")])
def test_what_was_fetched_last_serves_while_the_remote_is_down(forge: Forge, words: tuple[str, ...]) -> None:
    (forge.folder / "remote.git").rename(forge.folder / "down.git")

    ran = forge.rotate("lab", *words)

    assert (ran.code, turned.branches(forge.repo)) == (0, [BRANCH]), ran.err


# Many at once, and two at once


def git_calls(repo: Repo, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ran, int]:
    """Say what all turning together would do, and how often git was called for that."""
    notes = folder / "git-calls"
    notes.write_text("", "utf-8")
    rig.script(folder / "counting", "git", f'echo x >>{notes}\nexec {shutil.which("git")} "$@"\n')
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'counting'}{os.pathsep}{os.environ['PATH']}")
        ran = turned.rotate(repo, "--all", "--together", "--dry-run")
    return ran, len(notes.read_text("utf-8").splitlines())


def test_thirty_meshes_take_no_more_git_than_one(lab: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meshes = [(f"m{number:02}", member) for number in range(30) for member in (1, 2)]
    every = {f"{mesh}-{member}": sealed.member(member, mesh) for mesh, member in meshes}
    instead(lab, dict(list(every.items())[:2]), "a")
    few, calls = git_calls(lab, tmp_path, monkeypatch)
    instead(lab, every, "m00-1")

    many, more = git_calls(lab, tmp_path, monkeypatch)

    assert (few.code, many.code) == (0, 0), many.err
    assert 0 < more <= calls


@pytest.fixture
def side(lab: Repo, tmp_path: Path) -> Repo:
    """Another worktree of `lab`."""
    lab.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    return Repo(tmp_path / "side")


def test_rotation_in_another_worktree_is_named_as_the_one_that_holds_the_lock(hanging: Hanging, side: Repo) -> None:
    with subprocess.Popen([*PROGRAM, "--all"], cwd=side.root, env=hanging.env, stderr=subprocess.DEVNULL) as child:
        try:
            waited(lambda: bool(hanging.started))
            with pytest.raises(RefusedError) as refused, lock.hold(hanging.repo.root, wait=0.2):
                pytest.fail("two hold the lock")
        finally:
            child.terminate()

    file = hanging.repo.root / ".git" / "keyturn.lock"
    message = f"process {child.pid} holds {file}; wait for it to end, then run this again"
    assert (str(refused.value), refused.value.exit_code) == (message, 3)


def test_rotation_in_a_worktree_waits_for_the_one_in_another(lab: Repo, side: Repo) -> None:
    holder = [sys.executable, "-c", HOLDER, str(lab.root)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen([*PROGRAM, "lab"], cwd=side.root, stderr=subprocess.PIPE, text=True) as second:
            with contextlib.suppress(subprocess.TimeoutExpired):
                second.wait(1.5)
            during = second.returncode, turned.branches(lab)
            first.communicate("")
            said = second.communicate(timeout=20)[1]

    assert (during, second.returncode, turned.branches(lab)) == ((None, []), 0, [BRANCH]), said


# Branches of other names


@pytest.fixture
def changed(lab: Repo, prepared: Path, tmp_path: Path, home: Path) -> Repo:
    """A repository whose `.sops.yaml` has one more reader, with the private key at hand."""
    rig.keyring(home).parent.mkdir(parents=True)
    shutil.copy2(prepared / "keys.txt", rig.keyring(home))
    (before,) = re.findall(r"age1\w+", lab.read(".sops.yaml"))
    lab.write(".sops.yaml", rig.config(before, rig.identity(tmp_path / "bob.txt")))
    turned.commit(lab)
    return lab


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((), ("--branch", "other")),
        ((), ("--branch", "keyturn/other")),
        (("--branch", "keyturn/first"), ()),
        (("--branch", "keyturn/first"), ("--branch", "keyturn/second")),
        (("--branch", "first"), ("--branch", "first")),
        (("--branch", "first"), ("--branch", "second")),
        (("--branch", "first"), ()),
    ],
)
def test_second_rekey_finds_the_branch_of_the_first(
    changed: Repo, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    made = rig.command(changed.root, "rekey", "lab", *first)
    before = turned.refs(changed)

    ran = rig.command(changed.root, "rekey", "lab", *second)

    branch = first[1] if first else "keyturn/rekey-lab"
    assert (made.code, ran.code, turned.refs(changed)) == (0, 0, before)
    assert f"keyturn: {branch} waits already" in ran.err.splitlines()


@pytest.mark.parametrize("name", ["lab", "a", "b"])
def test_rotation_that_waits_on_a_branch_of_another_name_is_published_by_the_command_that_is_told(
    forge: Forge, name: str
) -> None:
    forge.rotate(name, "--branch", "foo")
    before = turned.refs(forge.repo)

    ran = forge.rotate(name, "--pr")
    (way,) = re.findall("; keyturn rotate (.*) opens its request\n$", ran.err)
    untouched = turned.refs(forge.repo), forge.requests()
    published = forge.rotate(*way.split())

    assert (ran.code, untouched) == (3, (before, []))
    (request,) = forge.requests()
    assert (published.code, request["branch"]) == (0, "foo"), published.err
    assert forge.bare.git("rev-parse", "foo").strip() == turned.tip(forge.repo, "foo")
