"""Where a mesh has no one key to give, or not that which a member tells: nothing is written, and what to do is said."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest
import rig
import sealed
from kit import Ran, Repo

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = (sealed.path(name) for name in "abc")
KEY = sealed.key(4)
MATERIAL = KEY.material.hex()
CLEAR = sealed.clear(KEY, previous=3)
RESTORE = "bring back the file that keyturn wrote"
CHANGED = f"{A} was changed after it was encrypted; bring back what sops wrote"


@pytest.fixture
def mesh(repo: Repo, home: Path) -> Repo:
    return sealed.mesh(repo, home)


# A holder that does not hold what it tells

BY_HAND = {
    "fingerprint": ("sha256:.", "sha256:f"),
    "key id": ('key-id: "4"', 'key-id: "5"'),
    "time": ("2026-01-02T", "2025-01-02T"),
    "previous id": ('previous-key-id: "3"', 'previous-key-id: "2"'),
    "annotation that is gone": ('.*previous-key-id: "3"\n', ""),
    "namespace": ("namespace: .*", "namespace: cilium"),
    "value": (",data:", ",data:AAAA"),
    "MAC": ("mac: .*", "mac: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]"),
}


@pytest.mark.parametrize(("old", "new"), BY_HAND.values(), ids=BY_HAND)
def test_secret_that_was_changed_by_hand_gives_no_key(mesh: Repo, old: str, new: str) -> None:
    file = sealed.seal(mesh, "a", CLEAR)
    changed = re.sub(old, new, file.read_text("utf-8"), count=1)
    assert changed != file.read_text("utf-8")
    file.write_text(changed, "utf-8")

    assert sealed.refused(mesh, "b") == CHANGED


def sealed_as(text: str) -> str:
    return f"{A}: {text}; {RESTORE}"


OTHER = sealed.key(4, start=0x11).fingerprint()
LIES = {
    "another fingerprint": (KEY.fingerprint(), OTHER, "the Secret holds another key than keyturn/fingerprint tells"),
    "another id": ('/key-id: "4"', '/key-id: "5"', "the Secret holds another key than keyturn/key-id tells"),
    "another size": ('key-bits: "128"', 'key-bits: "256"', "the Secret holds another key than keyturn/key-bits tells"),
    "another ICV": ('icv-bits: "128"', 'icv-bits: "96"', "the Secret holds another key than keyturn/icv-bits tells"),
    "another algorithm": (
        "algorithm: rfc4106(gcm(aes))",
        "algorithm: cbc(aes)",
        "the Secret holds another key than keyturn/algorithm tells",
    ),
    "another key": (MATERIAL, "00" * 20, "the Secret holds another key than keyturn/fingerprint tells"),
    "no time": ("keyturn/created", "created", "the Secret does not tell when its key was made"),
    "no data key": ("  keys:", "  key:", "the Secret has no data key 'keys'"),
}


@pytest.mark.parametrize(("old", "new", "reason"), LIES.values(), ids=LIES)
def test_secret_that_was_encrypted_with_a_lie_gives_no_key(mesh: Repo, old: str, new: str, reason: str) -> None:
    text = CLEAR.replace(old, new)
    assert text != CLEAR
    sealed.seal(mesh, "a", text)

    assert sealed.refused(mesh, "b") == sealed_as(reason)


MALFORMED = {
    "a character is missing": MATERIAL[:-1],
    "a byte is missing": MATERIAL[:-2],
    "two keys": f"{MATERIAL} {MATERIAL}",
    "no number": f"0x{MATERIAL}",
    "base64": base64.b64encode(KEY.material).decode(),
}


@pytest.mark.parametrize("material", MALFORMED.values(), ids=MALFORMED)
def test_malformed_key_is_refused_and_not_quoted(mesh: Repo, material: str) -> None:
    sealed.seal(mesh, "a", CLEAR.replace(MATERIAL, material))

    line = sealed.refused(mesh, "b")

    assert re.fullmatch(rf"{re.escape(A)}: the key line (is malformed|has .*); {RESTORE}", line)
    assert MATERIAL[:16] not in line
    assert material[:8] not in line


@pytest.mark.parametrize("line", ["4+ rfc4106(gcm(aes)) {} 128\\n", "16+ rfc4106(gcm(aes)) {} 128", "4+ cbc(aes) {}"])
def test_line_that_is_no_key_line_is_refused(mesh: Repo, line: str) -> None:
    sealed.seal(mesh, "a", CLEAR.replace(KEY.line(), line.format(MATERIAL)))

    reason = "has an id above 15" if line.startswith("16") else "is malformed"
    assert sealed.refused(mesh, "b") == sealed_as(f"the key line {reason}")


def test_verbose_run_does_not_quote_the_key_either(mesh: Repo) -> None:
    sealed.seal(mesh, "a", CLEAR.replace(MATERIAL, MATERIAL[:-1]))

    ran = rig.command(mesh.root, "-v", "render", "b")

    assert (ran.code, MATERIAL[:16] in ran.out + ran.err) == (3, False)


@pytest.mark.parametrize("arguments", [(), ("b",), ("--check",), ("--check", "b")], ids=" ".join)
def test_holder_that_does_not_tell_which_key_is_refused(mesh: Repo, arguments: tuple[str, ...]) -> None:
    sealed.seal(mesh, "a", CLEAR.replace("keyturn/fingerprint", "fingerprint"))

    reason = f"{A} does not tell which key it holds, and the mesh prod shares one"
    assert sealed.refused(mesh, *arguments) == f"{reason}; {RESTORE}"


def test_holder_that_is_not_encrypted_gives_no_key(mesh: Repo) -> None:
    mesh.write(A, CLEAR)

    before = sealed.standing(mesh)

    ran, checked = rig.command(mesh.root, "render", "b"), rig.command(mesh.root, "render", "--check", "b")

    message = f"{A}:2:1: error: the Secret is not encrypted; take it out of git; what it held is spent [clear-secret]\n"
    assert (ran, checked, sealed.standing(mesh)) == (Ran(2, "", message), Ran(2, "", message), before)


@pytest.mark.parametrize("where", [A, "clusters/a/secrets", "clusters/a"])
def test_holder_that_is_a_link_gives_no_key(mesh: Repo, tmp_path: Path, where: str) -> None:
    sealed.seal(mesh, "a", CLEAR)
    (mesh.root / where).rename(tmp_path / "outside")
    (mesh.root / where).symlink_to(tmp_path / "outside")

    what = "is not a regular file" if where == A else "is not a folder"
    assert f"{where} {what}" in sealed.refused(mesh, "b")


UNREADABLE = {
    "marks of a merge": "<<<<<<< HEAD\n{}=======\n{}>>>>>>> side\n",
    "no YAML": ": [\n",
    "nothing": "",
}


@pytest.mark.parametrize("named", ["", "b"])
@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_mesh_whose_holder_cannot_be_read_gets_no_second_key(mesh: Repo, text: str, named: str) -> None:
    file = sealed.seal(mesh, "a", CLEAR)
    file.write_text(text.replace("{}", file.read_text("utf-8")), "utf-8")

    ran = rig.command(mesh.root, "render", *named)

    assert (ran.code in (2, 3), (mesh.root / B).exists()) == (True, False)


# Two keys


def told(key: str, number: int) -> str:
    return f"{sealed.key(start=ord(key)).fingerprint()} with id {number}"


COMMANDS = [(), ("a",), ("b",), ("c",), ("--check",), ("--check", "b"), ("--check", "c")]
ROTATE = "keyturn rotate b, which gives the whole mesh one new key, before the clusters are connected"


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_two_keys_with_equal_ids_are_refused_with_the_command(mesh: Repo, arguments: tuple[str, ...]) -> None:
    sealed.seal(mesh, "a", sealed.clear(sealed.key(4, start=ord("x"))))
    sealed.seal(mesh, "b", sealed.clear(sealed.key(4, start=ord("y"))))

    line = sealed.refused(mesh, *arguments)

    assert line == f"the mesh prod shares one key, and b holds {told('y', 4)}, a {told('x', 4)}; {ROTATE}"


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_two_keys_with_different_ids_are_refused_with_the_steps(mesh: Repo, arguments: tuple[str, ...]) -> None:
    sealed.seal(mesh, "a", sealed.clear(sealed.key(4, start=ord("x"))))
    sealed.seal(mesh, "b", sealed.clear(sealed.key(2, start=ord("y"))))

    line = sealed.refused(mesh, *arguments)

    reason = f"the mesh prod shares one key, and b holds {told('y', 2)}, a {told('x', 4)}"
    steps = "take cluster.mesh out of b, keyturn rotate it until its key id is 4, put cluster.mesh back, then"
    assert line == f"{reason}; {steps} {ROTATE}"


@pytest.mark.parametrize(("odd", "agreed"), ["ab", "ba", "ca"])
def test_member_whose_key_no_other_holds_is_the_one_to_change(mesh: Repo, odd: str, agreed: str) -> None:
    for name in "abc":
        sealed.seal(mesh, name, sealed.clear(sealed.key(4, start=ord("y" if name == odd else "x"))))

    line = sealed.refused(mesh)

    reason = f"the mesh prod shares one key, and {odd} holds {told('y', 4)}, {agreed} {told('x', 4)}"
    assert line == f"{reason}; {ROTATE.replace('rotate b', f'rotate {odd}')}"


def test_one_key_under_two_ids_is_two_keys(mesh: Repo) -> None:
    sealed.seal(mesh, "a", sealed.clear(sealed.key(4)))
    sealed.seal(mesh, "c", sealed.clear(sealed.key(5)))

    assert "keyturn rotate it until its key id is 4" in sealed.refused(mesh, "b")


def test_keys_of_a_mesh_are_compared_without_a_private_key(mesh: Repo, home: Path) -> None:
    sealed.seal(mesh, "a", sealed.clear(sealed.key(4, start=ord("x"))))
    sealed.seal(mesh, "b", sealed.clear(sealed.key(4, start=ord("y"))))
    sealed.shut(home)

    assert sealed.refused(mesh, "c").endswith(ROTATE)


def test_member_that_leaves_the_mesh_may_keep_a_key_of_its_own(mesh: Repo) -> None:
    sealed.seal(mesh, "a", sealed.clear(sealed.key(4, start=ord("x"))))
    sealed.seal(mesh, "b", sealed.clear(sealed.key(2, start=ord("y"))))
    mesh.environment("b", sealed.member(2).replace("mesh: prod, ", ""))

    assert rig.command(mesh.root, "-q", "render") == Ran(0, "", "")


def test_key_that_git_knows_a_member_by_is_not_replaced_by_the_meshs(mesh: Repo) -> None:
    rig.command(mesh.root, "render")
    mesh.commit()
    (mesh.root / B).unlink()

    reason = f"{B} is gone, and git knows it: its cluster may be using that key"
    assert sealed.refused(mesh, "b") == f"{reason}; git restore {B}"


def test_joiner_that_is_refused_leaves_neither_identity_nor_configuration(mesh: Repo, home: Path) -> None:
    sealed.seal(mesh, "a", CLEAR)
    (mesh.root / ".sops.yaml").unlink()
    rig.keyring(home).unlink()
    before = rig.standing(mesh.root, without=(".git",)), rig.standing(home)

    ran = rig.command(mesh.root, "render", "--new-identity", "b")

    assert (ran.code, (rig.standing(mesh.root, without=(".git",)), rig.standing(home))) == (3, before)
