"""Many keys in one run: all or those that are due, a branch each or one together, and a mesh as a whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import rig
import sealed
import turned
from kit import IPSEC, WIREGUARD, Ran, Repo

from generator import keys

if TYPE_CHECKING:
    from pathlib import Path

TOGETHER = "keyturn/rotate-together"
KEY = sealed.key(4)
NAMES = ("a", "b", "c")


@pytest.fixture
def labs(repo: Repo, home: Path) -> Repo:
    """Three environments with a key each, and one without."""
    repo.environment("wire", WIREGUARD)
    return turned.rendered(repo, home, *NAMES)


@pytest.fixture
def mesh(repo: Repo, home: Path) -> Repo:
    """Three members of a mesh that share one key, and a cluster beside them."""
    sealed.mesh(repo, home)
    repo.environment("solo")
    for name in NAMES:
        turned.hold(repo, name, KEY, previous=3)
    turned.hold(repo, "solo", sealed.key(9))
    turned.commit(repo)
    return repo


def branch(name: str, key_id: int = 2) -> str:
    return f"keyturn/rotate-{name}-{key_id}"


def ids(repo: Repo, revision: str, *names: str) -> list[str]:
    return [turned.told(repo, revision, name)["key-id"] for name in names]


def prints(repo: Repo, revision: str, *names: str) -> set[str]:
    return {turned.told(repo, revision, name)["fingerprint"] for name in names}


# All, and those that are due


def test_all_gives_every_environment_with_ipsec_a_branch_of_its_own(labs: Repo) -> None:
    base = turned.tip(labs, "main")

    found = turned.answer(labs, "--all", "--reason", "spring")

    made = [branch(name) for name in NAMES]
    assert [one["branch"] for one in found["rotations"]] == turned.branches(labs) == made
    assert [one["environments"] for one in found["rotations"]] == [["a"], ["b"], ["c"]]
    for name, one in zip(NAMES, made, strict=True):
        assert (turned.tip(labs, f"{one}^"), turned.diff(labs, one)) == (base, [f"M\t{sealed.path(name)}"])
        assert [trailer.environment for trailer in turned.trailers(labs, one)] == [name]
    assert len({one["fingerprint"] for one in found["rotations"]}) == 3


def test_named_ones_get_a_branch_each_whatever_order_they_are_named_in(labs: Repo) -> None:
    ran = turned.rotate(labs, "c", "a", "c")

    lines = [f"{name}: IPsec key 1 -> 2 on {branch(name)} at {turned.tip(labs, branch(name))[:12]}\n" for name in "ac"]
    said = (
        f"keyturn: from main; look at it with git show {branch('a')}; next: push, and open requests; --pr does both\n"
    )
    assert (ran, turned.branches(labs)) == (Ran(0, "".join(lines), said), [branch("a"), branch("c")])


def test_all_without_any_ipsec_says_so(repo: Repo, home: Path) -> None:
    turned.rendered(repo, home, "wire", text=WIREGUARD)

    note = "keyturn: nothing is due: there is no environment with IPsec\n"
    assert [turned.rotate(repo, "--all"), turned.rotate(repo, "--due")] == [Ran(0, "", note)] * 2


def test_due_turns_what_is_older_than_its_own_limit(labs: Repo) -> None:
    labs.environment("a", IPSEC.replace("ipsec}", "ipsec, ipsec: {maxKeyAge: 30d}}"))
    for name, days in (("a", 31), ("b", 31), ("c", 91)):
        turned.hold(labs, name, KEY, old=days * turned.DAY)
    turned.commit(labs)

    found = turned.answer(labs, "--due")

    assert [one["branch"] for one in found["rotations"]] == [branch("a", 5), branch("c", 5)]
    assert (found["skipped"], turned.branches(labs)) == ([], [branch("a", 5), branch("c", 5)])


def test_due_with_nothing_due_says_when_the_next_is(labs: Repo) -> None:
    for name, days in (("a", 20), ("b", 30), ("c", 10)):
        turned.hold(labs, name, KEY, old=days * turned.DAY)
    turned.commit(labs)
    before = turned.refs(labs)

    ran = turned.rotate(labs, "--due")

    due = turned.time(turned.told(labs, "main", "b")["created"]) + 90 * turned.DAY
    when = due.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert re.sub("in (59|60) days", "in 60 days", ran.err) == (
        f"keyturn: nothing is due; the next is b, on {when}, in 60 days\n"
    )
    assert (ran.code, ran.out, turned.refs(labs)) == (0, "", before)


def test_mesh_is_due_with_its_first_member(mesh: Repo) -> None:
    mesh.environment("b", sealed.member(2, more="maxKeyAge: 5d"))
    turned.commit(mesh)

    found = turned.answer(mesh, "--due")

    assert [one["environments"] for one in found["rotations"]] == [["a", "b", "c"]]


def test_failure_of_one_leaves_nothing_of_it_and_the_others_turn(labs: Repo) -> None:
    turned.hold(labs, "b", KEY, more="keyturn/key-id=key-id")
    turned.commit(labs)

    ran = turned.rotate(labs, "--all")

    assert (ran.code, turned.branches(labs)) == (3, [branch("a"), branch("c")])
    assert f"keyturn: error: {sealed.path('b')}: the Secret's keyturn/key-id is missing in main; " in ran.err


def failing(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have sops fail for one environment."""
    real = rig.real_sops(repo.root)
    rig.script(tmp_path / "bin", "sops", f'case "$*" in *clusters/{name}/*) exit 1 ;; esac\nexec "{real}" "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


def test_json_tells_what_failed_beside_what_was_done(
    labs: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(labs, tmp_path, monkeypatch, "b")

    found = turned.answer(labs, "--all", code=3)

    reason = f"sops failed to encrypt {sealed.path('b')}: it says nothing"
    assert [one["branch"] for one in found["rotations"]] == turned.branches(labs) == [branch("a"), branch("c")]
    assert found["skipped"] == [{"environment": "b", "reason": reason}]


def test_environment_that_cannot_be_read_does_not_stop_the_others(labs: Repo) -> None:
    labs.environment("b", "nonsense: [")
    turned.commit(labs)

    ran = turned.rotate(labs, "--all")

    assert (ran.code, turned.branches(labs)) == (3, [branch("a"), branch("c")])
    assert "environments/b.yaml:" in ran.err


def test_named_environment_that_cannot_be_read_stops_the_run(labs: Repo) -> None:
    labs.environment("b", "nonsense: [")
    turned.commit(labs)

    ran = turned.rotate(labs, "a", "b")

    assert (ran.code, ran.out, turned.branches(labs)) == (2, "", [])


def test_one_branch_has_no_room_for_several_rotations(labs: Repo) -> None:
    line = turned.refused(labs, "a", "b", "--branch", "mine", code=2)

    assert line == "--branch names one branch, and more than one key turns; add --together"


# Together


def test_together_is_one_commit_on_the_stable_branch(labs: Repo) -> None:
    base = turned.tip(labs, "main")

    found = turned.answer(labs, "--all", "--together", "--reason", "spring")

    made = turned.tip(labs, TOGETHER)
    assert (turned.branches(labs), turned.tip(labs, f"{TOGETHER}^")) == ([TOGETHER], base)
    assert turned.diff(labs, TOGETHER) == [f"M\t{sealed.path(name)}" for name in NAMES]
    assert [(one["environments"], one["commit"]) for one in found["rotations"]] == [([name], made) for name in NAMES]
    told = [(one.environment, one.key_id, one.fingerprint) for one in turned.trailers(labs, TOGETHER)]
    keys = [turned.key(labs, TOGETHER, name) for name in NAMES]
    assert told == [(name, 2, key.fingerprint()) for name, key in zip(NAMES, keys, strict=True)]
    assert len({key.material for key in keys}) == 3


def test_message_of_those_together_names_each(labs: Repo) -> None:
    turned.rotate(labs, "a", "c", "--together", "--reason", "spring")

    paragraphs = turned.message(labs, TOGETHER).split("\n\n")
    assert paragraphs[:3] == [
        "together: rotate the IPsec keys of 2 environments",
        "spring",
        "a: rotate IPsec key 1 -> 2\nc: rotate IPsec key 1 -> 2",
    ]
    assert len(paragraphs) == 4


def test_together_may_have_a_branch_of_another_name(labs: Repo) -> None:
    turned.rotate(labs, "a", "b", "--together", "--branch", "mine")

    assert (turned.branches(labs), ids(labs, "mine", *NAMES)) == ([], ["2", "2", "1"])


def test_together_is_all_or_nothing_where_one_is_refused(labs: Repo) -> None:
    turned.hold(labs, "b", KEY, more="keyturn/key-id=key-id")
    turned.commit(labs)

    assert "keyturn/key-id is missing" in turned.refused(labs, "--all", "--together")


def test_together_is_all_or_nothing_where_sops_fails(
    labs: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(labs, tmp_path, monkeypatch, "c")

    line = turned.refused(labs, "--all", "--together")

    assert line == f"sops failed to encrypt {sealed.path('c')}: it says nothing"


def test_every_reason_against_those_together_is_told(labs: Repo) -> None:
    for name in ("a", "c"):
        turned.hold(labs, name, KEY, more="keyturn/key-id=key-id")
    turned.commit(labs)
    before = turned.refs(labs)

    ran = turned.rotate(labs, "--all", "--together")

    assert (ran.code, ran.out, turned.refs(labs)) == (3, "", before)
    assert [line.partition(":")[2].partition(":")[2].partition(":")[0] for line in ran.err.splitlines()] == [
        f" {sealed.path(name)}" for name in ("a", "c")
    ]


def test_second_run_together_follows_the_first_on_its_branch(labs: Repo) -> None:
    turned.rotate(labs, "a", "--together")
    first = turned.tip(labs, TOGETHER)

    found = turned.answer(labs, "--all", "--together")

    assert (turned.tip(labs, f"{TOGETHER}^"), ids(labs, TOGETHER, *NAMES)) == (first, ["2", "2", "2"])
    assert turned.diff(labs, TOGETHER) == [f"M\t{sealed.path(name)}" for name in ("b", "c")]
    assert found["skipped"] == [{"environment": "a", "reason": f"its rotation waits on {TOGETHER}"}]
    assert turned.key(labs, TOGETHER, "a") == turned.key(labs, first, "a")


def test_second_run_together_is_made_anew_where_the_base_has_moved_on(labs: Repo) -> None:
    turned.rotate(labs, "--all", "--together")
    turned.hold(labs, "b", sealed.key(1))
    base = turned.commit(labs)

    turned.answer(labs, "--all", "--together")

    assert (turned.branches(labs), turned.tip(labs, f"{TOGETHER}^")) == ([TOGETHER], base)
    assert ids(labs, TOGETHER, *NAMES) == ["2", "2", "2"]


def test_third_run_together_finds_all_waiting_and_changes_nothing(labs: Repo) -> None:
    turned.rotate(labs, "--all", "--together")
    before = turned.refs(labs)

    found = turned.answer(labs, "--all", "--together")

    reasons = {one["environment"]: one["reason"] for one in found["skipped"]}
    assert (found["rotations"], reasons) == ([], dict.fromkeys(NAMES, f"its rotation waits on {TOGETHER}"))
    assert turned.refs(labs) == before


def test_together_after_a_merge_starts_from_the_base_again(labs: Repo) -> None:
    turned.rotate(labs, "--all", "--together")
    merge = turned.merge(labs, TOGETHER)

    turned.answer(labs, "--all", "--together")

    assert (turned.tip(labs, f"{TOGETHER}^"), ids(labs, TOGETHER, *NAMES)) == (merge, ["3", "3", "3"])


def test_work_of_a_person_on_the_branch_of_those_together_is_not_lost(labs: Repo) -> None:
    labs.git("switch", "-q", "-c", TOGETHER)
    labs.write("README.md", "mine")
    turned.commit(labs)
    labs.git("switch", "-q", "main")
    mine = turned.tip(labs, TOGETHER)

    turned.rotate(labs, "--all", "--together")

    assert labs.git("merge-base", "--all", mine, TOGETHER).strip() == mine


def test_dry_run_of_many_changes_nothing(labs: Repo) -> None:
    before = rig.standing(labs.root)

    codes = [turned.rotate(labs, "--all", "--dry-run", *more).code for more in ((), ("--together",))]

    assert (codes, rig.standing(labs.root)) == ([0, 0], before)


# A mesh


MESH = "keyturn/rotate-mesh-prod-5"


def test_mesh_turns_whole_when_one_member_is_named_and_says_so(mesh: Repo) -> None:
    ran = turned.rotate(mesh, "b")

    made = turned.tip(mesh, MESH)
    told, *_ = ran.err.splitlines()
    assert (ran.code, told) == (0, "keyturn: a, c too: the members of a mesh turn together")
    assert ran.out == f"mesh prod (a, b, c): IPsec key 4 -> 5 on {MESH} at {made[:12]}\n"
    assert (turned.branches(mesh), turned.diff(mesh, MESH)) == ([MESH], [f"M\t{sealed.path(name)}" for name in NAMES])
    assert {turned.key(mesh, MESH, name).line() for name in NAMES} == {turned.key(mesh, MESH, "a").line()}
    assert turned.key(mesh, MESH, "a").material != KEY.material
    assert turned.message(mesh, MESH).startswith("mesh prod: rotate IPsec key 4 -> 5\n")
    assert [(one.environment, one.key_id) for one in turned.trailers(mesh, MESH)] == [("a", 5), ("b", 5), ("c", 5)]


def test_all_members_named_are_one_rotation(mesh: Repo) -> None:
    found = turned.answer(mesh, "c", "b", "a")

    (made,) = found["rotations"]
    assert (made["environments"], made["mesh"], made["branch"]) == (["a", "b", "c"], "prod", MESH)
    assert (made["previous_fingerprint"], made["previous_id"]) == (KEY.fingerprint(), 4)


def test_all_turns_a_mesh_once_and_the_others_beside_it(mesh: Repo) -> None:
    turned.answer(mesh, "--all")

    assert turned.branches(mesh) == [MESH, branch("solo", 10)]


def test_size_changes_in_every_environment_of_a_mesh(mesh: Repo) -> None:
    turned.rotate(mesh, "a", "--key-size", "256")

    files = [*(f"M\t{sealed.path(name)}" for name in NAMES), *(f"M\tenvironments/{name}.yaml" for name in NAMES)]
    assert (turned.diff(mesh, MESH), turned.key(mesh, MESH, "c").algorithm.key_bits) == (files, 256)


def test_member_without_a_secret_gets_the_key_of_the_mesh(mesh: Repo) -> None:
    mesh.environment("d", sealed.member(4))
    turned.commit(mesh)

    turned.rotate(mesh, "d")

    assert turned.diff(mesh, MESH)[-1] == f"A\t{sealed.path('d')}"
    assert len(prints(mesh, MESH, *NAMES, "d")) == 1
    assert turned.told(mesh, MESH, "d")["previous-key-id"] == "4"


def test_member_whose_secret_git_knows_does_not_lose_its_key(mesh: Repo) -> None:
    (mesh.root / sealed.path("b")).unlink()
    turned.commit(mesh)

    *_, line = turned.rotate(mesh, "a").err.splitlines()

    assert line.startswith(f"keyturn: error: {sealed.path('b')} stood in git until after ")
    assert turned.branches(mesh) == []


def test_members_with_equal_ids_and_different_keys_get_one_key(mesh: Repo) -> None:
    turned.hold(mesh, "b", sealed.key(4, start=1))
    turned.commit(mesh)

    found = turned.answer(mesh, "--all")

    made = found["rotations"][0]
    assert (made["mesh"], made["previous_fingerprint"], len(prints(mesh, MESH, *NAMES))) == ("prod", None, 1)


@pytest.mark.parametrize(
    ("key_id", "behind", "to"), [(2, "b", 4), (5, "a", 5), (15, "b", 4), (12, "b", 4), (11, "a", 11)]
)
def test_members_with_different_ids_are_refused_with_the_shortest_steps(
    mesh: Repo, key_id: int, behind: str, to: int
) -> None:
    turned.hold(mesh, "b", sealed.key(key_id, start=1))
    turned.commit(mesh)

    *_, line = turned.rotate(mesh, "a").err.splitlines()

    what = f"the mesh prod shares one key, and b has id {key_id}, a 4"
    hint = f"take cluster.mesh out of {behind}, rotate it until its id is {to}, then put it back"
    assert (line, turned.branches(mesh)) == (f"keyturn: error: {what}; {hint}", [])


def test_members_with_keys_of_different_lengths_are_refused(mesh: Repo) -> None:
    used = keys.algorithm("rfc4106-gcm-aes", 256)
    turned.hold(mesh, "b", keys.Key(4, used, bytes(used.length)))
    turned.commit(mesh)

    *_, line = turned.rotate(mesh, "a").err.splitlines()

    what = "the mesh prod shares one key, and b has another algorithm than a"
    hint = "bring them to one algorithm before they are one mesh"
    assert (line, turned.branches(mesh)) == (f"keyturn: error: {what}; {hint}", [])


def test_rotation_of_a_mesh_that_waits_waits_for_each_member(mesh: Repo) -> None:
    turned.rotate(mesh, "a")

    for name in NAMES:
        *_, line = turned.rotate(mesh, name).err.splitlines()
        assert line.startswith(f"keyturn: error: a rotation of mesh prod waits on {MESH}; ")


def test_cool_down_of_one_member_holds_the_mesh(mesh: Repo) -> None:
    turned.rotate(mesh, "a")
    merge = turned.merge(mesh, MESH, ago=10 * turned.MINUTE)

    *_, line = turned.rotate(mesh, "c").err.splitlines()

    what = f"mesh prod was rotated 10 minutes ago by {merge[:12]}, within its cool-down of 1h"
    assert line == f"keyturn: error: {what}; wait until every node has the key, or pass --force"


def test_mesh_with_a_member_that_cannot_be_read_is_not_turned_in_part(mesh: Repo) -> None:
    mesh.environment("b", sealed.member(2) + "nonsense: 1\n")
    turned.commit(mesh)

    ran = turned.rotate(mesh, "--all")

    assert (ran.code, turned.branches(mesh)) == (3, [branch("solo", 10)])
    assert "environments/b.yaml:" in ran.err


DAMAGED = {"says which mesh": "cluster: {mesh: prod, id: 2\n", "says nothing of it": "a: [", "is empty": ""}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_mesh_is_not_turned_without_one_that_holds_its_key_and_cannot_be_read(mesh: Repo, text: str) -> None:
    mesh.environment("b", text)
    turned.commit(mesh)

    ran = turned.rotate(mesh, "--all")

    assert (ran.code, turned.branches(mesh)) == (3, [branch("solo", 10)])


def test_what_is_wrong_with_a_member_is_told_once(mesh: Repo) -> None:
    mesh.environment("b", "cluster: {mesh: prod, id: 2\n")
    turned.commit(mesh)

    ran = turned.rotate(mesh, "--all")

    assert ran.err.count("environments/b.yaml:") == 1


def test_mesh_and_others_turn_together_in_one_commit(mesh: Repo) -> None:
    turned.answer(mesh, "--all", "--together")

    assert (turned.branches(mesh), ids(mesh, TOGETHER, *NAMES, "solo")) == ([TOGETHER], ["5", "5", "5", "10"])
    assert len(prints(mesh, TOGETHER, *NAMES)) == 1
