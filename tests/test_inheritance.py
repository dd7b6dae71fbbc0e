"""Inheritance: how mappings merge, in which order groups apply, and what is refused on the way."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import inheritance, model
from generator.emit import emit
from generator.nodes import Node, Plain, plain
from generator.yamlio import read

if TYPE_CHECKING:
    from generator.findings import Finding


def node_of(text: str, source: str = "environments/lab.yaml") -> Node:
    node, found = read(text.encode(), source)
    assert found == []
    assert node is not None
    return node


def group(text: str, name: str) -> Node:
    return node_of(text, f"environments/groups/{name}.yaml")


def groups_of(**texts: str) -> dict[str, Node]:
    return {name: group(text, name) for name, text in texts.items()}


def told(findings: list[Finding]) -> list[str]:
    return [str(finding) for finding in findings]


def merged(below: Plain, above: Plain) -> Plain:
    return plain(inheritance.merge(node_of(emit(below)), node_of(emit(above))))


KEYS = st.sampled_from(["a", "b", "c", "d"])
LEAVES: st.SearchStrategy[Plain] = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.text("xyz", max_size=3), st.lists(st.integers(0, 9), max_size=3)
)
MAPPINGS: st.SearchStrategy[dict[str, Plain]] = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(LEAVES, inner), max_size=3),
    max_leaves=8,
)
# In these a key is a mapping everywhere or nowhere: only then does a chain of merges not depend on where it starts.
ALIKE: st.SearchStrategy[dict[str, Plain]] = st.recursive(
    st.dictionaries(st.sampled_from(["a", "b"]), LEAVES, max_size=2),
    lambda inner: st.builds(
        lambda below, leaves: {**below, **leaves},
        st.dictionaries(st.sampled_from(["m", "n"]), inner, max_size=2),
        st.dictionaries(st.sampled_from(["a", "b"]), LEAVES, max_size=2),
    ),
    max_leaves=8,
)


@given(MAPPINGS)
def test_empty_mapping_changes_nothing_from_either_side(data: dict[str, Plain]) -> None:
    assert (merged(data, {}), merged({}, data)) == (data, data)


@given(MAPPINGS)
def test_file_over_itself_is_itself(data: dict[str, Plain]) -> None:
    assert merged(data, data) == data


@given(MAPPINGS, MAPPINGS)
def test_what_stands_above_wins(below: dict[str, Plain], above: dict[str, Plain]) -> None:
    both = merged(below, above)

    assert merged(both, above) == both


@given(MAPPINGS, LEAVES)
def test_list_scalar_and_null_replace_a_mapping(below: dict[str, Plain], above: Plain) -> None:
    assert merged({"k": below, "l": 1}, {"k": above}) == {"k": above, "l": 1}


@given(MAPPINGS, LEAVES)
def test_mapping_replaces_a_list_a_scalar_and_null(above: dict[str, Plain], below: Plain) -> None:
    assert merged({"k": below, "l": 1}, {"k": above}) == {"k": above, "l": 1}


@given(st.lists(st.integers(-9, 9)), st.lists(st.integers(-9, 9)))
def test_list_replaces_a_list(below: list[Plain], above: list[Plain]) -> None:
    assert merged({"k": below}, {"k": above}) == {"k": above}


@given(ALIKE, ALIKE, ALIKE)
def test_merging_is_associative_over_mappings(
    first: dict[str, Plain], second: dict[str, Plain], third: dict[str, Plain]
) -> None:
    assert merged(merged(first, second), third) == merged(first, merged(second, third))


@given(MAPPINGS, MAPPINGS)
def test_merging_changes_neither_side(below: dict[str, Plain], above: dict[str, Plain]) -> None:
    lower, upper = node_of(emit(below)), node_of(emit(above))

    inheritance.merge(lower, upper)

    assert (plain(lower), plain(upper)) == (below, above)


def test_merged_value_keeps_the_place_where_it_was_written() -> None:
    below = group("a:\n  b: 1\n  c: 2\n", "eu")
    above = node_of("a:\n  d: 4\n  c: 3\n")

    both = inheritance.merge(below, above)

    places = {
        path: (node.source, node.line, node.column, node.key_line, node.text)
        for path in ("a", "a.b", "a.c", "a.d")
        if (node := both.get(path))
    }
    assert places == {
        "a": ("environments/lab.yaml", 2, 3, 1, ""),
        "a.b": ("environments/groups/eu.yaml", 2, 6, 2, "1"),
        "a.c": ("environments/lab.yaml", 3, 6, 3, "3"),
        "a.d": ("environments/lab.yaml", 2, 6, 2, "4"),
    }


def test_aliased_mapping_is_merged_at_each_of_its_places_on_its_own() -> None:
    below = group("a: &x {b: 1}\nc: *x\n", "eu")

    both = inheritance.merge(below, node_of("a: {b: 2}\n"))

    assert plain(both) == {"a": {"b": 2}, "c": {"b": 1}}


ORDERS: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "nothing": ("a: 1", {"a": ""}, []),
    "one": ("extends: [a]", {"a": "", "b": ""}, ["a"]),
    "later names last": ("extends: [b, a]", {"a": "", "b": ""}, ["b", "a"]),
    "a group of a group": ("extends: [a]", {"a": "extends: [b]", "b": "extends: [c]", "c": ""}, ["c", "b", "a"]),
    "diamond": ("extends: [b, c]", {"a": "", "b": "extends: [a]", "c": "extends: [a]"}, ["a", "b", "c"]),
    "diamond named at its top too": (
        "extends: [a, b, c]",
        {"a": "", "b": "extends: [a]", "c": "extends: [a]"},
        list("abc"),
    ),
    "an empty list": ("extends: []", {"a": ""}, []),
    "a group with nothing in it": ("extends: [a]", {"a": "{}"}, ["a"]),
}


@pytest.mark.parametrize("name", ORDERS)
def test_groups_apply_lowest_first_and_once(name: str) -> None:
    text, groups, names = ORDERS[name]

    assert inheritance.order(node_of(text), groups_of(**groups)) == (names, [])


WRONG: dict[str, tuple[str, dict[str, str], list[str], list[str]]] = {
    "cycle": (
        "extends: [a]",
        {"a": "extends: [b]", "b": "x: 1\nextends: [c]", "c": "extends: [a]"},
        ["c", "b", "a"],
        [
            (
                "environments/groups/c.yaml:1:11: error: groups extend each other: a -> b -> c -> a; break the cycle "
                "[extends-cycle]"
            )
        ],
    ),
    "group that extends itself": (
        "extends: [a]",
        {"a": "extends: [a]"},
        ["a"],
        ["environments/groups/a.yaml:1:11: error: groups extend each other: a -> a; break the cycle [extends-cycle]"],
    ),
    "cycle below a group outside of it": (
        "extends: [top]",
        {"top": "extends: [a]", "a": "extends: [b]", "b": "extends: [a]"},
        ["b", "a", "top"],
        [
            (
                "environments/groups/b.yaml:1:11: error: groups extend each other: a -> b -> a; break the cycle "
                "[extends-cycle]"
            )
        ],
    ),
    "typo": (
        "extends: [lba, eu]",
        {"lab": "", "eu": ""},
        ["eu"],
        ["environments/lab.yaml:1:11: error: no group 'lba'; did you mean lab? [unknown-group]"],
    ),
    "no such group": (
        "extends:\n  - prod\n",
        {"lab": ""},
        [],
        ["environments/lab.yaml:2:5: error: no group 'prod'; make environments/groups/prod.yaml [unknown-group]"],
    ),
    "typo in a group": (
        "extends: [lab]",
        {"lab": "extends: [eu-1, eu1]", "eu1": ""},
        ["eu1", "lab"],
        ["environments/groups/lab.yaml:1:11: error: no group 'eu-1'; did you mean eu1? [unknown-group]"],
    ),
    "base after what extends it": (
        "extends: [b, a]",
        {"a": "", "b": "extends: [a]"},
        ["a", "b"],
        ["environments/lab.yaml:1:14: error: a stands below b already; name a first, or not at all [extends-order]"],
    ),
    "two groups in either order": (
        "extends: [x, y]",
        {"a": "", "b": "", "x": "extends: [a, b]", "y": "extends: [b, a]"},
        ["a", "b", "x", "y"],
        [
            (
                "environments/groups/y.yaml:1:14: error: a stands below b already; name a first, or not at all "
                "[extends-order]"
            )
        ],
    ),
    "no list": (
        "extends: [lab]",
        {"lab": "extends: eu", "eu": ""},
        ["lab"],
        [
            (
                "environments/groups/lab.yaml:1:10: error: extends: expected a list of names, not 'eu'; write [eu] "
                "[wrong-type]"
            )
        ],
    ),
    "no names": (
        "extends: [lab]",
        {"lab": "extends: [3, Eu, eu, {a: b}]", "eu": ""},
        ["eu", "lab"],
        [
            (
                "environments/groups/lab.yaml:1:11: error: extends: expected a DNS label (a-z, 0-9 and -), "
                "not the number 3; quote it: '3' [wrong-type]"
            ),
            (
                "environments/groups/lab.yaml:1:14: error: extends: expected a DNS label (a-z, 0-9 and -), not 'Eu' "
                "[wrong-value]"
            ),
            (
                "environments/groups/lab.yaml:1:22: error: extends: expected a DNS label (a-z, 0-9 and -), "
                "not a mapping [wrong-type]"
            ),
        ],
    ),
    "a name twice": (
        "extends: [eu, eu]",
        {"eu": ""},
        ["eu"],
        ["environments/lab.yaml:1:15: error: extends: 'eu' stands twice; keep one [wrong-value]"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_group_is_told_at_its_place_and_the_others_apply(name: str) -> None:
    text, groups, names, lines = WRONG[name]

    order, findings = inheritance.order(node_of(text), groups_of(**groups))

    assert (order, told(findings)) == (names, lines)


def fits(order: list[str], lists: dict[str, list[str]]) -> bool:
    """Whether each group stands above those it extends, and in each list a later name above an earlier one."""
    at = {name: position for position, name in enumerate(order)}
    return all(
        all(at[lower] < at[upper] for lower, upper in itertools.pairwise(names))
        and all(at[base] < at[name] for base in names if name in at)
        for name, names in lists.items()
        if name in at or name == ""
    )


def reachable(lists: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    pending = list(lists[""])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += lists[name]
    return found


@st.composite
def hierarchies(draw: st.DrawFn) -> dict[str, list[str]]:
    """What the environment (its name is empty here) and each of some groups extend; any order, no cycle."""
    names = ["a", "b", "c", "d", "e"]
    lists = {
        name: draw(
            st.lists(st.sampled_from(names[position + 1 :]), unique=True, max_size=3) if name != "e" else st.just([])
        )
        for position, name in enumerate(names)
    }
    return {"": draw(st.lists(st.sampled_from(names), unique=True, max_size=3)), **lists}


def ordered(lists: dict[str, list[str]]) -> tuple[list[str], list[Finding]]:
    groups = {name: group(emit({"extends": list(names)}), name) for name, names in lists.items() if name}
    return inheritance.order(node_of(emit({"extends": list(lists[""])})), groups)


@given(hierarchies())
def test_order_without_a_finding_keeps_every_promise(lists: dict[str, list[str]]) -> None:
    order, findings = ordered(lists)

    assert set(order) == reachable(lists)
    assert findings or fits(order, lists)


@given(hierarchies())
def test_order_is_refused_exactly_where_there_is_none(lists: dict[str, list[str]]) -> None:
    possible = any(fits(list(order), lists) for order in itertools.permutations(reachable(lists)))

    _, findings = ordered(lists)

    assert [finding.rule for finding in findings] == ([] if possible else ["extends-order"])


def test_order_that_can_be_is_found() -> None:
    groups = groups_of(a="", b="", p="extends: [b]", q="extends: [a, b]")

    order, findings = inheritance.order(node_of("extends: [p, q]"), groups)

    assert told(findings) == []
    assert fits(order, {"": ["p", "q"], "p": ["b"], "q": ["a", "b"], "a": [], "b": []})


def test_environment_stands_over_its_groups_and_these_over_the_defaults() -> None:
    defaults = node_of("{a: 0, b: 0, c: 0, d: 0, m: {x: 0}}", "environments/defaults.yaml")
    groups = groups_of(low="{b: 1, c: 1, d: 1, m: {y: 1}}", high="{c: 2, d: 2, m: {z: 2}}")
    file = node_of("extends: [low, high]\nd: 3\nm: {w: 3}\n")

    whole = inheritance.resolve(file, defaults, groups, ["low", "high"])

    assert plain(whole) == {
        "a": 0,
        "b": 1,
        "c": 2,
        "d": 3,
        "m": {"x": 0, "y": 1, "z": 2, "w": 3},
        "extends": ["low", "high"],
    }


def test_what_a_group_extends_is_no_value_of_the_environment() -> None:
    groups = groups_of(low="a: 1", high="{extends: [low], b: 2}")

    whole = inheritance.resolve(node_of("c: 3"), None, groups, ["low", "high"])

    assert plain(whole) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("empty", ["", "null", "# nothing yet\n"])
def test_empty_layer_changes_nothing(empty: str) -> None:
    groups = {"none": group(empty, "none"), "some": group("a: 1", "some")}
    defaults = node_of(empty, "environments/defaults.yaml")

    whole = inheritance.resolve(node_of("b: 2"), defaults, groups, ["some", "none"])

    assert plain(whole) == {"a": 1, "b": 2}


def test_file_that_is_no_mapping_is_left_to_the_model() -> None:
    whole = inheritance.resolve(node_of("[a]"), node_of("a: 1", "environments/defaults.yaml"), {}, [])

    assert plain(whole) == ["a"]


def test_null_in_the_environment_takes_a_group_s_block_away() -> None:
    groups = groups_of(lab="kind: {workers: 2}\n")

    whole = inheritance.resolve(node_of("kind: null"), None, groups, ["lab"])

    assert plain(whole) == {"kind": None}


@pytest.mark.parametrize("text", ["", "{}", "extends: [lab]"])
def test_what_is_missing_is_told_at_the_environment_s_own_file(text: str) -> None:
    file = node_of(text)
    defaults = node_of("demo: {endor: true}", "environments/defaults.yaml")

    _, findings = model.parse(inheritance.resolve(file, defaults, groups_of(lab="protected: true"), ["lab"]), "lab")

    assert [(found.path, found.line, found.column, found.message) for found in sorted(findings)] == [
        ("environments/lab.yaml", 1, 1, "cilium is missing"),
        ("environments/lab.yaml", 1, 1, "encryption is missing"),
    ]
