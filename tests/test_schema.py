"""The JSON Schema that editors read: in step with the model, and true of the samples that point at it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from kit import HERE, PROJECT, Repo

from generator import cli, nodes, workspace, yamlio
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENTS = PROJECT / "environments"
SCHEMA = ENVIRONMENTS / ".schema.json"
FILES = sorted(ENVIRONMENTS.rglob("*.yaml"))
FINDINGS = HERE / "golden" / "findings"
FURTHER = sorted((HERE / "golden" / "workspace" / "environments").glob("*.yaml"))
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")


def schema() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(SCHEMA.read_text("utf-8"))
    return read


def misfits(data: object) -> list[str]:
    """What the schema says against an environment, each with its place."""
    found = jsonschema.Draft202012Validator(schema()).iter_errors(data)
    return sorted(f"{error.json_path}: {error.validator}" for error in found)


def test_schema_beside_the_samples_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(["schema"])

    assert (code, capsys.readouterr().out) == (0, SCHEMA.read_text("utf-8"))


def test_schema_is_one_of_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())

    assert schema()["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("file", [*FILES, *FURTHER], ids=lambda file: file.relative_to(PROJECT).as_posix())
def test_file_fits_the_schema(file: Path) -> None:
    assert misfits(yaml.safe_load(file.read_text("utf-8"))) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PROJECT).as_posix())
def test_first_line_points_an_editor_at_the_schema(file: Path) -> None:
    match = MODELINE.match(file.read_text("utf-8"))

    assert match is not None
    assert (file.parent / match[1]).resolve() == SCHEMA


WHOLE = """
extends: []
protected: false
cluster: {name: lab, id: 0, mesh: null}
cilium:
  version: 1.16.0
  namespace: kube-system
  chart: {repository: 'https://helm.cilium.io', name: cilium}
  values: {}
encryption:
  type: ipsec
  nodeEncryption: false
  strictMode: null
  ipsec:
    algorithm: rfc4106-gcm-aes
    keySize: 128
    keyRotationDuration: 5m
    maxKeyAge: 90d
    cooldown: 1h
  wireguard: {persistentKeepalive: 0s}
gitops:
  engine: none
  repository: null
  revision: main
  path: ''
  flux: {namespace: flux-system, sourceName: flux-system, decryptionSecret: sops-age, interval: 10m}
  argocd: {namespace: argocd, project: default, destination: {server: 'https://kubernetes.default.svc'}, secrets: ksops}
demo: {endor: false, ping: false}
kind: null
"""
# Every key that the format has, once, with its default or, where that is null, with a value.
GIVEN = """
cluster: {mesh: europe}
encryption: {strictMode: {egress: {cidr: 10.244.0.0/16, allowRemoteNodeIdentities: true}, ingress: false}}
gitops: {repository: 'https://git.example.com/platform/clusters.git', argocd: {destination: {name: lab}}}
kind: {name: kind, controlPlanes: 1, workers: 3}
"""


@pytest.mark.parametrize("text", [WHOLE, GIVEN, "{}"], ids=["whole", "given", "empty"])
def test_documented_file_fits_the_schema(text: str) -> None:
    assert misfits(yaml.safe_load(text)) == []


def test_documented_defaults_are_the_models(repo: Repo) -> None:
    repo.environment("whole", WHOLE)
    repo.environment(
        "short", "cluster: {name: lab}\ncilium: {version: 1.16.0}\nencryption: {type: ipsec}\ngitops: {engine: none}\n"
    )

    short, whole = (_shown(one) for one in workspace.load(WorkTree(repo.root)).environments)

    assert short == whole


def _shown(environment: object) -> str:
    """An environment's values; of `cilium.values` nothing, since a node has its own place."""
    return re.sub(r"(values=Node\(.*?\))|(name='(short|whole)')", "", repr(environment))


def test_schema_names_every_documented_key_and_no_other() -> None:
    assert set(_keys(schema())) == set(_paths(yaml.safe_load(WHOLE))) | set(_paths(yaml.safe_load(GIVEN)))


def _paths(data: object, path: str = "") -> list[str]:
    if not isinstance(data, dict):
        return []
    return [below for key, value in data.items() for below in (f"{path}.{key}", *_paths(value, f"{path}.{key}"))]


def _keys(part: dict[str, Any], path: str = "") -> list[str]:
    """Every key that a schema names, and that each mapping but `cilium.values` is closed."""
    found = []
    for alternative in part.get("anyOf", [part]):
        properties = alternative.get("properties", {})
        assert alternative.get("additionalProperties", True) is (not properties)
        found += [one for key, value in properties.items() for one in (f"{path}.{key}", *_keys(value, f"{path}.{key}"))]
    return found


# Cases whose findings are about one value each, which an editor can tell by the schema alone.
TOLD_BY_EDITORS = ("choice", "flag", "not-yet", "number-range", "text", "unknown-key", "version")
REFUSED = [file for case in TOLD_BY_EDITORS for file in sorted((FINDINGS / case / "environments").iterdir())]


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.relative_to(FINDINGS).as_posix())
def test_editor_tells_what_render_refuses(file: Path) -> None:
    node, _ = yamlio.read(file.read_bytes(), file.name)

    assert node is not None
    assert misfits(nodes.plain(node)) != []
