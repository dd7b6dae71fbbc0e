"""The environment file: its defaults, each shape's right and wrong values, its places, and the printed schema."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from kit import EXAMPLES

from generator import model, shapes
from generator.emit import emit
from generator.nodes import Node, Plain, plain
from generator.records import Record, ReportedError, default_of, option
from generator.shapes import Choice, Duration, Flag, Names, Number, Schema, Span, Text, WrongError, nearest, span_of
from generator.yamlio import read

if TYPE_CHECKING:
    from generator.findings import Finding
    from generator.model import Environment

SOURCE = "environments/lab.yaml"

# As the interface shows them: every member with its default.  What has none there is left out, or shown as an example.
DEFAULTS = """
extends: []
protected: false
cluster: {id: 0, mesh: null}
cilium:
  namespace: kube-system
  chart: {repository: 'https://helm.cilium.io', name: cilium}
  values: {}
encryption:
  nodeEncryption: false
  strictMode: null
  ipsec: {algorithm: rfc4106-gcm-aes, keySize: 128, keyRotationDuration: 5m, maxKeyAge: 90d, cooldown: 1h}
  wireguard: {persistentKeepalive: 0s}
gitops:
  engine: flux
  repository: null
  revision: main
  path: ''
  flux: {namespace: flux-system, sourceName: flux-system, decryptionSecret: sops-age, interval: 10m}
  argocd: {namespace: argocd, project: default, destination: {server: 'https://kubernetes.default.svc'}, secrets: ksops}
demo: {endor: false, ping: false}
kind: null
"""
EXAMPLE = """
extends: [lab, eu]
protected: true
cluster: {name: lab-1, id: 255, mesh: europe}
cilium:
  version: 1.19.0-rc.1
  namespace: cilium
  chart: {repository: 'oci://registry.example.com:5000/charts', name: cilium-mirror}
  values: {hubble: {enabled: false}, l: [1, null, 1.5]}
encryption:
  type: wireguard
  nodeEncryption: true
  strictMode: {egress: {cidr: 10.244.0.0/16, allowRemoteNodeIdentities: true}, ingress: true}
  ipsec: {algorithm: cbc-aes-sha512, keySize: 256, keyRotationDuration: 1h30m, maxKeyAge: 2w, cooldown: 1.5d}
  wireguard: {persistentKeepalive: 25s}
gitops:
  engine: none
  repository: 'https://git.example.com/platform/clusters.git'
  revision: release/1.0
  path: clusters/eu
  flux: {namespace: flux, sourceName: main, decryptionSecret: key, interval: 1m30s}
  argocd: {namespace: argo, project: lab, destination: {server: null, name: lab}, secrets: none}
demo: {endor: true, ping: true}
kind: {name: lab, controlPlanes: 3, workers: 2}
"""
# The first block of the interface's own page, as somebody would copy it.
COPIED = """
extends: []
protected: false               # true: recipients chosen by hand
cluster:
  name: lab
  id: 0                        # 1..255 and unique within a mesh; 0: in no mesh
  mesh: null                   # a Cluster Mesh's name: its members share one IPsec key
cilium:
  version: 1.16.0              # required
  namespace: kube-system       # fixed once a Secret exists
  chart: {repository: https://helm.cilium.io, name: cilium}     # https://, oci://, a mirror, loopback http:// in tests
  values: {}
encryption:
  type: ipsec                  # required: ipsec | wireguard | none
  nodeEncryption: false
  strictMode: null # example: {egress: {cidr: 10.244.0.0/16, allowRemoteNodeIdentities: true}, ingress: false}
  ipsec:
    algorithm: rfc4106-gcm-aes # | cbc-aes-sha256 | cbc-aes-sha512
    keySize: 128
    keyRotationDuration: 5m    # a Go duration
    maxKeyAge: 90d
    cooldown: 1h
  wireguard: {persistentKeepalive: 0s}
gitops:
  engine: flux
  repository: null             # example: https://git.example.com/platform/clusters.git; required by argocd
  revision: main               # what the engine follows
  path: ''                     # the workspace's folder inside the git repository
  flux: {namespace: flux-system, sourceName: flux-system, decryptionSecret: sops-age, interval: 10m}
  argocd: {namespace: argocd, project: default, destination: {server: https://kubernetes.default.svc}, secrets: ksops}
demo: {endor: false, ping: false}
kind: null                     # example: {name: kind, controlPlanes: 1, workers: 3}
"""
BASE = {"cilium": "{version: 1.16.0}", "encryption": "{type: ipsec}"}


def lab(**members: str | None) -> str:
    """An environment file of one line a member; None leaves one out."""
    return "".join(f"{key}: {value}\n" for key, value in {**BASE, **members}.items() if value is not None)


def parsed(text: str, name: str = "lab") -> tuple[Environment | None, list[Finding]]:
    node, found = read(text.encode(), SOURCE)
    assert found == []
    assert node is not None
    environment, problems = model.parse(node, name)
    return environment, sorted(problems)


def environment_of(text: str, name: str = "lab") -> Environment:
    environment, found = parsed(text, name)
    assert found == []
    assert environment is not None
    return environment


def complaints(text: str, name: str = "lab") -> list[str]:
    return [str(finding).removeprefix(f"{SOURCE}:") for finding in parsed(text, name)[1]]


def document(text: str) -> dict[str, Plain]:
    node, found = read(text.encode(), SOURCE)
    assert found == []
    value = plain(node) if node else None
    assert isinstance(value, dict)
    return value


def camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def written(value: object) -> Plain:
    """The data of an environment in the file's own words."""
    if isinstance(value, Node):
        return plain(value)
    if isinstance(value, tuple):
        return [written(item) for item in value]
    if isinstance(value, Span):
        return value.text
    if is_dataclass(value):
        return {
            camel(field.name): written(getattr(value, field.name))
            for field in fields(value)
            if not (isinstance(value, model.Environment) and field.name in {"name", "root"})
        }
    assert value is None or isinstance(value, str | int)
    return value


def test_defaults_are_those_of_the_interface() -> None:
    environment = environment_of(lab())

    expected: dict[str, Any] = document(DEFAULTS)
    expected["cluster"]["name"] = ""
    expected["cilium"]["version"] = "1.16.0"
    expected["encryption"]["type"] = "ipsec"
    expected["gitops"]["argocd"]["destination"]["name"] = None
    assert written(environment) == expected
    assert environment.cluster_name == "lab"
    assert environment.path == "environments/lab.yaml"


def test_file_of_the_interface_can_be_copied() -> None:
    copied, short = environment_of(COPIED), environment_of(lab(cluster="{name: lab}"))

    assert written(copied) == written(short)


def test_every_member_is_read() -> None:
    environment = environment_of(EXAMPLE)

    assert written(environment) == document(EXAMPLE)
    assert environment.cluster_name == "lab-1"


def test_block_without_members_has_their_defaults() -> None:
    environment = environment_of(lab(kind="{}", demo="{}", gitops="{flux: {}}", encryption="{type: none, ipsec: {}}"))

    assert written(environment.kind) == {"name": "kind", "controlPlanes": 1, "workers": 3}
    assert written(environment.demo) == {"endor": False, "ping": False}
    assert written(environment.gitops) == written(model.Gitops())
    assert written(environment.encryption.ipsec) == written(model.Ipsec())


def test_strict_mode_without_members_drops_nothing() -> None:
    strict = environment_of(lab(encryption="{type: wireguard, strictMode: {}}")).encryption.strict_mode

    assert written(strict) == {"egress": None, "ingress": False}


def test_environment_keeps_values_out_of_its_representation() -> None:
    environment = environment_of(lab())

    assert "root" not in repr(environment)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("cilium.version", (2, 12)),
        ("cilium.chart.name", (2, 3)),
        ("cilium", (2, 3)),
        ("gitops.flux.namespace", (1, 1)),
        ("", (1, 1)),
    ],
)
def test_place_is_the_value_s_or_that_of_the_nearest_above_it(path: str, place: tuple[int, int]) -> None:
    environment = environment_of("cilium:\n  version: 1.16.0\nencryption: {type: ipsec}\n")

    node = environment.place(path)

    assert (node.line, node.column) == place


KNOWN = "extends, protected, cluster, cilium, encryption, gitops, demo, kind"
CLUSTER_NAME = "a cluster name (a-z, 0-9 and -, at most 32 characters)"
CHART = "an https:// or oci:// address without user or query"
CHART_HINT = "credentials belong in the cluster"
GIT = "an https:// or ssh:// address without a password"
GIT_HINT = "write git@host:path as ssh://git@host/path"
ONE_OF_TWO = "gitops.argocd.destination: expected server or name"
NO_REPOSITORY = (
    "gitops.repository is missing, and Argo CD has to be told it; "
    "such as repository: https://git.example.com/platform/clusters.git"
)
GO_UNITS = "ns, us, ms, s, m, h"
LONG_UNITS = "s, m, h, d, w"
VERSION = "cilium.version: expected a chart version such as 1.16.0, not"
VERSION_HINT = "all three numbers, no v before them"

# What both the parser and the printed schema refuse.
WRONG: list[tuple[dict[str, str], str]] = [
    ({"extends": "lab"}, "3:10: error: extends: expected a list of names, not 'lab'; write [lab] [wrong-type]"),
    ({"extends": "''"}, "3:10: error: extends: expected a list of names, not '' [wrong-type]"),
    ({"extends": "{a: b}"}, "3:10: error: extends: expected a list of names, not a mapping [wrong-type]"),
    (
        {"extends": "[7]"},
        "3:11: error: extends: expected a DNS label (a-z, 0-9 and -), not the number 7; quote it: '7' [wrong-type]",
    ),
    ({"extends": "[A]"}, "3:11: error: extends: expected a DNS label (a-z, 0-9 and -), not 'A' [wrong-value]"),
    ({"extends": "[[a]]"}, "3:11: error: extends: expected a DNS label (a-z, 0-9 and -), not a list [wrong-type]"),
    ({"extends": "[a, b, a]"}, "3:17: error: extends: 'a' stands twice; keep one [wrong-value]"),
    ({"protected": "yes"}, "3:12: error: protected: expected true or false, not 'yes'; write true [wrong-type]"),
    ({"protected": "On"}, "3:12: error: protected: expected true or false, not 'On'; write true [wrong-type]"),
    ({"protected": "'true'"}, "3:12: error: protected: expected true or false, not 'true'; write true [wrong-type]"),
    ({"protected": "off"}, "3:12: error: protected: expected true or false, not 'off'; write false [wrong-type]"),
    ({"protected": "NO"}, "3:12: error: protected: expected true or false, not 'NO'; write false [wrong-type]"),
    ({"protected": "maybe"}, "3:12: error: protected: expected true or false, not 'maybe' [wrong-type]"),
    ({"protected": "1"}, "3:12: error: protected: expected true or false, not the number 1 [wrong-type]"),
    ({"protected": ""}, "3:11: error: protected: expected true or false, not null [wrong-type]"),
    ({"protected": "[]"}, "3:12: error: protected: expected true or false, not a list [wrong-type]"),
    ({"cluster": "{id: 256}"}, "3:15: error: cluster.id: expected a number from 0 to 255, not 256 [wrong-value]"),
    ({"cluster": "{id: -1}"}, "3:15: error: cluster.id: expected a number from 0 to 255, not -1 [wrong-value]"),
    ({"cluster": "{id: 0x100}"}, "3:15: error: cluster.id: expected a number from 0 to 255, not 0x100 [wrong-value]"),
    (
        {"cluster": "{id: '1'}"},
        "3:15: error: cluster.id: expected a number from 0 to 255, not '1'; take the quotes off [wrong-type]",
    ),
    (
        {"cluster": "{id: 1.5}"},
        "3:15: error: cluster.id: expected a number from 0 to 255, not the number 1.5 [wrong-type]",
    ),
    (
        {"cluster": "{id: true}"},
        "3:15: error: cluster.id: expected a number from 0 to 255, not the boolean true [wrong-type]",
    ),
    ({"cluster": "{id: null}"}, "3:15: error: cluster.id: expected a number from 0 to 255, not null [wrong-type]"),
    ({"cluster": "{name: Lab}"}, f"3:17: error: cluster.name: expected {CLUSTER_NAME}, not 'Lab' [wrong-value]"),
    ({"cluster": "{name: ''}"}, f"3:17: error: cluster.name: expected {CLUSTER_NAME}, not '' [wrong-value]"),
    (
        {"cluster": "{name: 012}"},
        f"3:17: error: cluster.name: expected {CLUSTER_NAME}, not the number 012; quote it: '012' [wrong-type]",
    ),
    (
        {"cluster": "{mesh: Europe}"},
        "3:17: error: cluster.mesh: expected a DNS label (a-z, 0-9 and -), not 'Europe' [wrong-value]",
    ),
    ({"cluster": "null"}, "3:10: error: cluster: expected a mapping, not null; with name, id, mesh [wrong-type]"),
    ({"cluster": "[]"}, "3:10: error: cluster: expected a mapping, not a list; with name, id, mesh [wrong-type]"),
    ({"cluster": "{nmae: x}"}, "3:11: error: unknown key 'nmae' in cluster; did you mean name? [unknown-key]"),
    ({"cluster": "{ID: 1}"}, "3:11: error: unknown key 'ID' in cluster; did you mean id? [unknown-key]"),
    ({"cluster": "{x: 1}"}, "3:11: error: unknown key 'x' in cluster; known here: name, id, mesh [unknown-key]"),
    ({"cilium": "{version: 1.16}"}, f"1:19: error: {VERSION} the number 1.16; {VERSION_HINT} [wrong-type]"),
    ({"cilium": "{version: v1.16.0}"}, f"1:19: error: {VERSION} 'v1.16.0'; {VERSION_HINT} [wrong-value]"),
    ({"cilium": "{version: 01.16.0}"}, f"1:19: error: {VERSION} '01.16.0'; {VERSION_HINT} [wrong-value]"),
    ({"cilium": "{version: null}"}, f"1:19: error: {VERSION} null; {VERSION_HINT} [wrong-type]"),
    (
        {"cilium": f"{{version: 1.16.0, namespace: {'a' * 64}}}"},
        "1:38: error: cilium.namespace: expected a DNS label (a-z, 0-9 and -) of at most 63 characters [wrong-value]",
    ),
    (
        {"cilium": "{version: 1.16.0, namespace: -a}"},
        "1:38: error: cilium.namespace: expected a DNS label (a-z, 0-9 and -), not '-a' [wrong-value]",
    ),
    (
        {"cilium": "{version: 1.16.0, chart: {repository: 'http://example.com'}}"},
        f"1:47: error: cilium.chart.repository: expected {CHART}, not 'http://example.com'; {CHART_HINT} [wrong-value]",
    ),
    (
        {"cilium": "{version: 1.16.0, chart: {repo: x}}"},
        "1:35: error: unknown key 'repo' in cilium.chart; known here: repository, name [unknown-key]",
    ),
    (
        {"cilium": "{version: 1.16.0, values: []}"},
        "1:35: error: cilium.values: expected a mapping, not a list [wrong-type]",
    ),
    (
        {"encryption": "{type: Ipsec}"},
        (
            "2:20: error: encryption.type: expected one of ipsec, wireguard, none, not 'Ipsec'; did you mean ipsec? "
            "[wrong-value]"
        ),
    ),
    (
        {"encryption": "{type: wiregaurd}"},
        (
            "2:20: error: encryption.type: expected one of ipsec, wireguard, none, not 'wiregaurd'; "
            "did you mean wireguard? [wrong-value]"
        ),
    ),
    (
        {"encryption": "{type: tls}"},
        "2:20: error: encryption.type: expected one of ipsec, wireguard, none, not 'tls' [wrong-value]",
    ),
    (
        {"encryption": "{type: null}"},
        "2:20: error: encryption.type: expected one of ipsec, wireguard, none, not null [wrong-value]",
    ),
    (
        {"encryption": "{type: [ipsec]}"},
        "2:20: error: encryption.type: expected one of ipsec, wireguard, none, not a list [wrong-type]",
    ),
    (
        {"encryption": "{type: ztunnel}"},
        "2:20: error: encryption.type: ztunnel is not supported yet; one of ipsec, wireguard, none [not-yet]",
    ),
    (
        {"encryption": "{type: ipsec, nodeEncrption: true}"},
        "2:27: error: unknown key 'nodeEncrption' in encryption; did you mean nodeEncryption? [unknown-key]",
    ),
    (
        {"encryption": "{type: ipsec, ipsec: {keySize: 160}}"},
        "2:44: error: encryption.ipsec.keySize: expected one of 128, 192, 256, not the number 160 [wrong-value]",
    ),
    (
        {"encryption": "{type: ipsec, ipsec: {keySize: '128'}}"},
        (
            "2:44: error: encryption.ipsec.keySize: expected one of 128, 192, 256, not '128'; take the quotes off "
            "[wrong-type]"
        ),
    ),
    (
        {"encryption": "{type: ipsec, ipsec: {keySize: true}}"},
        "2:44: error: encryption.ipsec.keySize: expected one of 128, 192, 256, not the boolean true [wrong-value]",
    ),
    (
        {"encryption": "{type: ipsec, ipsec: {keyRotationDuration: 5}}"},
        (
            "2:56: error: encryption.ipsec.keyRotationDuration: expected a duration such as 5m, not the number 5; "
            f"with its unit, one of {GO_UNITS} [wrong-type]"
        ),
    ),
    (
        {"encryption": "{type: ipsec, ipsec: {keyRotationDuration: 1d}}"},
        (
            "2:56: error: encryption.ipsec.keyRotationDuration: expected a duration such as 5m, not '1d'; "
            f"numbers with a unit each, of {GO_UNITS} [wrong-value]"
        ),
    ),
    (
        {"encryption": "{type: ipsec, ipsec: {maxKeyAge: 1y}}"},
        (
            "2:46: error: encryption.ipsec.maxKeyAge: expected a duration such as 5m, not '1y'; "
            f"numbers with a unit each, of {LONG_UNITS} [wrong-value]"
        ),
    ),
    (
        {"encryption": f"{{type: ipsec, ipsec: {{cooldown: {'1h' * 13}}}}}"},
        (
            f"2:45: error: encryption.ipsec.cooldown: expected a duration such as 5m, not '{'1h' * 13}'; "
            f"numbers with a unit each, of {LONG_UNITS} [wrong-value]"
        ),
    ),
    (
        {"encryption": "{type: ipsec, strictMode: true}"},
        (
            "2:39: error: encryption.strictMode: expected a mapping, not the boolean true; with egress, ingress "
            "[wrong-type]"
        ),
    ),
    (
        {"encryption": "{type: ipsec, strictMode: {egress: {cidr: 'a b'}}}"},
        "2:55: error: encryption.strictMode.egress.cidr: expected an IPv4 network, not 'a b' [wrong-value]",
    ),
    (
        {"gitops": "{engine: argo}"},
        (
            "3:18: error: gitops.engine: expected one of flux, argocd, none, not 'argo'; did you mean argocd? "
            "[wrong-value]"
        ),
    ),
    (
        {"gitops": "{argocd: {secrets: sops}}"},
        (
            "3:28: error: gitops.argocd.secrets: expected one of ksops, none, not 'sops'; did you mean ksops? "
            "[wrong-value]"
        ),
    ),
    (
        {"gitops": "{argocd: {destination: {name: 'a b'}}}"},
        "3:39: error: gitops.argocd.destination.name: expected a cluster's name in Argo CD, not 'a b' [wrong-value]",
    ),
    (
        {"gitops": "{repository: 'git@host:path'}"},
        f"3:22: error: gitops.repository: expected {GIT}, not 'git@host:path'; {GIT_HINT} [wrong-value]",
    ),
    (
        {"gitops": "{path: /abs}"},
        (
            "3:16: error: gitops.path: expected a folder inside the repository such as clusters/eu, not '/abs'; "
            "no leading slash, no .. [wrong-value]"
        ),
    ),
    ({"gitops": "{revision: -a}"}, "3:20: error: gitops.revision: expected a branch or tag, not '-a' [wrong-value]"),
    (
        {"gitops": "{flux: {interval: 1us}}"},
        (
            "3:27: error: gitops.flux.interval: expected a duration such as 5m, not '1us'; "
            "numbers with a unit each, of ms, s, m, h [wrong-value]"
        ),
    ),
    (
        {"gitops": "{argocd: {destination: {server: 'http://a'}}}"},
        "3:41: error: gitops.argocd.destination.server: expected an https:// address, not 'http://a' [wrong-value]",
    ),
    ({"kind": "{workers: 1000}"}, "3:17: error: kind.workers: expected a number from 0 to 999, not 1000 [wrong-value]"),
    (
        {"kind": "{controlPlanes: 0}"},
        "3:23: error: kind.controlPlanes: expected a number from 1 to 99, not 0 [wrong-value]",
    ),
    (
        {"kind": "true"},
        "3:7: error: kind: expected a mapping, not the boolean true; with name, controlPlanes, workers [wrong-type]",
    ),
    (
        {"kind": f"{{name: {'a' * 41}}}"},
        "3:14: error: kind.name: expected a DNS label of at most 40 characters [wrong-value]",
    ),
    ({"Cilium": "x"}, "3:1: error: unknown key 'Cilium'; did you mean cilium? [unknown-key]"),
    ({"enviroment": "x"}, f"3:1: error: unknown key 'enviroment'; known here: {KNOWN} [unknown-key]"),
    (
        {"gitops": f"{{repository: {'a-' * 31}}}"},
        f"3:22: error: gitops.repository: expected {GIT}, not '{('a-' * 31)[:57]}'...; {GIT_HINT} [wrong-value]",
    ),
]

# What only the parser can refuse: a schema knows no group that says the rest, and compares no two values.
WRONG_TOGETHER: list[tuple[dict[str, str | None], str]] = [
    ({"cilium": None}, "1:1: error: cilium is missing; such as cilium: {version: 1.16.0} [missing-key]"),
    (
        {"cilium": "{}"},
        "1:9: error: cilium: version is missing; such as version: 1.16.0 [missing-key]",
    ),
    ({"encryption": None}, "1:1: error: encryption is missing; such as encryption: {type: ipsec} [missing-key]"),
    ({"encryption": "{}"}, "2:13: error: encryption: type is missing; such as type: ipsec [missing-key]"),
    (
        {"encryption": "{type: wireguard, strictMode: {egress: {}}}"},
        "2:52: error: encryption.strictMode.egress: cidr is missing; such as cidr: 10.244.0.0/16 [missing-key]",
    ),
    (
        {"encryption": "{type: ipsec, ipsec: {maxKeyAge: 0s}}"},
        "2:46: error: encryption.ipsec.maxKeyAge: expected a duration of at least 1s, not 0s [wrong-value]",
    ),
    (
        {"gitops": "{flux: {interval: 999ms}}"},
        "3:27: error: gitops.flux.interval: expected a duration of at least 1s, not 999ms [wrong-value]",
    ),
    (
        {"cluster": "{id: 1.0}"},
        "3:15: error: cluster.id: expected a number from 0 to 255, not the number 1.0 [wrong-type]",
    ),
    (
        {"cluster": "{name: default, id: 1}"},
        "3:30: error: the name default goes with id 0 only, not 1; set cluster.name [cluster-name]",
    ),
    (
        {"gitops": "{argocd: {destination: {}}}"},
        f"3:32: error: {ONE_OF_TWO}; write one of the two [destination]",
    ),
    (
        {"gitops": "{argocd: {destination: {server: 'https://a', name: b}}}"},
        f"3:32: error: {ONE_OF_TWO}; keep one, and write null for the other [destination]",
    ),
    ({"gitops": "{engine: argocd}"}, f"3:9: error: {NO_REPOSITORY} [missing-key]"),
    ({"gitops": "{engine: argocd, repository: null}"}, f"3:38: error: {NO_REPOSITORY} [missing-key]"),
    (
        {"demo": "{ping: true}", "kind": "{workers: 1}"},
        "3:14: error: demo.ping needs two workers, and kind has 1; raise kind.workers [ping-workers]",
    ),
]


@pytest.mark.parametrize(("members", "line"), [*WRONG, *WRONG_TOGETHER])
def test_wrong_value_gets_one_line_with_its_place_and_a_way_out(members: dict[str, str | None], line: str) -> None:
    assert complaints(lab(**members)) == [line]


GOOD: list[dict[str, str]] = [
    {"extends": "[]"},
    {"extends": "[a, '1']"},
    {"cluster": "{id: 0x10}"},
    {"cluster": f"{{name: {'a' * 32}}}"},
    {"cluster": "{name: default, id: 0}"},
    {"cluster": "{id: 1, mesh: europe}"},
    {"cilium": "{version: 1.20.3-pre.1}"},
    {"cilium": f"{{version: 1.16.0, namespace: {'a' * 63}}}"},
    {"cilium": "{version: 1.16.0, chart: {repository: 'http://127.0.0.1:8080/charts'}}"},
    {"cilium": "{version: 1.16.0, chart: {repository: 'http://[::1]:8080'}}"},
    {"cilium": "{version: 1.16.0, chart: {repository: 'oci://quay.io/cilium/charts'}}"},
    {"encryption": "{type: none}"},
    {"encryption": "{type: ipsec, ipsec: {keyRotationDuration: 1.5h30m10s5ms7us1ns}}"},
    {"encryption": f"{{type: ipsec, ipsec: {{cooldown: {'1h' * 12}}}}}"},
    {"encryption": "{type: ipsec, ipsec: {cooldown: 0s}}"},
    {"gitops": "{repository: 'ssh://git@git.example.com:22/a/b.git'}"},
    {"gitops": "{repository: 'http://localhost:3000/a.git'}"},
    {"gitops": "{revision: feature/x_1.2+y}"},
    {"gitops": "{path: a.b/c-d}"},
    {"gitops": "{engine: argocd, repository: 'https://git.example.com/a.git'}"},
    {"gitops": "{argocd: {destination: {server: 'https://[2001:db8::1]:6443'}}}"},
    {"gitops": "{argocd: {destination: {server: 'https://rancher.example.com/k8s/clusters/c-1'}}}"},
    {"gitops": "{argocd: {destination: {name: 'arn:aws:eks:eu-central-1:111122223333:cluster/eu_central'}}}"},
    {"gitops": "{argocd: {destination: {name: in-cluster}}}"},
    {"gitops": "{argocd: {destination: {server: null, name: in-cluster}}}"},
    {"kind": "{workers: 0}"},
    {"demo": "{ping: true}"},
    {"demo": "{ping: true}", "kind": "{workers: 2}"},
]


@pytest.mark.parametrize("members", GOOD)
def test_right_value_is_taken(members: dict[str, str]) -> None:
    assert complaints(lab(**members)) == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = complaints("extends: [1]\nfoo: 1\ncilium: {version: 1}\nencryption: {typ: x}\ndemo: {endor: 1, ping: 2}\n")

    assert found == [
        "1:11: error: extends: expected a DNS label (a-z, 0-9 and -), not the number 1; quote it: '1' [wrong-type]",
        f"2:1: error: unknown key 'foo'; known here: {KNOWN} [unknown-key]",
        f"3:19: error: {VERSION} the number 1; {VERSION_HINT} [wrong-type]",
        "4:13: error: encryption: type is missing; such as type: ipsec [missing-key]",
        "4:14: error: unknown key 'typ' in encryption; did you mean type? [unknown-key]",
        "5:15: error: demo.endor: expected true or false, not the number 1 [wrong-type]",
        "5:24: error: demo.ping: expected true or false, not the number 2 [wrong-type]",
    ]


@pytest.mark.parametrize(("text", "seen"), [("[]", "a list"), ("", "null"), ("5", "the number 5"), ("x", "'x'")])
def test_document_that_is_no_mapping_is_one_finding(text: str, seen: str) -> None:
    line = f"1:1: error: an environment: expected a mapping, not {seen}; with {KNOWN} [wrong-type]"

    assert complaints(text) == [line]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (
            "a" * 33,
            lab(),
            (
                "1:1: error: the cluster's name would be the file's, longer than 32 characters; set cluster.name "
                "[cluster-name]"
            ),
        ),
        (
            "default",
            lab(cluster="{id: 3}"),
            "3:15: error: the name default goes with id 0 only, not 3; set cluster.name [cluster-name]",
        ),
    ],
)
def test_name_of_the_file_has_to_do_as_the_name_of_the_cluster(name: str, text: str, line: str) -> None:
    assert complaints(text, name) == [line]


@pytest.mark.parametrize(
    ("name", "text"), [("a" * 33, lab(cluster="{name: a}")), ("default", lab()), ("a" * 32, lab())]
)
def test_name_of_the_file_is_free_where_the_cluster_s_name_does(name: str, text: str) -> None:
    assert complaints(text, name) == []


@pytest.mark.parametrize(
    "members",
    [
        {"cilium": "{version: 1.16.0, chart: {repository: 'https://user:hunter2@example.com'}}"},
        {"cilium": "{version: 1.16.0, chart: {repository: 'https://example.com/?token=hunter2'}}"},
        {"gitops": "{repository: 'https://user:hunter2@example.com/a.git'}"},
        {"gitops": "{repository: 'ssh://user:hunter2@example.com/a.git'}"},
    ],
)
def test_password_in_a_refused_address_is_not_repeated(members: dict[str, str]) -> None:
    (line,) = complaints(lab(**members))

    assert "hunter2" not in line


@pytest.mark.parametrize("revision", ["a..b", "a.lock", "a.lock/b"])
def test_revision_that_git_refuses_as_a_name_is_refused(revision: str) -> None:
    line = f"3:20: error: gitops.revision: expected a branch or tag, not {revision!r} [wrong-value]"

    assert complaints(lab(gitops=f"{{revision: {revision}}}")) == [line]


@pytest.mark.parametrize(
    ("member", "value"),
    [("extends", "lab"), ("extends", "12"), ("protected", "yes"), ("protected", "'false'")],
)
def test_hint_that_is_followed_is_taken(member: str, value: str) -> None:
    _, (finding,) = parsed(lab(**{member: value}))

    followed = re.sub("^write ", "", finding.hint)

    assert complaints(lab(**{member: followed})) == []


@pytest.mark.parametrize("value", ["null", "~", ""])
def test_nothing_is_no_name_that_a_hint_could_use(value: str) -> None:
    _, (finding,) = parsed(lab(extends=value))

    assert finding.message == "extends: expected a list of names, not null"
    assert finding.hint in {"", "write []"}


SCHEMA = model.json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_schema_is_one_of_2020_12() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def leaves(data: dict[str, Any], path: str = "") -> dict[str, Plain]:
    """Every member that is no mapping, by its dotted path; an empty mapping counts as none."""
    found: dict[str, Plain] = {}
    for key, value in data.items():
        found |= leaves(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return found


def properties(schema: Schema, path: str = "") -> dict[str, Schema]:
    """Every property of a schema by its dotted path, those of a nullable mapping among them."""
    found: dict[str, Schema] = {}
    for alternative in [schema, *schema.get("anyOf", [])]:
        for key, value in alternative.get("properties", {}).items():
            found[path + key] = value
            found |= properties(value, f"{path}{key}.")
    return found


PROPERTIES = properties(SCHEMA)


def test_schema_has_every_member_of_the_interface_and_no_other() -> None:
    free = ("cilium.values.",)
    expected = {path for path in leaves(document(EXAMPLE)) if not path.startswith(free)} | {"cilium.values"}

    assert {path for path, schema in PROPERTIES.items() if "properties" not in str(schema)} == expected


def offered(path: str) -> Plain:
    """The default that an editor offers for a member: its own, or that of the mapping around it."""
    around, _, last = path.rpartition(".")
    mapping = PROPERTIES.get(around, {}).get("default")
    offer: Plain = mapping[last] if isinstance(mapping, dict) else PROPERTIES[path].get("default", "none")
    return offer


@pytest.mark.parametrize(("path", "value"), leaves(document(DEFAULTS)).items())
def test_schema_says_the_default_of_the_interface(path: str, value: Plain) -> None:
    assert repr(offered(path)) == repr(value)


@pytest.mark.parametrize("path", [path for path, schema in PROPERTIES.items() if "default" in schema])
def test_default_that_the_schema_offers_fits_the_schema(path: str) -> None:
    assert list(Draft202012Validator(PROPERTIES[path]).iter_errors(PROPERTIES[path]["default"])) == []


def test_schema_describes_every_member() -> None:
    assert [path for path, schema in PROPERTIES.items() if not schema.get("description")] == []


def test_schema_is_closed_at_every_level_but_the_values() -> None:
    mappings = [SCHEMA, *PROPERTIES.values()]
    open_ones = [
        schema
        for outer in mappings
        for schema in [outer, *outer.get("anyOf", [])]
        if schema.get("type") == "object" and schema.get("additionalProperties") is not False
    ]

    assert open_ones == [PROPERTIES["cilium.values"]]


@pytest.mark.parametrize("members", GOOD)
def test_schema_takes_what_the_parser_takes(members: dict[str, str]) -> None:
    assert list(VALIDATOR.iter_errors(document(lab(**members)))) == []


@pytest.mark.parametrize("text", ["{}", DEFAULTS, EXAMPLE, lab(), "encryption: {type: ipsec}"])
def test_schema_takes_a_file_whose_groups_say_the_rest(text: str) -> None:
    assert list(VALIDATOR.iter_errors(document(text))) == []


@pytest.mark.parametrize("members", [members for members, _ in WRONG])
def test_schema_refuses_what_the_parser_refuses(members: dict[str, str]) -> None:
    assert not VALIDATOR.is_valid(document(lab(**members)))


MEMBERS = ["", *PROPERTIES]
ODD: st.SearchStrategy[Plain] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 300),
        st.floats(-2, 300),
        st.text(max_size=40),
        st.sampled_from(["a", "5m", "ipsec", "ztunnel", "argocd", "yes", "1.16.0", "https://a/b", "a" * 70, "default"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["name", "id", "typ", "type", "egress", "x"]), inner, max_size=3),
    ),
    max_leaves=4,
)


def with_member(path: str, value: Plain) -> Plain:
    """The example with one member replaced, or the whole of it."""
    if not path:
        return value
    data: dict[str, Any] = deepcopy(document(EXAMPLE))
    *parents, last = path.split(".")
    below: Any = data
    for parent in parents:
        below = below[parent]
    below[last] = value
    return data


@given(st.sampled_from(MEMBERS), ODD)
@settings(max_examples=2 * EXAMPLES, deadline=2000)
def test_any_value_anywhere_is_taken_or_told_in_one_line(path: str, value: Plain) -> None:
    data = with_member(path, value)

    environment, found = parsed(emit(data))

    assert environment is not None or found
    assert [str(finding) for finding in found if not str(finding).isprintable()] == []
    assert found or VALIDATOR.is_valid(data)


def test_multi_line_text_is_told_in_one_line() -> None:
    assert [line for line in complaints(lab(extends='"a\\nb"')) if "\n" in line] == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("0s", 0), ("5m", 300), ("1h30m", 5400), ("90d", 7_776_000), ("2w", 1_209_600), ("1.5h", 5400)),
        *(("1ms", 0.001), ("1m1ms", 60.001), ("1us", 1e-6), ("1ns", 1e-9), ("1d1h1m1s", 90_061)),
    ],
)
def test_duration_counts_in_seconds_and_keeps_its_words(text: str, seconds: float) -> None:
    span = span_of(text)

    assert (str(span), round(span.seconds, 9)) == (text, seconds)


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(list(shapes.UNITS))), min_size=1, max_size=4))
def test_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)

    span = Duration(tuple(shapes.UNITS)).read(Node(text), "", [])

    assert span.seconds == pytest.approx(sum(number * shapes.UNITS[unit] for number, unit in parts))


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "+5m", "5M", ".5h", "5.h", "5m ", "5m\n", "\u0665m"])
def test_duration_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(WrongError, match=r"^expected a duration such as 5m, not "):
        Duration().read(Node(text), "", [])


@pytest.mark.parametrize(
    ("word", "name"),
    [
        *(("nodeEncrption", "nodeEncryption"), ("NODEENCRYPTION", "nodeEncryption"), ("encyption", "encryption")),
        *(("key_size", "keySize"), ("keysize", "keySize"), ("zzz", None), ("", None)),
    ],
)
def test_nearest_name_is_the_one_that_was_meant(word: str, name: str | None) -> None:
    assert nearest(word, ["nodeEncryption", "encryption", "keySize"]) == name


def test_nothing_is_near_where_nothing_is_known() -> None:
    assert nearest("a", []) is None


@pytest.mark.parametrize("text", ["A", "a\n", "a b", "", "é"])
def test_text_fits_its_pattern_whole(text: str) -> None:
    with pytest.raises(WrongError) as wrong:
        Text("[a-z]+", "letters", "only a to z", longest=3).read(Node(text), "", [])

    assert (wrong.value.message, wrong.value.hint) == (f"expected letters, not {text!r}", "only a to z")


def test_shapes_take_what_fits() -> None:
    findings: list[Finding] = []

    values = [
        Text("[a-z]+", "letters").read(Node("a"), "", findings),
        Flag().read(Node(value=True), "", findings),
        Flag().read(Node(value=False), "", findings),
        Number(1, 3).read(Node(1), "", findings),
        Number(1, 3).read(Node(3), "", findings),
        Choice(("a", "b")).read(Node("b"), "", findings),
        Choice((1, 2)).read(Node(2), "", findings),
        Names(Text("[a-z]", "a letter")).read(Node([Node("a"), Node("b")]), "", findings),
    ]

    assert values == ["a", True, False, 1, 3, "b", 2, ("a", "b")]
    assert findings == []


@pytest.mark.parametrize("value", [True, 1.0, "1"])
def test_choice_of_numbers_takes_nothing_that_only_equals_one(value: float | str) -> None:
    with pytest.raises(WrongError, match=r"^expected one of 1, 2, not "):
        Choice((1, 2)).read(Node(value, text="1"), "", [])


def test_record_that_is_not_whole_is_no_value() -> None:
    findings: list[Finding] = []
    node, _ = read(b"{typ: x}", SOURCE)
    assert node is not None

    with pytest.raises(ReportedError):
        Record(model.Encryption).read(node, "encryption", findings)

    assert sorted(finding.rule for finding in findings) == ["missing-key", "unknown-key"]


@pytest.mark.parametrize(
    ("value", "default"),
    [(("a", "b"), ["a", "b"]), ((), []), (span_of("5m"), "5m"), (None, None), (False, False), (128, 128), ("", "")],
)
def test_default_is_written_as_in_the_file(value: object, default: Plain) -> None:
    assert default_of(value) == default


def test_option_is_a_keyword_of_its_record() -> None:
    member = option(Flag(), "words", default=False)

    assert (member.kw_only, member.default, member.metadata["shape"], member.metadata["doc"]) == (
        True,
        False,
        Flag(),
        "words",
    )
