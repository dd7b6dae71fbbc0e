"""What an unquoted scalar means, and that whatever we emit reads back whole in every reader, of YAML 1.1 and 1.2."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kit import program
from ruamel.yaml import YAML

from generator import scalars
from generator.emit import emit, scalar
from generator.nodes import Plain, plain
from generator.yamlio import MAX_KEY, read

if TYPE_CHECKING:
    from pathlib import Path

    from generator.scalars import Scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, None) for text in ("", "~", "null", "Null", "NULL")),
        *((text, True) for text in ("true", "True", "TRUE")),
        *((text, False) for text in ("false", "False", "FALSE")),
        *(("0", 0), ("-0", 0), ("+12", 12), ("-12", -12), ("010", 10), ("08", 8)),
        *(("0o17", 15), ("0x1F", 31), ("0xff", 255), ("0o0", 0), ("0x0", 0)),
        *(("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ("0x7fffffffffffffff", 2**63 - 1)),
        *(("1.10", 1.1), (".5", 0.5), ("-.5", -0.5), ("1.", 1.0), ("+1.5e3", 1500.0), ("1e3", 1000.0), ("1E-2", 0.01)),
        *(("0.", 0.0), ("1.e2", 100.0), (".5e+1", 5.0), ("357e009", 357e9)),
    ],
)
def test_unquoted_scalar_means_what_the_core_schema_of_yaml_1_2_says(text: str, value: Scalar) -> None:
    assert repr(scalars.resolve(text)) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "Yes", "no", "on", "off", "y", "n", "t", "f", "tRUE", "nULL", "NuLL", "none", "None"),
        *("1_000", "12:30:00", "1:20", "2024-01-01", "0b11", "0o8", "0o", "0x", "0xg", "-0x1", "+0o7", "0X1", "0O7"),
        *(".", "-", "+", "..", "...", ".e1", "e1", "1e", "1e+", "1.2.3", "1.16.0", "-.", "+.", "--1", "1-", "1 2"),
        *("inf", "nan", "+.nan", ".iNF", ".infinity", "Infinity", "=", "<<", "\u0663", "1\u0663", "\u00bd"),
        *("word", "/", "-word", "+word", ".word", "5m", "0s"),
    ],
)
def test_other_unquoted_scalar_is_text(text: str) -> None:
    assert scalars.resolve(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "the number does not fit into 64 bits") for text in ("9223372036854775808", "-9223372036854775809")),
        ("0x8000000000000000", "the number does not fit into 64 bits"),
        ("0o1000000000000000000000", "the number does not fit into 64 bits"),
        ("1" * 5000, "the number does not fit into 64 bits"),
        *((text, "the number is too large") for text in ("1e309", "-1e309", "1e999999999", "9" * 400 + ".")),
        *(
            (text, "infinity and not-a-number have no place in Helm values")
            for text in (".inf", "-.inf", "+.inf", ".Inf", "-.INF", ".nan", ".NaN", ".NAN")
        ),
    ],
)
def test_number_that_json_cannot_carry_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        scalars.resolve(text)


INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64)
def test_integer_of_64_bits_is_read_in_each_base(number: int) -> None:
    texts = [str(number), f"{number:+}"] + ([hex(number), oct(number)] if number >= 0 else [])

    assert [scalars.resolve(text) for text in texts] == [number] * len(texts)


def test_largest_integer_is_read_in_octal() -> None:
    assert scalars.resolve("0o777777777777777777777") == 2**63 - 1


def test_leading_zeros_make_no_number_too_large() -> None:
    assert scalars.resolve("0" * 30 + "1") == 1


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(FLOATS)
def test_float_is_read_as_it_is_printed(number: float) -> None:
    assert repr(scalars.resolve(repr(number))) == repr(number)


WORDS = r"""
~ null Null NULL nUll true True TRUE false False yes Yes YES no No on On ON off Off y Y n N t f T F
= << --- ... - ? 0 1 -1 +1 1.5 .5 1. 010 0777 0o17 0x1 0x_1 0b11 1_000 1,000 357e009 1e3 1E3 1.e+3
12:30:00 1:20 190:20:30.15 2024-01-01 2001-12-14t21:59:43.10-05:00 .inf -.inf +.Inf .nan .NaN
1.16.0 1.16 08 09 0o8 0b2 *x &x !x !!str %x @x `x` | > [ ] { } [] {} , # a: : 'a' "a" a'b \ a\nb
$x ${x} a${x} ^(data|stringData)$ =x <x 1h30m 1s2 é 日本 😀
"""
AMBIGUOUS = (
    *WORDS.split(),
    *("", "--- a", "2001-12-14 21:59:43", "# x", "a #b", "a: b", ": a", "- a", "? a", "1+ rfc4106(gcm(aes)) 00 128"),
    *(" a", "a ", "a  b", "\t", "a\tb", "a\nb", "\n", "a\n", "\na", "a\r\nb", "\x85", "a\x85b", "\u2028", "a\u2028b"),
    *("\x00", "\x07", "\x1b[31m", "\x7f", "\xa0", "\xad", "\u2029", "\u200b", "\u202e", "\ufeff", "\ufffe", "\uffff"),
)


@pytest.mark.parametrize("text", [text for text in AMBIGUOUS if text.isascii() and text.isprintable()])
def test_ambiguous_text_is_quoted(text: str) -> None:
    assert scalar(text) == json.dumps(text)


@pytest.mark.parametrize(
    "text",
    [
        *("cilium", "kube-system", "rfc4106-gcm-aes", "/etc/ipsec", "./cilium", "https://helm.cilium.io", "oci://a/b"),
        *("5m", "0s", "90s", "10h", "v1", "helm.toolkit.fluxcd.io/v2", "Prune=false,Delete=false", "two words", "x="),
        *("rfc4106(gcm(aes))", "hmac(sha256) cbc(aes)", "a*b", "a%", "user@host"),
    ],
)
def test_text_that_no_reader_mistakes_stays_plain(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-5, "-5"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e30, "1.0e+30"),
        (-1.5e-7, "-1.5e-07"),
        (1e-7, "1.0e-07"),
        ("\x00", '"\\u0000"'),
        ("\x7f\x85\xad\u2028\ufeff\uffff", '"\\u007f\\u0085\\u00ad\\u2028\\ufeff\\uffff"'),
        ("é😀", '"é😀"'),
        ("a\nb", '"a\\nb"'),
    ],
)
def test_scalar_is_one_line_that_keeps_its_type(value: Scalar, text: str) -> None:
    assert scalar(value) == text


def test_layout_is_the_one_of_keyturn() -> None:
    data: Plain = {
        "a": {"b": [], "c": {}, "d": {"e": None}},
        "l": [1, [2, [3]], {"x": 1, "y": {"z": [4]}}, [], {}, [{"k": "v"}]],
        "on": "yes",
        "": "",
    }

    text = emit(data)

    assert text == (
        "a:\n  b: []\n  c: {}\n  d:\n    e: null\n"
        'l:\n  - 1\n  - - 2\n    - - 3\n  - x: 1\n    "y":\n      z:\n        - 4\n  - []\n  - {}\n  - - k: v\n'
        '"on": "yes"\n"": ""\n'
    )


@pytest.mark.parametrize(("data", "text"), [({}, "{}\n"), ([], "[]\n"), (None, "null\n"), ("a", "a\n"), ("", '""\n')])
def test_smallest_document_is_one_line(data: Plain, text: str) -> None:
    assert emit(data) == text


def ours(text: str) -> Plain:
    node, found = read(text.encode(), "emitted.yaml")
    assert found == []
    assert node is not None
    return plain(node)


def yaml_1_2(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


TEXTS = st.one_of(
    st.sampled_from(AMBIGUOUS),
    st.text(max_size=20),
    st.text(st.sampled_from("aeyn01_.-+:,#?*&!|>%@`'\"[]{}<=~ \n\t\\$x/"), max_size=8),
)
KEYS = TEXTS.filter(lambda key: key != "<<")  # the reader refuses it, quoted too


def data_with(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Plain]:
    return st.recursive(
        st.one_of(st.none(), st.booleans(), INT64, floats, TEXTS),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
        max_leaves=15,
    )


DATA = data_with(FLOATS)


@given(DATA)
@settings(deadline=2000)
def test_data_reads_back_with_our_own_reader(data: Plain) -> None:
    assert repr(ours(emit(data))) == repr(data)


@given(DATA)
@settings(deadline=2000)
def test_data_reads_back_with_a_reader_of_yaml_1_1(data: Plain) -> None:
    assert repr(yaml.safe_load(emit(data))) == repr(data)


@given(DATA)
@settings(deadline=2000)
def test_data_reads_back_with_a_reader_of_yaml_1_2(data: Plain) -> None:
    assert repr(yaml_1_2(emit(data))) == repr(data)


@given(DATA)
@settings(deadline=2000)
def test_what_is_emitted_is_lines_without_blanks_at_their_ends(data: Plain) -> None:
    text = emit(data)

    assert text.endswith("\n")
    assert [line for line in text.split("\n")[:-1] if line != line.rstrip() or not line] == []


@pytest.mark.parametrize("character", ['"', "\\", "\x00", "\x85", "é", "😀", "a"])
def test_longest_key_that_is_read_can_be_read_back(character: str) -> None:
    data: Plain = {character * MAX_KEY: 1}

    assert ours(emit(data)) == data


LONG_KEYS: Plain = {
    '"' * MAX_KEY: {"\x00" * MAX_KEY: [{"\\" * MAX_KEY: {}, "a": 1}, {"b": {"\x85" * MAX_KEY: ["c", {"d": None}]}}]},
    "a" * MAX_KEY: {"é" * MAX_KEY: "f"},
}


def test_long_keys_read_back_at_every_depth() -> None:
    text = emit(LONG_KEYS)

    assert [ours(text), yaml.safe_load(text), yaml_1_2(text)] == [LONG_KEYS] * 3


def test_go_reads_back_long_keys() -> None:
    read_back = helm_reads(wrapped(LONG_KEYS))

    assert isinstance(read_back, dict)
    assert read_back["spec"] == LONG_KEYS


ALPHABET = "yn~-+.:0x1e_<=*&!|>%@`'\"#,[]{}? \t\n\\"
SHORT = ["".join(letters) for size in range(4) for letters in itertools.product(ALPHABET, repeat=size)]


def test_each_short_text_reads_back_with_our_own_reader() -> None:
    assert ours(emit({"all": list(SHORT)})) == {"all": SHORT}


def test_each_short_text_reads_back_with_libyaml() -> None:
    assert yaml.load(emit({"all": list(SHORT)}), yaml.CSafeLoader) == {"all": SHORT}


def test_each_short_key_reads_back_with_libyaml() -> None:
    assert yaml.load(emit(dict.fromkeys(SHORT)), yaml.CSafeLoader) == dict.fromkeys(SHORT)


def wrapped(spec: Plain) -> str:
    """An object that kubectl reads without knowing its kind."""
    return emit({"apiVersion": "example.com/v1", "kind": "Anything", "metadata": {"name": "any"}, "spec": spec})


def helm_reads(text: str) -> object:
    """Read an object with the YAML library that Helm and the API server use; kubectl answers with JSON."""
    command = [program("kubectl"), "annotate", "--local", "-f", "-", "read=back", "-o", "json"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read_back: dict[str, object] = json.loads(done.stdout)
    return read_back


def kustomize_reads(text: str, folder: Path) -> str:
    (folder / "any.yaml").write_text(text, "utf-8")
    (folder / "kustomization.yaml").write_text("resources: [any.yaml]\n", "utf-8")
    command = [program("kubectl"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


BLANKS = str.maketrans("\t\r\n", "   ")  # kustomize itself writes no other control character
NESTED: dict[str, Plain] = {
    "words": list(AMBIGUOUS),
    "keys": dict.fromkeys([text for text in AMBIGUOUS if text != "<<"], "value"),
    "numbers": [0, -1, 2**53, 2**63 - 1, -(2**63), 0.5, 1e30, -1.5e-7, 1e-7, 123456.789],
    "others": [None, True, False, [], {}, [[1], {"a": [{}]}]],
}


def test_go_reads_back_what_is_emitted() -> None:
    read_back = helm_reads(wrapped(NESTED))

    assert read_back == {
        "apiVersion": "example.com/v1",
        "kind": "Anything",
        "metadata": {"name": "any", "annotations": {"read": "back"}},
        "spec": NESTED,
    }


def test_go_reads_back_each_short_text() -> None:
    read_back = helm_reads(wrapped(list(SHORT)))

    assert isinstance(read_back, dict)
    assert read_back["spec"] == SHORT


def test_kustomize_reads_back_what_is_emitted(tmp_path: Path) -> None:
    writable = [text for text in AMBIGUOUS if text.translate(BLANKS).isprintable() and text != "<<"]
    spec: Plain = {**NESTED, "words": list(writable), "keys": dict.fromkeys(writable, "value")}

    built = kustomize_reads(wrapped(spec), tmp_path)

    read_back = helm_reads(built)
    assert isinstance(read_back, dict)
    assert read_back["spec"] == spec


def test_kustomize_reads_back_documents_that_a_config_map_holds(tmp_path: Path) -> None:
    documents = {f"document-{number}": emit({"key": text, "list": [text]}) for number, text in enumerate(AMBIGUOUS)}
    annotations: dict[str, Plain] = {f"keyturn/{name}": text for name, text in documents.items()}
    metadata: dict[str, Plain] = {"name": "documents", "annotations": annotations}
    held: dict[str, Plain] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {**documents}}

    built = yaml.safe_load(kustomize_reads(emit(held), tmp_path))

    assert built == held
    assert [yaml.safe_load(text) for text in built["data"].values()] == [
        {"key": text, "list": [text]} for text in AMBIGUOUS
    ]


# Without shrinking, which would start kubectl a thousand times.  Go prints a float above 2**53 as an integer.
@given(st.lists(data_with(st.floats(-(2**53), 2**53)), min_size=20, max_size=40))
@settings(max_examples=10, deadline=None, phases=[Phase.generate])
def test_go_reads_back_any_data(data: list[Plain]) -> None:
    read_back = helm_reads(wrapped(data))

    assert isinstance(read_back, dict)
    assert read_back["spec"] == data


def test_text_of_one_reader_is_text_of_every_reader() -> None:
    text = emit({"all": list(AMBIGUOUS)})

    seen = [ours(text), yaml.safe_load(text), yaml_1_2(text), yaml.load(io.StringIO(text), yaml.CSafeLoader)]

    assert seen == [{"all": list(AMBIGUOUS)}] * 4
