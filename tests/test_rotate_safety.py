"""What a rotation must not do: break half way, show a key, believe a broken sops, or lose what somebody else made."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import rig
import sealed
import turned
from kit import Repo

if TYPE_CHECKING:
    from pathlib import Path

SECRET = sealed.path("lab")
BRANCH = "keyturn/rotate-lab-2"
ROTATE = (sys.executable, "-m", "generator", "-v", "rotate", "lab")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose only commit, the first key, is a day old, beside its HOME."""
    return turned.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def lab(prepared: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    shutil.copytree(prepared / "home", home, dirs_exist_ok=True)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)  # looks at TMPDIR once a process
    return Repo(shutil.copytree(prepared / "lab", tmp_path / "lab"))


def left(lab: Repo) -> list[Path]:
    """What lies in the temporary folder."""
    return list((lab.root.parent / "tmp").iterdir())


def whole(repo: Repo) -> bool:
    """Whether the branch holds the whole rotation and nothing else."""
    key = turned.key(repo, BRANCH, "lab")
    told = turned.told(repo, BRANCH, "lab")
    assert (turned.tip(repo, f"{BRANCH}^"), turned.diff(repo, BRANCH)) == (turned.tip(repo, "main"), [f"M\t{SECRET}"])
    assert [(one.key_id, one.fingerprint) for one in turned.trailers(repo, BRANCH)] == [(2, key.fingerprint())]
    return (key.id, told["key-id"], told["fingerprint"]) == (2, "2", key.fingerprint())


# A kill at each step

KILLER = """
case " $* " in *" $STEP "*) kill -9 $PPID; {real} "$@"; echo > "$ENDED"; exit ;; esac
exec {real} "$@"
"""
STEPS = [
    *("rev-parse", "symbolic-ref", "var", "cat-file", "for-each-ref", "log", "decrypt", "encrypt"),
    *("hash-object", "mktree", "config", "commit-tree", "update-ref"),
]


@pytest.mark.parametrize("step", STEPS)
def test_kill_leaves_no_branch_or_the_whole_one_and_a_second_run_ends_well(
    lab: Repo, tmp_path: Path, step: str
) -> None:
    for name, real in (("git", shutil.which("git")), ("sops", rig.real_sops(lab.root))):
        rig.script(tmp_path / "bin", name, KILLER.format(real=real))
    before = turned.private(lab)
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "STEP": step, "ENDED": str(tmp_path / "ended")}

    killed = subprocess.run(ROTATE, cwd=lab.root, env={**os.environ, **env}, capture_output=True, check=False)
    await_file(tmp_path / "ended")  # the program that was just started knows nothing of the kill

    made = bool(turned.branches(lab))
    fsck = lab.git("fsck", "--strict", "--no-dangling", "--no-progress")
    assert (killed.returncode, turned.private(lab), fsck, made) == (-9, before, "", step == "update-ref")
    assert turned.rotate(lab, "lab").code == (3 if made else 0)
    assert whole(lab)


def await_file(file: Path) -> str:
    """Return what a file holds, once it holds anything."""
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text("utf-8")):
        assert time.monotonic() < deadline, f"nobody wrote {file.name}"
        time.sleep(0.01)
    return file.read_text("utf-8")


# Where the key is to be seen

CALLS = "execve,openat,read,pread64,readv,write,writev,pwrite64,sendto,sendmsg,getrandom,rename,memfd_create,prctl"


def forms(material: bytes) -> list[bytes]:
    """Return how key material may be written."""
    text = material.hex().encode()
    shown = [base64.b64encode(b"-" * shift + data)[2 * shift : -4] for data in (material, text) for shift in range(3)]
    return [material, text, text.upper(), *shown]


def holds(data: bytes, *materials: bytes) -> bool:
    return any(form in data for material in materials for form in forms(material))


def traced(lab: Repo, log: Path) -> subprocess.CompletedProcess[bytes]:
    """Rotate under strace, which writes every string in hexadecimal digits, and environments in full."""
    strace = [rig.strace(), "-f", "-v", "-qq", "-y", "-xx", "-s", "131072", "-e", f"trace={CALLS}", "-e", "signal=none"]
    return subprocess.run([*strace, "-o", str(log), *ROTATE], cwd=lab.root, capture_output=True, check=False)


def calls(lines: list[str], material: bytes) -> set[str]:
    """Return which system calls, on what, had key material."""
    needles = ["".join(f"\\x{byte:02x}" for byte in form) for form in forms(material)]
    begun: dict[str, str] = {}
    found = set()
    for line in lines:
        process, _, call = line.partition(" ")
        if line.endswith("<unfinished ...>"):
            begun[process] = call
        if any(needle in line for needle in needles):
            found.add(_named(begun.get(process, "?") if " resumed>" in line else call))
    return found


def _named(call: str) -> str:
    """Return a call's name, and of what its first argument is."""
    text = re.sub(r"\\x(..)", lambda match: chr(int(match[1], 16)), call)
    return re.sub(r"^ *(\w+)\((?:\d+<(\w+):)?.*", r"\1 \2", text, flags=re.DOTALL).strip()


def objects(repo: Repo) -> bytes:
    """Every object of a repository, also those that nothing names."""
    words = ["git", "cat-file", "--batch", "--batch-all-objects", "--unordered"]
    return subprocess.run(words, cwd=repo.root, capture_output=True, check=True).stdout


@pytest.mark.parametrize("shut", [True, False], ids=["public keys only", "private key at hand"])
def test_key_material_comes_from_the_system_and_goes_through_pipes_alone(
    lab: Repo, home: Path, tmp_path: Path, *, shut: bool
) -> None:
    keyring = rig.keyring(home)
    kept = keyring.read_bytes()
    old = turned.key(lab, "main", "lab").material
    if shut:
        sealed.shut(home)

    ran = traced(lab, tmp_path / "strace.log")

    keyring.write_bytes(kept)
    new = turned.key(lab, BRANCH, "lab").material
    log = (tmp_path / "strace.log").read_text("ascii").splitlines()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and holds(path.read_bytes(), old, new)]
    pipes = {"read pipe", "write pipe"}
    assert ran.returncode == 0
    assert (calls(log, new), calls(log, old)) == ({"getrandom", *pipes}, set() if shut else pipes)
    assert [holds(data, old, new) for data in (objects(lab), ran.stdout, ran.stderr)] == [False, False, False]
    assert (files, left(lab)) == ([], [])


# A sops that is broken

SOPS = """
case " $* " in
  *" --version "*) echo sops 3.11.0 ;;
  *" {step} "*) cat > {kept}; {body} ;;
  *) exec {real} "$@" ;;
esac
"""
ENCRYPT = {
    "fails": ("echo 'Error: no' >&2; exit 1", f"sops failed to encrypt {SECRET}: Error: no"),
    "fails and quotes": ("cat {kept} >&2; exit 1", f"sops failed to encrypt {SECRET}: .*\\[redacted\\].*"),
    "fails and quotes base64": ("base64 -w0 {kept} >&2; exit 1", f"sops failed to encrypt {SECRET}: \\[redacted\\]"),
    "is killed": ("kill -9 $$", f"sops failed to encrypt {SECRET}: it says nothing"),
    "says nothing": (":", f"sops answered for {SECRET}, but not with the Secret"),
    "prints garbage": ("head -c 999 /dev/urandom", f"sops answered for {SECRET}, but not with the Secret"),
    "prints the clear text": ("cat {kept}", f"sops left the key of {SECRET} in clear; look at the sops on PATH"),
    "prints the clear text too": (
        '{real} "$@" < {kept}; sed "s/^/# /" {kept}',
        f"sops left the key of {SECRET} in clear; look at the sops on PATH",
    ),
    "stops half way": ('{real} "$@" < {kept} | head -c 900', f"sops (answered for|encrypted) {SECRET}.*"),
    "changes an annotation": (
        '{real} "$@" < {kept} | sed "/key-id/s/2/3/"',
        f"sops changed what stands in clear in {SECRET}; look at the sops on PATH",
    ),
    "encrypts for somebody else": (
        'shift 2; {real} --config {kept}.rule "$@" < {kept}',
        f"sops encrypted {SECRET} for other recipients than its rule names; .*",
    ),
}
DECRYPT = {
    "fails": ("echo 'Error: no' >&2; exit 1", f"sops failed to decrypt {SECRET}: Error: no"),
    "fails and quotes": (
        '{real} "$@" < {kept} > {kept}.clear; cat {kept}.clear >&2; exit 1',
        f"sops failed to decrypt {SECRET}: .*\\[redacted\\].*",
    ),
    "prints garbage": ("head -c 999 /dev/urandom", f"{SECRET} .*"),
    "prints half of the key": (
        '{real} "$@" < {kept} | sed -E "s/[0-9a-f]{{9}} 128/ 128/"',
        f"{SECRET}: the key line .*; bring back the file that keyturn wrote",
    ),
}
BROKEN = [
    *(pytest.param("encrypt", *one, id=f"encrypt {name}") for name, one in ENCRYPT.items()),
    *(pytest.param("decrypt", *one, id=f"decrypt {name}") for name, one in DECRYPT.items()),
]


@pytest.mark.parametrize(("step", "body", "line"), BROKEN)
def test_sops_that_is_broken_leaves_no_branch_and_shows_no_key(
    lab: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, body: str, line: str
) -> None:
    old = turned.key(lab, "main", "lab").material
    broken(lab, tmp_path, monkeypatch, step, body)
    before = turned.refs(lab), turned.private(lab)

    ran = rig.command(lab.root, "-v", "rotate", "lab")

    sent = (tmp_path / "kept").read_bytes()
    found = [bytes.fromhex(one) for one in re.findall(r"\b[0-9a-f]{40}\b", sent.decode())] if step == "encrypt" else []
    assert (ran.code, ran.out, (turned.refs(lab), turned.private(lab)), left(lab)) == (3, "", before, [])
    assert re.fullmatch(f"keyturn: error: {line}", ran.err.splitlines()[-1])
    assert (len(found), holds(ran.err.encode() + objects(lab), old, *found)) == (step == "encrypt", False)


def broken(lab: Repo, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, body: str) -> None:
    """Put a sops on PATH that does one step in its own way; `kept` is what it was given."""
    kept, real = folder / "kept", rig.real_sops(lab.root)
    rule = f"creation_rules: [{{age: {rig.identity(folder / 'somebody')}}}]\n"
    kept.with_name("kept.rule").write_text(rule, "utf-8")
    text = SOPS.format(step=step, kept=kept, real=real, body=body.format(kept=kept, real=real))
    rig.script(folder / "bin", "sops", text)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


@pytest.mark.parametrize("step", ["encrypt", "decrypt"])
@pytest.mark.parametrize(("ends", "code"), [("sops", 3), ("all", 130)], ids=["sops is killed", "ctrl-c"])
def test_sops_that_hangs_until_somebody_ends_it_leaves_nothing(
    lab: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, ends: str, code: int
) -> None:
    broken(lab, tmp_path, monkeypatch, step, f"echo $$ > {tmp_path}/hangs; exec sleep 600")
    child = subprocess.Popen(ROTATE, cwd=lab.root, stderr=subprocess.DEVNULL, start_new_session=True)
    hangs = int(await_file(tmp_path / "hangs"))

    if ends == "sops":
        os.kill(hangs, signal.SIGKILL)
    else:
        os.killpg(child.pid, signal.SIGINT)

    assert (child.wait(20), turned.branches(lab), left(lab)) == (code, [], [])


# What somebody else made


def test_second_of_two_at_once_in_one_clone_is_told(lab: Repo) -> None:
    argv = [sys.executable, "-m", "generator", "-q", "rotate", "lab"]
    both = [subprocess.Popen(argv, cwd=lab.root, stderr=subprocess.PIPE, text=True) for _ in range(2)]

    said = [child.communicate()[1].partition("; ")[0] for child in both]

    assert sorted(child.returncode for child in both) == [0, 3]
    assert f"keyturn: error: a rotation of lab waits on {BRANCH}" in said
    assert (turned.branches(lab), whole(lab)) == ([BRANCH], True)


def test_foreign_branch_of_that_name_is_kept(lab: Repo) -> None:
    lab.git("switch", "-q", "-c", BRANCH)
    lab.git("commit", "-q", "--allow-empty", "-m", "work of somebody")
    lab.git("switch", "-q", "main")

    hint = f"git branch -D {BRANCH}, or another name by --branch"
    assert turned.refused(lab, "lab") == f"there is a branch {BRANCH}, and it holds something else; {hint}"


def test_branch_of_that_name_that_holds_nothing_new_is_taken(lab: Repo) -> None:
    lab.git("branch", BRANCH)
    lab.git("commit", "-q", "--allow-empty", "-m", "more")

    assert (turned.rotate(lab, "lab").code, whole(lab)) == (0, True)


def test_stale_branch_is_not_replaced_under_a_worktree(lab: Repo, home: Path) -> None:
    turned.rotate(lab, "lab")
    lab.git("worktree", "add", "-q", "../linked", BRANCH)
    lab.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    turned.commit(lab)

    line = turned.refused(lab, "lab")
    lab.git("worktree", "remove", "../linked")

    where = lab.root.parent / "linked"
    assert line == f"{BRANCH} is checked out in {where}; git switch to another branch there"
    assert (turned.rotate(lab, "lab").code, whole(lab)) == (0, True)


def test_branch_that_git_cannot_make_is_told(lab: Repo) -> None:
    lab.git("branch", "keyturn")

    line = turned.refused(lab, "lab")

    reason = "'refs/heads/keyturn' exists; cannot create 'refs/heads/keyturn/rotate-lab-2'"
    assert line.partition("; another branch")[0].endswith(reason)


def test_everything_else_in_the_tree_survives(lab: Repo) -> None:
    (lab.root / SECRET).chmod(0o755)
    for name in ("lab-", "lab.x", "lab0", "la", "ü b"):
        lab.write(f"clusters/{name}/x", name)
    lab.write(os.fsdecode(b"clusters/lab/secrets/\xff\t"), "no text")
    (lab.root / "clusters/lab/secrets/link").symlink_to("../nowhere")
    turned.commit(lab)
    for place in ("module", "clusters/lab/secrets/module"):
        lab.git("update-index", "--add", "--cacheinfo", f"160000,{turned.tip(lab, 'main')},{place}")
    lab.git("commit", "-q", "-m", "modules")

    ran = turned.rotate(lab, "lab")

    diff = lab.git("diff", "--raw", "--abbrev=1", "main", BRANCH).split()
    assert (ran.code, diff[:2], diff[4:]) == (0, [":100755", "100755"], ["M", SECRET])
    assert lab.git("fsck", "--strict", "--no-progress") == ""


@pytest.mark.parametrize("place", ["clusters/b", "clusters/b/secrets"])
def test_file_in_the_way_of_a_folder_is_kept(repo: Repo, home: Path, place: str) -> None:
    sealed.mesh(repo, home)
    for name in "ac":
        turned.hold(repo, name, sealed.key())
    repo.write(place, "of somebody")
    turned.commit(repo)

    assert turned.refused(repo, "--all").startswith(f"{place} is not a folder in git; ")
