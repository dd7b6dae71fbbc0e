"""The first `.sops.yaml`: made on request or after asking, for an identity at the place where sops looks."""

from __future__ import annotations

import os
import pty
import re
import select
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import rig
from kit import IPSEC, WIREGUARD, Ran, Repo

if TYPE_CHECKING:
    from pathlib import Path

FILES = [
    "bootstrap.sh",
    "cilium/helmrelease.yaml",
    "cilium/helmrepository.yaml",
    "cilium/kustomization.yaml",
    "cilium/kustomizeconfig.yaml",
    "cilium/values.yaml",
    "flux/cilium.yaml",
    "flux/secrets.yaml",
    rig.SECRET,
    "secrets/kustomization.yaml",
]
CREATED = "".join(f"created {path}\n" for path in [".sops.yaml", *(f"clusters/lab/{file}" for file in FILES)])
OUT = f"{CREATED}1 environment: 11 created, 0 updated, 0 removed, 0 unchanged\n"
BACK_UP = "keyturn: BACK IT UP: without it nobody can read the Secrets that are encrypted for it\n"
REFUSED = (
    "keyturn: error: no .sops.yaml says for whom the Secrets are encrypted; keyturn render --new-identity makes one "
    "with an age identity of yours, or write it by hand\n"
)


@pytest.fixture
def lab(repo: Repo) -> Repo:
    repo.init()
    repo.environment("lab")
    return repo


def made_config(public: str) -> str:
    return (
        "# Made by keyturn render --new-identity: one recipient, whose identity lies on one machine.\n"
        "# Add the recipients of your team and of your clusters. A protected environment gets no key until they are\n"
        "# chosen and these three lines are gone.\n"
        "creation_rules:\n"
        "  - path_regex: ^clusters/[^/]+/secrets/[^/]+\\.sops\\.yaml$\n"
        "    encrypted_regex: ^(data|stringData)$\n"
        f"    age: {public}\n"
    )


def public_half(file: Path) -> str:
    """Return the recipient that an identity file names, once it is exactly what age-keygen would write."""
    match = re.fullmatch(
        r"# created: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n# public key: (age1[0-9a-z]{58})\nAGE-SECRET-KEY-1[0-9A-Z]{58}\n",
        file.read_text("utf-8"),
    )
    assert match
    return match[1]


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, ".config/sops/age/keys.txt"),
        ({"XDG_CONFIG_HOME": "xdg"}, "xdg/sops/age/keys.txt"),
        ({"SOPS_AGE_KEY_FILE": "elsewhere/age.key", "XDG_CONFIG_HOME": "xdg"}, "elsewhere/age.key"),
    ],
)
def test_identity_is_made_where_sops_looks_and_the_person_is_told(
    lab: Repo, home: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(home / value))

    ran = rig.command(lab.root, "render", "--new-identity")

    file = home / place
    public = public_half(file)
    told = (
        f"keyturn: made an age identity: {file}\n{BACK_UP}"
        f"keyturn: made .sops.yaml with its public half as the only recipient: {public}\n"
    )
    assert ran == Ran(0, OUT, told)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert lab.read(".sops.yaml") == made_config(public)
    assert rig.decrypt(lab.root / "clusters/lab" / rig.SECRET).startswith("# Written once by keyturn")


def test_identity_that_is_there_is_used_and_not_touched(lab: Repo, home: Path) -> None:
    file = rig.keyring(home)
    public = rig.identity(file)
    rig.identity(file)
    file.chmod(0o400)
    before = rig.standing(home)

    ran = rig.command(lab.root, "render", "--new-identity")

    told = (
        f"keyturn: found an age identity: {file}\n{BACK_UP}"
        f"keyturn: made .sops.yaml with its public half as the only recipient: {public}\n"
    )
    assert ran == Ran(0, OUT, told)
    assert rig.standing(home) == before
    assert lab.read(".sops.yaml") == made_config(public)


def test_identity_inside_the_repository_is_warned_about(lab: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    file = lab.root / "keys" / "age.key"
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(file))

    ran = rig.command(lab.root, "render", "--new-identity")

    told = (
        f"keyturn: made an age identity: {file}\n{BACK_UP}"
        "keyturn: it lies inside this repository: NEVER COMMIT IT\n"
        f"keyturn: made .sops.yaml with its public half as the only recipient: {public_half(file)}\n"
    )
    assert ran == Ran(0, OUT, told)


def test_private_half_stands_in_its_own_file_alone(lab: Repo, home: Path) -> None:
    ran = lab.run("-v", "render", "--new-identity")

    private = rig.keyring(home).read_text("utf-8").splitlines()[-1]
    shown = (ran.out + ran.err).encode() + b"".join(lab.files().values())
    assert private.startswith("AGE-SECRET-KEY-1")
    assert private.encode() not in shown


def test_unattended_run_without_the_flag_refuses_and_writes_nothing(lab: Repo, home: Path) -> None:
    before = rig.standing(lab.root, without=(".git",)), rig.standing(home)

    ran = lab.run("render")

    assert ran == Ran(3, "", REFUSED)
    assert (rig.standing(lab.root, without=(".git",)), rig.standing(home)) == before


def at_terminal(repo: Repo, *arguments: str, answer: bytes) -> tuple[int, str, str]:
    """Run keyturn with stdin and stderr at a terminal; return exit code, stdout, and what the terminal shows.

    The answer is typed at the first question mark.
    """
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "generator", *arguments],
        cwd=repo.root,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, typed, deadline = b"", False, time.monotonic() + 20
    while time.monotonic() < deadline and select.select([ours], [], [], 20)[0]:
        try:
            data = os.read(ours, 4096)
        except OSError:  # on Linux this is how a terminal without a program behind it ends
            break
        if not data:
            break
        shown += data
        if b"]: " in shown and not typed:
            os.write(ours, answer)
            typed = True
    os.close(ours)
    out, _ = child.communicate(timeout=20)
    return child.returncode, out.decode(), shown.decode().replace("\r\n", "\n")


def question(place: Path) -> str:
    return f"There is no .sops.yaml. Make one for the age identity in {place} (made if it is not there)? [y/N]: "


def test_yes_at_a_terminal_makes_it(lab: Repo, home: Path) -> None:
    place = rig.keyring(home)

    code, out, shown = at_terminal(lab, "render", answer=b"y\n")

    public = public_half(place)
    told = (
        f"keyturn: made an age identity: {place}\n{BACK_UP}"
        f"keyturn: made .sops.yaml with its public half as the only recipient: {public}\n"
    )
    assert (code, out, shown) == (0, OUT, f"{question(place)}y\n{told}")


@pytest.mark.parametrize("answer", ["n", ""])
def test_no_at_a_terminal_refuses_and_writes_nothing(lab: Repo, home: Path, answer: str) -> None:
    before = rig.standing(lab.root, without=(".git",)), rig.standing(home)

    ended = at_terminal(lab, "render", answer=f"{answer}\n".encode())

    assert ended == (3, "", f"{question(rig.keyring(home))}{answer}\n{REFUSED}")
    assert (rig.standing(lab.root, without=(".git",)), rig.standing(home)) == before


PROTECTED = f"protected: true\n{IPSEC}"


def test_protected_environment_gets_no_identity_even_with_the_flag(lab: Repo, home: Path) -> None:
    lab.environment("production", PROTECTED)
    before = rig.standing(lab.root, without=(".git",)), rig.standing(home)

    ran = rig.command(lab.root, "render", "--new-identity")

    message = "keyturn: error: no .sops.yaml, and production is protected; choose the recipients by hand and write it\n"
    assert ran == Ran(3, "", message)
    assert (rig.standing(lab.root, without=(".git",)), rig.standing(home)) == before


def test_protected_environment_is_not_asked_about_at_a_terminal(lab: Repo) -> None:
    lab.environment("lab", PROTECTED)

    ended = at_terminal(lab, "render", answer=b"y\n")

    message = "keyturn: error: no .sops.yaml, and lab is protected; choose the recipients by hand and write it\n"
    assert ended == (3, "", message)


def test_protected_environment_is_refused_under_recipients_that_nobody_chose(lab: Repo) -> None:
    rig.command(lab.root, "render", "--new-identity")
    lab.environment("production", PROTECTED)
    before = rig.standing(lab.root, without=(".git",))

    ran = rig.command(lab.root, "render", "--new-identity")

    message = (
        "keyturn: error: production is protected, and .sops.yaml has one recipient that nobody chose; "
        "choose the recipients, and take the first lines of .sops.yaml out\n"
    )
    assert ran == Ran(3, "", message)
    assert rig.standing(lab.root, without=(".git",)) == before


def test_protected_environment_gets_a_key_once_recipients_were_chosen(lab: Repo, home: Path) -> None:
    lab.environment("lab", PROTECTED)
    lab.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))

    ran = rig.command(lab.root, "render")

    assert (ran.code, ran.err) == (0, "")
    assert rig.decrypt(lab.root / "clusters/lab" / rig.SECRET).startswith("# Written once by keyturn")


def test_existing_recipients_need_no_identity_on_this_machine(lab: Repo, home: Path, tmp_path: Path) -> None:
    lab.write(".sops.yaml", rig.config(rig.identity(tmp_path / "somebody-elses.txt")))
    before = rig.standing(home)

    ran = rig.command(lab.root, "render", "--new-identity")

    assert (ran.code, ran.err) == (0, "")
    assert rig.standing(home) == before


def test_environment_without_a_key_needs_neither_identity_nor_recipients(lab: Repo, home: Path) -> None:
    lab.environment("lab", WIREGUARD)
    before = rig.standing(home)

    ran = rig.command(lab.root, "render", "--new-identity")

    assert (ran.code, ran.err) == (0, "")
    assert rig.standing(home) == before
    assert not (lab.root / ".sops.yaml").exists()


@pytest.mark.parametrize("content", [b"", b"# nothing yet\n", b"AGE-SECRET-KEY-PQ-1QQQQ\n", b"\xff\xfe"])
def test_identity_file_that_cannot_be_read_is_refused_and_kept(lab: Repo, home: Path, content: bytes) -> None:
    file = rig.keyring(home)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    before = rig.standing(lab.root, without=(".git",)), rig.standing(home)

    ran = rig.command(lab.root, "render", "--new-identity")

    message = f"keyturn: error: {file} holds no age identity that can be read here; write .sops.yaml by hand\n"
    assert ran == Ran(3, "", message)
    assert (rig.standing(lab.root, without=(".git",)), rig.standing(home)) == before


def test_no_place_for_an_identity_is_told(lab: Repo) -> None:
    ran = lab.run("render", "--new-identity", env={"HOME": ""})

    message = "keyturn: error: there is no place for an age identity; set HOME, or SOPS_AGE_KEY_FILE to a file\n"
    assert ran == Ran(3, "", message)


def test_new_identity_is_told_even_where_the_run_then_fails(
    lab: Repo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.script(tmp_path / "bin", "sops", '[ "$1" = --version ] && { echo sops 3.11.0; exit; }\necho no >&2\nexit 1\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    ran = rig.command(lab.root, "render", "--new-identity")

    file = rig.keyring(home)
    told = (
        f"keyturn: made an age identity: {file}\n{BACK_UP}"
        f"keyturn: made .sops.yaml with its public half as the only recipient: {public_half(file)}\n"
        f"keyturn: error: sops failed to encrypt clusters/lab/{rig.SECRET}: no\n"
    )
    assert ran == Ran(3, "", told)


def test_link_to_recipients_that_are_not_there_is_not_replaced(lab: Repo) -> None:
    link = lab.root / ".sops.yaml"
    link.symlink_to("../not-mounted/sops.yaml")

    ran = rig.command(lab.root, "render", "--new-identity")

    assert (ran.code, link.is_symlink()) == (3, True)


def killed_at(repo: Repo, call: str, moment: int) -> int:
    """Kill a first run with a new identity when it makes a system call for that time; return how it ended."""
    done = subprocess.run(
        [
            *(rig.strace(), "-qq", "-o", "/dev/null", "-e", f"trace={call}"),
            *("-e", f"inject={call}:signal=KILL:when={moment}"),
            *(sys.executable, "-m", "generator", "render", "--new-identity"),
        ],
        cwd=repo.root,
        capture_output=True,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("moment", [2, 3])
def test_kill_while_identity_and_config_are_written_does_not_stop_the_next_run(lab: Repo, moment: int) -> None:
    killed = killed_at(lab, "write", moment)

    ran = rig.command(lab.root, "render", "--new-identity")

    assert (killed, ran.code, ran.out) == (-9, 0, OUT)


@pytest.mark.parametrize("moment", [2, 4])
def test_kill_after_identity_and_config_were_written_leaves_no_copy_for_ever(
    lab: Repo, tmp_path: Path, moment: int
) -> None:
    killed = killed_at(lab, "?unlink,?unlinkat", moment)

    ran = rig.command(lab.root, "render", "--new-identity")

    left = [path.name for path in tmp_path.rglob("*") if path.name.endswith(".keyturn-tmp")]
    assert (killed, ran.code, left) == (-9, 0, [])
