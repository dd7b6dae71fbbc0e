"""The reader: values with their places, every refusal, and an end in good time whatever the bytes are."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import findings
from generator.findings import Finding
from generator.nodes import Node, Plain, plain
from generator.yamlio import MAX_BYTES, MAX_DEPTH, MAX_KEY, MAX_NODES, read

SOURCE = "environments/lab.yaml"
MIB = 1 << 20


def error(line: int, column: int, rule: str, message: str, hint: str) -> Finding:
    return Finding(SOURCE, line, column, rule, "error", message, hint)


def whole(text: str) -> Node:
    """Read a text that has nothing wrong in it."""
    node, found = read(text.encode(), SOURCE)
    assert found == []
    assert node is not None
    return node


def refused(data: str | bytes) -> list[Finding]:
    """Read what cannot be read on."""
    node, found = read(data.encode() if isinstance(data, str) else data, SOURCE)
    assert node is None
    return found


def reported(text: str) -> tuple[Plain, list[Finding]]:
    """Read what has something wrong in it and still gives a value."""
    node, found = read(text.encode(), SOURCE)
    assert node is not None
    return plain(node), found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, y]\nc: {d: null}\n", {"a": 1, "b": ["x", "y"], "c": {"d": None}}),
        ("'a': '1'\n\"b\": \"\\u00e9\"\n", {"a": "1", "b": "é"}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\n", {"a": "x\ny\n", "b": "x y\n"}),
        ("a: x\r\nb: y\r\n", {"a": "x", "b": "y"}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("- - 1\n  - 2\n- {}\n- []\n", [[1, 2], {}, []]),
        ("{a, b: , c: 1}", {"a": None, "b": None, "c": 1}),
        ("? a\n", {"a": None}),
        ("just text", "just text"),
        ("'2': x\n'null': y\n", {"2": "x", "null": "y"}),
    ],
)
def test_document_is_read_as_yaml_1_2(text: str, value: Plain) -> None:
    assert plain(whole(text)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: {b: https://helm.cilium.io, c: d}\n", {"a": {"b": "https://helm.cilium.io", "c": "d"}}),
        ("a: [https://a:1/b, fd00::1]\n", {"a": ["https://a:1/b", "fd00::1"]}),
        ("a: https://a:1/b\n", {"a": "https://a:1/b"}),
        ("{a: b?c}", {"a": "b?c"}),
    ],
)
def test_colon_inside_a_word_is_part_of_it(text: str, value: Plain) -> None:
    assert plain(whole(text)) == value


SLOW = "zz: [p:q]\n"  # what libyaml 0.1.7 does not read, so that a second parser has to


@pytest.mark.parametrize(
    "text",
    [
        "a: 'é'\nb:\n  c:   0x1F # c\nd:\n- e\n- f: |\n    g\n",
        "a: &x {b: 1}\nc: *x\n",
        "%YAML 1.2\n---\na: yes\nb: 010\nc: 1_000\nd: ~\ne: '~'\n",
        "a: 1\n'a': 2\n",
        "a: !t 1\nb: !!str {}\n!k c: ! 1\n",
        "a: &x {b: 1}\nc:\n  <<: *x\n",
        "1: a\ntrue: b\n~: c\n",
        "a: 1e999\nb: .inf\n",
        "a: &x [*x]\n",
        "%YAML 1.1\n---\na: 1\n",
        "? [a]\n: b\n",
        f"a: {'[' * 64}\n",
        "--- {}\n--- {}\n",
    ],
)
def test_colon_inside_a_word_changes_nothing_around_it(text: str) -> None:
    quick, slow = read(text.encode(), SOURCE), read((text + SLOW).encode(), SOURCE)

    assert slow[1] == quick[1]
    assert everything(slow[0]) == everything(quick[0])


def everything(node: Node | None) -> list[tuple[str, tuple[str, int, int, int, int, str]]]:
    """Every path, but the one of SLOW, with its place and text."""
    found: list[tuple[str, tuple[str, int, int, int, int, str]]] = []
    pending = [("", node)] if node else []
    while pending:
        path, inner = pending.pop()
        found.append((path, places(inner)))
        if isinstance(inner.value, dict):
            pending += [(f"{path}.{key}", value) for key, value in inner.value.items() if key != "zz"]
        elif isinstance(inner.value, list):
            pending += [(f"{path}[{number}]", value) for number, value in enumerate(inner.value)]
    return sorted(found)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: {b: https://c}\nd: [1\n", 3), ("a: {b: https://c}\nd: 'e\n", 3), ("a: {b: https://c}\nd: e: f\n", 2)],
)
def test_what_is_wrong_below_a_colon_inside_a_word_is_told_at_its_own_line(text: str, line: int) -> None:
    assert [(finding.line, finding.rule) for finding in refused(text)] == [(line, "yaml-syntax")]


@pytest.mark.parametrize(
    "text",
    [
        *('"\\U00110000"', '"\\UFFFFFFFF"', '"\\uD800"', '"\\uD83D\\uDE00"', '"\\xZZ"', "!%FF x", "!<%FF> x"),
        *("!%E2%28 x", "|\n x", "&", "*", "%", "`", "@", "'", '"\\'),
    ],
)
@pytest.mark.parametrize("before", ["[a, ", "[a:b, "])
def test_what_stands_for_no_character_is_refused(before: str, text: str) -> None:
    assert sound(*read(f"{before}{text}]".encode(), SOURCE))
    assert len(refused(f"{before}{text}]")) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.3", "2.0", "1", "1.2.3", f"1.{'9' * 5000}", f"{'9' * 5000}.1"])
@pytest.mark.parametrize("text", ["[a]", "[a:b]"])
def test_directive_of_another_yaml_is_refused_at_its_place(version: str, text: str) -> None:
    assert [(finding.line, finding.rule[:4]) for finding in refused(f"# c\n%YAML {version}\n--- {text}\n")] == [
        (2, "yaml")
    ]


@pytest.mark.parametrize("text", ["", "\n", "# a comment\n", "---\n", "--- # nothing\n...\n", "null", "\ufeff"])
def test_empty_document_is_null(text: str) -> None:
    assert whole(text).value is None


def test_empty_file_is_null_at_its_start() -> None:
    node = whole("")

    assert (node.source, node.line, node.column) == (SOURCE, 1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x {b: [1]}\nc: *x\n", {"a": {"b": [1]}, "c": {"b": [1]}}),
        ("a: &x y\n*x : z\n", {"a": "y", "y": "z"}),
        ("&x a: 1\nb: *x\n", {"a": 1, "b": "a"}),
        ("a: &x 1\nb: &x 2\nc: *x\n", {"a": 1, "b": 2, "c": 2}),
        ("a: &x\nb: *x\n", {"a": None, "b": None}),
        ("- &x 1\n- *x\n", [1, 1]),
        ("a: &x {b: &y 1}\nc: *y\nd: *x\n", {"a": {"b": 1}, "c": 1, "d": {"b": 1}}),
    ],
)
def test_alias_stands_for_its_anchor(text: str, value: Plain) -> None:
    assert plain(whole(text)) == value


def places(node: Node) -> tuple[str, int, int, int, int, str]:
    return node.source, node.line, node.column, node.key_line, node.key_column, node.text


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("a: 1\n", "a", (1, 4, 1, 1, "1")),
        ("a: 1\nb:\n  c:   1.10\n", "b.c", (3, 8, 3, 3, "1.10")),
        ("a: 1\nb:\n  c:   1.10\n", "b", (3, 3, 2, 1, "")),
        ("{a: {b: 'x'}}", "a.b", (1, 9, 1, 6, "x")),
        ("{a: '😀é', b: c}", "b", (1, 14, 1, 11, "c")),
        ("é: x\n", "é", (1, 4, 1, 1, "x")),
        ("a: # nothing\n", "a", (1, 3, 1, 1, "")),
        ("a: &x\n  b: 1\nc: *x\n", "c", (3, 4, 3, 1, "")),
        ("a: &x\n  b: 1\nc: *x\n", "c.b", (2, 6, 2, 3, "1")),
        ("a: &x 0x1F\nb: *x\n", "b", (2, 4, 2, 1, "0x1F")),
        ("a: &x 0x1F\nb: *x\n", "a", (1, 4, 1, 1, "0x1F")),
        ("? a\n: |\n  x\n", "a", (2, 3, 1, 3, "x\n")),
        ("\ufeffa: b\r\nc: d\r\n", "c", (2, 4, 2, 1, "d")),
    ],
)
def test_value_knows_its_place_and_its_key(text: str, path: str, place: tuple[int, int, int, int, str]) -> None:
    found = whole(text).get(path)

    assert found is not None
    assert places(found) == (SOURCE, *place)


def test_item_of_a_list_has_no_key() -> None:
    items = whole("- a\n-   b\n").value

    assert isinstance(items, list)
    assert [places(item) for item in items] == [(SOURCE, 1, 3, 0, 0, "a"), (SOURCE, 2, 5, 0, 0, "b")]


@pytest.mark.parametrize("path", ["b", "a.b", "a.b.c", "l.a", "n.a", ""])
def test_path_that_leads_nowhere_is_none(path: str) -> None:
    assert whole("a: 1\nl: [a]\nn: null\n").get(path) is None


def test_finding_stands_at_the_value_or_at_the_key() -> None:
    node = whole("a:\n  - b\n").get("a")
    assert node is not None

    found = [node.finding("r", "m"), node.finding("r", "m", "h", key=True)]

    assert found == [error(2, 3, "r", "m", ""), error(1, 1, "r", "m", "h")]


def test_finding_at_the_key_of_what_has_none_stands_at_the_value() -> None:
    assert whole("\n a: 1").finding("r", "m", key=True) == error(2, 2, "r", "m", "")


REFUSED: dict[str, tuple[str | bytes, Finding]] = {
    "alias of itself in a list": (
        "a: &x [*x]\n",
        error(1, 8, "alias", "alias *x refers to itself", "write it out"),
    ),
    "alias of itself in a mapping": (
        "a: &x\n  b:\n    c: *x\n",
        error(3, 8, "alias", "alias *x refers to itself", "write it out"),
    ),
    "two documents": (
        "---\na: 1\n---\nb: 2\n",
        error(3, 1, "documents", "more than one document", "one file, one document"),
    ),
    "second document that is empty": (
        "a: 1\n---\n",
        error(2, 1, "documents", "more than one document", "one file, one document"),
    ),
    "YAML 1.1": (
        "%YAML 1.1\n---\na: yes\n",
        error(1, 1, "yaml-version", "a %YAML directive other than 1.2", "take it out"),
    ),
    "list as a key": ("? [a]\n: b\n", error(1, 3, "key-type", "a key is a mapping or list", "a key must be text")),
    "mapping as a key": ("{{a: b}: c}", error(1, 2, "key-type", "a key is a mapping or list", "a key must be text")),
    "NUL": (
        "a: 1\nb: x\0\n",
        error(2, 5, "control-character", "the file holds the control character NUL", "take it out"),
    ),
    "control character": (
        "é: \x1b[31m\n",
        error(1, 4, "control-character", "the file holds the control character U+001B", "take it out"),
    ),
    "C1 control character": (
        "a: \x9f\n",
        error(1, 4, "control-character", "the file holds the control character U+009F", "take it out"),
    ),
    "not a character": (
        "a: \uffff\n",
        error(1, 4, "control-character", "the file holds the control character U+FFFF", "take it out"),
    ),
    "Latin-1": (b"a: 1\nb: \xe9\n", error(2, 4, "not-utf8", "the file is not UTF-8", "save it as UTF-8")),
    "UTF-16": ("a: 1".encode("utf-16"), error(1, 1, "not-utf8", "the file is not UTF-8", "save it as UTF-8")),
    "half a character": (b"a: \xe2\x82", error(1, 4, "not-utf8", "the file is not UTF-8", "save it as UTF-8")),
    "surrogate": (b"a: \xed\xa0\x80", error(1, 4, "not-utf8", "the file is not UTF-8", "save it as UTF-8")),
    "open list": (
        "a: [\n",
        error(
            2,
            1,
            "yaml-syntax",
            "not YAML: while parsing a flow node, did not find expected node content",
            "see the line before too",
        ),
    ),
    "no context": (
        "a: 1\n...\nb: 2\n",
        error(3, 1, "yaml-syntax", "not YAML: did not find expected <document start>", "see the line before too"),
    ),
    "tab for a blank": (
        "a:\n\tb: 1\n",
        error(
            2,
            1,
            "yaml-syntax",
            "not YAML: while scanning for the next token, found character that cannot start any token",
            "see the line before too",
        ),
    ),
    "deep": ("[" * 100_000, error(1, 65, "depth", "more than 64 levels", "flatten it")),
    "large": (
        "#" * (MIB + 1),
        error(0, 0, "file-size", "the file is larger than 1 MiB", "split it into groups"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_reading_stops_at_what_is_refused(name: str) -> None:
    data, finding = REFUSED[name]

    assert refused(data) == [finding]


REPORTED: dict[str, tuple[str, Plain, list[Finding]]] = {
    "duplicate key": (
        "a: 1\nb: 2\n'a': 3\n",
        {"a": 1, "b": 2},
        [error(3, 1, "duplicate-key", "duplicate key 'a'", "it stands on line 1 already; keep one")],
    ),
    "duplicate key by alias": (
        "a: &x b\nb: 1\n*x : 2\n",
        {"a": "b", "b": 1},
        [error(3, 1, "duplicate-key", "duplicate key 'b'", "it stands on line 2 already; keep one")],
    ),
    "duplicate key of more than one line": (
        '"a\\nb": 1\n"a\\nb": 2\n',
        {"a\nb": 1},
        [error(2, 1, "duplicate-key", r"duplicate key 'a\nb'", "it stands on line 1 already; keep one")],
    ),
    "tag on text": (
        "a: !!str 1\n",
        {"a": 1},
        [error(1, 4, "yaml-tag", "YAML tags are not read", "take it out; quotes make a value text")],
    ),
    "tag on a quoted text": (
        "a: !secret '1'\n",
        {"a": "1"},
        [error(1, 4, "yaml-tag", "YAML tags are not read", "take it out; quotes make a value text")],
    ),
    "tag on a mapping, a list and a key": (
        "a: !m {}\nb: !l []\n!k c: 1\n",
        {"a": {}, "b": [], "c": 1},
        [
            error(1, 4, "yaml-tag", "YAML tags are not read", "take it out; quotes make a value text"),
            error(2, 4, "yaml-tag", "YAML tags are not read", "take it out; quotes make a value text"),
            error(3, 1, "yaml-tag", "YAML tags are not read", "take it out; quotes make a value text"),
        ],
    ),
    "tag without a name": (
        "a: ! 12\n",
        {"a": 12},
        [error(1, 4, "yaml-tag", "YAML tags are not read", "take it out; quotes make a value text")],
    ),
    "merge key": (
        "a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n",
        {"a": {"b": 1}, "c": {"d": 2}},
        [error(3, 3, "merge-key", "merge keys are not read", "use extends, or write it out")],
    ),
    "keys that are no text": (
        "1: a\ntrue: b\n~: c\n1.5: d\n?\n: e\n",
        {},
        [
            error(1, 1, "key-type", "the key 1 is not text", "quote it"),
            error(2, 1, "key-type", "the key true is not text", "quote it"),
            error(3, 1, "key-type", "the key ~ is not text", "quote it"),
            error(4, 1, "key-type", "the key 1.5 is not text", "quote it"),
            error(5, 2, "key-type", "the key null is not text", "quote it"),
        ],
    ),
    "long key": (
        f"{'a' * (MAX_KEY + 1)}: 1\n",
        {},
        [error(1, 1, "key-type", "a key has more than 512 characters", "shorten it")],
    ),
    "numbers that JSON cannot carry": (
        "a: 9223372036854775808\nb: 1e999\nc: [-.inf, .NaN]\n",
        {"a": None, "b": None, "c": [None, None]},
        [
            error(1, 4, "number", "the number does not fit into 64 bits", "quote it if it is text"),
            error(2, 4, "number", "the number is too large", "quote it if it is text"),
            error(3, 5, "number", "infinity and not-a-number have no place in Helm values", "quote it if it is text"),
            error(3, 12, "number", "infinity and not-a-number have no place in Helm values", "quote it if it is text"),
        ],
    ),
}


@pytest.mark.parametrize("name", REPORTED)
def test_value_comes_back_beside_what_is_wrong_with_it(name: str) -> None:
    text, value, found = REPORTED[name]

    assert reported(text) == (value, found)


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\nb: *x\n", 2), ("a: *x\nb: &x 1\n", 1)], ids=["nowhere", "only later"]
)
def test_alias_without_an_anchor_before_it_is_refused_with_a_way_out(text: str, line: int) -> None:
    (found,) = refused(text)

    assert replace(found, hint="") == error(line, 4, "alias", "alias *x has no anchor before it", "")
    assert found.hint


def test_alias_of_a_list_as_a_key_is_refused_as_a_list() -> None:
    _, found = read(b"a: &x [1]\n? *x\n: b\n", SOURCE)

    assert found == [error(2, 3, "key-type", "a key is a mapping or list", "a key must be text")]


@pytest.mark.parametrize("data", [b"\xc3\xa9\xff", b"a: 1\n\xc3\xa9\xff", b"\xef\xbb\xbfe\xff"])
def test_column_of_a_byte_that_is_not_utf8_counts_characters(data: bytes) -> None:
    assert [finding.column for finding in refused(data)] == [2]


@pytest.mark.parametrize(
    ("text", "end", "width"),
    [("[" * 64, "]" * 64, 1), ("{a: " * 64, "}" * 64, 4), ("- " * 64, "", 2), ("[{a: " * 32, "}]" * 32, 2.5)],
    ids=["lists", "mappings", "block lists", "by turns"],
)
def test_levels_are_64_and_not_65(text: str, end: str, width: float) -> None:
    deepest, deeper = read(f"{text}x{end}".encode(), SOURCE), refused(f"{text}[x]{end}")

    assert deepest[1] == []
    assert deeper == [error(1, int(width * MAX_DEPTH) + 1, "depth", "more than 64 levels", "flatten it")]


@pytest.mark.parametrize(("levels", "fits"), [(32, True), (33, False)])
def test_levels_count_through_aliases(levels: int, *, fits: bool) -> None:
    text = f"- &x {'[' * 32}{']' * 32}\n- {'[' * (levels - 1)}*x{']' * (levels - 1)}\n"

    node, found = read(text.encode(), SOURCE)

    assert (node is not None) == fits
    assert found == ([] if fits else [error(2, 35, "depth", "more than 64 levels", "flatten it")])


@pytest.mark.parametrize(("levels", "fits"), [(21, True), (22, False)])
def test_levels_count_through_aliases_of_aliases(levels: int, *, fits: bool) -> None:
    around = levels - 1
    text = f"- &x {'[' * 22}{']' * 22}\n- &y {'[' * 21}*x{']' * 21}\n- {'[' * around}*y{']' * around}\n"

    node, found = read(text.encode(), SOURCE)

    assert (node is not None) == fits
    assert found == ([] if fits else [error(3, 24, "depth", "more than 64 levels", "flatten it")])


NODES_HINT = "aliases count as often as they are used"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("- x\n" * (MAX_NODES - 1), None),
        ("- x\n" * MAX_NODES, (MAX_NODES, 3)),
        ("".join(f"k{number}: \n" for number in range(MAX_NODES // 2 - 1)) + "l: []\n", (MAX_NODES // 2, 4)),
        ("- &x [" + "x," * 368 + "]\n" + "- *x\n" * 270, None),
        ("- &x [" + "x," * 368 + "]\n" + "- *x\n" * 270 + "- x\n", (272, 3)),
        ("- &x [" + "x," * 368 + "]\n" + "- *x\n" * 271, (272, 3)),
        ("- &x [" + "x," * 367 + "&y x]\n" + "- *x\n" * 270 + "- *y\n", (272, 3)),
    ],
    ids=["all", "a scalar more", "a list more", "all by alias", "a scalar after", "an alias more", "a scalar's alias"],
)
def test_nodes_are_100_000_and_not_one_more(text: str, place: tuple[int, int] | None) -> None:
    node, found = read(text.encode(), SOURCE)

    assert (node is None) == (place is not None)
    assert found == ([error(*place, "nodes", "more than 100,000 nodes", NODES_HINT)] if place else [])


def test_billion_laughs_are_refused_where_they_grow_too_many() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]

    found = refused("\n".join(lines))

    assert found == [error(6, 10, "nodes", "more than 100,000 nodes", NODES_HINT)]


@pytest.mark.parametrize(("size", "fits"), [(MAX_BYTES, True), (MAX_BYTES + 1, False)])
def test_size_is_counted_in_bytes_up_to_1_mib(size: int, *, fits: bool) -> None:
    data = "#é".encode()
    data += b"#" * (size - len(data))

    node, found = read(data, SOURCE)

    assert (node is not None, len(found)) == ((True, 0) if fits else (False, 1))


@pytest.mark.parametrize("length", [1, MAX_KEY])
def test_key_of_up_to_512_characters_is_read(length: int) -> None:
    assert plain(whole(f"{'a' * length}: 1")) == {"a" * length: 1}


def test_every_character_is_read_as_it_is_or_refused_at_its_place() -> None:
    specials = [0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F600, 0x1FFFE, 0x10FFFF]
    breaks = "\r\n\x85\u2028\u2029"  # folded inside quotes

    odd = []
    for code in [*range(0x3000), *specials]:
        if chr(code) in breaks + "'":
            continue
        node, found = read(f"a: 'x{chr(code)}'".encode(), SOURCE)
        if node is None:
            assert [(finding.line, finding.column, finding.rule) for finding in found] == [(1, 6, "control-character")]
            odd.append(code)
        else:
            assert plain(node) == {"a": f"x{chr(code)}"}

    controls = [*range(9), 11, 12, *range(14, 32), 127, *range(128, 133), *range(134, 160)]
    assert odd == [*controls, 0xFFFE, 0xFFFF]


BOMB = "a: &a [" + "x," * 99 + "]\nb: &b [" + "*a," * 9 + "]\n"
NASTY = {
    "100 kB of lists": "[" * 100_000,
    "lists": "[" * MIB,
    "mappings": "{" * MIB,
    "mappings with keys": "{a: " * (MIB // 4),
    "blocks": "- " * (MIB // 2),
    "complex keys": "? " * (MIB // 2),
    "colons": "a: " * (MIB // 3),
    "anchors": "&a " * (MIB // 3),
    "one long anchor": "- &" + "a" * (MIB - 3),
    "anchors on items": "- &a x\n" * (MIB // 7),
    "bombs": BOMB + "c: [" + "*b," * ((MIB - 2000) // 3) + "]",
    "single quotes": "'" * MIB,
    "one long escape": '"' + "\\n" * (MIB // 2 - 1) + '"',
    "an escape for each character": '"' + "\\U0001f600" * (MIB // 10 - 1) + '"',
    "tags": "!" * MIB,
    "tagged items": "[" + "!x ," * (MIB // 4 - 1) + "]",
    "directives": "%" * MIB,
    "documents": "---\n" * (MIB // 4),
    "comments": "#\n" * (MIB // 2),
    "blanks": " " * MIB,
    "tabs": "\t" * MIB,
    "newlines": "\n" * MIB,
    "a block of lines": "a: |\n" + " x\n" * (MIB // 3 - 2),
    "one word": "a" * MIB,
    "one integer": "a: " + "1" * (MIB - 3),
    "one float": "a: 0." + "1" * (MIB - 5),
    "one exponent": "a: 1e" + "9" * (MIB - 5),
    "wrong numbers": "[" + "1e999," * (MIB // 6 - 1) + "]",
    "duplicate keys": "a: b\n" * (MIB // 5),
    "keys that are no text": "1: 2\n" * (MIB // 5),
    "different keys": "".join(f"k{number}: v\n" for number in range(49_999)),
    "characters of four bytes": "😀" * (MIB // 4),
    "control characters": "\x07" * MIB,
    "lists after a colon": "[a:b," + "[" * 32_500,
    "items after a colon": "[a:b," + "x," * 16_300 + "]",
    "open items after a colon": "[a:b," + "x," * 16_300,
    "mappings after a colon": "{a:b: " * 60 + "x:y," * 16_000,
    "lines after a colon": "[a:b,'" + "x\n" * 16_300 + "']",
    "blocks after a colon": "[a:b]\n" + "- " * 16_300,
    "a colon in a large file": "a: [b:c]\n" + "#" * (MIB - 9),
    "colliding beginnings": "".join(f"{'a' * 500}{number}: v\n" for number in range(2000)),
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_input_ends_within_two_seconds(name: str) -> None:
    data = NASTY[name].encode()
    assert len(data) <= MAX_BYTES

    start = time.process_time()
    node, found = read(data, SOURCE)
    seconds = time.process_time() - start

    assert seconds < (2 if sys.gettrace() is None else 8)  # measuring coverage slows the second parser down
    assert node is not None or len(found) == 1


def sound(node: Node | None, found: list[Finding]) -> bool:
    """Whether an answer of the reader is one that the rest can live with."""
    return (
        (node is not None or len(found) == 1)
        and all(
            finding.path == SOURCE
            and finding.line > 0
            and finding.column > 0
            and finding.level == "error"
            and "\n" not in f"{finding.message}{finding.hint}"
            for finding in found
        )
        and (node is None or json.dumps(plain(node), ensure_ascii=False).encode() != b"")
    )


@given(st.text(max_size=3000))
@settings(max_examples=150, deadline=2000)
def test_any_text_is_answered(text: str) -> None:
    assert sound(*read(text.encode(), SOURCE))


@given(st.binary(max_size=3000))
@settings(max_examples=150, deadline=2000)
def test_any_bytes_are_answered(data: bytes) -> None:
    assert sound(*read(data, SOURCE))


PIECES = (
    *("- ", "? ", ": ", "a: ", "b: ", "a", "1", "'", '"', "|\n", ">-\n", "\n", "\n  ", " ", "#", "[", "]", "{", "}"),
    *(",", "&x ", "*x ", "*x", "&y ", "*y", "!t ", "! ", "<<: ", "---\n", "...\n", "%YAML 1.2\n", "%TAG ! a:\n", "~"),
    *("a:b", "[a:b]", "{a:b: c}", "\\U00110000", '"\\ud800"', "%YAML 1.3\n"),
    *("é", "\t", "\r", "\\", "\\x", "1e999", "0x", ".inf", "yes", "null", "\ufeff", "\x85", "\u2028", "😀", "%", "@"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=120).map("".join))
@settings(max_examples=400, deadline=2000)
def test_any_pile_of_yaml_is_answered(text: str) -> None:
    assert sound(*read(text.encode(), SOURCE))


@given(
    st.sampled_from(["- ", "? ", "a: ", "[", "{a: ", "&x [", "*x,", "'", '"\\', "!x ", "%Y\n"]), st.integers(1, 4000)
)
@settings(max_examples=100, deadline=2000)
def test_any_repetition_is_answered(piece: str, times: int) -> None:
    assert sound(*read((piece * times).encode(), SOURCE))


def test_findings_are_sorted_by_place_and_told_once() -> None:
    first = Finding("a.yaml", 1, 1, "r", "error", "m")
    second = Finding("a.yaml", 2, 1, "r", "error", "m")
    other = Finding("b.yaml", 1, 1, "r", "warning", "m", "h")

    assert findings.tidy([other, second, first, second]) == [first, second, other]


@pytest.mark.parametrize(("strict", "levels"), [(False, ["error"]), (True, ["error", "warning"])])
def test_warnings_count_as_errors_where_it_is_strict(levels: list[str], *, strict: bool) -> None:
    found = [Finding("a", 1, 1, "r", "error", "m"), Finding("a", 1, 1, "r", "warning", "m")]

    assert [finding.level for finding in findings.errors(found, strict=strict)] == levels


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (Finding("a.yaml", 2, 3, "r", "error", "m", "h"), "a.yaml:2:3: error: m; h [r]"),
        (Finding("a.yaml", 2, 3, "r", "warning", "m"), "a.yaml:2:3: warning: m [r]"),
        (Finding("a.yaml", 0, 0, "r", "error", "m"), "a.yaml: error: m [r]"),
        (Finding("a\nb\x1b[31m.yaml", 1, 1, "r", "error", "m"), r"a\x0ab\x1b[31m.yaml:1:1: error: m [r]"),
    ],
)
def test_finding_is_one_line(finding: Finding, line: str) -> None:
    assert str(finding) == line


def test_refused_tree_is_the_user_s_error_and_keeps_every_finding() -> None:
    found = [Finding("a", 1, 1, "r", "error", "m"), Finding("a", 2, 1, "r", "error", "m")]

    refusal = findings.InvalidError(found)

    assert (refusal.findings, refusal.exit_code, str(refusal)) == (found, 2, "2 findings")


def test_finding_in_json_has_all_its_members() -> None:
    found = Finding("a.yaml", 2, 3, "r", "error", "m", "h").as_json()

    assert found == {
        "path": "a.yaml",
        "line": 2,
        "column": 3,
        "rule": "r",
        "level": "error",
        "message": "m",
        "hint": "h",
    }
