"""`keyturn status`: which key each environment has, how old it is, when it is due, and which rotation waits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import rig
import screen
import sealed
import turned
from kit import IPSEC, PROJECT, WIREGUARD, Ran, Repo

from generator import ages, keys

OLD = 95 * turned.DAY
BRANCH = "keyturn/rotate-lab-5"
GITOPS = "gitops: {engine: argocd, repository: https://git.example.com/c.git}\n"
HEADER = ["environment", "type", "cilium", "engine", "key", "algorithm", "age", "due", "mesh", "waits on"]
KEYS = {
    "lab": sealed.key(4),
    "late": sealed.key(15, "cbc-aes-sha512"),
    "east": sealed.key(2, "cbc-aes-sha256"),
    "west": sealed.key(2, "cbc-aes-sha256"),
}
MADE = {"lab": 10 * turned.DAY, "late": OLD, "east": timedelta(hours=30), "west": timedelta(hours=30)}


def make(repo: Repo, home: Path) -> Repo:
    """Five kinds of environment: two alone, a mesh, WireGuard and none, with a key each where there is one."""
    repo.init()
    repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    repo.environment("lab", f"{IPSEC}gitops: {{engine: none}}\n")
    repo.environment("late", IPSEC.replace("ipsec}", "ipsec, ipsec: {algorithm: cbc-aes-sha512}}"))
    for number, name in enumerate(("east", "west"), start=1):
        repo.environment(name, sealed.member(number, "sea", "algorithm: cbc-aes-sha256, maxKeyAge: 2d"))
    repo.environment("nodes", WIREGUARD.replace("1.16.0", "1.17.3") + GITOPS)
    repo.environment(
        "open", "cilium: {version: 1.18.0, values: {hubble: {enabled: false}}}\nencryption: {type: none}\n"
    )
    for name, key in KEYS.items():
        turned.hold(repo, name, key, old=MADE[name])
    turned.commit(repo)
    return repo


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    with pytest.MonkeyPatch.context() as patch:
        home = turned.person(tmp_path_factory.mktemp("home"))
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHONPATH", str(PROJECT))
        root = tmp_path_factory.mktemp("made") / "repo"
        root.mkdir()
        return make(Repo(root), home)


@pytest.fixture
def fleet(made: Repo, tmp_path: Path) -> Repo:
    """A copy; HOME is empty, and the private key is not to be found."""
    return Repo(Path(shutil.copytree(made.root, tmp_path / "fleet")))


def status(repo: Repo, *arguments: str) -> Ran:
    return rig.command(repo.root, "status", *arguments)


def answer(repo: Repo, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return the rows of the JSON, by name."""
    return {row["name"]: row for row in json.loads(status(repo, *arguments, "--output", "json").out)["environments"]}


def table(text: str) -> list[dict[str, str]]:
    """Read a table by the columns that its header shows."""
    header, *lines = text.splitlines()
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S+(?: \S+)*", header)]
    ends = [*starts[1:], None]
    return [{header[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)} for line in lines]


def due(repo: Repo, name: str, days: int) -> str:
    return str((turned.time(turned.told(repo, "HEAD", name)["created"]) + days * turned.DAY).date())


# The table


def test_table_has_every_environment_with_key_age_and_due_day(fleet: Repo) -> None:
    turned.rotate(fleet, "lab")

    ran = status(fleet)

    mesh = ["ipsec", "1.16.0", "none", "2", "hmac(sha256) cbc(aes) 128", "30 hours", due(fleet, "east", 2), "sea", ""]
    late = f"{due(fleet, 'late', 90)} OVERDUE"
    rows = [
        ["east", *mesh],
        ["lab", "ipsec", "1.16.0", "none", "4", f"{keys.GCM} 128", "10 days", due(fleet, "lab", 90), "", BRANCH],
        ["late", "ipsec", "1.16.0", "flux", "15", "hmac(sha512) cbc(aes) 128", "95 days", late, "", ""],
        ["nodes", "wireguard", "1.17.3", "argocd", *[""] * 6],
        ["open", "none", "1.18.0", "flux", *[""] * 6],
        ["west", *mesh],
    ]
    assert table(ran.out) == [dict(zip(HEADER, row, strict=True)) for row in rows]
    assert (ran.code, ran.err, "\x1b" in ran.out) == (1, "", False)


def test_overdue_row_stands_out_at_a_terminal(fleet: Repo) -> None:
    seen = screen.run(fleet.root, "status", columns=40)
    red = [line for line in seen.sent.splitlines() if "\x1b[1;31m" in line]
    piped = screen.run(fleet.root, "status", piped="out err")
    lines = [line.rstrip() for line in screen.plain(seen.sent).splitlines()]
    assert (seen.code, lines) == (1, piped.out.splitlines())
    assert [screen.plain(line).split()[0] for line in red] == ["late"]
    assert all(f"\x1b[1m{title}" in seen.sent.splitlines()[0] for title in ("environment", "key", "due"))


def test_overdue_row_is_told_in_words_where_a_person_wants_no_colour(fleet: Repo) -> None:
    seen = screen.run(fleet.root, "status", env={"NO_COLOR": "1"}, columns=40)

    late = [row["environment"] for row in table(seen.sent) if "OVERDUE" in row["due"]]
    assert ("\x1b" in seen.sent, late) == (False, ["late"])


@pytest.mark.parametrize(("name", "code"), [("lab", 0), ("late", 1), ("nodes", 0), ("open", 0), ("east", 0)])
def test_overdue_key_and_nothing_else_makes_exit_1(fleet: Repo, name: str, code: int) -> None:
    ran = status(fleet, name)

    assert (ran.code, ran.err, [row["environment"] for row in table(ran.out)]) == (code, "", [name])


@pytest.mark.parametrize(("age", "overdue"), [(turned.MINUTE, True), (-turned.MINUTE, False)])
def test_key_is_overdue_from_the_minute_that_max_key_age_is_over(
    fleet: Repo, home: Path, age: timedelta, *, overdue: bool
) -> None:
    fleet.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    turned.hold(fleet, "lab", KEYS["lab"], old=90 * turned.DAY + age)

    ran = status(fleet, "lab", "--output", "json")

    assert (ran.code, answer(fleet, "lab")["lab"]["overdue"]) == (int(overdue), overdue)


def test_named_environments_are_shown_alone_and_nothing_is_changed(fleet: Repo) -> None:
    before = rig.standing(fleet.root)

    ran = status(fleet, "west", "lab")

    assert (ran.code, ran.err, {row["environment"] for row in table(ran.out)}) == (0, "", {"lab", "west"})
    assert rig.standing(fleet.root) == before


def test_unknown_name_is_refused_with_the_nearest_one(fleet: Repo) -> None:
    assert status(fleet, "lat") == Ran(2, "", "keyturn: error: no environment 'lat'; did you mean late?\n")


def test_wrong_environment_is_told_with_its_place(fleet: Repo) -> None:
    fleet.environment("lab", IPSEC.replace("ipsec", "ipsecs"))

    assert re.fullmatch(r"environments/lab\.yaml:2:\d+: error: .*\n", status(fleet).err)


AGES = {-5: "0 seconds", 1: "1 second", 119: "119 seconds", 120: "2 minutes", 7199: "119 minutes", 7200: "2 hours"}
AGES |= {47 * 3600: "47 hours", 48 * 3600: "2 days", 400 * 86400 + 86399: "400 days"}


@pytest.mark.parametrize(("seconds", "words"), AGES.items())
def test_age_is_told_in_the_largest_unit_that_fills_twice(seconds: int, words: str) -> None:
    assert ages.words(timedelta(seconds=seconds)) == words


# JSON


def test_json_has_the_same_fields_with_whole_times(fleet: Repo) -> None:
    turned.rotate(fleet, "lab")

    ran = status(fleet, "--output", "json")

    common = {"cilium": "1.16.0", "engine": "none", "mesh": None, "overdue": False, "branch": None}
    found = {}
    for name, days in {"east": 2, "lab": 90, "late": 90, "west": 2}.items():
        created = turned.told(fleet, "HEAD", name)["created"]
        found[name] = {
            "name": name,
            "type": "ipsec",
            **common,
            "key_id": KEYS[name].id,
            "algorithm": str(KEYS[name].algorithm),
            "fingerprint": KEYS[name].fingerprint(),
            "created": created,
            "due": f"{turned.time(created) + days * turned.DAY:%Y-%m-%dT%H:%M:%SZ}",
        }
    for name in ("east", "west"):
        found[name] |= {"mesh": "sea"}
    found["lab"] |= {"branch": BRANCH}
    found["late"] |= {"overdue": True, "engine": "flux"}
    unkeyed = dict.fromkeys(("key_id", "algorithm", "fingerprint", "created", "due"))
    found["nodes"] = {"name": "nodes", "type": "wireguard", **common, **unkeyed, "cilium": "1.17.3", "engine": "argocd"}
    found["open"] = {"name": "open", "type": "none", **common, **unkeyed, "cilium": "1.18.0", "engine": "flux"}
    names = ["east", "lab", "late", "nodes", "open", "west"]
    assert json.loads(ran.out) == {"environments": [found[name] for name in names]}
    assert (ran.code, ran.err) == (1, "")
    interface = "name type cilium engine mesh key_id algorithm fingerprint created due overdue branch"
    assert " ".join(json.loads(ran.out)["environments"][0]) == interface


# What waits


def where(repo: Repo, *names: str) -> list[str | None]:
    found = answer(repo)
    return [found[name]["branch"] for name in names or ("lab",)]


def test_rotation_of_a_mesh_waits_for_each_member_and_no_other(fleet: Repo) -> None:
    turned.rotate(fleet, "west", "--force")

    assert where(fleet, "east", "west", "lab", "late") == [*["keyturn/rotate-mesh-sea-3"] * 2, None, None]


def test_rotation_that_waits_on_a_remote_alone_is_shown_with_it(fleet: Repo, tmp_path: Path) -> None:
    fleet.git("clone", "-q", "--bare", ".", str(tmp_path / "remote.git"))
    fleet.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    turned.rotate(fleet, "lab")
    fleet.git("push", "-q", "origin", BRANCH)
    both = where(fleet)
    fleet.git("branch", "-q", "-D", BRANCH)

    assert (both, where(fleet)) == ([BRANCH], [f"origin/{BRANCH}"])


@pytest.mark.parametrize("how", ["--no-ff", "--ff-only"])
def test_merged_rotation_waits_no_more(fleet: Repo, how: str) -> None:
    turned.rotate(fleet, "lab")
    turned.merge(fleet, BRANCH, how=how)

    found = answer(fleet)["lab"]

    assert (found["key_id"], found["branch"], turned.branches(fleet)) == (5, None, [BRANCH])


def test_squashed_rotation_waits_no_more_though_its_branch_is_not_merged(fleet: Repo) -> None:
    turned.rotate(fleet, "lab")
    fleet.git("merge", "-q", "--squash", BRANCH)
    turned.commit(fleet, "squashed")

    assert where(fleet) == [None]


def test_stale_rotation_waits_no_more(fleet: Repo) -> None:
    turned.rotate(fleet, "lab", "--branch", "mine")
    before = where(fleet)
    turned.hold(fleet, "lab", sealed.key(5, start=0x11), previous=4)
    turned.commit(fleet, "somebody else's")

    assert (before, where(fleet)) == (["mine"], [None])


# Where there is no history


@pytest.mark.parametrize("empty", [False, True])
def test_outside_git_and_before_the_first_commit_nothing_waits(fleet: Repo, *, empty: bool) -> None:
    shutil.rmtree(fleet.root / ".git")
    if empty:
        fleet.init()

    ran = status(fleet, "lab", "late")

    assert (ran.code, ran.err, [row["key"] for row in table(ran.out)]) == (1, "", ["4", "15"])


def test_work_tree_is_what_is_told_and_not_the_last_commit(fleet: Repo) -> None:
    fleet.environment("lab", f"{IPSEC.replace('1.16.0', '1.17.0')}gitops: {{engine: flux}}\n")
    fleet.environment("new", IPSEC)

    found = answer(fleet)

    told = [[found[name][key] for key in ("cilium", "engine", "key_id")] for name in ("lab", "new")]
    assert told == [["1.17.0", "flux", 4], ["1.16.0", "flux", None]]


# A Secret that is missing or cannot be read


def test_missing_secret_is_a_row_without_a_key_and_no_fault(fleet: Repo) -> None:
    (fleet.root / sealed.path("lab")).unlink()

    ran = status(fleet, "lab")

    cells = {name: cell for name, cell in table(ran.out)[0].items() if cell}
    bare = {"environment": "lab", "type": "ipsec", "cilium": "1.16.0", "engine": "none", "key": "none"}
    assert (ran.code, ran.err, cells) == (0, "", bare)


UNREADABLE = {
    "no YAML": (lambda text: ": [\n" + text, r"{}:\d+:\d+: error: not YAML: .* \[yaml-syntax\]"),
    "marks of a merge": (lambda text: f"<<<<<<< HEAD\n{text}", r"{}:\d+:\d+: error: .*"),
    "no annotation": (
        lambda text: text.replace("keyturn/key-id", "key-id"),
        r"{}: error: the Secret's keyturn/key-id is missing; bring back the file that keyturn wrote \[annotations\]",
    ),
    "in clear": (
        lambda text: text[: text.index("\nsops:")] + "\n",
        r"{}:2:1: error: the Secret is not encrypted; .* \[clear-secret\]",
    ),
}


@pytest.mark.parametrize(("change", "line"), UNREADABLE.values(), ids=UNREADABLE)
def test_secret_that_cannot_be_read_is_told_and_makes_exit_1(fleet: Repo, change: Any, line: str) -> None:
    path = sealed.path("lab")
    fleet.write(path, change(fleet.read(path)))

    ran, found = status(fleet, "lab", "west"), answer(fleet, "lab", "west")

    assert (ran.code, bool(re.fullmatch(line.format(re.escape(path)) + "\n", ran.err))) == (1, True), ran.err
    assert found["west"]["key_id"] == 2


# No private key, no network


def test_status_opens_no_socket_and_runs_git_alone(fleet: Repo, tmp_path: Path) -> None:
    log = tmp_path / "strace.log"
    calls = ["-e", "trace=network,execve,openat", "-e", "signal=none"]
    done = subprocess.run(
        [rig.strace(), "-f", "-qq", "-o", str(log), *calls, sys.executable, "-m", "generator", "status", "lab"],
        cwd=fleet.root,
        capture_output=True,
        check=False,
    )

    seen = log.read_text("utf-8", "replace").splitlines()
    sockets = [
        line for line in seen if re.search(r"\b(socket|connect|sendto|sendmsg)\(", line) and "AF_UNIX" not in line
    ]
    ran = {match[1] for line in seen if (match := re.search(r'execve\("[^"]*/([^/"]+)".*= 0$', line))}
    keyring = [line for line in seen if "keys.txt" in line]
    assert (done.returncode, sockets, ran - {Path(sys.executable).name}, keyring) == (0, [], {"git"}, [])
