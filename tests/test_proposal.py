"""The words of a rotation: what a commit message tells, and no reason can forge; what a request shows its reviewer."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sealed
from hypothesis import example, given
from hypothesis import strategies as st
from kit import IPSEC, Repo
from turned import DAY

from generator import keys, proposal, rotation, workspace
from generator.proposal import Row, Trailer
from generator.rotation import Subject, Turn
from generator.secret import Issue, Told
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from generator.creation import Groups

NOW = datetime(2026, 4, 5, 6, 7, 8, tzinfo=UTC)
OLD, NEW = sealed.key(15, start=0x10), sealed.key(1, start=0x40)
SUMS = OLD.fingerprint(), NEW.fingerprint()


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    """By name of their first: `lab` and `two` alone, `a` and `b` in a mesh."""
    repo = Repo(tmp_path_factory.mktemp("subjects"))
    for name in ("lab", "two"):
        repo.environment(name, IPSEC)
    for number, name in enumerate("ab", start=1):
        repo.environment(name, sealed.member(number))
    found = workspace.load(WorkTree(repo.root), ()).environments
    return {one.names[0]: one for one in rotation.subjects(found)}


def told(key_id: int = 15, old: timedelta = 93 * DAY) -> Told:
    return Told(key_id, OLD.algorithm, OLD.fingerprint(), NOW - old, 14)


def turn(subject: Subject, why: str = "Every quarter.", forced: str = "") -> Turn:
    return Turn(subject, {name: told() for name in subject.names}, Issue(NEW, NOW, 15), why, forced)


def trailer(*names: str) -> str:
    return "".join(
        f"Keyturn-Environment: {name}\nKeyturn-Key-Id: 1\nKeyturn-Fingerprint: {SUMS[1]}\n" for name in names
    )


# The commit message


def test_message_says_what_and_why_and_ends_with_trailers(subjects: dict[str, Subject]) -> None:
    assert proposal.message([turn(subjects["lab"])]) == (
        f"lab: rotate IPsec key 15 -> 1\n\nEvery quarter.\n\n{trailer('lab')}"
    )


def test_message_of_a_mesh_has_a_trailer_for_each_member(subjects: dict[str, Subject]) -> None:
    assert proposal.message([turn(subjects["a"])]) == (
        f"mesh prod: rotate IPsec key 15 -> 1\n\nEvery quarter.\n\n{trailer('a', 'b')}"
    )


def test_message_says_what_force_passed(subjects: dict[str, Subject]) -> None:
    message = proposal.message([turn(subjects["lab"], forced="lab was rotated 5 minutes ago by 0123456789ab")])

    why = "Every quarter.\nForced: lab was rotated 5 minutes ago by 0123456789ab."
    assert message == f"lab: rotate IPsec key 15 -> 1\n\n{why}\n\n{trailer('lab')}"


def test_message_of_many_says_one_reason_once(subjects: dict[str, Subject]) -> None:
    assert proposal.message([turn(subjects["a"]), turn(subjects["lab"])]) == (
        "together: rotate the IPsec keys of 3 environments\n\nEvery quarter.\n\n"
        "mesh prod: rotate IPsec key 15 -> 1\nlab: rotate IPsec key 15 -> 1\n\n"
        f"{trailer('a', 'b', 'lab')}"
    )


def test_message_of_many_says_each_reason_where_they_differ(subjects: dict[str, Subject]) -> None:
    assert proposal.message([turn(subjects["lab"], "Old."), turn(subjects["two"], "Older.")]) == (
        "together: rotate the IPsec keys of 2 environments\n\n"
        "lab: rotate IPsec key 15 -> 1\n  Old.\ntwo: rotate IPsec key 15 -> 1\n  Older.\n\n"
        f"{trailer('lab', 'two')}"
    )


def test_age_of_the_key_is_a_reason() -> None:
    words = proposal.why_age(NOW - 93 * DAY, NOW, "90d")

    assert words == "The key is 93 days old (made 2026-01-02); maxKeyAge is 90d."


# Trailers, there and back

FORGED = f"Keyturn-Environment: prod\nKeyturn-Key-Id: 9\nKeyturn-Fingerprint: sha256:{'0' * 32}"
REASONS = st.one_of(
    st.text(min_size=1),
    st.lists(st.sampled_from([FORGED, "\n\n", "\n", "Why not: x", "Every quarter.", " ", "\r\n"])).map("".join),
).filter(lambda text: bool(text.strip()))


@given(REASONS, st.sampled_from([["lab"], ["a"], ["lab", "two"], ["a", "lab"]]))
@example(FORGED, ["lab"])
@example(f"Why.\n\n{FORGED}", ["lab"])
@example(f"{FORGED}\n\n", ["lab", "two"])
def test_no_reason_forges_or_hides_a_trailer(subjects: dict[str, Subject], why: str, names: list[str]) -> None:
    message = proposal.message([turn(subjects[name], why.strip()) for name in names])

    whole = [each for name in names for each in subjects[name].names]
    assert proposal.trailers(message) == [Trailer(name, 1, SUMS[1]) for name in whole]


@given(REASONS)
@example(FORGED)
@example("Why: since Bob left")
@example("Two.\n\nParagraphs: here")
def test_reason_comes_back_out_of_a_message_on_one_line(subjects: dict[str, Subject], why: str) -> None:
    assert proposal.reason(proposal.message([turn(subjects["lab"], why.strip())])) == " ".join(why.split())


OTHERS = {
    "no trailer": "lab: rotate\n\nWhy.\n",
    "a subject alone": "lab: rotate",
    "nothing": "",
    "trailers of somebody else": "lab: fix\n\nWhy.\n\nSigned-off-by: Test <test@example.com>\n",
    "trailers above the last paragraph": f"lab: fix\n\n{trailer('lab')}\nThe above is quoted.\n",
    "an id above 15": f"x\n\n{trailer('lab').replace('Id: 1', 'Id: 16')}",
    "id 0": f"x\n\n{trailer('lab').replace('Id: 1', 'Id: 0')}",
    "half a fingerprint": f"x\n\n{trailer('lab')[:-9]}\n",
    "a fingerprint that goes on": f"x\n\n{trailer('lab')[:-1]}0\n",
    "another order": f"x\n\nKeyturn-Key-Id: 1\nKeyturn-Environment: lab\nKeyturn-Fingerprint: {SUMS[1]}\n",
    "a blank in a name": f"x\n\n{trailer('lab two')}",
}


@pytest.mark.parametrize("message", OTHERS.values(), ids=OTHERS)
def test_other_messages_tell_of_no_rotation(message: str) -> None:
    assert proposal.trailers(message) == []


@pytest.mark.parametrize("more", ["Signed-off-by: Test <test@example.com>\n", "Change-Id: I0123\n"])
def test_trailers_of_others_beside_ours_hide_nothing(subjects: dict[str, Subject], more: str) -> None:
    message = proposal.message([turn(subjects["lab"])]) + more

    assert (proposal.trailers(message), proposal.reason(message)) == ([Trailer("lab", 1, SUMS[1])], "Every quarter.")


WHYS = {
    "lab: fix\n": "lab: fix",
    "lab: fix\n\nSince it broke.\n": "Since it broke.",
    "lab: fix\n\nSince\nit broke.\n\nAnd more.\n": "Since it broke. And more.",
    "lab: fix\n\nSigned-off-by: Test <t@example.com>\n": "lab: fix",
    "lab: fix\n\nWhy.\n\nSigned-off-by: Test <t@example.com>\n": "Why.",
}


@pytest.mark.parametrize(("message", "why"), WHYS.items())
def test_reason_of_any_commit_is_its_body_else_its_subject(message: str, why: str) -> None:
    assert proposal.reason(message) == why


def test_message_of_a_rewrap_tells_of_no_new_key() -> None:
    message = proposal.rewrap_message("lab", "Bob left.")

    assert (message, proposal.trailers(message), proposal.reason(message)) == (
        "lab: rewrap the IPsec key for other recipients\n\nBob left.\n\nKeyturn-Rekey: lab\n",
        [],
        "Bob left.",
    )


# The body of a request

AGE: Groups = frozenset({frozenset({("age", "age1two"), ("age", "age1one"), ("pgp", "F00D")})})
HEAD = "| environment | mesh | id | algorithm | fingerprint before | fingerprint | age of the old key | recipients |"
GCM = "rfc4106(gcm(aes)), AES-128"


def table(body: str) -> list[str]:
    return [line for line in body.splitlines() if line.startswith("|")][2:]


def test_body_says_why_then_shows_a_table_then_what_to_check(subjects: dict[str, Subject]) -> None:
    body = proposal.body("Every quarter.", proposal.rows(turn(subjects["lab"]), {"lab": AGE}))

    assert body == (
        f"Every quarter.\n\n{HEAD}\n|{' --- |' * 8}\n"
        f"| lab |  | 15 -> 1 | {GCM} | `{SUMS[0]}` | `{SUMS[1]}` | 93 days "
        "| `age: age1one`<br>`age: age1two`<br>`pgp: F00D` |\n"
        "\nTo check:\n\n"
        "- [ ] the diff changes nothing but the Secrets above\n"
        "- [ ] each `keyturn/key-id` goes up by one (after 15 comes 1) from what stands in `keyturn/previous-key-id`\n"
        "- [ ] the recipients are the ones that should read the key\n"
        "- [ ] Cilium is not being upgraded or downgraded, and the rotation before has reached every node\n"
        "- [ ] after the merge the cluster does it, and every node shows the new id: `keyturn verify lab --wait 15m`\n"
    )


def test_body_of_a_mesh_has_a_row_for_each_member_and_names_the_mesh(subjects: dict[str, Subject]) -> None:
    one = Turn(subjects["a"], {"a": told(), "b": None}, Issue(NEW, NOW, 15), "Why.")

    body = proposal.body("Why.", proposal.rows(one, {"a": AGE, "b": frozenset()}))

    who = "`age: age1one`<br>`age: age1two`<br>`pgp: F00D`"
    assert table(body) == [
        f"| a | prod | 15 -> 1 | {GCM} | `{SUMS[0]}` | `{SUMS[1]}` | 93 days | {who} |",
        f"| b | prod | none -> 1 | {GCM} | none | `{SUMS[1]}` |  |  |",
    ]


def test_body_says_that_environment_files_change_with_the_size(subjects: dict[str, Subject]) -> None:
    rows = proposal.rows(turn(subjects["lab"]), {"lab": AGE})

    body = proposal.body("Why.", rows, environment_files=True)

    assert "- [ ] the diff changes nothing but the Secrets above, and `keySize` in the environments\n" in body


def test_body_shows_the_size_that_a_key_gets(subjects: dict[str, Subject]) -> None:
    key = keys.Key(1, keys.algorithm("rfc4106-gcm-aes", 256), bytes(36))
    one = Turn(subjects["lab"], {"lab": told()}, Issue(key, NOW, 15), "Why.")

    (row,) = table(proposal.body("Why.", proposal.rows(one, {"lab": AGE})))

    assert row.split(" | ")[3] == "rfc4106(gcm(aes)), AES-256"


def test_body_has_eight_cells_whoever_reads(subjects: dict[str, Subject]) -> None:
    odd: Groups = frozenset({frozenset({("hc_vault", "https://vault/v1/a|b/keys/x")})})

    (row,) = table(proposal.body("Why.", proposal.rows(turn(subjects["lab"]), {"lab": odd})))

    assert len(re.split(r"(?<!\\)\|", row)) == 8 + 2, row


def test_body_for_a_thousand_environments_is_no_longer_than_github_takes() -> None:
    before, after = told(), Told(1, NEW.algorithm, SUMS[1], NOW, 15)
    who: Groups = frozenset({frozenset({("age", f"age1{'q' * 58}")})})
    rows = [Row(f"cluster-{number:04}", None, before, after, who) for number in range(1000)]

    body = proposal.body("Every quarter.", rows)

    assert len(body) <= 65_536


def test_nothing_that_a_request_shows_holds_the_key(subjects: dict[str, Subject]) -> None:
    one = turn(subjects["lab"])

    shown = proposal.message([one]) + proposal.body(one.why, proposal.rows(one, {"lab": AGE})) + repr(one)

    material = NEW.material.hex()
    assert [material[at : at + 8] in shown for at in range(33)] == [False] * 33
    assert json.dumps(NEW.material.decode("latin-1")) not in shown
