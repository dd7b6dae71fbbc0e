"""What is said of a key line that no agent takes, the key that follows another, and what a Secret tells in clear."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import keys, secret
from generator.errors import InputError
from generator.keys import Algorithm, Key
from generator.yamlio import read

GCM = "rfc4106(gcm(aes))"
USED = [
    *(Algorithm("", GCM, key_bits=bits, icv_bits=icv) for bits in (128, 192, 256) for icv in (96, 128)),
    keys.algorithm("cbc-aes-sha256", 128),
    keys.algorithm("cbc-aes-sha512", 128),
]


@st.composite
def any_key(draw: st.DrawFn) -> Key:
    used = draw(st.sampled_from(USED))
    material = draw(st.binary(min_size=used.length, max_size=used.length))
    return Key(draw(st.integers(1, 15)), used, material, per_tunnel=draw(st.booleans()))


SIGNS = st.sampled_from([*" +0189afgAFx()-\t\n\r\x0b\x1c\x85\u2028\u00a0\u0661"])


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A key line with up to three characters changed, added or gone."""
    line = draw(any_key()).line()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.one_of(st.integers(0, len(line)), st.sampled_from([0, 1, 2, 3, len(line) - 1, len(line)])))
        line = line[:at] + draw(st.one_of(SIGNS, st.just(""))) + line[at + draw(st.integers(0, 1)) :]
    return line


HEX = st.sampled_from([0, 1, 15, 16, 17, 19, 20, 24, 28, 32, 36, 40]).flatmap(
    lambda size: st.binary(min_size=size, max_size=size).map(bytes.hex)
)
WORDS = st.one_of(
    st.sampled_from(["1", "3+", "15+", "16+", "0", "-1", "03", "+", ""]),
    st.sampled_from([GCM, "hmac(sha256)", "hmac(sha512)", "hmac(sha1)", "cbc(aes)", "96", "128", "64", "256", "128 "]),
    HEX,
    HEX.map(str.upper),
    HEX.map("0x{}".format),
)
LINES = st.one_of(damaged(), st.lists(WORDS, max_size=7).map(" ".join), st.text(max_size=8))


def is_taken(line: str) -> bool:
    try:
        keys.parse(line)
    except InputError:
        return False
    return True


@settings(deadline=2000)
@given(LINES)
def test_complaint_is_empty_for_exactly_the_lines_that_are_taken(line: str) -> None:
    assert (keys.complaint(line) == "") == is_taken(line)


@pytest.mark.parametrize("used", USED, ids=str)
def test_complaint_and_parser_agree_on_every_length(used: Algorithm) -> None:
    taken = []
    for auth, key in itertools.product(range(50) if used.auth else [0], range(50)):
        one, other = "a1" * auth, "b2" * key
        line = f"1+ {used.auth} {one} cbc(aes) {other}" if used.auth else f"1+ {GCM} {other} {used.icv_bits}"
        assert (keys.complaint(line) == "") == is_taken(line)
        taken += [(auth, key)] if is_taken(line) else []

    assert taken == ([(used.auth_bits // 8, 16)] if used.auth else [(0, 20), (0, 28), (0, 36)])


KEY = bytes(range(0xA0, 0xB4)).hex()
HALF = bytes(range(0xA0, 0xB0)).hex()
SAID = {
    "nothing": ("", "has blanks where none belong"),
    "two blanks": (f"3+  {GCM} {KEY} 128", "has blanks where none belong"),
    "a blank at the end": (f"3+ {GCM} {KEY} 128 ", "has blanks where none belong"),
    "a tab": (f"3+\t{GCM} {KEY} 128", "has blanks where none belong"),
    "a newline": (f"3+ {GCM} {KEY} 128\n", "has blanks where none belong"),
    "id 0": (f"0 {GCM} {KEY} 128", "does not begin with a key id, 1..15"),
    "id 16": (f"16+ {GCM} {KEY} 128", "does not begin with a key id, 1..15"),
    "id -1": (f"-1 {GCM} {KEY} 128", "does not begin with a key id, 1..15"),
    "id 03": (f"03+ {GCM} {KEY} 128", "does not begin with a key id, 1..15"),
    "no id": (f"{GCM} {KEY} 128", "does not begin with a key id, 1..15"),
    "a key alone": (KEY, "does not begin with a key id, 1..15"),
    "no ICV": (f"3+ {GCM} {KEY}", f"has 3 words, where agents take 4 ({GCM}) or 5 (with cbc(aes))"),
    "six words": (f"3+ {GCM} {KEY} 128 {KEY} {KEY}", f"has 6 words, where agents take 4 ({GCM}) or 5 (with cbc(aes))"),
    "another AEAD": (f"3+ gcm(aes) {KEY} 128", f"names an algorithm that is not {GCM}"),
    "a key in its place": (f"3+ {KEY} {GCM} 128", f"names an algorithm that is not {GCM}"),
    "0x": (f"3+ {GCM} 0x{KEY} 128", "has a key that is not hexadecimal bytes"),
    "a digit is missing": (f"3+ {GCM} {KEY[:-1]} 128", "has a key that is not hexadecimal bytes"),
    "base64": (f"3+ {GCM} oKGio6SlpqeoqaqrrK2ur7CxsrM= 128", "has a key that is not hexadecimal bytes"),
    "ICV 64": (f"3+ {GCM} {KEY} 64", "has an ICV that is not 96 or 128 bits: the kernel takes no other"),
    "ICV 256": (f"3+ {GCM} {KEY} 256", "has an ICV that is not 96 or 128 bits: the kernel takes no other"),
    "a key as ICV": (f"3+ {GCM} {KEY} {KEY}", "has an ICV that is not 96 or 128 bits: the kernel takes no other"),
    "16 bytes": (f"3+ {GCM} {HALF} 128", f"has a key of 16 bytes; {GCM} takes 20, 28, 36"),
    "another hash": (
        f"3+ hmac(sha1) {HALF} cbc(aes) {HALF}",
        "names algorithms that are not hmac(sha256) or hmac(sha512) with cbc(aes)",
    ),
    "another cipher": (
        f"3+ hmac(sha256) {HALF} ctr(aes) {HALF}",
        "names algorithms that are not hmac(sha256) or hmac(sha512) with cbc(aes)",
    ),
    "the null cipher": (f'3+ hmac(sha256) {HALF} cbc(aes) ""', "has a key that is not hexadecimal bytes"),
    "an authentication key with 0x": (
        f"3+ hmac(sha256) 0x{HALF} cbc(aes) {HALF}",
        "has a key that is not hexadecimal bytes",
    ),
    "a short authentication key": (
        f"3+ hmac(sha512) {HALF} cbc(aes) {HALF}",
        "has keys of 16 and 16 bytes; hmac(sha512) takes 32 and 16",
    ),
    "a long key": (
        f"3 hmac(sha256) {HALF} cbc(aes) {KEY}",
        "has keys of 16 and 20 bytes; hmac(sha256) takes 16 and 16",
    ),
}


@pytest.mark.parametrize(("line", "said"), SAID.values(), ids=SAID)
def test_complaint_says_what_is_wrong(line: str, said: str) -> None:
    assert keys.complaint(line) == said


@settings(deadline=2000)
@given(LINES)
def test_complaint_never_quotes_the_line(line: str) -> None:
    assert form(keys.complaint(line)) in {"", *(form(said) for _, said in SAID.values())}


def form(said: str) -> str:
    """Return what is said without its counts; eight hexadecimal digits are no count."""
    return re.sub(r"\b(?:\d{1,2}|128)\b", "N", said).replace("hmac(sha512) takes", "hmac(sha256) takes")


# The key that follows


@pytest.mark.parametrize("used", USED, ids=str)
def test_fifteen_successors_go_through_every_id_and_come_back(used: Algorithm) -> None:
    asked: list[int] = []

    def token_bytes(length: int) -> bytes:
        asked.append(length)
        return bytes([len(asked)]) * length

    found = [keys.successor(number, used, token_bytes) for number in range(1, 16)]

    ids = [*range(2, 16), 1]
    assert found == [Key(number, used, bytes([at]) * used.length) for at, number in enumerate(ids, start=1)]
    assert asked == [used.length] * 15


# What a Secret tells in clear

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- the bounds


@given(any_key(), TIMES, st.one_of(st.none(), st.integers(1, 15)))
def test_annotations_tell_what_was_issued(key: Key, created: datetime, previous: int | None) -> None:
    text = secret.document(secret.Issue(key, created, previous), "kube-system")

    root, findings = read(text.encode(), "s.yaml")

    assert root is not None
    second = created.replace(microsecond=0)
    wanted = secret.Told(key.id, key.algorithm, key.fingerprint(), second, previous)
    assert (findings, secret.told(root)) == ([], wanted)


CLEAR = secret.document(
    secret.Issue(Key(4, keys.algorithm("rfc4106-gcm-aes", 128), bytes(20)), datetime(2026, 1, 2, tzinfo=UTC), 3),
    "cilium",
)
UNTOLD = {
    "no id": ("keyturn/key-id", "key-id", "the Secret's keyturn/key-id is missing"),
    "id 0": ('key-id: "4"', 'key-id: "0"', "the Secret's keyturn/key-id is malformed"),
    "id 16": ('key-id: "4"', 'key-id: "16"', "the Secret's keyturn/key-id is malformed"),
    "id is a number": ('key-id: "4"', "key-id: 4", "the Secret's keyturn/key-id is missing"),
    "no algorithm": ("keyturn/algorithm", "algorithm", "the Secret's keyturn/algorithm is missing"),
    "another algorithm": ("rfc4106(gcm(aes))", "cbc(aes)", "the Secret's keyturn/algorithm is malformed"),
    "no size": ("keyturn/key-bits", "key-bits", "the Secret's keyturn/key-bits is missing"),
    "size in words": ('key-bits: "128"', "key-bits: many", "the Secret's keyturn/key-bits is malformed"),
    "no ICV": ("keyturn/icv-bits", "icv-bits", "the Secret's annotations tell of a key that no agent takes"),
    "another size": (
        'key-bits: "128"',
        'key-bits: "129"',
        "the Secret's annotations tell of a key that no agent takes",
    ),
    "no fingerprint": ("keyturn/fingerprint", "fingerprint", "the Secret's keyturn/fingerprint is missing"),
    "a fingerprint in capitals": ("sha256:", "SHA256:", "the Secret's keyturn/fingerprint is malformed"),
    "no time": ("keyturn/created", "created", "the Secret does not tell when its key was made"),
    "a time without a zone": ("T00:00:00Z", "T00:00:00", "the Secret does not tell when its key was made"),
    "an id before that is none": ('previous-key-id: "3"', "previous-key-id: x", "keyturn/previous-key-id is no key id"),
}


@pytest.mark.parametrize(("old", "new", "reason"), UNTOLD.values(), ids=UNTOLD)
def test_annotation_that_does_not_tell_is_named(old: str, new: str, reason: str) -> None:
    assert old in CLEAR
    root, _ = read(CLEAR.replace(old, new).encode(), "s.yaml")

    assert root is not None
    with pytest.raises(InputError) as caught:
        secret.told(root)
    assert str(caught.value).removeprefix("the Secret's ") == reason.removeprefix("the Secret's ")
