"""The key line: what we write, what we take, what we refuse without a word of it, and the fingerprint."""

from __future__ import annotations

import hashlib
import itertools
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import errors, keys
from generator.errors import InputError, KeyturnError, ManyRefusedError, RefusedError, ToolError
from generator.keys import Algorithm, Key

GCM = "rfc4106(gcm(aes))"
GCM_BYTES = {128: 20, 192: 28, 256: 36}  # key and four bytes of salt

USED = {
    ("rfc4106-gcm-aes", 128): Algorithm("", GCM, key_bits=128, icv_bits=128),
    ("rfc4106-gcm-aes", 192): Algorithm("", GCM, key_bits=192, icv_bits=128),
    ("rfc4106-gcm-aes", 256): Algorithm("", GCM, key_bits=256, icv_bits=128),
    ("cbc-aes-sha256", 128): Algorithm("hmac(sha256)", "cbc(aes)", key_bits=128, auth_bits=128),
    ("cbc-aes-sha512", 128): Algorithm("hmac(sha512)", "cbc(aes)", key_bits=128, auth_bits=256),
}
BYTES = {
    ("rfc4106-gcm-aes", 128): 20,
    ("rfc4106-gcm-aes", 192): 28,
    ("rfc4106-gcm-aes", 256): 36,
    ("cbc-aes-sha256", 128): 32,
    ("cbc-aes-sha512", 128): 48,
}


@pytest.mark.parametrize("named", USED)
def test_name_and_size_make_the_algorithm(named: tuple[str, int]) -> None:
    used = keys.algorithm(*named)

    assert (used, used.length) == (USED[named], BYTES[named])


@pytest.mark.parametrize("name", ["cbc-aes-sha256", "cbc-aes-sha512"])
@pytest.mark.parametrize("size", [128, 192, 256])
def test_key_size_is_the_business_of_gcm_alone(name: str, size: int) -> None:
    assert keys.algorithm(name, size) == USED[name, 128]


@pytest.mark.parametrize(
    ("named", "text"),
    [
        (("rfc4106-gcm-aes", 256), "rfc4106(gcm(aes))"),
        (("cbc-aes-sha256", 128), "hmac(sha256) cbc(aes)"),
        (("cbc-aes-sha512", 128), "hmac(sha512) cbc(aes)"),
    ],
)
def test_algorithm_is_told_in_the_agent_s_words(named: tuple[str, int], text: str) -> None:
    assert str(keys.algorithm(*named)) == text


def counting(length: int) -> bytes:
    return bytes(range(length))


@pytest.mark.parametrize(
    ("named", "line"),
    [
        (("rfc4106-gcm-aes", 128), f"1+ {GCM} {counting(20).hex()} 128"),
        (("rfc4106-gcm-aes", 192), f"1+ {GCM} {counting(28).hex()} 128"),
        (("rfc4106-gcm-aes", 256), f"1+ {GCM} {counting(36).hex()} 128"),
        (("cbc-aes-sha256", 128), f"1+ hmac(sha256) {counting(16).hex()} cbc(aes) {counting(32)[16:].hex()}"),
        (("cbc-aes-sha512", 128), f"1+ hmac(sha512) {counting(32).hex()} cbc(aes) {counting(48)[32:].hex()}"),
    ],
)
def test_first_key_is_one_line_with_id_1_and_per_tunnel_keys(named: tuple[str, int], line: str) -> None:
    asked: list[int] = []

    def token_bytes(length: int) -> bytes:
        asked.append(length)
        return counting(length)

    key = keys.first(keys.algorithm(*named), token_bytes)

    assert (key.line(), asked) == (line, [BYTES[named]])


@st.composite
def any_key(draw: st.DrawFn) -> Key:
    used = draw(st.sampled_from([*USED.values(), *(Algorithm("", GCM, bits, icv_bits=96) for bits in GCM_BYTES)]))
    material = draw(st.binary(min_size=used.length, max_size=used.length))
    return Key(draw(st.integers(1, 15)), used, material, per_tunnel=draw(st.booleans()))


@given(any_key())
def test_key_line_reads_back_as_the_key(key: Key) -> None:
    assert keys.parse(key.line()) == key


@given(any_key())
def test_hex_of_either_case_is_the_same_key(key: Key) -> None:
    head, rest = key.line().split(" ", 1)
    upper = " ".join(part.upper() if len(part) >= 32 else part for part in rest.split(" "))

    assert keys.parse(f"{head} {upper}") == key


@given(any_key())
def test_fingerprint_is_what_the_interface_says(key: Key) -> None:
    names = {"": GCM, "hmac(sha256)": "hmac(sha256) cbc(aes)", "hmac(sha512)": "hmac(sha512) cbc(aes)"}
    digest = hashlib.sha256(
        b"keyturn-fingerprint-v1" + b"\0" + names[key.algorithm.auth].encode() + b"\0" + key.material
    ).hexdigest()

    assert key.fingerprint() == "sha256:" + digest[:32]


def test_fingerprint_of_a_known_key_stays_what_it_was() -> None:
    key = keys.first(keys.algorithm("rfc4106-gcm-aes", 128), counting)

    known = hashlib.sha256(f"keyturn-fingerprint-v1\0{GCM}\0".encode() + bytes(range(20))).hexdigest()
    assert key.fingerprint() == f"sha256:{known[:32]}"


@given(any_key(), any_key())
def test_fingerprint_names_algorithm_and_material_and_not_the_id(one: Key, other: Key) -> None:
    same = (str(one.algorithm), one.material) == (str(other.algorithm), other.material)

    assert (one.fingerprint() == other.fingerprint()) == same


@given(any_key())
def test_key_keeps_its_material_out_of_its_representation(key: Key) -> None:
    shown = f"{key!r} {key}"

    assert "material" not in shown
    assert repr(key.material) not in shown
    assert key.material.hex() not in shown


HEX20, HEX28, HEX36, HEX16, HEX32 = (counting(size).hex() for size in (20, 28, 36, 16, 32))
MALFORMED = "the key line is malformed"
LENGTH = f"the key line has a key of a wrong length for {GCM}"
LENGTH_256 = "the key line has a key of a wrong length for hmac(sha256) cbc(aes)"
LENGTH_512 = "the key line has a key of a wrong length for hmac(sha512) cbc(aes)"
ABOVE = "the key line has an id above 15"

REFUSED = {
    "nothing": ("", MALFORMED),
    "leading blank": (f" 1+ {GCM} {HEX20} 128", MALFORMED),
    "trailing blank": (f"1+ {GCM} {HEX20} 128 ", MALFORMED),
    "newline": (f"1+ {GCM} {HEX20} 128\n", MALFORMED),
    "carriage return": (f"1+ {GCM} {HEX20} 128\r", MALFORMED),
    "newline before": (f"\n1+ {GCM} {HEX20} 128", MALFORMED),
    "two lines": (f"1+ {GCM} {HEX20} 128\n2+ {GCM} {HEX20} 128", MALFORMED),
    "comment": (f"# old\n1+ {GCM} {HEX20} 128", MALFORMED),
    "two blanks": (f"1+  {GCM} {HEX20} 128", MALFORMED),
    "two blanks later": (f"1+ {GCM} {HEX20}  128", MALFORMED),
    "tab": (f"1+ {GCM}\t{HEX20} 128", MALFORMED),
    "no-break space": (f"1+\xa0{GCM} {HEX20} 128", MALFORMED),
    "no ICV": (f"1+ {GCM} {HEX20}", MALFORMED),
    "no ICV, blank": (f"1+ {GCM} {HEX20} ", MALFORMED),
    "empty ICV in quotes": (f'1+ {GCM} {HEX20} ""', MALFORMED),
    "ICV 256, which the kernel refuses": (f"1+ {GCM} {HEX20} 256", MALFORMED),
    "ICV 64, which the agent refuses": (f"1+ {GCM} {HEX20} 64", MALFORMED),
    "ICV 0128": (f"1+ {GCM} {HEX20} 0128", MALFORMED),
    "0x": (f"1+ {GCM} 0x{HEX20} 128", MALFORMED),
    "0x in CBC": (f"1+ hmac(sha256) 0x{HEX16} cbc(aes) {HEX16}", MALFORMED),
    "id 0": (f"0+ {GCM} {HEX20} 128", MALFORMED),
    "id -1": (f"-1+ {GCM} {HEX20} 128", MALFORMED),
    "id +1": (f"+1 {GCM} {HEX20} 128", MALFORMED),
    "id 01": (f"01+ {GCM} {HEX20} 128", MALFORMED),
    "id 16": (f"16+ {GCM} {HEX20} 128", ABOVE),
    "id 99": (f"99 {GCM} {HEX20} 128", ABOVE),
    "id 16 of CBC": (f"16+ hmac(sha256) {HEX16} cbc(aes) {HEX16}", ABOVE),
    "id 100": (f"100+ {GCM} {HEX20} 128", MALFORMED),
    "id 0x1": (f"0x1+ {GCM} {HEX20} 128", MALFORMED),
    "id of Arabic digits": (f"\u0663+ {GCM} {HEX20} 128", MALFORMED),
    "superscript id": (f"\xb9+ {GCM} {HEX20} 128", MALFORMED),
    "ICV of full-width digits": (f"1+ {GCM} {HEX20} \uff11\uff12\uff18", MALFORMED),
    "hex of full-width digits": ("1+ " + GCM + " " + "\uff11" * 40 + " 128", MALFORMED),
    "no id": (f"{GCM} {HEX20} 128", MALFORMED),
    "two plus": (f"1++ {GCM} {HEX20} 128", MALFORMED),
    "empty hex": (f"1+ {GCM}  128", MALFORMED),
    "null cipher": (f'1+ {GCM} "" 128', MALFORMED),
    "one digit missing": (f"1+ {GCM} {HEX20[:-1]} 128", MALFORMED),
    "one byte missing": (f"1+ {GCM} {HEX20[:-2]} 128", LENGTH),
    "one byte too many": (f"1+ {GCM} {HEX20}00 128", LENGTH),
    "no salt": (f"1+ {GCM} {HEX16} 128", LENGTH),
    "salt alone": (f"1+ {GCM} 00010203 128", LENGTH),
    "less than a salt": (f"1+ {GCM} 00 128", LENGTH),
    "no salt, AES-256": (f"1+ {GCM} {HEX32} 128", LENGTH),
    "no hex": (f"1+ {GCM} {HEX20[:-2]}zz 128", MALFORMED),
    "another cipher": (f"1+ rfc4543(gcm(aes)) {HEX20} 128", MALFORMED),
    "cipher in capitals": (f"1+ RFC4106(GCM(AES)) {HEX20} 128", MALFORMED),
    "short auth key": (f"1+ hmac(sha256) {HEX16[:-2]} cbc(aes) {HEX16}", LENGTH_256),
    "long auth key": (f"1+ hmac(sha256) {HEX32} cbc(aes) {HEX16}", LENGTH_256),
    "auth key of sha256 in sha512": (f"1+ hmac(sha512) {HEX16} cbc(aes) {HEX16}", LENGTH_512),
    "long CBC key": (f"1+ hmac(sha512) {HEX32} cbc(aes) {HEX32}", LENGTH_512),
    "empty auth key": (f"1+ hmac(sha256)  cbc(aes) {HEX16}", MALFORMED),
    "empty CBC key": (f"1+ hmac(sha256) {HEX16} cbc(aes) ", MALFORMED),
    "odd CBC key": (f"1+ hmac(sha256) {HEX16} cbc(aes) {HEX16}0", MALFORMED),
    "CBC with an ICV": (f"1+ hmac(sha256) {HEX16} cbc(aes) {HEX16} 128", MALFORMED),
    "another hash": (f"1+ hmac(sha1) {HEX16} cbc(aes) {HEX16}", MALFORMED),
    "null authentication": (f"1+ digest_null {HEX16} cbc(aes) {HEX16}", MALFORMED),
    "GCM as cipher of two": (f"1+ hmac(sha256) {HEX16} {GCM} {HEX20}", MALFORMED),
}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_line_is_refused_and_never_quoted(name: str) -> None:
    line, message = REFUSED[name]

    with pytest.raises(InputError) as refused:
        keys.parse(line)

    said = "".join(traceback.format_exception_only(refused.value))
    assert (refused.value.message, refused.value.hint) == (message, "")
    assert said == f"generator.errors.InputError: {message}\n"
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)


BROKEN = f"1+ {GCM} {HEX20} 128"


@pytest.mark.parametrize("position", [position for position in range(len(BROKEN)) if position != 1])
def test_good_line_with_one_character_missing_is_refused(position: int) -> None:
    with pytest.raises(InputError):
        keys.parse(BROKEN[:position] + BROKEN[position + 1 :])


@pytest.mark.parametrize("position", range(1, len(BROKEN)))
def test_good_line_with_one_character_doubled_is_refused(position: int) -> None:
    with pytest.raises(InputError):
        keys.parse(BROKEN[:position] + BROKEN[position] + BROKEN[position:])


def answer(line: str) -> Key | str:
    """The key in a line, or what is said of it."""
    try:
        return keys.parse(line)
    except InputError as refused:
        return str(refused)


@given(st.text(max_size=120))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    found = answer(text)

    assert found == MALFORMED or (isinstance(found, Key) and found.line() == text.lower())


@given(any_key(), st.integers(0, 200), st.characters(codec="utf-8"))
def test_line_with_any_character_put_in_is_refused_unless_its_head_is_another(
    key: Key, position: int, character: str
) -> None:
    line = key.line()

    found = answer(line[:position] + character + line[position:])

    allowed = {
        Key(identity, key.algorithm, key.material, per_tunnel=plus) for identity in range(16) for plus in (True, False)
    }
    assert found in {MALFORMED, ABOVE, f"the key line has a key of a wrong length for {key.algorithm}"} | allowed


def test_all_fields_of_a_good_line_are_needed() -> None:
    fields = f"1+ hmac(sha256) {HEX16} cbc(aes) {HEX16}".split(" ")

    for size in range(len(fields)):
        for chosen in itertools.combinations(fields, size):
            with pytest.raises(InputError):
                keys.parse(" ".join(chosen))


@pytest.mark.parametrize("identity", range(1, 16))
@pytest.mark.parametrize("plus", ["+", ""])
def test_every_id_of_the_datapath_is_read_with_and_without_per_tunnel_keys(identity: int, plus: str) -> None:
    key = keys.parse(f"{identity}{plus} {GCM} {HEX20} 96")

    assert (key.id, key.per_tunnel, key.algorithm.icv_bits) == (identity, plus == "+", 96)


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (KeyturnError("a bug"), "a bug", 4),
        (InputError("no environment 'labb'", hint="did you mean lab?"), "no environment 'labb'; did you mean lab?", 2),
        (ToolError("no sops"), "no sops", 3),
        (RefusedError("a key is there", hint="keyturn rotate"), "a key is there; keyturn rotate", 3),
        (ManyRefusedError([RefusedError("one", hint="h"), RefusedError("two")]), "one; two", 3),
    ],
)
def test_error_is_one_line_with_the_way_out_and_an_exit_code(error: KeyturnError, text: str, code: int) -> None:
    assert (str(error), error.exit_code) == (text, code)


def test_several_refusals_keep_their_own_ways_out() -> None:
    reasons = [RefusedError("one", hint="h"), RefusedError("two")]

    assert errors.ManyRefusedError(reasons).reasons == reasons
