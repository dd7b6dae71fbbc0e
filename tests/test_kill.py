"""A run that is killed, and what a run may touch: whole files or none, no network, and the key in pipes alone."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rig
import sealed
import yaml
from kit import IPSEC, WIREGUARD, Repo

SECRETS = [f"clusters/{name}/{rig.SECRET}" for name in ("ipsec", "late")]
RENDER = (sys.executable, "-m", "generator", "-q", "render", "--jobs", "2")


class Two:
    """A workspace as it was rendered before its environments changed, and the tree that is now asked for."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.repo = Repo(folder / "old")
        self.repo.root.mkdir()
        rig.lab(self.repo, home, name="ipsec")
        self.repo.environment("gone", WIREGUARD)
        self.repo.environment("wireguard", WIREGUARD)
        assert rig.command(self.repo.root, "render").code == 0
        self.old = self.repo.files()
        (self.repo.root / "environments/gone.yaml").unlink()
        self.repo.environment("ipsec", IPSEC.replace("1.16.0", "1.17.0"))
        self.repo.environment("wireguard", WIREGUARD.replace("1.16.0", "1.17.0"))
        self.repo.environment("late", IPSEC)
        new = self.copy(folder / "new")
        started = time.monotonic()
        subprocess.run(RENDER, cwd=new.root, check=True)
        self.seconds = time.monotonic() - started
        self.new = new.files()

    def copy(self, folder: Path) -> Repo:
        return Repo(shutil.copytree(self.repo.root, folder, symlinks=True))

    def torn(self, repo: Repo) -> list[str]:
        """Return the files that are neither as before nor as asked for; of the new Secret: if broken."""
        files = repo.files()
        found = [path for path in self.old.keys() & self.new.keys() if path not in files]
        for path, data in files.items():
            if path.endswith(".keyturn-tmp"):
                continue
            if path == SECRETS[1]:
                whole = yaml.safe_load(data)["sops"]["mac"].startswith("ENC[")
            else:
                whole = data in (self.old.get(path), self.new.get(path))
            found += [] if whole else [path]
        return found

    def finished(self, repo: Repo) -> bool:
        files = repo.files()
        known = {path: data for path, data in files.items() if path != SECRETS[1]}
        return SECRETS[1] in files and known == {path: data for path, data in self.new.items() if path != SECRETS[1]}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
        return Two(tmp_path_factory.mktemp("two"), home)


@pytest.mark.parametrize("moment", range(15))
def test_kill_leaves_every_file_old_or_new_and_the_next_run_finishes(two: Two, tmp_path: Path, moment: int) -> None:
    repo = two.copy(tmp_path / "killed")
    child = subprocess.Popen(RENDER, cwd=repo.root, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(two.seconds * (0.45 + 0.04 * moment))
    child.kill()
    child.wait()
    torn = two.torn(repo)

    ran = rig.command(repo.root, "render")

    assert (torn, ran.code, ran.err, two.finished(repo)) == ([], 0, "", True)


@pytest.mark.parametrize(
    ("call", "moment"), [("?rename,?renameat,?renameat2", 2), ("fsync", 5), ("?unlink,?unlinkat", 3), ("write", 6)]
)
def test_kill_at_a_system_call_leaves_every_file_old_or_new(two: Two, tmp_path: Path, call: str, moment: int) -> None:
    repo = two.copy(tmp_path / "killed")
    traced = [
        rig.strace(),
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=KILL:when={moment}",
    ]
    killed = subprocess.run([*traced, *RENDER], cwd=repo.root, capture_output=True, check=False)
    torn = two.torn(repo)

    ran = rig.command(repo.root, "render")

    assert (killed.returncode, torn, ran.code, ran.err, two.finished(repo)) == (-9, [], 0, "", True)


def test_secret_that_was_finished_before_the_kill_is_kept(two: Two, tmp_path: Path) -> None:
    repo = two.copy(tmp_path / "killed")
    rig.command(repo.root, "render", "late")
    made = repo.read(SECRETS[1])

    ran = rig.command(repo.root, "render")

    assert (ran.code, repo.read(SECRETS[1])) == (0, made)


def traced(folder: Path, root: Path, *options: str, names: tuple[str, ...] = ()) -> list[str]:
    """Run a render under strace, that of its children too, and return what strace saw."""
    log = folder / "strace.log"
    done = subprocess.run(
        [rig.strace(), "-f", "-qq", "-yy", "-s", "65536", "-o", str(log), *options, *RENDER, *names],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return rig.whole_calls(log.read_text("utf-8", "replace"))


def test_first_key_needs_no_network(repo: Repo, home: Path, tmp_path: Path) -> None:
    rig.lab(repo, home)

    seen = traced(tmp_path, repo.root, "-e", "trace=network", "-e", "signal=none")

    assert [
        line for line in seen if re.search(r"\b(socket|connect|sendto|sendmsg)\(", line) and "AF_UNIX" not in line
    ] == []


CALLS = ("-e", "trace=execve,openat,write,writev,pwrite64,sendto,sendmsg,rename", "-e", "signal=none")


def shown(folder: Path, seen: list[str], file: Path) -> tuple[set[str], list[str]]:
    """Return where system calls took the key of a Secret, and which files hold it."""
    clear = yaml.safe_load(rig.decrypt(file))
    (material,) = re.findall(r"[0-9a-f]{40}", clear["stringData"]["keys"])
    where = {re.sub(r"^\d+ +(\w+)\(\d+<(\w+):.*", r"\1 to \2", line) for line in seen if material in line}
    held = [path.name for path in folder.rglob("*") if path.is_file() and material.encode() in path.read_bytes()]
    return where, held


def test_key_material_goes_through_pipes_alone(repo: Repo, home: Path, tmp_path: Path) -> None:
    rig.lab(repo, home)

    seen = traced(tmp_path, repo.root, *CALLS)

    assert shown(tmp_path, seen, repo.root / "clusters/lab" / rig.SECRET) == ({"write to pipe"}, ["strace.log"])


def test_key_that_a_member_of_a_mesh_joins_with_goes_through_pipes_alone(
    repo: Repo, home: Path, tmp_path: Path
) -> None:
    mesh = sealed.mesh(repo, home)
    sealed.seal(mesh, "a", sealed.clear(sealed.key(4), 3))

    seen = traced(tmp_path, repo.root, *CALLS, names=("b",))

    assert shown(tmp_path, seen, repo.root / sealed.path("b")) == ({"write to pipe"}, ["strace.log"])
