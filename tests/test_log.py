"""`keyturn log`: the keys that an environment has had, when each came, from whom and why, out of git's history."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import rig
import sealed
import turned
from kit import IPSEC, PROJECT, Ran, Repo

AUTHOR = "Test <test@example.com>"
WEEK = 7 * turned.DAY
BRANCH = "keyturn/rotate-lab-2"
SECRET = sealed.path("lab")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("made")
        home = turned.person(folder / "home")
        patch.setenv("HOME", str(home))
        patch.setenv("PYTHONPATH", str(PROJECT))
        repo = Repo(folder / "repo")
        repo.root.mkdir()
        rig.lab(repo, home, f"{IPSEC}gitops: {{engine: none}}\n")
        turned.hold(repo, "lab", sealed.key(1), old=100 * turned.DAY)
        turned.commit(repo, "lab: a first key\n\nFor the new cluster.", ago=WEEK)
        return folder


@pytest.fixture
def lab(made: Path, tmp_path: Path, home: Path) -> Repo:
    """A repository with a first key that was committed a week ago."""
    shutil.copytree(made / "home/.config", home / ".config")
    return Repo(Path(shutil.copytree(made / "repo", tmp_path / "lab")))


def rows(repo: Repo, name: str = "lab") -> list[dict[str, Any]]:
    ran = rig.command(repo.root, "log", name, "--output", "json")
    assert (ran.code, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert answer["environment"] == name
    found: list[dict[str, Any]] = answer["rotations"]
    return found


def row(repo: Repo, commit: str, reason: str, *, author: str = AUTHOR, name: str = "lab") -> dict[str, Any]:
    """What is to be told of a key by the commit that brought it."""
    told = turned.told(repo, commit, name)
    date = int(repo.git("show", "-s", "--format=%ct", commit))
    return {
        "date": f"{datetime.fromtimestamp(date, turned.now().tzinfo):%Y-%m-%dT%H:%M:%SZ}",
        "key_id": int(told["key-id"]),
        "fingerprint": told["fingerprint"],
        "author": author,
        "commit": turned.tip(repo, commit),
        "reason": reason,
    }


FIRST = "For the new cluster."


def test_first_key_is_told_with_what_its_commit_says(lab: Repo) -> None:
    assert rows(lab) == [row(lab, "HEAD", FIRST)]
    assert rows(lab)[0]["fingerprint"] == sealed.key(1).fingerprint()


def test_commit_that_says_nothing_but_a_subject_gives_that_as_the_reason(lab: Repo) -> None:
    turned.hold(lab, "lab", sealed.key(2, start=0x11), previous=1)
    turned.commit(lab, "by hand")

    assert rows(lab)[0] == row(lab, "HEAD", "by hand")


# Rotations


def test_rotation_tells_the_reason_that_was_given_on_one_line(lab: Repo) -> None:
    turned.rotate(lab, "lab", "--reason", "The auditors\nasked for it.")
    turned.merge(lab, BRANCH)

    assert rows(lab) == [row(lab, BRANCH, "The auditors asked for it."), row(lab, "HEAD~1", FIRST)]


def test_rotation_without_a_reason_tells_how_old_the_key_was(lab: Repo) -> None:
    made = turned.told(lab, "HEAD", "lab")["created"][:10]
    turned.rotate(lab, "lab")
    turned.merge(lab, BRANCH)

    assert rows(lab)[0] == row(lab, BRANCH, f"The key is 100 days old (made {made}); maxKeyAge is 90d.")


def test_rotation_by_force_tells_what_was_passed(lab: Repo) -> None:
    turned.rotate(lab, "lab", "--reason", "Once.")
    turned.merge(lab, BRANCH, ago=turned.MINUTE)
    turned.rotate(lab, "lab", "--reason", "Twice.", "--force")
    turned.merge(lab, "keyturn/rotate-lab-3", ago=turned.NO_AGE)

    found = [(one["key_id"], one["reason"].partition(" Forced: ")[::2]) for one in rows(lab)]
    assert [(number, said, bool(forced)) for number, (said, forced) in found] == [
        (3, "Twice.", True),
        (2, "Once.", False),
        (1, FIRST, False),
    ]


def test_rotation_that_waits_is_not_told(lab: Repo) -> None:
    turned.rotate(lab, "lab")

    assert [one["key_id"] for one in rows(lab)] == [1]


def as_merge(repo: Repo) -> str:
    turned.merge(repo, BRANCH)
    return BRANCH


def as_squash(repo: Repo) -> str:
    repo.git("merge", "-q", "--squash", BRANCH)
    return turned.commit(repo, turned.message(repo, BRANCH))


def as_rebase(repo: Repo) -> str:
    turned.git(repo, "cherry-pick", BRANCH)
    assert turned.tip(repo, BRANCH) != turned.tip(repo, "HEAD")
    return turned.tip(repo, "HEAD")


@pytest.mark.parametrize("merge", [as_merge, as_squash, as_rebase])
def test_rotation_is_told_once_however_it_was_merged(lab: Repo, merge: Any) -> None:
    turned.rotate(lab, "lab", "--reason", "Every quarter.")
    lab.write("notes.md", "others work too\n")
    turned.commit(lab, "other work")
    first = turned.tip(lab, "HEAD~1")

    commit = merge(lab)

    assert rows(lab) == [row(lab, commit, "Every quarter."), row(lab, first, FIRST)]


def test_author_is_who_turned_the_key_and_not_who_merged_it(lab: Repo) -> None:
    lab.git("config", "user.name", "Zoë Ω")
    turned.rotate(lab, "lab", "--reason", "Mine.")
    lab.git("config", "user.name", "Somebody Else")
    turned.merge(lab, BRANCH)

    assert rows(lab)[0] == row(lab, BRANCH, "Mine.", author="Zoë Ω <test@example.com>")


def test_mesh_is_told_for_each_member(lab: Repo) -> None:
    for number, name in enumerate("ab", start=1):
        lab.environment(name, sealed.member(number))
        turned.hold(lab, name, sealed.key(7))
    turned.commit(lab, "a mesh")
    turned.rotate(lab, "b", "--reason", "All of them.")
    turned.merge(lab, "keyturn/rotate-mesh-prod-8", how="--ff-only")

    for name in "ab":
        assert rows(lab, name) == [row(lab, "HEAD", "All of them.", name=name), row(lab, "HEAD~1", "a mesh", name=name)]
    assert [one["key_id"] for one in rows(lab)] == [1]


def test_reverted_rotation_is_told_as_the_step_back_that_it_is(lab: Repo) -> None:
    turned.rotate(lab, "lab")
    turned.merge(lab, BRANCH, how="--ff-only")
    turned.git(lab, "revert", "--no-edit", "HEAD")

    assert [one["key_id"] for one in rows(lab)] == [1, 2, 1]


# What is no new key


def test_adopted_key_is_told_and_a_rewrapped_one_is_not(lab: Repo, tmp_path: Path) -> None:
    lab.environment("old", f"{IPSEC}gitops: {{engine: none}}\n")
    manifest = sealed.clear(sealed.key(9))
    (tmp_path / "secret.yaml").write_text(manifest, "utf-8")
    assert rig.command(lab.root, "adopt", "old", "--from", str(tmp_path / "secret.yaml")).code == 0
    adopted = turned.commit(lab, "old: adopt its key")
    readers = turned.recipients(lab, "HEAD", "old")
    lab.write(".sops.yaml", rig.config(*readers, rig.identity(tmp_path / "other.txt")))
    turned.commit(lab, "one more reader")
    assert rig.command(lab.root, "rekey", "old").code == 0
    turned.merge(lab, "keyturn/rekey-old")

    assert len(turned.recipients(lab, "HEAD", "old")) == 2
    assert rows(lab, "old") == [row(lab, adopted, "old: adopt its key", name="old")]


def test_move_of_the_file_mode_or_a_comment_is_not_told(lab: Repo) -> None:
    (lab.root / SECRET).chmod(0o755)
    turned.commit(lab, "mode")

    assert [one["reason"] for one in rows(lab)] == [FIRST]


# Names


def test_retired_environment_still_has_its_history(lab: Repo) -> None:
    before = rows(lab)
    lab.environment("other")
    lab.git("rm", "-q", "-r", "environments/lab.yaml", "clusters/lab")
    turned.commit(lab, "lab is gone")

    assert rows(lab) == before


def test_environment_that_never_had_a_secret_is_refused(lab: Repo) -> None:
    lab.environment("new")

    ran = rig.command(lab.root, "log", "new")

    reason = "git has had no Secret of an environment 'new'; commit its Secret first"
    assert ran == Ran(2, "", f"keyturn: error: {reason}\n")


def test_name_of_nothing_is_refused_with_where_to_look(lab: Repo) -> None:
    ran = rig.command(lab.root, "log", "elsewhere")

    reason = "git has had no Secret of an environment 'elsewhere'; keyturn status shows which there are"
    assert ran == Ran(2, "", f"keyturn: error: {reason}\n")


def test_unknown_name_is_refused_with_the_nearest_one(lab: Repo) -> None:
    ran = rig.command(lab.root, "log", "lap")

    assert ran == Ran(2, "", "keyturn: error: git has had no Secret of an environment 'lap'; did you mean lab?\n")


@pytest.mark.parametrize("name", ["../lab", "*", "la?", "lab/", ":(glob)*"])
def test_name_is_no_pattern_and_no_path(lab: Repo, name: str) -> None:
    ran = rig.command(lab.root, "log", "--", name)

    assert (ran.code, ran.out) == (2, "")


# Repositories


@pytest.mark.parametrize("empty", [False, True])
def test_where_there_is_no_history_that_is_said(lab: Repo, *, empty: bool) -> None:
    shutil.rmtree(lab.root / ".git")
    if empty:
        lab.init()

    ran = rig.command(lab.root, "log", "lab")

    assert ran == Ran(3, "", f"keyturn: error: {lab.root} has no git history; git init, and commit\n")


def test_workspace_in_a_subfolder_has_its_own_history(lab: Repo) -> None:
    before = rows(lab)
    shutil.move(lab.root / ".git", lab.root.parent / ".git")
    parent = Repo(lab.root.parent)
    parent.git("add", "-A", lab.root.name)
    moved = turned.commit(parent, "into a folder")

    assert rows(lab) == [before[0] | {"commit": moved, "reason": "into a folder", "date": rows(lab)[0]["date"]}]


def test_shallow_clone_does_not_give_its_oldest_commit_as_the_origin_of_a_key(lab: Repo, tmp_path: Path) -> None:
    lab.write("notes.md", "later work\n")
    turned.commit(lab, "nothing about keys")
    subprocess.run(["git", "clone", "-q", "--depth", "1", lab.root.as_uri(), str(tmp_path / "shallow")], check=True)

    ran = rig.command(tmp_path / "shallow", "log", "lab", "--output", "json")

    assert "shallow" in ran.err
    assert "nothing about keys" not in ran.out


def test_users_own_git_settings_change_nothing(lab: Repo, home: Path) -> None:
    turned.rotate(lab, "lab", "--reason", "Once.")
    turned.merge(lab, BRANCH)
    before = rows(lab)
    with (home / ".gitconfig").open("a") as stream:
        stream.write(
            "[log]\n\tfollow = true\n\tshowSignature = true\n\tdate = iso\n[i18n]\n\tlogOutputEncoding = latin1\n"
        )
        stream.write("[color]\n\tui = always\n[diff]\n\trenames = copies\n\tnoprefix = true\n")

    assert rows(lab) == before


# The table


def test_table_tells_the_same_as_json_newest_first(lab: Repo) -> None:
    turned.rotate(lab, "lab", "--reason", "Once.")
    turned.merge(lab, BRANCH)

    ran = rig.command(lab.root, "log", "lab")

    header, *lines = ran.out.splitlines()
    assert (ran.code, ran.err, header.split()) == (0, "", ["date", "key", "fingerprint", "author", "commit", "reason"])
    assert [" ".join(line.split()) for line in lines] == [
        " ".join([one["date"], str(one["key_id"]), one["fingerprint"], AUTHOR, one["commit"][:12], one["reason"]])
        for one in rows(lab)
    ]


def test_strange_words_of_a_commit_are_shown_and_not_obeyed(lab: Repo) -> None:
    turned.hold(lab, "lab", sealed.key(2, start=0x11), previous=1)
    turned.commit(lab, "evil \x1b[31m[red]words[/red]")

    assert r"evil \x1b[31m[red]words[/red]" in rig.command(lab.root, "log", "lab").out


def test_log_needs_no_private_key_and_changes_nothing(lab: Repo, home: Path) -> None:
    sealed.shut(home)
    before = rig.standing(lab.root)

    assert ([one["key_id"] for one in rows(lab)], rig.standing(lab.root)) == ([1], before)
    assert [*rig.keyring(home).parent.iterdir()] == []
