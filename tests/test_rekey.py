"""`keyturn rekey`: the same key for other readers, on a branch; and what that does not take away is said each time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import forges
import pytest
import rig
import sealed
import turned
import yaml
from kit import IPSEC, PROJECT, WIREGUARD, Ran, Repo

BRANCH = "keyturn/rekey-lab"
SECRET = sealed.path("lab")
BARE = f"{IPSEC}gitops: {{engine: none}}\n"
SAID = "keyturn: only a rotation takes the key itself away from who could read it: keyturn rotate {}\n"
NO_KEY = f"no private key at hand reads {SECRET}; keyturn rotate gives a new key to the new recipients, and needs none"
READERS = ("alice", "bob", "carol")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("made")
        patch.setenv("HOME", str(turned.person(folder)))
        patch.setenv("PYTHONPATH", str(PROJECT))
        repo = Repo(folder / "repo")
        repo.root.mkdir()
        repo.init()
        publics = {name: rig.identity(folder / f"{name}.txt") for name in READERS}
        (folder / "publics").write_text(json.dumps(publics), "utf-8")
        repo.write(".sops.yaml", rig.config(publics["alice"]))
        for number, name in enumerate(("lab", "two")):
            repo.environment(name, BARE)
            turned.hold(repo, name, sealed.key(4, start=0x20 + number), previous=3)
        repo.environment("nodes", WIREGUARD)
        turned.commit(repo, ago=3 * turned.DAY)
        return folder


class Lab(Repo):
    """A copy, with whoever reads in it."""

    def __init__(self, root: Path, people: Path, home: Path) -> None:
        super().__init__(root)
        self.people, self.home = people, home
        self.publics: dict[str, str] = json.loads((people / "publics").read_text("utf-8"))

    def hold(self, *names: str) -> None:
        """Have the private keys of these people at hand, and of no other."""
        file = rig.keyring(self.home)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join((self.people / f"{name}.txt").read_text("utf-8") for name in names), "utf-8")

    def ask(self, *names: str, ago: Any = turned.DAY) -> str:
        """Commit a `.sops.yaml` for these people."""
        self.write(".sops.yaml", rig.config(*(self.publics[name] for name in names)))
        return turned.commit(self, f"readers: {', '.join(names)}", ago=ago)

    def told(self, *names: str) -> list[str]:
        return sorted(f"age {self.publics[name]}" for name in names)

    def reads(self, who: str, revision: str = BRANCH) -> bool:
        """Whether one person alone can decrypt the Secret of a commit."""
        env = {**os.environ, "SOPS_AGE_KEY_FILE": str(self.people / f"{who}.txt"), "HOME": str(self.people / "nobody")}
        done = subprocess.run(
            [rig.real_sops(self.root), "decrypt", "--input-type", "yaml", "--output-type", "yaml"],
            cwd=self.root,
            env=env,
            input=turned.text(self, revision, SECRET).encode(),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0 and sealed.key(4, start=0x20).line() in done.stdout.decode()


@pytest.fixture
def lab(made: Path, tmp_path: Path, home: Path) -> Lab:
    """A repository whose Secrets alice alone reads, and bob should too; her private key is at hand."""
    found = Lab(Path(shutil.copytree(made / "repo", tmp_path / "lab")), made, home)
    found.hold("alice")
    found.ask("alice", "bob", ago=2 * turned.DAY)
    return found


def rekey(repo: Repo, *arguments: str) -> Ran:
    return rig.command(repo.root, "rekey", *arguments)


def answer(repo: Repo, *arguments: str, code: int = 0) -> Any:
    ran = rekey(repo, *arguments, "--output", "json")
    assert ran.code == code, ran.err
    return json.loads(ran.out)


def refused(repo: Repo, *arguments: str, code: int = 3) -> str:
    """See that nothing is made; return the one line that says why."""
    before = turned.refs(repo), turned.private(repo)
    ran = rekey(repo, *arguments)
    assert (ran.code, ran.out, (turned.refs(repo), turned.private(repo))) == (code, "", before), ran.err
    (line,) = ran.err.splitlines()
    return line.removeprefix("keyturn: error: ")


def without_readers(text: str) -> Any:
    """A Secret as it stands in git, without whom its data key is for and when that was done."""
    found = yaml.safe_load(text)
    for name in ("age", "lastmodified"):
        found["sops"].pop(name)
    return found


# The branch


def test_secret_is_rewrapped_on_a_branch_with_one_commit_that_changes_it_alone(lab: Lab) -> None:
    base, before = turned.tip(lab, "HEAD"), turned.private(lab)

    ran = rekey(lab, "lab")

    commit = turned.tip(lab, BRANCH)
    out = f"lab: rewrapped on {BRANCH} at {commit[:12]}: +age {lab.publics['bob']}\n"
    assert ran == Ran(0, out, SAID.format("lab"))
    assert (turned.branches(lab), turned.tip(lab, f"{BRANCH}^")) == ([BRANCH], base)
    assert turned.diff(lab, BRANCH) == [f"M\t{SECRET}"]
    assert (turned.private(lab), lab.git("status", "--porcelain")) == (before, "")
    why = f"Recipients: added age {lab.publics['bob']}."
    subject = "lab: rewrap the IPsec key for other recipients"
    assert turned.message(lab, BRANCH) == f"{subject}\n\n{why}\n\nKeyturn-Rekey: lab\n"


def test_ciphertext_and_mac_and_all_in_clear_stay_byte_for_byte(lab: Lab) -> None:
    rekey(lab, "lab")

    old, new = turned.text(lab, "main", SECRET), turned.text(lab, BRANCH, SECRET)
    assert old.partition("\nsops:\n")[0] == new.partition("\nsops:\n")[0]
    assert without_readers(old) == without_readers(new)
    assert without_readers(new)["sops"]["mac"].startswith("ENC[")


CHANGES = {
    "added": (["alice", "bob", "carol"], ["bob", "carol"], []),
    "removed": (["bob"], ["bob"], ["alice"]),
    "replaced by two": (["bob", "carol"], ["bob", "carol"], ["alice"]),
}


@pytest.mark.parametrize(("wanted", "added", "removed"), CHANGES.values(), ids=CHANGES)
def test_those_whom_the_rule_names_read_the_result_and_no_other_does(
    lab: Lab, wanted: list[str], added: list[str], removed: list[str]
) -> None:
    lab.ask(*wanted)

    (found,) = answer(lab, "lab")["rewrapped"]

    assert [who for who in READERS if lab.reads(who)] == wanted
    assert [who for who in READERS if lab.reads(who, "main")] == ["alice"]
    assert (found["added"], found["removed"]) == (lab.told(*added), lab.told(*removed))


def test_removed_reader_is_named_and_what_a_rotation_does_is_said(lab: Lab) -> None:
    lab.ask("bob")

    ran = rekey(lab, "lab", "--reason", "Alice left.")

    who = f"+age {lab.publics['bob']} -age {lab.publics['alice']}"
    commit = turned.tip(lab, BRANCH)[:12]
    assert ran == Ran(0, f"lab: rewrapped on {BRANCH} at {commit}: {who}\n", SAID.format("lab"))
    assert turned.message(lab, BRANCH).split("\n\n")[1] == "Alice left."


def test_json_tells_base_readers_branch_and_commit(lab: Lab) -> None:
    lab.ask("bob")

    found = answer(lab, "two", "lab")

    rows = [
        {
            "environment": name,
            "added": lab.told("bob"),
            "removed": lab.told("alice"),
            "branch": f"keyturn/rekey-{name}",
            "commit": turned.tip(lab, f"keyturn/rekey-{name}"),
            "pull_request": None,
        }
        for name in ("lab", "two")
    ]
    assert found == {"base": turned.tip(lab, "main"), "rewrapped": rows, "skipped": []}


def test_several_environments_get_a_branch_and_a_sentence_each(lab: Lab) -> None:
    ran = rekey(lab, "lab", "two")

    assert (ran.code, ran.err) == (0, SAID.format("lab") + SAID.format("two"))
    assert turned.branches(lab) == [BRANCH, "keyturn/rekey-two"]
    assert turned.diff(lab, "keyturn/rekey-two") == [f"M\t{sealed.path('two')}"]


def test_branch_may_have_another_name(lab: Lab) -> None:
    assert [one["branch"] for one in answer(lab, "lab", "--branch", "readers")["rewrapped"]] == ["readers"]
    assert (turned.branches(lab), lab.reads("bob", "readers")) == ([], True)


def test_work_in_progress_is_neither_read_nor_touched(lab: Lab) -> None:
    lab.write(".sops.yaml", rig.config(lab.publics["carol"]))
    lab.write(SECRET, "half written\n")
    lab.git("add", SECRET)
    lab.write(SECRET, "and changed again\n")
    before = turned.private(lab)

    ran = rekey(lab, "lab")

    wanted = [lab.publics["alice"], lab.publics["bob"]]
    assert (ran.code, turned.private(lab), turned.recipients(lab, BRANCH, "lab")) == (0, before, wanted)


# What is not made


def test_secret_whose_readers_are_right_is_skipped(lab: Lab) -> None:
    lab.ask("alice")

    ran, found = rekey(lab, "lab"), answer(lab, "lab", "two")

    reason = "its recipients are those of .sops.yaml in main"
    assert ran == Ran(0, f"lab: skipped, {reason}\n", "")
    assert found["skipped"] == [{"environment": name, "reason": reason} for name in ("lab", "two")]
    assert (found["rewrapped"], turned.branches(lab)) == ([], [])


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--output", "json")])
def test_without_a_private_key_it_is_refused_and_a_rotation_named(lab: Lab, arguments: tuple[str, ...]) -> None:
    sealed.shut(lab.home)

    assert refused(lab, "lab", *arguments) == NO_KEY


def test_private_key_of_a_new_reader_is_not_enough(lab: Lab) -> None:
    lab.hold("bob")

    assert refused(lab, "lab") == NO_KEY


def test_dry_run_tells_the_plan_and_changes_nothing(lab: Lab) -> None:
    before = turned.refs(lab), turned.private(lab), rig.standing(lab.root / ".git/objects")

    ran, found = rekey(lab, "lab", "--dry-run"), answer(lab, "lab", "--dry-run")["rewrapped"][0]

    out = f"lab: rewrapped on {BRANCH}: +age {lab.publics['bob']}\n"
    assert ran == Ran(0, out, f"{SAID.format('lab')}keyturn: a dry run: nothing was written\n")
    assert (found["commit"], found["branch"]) == (None, BRANCH)
    assert (turned.refs(lab), turned.private(lab), rig.standing(lab.root / ".git/objects")) == before


def test_environment_that_fails_is_told_and_the_others_are_made(lab: Lab) -> None:
    lab.environment("new", BARE)
    turned.commit(lab)

    ran = rekey(lab, "nodes", "new", "lab")

    errors = [line for line in ran.err.splitlines() if line.startswith("keyturn: error: ")]
    assert (ran.code, turned.branches(lab)) == (3, [BRANCH])
    assert sorted(errors) == [
        "keyturn: error: new has no Secret on the base yet; keyturn render new, and commit",
        "keyturn: error: nodes does not use IPsec: its nodes make their own keys; encryption.type is wireguard",
    ]


def test_branch_that_holds_something_else_is_left_alone(lab: Lab) -> None:
    lab.git("branch", BRANCH)
    other = lab.git("commit-tree", "-p", "main", "-m", "work", "main^{tree}").strip()
    lab.git("update-ref", f"refs/heads/{BRANCH}", other)

    said = refused(lab, "lab")

    way = f"git branch -D {BRANCH}, or another name by --branch"
    assert said == f"there is a branch {BRANCH}, and it holds something else; {way}"


def test_secret_that_was_changed_by_hand_is_refused(lab: Lab) -> None:
    text = lab.read(SECRET)
    lab.write(SECRET, re.sub(r"key-id: .*", "key-id: nine", text, count=1))
    turned.commit(lab)

    assert refused(lab, "lab").startswith(f"{SECRET}: the Secret's keyturn/key-id is malformed")


# Again


def test_branch_that_waits_is_found_again(lab: Lab) -> None:
    first = answer(lab, "lab")
    lab.write("notes.md", "the base moves on\n")
    base = turned.commit(lab)
    sealed.shut(lab.home)

    ran, again = rekey(lab, "lab"), answer(lab, "lab")

    assert ran.err == f"keyturn: {BRANCH} waits already\n{SAID.format('lab')}"
    assert again == {**first, "base": base}


def test_branch_for_other_readers_is_made_anew(lab: Lab) -> None:
    first = answer(lab, "lab")["rewrapped"][0]["commit"]
    base = lab.ask("alice", "carol")

    second = answer(lab, "lab")["rewrapped"][0]

    tips = [turned.tip(lab, BRANCH), turned.tip(lab, f"{BRANCH}^")]
    assert (second["added"], tips, second["commit"] == first) == (lab.told("carol"), [second["commit"], base], False)
    assert [who for who in READERS if lab.reads(who)] == ["alice", "carol"]


def test_branch_of_a_key_that_is_gone_is_made_anew(lab: Lab) -> None:
    rekey(lab, "lab")
    lab.write(".sops.yaml", rig.config(lab.publics["alice"]))
    turned.hold(lab, "lab", sealed.key(5, start=0x40), previous=4)
    base = lab.ask("alice", "bob")

    assert rekey(lab, "lab").code == 0
    assert (turned.tip(lab, f"{BRANCH}^"), turned.key(lab, BRANCH, "lab")) == (base, sealed.key(5, start=0x40))


def test_merged_branch_gives_way_to_the_next_one(lab: Lab) -> None:
    rekey(lab, "lab")
    turned.merge(lab, BRANCH, how="--ff-only")
    done = rekey(lab, "lab")
    lab.ask("alice", "carol")

    assert done.out == "lab: skipped, its recipients are those of .sops.yaml in main\n"
    assert (rekey(lab, "lab").code, lab.reads("carol")) == (0, True)


# Beside rotations


def test_rotation_neither_waits_for_a_rekey_nor_is_held_up_by_one(lab: Lab) -> None:
    rekey(lab, "lab")
    waits = json.loads(rig.command(lab.root, "status", "lab", "--output", "json").out)["environments"][0]["branch"]
    turned.merge(lab, BRANCH, ago=turned.MINUTE)

    (made,) = turned.answer(lab, "lab")["rotations"]

    assert (waits, made["key_id"], made["branch"]) == (None, 5, "keyturn/rotate-lab-5")
    assert turned.recipients(lab, made["branch"], "lab") == [lab.publics["alice"], lab.publics["bob"]]


def test_rotation_is_made_beside_a_rekey_that_waits(lab: Lab) -> None:
    rekey(lab, "lab")

    turned.answer(lab, "lab")

    assert turned.branches(lab) == [BRANCH, "keyturn/rotate-lab-5"]


# Requests


@pytest.fixture
def forge(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> forges.Forge:
    """The repository with a bare remote that stands for GitHub, and `gh`."""
    (tmp_path / "prepared").mkdir()
    shutil.copytree(lab.root, tmp_path / "prepared/clone")
    lab.git("clone", "-q", "--bare", ".", str(tmp_path / "prepared/remote.git"))
    forges.publish(tmp_path / "prepared")
    return forges.start(tmp_path / "prepared", tmp_path / "forge", monkeypatch)


def test_request_is_opened_once_and_says_what_a_rekey_does_not_do(forge: forges.Forge) -> None:
    forges.at(forge, "gh")

    first = answer(forge.repo, "lab", "--pr")["rewrapped"][0]
    second = answer(forge.repo, "lab", "--pr")["rewrapped"][0]

    (made,) = forge.requests()
    assert (first, forge.there()) == (second, {BRANCH: first["commit"]})
    assert (made["url"], made["branch"], made["target"]) == (first["pull_request"], BRANCH, "main")
    assert made["title"] == "lab: rewrap the IPsec key for other recipients"
    assert made["body"].endswith(
        "\n\nThe key is the same: only a rotation takes it away from who could read it before.\n"
    )


def test_without_a_tool_the_branch_is_pushed_and_the_address_told(forge: forges.Forge) -> None:
    forge.address(forges.GITEA)

    ran = rekey(forge.repo, "lab", "--pr")

    assert (ran.code, forge.there()) == (0, {BRANCH: turned.tip(forge.repo, BRANCH)})
    assert "https://git.example.com/acme/clusters/" in ran.err


def test_refused_push_leaves_the_branch_and_says_how_to_go_on(forge: forges.Forge) -> None:
    forge.address(forges.GITEA)
    forges.refuses(forge)

    ran = rekey(forge.repo, "lab", "--pr")

    assert (ran.code, turned.branches(forge.repo), forge.there()) == (3, [BRANCH], {})
    assert f"git push origin {BRANCH}" in ran.err


def test_without_a_remote_the_branch_stays_and_what_is_missing_is_said(lab: Lab) -> None:
    ran = rekey(lab, "lab", "--pr")

    assert (ran.code, turned.branches(lab)) == (3, [BRANCH])
    assert f"keyturn: error: there is no remote to push {BRANCH} to; git remote add origin URL" in ran.err
