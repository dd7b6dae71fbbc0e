"""What a reader found who used `rotate` and `rekey`: whose branches they publish, from where, what proves a key."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import forges
import pytest
import rig
import sealed
import turned
from forges import BRANCH, FIRST, Forge
from kit import IPSEC, Ran, Repo

if TYPE_CHECKING:
    from pathlib import Path

REKEY = "keyturn/rekey-lab"
MESH = "keyturn/rotate-mesh-prod-1"
NONE = f"{IPSEC}gitops: {{engine: none}}\n"
DUE = ["lab", "one", "two"]
TITLE = "lab: rotate IPsec key 2 -> 3"


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


def there(forge: Forge) -> dict[str, str]:
    """Every branch on the remote and its commit."""
    lines = forge.bare.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads/")
    return dict(line.split(" ") for line in lines.splitlines())


def refused(forge: Forge, *arguments: str, code: int = 3) -> str:
    """See that a rotation with a request moves no branch, here or there, and asks for nothing; return its one line."""
    before = turned.refs(forge.repo), turned.private(forge.repo), there(forge)
    ran = forge.rotate(*arguments)
    after = turned.refs(forge.repo), turned.private(forge.repo), there(forge)
    assert (ran.code, ran.out, after, forge.requests()) == (code, "", before, []), ran.err
    (line,) = ran.err.splitlines()
    return line.removeprefix("keyturn: error: ")


def dropped(line: str) -> list[str]:
    """The branches that a line tells a person to delete, and keyturn did not make."""
    found = re.findall(r"git branch -D ([^\s,;]+)|--delete ([^\s,;]+)", line)
    return [one for one in ("".join(pair) for pair in found) if not one.startswith("keyturn/")]


def publish(forge: Forge) -> None:
    """Commit the work tree on `main`, a day ago, and push it."""
    turned.commit(forge.repo)
    forge.repo.git("push", "-q", "origin", "HEAD:main")


# Whose branches are published


@pytest.mark.parametrize("branch", ["main", "feature", "zzz"])
@pytest.mark.parametrize("words", [("--pr",), ()], ids=["with --pr", "without"])
def test_rotation_that_is_part_of_a_persons_branch_is_not_published(
    forge: Forge, branch: str, words: tuple[str, ...]
) -> None:
    forge.rotate("lab")
    if branch != "main":
        forge.repo.git("switch", "-q", "-c", branch)
    forge.repo.git("merge", "-q", "--ff-only", BRANCH)
    forge.repo.git("branch", "-q", "-D", BRANCH)
    forge.repo.git("commit", "-q", "--allow-empty", "-m", "work in progress")

    line = refused(forge, "lab", *words)

    way = "it is part of that branch, of which no request is made here: merge it into origin/main"
    assert (line, dropped(line)) == (f"a rotation of lab waits on {branch}; {way}", [])


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_of_two_branches_at_one_commit_keyturns_own_is_pushed(forge: Forge, name: str) -> None:
    forge.rotate("lab")
    forge.repo.git("branch", name, BRANCH)

    forge.asked("lab")

    pushed = {BRANCH: turned.tip(forge.repo, BRANCH), "main": turned.tip(forge.repo, "main")}
    assert (there(forge), [one["branch"] for one in forge.requests()]) == (pushed, [BRANCH])


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_work_on_top_of_a_rotation_is_not_pushed_with_it(forge: Forge, name: str) -> None:
    forge.rotate("lab")
    rotation = turned.tip(forge.repo, BRANCH)
    forge.repo.git("switch", "-q", "-c", name, BRANCH)
    forge.repo.git("commit", "-q", "--allow-empty", "-m", "work in progress")

    forge.asked("lab")

    assert there(forge) == {BRANCH: rotation, "main": turned.tip(forge.repo, "main")}


def test_rotation_on_a_branch_of_another_name_says_how_it_is_published(forge: Forge) -> None:
    made = forge.rotate("lab", "--branch", "topic")

    (way,) = re.findall(r"next: keyturn rotate (.*)\n", made.err)
    ran = forge.rotate(*way.split())

    assert (ran.code, there(forge).get("topic")) == (0, turned.tip(forge.repo, "topic")), ran.err


@pytest.mark.parametrize("command", ["rotate", "rekey"])
@pytest.mark.parametrize("words", [("main",), ("main", "--base", "main"), ("topic", "--base", "topic")])
def test_branch_is_not_the_one_that_the_request_is_for(forge: Forge, command: str, words: tuple[str, ...]) -> None:
    forge.repo.git("branch", "topic")
    before = turned.refs(forge.repo)

    ran = rig.command(forge.repo.root, command, "lab", "--branch", *words)

    line = f"--branch {words[0]} is what the request is for; such as keyturn/rotate-lab"
    assert (ran, turned.refs(forge.repo)) == (Ran(2, "", f"keyturn: error: {line}\n"), before)


@pytest.fixture
def grown(forge: Forge) -> Forge:
    """A clone whose `main` has one more commit, and `aside` one more on top of that."""
    forge.repo.write("README", "one more\n")
    publish(forge)
    forge.repo.git("branch", "aside", forge.repo.git("commit-tree", "-m", "aside", "-p", "main", "main:").strip())
    return forge


PERSONS = pytest.mark.parametrize(
    ("start", "words"), [("main", ()), ("main~1", ("--together",)), ("aside", ()), ("aside", ("--together",))]
)


@PERSONS
def test_branch_of_a_person_is_refused(grown: Forge, start: str, words: tuple[str, ...]) -> None:
    grown.repo.git("branch", "theirs", start)

    lines = [refused(grown, "lab", "--branch", "theirs", *more, *words) for more in ((), ("--pr",))]

    told = ["there is a branch theirs, and it holds something else"] * 2
    assert [line.partition(";")[0] for line in lines] == told


def test_nobody_is_told_to_delete_a_branch_of_a_person(grown: Forge) -> None:
    grown.repo.git("branch", "theirs", "aside")

    line = refused(grown, "lab", "--branch", "theirs")

    assert (dropped(line), "another name" in line) == ([], True)


@PERSONS
def test_branch_of_a_person_on_the_remote_does_not_move(grown: Forge, start: str, words: tuple[str, ...]) -> None:
    grown.repo.git("push", "-q", "origin", f"{start}:refs/heads/theirs")
    before = there(grown)

    ran = grown.rotate("lab", "--branch", "theirs", "--pr", *words)

    assert (ran.code, there(grown), grown.requests()) == (3, before, []), ran.err


# Meshes that have other members by now


@pytest.mark.parametrize("words", [("a",), ("--all",)], ids=["named", "all"])
@pytest.mark.parametrize("change", ["joined", "joined with the key", "left", "is gone"])
def test_rotation_of_a_mesh_with_other_members_is_made_anew_for_all(
    forge: Forge, change: str, words: tuple[str, ...]
) -> None:
    forge.rotate("a")
    before = turned.tip(forge.repo, MESH)
    if change.startswith("joined"):
        forge.repo.environment("c", sealed.member(3))
    if change == "joined with the key":
        turned.hold(forge.repo, "c", sealed.key(15, start=0x50), previous=14)
    if change == "left":
        forge.repo.environment("b", NONE)
    if change == "is gone":
        forge.repo.git("rm", "-qr", "environments/b.yaml", "clusters/b")
    publish(forge)
    members = ["a", "b", "c"] if change.startswith("joined") else ["a"]

    done = turned.answer(forge.repo, *words)

    (mesh,) = [one for one in done["rotations"] if one["mesh"]]
    tip = turned.tip(forge.repo, MESH)
    prints = {turned.told(forge.repo, MESH, name)["fingerprint"] for name in members}
    assert (mesh["environments"], mesh["branch"], mesh["commit"], prints) == (members, MESH, tip, {mesh["fingerprint"]})
    assert (turned.tip(forge.repo, f"{MESH}^"), tip != before) == (turned.tip(forge.repo, "main"), True)
    assert [one["environment"] for one in done["skipped"] if one["environment"] in members] == []


# From where


def test_clone_of_a_single_branch_starts_from_the_remotes_default_branch(forge: Forge) -> None:
    forge.repo.git("push", "-q", "origin", "main:refs/heads/feature")
    path = forge.folder / "single"
    forge.repo.git("clone", "-q", "--single-branch", "-b", "feature", str(forge.folder / "remote.git"), str(path))
    single = Repo(path)
    single.git("commit", "-q", "--allow-empty", "-m", "work in progress")
    forge.address(forges.GITHUB, single)

    (done,) = turned.answer(single, "lab", "--pr")["rotations"]

    assert turned.tip(single, f"{BRANCH}^") == there(forge)["main"]
    assert (there(forge)[BRANCH], forge.requests()[0]["target"]) == (done["commit"], "main")


def test_remote_without_a_branch_is_refused_and_works_once_it_has_one(lab: Repo, tmp_path: Path) -> None:
    lab.git("init", "-q", "--bare", "-b", "main", str(tmp_path / "empty.git"))
    lab.git("remote", "add", "origin", str(tmp_path / "empty.git"))

    line = turned.refused(lab, "lab", "--pr")
    lab.git("push", "-q", "origin", "main")
    ran = turned.rotate(lab, "lab", "--pr")

    way = "git push origin your main branch first, or say --base"
    assert line == f"origin does not tell its default branch, or has none yet; {way}"
    tip = Repo(tmp_path / "empty.git").git("rev-parse", BRANCH).strip()
    assert (ran.code, tip) == (0, turned.tip(lab, BRANCH))


@pytest.mark.parametrize("base", ["HEAD", "HEAD~1", "main~1", "origin/HEAD", "tagged", "sha"])
def test_revision_that_is_no_branch_asks_for_the_default_branch(grown: Forge, base: str) -> None:
    grown.repo.git("tag", "tagged", "main~1")
    grown.repo.git("switch", "-q", "-c", "feature")
    oid = turned.tip(grown.repo, "HEAD~1" if base == "sha" else base)

    grown.asked("lab", "--base", oid if base == "sha" else base)

    (made,) = grown.requests()
    assert (made["target"], made["branch"], turned.tip(grown.repo, f"{BRANCH}^")) == ("main", BRANCH, oid)


# What proves a key


@pytest.fixture
def key_file(prepared: Path, tmp_path: Path) -> None:
    """The private key, beside the repository."""
    shutil.copy2(prepared / "keys.txt", tmp_path)


PLACES = {".": "../keys.txt", "environments": "../../keys.txt", "..": "keys.txt"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("lies", [True, False], ids=["lies", "is true"])
@pytest.mark.usefixtures("key_file")
def test_private_key_by_a_relative_place_proves_the_secret(
    lab: Repo, monkeypatch: pytest.MonkeyPatch, place: str, *, lies: bool
) -> None:
    turned.hold(lab, "lab", sealed.key(2), more='key-id: "2"=key-id: "4"' if lies else "")
    turned.commit(lab)
    monkeypatch.chdir(lab.root / place)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", PLACES[place])

    ran = turned.rotate(lab, "lab")

    told = "the Secret holds another key than keyturn/key-id tells" in ran.err
    assert (ran.code, turned.branches(lab), told) == ((3, [], True) if lies else (0, [BRANCH], False))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("key_file")
def test_private_key_by_a_relative_place_rewraps(
    lab: Repo, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    readers(lab, prepared, tmp_path)
    turned.commit(lab)
    monkeypatch.chdir(lab.root / place)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", PLACES[place])

    ran = rig.command(lab.root, "rekey", "lab")

    assert (ran.code, len(turned.recipients(lab, REKEY, "lab"))) == (0, 2)


def readers(repo: Repo, prepared: Path, folder: Path) -> None:
    """Have one more reader in `.sops.yaml`."""
    (before,) = re.findall(r"age1\w+", (prepared / "clone/.sops.yaml").read_text("utf-8"))
    repo.write(".sops.yaml", rig.config(before, rig.identity(folder / "bob.txt")))


# What counts for the cool-down


@pytest.mark.parametrize("previous", [None, 1], ids=["of a first key", "of a later key"])
def test_rotation_that_was_reverted_counts_for_the_cool_down(lab: Repo, previous: int | None) -> None:
    turned.hold(lab, "lab", sealed.key(2, start=0x30), previous=previous)
    turned.commit(lab, ago=2 * turned.DAY)
    turned.rotate(lab, "lab")
    turned.merge(lab, BRANCH, how="--ff-only")
    turned.git(lab, "commit", "-q", "--amend", "--no-edit", ago=turned.DAY)
    turned.git(lab, "branch", "-q", "-D", BRANCH)
    turned.git(lab, "revert", "--no-edit", "HEAD", ago=turned.MINUTE)

    line = turned.refused(lab, "lab")

    assert "within its cool-down of 1h" in line


def test_adopted_key_in_the_place_of_another_does_not_count_for_the_cool_down(lab: Repo) -> None:
    turned.hold(lab, "lab", sealed.key(7, start=0x30))
    turned.commit(lab, ago=turned.MINUTE)

    (done,) = turned.answer(lab, "lab")["rotations"]

    assert (done["previous_id"], done["key_id"]) == (7, 8)


@pytest.mark.parametrize("words", [(), ("--together",), ("--pr",)], ids=["alone", "together", "with requests"])
def test_environment_without_a_key_is_skipped_and_what_is_due_turns(forge: Forge, words: tuple[str, ...]) -> None:
    forge.repo.environment("bare", NONE)
    for number, name in enumerate(("m1", "m2"), start=1):
        forge.repo.environment(name, sealed.member(number, "empty"))
    publish(forge)

    done = turned.answer(forge.repo, "--due", *words)

    skipped = [{"environment": name, "reason": "it has no key yet"} for name in ("bare", "m1", "m2")]
    assert ([one["environments"] for one in done["rotations"]], done["skipped"]) == ([[name] for name in DUE], skipped)


# Words that are no words, names that are none


@pytest.mark.parametrize("command", ["rotate", "rekey"])
@pytest.mark.parametrize("reason", [b"\xff", b"line\n\xe9"])
def test_reason_that_is_not_utf_8_is_a_wrong_word(lab: Repo, command: str, reason: bytes) -> None:
    words: list[str | bytes] = [sys.executable, "-m", "generator", command, "lab", "--reason", reason]

    ran = subprocess.run(words, cwd=lab.root, capture_output=True, check=False)

    assert (ran.returncode, ran.stdout, turned.branches(lab)) == (2, b"", [])
    assert b"--reason" in ran.stderr
    assert b"it is not UTF-8" in ran.stderr
    assert b"Traceback" not in ran.stderr


NOTING = 'case " $* " in *" --version "*) echo sops 3.11.0 ;; *) cat >/dev/null; echo "$1" >>{}; {} ;; esac\n'


def noting(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """Put a sops on PATH that notes each call but that for its version; return the notes."""
    rig.script(folder / "noting", "sops", NOTING.format(folder / "calls", body))
    monkeypatch.setenv("PATH", f"{folder / 'noting'}{os.pathsep}{os.environ['PATH']}")
    (folder / "calls").touch()
    return folder / "calls"


def test_together_stops_at_the_first_that_fails(lab: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = os.cpu_count() or 1
    secret = lab.read(sealed.path("lab"))
    for number in range(6 * jobs):
        lab.environment(f"e{number}", NONE)
        lab.write(sealed.path(f"e{number}"), secret)
    turned.commit(lab)
    calls = noting(tmp_path, monkeypatch, "sleep 0.2; exit 1")

    line = turned.refused(lab, "--all", "--together")

    assert line.startswith("sops failed to ")
    assert jobs <= len(calls.read_text("utf-8").splitlines()) <= 3 * jobs


@pytest.fixture
def nobody(home: Path) -> None:
    """Nobody has said who they are, and git may not guess."""
    (home / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n", "utf-8")


def by_somebody(repo: Repo) -> None:
    """Commit the work tree in the name of somebody else, a day ago."""
    repo.git("add", "-A")
    turned.git(repo, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qm", "theirs", ago=turned.DAY)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("words", ["--due", "lab --dry-run", "--all --together --dry-run"])
def test_what_makes_no_commit_needs_no_name(lab: Repo, words: str) -> None:
    for name in DUE if words == "--due" else []:
        turned.hold(lab, name, sealed.key(2), previous=1)
    if words == "--due":
        by_somebody(lab)

    ran = turned.rotate(lab, *words.split())

    assert (ran.code, turned.branches(lab), "error" in ran.err) == (0, [], False)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("words", ["rotate lab", "rotate --all", "rotate --due --together", "rekey lab"])
def test_commit_without_a_name_is_refused_in_one_line_before_sops_works(
    lab: Repo, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    readers(lab, prepared, tmp_path)
    by_somebody(lab)
    calls = noting(tmp_path, monkeypatch, "exit 1")

    ran = rig.command(lab.root, *words.split())

    (line,) = ran.err.splitlines()
    assert (ran.code, ran.out, calls.read_text("utf-8"), turned.branches(lab)) == (3, "", "", [])
    way = "git config user.name and user.email say who you are"
    assert re.fullmatch(f"keyturn: error: git makes no commit: .*; {way}", line)


def test_name_by_variables_of_git_is_the_author(lab: Repo, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".gitconfig").unlink()
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    for number, (name, value) in enumerate({"user.name": "Ada", "user.email": "ada@example.com"}.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)

    ran = turned.rotate(lab, "lab")

    names = lab.git("show", "-s", "--format=%an <%ae> %cn <%ce>", BRANCH)
    assert (ran.code, names) == (0, "Ada <ada@example.com> Ada <ada@example.com>\n")


@pytest.mark.parametrize("words", ["rotate lab", "rotate --all --pr", "rekey lab", "rekey lab --pr"])
def test_outside_git_no_lock_is_left(repo: Repo, words: str) -> None:
    repo.environment("lab")

    ran = rig.command(repo.root, *words.split())

    line = f"{repo.root} is in no git repository; git init, and commit environments/ and clusters/"
    assert (ran, sorted(repo.files())) == (Ran(3, "", f"keyturn: error: {line}\n"), ["environments/lab.yaml"])


# Rekeys


@pytest.fixture
def changed(forge: Forge, prepared: Path, tmp_path: Path, home: Path) -> Forge:
    """A clone whose `.sops.yaml` has one more reader since a day; the private key is at hand."""
    rig.keyring(home).parent.mkdir(parents=True)
    shutil.copy2(prepared / "keys.txt", rig.keyring(home))
    readers(forge.repo, prepared, tmp_path)
    publish(forge)
    return forge


def test_rekey_tells_of_a_rotation_that_waits(changed: Forge) -> None:
    told = f"keyturn: {BRANCH} turns the key of lab too: what is merged second is to be made anew"
    before = rig.command(changed.repo.root, "rekey", "lab").err
    changed.rotate("lab")

    waits = rig.command(changed.repo.root, "rekey", "lab").err
    changed.repo.git("branch", "-D", REKEY)
    made = rig.command(changed.repo.root, "rekey", "lab").err

    assert [told in text.splitlines() for text in (before, waits, made)] == [False, True, True]


def test_rekey_that_a_person_closed_since_the_readers_changed_stays_closed(changed: Forge) -> None:
    changed.put("closed", ago=turned.MINUTE)
    changed.change(1, branch=REKEY)
    before = there(changed), changed.requests()

    ran = rig.command(changed.repo.root, "rekey", "lab", "--pr")

    assert (ran.code, (there(changed), changed.requests())) == (3, before)
    assert f"keyturn: error: {FIRST['gh']} was closed by a person; " in ran.err


def test_rekey_that_a_person_closed_before_the_readers_changed_does_not_matter(changed: Forge) -> None:
    changed.put("closed", ago=2 * turned.DAY)
    changed.change(1, branch=REKEY)

    ran = rig.command(changed.repo.root, "rekey", "lab", "--pr", "--output", "json")

    (done,) = json.loads(ran.out)["rewrapped"]
    assert (ran.code, done["pull_request"]) == (0, re.sub("1$", "2", FIRST["gh"]))
    assert [one["state"] for one in changed.requests()] == ["closed", "open"]


# Hints that work


def test_second_person_is_told_and_the_hint_brings_the_first_ones_request(forge: Forge) -> None:
    other = forge.clone("other")
    turned.rotate(other, "lab")
    forge.meanwhile(f"cd {other.root} && git push -q origin {BRANCH}\n")

    ran = forge.rotate("lab", "--pr")
    (line,) = re.findall("(?m)^keyturn: error: (.*)$", ran.err)
    _, _, hint = line.partition("; ")
    before = turned.tip(forge.repo, BRANCH)
    for command in re.findall(r"git (fetch \S+|branch -D \S+)", hint):
        forge.repo.git(*command.rstrip(",").split())
    (done,) = forge.asked("lab")["rotations"]

    way = f"git fetch origin, then git branch -D {BRANCH} to take what is there; the branch stays here until then"
    assert (ran.code, hint) == (3, f"somebody else has pushed that branch: {way}")
    assert before != done["commit"] == turned.tip(other, BRANCH) == there(forge)[BRANCH]
    assert done["pull_request"] == FIRST["gh"]


def test_tool_that_fails_after_the_push_leaves_the_branch_there_and_the_command(forge: Forge) -> None:
    forge.broken("gh pr create")

    ran = forge.rotate("lab", "--pr")

    asked = f"gh pr create --repo acme/clusters --base main --head {BRANCH} --title '{TITLE}' --body ''"
    why = "gh pr create failed: HTTP 502: Bad gateway"
    assert ran.err == f"keyturn: error: {why}; {BRANCH} is pushed and stays: {asked}\n"
    assert (ran.code, there(forge)[BRANCH], forge.requests()) == (3, turned.tip(forge.repo, BRANCH), [])


def test_tool_that_fails_to_update_sends_nobody_to_make_a_second_request(forge: Forge) -> None:
    forge.asked("lab")
    forge.broken("gh pr edit")

    ran = forge.rotate("lab", "--pr")

    assert (ran.code, "gh pr edit failed: HTTP 502: Bad gateway" in ran.err) == (3, True)
    assert "gh pr create" not in ran.err
