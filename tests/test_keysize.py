"""Another `keySize` in an environment file: the number changes, or the missing lines come, and no other byte does."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import keysize
from generator.errors import RefusedError

SOURCE = "environments/lab.yaml"
REFUSED = f"{SOURCE} is not to be changed by a machine; write encryption.ipsec.keySize: 256 there"


def replaced(text: str, size: int = 256) -> str:
    return keysize.replaced(text.encode(), SOURCE, size).decode()


# A number that stands there

THERE = {
    "block": "encryption:\n  type: ipsec\n  ipsec:\n    keySize: {}\n    cooldown: 1h\n",
    "flow": "encryption: {{type: ipsec, ipsec: {{keySize: {}, cooldown: 1h}}}}\n",
    "flow at the end of the file": "encryption: {{type: ipsec, ipsec: {{keySize: {}}}}}",
    "flow in block": "encryption:\n  ipsec: {{cooldown: 1h, keySize: {}}}\n  type: ipsec\n",
    "flow over lines": "encryption: {{\n  ipsec: {{\n    keySize: {},\n  }},\n}}\n",
    "whole file in flow": "{{cilium: {{version: 1.16.0}}, encryption: {{ipsec: {{keySize: {}}}}}}}\n",
    "comments": "# keySize: 128\nencryption: # why\n  ipsec:\n    # keySize: 192\n    keySize: {} # not ICV\n# 128\n",
    "blanks": "encryption:\n\n      ipsec:\n            keySize :     {}    \n\n\n",
    "CRLF": "encryption:\r\n  ipsec:\r\n    keySize: {} # AES\r\ncilium: {{version: 1.16.0}}\r\n",
    "no newline at the end": "encryption:\n  ipsec:\n    keySize: {}",
    "words before it": "cilium: {{namespace: 'Größe ☸ 128'}}\nencryption: {{ipsec: {{keySize: {}}}}}\n",
    "words on its line": "encryption: {{type: 'ï☸ 128', ipsec: {{keySize: {}}}}}\n",
    "a line that only Python ends": 'cilium: {{values: {{a: "x\u2028y"}}}}\nencryption:\n  ipsec:\n    keySize: {}\n',
    "same number elsewhere": "cluster: {{id: 128}}\nencryption: {{ipsec: {{cooldown: 128s, keySize: {}}}}}\n",
    "marks of a document": "---\nencryption:\n  ipsec:\n    keySize: {}\n...\n",
}


@pytest.mark.parametrize("text", THERE.values(), ids=THERE)
@pytest.mark.parametrize("size", [192, 256])
def test_number_is_replaced_where_it_stands(text: str, size: int) -> None:
    assert replaced(text.format(128), size) == text.format(size)


@pytest.mark.parametrize("written", ["0x80", "0o200", "1_28", "128.0", "'128'", '"128"'])
def test_number_in_another_notation_is_replaced_whole_or_left_to_a_person(written: str) -> None:
    text = "encryption:\n  ipsec:\n    keySize: {}\n    cooldown: 1h\n"
    try:
        made = replaced(text.format(written))
    except RefusedError as error:
        made = str(error)

    assert made in (text.format(256), REFUSED)


# A number that is inherited

MISSING = {
    "block": ("encryption:\n  type: ipsec\n", "encryption:\n  type: ipsec\n  ipsec:\n    keySize: 256\n"),
    "deeper block": (
        "encryption:\n    ipsec:\n        cooldown: 1h\n    type: ipsec\ncluster: {id: 1}\n",
        "encryption:\n    ipsec:\n        cooldown: 1h\n        keySize: 256\n    type: ipsec\ncluster: {id: 1}\n",
    ),
    "flow": ("encryption: {type: ipsec}\n", "encryption: {ipsec: {keySize: 256}, type: ipsec}\n"),
    "empty flow": ("encryption: {ipsec: {}}\n", "encryption: {ipsec: {keySize: 256}}\n"),
    "flow in flow": (
        "encryption: {ipsec: {cooldown: 1h}, type: ipsec} # why\n",
        "encryption: {ipsec: {keySize: 256, cooldown: 1h}, type: ipsec} # why\n",
    ),
    "nothing of encryption": (
        "extends: [prod] # which has it\n",
        "extends: [prod] # which has it\nencryption:\n  ipsec:\n    keySize: 256\n",
    ),
    "no newline at the end": (
        "extends: [prod]",
        "extends: [prod]\nencryption:\n  ipsec:\n    keySize: 256\n",
    ),
    "block without a newline at the end": (
        "encryption:\n  ipsec:\n    cooldown: 1h",
        "encryption:\n  ipsec:\n    keySize: 256\n    cooldown: 1h",
    ),
    "a comment after it": (
        "encryption:\n  type: ipsec # why\n\n# the end\n",
        "encryption:\n  type: ipsec # why\n  ipsec:\n    keySize: 256\n\n# the end\n",
    ),
    "flow over lines before it": (
        "encryption:\n  strictMode: {\n    egress: {cidr: 10.0.0.0/8}\n  }\n",
        "encryption:\n  ipsec:\n    keySize: 256\n  strictMode: {\n    egress: {cidr: 10.0.0.0/8}\n  }\n",
    ),
    "empty file": ("", "encryption:\n  ipsec:\n    keySize: 256\n"),
    "comments alone": ("# all inherited\n", "# all inherited\nencryption:\n  ipsec:\n    keySize: 256\n"),
    "text that keeps its newlines": (
        "cilium:\n  values:\n    note: |+\n      x\n\n",
        "cilium:\n  values:\n    note: |+\n      x\n\nencryption:\n  ipsec:\n    keySize: 256\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), MISSING.values(), ids=MISSING)
def test_missing_number_comes_in_the_style_of_the_file(before: str, after: str) -> None:
    assert replaced(before) == after


@pytest.mark.parametrize(
    "text",
    ["extends: [prod]\r\n", "encryption:\r\n  type: ipsec\r\n", "encryption:\r\n  ipsec:\r\n    cooldown: 1h\r\n"],
)
def test_missing_number_comes_with_the_line_ends_of_the_file(text: str) -> None:
    made = replaced(text)

    assert made == replaced(text.replace("\r\n", "\n")).replace("\n", "\r\n")


# What takes a person

BY_HAND = {
    "two documents": "encryption: {ipsec: {keySize: 128}}\n---\nencryption: {ipsec: {keySize: 128}}\n",
    "no YAML": "encryption: [\n",
    "a list": "- encryption\n",
    "encryption is a word": "encryption: ipsec\n",
    "ipsec is a list": "encryption:\n  ipsec:\n  - keySize: 128\n",
    "number is a list": "encryption: {ipsec: {keySize: [128]}}\n",
    "twice": "encryption: {ipsec: {keySize: 128, keySize: 128}}\n",
    "an anchor": "encryption: &all {type: ipsec}\n",
    "an alias": "cluster: &one {type: ipsec}\nencryption: *one\n",
    "a merge key": "encryption: {ipsec: {<<: {keySize: 128}}}\n",
    "a tag": "encryption: {ipsec: {keySize: !!int 128}}\n",
    "nothing in flow": "encryption: {ipsec: }\n",
    "null": "encryption: {ipsec: ~}\n",
}


@pytest.mark.parametrize("text", BY_HAND.values(), ids=BY_HAND)
def test_file_that_a_machine_cannot_change_is_left_to_a_person(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        replaced(text)

    assert str(caught.value) == REFUSED


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a: \x00\n", b"\xef\xbb\xbfencryption: {type: ipsec}\n"])
def test_file_that_is_no_plain_text_is_left_to_a_person(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        keysize.replaced(data, SOURCE, 256)

    assert str(caught.value) == REFUSED


@pytest.mark.parametrize(
    "text", ["encryption:", "encryption:\n  type: ipsec\n  ipsec:", "encryption:\n  ipsec:\n    keySize:"]
)
def test_key_that_ends_the_file_without_a_value_is_no_crash(text: str) -> None:
    try:
        made = yaml.safe_load(replaced(text))["encryption"]["ipsec"]
    except RefusedError as error:
        made = str(error)

    assert made in ({"keySize": 256}, REFUSED)


# Any file

WORDS = st.sampled_from(["128", "'a b'", '"x # y"', "1h", "[1, 2]", "{}", "~", "{keySize: 128}", "é☸"])
COMMENTS = st.sampled_from(["", "", " # why", "   # keySize: 128", "  "])
GAPS = st.sampled_from(["", "", "\n", "# keySize: 128\n", "  # a comment\n"])


@st.composite
def files(draw: st.DrawFn) -> str:
    """An environment file in block style, flow style or both, with or without the number."""
    others = st.lists(
        st.tuples(st.sampled_from(["cooldown", "maxKeyAge", "algorithm"]), WORDS),
        max_size=3,
        unique_by=lambda one: one[0],
    )
    inner = dict(draw(others))
    if draw(st.booleans()):
        inner = dict(draw(st.permutations([*inner.items(), ("keySize", "128")])))
    flow = "{" + ", ".join(f"{key}: {value}" for key, value in inner.items()) + "}"
    indent = " " * draw(st.integers(1, 5))
    if draw(st.booleans()) or not inner:
        ipsec = f" {flow}{draw(COMMENTS)}\n"
    else:
        ipsec = f"{draw(COMMENTS)}\n" + "".join(
            f"{draw(GAPS)}{indent * 2}{key}: {value}{draw(COMMENTS)}\n" for key, value in inner.items()
        )
    members = {"type": " ipsec\n", "strictMode": f" {draw(WORDS)}{draw(COMMENTS)}\n"}
    if draw(st.booleans()):
        members["ipsec"] = ipsec
    block = "".join(f"{draw(GAPS)}{indent}{key}:{value}" for key, value in draw(st.permutations([*members.items()])))
    whole = {"encryption": f"{draw(COMMENTS)}\n{block}", "cilium": f" {draw(WORDS)}\n", "note": " |\n  keySize: 128\n"}
    text = "".join(f"{draw(GAPS)}{key}:{value}" for key, value in draw(st.permutations([*whole.items()])))
    ended = text.removesuffix("\n") if draw(st.booleans()) else text
    return ended.replace("\n", "\r\n") if draw(st.booleans()) else ended


@settings(deadline=2000)
@given(files(), st.sampled_from([192, 256]))
def test_any_file_says_the_new_number_and_else_what_it_said_byte_for_byte(text: str, size: int) -> None:
    wanted = yaml.safe_load(text)
    wanted["encryption"].setdefault("ipsec", {})["keySize"] = size

    made = replaced(text, size)

    start = alike(text, made)
    end = alike(text[start:][::-1], made[start:][::-1])
    gone = text[start : len(text) - end]
    assert (yaml.safe_load(made), bool(re.fullmatch(r"\d{0,3}", gone))) == (wanted, True)


def alike(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
