"""Helm values: what each Cilium version takes under `encryption`, row by row, and against the charts themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema.validators import validator_for
from kit import charts

from generator import cilium, model
from generator.cilium import KEYS, Version
from generator.yamlio import read

if TYPE_CHECKING:
    from generator.model import Environment
    from generator.nodes import Plain


def environment(version: str, **blocks: str) -> Environment:
    """An environment named lab; each block is written as in its file."""
    members = {"cilium": f"{{version: {version}}}", "encryption": "{type: ipsec}", **blocks}
    node, found = read("".join(f"{key}: {value}\n" for key, value in members.items()).encode(), "environments/lab.yaml")
    assert found == []
    assert node is not None
    parsed, problems = model.parse(node, "lab")
    assert problems == []
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.16.0", Version(1, 16, 0)),
        ("1.15.19", Version(1, 15, 19)),
        ("1.16.0-rc.1", Version(1, 16, 0, final=False)),
        ("1.17.0-pre-2", Version(1, 17, 0, final=False)),
        ("10.200.3000", Version(10, 200, 3000)),
    ],
)
def test_version_is_read(text: str, version: Version) -> None:
    assert cilium.version(text) == version


def test_version_is_told_by_its_minor() -> None:
    assert str(cilium.version("1.16.3-rc.1")) == "1.16"


def test_versions_stand_in_their_order() -> None:
    texts = [
        "1.9.9",
        "1.15.0-rc.0",
        "1.15.0",
        "1.15.2",
        "1.15.7-rc.1",
        "1.15.7",
        "1.15.10",
        "1.16.0-pre.1",
        "1.16.0",
        "2.0.0",
    ]

    assert sorted(sorted(texts), key=cilium.version) == texts


NUMBERS = st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))


@given(NUMBERS, NUMBERS)
def test_version_compares_by_its_numbers(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    first, second = (cilium.version(".".join(map(str, numbers))) for numbers in (one, other))

    assert (first < second, first == second) == (one < other, one == other)


@given(NUMBERS)
def test_pre_release_comes_before_its_release(numbers: tuple[int, int, int]) -> None:
    text = ".".join(map(str, numbers))

    assert cilium.version(f"{text}-rc.1") < cilium.version(text)


# The table of what each minor takes, with 1.21 and 1.22 as their upgrade notes have it.
# y: works, d: deprecated, n: no effect, r: removed, -: not there, or not any more.
TABLE = """
minor                                         14 15 16 17 18 19 20 21 22
enabled                                        y  y  y  y  y  y  y  y  y
type                                           y  y  y  y  y  y  y  y  y
nodeEncryption                                 y  y  y  y  y  y  y  d  r
keyFile                                        d  d  r  -  -  -  -  -  -
mountPath                                      d  d  r  -  -  -  -  -  -
secretName                                     d  d  r  -  -  -  -  -  -
interface                                      d  d  r  -  -  -  -  -  -
ipsec.keyFile                                  y  y  y  y  y  y  y  y  y
ipsec.mountPath                                y  y  y  y  y  y  y  y  y
ipsec.secretName                               y  y  y  y  y  y  y  y  y
ipsec.keyWatcher                               y  y  y  y  y  y  y  y  y
ipsec.keyRotationDuration                      y  y  y  y  y  y  y  y  y
ipsec.interface                                y  y  y  y  y  y  n  n  n
ipsec.encryptedOverlay                         -  -  y  y  n  n  r  r  r
wireguard.userspaceFallback                    y  y  y  -  -  -  -  -  -
wireguard.persistentKeepalive                  -  y  y  y  y  y  y  y  y
strictMode.enabled                             -  y  y  y  y  d  r  r  r
strictMode.cidr                                -  y  y  y  y  d  r  r  r
strictMode.allowRemoteNodeIdentities           -  y  y  y  y  d  r  r  r
strictMode.egress.enabled                      -  -  -  -  -  y  y  y  y
strictMode.egress.cidr                         -  -  -  -  -  y  y  y  y
strictMode.egress.allowRemoteNodeIdentities    -  -  -  -  -  y  y  y  y
strictMode.ingress.enabled                     -  -  -  -  -  y  y  y  y
ztunnel                                        -  -  -  -  -  y  y  y  y
"""
MINORS, *ROWS = ([field for field in line.split(" ") if field] for line in TABLE.strip().splitlines())
STATUS = {
    "y": {"works"},
    "d": {"deprecated"},
    "n": {"no effect"},
    "r": {"removed"},
    "-": {"removed", "not yet there"},
}
CELLS = [(path, int(minor), cell) for path, *cells in ROWS for minor, cell in zip(MINORS[1:], cells, strict=True)]


def test_table_has_every_key_and_no_other() -> None:
    assert sorted(key.path for key in KEYS) == sorted(path for path, *_ in ROWS)
    assert list(cilium.BY_PATH) == [key.path for key in KEYS]


@pytest.mark.parametrize(("path", "minor", "cell"), CELLS)
def test_key_stands_in_each_minor_as_in_the_table(path: str, minor: int, cell: str) -> None:
    assert cilium.BY_PATH[path].status(minor) in STATUS[cell]


@pytest.mark.parametrize(
    "path", ["wireguard.persistentKeepalive", "strictMode.enabled", "ipsec.encryptedOverlay", "ztunnel"]
)
def test_key_of_a_later_minor_is_not_yet_there(path: str) -> None:
    assert cilium.BY_PATH[path].status(14) == "not yet there"


def test_deprecated_key_is_written_where_nothing_stands_in_its_place() -> None:
    written = {
        path: cilium.BY_PATH[path].written(minor) for path, minor in [("nodeEncryption", 21), ("strictMode.cidr", 19)]
    }

    assert written == {"nodeEncryption": True, "strictMode.cidr": False}


IPSEC: dict[str, Plain] = {
    "keyFile": "keys",
    "mountPath": "/etc/ipsec",
    "secretName": "cilium-ipsec-keys",
    "keyWatcher": True,
    "keyRotationDuration": "5m",
}
FLAT: dict[str, Plain] = {"enabled": False, "cidr": "", "allowRemoteNodeIdentities": False}
SPLIT: dict[str, Plain] = {"egress": FLAT, "ingress": {"enabled": False}}
KEEPALIVE: dict[str, Plain] = {"persistentKeepalive": "0s"}
FALLBACK: dict[str, Plain] = {"userspaceFallback": False, **KEEPALIVE}
BLOCKS: dict[int, dict[str, Plain]] = {
    15: {"nodeEncryption": False, "strictMode": FLAT, "ipsec": {**IPSEC, "interface": ""}, "wireguard": FALLBACK},
    16: {
        "nodeEncryption": False,
        "strictMode": FLAT,
        "ipsec": {**IPSEC, "interface": "", "encryptedOverlay": False},
        "wireguard": FALLBACK,
    },
    17: {
        "nodeEncryption": False,
        "strictMode": FLAT,
        "ipsec": {**IPSEC, "interface": "", "encryptedOverlay": False},
        "wireguard": KEEPALIVE,
    },
    18: {"nodeEncryption": False, "strictMode": FLAT, "ipsec": {**IPSEC, "interface": ""}, "wireguard": KEEPALIVE},
    19: {"nodeEncryption": False, "strictMode": SPLIT, "ipsec": {**IPSEC, "interface": ""}, "wireguard": KEEPALIVE},
    20: {"nodeEncryption": False, "strictMode": SPLIT, "ipsec": IPSEC, "wireguard": KEEPALIVE},
    21: {"nodeEncryption": False, "strictMode": SPLIT, "ipsec": IPSEC, "wireguard": KEEPALIVE},
    22: {"strictMode": SPLIT, "ipsec": IPSEC, "wireguard": KEEPALIVE},
}
TYPES: dict[str, dict[str, Plain]] = {
    "ipsec": {"enabled": True, "type": "ipsec"},
    "wireguard": {"enabled": True, "type": "wireguard"},
    "none": {"enabled": False},
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("minor", BLOCKS)
def test_block_is_whole_for_each_minor_and_type(minor: int, kind: str) -> None:
    values = cilium.helm_values(environment(f"1.{minor}.0", encryption=f"{{type: {kind}}}"))

    assert values == {"cluster": {"name": "lab", "id": 0}, "encryption": {**TYPES[kind], **BLOCKS[minor]}}


EGRESS: dict[str, Plain] = {"enabled": True, "cidr": "10.0.0.0/8", "allowRemoteNodeIdentities": True}
STRICT: dict[str, tuple[str, dict[str, Plain], dict[str, Plain]]] = {
    "egress": (
        "{egress: {cidr: 10.0.0.0/8, allowRemoteNodeIdentities: true}}",
        EGRESS,
        {"egress": EGRESS, "ingress": {"enabled": False}},
    ),
    "egress without remote nodes": (
        "{egress: {cidr: 10.0.0.0/8}}",
        {**EGRESS, "allowRemoteNodeIdentities": False},
        {"egress": {**EGRESS, "allowRemoteNodeIdentities": False}, "ingress": {"enabled": False}},
    ),
    "ingress": ("{ingress: true}", FLAT, {"egress": FLAT, "ingress": {"enabled": True}}),
    "both": (
        "{egress: {cidr: 10.0.0.0/8, allowRemoteNodeIdentities: true}, ingress: true}",
        EGRESS,
        {"egress": EGRESS, "ingress": {"enabled": True}},
    ),
    "neither": ("{}", FLAT, SPLIT),
    "null": ("null", FLAT, SPLIT),
}


@pytest.mark.parametrize("kind", ["ipsec", "wireguard"])
@pytest.mark.parametrize("strict", STRICT)
@pytest.mark.parametrize("minor", BLOCKS)
def test_strict_mode_is_flat_up_to_1_18_and_split_from_1_19(minor: int, strict: str, kind: str) -> None:
    text, flat, split = STRICT[strict]

    values = cilium.helm_values(environment(f"1.{minor}.3", encryption=f"{{type: {kind}, strictMode: {text}}}"))

    block = {**TYPES[kind], **BLOCKS[minor], "strictMode": flat if minor <= 18 else split}
    assert values["encryption"] == block


@pytest.mark.parametrize("minor", [15, 16, 17, 18, 19, 20, 21])
def test_node_encryption_and_durations_are_the_environment_s(minor: int) -> None:
    durations = "wireguard: {persistentKeepalive: 25s}, ipsec: {keyRotationDuration: 1h30m}"
    encryption = f"{{type: wireguard, nodeEncryption: true, {durations}}}"

    block = cilium.helm_values(environment(f"1.{minor}.0", encryption=encryption))["encryption"]

    assert isinstance(block, dict)
    ipsec, wireguard = block["ipsec"], block["wireguard"]
    assert isinstance(ipsec, dict)
    assert isinstance(wireguard, dict)
    assert (block["nodeEncryption"], ipsec["keyRotationDuration"], wireguard["persistentKeepalive"]) == (
        True,
        "1h30m",
        "25s",
    )


def test_cluster_and_the_user_s_values_stand_beside_the_block() -> None:
    values = cilium.helm_values(
        environment(
            "1.16.0",
            cilium="{version: 1.16.0, values: {hubble: {relay: {enabled: true}}, l: [1, 1.5, null, yes]}}",
            cluster="{name: eu-1, id: 7}",
            encryption="{type: none}",
        )
    )

    assert values == {
        "cluster": {"name": "eu-1", "id": 7},
        "encryption": {**TYPES["none"], **BLOCKS[16]},
        "hubble": {"relay": {"enabled": True}},
        "l": [1, 1.5, None, "yes"],
    }


def test_user_s_value_below_a_block_of_ours_goes_into_it() -> None:
    values = cilium.helm_values(
        environment("1.16.0", cilium="{version: 1.16.0, values: {cluster: {x: 1}, image: null}}")
    )

    assert (values["cluster"], values["image"]) == ({"name": "lab", "id": 0, "x": 1}, None)


def test_values_of_the_environment_are_not_changed() -> None:
    lab = environment("1.16.0", cilium="{version: 1.16.0, values: {cluster: {x: 1}}}")

    first, second = cilium.helm_values(lab), cilium.helm_values(lab)

    assert first == second


@pytest.mark.parametrize(
    ("name", "owned"),
    [
        *(("enable-ipsec", True), ("enable-ipsec-key-watcher", True), ("ipsec-key-file", True), ("encrypt-node", True)),
        *(("ipsec-key-rotation-duration", True), ("enable-wireguard", True), ("wireguard-persistent-keepalive", True)),
        *(("enable-encryption-strict-mode", True), ("encryption-strict-mode-cidr", True), ("cluster-name", True)),
        *(("cluster-id", True), ("debug", False), ("enable-ipv4", False), ("cluster-pool-ipv4-cidr", False)),
    ],
)
def test_entries_of_cilium_config_that_the_block_decides_are_known(name: str, *, owned: bool) -> None:
    assert (cilium.OWNED_CONFIG.fullmatch(name) is not None) == owned


CHARTS = ["1.15.19", "1.16.0", "1.16.19", "1.17.18", "1.18.12", "1.19.6", "1.20.0"]
WITH_SCHEMA = [version for version in CHARTS if version != "1.15.19"]
INTENTS = {
    "ipsec": "{type: ipsec}",
    "wireguard": "{type: wireguard}",
    "node encryption": "{type: wireguard, nodeEncryption: true}",
    "none": "{type: none}",
    "strict": f"{{type: wireguard, strictMode: {STRICT['both'][0]}}}",
}


def chart_defaults(version: str) -> dict[str, Any]:
    defaults: dict[str, Any] = yaml.load((charts() / version / "values.yaml").read_text("utf-8"), yaml.CSafeLoader)
    return defaults


def paths(data: object, path: str = "") -> dict[str, object]:
    """Every leaf by its dotted path."""
    if not isinstance(data, dict) or not data:
        return {path: data}
    found: dict[str, object] = {}
    for key, value in data.items():
        found |= paths(value, f"{path}.{key}".lstrip("."))
    return found


@pytest.mark.parametrize("version", CHARTS)
def test_every_key_that_is_written_stands_in_the_chart_s_own_defaults(version: str) -> None:
    defaults = chart_defaults(version)

    written = [cilium.helm_values(environment(version, encryption=intent)) for intent in INTENTS.values()]

    known = paths({part: defaults[part] for part in ("cluster", "encryption")})
    assert [path for values in written for path in paths(values) if path not in known] == []


@pytest.mark.parametrize("version", CHARTS)
def test_every_key_of_the_chart_s_block_is_in_the_table(version: str) -> None:
    block = chart_defaults(version)["encryption"]

    minor = cilium.version(version).minor
    unknown = [
        path
        for path in paths(block)
        if not path.startswith("ztunnel.")
        and (path not in cilium.BY_PATH or cilium.BY_PATH[path].status(minor) in {"removed", "not yet there"})
    ]
    assert unknown == []


@pytest.mark.parametrize("version", CHARTS)
def test_key_that_works_is_written_unless_the_chart_has_another_for_it(version: str) -> None:
    minor = cilium.version(version).minor
    values = cilium.helm_values(environment(version))

    works = {f"encryption.{key.path}" for key in KEYS if key.status(minor) == "works" and key.path != "ztunnel"}
    assert set(paths(values)) == works | {"cluster.name", "cluster.id"}


@pytest.mark.parametrize("version", CHARTS)
def test_value_that_nobody_asked_for_is_the_chart_s_default(version: str) -> None:
    defaults = paths(chart_defaults(version))

    written = paths(cilium.helm_values(environment(version)))

    asked = {"encryption.enabled", "cluster.name"}
    own = {"encryption.ipsec.keyFile", "encryption.ipsec.mountPath", "encryption.ipsec.secretName"}  # empty in 1.15
    assert {path: value for path, value in written.items() if path not in asked | own} == {
        path: defaults[path] for path in written if path not in asked | own
    }
    assert [written[path] for path in sorted(own)] == ["keys", "/etc/ipsec", "cilium-ipsec-keys"]


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """What Helm makes of the chart's defaults and the values over them."""
    both = dict(below)
    for key, value in above.items():
        base = both.get(key)
        both[key] = merged(base, value) if isinstance(base, dict) and isinstance(value, dict) else value
    return both


@pytest.mark.parametrize("version", WITH_SCHEMA)
def test_values_fit_the_chart_s_own_schema(version: str) -> None:
    schema = json.loads((charts() / version / "values.schema.json").read_text("utf-8"))
    validator = validator_for(schema)(schema)
    defaults = chart_defaults(version)

    errors = [
        error.message
        for intent in INTENTS.values()
        for error in validator.iter_errors(
            merged(defaults, cilium.helm_values(environment(version, encryption=intent)))
        )
    ]

    assert errors == []
