"""Charts as data: which keys they know, what their schemas say, and what a rendering proves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from kit import charts as real_charts

from generator import charts, cilium, model
from generator.charts import FailsError, Problem, Schema
from generator.cilium import Contradiction
from generator.errors import InputError
from generator.nodes import plain
from generator.yamlio import read

if TYPE_CHECKING:
    from generator.model import Environment
    from generator.nodes import Plain

REAL = ("1.15.19", "1.16.0", "1.16.19", "1.17.18", "1.18.12", "1.19.6", "1.20.0")


def environment(text: str, version: str = "1.16.0") -> Environment:
    """An environment named lab, of what it says under encryption."""
    node, _ = read(f"cilium: {{version: {version}}}\nencryption: {text}\n".encode(), "environments/lab.yaml")
    assert node is not None
    parsed, problems = model.parse(node, "lab")
    assert (problems, parsed is None) == ([], False)
    assert parsed is not None
    return parsed


def known(defaults: str, schema: Plain = None) -> charts.Keys:
    node, _ = read(defaults.encode(), "values.yaml")
    assert node is not None
    return charts.known(node, defaults, schema)


# ---- which values it knows

DEFAULTS = """\
hubble:
  enabled: true
  relay:
    enabled: false
    image: {tag: v1, digest: ""}
  metrics: ~
  labels: {}
  hosts: []
  servers: [{name: one}]
l7Proxy: true
"""


@pytest.mark.parametrize(
    "values",
    [
        {"hubble": {"enabled": False, "relay": {"enabled": True, "image": {"tag": "v2"}}}, "l7Proxy": False},
        {"hubble": {"metrics": {"enabled": ["dns"]}, "labels": {"a": "b"}, "hosts": [{"a": 1}], "servers": [{"b": 1}]}},
        {"hubble": None},
        {"hubble": True, "l7Proxy": {"a": 1}},
        {"global": {"anything": 1}},
        {},
    ],
)
def test_known_keys_and_what_stands_below_free_ones_pass(values: dict[str, Plain]) -> None:
    assert list(charts.unknown(values, known(DEFAULTS))) == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"hubble": {"relay": {"enabeld": True}}},
            Problem(("hubble", "relay", "enabeld"), "the chart knows no hubble.relay.enabeld", "did you mean enabled?"),
        ),
        (
            {"hubble": {"relay": {"image": {"x": 1}}}},
            Problem(
                ("hubble", "relay", "image", "x"), "the chart knows no hubble.relay.image.x", "known here: digest, tag"
            ),
        ),
        ({"Hubble": {"x": 1}}, Problem(("Hubble",), "the chart knows no Hubble", "did you mean hubble?")),
        (
            {"hubble": {"qwxz": None}},
            Problem(
                ("hubble", "qwxz"),
                "the chart knows no hubble.qwxz",
                "known here: enabled, hosts, labels, metrics, relay, servers",
            ),
        ),
        (
            {"a" * 24: 1},
            Problem(("a" * 24,), "the chart knows no [redacted]", "known here: global, hubble, l7Proxy"),
        ),
    ],
)
def test_unknown_key_is_told_with_the_nearest_one(values: dict[str, Plain], problem: Problem) -> None:
    assert list(charts.unknown(values, known(DEFAULTS))) == [problem]


def test_words_of_somebody_else_s_are_told_on_one_line() -> None:
    keys: charts.Keys = {"of\x1b[1mfice": None, "second\nline": None}

    found = [(one.message, one.hint) for one in charts.unknown({"office\x1b[1m": 1, "a\nb": {}}, keys)]

    assert found == [
        ("the chart knows no office [1m", "did you mean of [1mfice?"),
        ("the chart knows no a b", "known here: of [1mfice, second line"),
    ]


def test_every_unknown_key_is_told_and_nothing_below_it() -> None:
    places = [one.place for one in charts.unknown({"x": {"y": 1}, "hubble": {"z": 1}, "w": 1}, known(DEFAULTS))]

    assert places == [("x",), ("hubble", "z"), ("w",)]


def test_hint_lists_some_of_many() -> None:
    keys = known("".join(f"key{number}: 1\n" for number in range(9)))

    (problem,) = charts.unknown({"zzz": 1}, keys)

    assert problem.hint == "known here: global, key0, key1, key2, key3, key4 and 4 more"


@pytest.mark.parametrize("name", ["affinity", "nodeSelector", "podSecurityContext", "resources", "updateStrategy"])
def test_what_kubernetes_defines_is_not_the_chart_s_business(name: str) -> None:
    keys = known(f"relay:\n  {name}:\n    one: 1\n")

    assert list(charts.unknown({"relay": {name: {"other": 2}}}, keys)) == []


COMMENTED = """\
# devices: ""
#policy: default
bpf:
  # -- (bool) The first of its keys
  # @default -- `true`
  # masquerade: true
  root: /bpf
  # monitor:
  # mode: [a, b]
  # name: "two words"
  # prose: many words make no key
  # ref: https://example.com/a
  # Example:
# outdented: 1
azure:
  # @schema
  # type: [null, string]
  # @schema
  group: ""
maglev: {}
  # tableSize: 1
last: 1
"""


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ({"devices": "eth0", "policy": "always"}, []),
        ({"bpf": {"masquerade": True, "monitor": {"a": 1}, "mode": "a", "name": "n", "outdented": 1}}, []),
        ({"outdented": 1}, []),
        ({"maglev": {"tableSize": 1}}, []),
        ({"masquerade": True}, [("masquerade",)]),
        ({"bpf": {"devices": "eth0"}}, [("bpf", "devices")]),
        ({"bpf": {"prose": 1, "ref": 1, "Example": 1}}, [("bpf", "prose"), ("bpf", "ref"), ("bpf", "Example")]),
        ({"azure": {"type": "x", "outdented": 1}}, [("azure", "type"), ("azure", "outdented")]),
        ({"tableSize": 1}, [("tableSize",)]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_key_in_a_comment_is_known_where_it_would_stand(
    values: dict[str, Plain], unknown: list[tuple[str, ...]], end: str
) -> None:
    keys = known(COMMENTED.replace("\n", end))

    assert [one.place for one in charts.unknown(values, keys)] == unknown


def test_schema_adds_keys_that_the_defaults_lack() -> None:
    schema: Plain = {
        "properties": {"hubble": {"properties": {"extra": {}, "labels": {"properties": {"a": {}}}}}, "x": {}}
    }
    keys = known(DEFAULTS, schema)

    values: dict[str, Plain] = {"x": {"y": 1}, "hubble": {"extra": {"z": 1}, "labels": {"b": 1}, "relay": {"extra": 1}}}

    assert [one.place for one in charts.unknown(values, keys)] == [("hubble", "relay", "extra")]


@pytest.mark.parametrize("schema", [True, {"properties": []}, {"properties": {"hubble": True}}])
def test_schema_without_properties_adds_nothing(schema: Plain) -> None:
    assert known(DEFAULTS, schema) == known(DEFAULTS)


# What people write, whose defaults stand in comments, are Kubernetes' own, or are empty.
PRODUCTION = """\
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}
azure: {resourceGroup: group}
bpf: {masquerade: true}
cni: {configMap: cni-configuration, chainingMode: none}
disableEnvoyVersionCheck: false
dnsProxy: {enableTransparentMode: true}
egressMasqueradeInterfaces: eth0
extraConfig: {some-flag: "1"}
hubble:
  eventQueueSize: "8192"
  metrics: {enabled: [dns, drop]}
  relay: {enabled: true, nodeSelector: {role: infra}, securityContext: {readOnlyRootFilesystem: true}}
  tls: {auto: {method: certmanager, certManagerIssuerRef: {kind: ClusterIssuer, name: ca}}}
ipMasqAgent: {enabled: true, config: {nonMasqueradeCIDRs: [10.0.0.0/8]}}
k8s: {requireIPv4PodCIDR: true}
kubeProxyReplacement: "true"
labels: "k8s:app"
loadBalancer: {algorithm: maglev, mode: dsr}
maglev: {tableSize: 65521}
nodePort: {range: "30000,32767"}
nodeSelector: {role: worker}
podAnnotations: {a: b}
policyAuditMode: false
resources: {limits: {cpu: 4000m}}
securityContext: {runAsUser: 0, capabilities: {ciliumAgent: [CHOWN]}}
socketLB: {enabled: true, hostNamespaceOnly: true}
updateStrategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}
"""
TYPOS = "hubble: {enabeld: true, relay: {enabled: true, replica: 2}}\nkubeproxyReplacement: true\nipam: {mod: eni}\n"


def real(version: str) -> charts.Keys:
    folder = real_charts() / version
    text = (folder / "values.yaml").read_text("utf-8")
    schema = folder / "values.schema.json"
    return known(text, json.loads(schema.read_bytes()) if schema.exists() else None)


def values_of(text: str) -> dict[str, Plain]:
    node, _ = read(text.encode(), "values.yaml")
    assert node is not None
    values = plain(node)
    assert isinstance(values, dict)
    return values


@pytest.mark.parametrize("version", REAL)
def test_real_chart_knows_what_people_write(version: str) -> None:
    assert list(charts.unknown(values_of(PRODUCTION), real(version))) == []


@pytest.mark.parametrize("version", REAL)
def test_real_chart_knows_no_typos(version: str) -> None:
    found = [(one.place, one.hint) for one in charts.unknown(values_of(TYPOS), real(version))]

    assert found == [
        (("hubble", "enabeld"), "did you mean enabled?"),
        (("hubble", "relay", "replica"), "did you mean replicas?"),
        (("kubeproxyReplacement",), "did you mean kubeProxyReplacement?"),
        (("ipam", "mod"), "did you mean mode?"),
    ]


@pytest.mark.parametrize("version", REAL)
def test_real_chart_s_own_defaults_are_known(version: str) -> None:
    text = (real_charts() / version / "values.yaml").read_text("utf-8")

    assert list(charts.unknown(values_of(text), real(version))) == []


# ---- what its schema says

SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "required": ["needed"],
    "properties": {
        "flag": {"type": "boolean"},
        "number": {"type": "integer", "minimum": 1},
        "text": {"type": "string", "pattern": "^a"},
        "either": {"type": ["integer", "string", "null"]},
        "any": {"anyOf": [{"type": "string"}, {"type": "array"}]},
        "mixed": {"anyOf": [{"type": "string"}, {"minimum": 3}]},
        "choice": {"enum": ["", "vxlan", "geneve"]},
        "odd": {"enum": [[1], 2]},
        "list": {"items": {"properties": {"name": {"type": "string"}}}},
    },
}


def problems(**values: Plain) -> list[Problem]:
    return Schema(SCHEMA, "chart/values.schema.json").problems({"needed": 1, **values})


def test_values_that_fit_have_no_problem() -> None:
    assert problems(flag=True, number=1, text="a", either=None, any=[], mixed=3, choice="vxlan", odd=[1], list=[]) == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"flag": "yes"}, Problem(("flag",), "flag: expected boolean, not 'yes'", "write true, without quotes")),
        ({"flag": "False"}, Problem(("flag",), "flag: expected boolean, not 'False'", "write false, without quotes")),
        ({"flag": "maybe"}, Problem(("flag",), "flag: expected boolean, not 'maybe'")),
        ({"flag": None}, Problem(("flag",), "flag: expected boolean, not null")),
        ({"flag": {}}, Problem(("flag",), "flag: expected boolean, not a mapping")),
        ({"flag": []}, Problem(("flag",), "flag: expected boolean, not a list")),
        ({"number": "12"}, Problem(("number",), "number: expected integer, not '12'", "take the quotes off")),
        ({"number": 1.5}, Problem(("number",), "number: expected integer, not 1.5")),
        ({"number": 0}, Problem(("number",), "number: 0 is less than the minimum of 1")),
        ({"text": True}, Problem(("text",), "text: expected string, not true", "quote it")),
        ({"text": "b"}, Problem(("text",), "text: 'b' does not match '^a'")),
        ({"either": True}, Problem(("either",), "either: expected integer, string or null, not true", "quote it")),
        ({"either": []}, Problem(("either",), "either: expected integer, string or null, not a list")),
        ({"any": 1}, Problem(("any",), "any: expected string or array, not 1", "quote it")),
        ({"mixed": 1}, Problem(("mixed",), "mixed: 1 is not valid under any of the given schemas")),
        (
            {"choice": "vxlna"},
            Problem(("choice",), "choice: expected '', vxlan or geneve, not 'vxlna'", "did you mean vxlan?"),
        ),
        ({"choice": 1}, Problem(("choice",), "choice: expected '', vxlan or geneve, not 1")),
        ({"odd": 3}, Problem(("odd",), "odd: 3 is not one of [[1], 2]")),
        ({"list": [{}, {"name": 1}]}, Problem(("list", 1, "name"), "list[1].name: expected string, not 1", "quote it")),
        ({"flag": "x y " * 20}, Problem(("flag",), "flag: expected boolean, not '" + "x y " * 14 + "...")),
        ({"flag": "0123456789abcdef"}, Problem(("flag",), "flag: expected boolean, not '[redacted]'")),
        (
            {"text": "x y " * 100},
            Problem(("text",), ("text: '" + "x y " * 100)[:203] + "..."),
        ),
        ({"text": "0123456789abcdef"}, Problem(("text",), "text: '[redacted]' does not match '^a'")),
    ],
)
def test_value_against_the_schema_is_told_with_what_to_write(values: dict[str, Plain], problem: Problem) -> None:
    assert problems(**values) == [problem]


def test_every_problem_is_told() -> None:
    assert [one.place for one in problems(flag=1, text=2)] == [("flag",), ("text",)]


def test_missing_value_is_told_of_the_mapping() -> None:
    (problem,) = Schema(SCHEMA, "chart/values.schema.json").problems({})

    assert problem == Problem((), "values: 'needed' is a required property")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x.json", "https://example.com/x", "file:///etc/passwd", "x.json"]
)
def test_reference_of_a_schema_is_not_fetched(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("it was fetched"))
    schema = Schema({"properties": {"a": {"$ref": address}}}, "c/values.schema.json")

    assert schema.problems({"b": 1}) == []
    assert schema.problems({"a": 1}) == [
        Problem((), f"c/values.schema.json cannot be followed: {address}", "a schema has to stand alone")
    ]


def test_reference_inside_a_schema_is_followed() -> None:
    schema = Schema({"definitions": {"x": {"type": "string"}}, "properties": {"a": {"$ref": "#/definitions/x"}}}, "c")

    assert schema.problems({"a": 1}) == [Problem(("a",), "a: expected string, not 1", "quote it")]


def test_schema_that_leads_in_a_circle_ends() -> None:
    schema = Schema({"$ref": "#/definitions/a", "definitions": {"a": {"allOf": [{"$ref": "#/definitions/a"}]}}}, "c")

    assert schema.problems({}) == [
        Problem((), "c cannot be followed: it leads in a circle", "a schema has to stand alone")
    ]


@pytest.mark.parametrize(
    ("schema", "at"),
    [
        ({"type": 5}, ", at type"),
        ({"properties": {"a": {"minimum": "x"}}}, ", at properties.a.minimum"),
        ({"properties": {"a": {"pattern": "("}}}, ", at properties.a.pattern"),
        ([], ""),
    ],
)
def test_what_is_no_schema_is_refused(schema: Plain, at: str) -> None:
    with pytest.raises(InputError) as refused:
        Schema(schema, "c/values.schema.json")

    assert str(refused.value) == f"c/values.schema.json is no JSON Schema{at}; take the chart as it came"


def test_schema_says_which_draft_it_is() -> None:
    tuples: dict[str, Plain] = {"properties": {"a": {"prefixItems": [{"type": "string"}]}}}
    drafts: list[dict[str, Plain]] = [
        {},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"$schema": "https://example.com/unheard-of"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
    ]

    assert [len(Schema(draft | tuples, "c").problems({"a": [1]})) for draft in drafts] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ({}, []),
        ({"a": {"b": 1}, "list": [1]}, []),
        ({"a": None}, [()]),
        ({"a": {"b": None}}, [("a",)]),
        ({"a": {"b": None, "c": {}}}, [("a",)]),
        ({"a": {"b": "x"}}, [("a", "b")]),
        ({"a": {"d": {"e": None, "f": "x"}}}, [("a", "d", "f")]),
        ({"free": {"g": {"h": 1}}, "new": {"b": "x"}}, []),
        ({"list": None, "unheard-of": None}, []),
        ({"extra": None, "new": {"c": None}}, [("extra",)]),
    ],
)
@pytest.mark.parametrize("more", [{}, {"additionalProperties": True}])
def test_values_are_judged_as_helm_lays_them_over_the_defaults(
    values: dict[str, Plain], places: list[tuple[str, ...]], more: dict[str, Plain]
) -> None:
    number: Plain = {"type": "integer"}
    inner: Plain = {"required": ["b"], "properties": {"b": number, "d": {"properties": {"f": number}, **more}}}
    schema: Plain = {
        "required": ["a"],
        "properties": {"a": inner, "list": {"type": "array"}, "free": {"type": "object"}, "extra": number},
    }
    defaults: dict[str, Plain] = {"a": {"b": 1, "d": {"e": 2, "f": 3}}, "list": [], "free": {}, "last": None}

    assert [one.place for one in Schema(schema, "c", defaults).problems(values)] == places


def test_default_that_does_not_fit_is_told_until_somebody_says_better() -> None:
    schema = Schema({"properties": {"a": {"type": "integer"}}}, "c", {"a": "x"})

    assert [[one.place for one in schema.problems(values)] for values in ({}, {"b": 1}, {"a": 1}, {"a": None})] == [
        [("a",)],
        [("a",)],
        [],
        [],
    ]


@pytest.mark.parametrize("version", [version for version in REAL if version != "1.15.19"])
def test_real_schema_fits_its_defaults_and_judges_each_value_alone(version: str) -> None:
    folder = real_charts() / version
    defaults = values_of((folder / "values.yaml").read_text("utf-8"))
    schema = Schema(json.loads((folder / "values.schema.json").read_bytes()), "c", defaults)

    assert schema.problems({}) == []
    assert [one.place for one in schema.problems({"hubble": {"relay": {"replicas": "x"}}, "agent": 1})] == [
        ("agent",),
        ("hubble", "relay", "replicas"),
    ]


# ---- which versions it is for


@pytest.mark.parametrize(
    ("chart", "wanted", "other"),
    [
        *(("1.16.0", "1.16.0", False), ("1.16.9", "1.16.0", False), ("v1.16.9", "1.16.0", False)),
        *(("1.17.0", "1.16.0", True), ("1.16.0-rc.1", "1.17.0", True), ("1.1.0", "1.16.0", True)),
        *(
            ("0.16.0", "1.17.0", False),
            ("2.17.0", "1.17.0", False),
            ("1.17", "1.16.0", False),
            ("main", "1.16.0", False),
        ),
    ],
)
def test_other_minor_of_cilium_is_told_from_what_is_no_version_of_it(chart: str, wanted: str, *, other: bool) -> None:
    assert charts.other_minor(chart, wanted) == other


# ---- what its rendering holds

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\ndata:\n"


@pytest.mark.parametrize(
    ("rendering", "config"),
    [
        (
            {"a": CONFIG + '  x: "true"\n  y: 5\n  "z": |\n    ---\n    a: b\n'},
            {"x": "true", "y": "5", "z": "---\na: b\n"},
        ),
        ({"a": "kind: Secret\nmetadata: {name: cilium-config}\n", "b": CONFIG + "  x: y\n"}, {"x": "y"}),
        ({"a": "kind: Pod\nname: cilium-config\n---\n" + CONFIG + "  x: y\n--- # end\nkind: Pod\n"}, {"x": "y"}),
        ({"a": "\n---\n" + CONFIG + "  x: a\n  y: b\n  'x': \"c\"\n"}, {"x": "c", "y": "b"}),
        ({"a": CONFIG.removesuffix("data:\n")}, {}),
        ({"a": CONFIG}, {}),
        ({"a": CONFIG + f"  x: {10**20}\n"}, {"x": str(10**20)}),
        ({"a": "kind: ConfigMap\nmetadata: {name: other}\n"}, None),
        ({"a": "- cilium-config\n"}, None),
        ({}, None),
    ],
)
def test_cilium_config_is_found_in_a_rendering(rendering: dict[str, str], config: dict[str, str] | None) -> None:
    assert charts.config(rendering) == config


def test_rendering_that_is_no_yaml_is_told() -> None:
    with pytest.raises(FailsError, match=r"^cilium/a\.yaml renders what is not YAML: .+"):
        charts.config({"cilium/a.yaml": "a: [\nname: cilium-config\n"})


def test_templates_that_differ_are_named() -> None:
    assert charts.differing({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == ["b", "c", "d"]


NEITHER: dict[str, str | None] = {"enable-ipsec": None, "enable-wireguard": None, "encrypt-node": None}
IPSEC = {
    **NEITHER,
    "enable-ipsec": "true",
    "ipsec-key-file": "/etc/ipsec/keys",
    "enable-ipsec-key-watcher": "true",
    "ipsec-key-rotation-duration": "5m",
}
OLD_STRICT: dict[str, str | None] = {"enable-encryption-strict-mode": None}
STRICT: dict[str, str | None] = {
    "enable-encryption-strict-mode-egress": None,
    "enable-encryption-strict-mode-ingress": None,
}
ALL = "{type: wireguard, nodeEncryption: true, strictMode: {egress: {cidr: 10.0.0.0/8}, ingress: true}}"


@pytest.mark.parametrize(
    ("version", "encryption", "config"),
    [
        ("1.16.0", "{type: ipsec}", {**IPSEC, **OLD_STRICT}),
        ("1.19.0", "{type: ipsec}", {**IPSEC, **STRICT}),
        (
            "1.20.0",
            "{type: ipsec, ipsec: {keyRotationDuration: 1h30m}}",
            {**IPSEC, **STRICT, "ipsec-key-rotation-duration": "1h30m"},
        ),
        ("1.16.0", "{type: wireguard}", {**NEITHER, **OLD_STRICT, "enable-wireguard": "true"}),
        ("1.16.0", "{type: none}", {**NEITHER, **OLD_STRICT}),
        ("1.20.0", "{type: none}", {**NEITHER, **STRICT}),
        (
            "1.18.0",
            ALL,
            {
                **NEITHER,
                "enable-wireguard": "true",
                "encrypt-node": "true",
                "enable-encryption-strict-mode": "true",
                "encryption-strict-mode-cidr": "10.0.0.0/8",
            },
        ),
        (
            "1.19.0",
            ALL,
            {
                **NEITHER,
                "enable-wireguard": "true",
                "encrypt-node": "true",
                "enable-encryption-strict-mode-egress": "true",
                "encryption-strict-egress-cidr": "10.0.0.0/8",
                "enable-encryption-strict-mode-ingress": "true",
            },
        ),
    ],
)
def test_environment_says_what_cilium_config_has_to_hold(
    version: str, encryption: str, config: dict[str, str | None]
) -> None:
    assert cilium.expected_config(environment(encryption, version)) == config


@pytest.mark.parametrize(("said", "wanted"), [("'false'", None), ("false", None), ("'true'", "true")])
def test_key_watcher_that_extra_config_turns_off_is_not_asked_for(said: str, wanted: str | None) -> None:
    version = f"1.16.0, values: {{extraConfig: {{enable-ipsec-key-watcher: {said}}}}}"

    assert cilium.expected_config(environment("{type: ipsec}", version))["enable-ipsec-key-watcher"] == wanted


@pytest.mark.parametrize(
    ("seen", "wanted", "agree"),
    [
        *(("true", "true", True), ("false", "true", False), (None, "true", False), ("", "true", False)),
        *((None, None, True), ("false", None, True), ("", None, True), ("true", None, False)),
        *(("5m0s", "5m", True), ("300s", "5m", True), ("5m1s", "5m", False), ("5.5m", "5m30s", True)),
        *(("1h0m0.000000001s", "1h", False), ("five", "5m", False), ("1.m", "60s", True), (".5m", "30s", True)),
        *(("/etc/ipsec/keys", "/etc/ipsec/keys", True), ("/etc/ipsec//keys", "/etc/ipsec/keys", False)),
    ],
)
def test_entry_agrees_or_is_a_contradiction(seen: str | None, wanted: str | None, *, agree: bool) -> None:
    config = {} if seen is None else {"x": seen}

    assert list(cilium.contradictions(config, {"x": wanted})) == ([] if agree else [Contradiction("x", seen, wanted)])
