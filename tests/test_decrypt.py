"""A Secret out of its ciphertext: what sops may answer, and what the clear text has to be."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import rig
import sealed
from hypothesis import given
from hypothesis import strategies as st

from generator import keys, secret, sops
from generator.errors import InputError, RefusedError, ToolError
from generator.keys import Algorithm, Key
from generator.secret import Issue
from generator.yamlio import read

if TYPE_CHECKING:
    from pathlib import Path

    from kit import Repo

    from generator.nodes import Node

SECRET = sealed.path("a")
KEY = sealed.key(4)
CLEAR = sealed.clear(KEY, previous=3)


@pytest.fixture
def mesh(repo: Repo, home: Path) -> Repo:
    return sealed.mesh(repo, home)


def gate(root: Path, program: Path | None = None) -> sops.Sops:
    return sops.Sops(str(program or rig.real_sops(root)), root / ".sops.yaml")


# The gate, with the real sops


def test_clear_text_comes_through_a_pipe_and_touches_no_disk(mesh: Repo, home: Path) -> None:
    file = sealed.seal(mesh, "a", CLEAR)
    before = rig.standing(mesh.root), rig.standing(home)

    data = gate(mesh.root).decrypt(file)

    assert data == sealed.opened(mesh, "a").encode()
    assert (rig.standing(mesh.root), rig.standing(home)) == before


def test_secret_is_found_from_a_configuration_above_the_root(mesh: Repo) -> None:
    data = sealed.seal(mesh, "a", CLEAR).read_bytes()
    file = mesh.write(f"deep/{SECRET}", data)

    assert gate(mesh.root).decrypt(file) == sealed.opened(mesh, "a").encode()


def test_secret_for_nobody_at_hand_is_none(mesh: Repo, home: Path) -> None:
    file = sealed.seal(mesh, "a", CLEAR)
    sealed.shut(home)

    assert gate(mesh.root).decrypt(file) is None


def test_secret_for_somebody_else_is_none(mesh: Repo, home: Path) -> None:
    file = sealed.seal(mesh, "a", CLEAR)
    sealed.shut(home)
    rig.identity(rig.keyring(home))

    assert gate(mesh.root).decrypt(file) is None


@pytest.mark.parametrize(("old", "new"), [(",data:", ",data:AAAA"), ('key-id: "4"', 'key-id: "5"')])
def test_secret_that_was_changed_is_refused(mesh: Repo, old: str, new: str) -> None:
    file = sealed.seal(mesh, "a", CLEAR)
    file.write_text(file.read_text("utf-8").replace(old, new, 1), "utf-8")

    with pytest.raises(RefusedError) as refused:
        gate(mesh.root).decrypt(file)

    assert str(refused.value) == f"{SECRET} was changed after it was encrypted; bring back what sops wrote"


def test_secret_that_is_missing_is_told_by_sops(mesh: Repo) -> None:
    with pytest.raises(ToolError) as failed:
        gate(mesh.root).decrypt(mesh.root / SECRET)

    assert str(failed.value).startswith(f"sops failed to decrypt {SECRET}: ")


# The gate, with programs that stand in for it

QUOTE = "printf 'bad value %s' '{}' >&2; exit {}\n"
ANSWERS = {
    "a value that does not decrypt": ("exit 25\n", RefusedError, "was changed after it was encrypted"),
    "a MAC that does not fit": ("exit 51\n", RefusedError, "was changed after it was encrypted"),
    "silence": ("exit 1\n", ToolError, "it says nothing"),
    "a key line": (QUOTE.format(KEY.line(), 1), ToolError, "bad value [redacted]"),
    "material": (QUOTE.format(KEY.material.hex(), 7), ToolError, "bad value [redacted]"),
    "a key line in base64": (
        QUOTE.format(base64.b64encode(KEY.line().encode()).decode(), 1),
        ToolError,
        "bad value [redacted]",
    ),
    "a key line of a Secret that was changed": (
        QUOTE.format(KEY.line(), 25),
        RefusedError,
        "was changed after it was encrypted",
    ),
    "an identity": (QUOTE.format("AGE-SECRET-KEY-1QQQQQQQQ", 2), ToolError, "bad value [redacted]"),
    "the clear text on the wrong side": (
        f"cat <<'END' >&2\n{CLEAR}END\nexit 1\n",
        ToolError,
        None,
    ),
}


@pytest.mark.parametrize(("body", "error", "words"), ANSWERS.values(), ids=ANSWERS)
def test_sops_that_fails_is_told_without_key_material(
    mesh: Repo, tmp_path: Path, body: str, error: type[Exception], words: str | None
) -> None:
    program = rig.script(tmp_path / "bin", "sops", body)

    with pytest.raises(error) as failed:
        gate(mesh.root, program).decrypt(mesh.root / SECRET)

    assert KEY.material.hex()[:16] not in str(failed.value)
    assert SECRET in str(failed.value)
    assert words is None or words in str(failed.value)


@pytest.mark.parametrize("words", ["Failed to get the data key", KEY.line()])
def test_sops_without_a_private_key_is_no_failure(mesh: Repo, tmp_path: Path, words: str) -> None:
    program = rig.script(tmp_path / "bin", "sops", QUOTE.format(words, 128))

    assert gate(mesh.root, program).decrypt(mesh.root / SECRET) is None


def test_sops_is_asked_for_one_file_and_not_told_other_recipients(
    mesh: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOPS_CONFIG", "/elsewhere")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", f"{mesh.root}/mine")
    answer = 'echo "$* in $PWD, $SOPS_AGE_KEY_FILE$SOPS_CONFIG, $SOPS_DISABLE_VERSION_CHECK"; cat\n'
    program = rig.script(tmp_path / "bin", "sops", answer)

    data = gate(mesh.root, program).decrypt(mesh.root / SECRET)

    words = f"decrypt --input-type yaml --output-type yaml {SECRET} in {mesh.root}, {mesh.root}/mine, true\n"
    assert data == words.encode()


# The clear text


def node_of(text: str) -> Node:
    node, found = read(text.encode(), SECRET)
    assert found == []
    assert node is not None
    return node


ALGORITHMS = [
    *(keys.algorithm("rfc4106-gcm-aes", bits) for bits in (128, 192, 256)),
    *(keys.algorithm(name, 128) for name in ("cbc-aes-sha256", "cbc-aes-sha512")),
]


@st.composite
def issues(draw: st.DrawFn) -> Issue:
    used: Algorithm = draw(st.sampled_from(ALGORITHMS))
    material = draw(st.binary(min_size=used.length, max_size=used.length))
    key = Key(draw(st.integers(1, 15)), used, material, per_tunnel=draw(st.booleans()))
    created = datetime.fromtimestamp(draw(st.integers(0, 10**11)), UTC)
    return Issue(key, created, draw(st.none() | st.integers(1, 15)))


@given(issues())
def test_secret_opens_to_what_it_was_made_of(issue: Issue) -> None:
    assert secret.opened(node_of(secret.document(issue, "kube-system"))) == issue


@given(issues())
def test_secret_with_data_in_base64_opens_to_the_same(issue: Issue) -> None:
    head, _, _ = secret.document(issue, "kube-system").partition("stringData:")
    line = base64.b64encode(issue.key.line().encode()).decode()

    assert secret.opened(node_of(f"{head}data:\n  keys: {line}\n")) == issue


def test_material_in_capitals_is_the_same_key() -> None:
    assert secret.opened(node_of(CLEAR.replace(KEY.material.hex(), KEY.material.hex().upper()))).key == KEY


def test_key_as_text_goes_before_the_key_in_base64_as_in_kubernetes() -> None:
    other = base64.b64encode(sealed.key(9).line().encode()).decode()

    assert secret.opened(node_of(f"{CLEAR}data: {{keys: {other}}}\n")).key == KEY


def data(value: str) -> str:
    return f"{CLEAR.partition('stringData:')[0]}data: {{keys: {value}}}\n"


def coded(line: str) -> str:
    return data(base64.b64encode(line.encode()).decode())


HEX = KEY.material.hex()
NO_KEY, MALFORMED = "the Secret has no data key 'keys'", "the key line is malformed"
NO_TIME, TELLS = "the Secret does not tell when its key was made", "the Secret holds another key than keyturn/{} tells"
REFUSALS = {
    "nothing": ("{}", NO_KEY),
    "no values": (CLEAR.partition("stringData:")[0], NO_KEY),
    "a number": (CLEAR.replace(f'"{KEY.line()}"', "4"), NO_KEY),
    "a mapping": (CLEAR.replace(f'"{KEY.line()}"', "{x: y}"), NO_KEY),
    "an empty line": (CLEAR.replace(KEY.line(), ""), MALFORMED),
    "a line with a byte too few": (CLEAR.replace(HEX, HEX[:-2]), "the key line has a key of a wrong length for "),
    "a line with a character too few": (CLEAR.replace(HEX, HEX[:-1]), MALFORMED),
    "a line that ends in a newline": (CLEAR.replace(KEY.line(), f"{KEY.line()}\\n"), MALFORMED),
    "an id of 0": (CLEAR.replace("4+ rfc", "0+ rfc"), MALFORMED),
    "an id of 16": (CLEAR.replace("4+ rfc", "16+ rfc"), "the key line has an id above 15"),
    "another id": (CLEAR.replace("4+ rfc", "5+ rfc"), TELLS.format("key-id")),
    "another ICV": (CLEAR.replace(' 128"', ' 96"'), TELLS.format("icv-bits")),
    "another key": (CLEAR.replace(HEX, HEX[::-1]), TELLS.format("fingerprint")),
    "a key of another size": (CLEAR.replace(HEX, f"{HEX}{HEX[:16]}"), TELLS.format("key-bits")),
    "no time": (CLEAR.replace("keyturn/created", "created"), NO_TIME),
    "half a time": (CLEAR.replace("T03:04:05Z", ""), NO_TIME),
    "a time elsewhere": (CLEAR.replace("05Z", "05+02:00"), NO_TIME),
    "a time of another form": (CLEAR.replace("T03:", "T3:"), TELLS.format("created")),
    "a previous id with a zero": (
        CLEAR.replace('id: "3"', 'id: "03"'),
        "the Secret's keyturn/previous-key-id is no key id",
    ),
    "a previous id above 15": (
        CLEAR.replace('id: "3"', 'id: "16"'),
        "the Secret's keyturn/previous-key-id is no key id",
    ),
    "annotations that are no text": (CLEAR.replace('/key-id: "4"', "/key-id: 4"), TELLS.format("key-id")),
    "junk for base64": (data("'%%%'"), NO_KEY),
    "base64 with a character too few": (coded(KEY.line()).replace("=}", "}"), NO_KEY),
    "base64 of no text": (data(base64.b64encode(b"\xff\xfe\xfd").decode()), NO_KEY),
    "base64 of a line that ends in a newline": (coded(f"{KEY.line()}\n"), MALFORMED),
    "base64 of base64": (coded(base64.b64encode(KEY.line().encode()).decode()), MALFORMED),
}


@pytest.mark.parametrize(("text", "words"), REFUSALS.values(), ids=REFUSALS)
def test_clear_text_that_is_no_sound_secret_is_refused_and_not_quoted(text: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        secret.opened(node_of(text))

    assert (str(refused.value)[: len(words)], HEX[:8] in str(refused.value)) == (words, False)
