"""What a rotation refuses: nothing is written, and one line says why and what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import rig
import sealed
import turned
from kit import IPSEC, WIREGUARD, Repo

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from pathlib import Path

    from generator import keys

BRANCH = "keyturn/rotate-lab-2"
SECRET = sealed.path("lab")
RESTORE = "bring back the file that keyturn wrote"
GCM, SHA256 = "rfc4106-gcm-aes", "cbc-aes-sha256"
HOLDS = "agents refuse that in a rotation"
UPGRADE = "let the upgrade end on every node, then rotate"
RECENT, PAST = 10 * turned.MINUTE, 70 * turned.MINUTE  # the cool-down is an hour


@pytest.fixture
def lab(repo: Repo, home: Path) -> Repo:
    return turned.rendered(repo, home, "lab")


def ipsec(more: str) -> str:
    return IPSEC.replace("ipsec}", f"ipsec, ipsec: {{{more}}}}}")


# What has no key to turn


@pytest.mark.parametrize(("kind", "why"), [("wireguard", "its nodes make their own keys"), ("none", "it has no key")])
def test_environment_without_ipsec_has_no_key(lab: Repo, kind: str, why: str) -> None:
    lab.environment("lab", WIREGUARD.replace("wireguard", kind))
    turned.commit(lab)

    assert turned.refused(lab, "lab") == f"lab does not use IPsec: {why}; encryption.type is {kind}"


@pytest.mark.parametrize("rendered", [False, True], ids=["not rendered", "not committed"])
def test_environment_without_a_secret_on_the_base_has_to_be_rendered(lab: Repo, *, rendered: bool) -> None:
    lab.environment("new")
    turned.commit(lab)
    if rendered:
        assert rig.command(lab.root, "render", "new").code == 0

    line = turned.refused(lab, "new")

    assert line == "new has no Secret on the base yet; keyturn render new, and commit what it makes"


@pytest.mark.parametrize("name", ["lab", "lab,other", "environments/lab.yaml", "Lab"])
def test_name_that_is_no_environment_is_the_users_mistake(repo: Repo, home: Path, name: str) -> None:
    turned.rendered(repo, home, "prod")

    assert turned.refused(repo, name, code=2).startswith(f"no environment {name!r} in main")


KEY = sealed.key(4)
ANNOTATIONS = {
    "no id": ("keyturn/key-id=key-id", "the Secret's keyturn/key-id is missing"),
    "id 0": ('key-id: "4"=key-id: "0"', "the Secret's keyturn/key-id is malformed"),
    "id 16": ('key-id: "4"=key-id: "16"', "the Secret's keyturn/key-id is malformed"),
    "id with a plus": ('key-id: "4"=key-id: "4+"', "the Secret's keyturn/key-id is malformed"),
    "id that is a number": ('key-id: "4"=key-id: 4', "the Secret's keyturn/key-id is missing"),
    "no algorithm": ("keyturn/algorithm=algorithm", "the Secret's keyturn/algorithm is missing"),
    "unknown algorithm": ("algorithm: rfc4106(gcm(aes))=algorithm: gcm", "the Secret's keyturn/algorithm is malformed"),
    "no size": ("keyturn/key-bits=key-bits", "the Secret's keyturn/key-bits is missing"),
    "odd size": ('key-bits: "128"=key-bits: "129"', "the Secret's annotations tell of a key that no agent takes"),
    "no ICV": ("keyturn/icv-bits=icv-bits", "the Secret's annotations tell of a key that no agent takes"),
    "ICV of 64": ('icv-bits: "128"=icv-bits: "64"', "the Secret's annotations tell of a key that no agent takes"),
    "no fingerprint": ("keyturn/fingerprint=fingerprint", "the Secret's keyturn/fingerprint is missing"),
    "half a fingerprint": (f"{KEY.fingerprint()}=sha256:00", "the Secret's keyturn/fingerprint is malformed"),
    "no time": ("keyturn/created=created", "the Secret does not tell when its key was made"),
    "half a time": ("keyturn/created: =keyturn/created: x", "the Secret does not tell when its key was made"),
    "id before that is none": ('previous-key-id: "3"=previous-key-id: "99"', "previous-key-id is no key id"),
}


@pytest.mark.parametrize(("more", "reason"), ANNOTATIONS.values(), ids=ANNOTATIONS)
def test_secret_that_does_not_tell_of_its_key_is_refused(repo: Repo, home: Path, more: str, reason: str) -> None:
    rig.lab(repo, home)
    turned.hold(repo, "lab", KEY, previous=3, more=more)
    turned.commit(repo)
    sealed.shut(home)

    line = turned.refused(repo, "lab")

    assert line.endswith(f"{reason} in main; {RESTORE}, or git rm {SECRET} and keyturn adopt lab")
    assert line.startswith(f"{SECRET}: the Secret")


def in_place_of_the_secret(repo: Repo) -> Path:
    (repo.root / SECRET).unlink()
    return repo.root / SECRET


UNREADABLE: dict[str, Callable[[Repo], object]] = {
    "marks of a merge": lambda repo: repo.write(SECRET, "<<<<<<< HEAD\n" + repo.read(SECRET)),
    "no YAML": lambda repo: repo.write(SECRET, ": [\n"),
    "nothing": lambda repo: repo.write(SECRET, ""),
    "another Secret": lambda repo: repo.write(SECRET, repo.read(SECRET).replace("cilium-ipsec-keys", "other")),
    "another namespace": lambda repo: repo.write(SECRET, repo.read(SECRET).replace("kube-system", "cilium")),
    "no data key": lambda repo: repo.write(SECRET, repo.read(SECRET).replace("    keys:", "    key:")),
    "a key in clear": lambda repo: repo.write(SECRET, sealed.clear(KEY)),
    "a link": lambda repo: in_place_of_the_secret(repo).symlink_to("/it"),
    "a folder": lambda repo: repo.write(f"{in_place_of_the_secret(repo).relative_to(repo.root)}/file", ""),
}


@pytest.mark.parametrize("spoil", UNREADABLE.values(), ids=UNREADABLE)
def test_secret_that_cannot_be_read_is_refused_and_not_quoted(
    lab: Repo, home: Path, spoil: Callable[[Repo], object]
) -> None:
    spoil(lab)
    turned.commit(lab)
    with_private = turned.refused(lab, "lab")
    sealed.shut(home)

    line = turned.refused(lab, "lab")

    assert (line, SECRET in line, KEY.material.hex()[:8] in line) == (with_private, True, False)


LIES = {
    "fingerprint": (f"{sealed.key(4).fingerprint()}={sealed.key(4, start=1).fingerprint()}", "fingerprint"),
    "id": ('key-id: "4"=key-id: "5"', "key-id"),
    "ICV": ('icv-bits: "128"=icv-bits: "96"', "icv-bits"),
    "size": ('key-bits: "128"=key-bits: "256"', "key-bits"),
}


@pytest.mark.parametrize(("lie", "name"), LIES.values(), ids=LIES)
def test_secret_that_holds_another_key_than_it_tells_is_refused_where_a_private_key_shows_it(
    repo: Repo, home: Path, lie: str, name: str
) -> None:
    rig.lab(repo, home)
    turned.hold(repo, "lab", sealed.key(4), more=lie)
    turned.commit(repo)

    line = turned.refused(repo, "lab")

    assert line == f"{SECRET}: the Secret holds another key than keyturn/{name} tells; {RESTORE}"


def test_secret_that_was_changed_by_hand_is_refused_where_a_private_key_shows_it(lab: Repo) -> None:
    lab.write(SECRET, lab.read(SECRET).replace('key-id: "1"', 'key-id: "4"'))
    turned.commit(lab)

    assert turned.refused(lab, "lab") == f"{SECRET} was changed after it was encrypted; bring back what sops wrote"


MOVED = "main has no environments/; commit it, or say --base"


@pytest.mark.parametrize(
    ("gone", "line"),
    [
        (".sops.yaml", "there is no .sops.yaml in main; commit the one that says who may read the Secrets"),
        ("environments", MOVED),
    ],
)
def test_what_the_base_does_not_have_is_not_taken_from_the_work_tree(lab: Repo, gone: str, line: str) -> None:
    lab.git("rm", "-r", "-q", "--cached", gone)
    lab.git("commit", "-q", "-m", "gone")

    assert ((lab.root / gone).exists(), turned.refused(lab, "lab")) == (True, line)


def test_rule_that_keyturn_cannot_use_is_refused_by_file_and_line(lab: Repo) -> None:
    lab.write(".sops.yaml", lab.read(".sops.yaml").replace("^(data|stringData)$", "^data$"))
    turned.commit(lab)

    assert turned.refused(lab, "lab").startswith(".sops.yaml:")


STRANGERS = {"somebody else": "$STRANGER", "somebody more": "$PUBLIC,$STRANGER"}


@pytest.mark.parametrize("readers", STRANGERS.values(), ids=STRANGERS)
def test_result_for_other_recipients_than_the_rules_is_refused(
    lab: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers: str
) -> None:
    (public,) = turned.recipients(lab, "main", "lab")
    stranger, real = rig.identity(tmp_path / "stranger"), rig.real_sops(lab.root)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    given = readers.replace("$PUBLIC", public).replace("$STRANGER", stranger)
    rig.script(tmp_path / "bin", "sops", f'SOPS_AGE_RECIPIENTS={given} exec "{real}" "$@"\n')

    line = turned.refused(lab, "lab")

    hint = "compare the recipients in the result with .sops.yaml:2"
    assert line == f"sops encrypted {SECRET} for other recipients than its rule names; {hint}"


# The algorithm


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        ("cbc-aes-sha256", "rfc4106-gcm-aes"),
        ("cbc-aes-sha512", "cbc-aes-sha256"),
        ("rfc4106-gcm-aes", "cbc-aes-sha512"),
    ],
)
def test_other_algorithm_is_refused_with_the_planned_steps(repo: Repo, home: Path, asked: str, held: str) -> None:
    rig.lab(repo, home, ipsec(f"algorithm: {asked}"))
    turned.hold(repo, "lab", sealed.key(4, held))
    turned.commit(repo)

    line = turned.refused(repo, "lab", "--force")

    assert line == (
        f"lab asks for {asked}, its Secret holds {held}, and {HOLDS}; write algorithm: {held} to rotate; to change it "
        "plan an outage: suspend the engine, replace the Secret in the cluster with id 5, restart every agent, "
        "git rm the Secret, keyturn adopt lab, and resume"
    )


def test_smaller_size_is_refused(repo: Repo, home: Path) -> None:
    turned.rendered(repo, home, "lab", text=ipsec("keySize: 256"))

    line = turned.refused(repo, "lab", "--key-size", "192", code=2)

    assert line == "lab has a key of 256 bits, and --key-size never makes it weaker"


def test_size_of_a_cbc_key_is_refused(repo: Repo, home: Path) -> None:
    turned.rendered(repo, home, "lab", text=ipsec("algorithm: cbc-aes-sha256"))

    line = turned.refused(repo, "lab", "--key-size", "256", code=2)

    assert line == "lab uses hmac(sha256) cbc(aes), and --key-size is for rfc4106(gcm(aes))"


@pytest.mark.parametrize(("version", "code"), [("1.15.0", 2), ("1.15.6", 2), ("1.15.7", 0)])
def test_size_that_makes_agents_panic_is_refused(repo: Repo, home: Path, version: str, code: int) -> None:
    turned.rendered(repo, home, "lab", text=IPSEC.replace("1.16.0", version))

    ran = turned.rotate(repo, "lab", "--key-size", "256")

    assert (ran.code, turned.branches(repo)) == (code, [] if code else [BRANCH])
    assert ("panic at a key of 36 bytes" in ran.err) == bool(code)


# The cool-down


def rotated(repo: Repo, *, ago: timedelta, how: str = "--no-ff") -> str:
    """Rotate and merge; return the first 12 digits of the merge."""
    assert turned.rotate(repo, "lab").code == 0
    return turned.merge(repo, BRANCH, ago=ago, how=how)[:12]


def young(commit: str, age: str = "10 minutes", span: str = "1h") -> str:
    what = f"lab was rotated {age} ago by {commit}, within its cool-down of {span}"
    return f"{what}; wait until every node has the key, or pass --force"


def test_rotation_after_a_rotation_has_to_wait_from_the_merge_on(lab: Repo) -> None:
    merge = rotated(lab, ago=RECENT)

    assert turned.refused(lab, "lab") == young(merge)


def redate(repo: Repo, branch: str, ago: timedelta) -> None:
    """Make the commit of a branch anew, as if it had been made some time ago."""
    tree, parent = repo.git("rev-parse", f"{branch}^{{tree}}", f"{branch}^").split()
    made = turned.git(repo, "commit-tree", tree, "-p", parent, "-m", turned.message(repo, branch), ago=ago).strip()
    repo.git("update-ref", f"refs/heads/{branch}", made)


def test_long_review_does_not_count_and_a_late_one_does(lab: Repo) -> None:
    turned.rotate(lab, "lab")
    redate(lab, BRANCH, 20 * turned.DAY)
    merge = turned.merge(lab, BRANCH, ago=RECENT)

    assert turned.refused(lab, "lab") == young(merge[:12])


def test_rotation_that_was_merged_before_the_cool_down_does_not_count(lab: Repo) -> None:
    rotated(lab, ago=PAST)

    assert turned.answer(lab, "lab")["rotations"][0]["key_id"] == 3


def test_work_that_came_later_does_not_hide_the_rotation(lab: Repo) -> None:
    merge = rotated(lab, ago=RECENT)
    for number in range(3):
        lab.write("README.md", str(number))
        lab.environment("other", ipsec(f"maxKeyAge: {number + 1}d"))
        turned.commit(lab, ago=turned.NO_AGE)

    assert turned.refused(lab, "lab") == young(merge)


def test_commit_of_a_clock_that_is_wrong_does_not_hide_the_rotation(lab: Repo) -> None:
    merge = rotated(lab, ago=RECENT)
    lab.write("README.md", "by a clock that is two days late")
    turned.commit(lab, ago=2 * turned.DAY)

    assert turned.refused(lab, "lab") == young(merge)


def test_rotation_counts_from_the_commit_that_a_squash_made(lab: Repo) -> None:
    rotated(lab, ago=RECENT, how="--squash")
    merge = turned.commit(lab, "by squash", ago=RECENT)[:12]

    assert turned.refused(lab, "lab") == young(merge)


def test_rotation_counts_from_itself_where_it_was_merged_without_a_commit(lab: Repo) -> None:
    merge = rotated(lab, ago=RECENT, how="--ff-only")

    assert turned.refused(lab, "lab").startswith("lab was rotated ")
    assert f" ago by {merge}, " in turned.refused(lab, "lab")


@pytest.mark.parametrize(("span", "code"), [("5m", 0), ("9m", 0), ("11m", 3), ("24h", 3), ("0s", 0)])
def test_cool_down_is_as_long_as_the_environment_says(repo: Repo, home: Path, span: str, code: int) -> None:
    turned.rendered(repo, home, "lab", text=ipsec(f"cooldown: {span}"))
    merge = rotated(repo, ago=RECENT)

    ran = turned.rotate(repo, "lab")

    assert (ran.code, ran.err if code else "") == (code, f"keyturn: error: {young(merge, span=span)}\n" if code else "")


def test_force_passes_over_the_cool_down_and_the_message_tells(lab: Repo) -> None:
    merge = rotated(lab, ago=RECENT)

    found = turned.answer(lab, "lab", "--force", "--reason", "a leak")

    (made,) = found["rotations"]
    body = turned.message(lab, made["branch"]).split("\n\n")[1]
    assert body == f"a leak\nForced: lab was rotated 10 minutes ago by {merge}, within its cool-down of 1h."
    assert [one.key_id for one in turned.trailers(lab, made["branch"])] == [3]


def test_force_that_passed_over_nothing_is_not_told(lab: Repo) -> None:
    turned.rotate(lab, "lab", "--force")

    assert "Forced" not in turned.message(lab, BRANCH)


def brought(repo: Repo, change: Callable[[Repo], object]) -> None:
    """Have a change come to the base a short time ago, by a merge, on a branch that is old."""
    repo.git("switch", "-q", "-c", "work")
    change(repo)
    turned.commit(repo, "work")
    repo.git("switch", "-q", "main")
    turned.merge(repo, "work", ago=RECENT)


def with_new_recipient(repo: Repo) -> None:
    """Change the Secret as `sops updatekeys` does: for somebody more, with the same key."""
    stranger = rig.identity(repo.root.parent / "stranger")
    repo.write(".sops.yaml", rig.config(*turned.recipients(repo, "main", "lab"), stranger))
    sealed.seal(repo, "lab", sealed.opened(repo, "lab"))


@pytest.mark.parametrize(("before", "previous"), [(None, None), (None, 3), (sealed.key(9, start=1), None)])
def test_first_or_adopted_key_and_that_of_a_member_that_joins_start_no_cool_down(
    repo: Repo, home: Path, before: keys.Key | None, previous: int | None
) -> None:
    rig.lab(repo, home)
    if before is not None:
        turned.hold(repo, "lab", before)
    turned.commit(repo)

    brought(repo, lambda repo: turned.hold(repo, "lab", KEY, previous=previous, old=turned.MINUTE))

    assert turned.answer(repo, "lab")["rotations"][0]["key_id"] == 5


def test_other_recipients_start_no_cool_down(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    turned.hold(repo, "lab", KEY, previous=3)
    turned.commit(repo)

    brought(repo, with_new_recipient)

    assert turned.answer(repo, "lab")["rotations"][0]["key_id"] == 5


# A rotation that waits


WAYS = f"keyturn rotate lab --pr opens its request; git branch -D {BRANCH} drops it"


def test_second_rotation_is_refused_while_the_first_waits(lab: Repo) -> None:
    turned.rotate(lab, "lab")

    for arguments in ((), ("--force",), ("--branch", "another"), ("--key-size", "256")):
        assert turned.refused(lab, "lab", *arguments) == f"a rotation of lab waits on {BRANCH}; {WAYS}"


@pytest.mark.parametrize("branch", ["night/shift", "x"])
def test_rotation_that_waits_is_known_by_its_trailer_wherever_it_is(lab: Repo, branch: str) -> None:
    turned.rotate(lab, "lab", "--branch", "a")
    lab.git("branch", "-q", "-m", "a", branch)
    lab.git("switch", "-q", branch)
    lab.write("README.md", "one more commit on it")
    turned.commit(lab)
    lab.git("switch", "-q", "main")

    assert turned.refused(lab, "lab").startswith(f"a rotation of lab waits on {branch}; ")


def test_rotation_that_waits_on_the_remote_is_known_as_last_fetched(lab: Repo, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    lab.git("clone", "-q", "--bare", ".", str(remote))
    lab.git("remote", "add", "origin", str(remote))
    turned.rotate(lab, "lab")
    lab.git("push", "-q", "origin", "main", BRANCH)
    lab.git("branch", "-q", "-D", BRANCH)
    lab.git("fetch", "-q", "origin")

    line = turned.refused(lab, "lab")

    hint = f"keyturn rotate lab --pr opens its request; git push origin --delete {BRANCH} drops it"
    assert line == f"a rotation of lab waits on origin/{BRANCH}; {hint}"


@pytest.mark.parametrize("arguments", ["--all", "--due"])
def test_all_and_due_skip_what_waits_and_say_where(lab: Repo, arguments: str) -> None:
    turned.hold(lab, "lab", KEY, old=100 * turned.DAY)
    turned.commit(lab)
    turned.rotate(lab, "lab")
    before = turned.refs(lab)

    found = turned.answer(lab, arguments)

    reason = "its rotation waits on keyturn/rotate-lab-5"
    assert (found["rotations"], found["skipped"]) == ([], [{"environment": "lab", "reason": reason}])
    assert turned.refs(lab) == before


def test_branch_without_the_trailer_is_no_rotation(lab: Repo) -> None:
    lab.git("switch", "-q", "-c", "work")
    lab.write("README.md", "x")
    turned.commit(lab, "work\n\nKeyturn-Environment: other\n\nKeyturn-Environment: lab\nmore")
    lab.git("switch", "-q", "main")

    assert turned.rotate(lab, "lab").code == 0


def anew(branch: str, why: str) -> str:
    return f"keyturn: {branch} is made anew, for {why}\n"


def test_rotation_that_the_base_moved_past_is_stale_and_made_anew(lab: Repo) -> None:
    turned.rotate(lab, "lab", "--branch", "left")
    turned.hold(lab, "lab", sealed.key(2), previous=1)
    turned.commit(lab)

    turned.rotate(lab, "lab")

    assert turned.told(lab, "keyturn/rotate-lab-3", "lab")["previous-key-id"] == "2"


def test_rotation_from_another_secret_is_stale_and_replaced(lab: Repo) -> None:
    turned.rotate(lab, "lab")
    old = turned.tip(lab, BRANCH)
    turned.hold(lab, "lab", sealed.key(1))
    base = turned.commit(lab)

    ran = turned.rotate(lab, "lab")

    assert ran.err.startswith(anew(BRANCH, "the Secret in main is another by now"))
    assert (turned.tip(lab, f"{BRANCH}^"), turned.tip(lab, BRANCH) == old) == (base, False)


def test_rotation_for_recipients_of_yesterday_is_stale_and_replaced(lab: Repo, home: Path) -> None:
    turned.rotate(lab, "lab")
    new = rig.identity(home / "new")
    lab.write(".sops.yaml", rig.config(new))
    turned.commit(lab)

    ran = turned.rotate(lab, "lab")

    assert ran.err.startswith(anew(BRANCH, "the recipients have changed"))
    assert turned.recipients(lab, BRANCH, "lab") == [new]


def test_rotation_is_not_stale_because_something_else_came_to_the_base(lab: Repo) -> None:
    turned.rotate(lab, "lab")
    lab.write("README.md", "x")
    turned.commit(lab)

    assert turned.refused(lab, "lab") == f"a rotation of lab waits on {BRANCH}; {WAYS}"


def test_branch_that_was_merged_by_squash_and_left_does_not_wait(lab: Repo) -> None:
    rotated(lab, ago=PAST, how="--squash")
    turned.commit(lab, "by squash")

    assert turned.answer(lab, "lab")["rotations"][0]["branch"] == "keyturn/rotate-lab-3"


def test_left_branch_is_replaced_when_its_id_comes_again(lab: Repo) -> None:
    rotated(lab, ago=PAST, how="--squash")
    turned.commit(lab, "by squash", ago=2 * turned.DAY)
    turned.hold(lab, "lab", sealed.key(1), previous=15)
    base = turned.commit(lab, "fourteen rotations later", ago=turned.DAY)

    turned.answer(lab, "lab")

    assert turned.tip(lab, f"{BRANCH}^") == base


# Cilium that is being moved


def moved(before: str = "1.16.0", after: str = "1.16.5", name: str = "lab", span: str = "1h") -> str:
    return f"cilium.version of {name} went from {before} to {after} within the cool-down of {span}; {UPGRADE}"


def version(text: str) -> str:
    return f"cilium: {{version: {text}}}\n"


PLACES = ["environments/lab.yaml", "environments/defaults.yaml", "environments/groups/big.yaml"]
REST = "encryption: {type: ipsec}\ngitops: {engine: none}\n"


@pytest.mark.parametrize("direct", [True, False], ids=["by a commit", "by a merge"])
@pytest.mark.parametrize("place", PLACES)
def test_version_that_changed_within_the_cool_down_is_refused_even_by_force(
    repo: Repo, home: Path, place: str, *, direct: bool
) -> None:
    rig.lab(repo, home, f"extends: [big]\n{REST}")
    repo.write(PLACES[2], "{}\n")
    repo.write(place, version("1.16.0") + (repo.read(place) if place == PLACES[0] else ""))
    turned.hold(repo, "lab", KEY)
    turned.commit(repo)
    text = repo.read(place).replace("1.16.0", "1.16.5")
    if direct:
        repo.write(place, text)
        turned.commit(repo, ago=RECENT)
    else:
        brought(repo, lambda repo: repo.write(place, text))

    assert turned.refused(repo, "lab", "--force") == moved()


def test_version_that_changed_before_the_cool_down_does_not_count(lab: Repo) -> None:
    lab.environment("lab", IPSEC.replace("1.16.0", "1.16.5"))
    turned.commit(lab, ago=PAST)

    assert turned.rotate(lab, "lab").code == 0


def test_version_that_changed_and_changed_back_is_refused(lab: Repo) -> None:
    lab.environment("lab", IPSEC.replace("1.16.0", "1.16.5"))
    turned.commit(lab, ago=2 * RECENT)
    lab.environment("lab")
    turned.commit(lab, ago=RECENT)

    assert turned.refused(lab, "lab").startswith("cilium.version of lab went from ")


UNMOVED: dict[str, Callable[[Repo], object]] = {
    "another environment's": lambda repo: repo.environment("other", IPSEC.replace("1.16.0", "1.16.5")),
    "defaults that it overrides": lambda repo: repo.write("environments/defaults.yaml", version("1.17.0")),
    "a group that it does not extend": lambda repo: repo.write("environments/groups/big.yaml", version("1.17.0")),
    "another value": lambda repo: repo.environment("lab", ipsec("maxKeyAge: 30d")),
}


@pytest.mark.parametrize("change", UNMOVED.values(), ids=UNMOVED)
def test_change_that_leaves_the_environments_version_does_not_count(
    lab: Repo, change: Callable[[Repo], object]
) -> None:
    change(lab)
    turned.commit(lab, ago=RECENT)

    assert turned.rotate(lab, "lab").code == 0


def test_version_that_a_branch_moved_and_moved_back_did_not_change_on_the_base(lab: Repo) -> None:
    def there_and_back(repo: Repo) -> None:
        repo.environment("lab", IPSEC.replace("1.16.0", "1.16.5"))
        turned.commit(repo, ago=3 * RECENT)
        repo.environment("lab")
        turned.commit(repo, ago=2 * RECENT)
        repo.write("README.md", "x")

    brought(lab, there_and_back)

    assert turned.rotate(lab, "lab").code == 0


def test_environment_that_is_new_was_not_moved(lab: Repo) -> None:
    lab.environment("new")
    turned.hold(lab, "new", KEY)
    turned.commit(lab, ago=RECENT)

    assert turned.rotate(lab, "new").code == 0


def meshed(repo: Repo, home: Path) -> None:
    sealed.mesh(repo, home)
    for name in "abc":
        turned.hold(repo, name, KEY)
    turned.commit(repo)


def test_mesh_with_more_than_one_version_is_refused(repo: Repo, home: Path) -> None:
    meshed(repo, home)
    repo.environment("b", sealed.member(2).replace("1.16.0", "1.16.5"))
    turned.commit(repo)

    *_, line = turned.rotate(repo, "a").err.splitlines()

    what = "the mesh prod has more than one cilium.version: c 1.16.0, b 1.16.5"
    assert (line, turned.branches(repo)) == (f"keyturn: error: {what}; finish the upgrade, then rotate", [])


def test_cool_down_of_a_mesh_is_its_longest_and_any_member_that_moved_counts(repo: Repo, home: Path) -> None:
    meshed(repo, home)
    repo.environment("c", sealed.member(3, more="cooldown: 3h"))
    turned.commit(repo)
    repo.write("environments/b.yaml", sealed.member(2).replace("1.16.0", "1.16.5"))
    turned.commit(repo, ago=2 * PAST)
    repo.write("environments/b.yaml", sealed.member(2))
    turned.commit(repo, ago=PAST)

    *_, line = turned.rotate(repo, "a").err.splitlines()

    assert line.startswith("keyturn: error: cilium.version of b went from 1.16.")
    assert line.endswith(f" within the cool-down of 3h; {UPGRADE}")


# What is asked for in the wrong way


@pytest.mark.parametrize("arguments", [(), ("lab", "--all"), ("lab", "--due"), ("--all", "--due")])
def test_what_turns_is_said_in_one_way(lab: Repo, arguments: tuple[str, ...]) -> None:
    ran = turned.rotate(lab, *arguments)

    assert (ran.code, ran.out, turned.branches(lab)) == (2, "", [])
    assert "name environments, or --all, or --due" in ran.err


@pytest.mark.parametrize("reason", ["", " ", "\n"])
def test_reason_that_says_nothing_is_refused(lab: Repo, reason: str) -> None:
    ran = turned.rotate(lab, "lab", "--reason", reason)

    assert (ran.code, ran.out, turned.branches(lab), "it says nothing" in ran.err) == (2, "", [], True)


@pytest.mark.parametrize("name", ["-x", "a..b", "a b", "@", "refs/heads/", "a.lock"])
def test_name_that_git_takes_for_no_branch_is_refused(lab: Repo, name: str) -> None:
    line = turned.refused(lab, "lab", f"--branch={name}", code=2)

    assert line == f"--branch {name} is no name of a branch; such as keyturn/rotate-lab"


@pytest.mark.parametrize("switch", [("-c", "work"), ("--detach",)], ids=["another branch", "no branch"])
def test_rotation_does_not_go_onto_its_own_base(lab: Repo, switch: tuple[str, ...]) -> None:
    lab.git("switch", "-q", *switch)

    assert "main" in turned.refused(lab, "lab", "--base", "main", "--branch", "main", code=2)
