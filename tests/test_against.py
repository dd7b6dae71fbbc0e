"""The merge gate: what a change may do to keys and to encryption, judged against the branch that it is for."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import judged
import pytest
import rig
import sealed
import turned
from judged import LAB, edit
from kit import IPSEC, Ran, Repo

from generator import firstkeys, keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

YEAR = timedelta(days=365)
M1, M2 = sealed.path("m1"), sealed.path("m2")
OTHER = 0x11  # where another key's material starts


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab has the first key of `sealed`, committed a year ago, and a branch `change` to work on."""
    folder = judged.world(tmp_path_factory.mktemp("gate"))
    repo = Repo(folder / "repo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        turned.hold(repo, "lab", sealed.key(1))
        turned.commit(repo, "the key of a test", ago=YEAR)
    repo.git("checkout", "-q", "-b", "change")
    turned.pack(repo)
    return folder


@pytest.fixture
def world(made: Path, repo: Repo, home: Path) -> Repo:
    return judged.copied(made, repo, home)


def validate(repo: Repo, *words: str, against: str = "main") -> Ran:
    return rig.command(repo.root, "validate", "--no-key", "--against", against, "--output", "json", *words)


def found(repo: Repo, *words: str, against: str = "main") -> list[tuple[str, str]]:
    """What is found, by path and rule, once all is committed on the branch."""
    repo.git("add", "-A")
    repo.git("commit", "-q", "--allow-empty", "-m", "change")
    ran = validate(repo, *words, against=against)
    return [(one["path"], one["rule"]) for one in json.loads(ran.out)["findings"]]


def messages(repo: Repo) -> list[str]:
    return [one["message"] for one in json.loads(validate(repo).out)["findings"]]


def turn(repo: Repo, number: int, *, start: int = OTHER, algorithm: str = "rfc4106-gcm-aes", name: str = "lab") -> None:
    """Give an environment the key of a rotation to an id."""
    previous = (number - 2) % keys.MAX_ID + 1
    turned.hold(repo, name, sealed.key(number, algorithm, start=start), previous=previous, old=turned.NO_AGE)


def rendered_with(repo: Repo, number: int, old: str, new: str, algorithm: str = "rfc4106-gcm-aes") -> None:
    """Turn the lab's key together with its environment."""
    turn(repo, number, algorithm=algorithm)
    repo.environment("lab", IPSEC.replace(old, new))
    assert rig.command(repo.root, "-q", "render", "lab").code == 0


def on_main(repo: Repo, change: Callable[[], object], *, ago: timedelta = YEAR) -> None:
    """Commit something on the branch that the change is for."""
    repo.git("checkout", "-q", "main")
    change()
    turned.commit(repo, "on main", ago=ago)
    repo.git("checkout", "-q", "change")


def test_change_of_nothing_is_clean(world: Repo) -> None:
    assert found(world) == []


def test_rotation_by_keyturn_passes_and_needs_no_key(world: Repo, home: Path) -> None:
    judged.keyless(home)
    assert rig.command(world.root, "rotate", "lab", "--base", "main").code == 0
    world.git("checkout", "-q", "keyturn/rotate-lab-2")

    assert found(world) == []


def test_rotation_from_15_to_1_passes(world: Repo) -> None:
    on_main(world, lambda: turn(world, 15, start=0x31))
    world.git("merge", "-q", "main")
    turn(world, 1, start=0x51)

    assert found(world) == []


def test_rotation_of_a_mesh_passes(world: Repo) -> None:
    assert rig.command(world.root, "rotate", "m1", "--base", "main").code == 0
    world.git("checkout", "-q", "keyturn/rotate-mesh-prod-2")

    assert found(world) == []


def test_other_recipients_pass(world: Repo, home: Path) -> None:
    public = rig.identity(rig.keyring(home))
    edit(world, ".sops.yaml", "age: ", f"age: {public},")
    world.git("commit", "-q", "-a", "-m", "recipients")
    assert rig.command(world.root, "rekey", "lab", "m1", "m2", "--base", "change").code == 0
    for name in ("lab", "m1", "m2"):
        world.git("merge", "-q", "--no-ff", "-m", "merge", f"keyturn/rekey-{name}")

    assert found(world) == []


def test_work_tree_is_judged_before_it_is_committed(world: Repo) -> None:
    turn(world, 4)

    assert [one["rule"] for one in json.loads(validate(world).out)["findings"]] == ["key-id"]
    assert json.loads(validate(world, "--index").out)["findings"] == []


KEYS: dict[str, tuple[Callable[[Repo], object], list[tuple[str, str]]]] = {
    "an id that skips": (lambda repo: turn(repo, 4), [(LAB, "key-id")]),
    "an id that goes back": (lambda repo: turn(repo, 15), [(LAB, "key-id")]),
    "two rotations": (lambda repo: turn(repo, 3), [(LAB, "key-id")]),
    "another key under the same id": (
        lambda repo: turned.hold(repo, "lab", sealed.key(1, start=OTHER)),
        [(LAB, "same-id")],
    ),
    "the same key under the next id": (
        lambda repo: turned.hold(repo, "lab", sealed.key(2), previous=1),
        [(LAB, "same-key")],
    ),
    "the same key, encrypted again": (lambda repo: turned.hold(repo, "lab", sealed.key(1)), [(LAB, "same-id")]),
    "a date that is moved": (
        lambda repo: repo.write(LAB, re.sub('created: "20..', 'created: "2030', repo.read(LAB))),
        [(LAB, "annotations")],
    ),
    "annotations that turn alone": (
        lambda repo: repo.write(
            LAB,
            re.sub("sha256:[0-9a-f]{32}", f"sha256:{32 * '0'}", repo.read(LAB).replace('key-id: "1"', 'key-id: "2"')),
        ),
        [(LAB, "same-key")],
    ),
    "another algorithm": (
        lambda repo: rendered_with(repo, 2, "ipsec}", "ipsec, ipsec: {algorithm: cbc-aes-sha256}}", "cbc-aes-sha256"),
        [(LAB, "other-lengths")],
    ),
    "a Secret taken away": (
        lambda repo: (repo.root / LAB).unlink(),
        [(LAB, "missing-secret"), (LAB, "secret-removed")],
    ),
    "a rotation with an upgrade of Cilium": (
        lambda repo: rendered_with(repo, 2, "1.16.0", "1.16.19"),
        [(LAB, "turn-and-upgrade")],
    ),
    "a mesh that turns in part": (
        lambda repo: turn(repo, 2, name="m1"),
        [(M2, "mesh-key"), (M2, "mesh-part")],
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_key_that_agents_would_not_take_is_found(name: str, world: Repo) -> None:
    change, expected = KEYS[name]
    change(world)

    assert found(world) == expected


def test_two_rotations_in_one_change_are_told_as_such(world: Repo) -> None:
    turn(world, 3)

    assert messages(world)[0].endswith(" to 3: two rotations in one change, and agents need the time for each")


def test_revert_of_a_rotation_is_found(world: Repo) -> None:
    on_main(world, lambda: turn(world, 2))
    world.git("merge", "-q", "main")
    world.git("revert", "--no-edit", "HEAD")

    assert found(world) == [(LAB, "old-key")]


def test_longer_key_passes_with_the_environments_own_key_size(world: Repo) -> None:
    assert rig.command(world.root, "rotate", "lab", "--key-size", "256", "--base", "main").code == 0
    world.git("checkout", "-q", "keyturn/rotate-lab-2")

    assert found(world) == []


def test_longer_key_alone_does_not_pass(world: Repo) -> None:
    used = keys.algorithm("rfc4106-gcm-aes", 256)
    turned.hold(world, "lab", keys.Key(2, used, bytes(range(36))), previous=1)

    assert found(world) == [(LAB, "other-algorithm"), (LAB, "other-lengths")]


def test_key_that_git_had_before_is_not_made_anew(world: Repo) -> None:
    on_main(world, lambda: turn(world, 2))
    on_main(world, (world.root / LAB).unlink)
    world.git("merge", "-q", "main")
    turned.hold(world, "lab", sealed.key(1, start=0x71))

    assert found(world) == [(LAB, "key-id")]


def test_first_key_of_a_new_environment_passes(world: Repo) -> None:
    world.environment("new")
    assert rig.command(world.root, "-q", "render").code == 0

    assert found(world) == []


def test_upgrade_of_a_mate_forbids_the_rotation_of_its_mesh(world: Repo) -> None:
    for name in ("m1", "m2"):
        turn(world, 2, name=name)
    edit(world, "environments/m2.yaml", "1.16.0", "1.16.19")
    rig.command(world.root, "render")

    assert found(world) == [(M1, "turn-and-upgrade"), (M2, "turn-and-upgrade")]


# Encryption.


def change_type(repo: Repo, old: str, new: str, more: str = "") -> None:
    repo.environment("lab", more + IPSEC.replace(old, new))
    rig.command(repo.root, "-q", "render")


@pytest.mark.parametrize(("new", "words"), [("none", "goes in clear"), ("wireguard", "do not understand each other")])
def test_other_type_is_a_warning_that_says_what_happens_to_traffic(world: Repo, new: str, words: str) -> None:
    change_type(world, "type: ipsec", f"type: {new}")
    assert found(world) == [(LAB, "unused-secret"), ("environments/lab.yaml", "encryption-change")]

    ran = validate(world)
    (told,) = [one for one in json.loads(ran.out)["findings"] if one["rule"] == "encryption-change"]

    assert (ran.code, told["level"], told["line"], words in told["message"]) == (0, "warning", 2, True)


@pytest.mark.parametrize("protected_before", [True, False])
def test_other_type_of_a_protected_environment_is_an_error(world: Repo, *, protected_before: bool) -> None:
    if protected_before:
        on_main(world, lambda: world.environment("lab", "protected: true\n" + IPSEC))
        world.git("merge", "-q", "main")
    change_type(world, "type: ipsec", "type: none", "" if protected_before else "protected: true\n")
    found(world)

    told = {one["rule"]: one["level"] for one in json.loads(validate(world).out)["findings"]}

    assert told["encryption-change"] == "error"


def test_group_that_turns_encryption_off_is_found_in_each_environment(world: Repo) -> None:
    def grouped() -> None:
        world.write("environments/groups/g.yaml", "encryption: {type: wireguard}\n")
        for name in ("x", "y"):
            world.environment(name, "extends: [g]\ncilium: {version: 1.16.0, values: {hubble: {enabled: false}}}\n")
        rig.command(world.root, "-q", "render")

    on_main(world, grouped)
    world.git("merge", "-q", "main")
    world.write("environments/groups/g.yaml", "encryption: {type: none}\n")
    rig.command(world.root, "-q", "render")

    assert found(world) == [("environments/groups/g.yaml", "encryption-change")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{type: wireguard, nodeEncryption: true}", "{type: wireguard}"),
        (
            "{type: wireguard, strictMode: {egress: {cidr: 10.0.0.0/8, allowRemoteNodeIdentities: true}}}",
            "{type: wireguard}",
        ),
    ],
)
def test_less_encryption_is_a_warning(world: Repo, before: str, after: str) -> None:
    def more() -> None:
        world.environment("wg", IPSEC.replace("{type: ipsec}", before))
        rig.command(world.root, "-q", "render")

    on_main(world, more)
    world.git("merge", "-q", "main")
    world.environment("wg", IPSEC.replace("{type: ipsec}", after))
    rig.command(world.root, "-q", "render")

    assert found(world) == [("environments/wg.yaml", "encryption-change")]


# Names.


def move(repo: Repo, *, key: bool) -> None:
    """Rename the lab."""
    repo.git("mv", "environments/lab.yaml", "environments/moved.yaml")
    repo.git("mv", "clusters/lab", "clusters/moved")
    if not key:
        repo.git("rm", "-q", "-f", sealed.path("moved"))
        turned.hold(repo, "moved", sealed.key(1, start=0x77))
    rig.command(repo.root, "-q", "render")


def test_renamed_environment_that_starts_anew_is_found(world: Repo) -> None:
    move(world, key=False)

    assert found(world) == [(sealed.path("moved"), "renamed")]


def test_renamed_environment_with_other_settings_is_found(world: Repo) -> None:
    move(world, key=False)
    edit(world, "environments/moved.yaml", "{type: ipsec}", "{type: ipsec, ipsec: {maxKeyAge: 30d}}")
    rig.command(world.root, "-q", "render")

    assert found(world) == [(sealed.path("moved"), "renamed")]
    assert validate(world).code == 1


def test_renamed_environment_that_keeps_its_key_passes(world: Repo) -> None:
    move(world, key=True)

    assert found(world) == []


def test_environment_that_goes_as_another_comes_is_a_warning(world: Repo) -> None:
    world.git("rm", "-q", "-r", "environments/lab.yaml", "clusters/lab")
    world.environment("new", IPSEC.replace("1.16.0", "1.18.0") + "gitops: {engine: none}\n")
    turned.hold(world, "new", sealed.key(1, start=0x77))
    rig.command(world.root, "-q", "render")

    assert (found(world), validate(world).code) == ([(sealed.path("new"), "renamed")], 0)


# What the branch has become since.


def test_rotation_that_is_stale_is_found(world: Repo) -> None:
    turn(world, 2)
    assert found(world) == []

    on_main(world, lambda: turn(world, 2, start=0x41))

    assert found(world) == [(LAB, "stale")]
    assert messages(world)[0].startswith("stale: another key under the id 2 in main")


def test_rotation_that_is_stale_passes_once_it_is_made_anew(world: Repo) -> None:
    turn(world, 2)
    found(world)
    on_main(world, lambda: turn(world, 2, start=0x41))
    world.git("reset", "-q", "--hard", "main")
    turn(world, 3)

    assert found(world) == []


@pytest.mark.parametrize("merged", [False, True])
def test_secret_that_was_rewrapped_on_the_branch_makes_a_rotation_stale(
    world: Repo, home: Path, *, merged: bool
) -> None:
    turn(world, 2)
    found(world)

    def rewrapped() -> None:
        if merged:
            world.git("checkout", "change", "--", LAB)
        edit(world, ".sops.yaml", "age: ", f"age: {rig.identity(rig.keyring(home))},")
        turned.commit(world, "recipients", ago=YEAR)
        assert rig.command(world.root, "rekey", "lab", "--base", "main").code == 0
        world.git("merge", "-q", "keyturn/rekey-lab")
        world.write("README.md", "other words\n")

    on_main(world, rewrapped)

    assert found(world) == [(LAB, "stale"), (LAB, "stale")]
    assert messages(world) == [
        "stale: the Secret in main is another by now",
        "stale: the recipients in main have changed",
    ]


def test_member_that_joined_on_the_branch_makes_a_rotation_stale(world: Repo) -> None:
    for name in ("m1", "m2"):
        turn(world, 2, name=name)
    found(world)

    def joined() -> None:
        world.environment("m3", sealed.member(3))
        assert rig.command(world.root, "-q", "render").code == 0

    on_main(world, joined)

    assert found(world) == [(sealed.path("m3"), "stale")]


def test_what_the_branch_has_by_now_is_no_rotation(world: Repo) -> None:
    on_main(world, lambda: turn(world, 2))
    world.git("checkout", "main", "--", LAB)

    assert found(world) == []


def test_rotation_within_the_cooldown_of_the_one_on_the_branch_is_found(world: Repo) -> None:
    on_main(world, lambda: turn(world, 2), ago=10 * turned.MINUTE)
    world.git("merge", "-q", "main")
    turn(world, 3, start=0x41)

    assert found(world) == [(LAB, "cooldown")]
    assert "lab was rotated 10 minutes ago by " in messages(world)[0]


def test_rotation_after_an_upgrade_on_the_branch_within_the_cooldown_is_found(world: Repo) -> None:
    def upgraded() -> None:
        world.environment("lab", IPSEC.replace("1.16.0", "1.16.19"))
        rig.command(world.root, "-q", "render")

    on_main(world, upgraded, ago=10 * turned.MINUTE)
    world.git("merge", "-q", "main")
    turn(world, 2)

    assert found(world) == [(LAB, "cooldown")]


def test_merge_queue_is_judged_against_its_own_base(world: Repo) -> None:
    base = turned.tip(world, "main")
    turn(world, 2)
    found(world)
    world.git("checkout", "-q", "--detach", "main")
    world.git("merge", "-q", "--no-ff", "-m", "queue", "change")

    assert found(world, against=base) == []


def test_exception_that_a_change_adds_is_a_warning(world: Repo) -> None:
    key = "3 rfc4106(gcm" + f"(aes)) {40 * 'a'} 128"
    file = world.write("docs/page.md", key)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    row = "{path: docs/page.md, rule: clear-key, reason: spent, sha256: " + f"{digest}}}"
    world.write(".keyturn.yaml", f"exceptions:\n- {row}\n")
    assert found(world) == [(".keyturn.yaml", "new-exception")]

    world.git("checkout", "-q", "-B", "main")

    assert (found(world), validate(world).code) == ([], 0)


def test_exception_of_a_change_is_not_idle_once_the_change_is_merged(world: Repo) -> None:
    turn(world, 4)
    digest = hashlib.sha256((world.root / LAB).read_bytes()).hexdigest()
    row = f"{{path: {LAB}, rule: key-id, reason: an outage, sha256: {digest}}}"
    world.write(".keyturn.yaml", f"exceptions:\n- {row}\n")
    assert found(world) == [(".keyturn.yaml", "new-exception")]

    world.git("checkout", "-q", "-B", "main")
    world.git("checkout", "-q", "-B", "change")

    assert found(world) == []


# Where it cannot be told.


def refused(repo: Repo, against: str = "main") -> tuple[int, str]:
    ran = rig.command(repo.root, "validate", "--against", against)
    assert ran.out == ""
    return ran.code, ran.err.removeprefix("keyturn: error: ").rstrip("\n")


def test_shallow_clone_is_3_and_names_fetch_depth(world: Repo, tmp_path: Path) -> None:
    clone = Repo(tmp_path / "clone")
    world.git("clone", "-q", "--depth", "1", f"file://{world.root}", str(clone.root))

    code, words = refused(clone, "origin/change")

    assert (code, "fetch-depth: 0" in words) == (3, True)
    assert words.startswith("this clone is shallow, and --against needs the history; ")


def test_no_common_commit_is_3_and_names_fetch_depth(world: Repo) -> None:
    world.git("checkout", "-q", "--orphan", "alone")
    world.git("commit", "-q", "-m", "alone")

    code, words = refused(world)

    assert (code, words.startswith("HEAD and main have no commit in common; "), "fetch-depth: 0" in words) == (
        3,
        True,
        True,
    )


def test_revision_that_is_none_is_2(world: Repo) -> None:
    code, words = refused(world, "origin/main")

    assert (code, words.partition(";")[0]) == (2, "--against origin/main is no commit here")


def test_outside_git_is_3(repo: Repo) -> None:
    repo.environment("lab")

    code, words = refused(repo)

    assert (code, words.endswith("is in no git repository, and --against compares with a commit")) == (3, True)


def test_environment_of_a_subfolder_is_judged(tmp_path: Path, home: Path) -> None:
    top = Repo(tmp_path / "top")
    top.root.mkdir()
    top.init()
    repo = Repo(top.root / "a" / "b")
    repo.environment("lab", IPSEC + "gitops: {path: a/b}\n")
    top.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))).replace("^clusters", "^a/b/clusters"))
    assert rig.command(repo.root, "-q", "render").code == 0
    turned.commit(top, "first")
    text = repo.read(firstkeys.path("lab"))
    repo.write(firstkeys.path("lab"), text.replace('key-id: "1"', 'key-id: "3"'))
    top.git("commit", "-q", "-a", "-m", "by hand")

    ran = rig.command(repo.root, "validate", "--no-key", "--against", "main~1", "--output", "json")

    assert [(one["path"], one["rule"]) for one in json.loads(ran.out)["findings"]] == [(LAB, "same-key")]
