"""What other tools need in order to write the files that keyturn writes for a fleet, each in its own natural form.

Each function writes the input into an empty folder and returns how many files the tool is to make of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml
from bench import fleet

if TYPE_CHECKING:
    from pathlib import Path

    from bench.fleet import Fleet

# Jinja drops the last line's end where nobody asks it to keep it, and both peers that use it do not ask.
_LAST_LINE: Final = "\n"


def kapitan(folder: Path, measured: Fleet) -> int:
    """One class for what is compiled, one for each group, one target for each environment, Jinja2 templates."""
    pattern = measured.pattern()
    for path, text in fleet.templates(pattern, "{{ inventory.parameters.cluster.% }}").items():
        _write(folder / "templates" / path, text + _LAST_LINE)
    compiled = {"input_type": "jinja2", "input_paths": ["templates"], "output_path": "."}
    _dump(folder / "inventory/classes/common.yml", {"parameters": {"kapitan": {"compile": [compiled]}}})
    for group in range(fleet.GROUPS):
        version = {"parameters": {"cluster": {"version": fleet.VERSION}}}
        _dump(folder / f"inventory/classes/g{group}.yml", version)
    for number, name in enumerate(measured.names):
        own = {"cluster": {"name": name, "id": fleet.id_of(number)}, "kapitan": {"vars": {"target": name}}}
        target = {"classes": ["common", fleet.group_of(number)], "parameters": own}
        _dump(folder / f"inventory/targets/{name}.yml", target)
    return len(pattern) * measured.count


def make_argocd_fly(folder: Path, measured: Fleet) -> int:
    """One application of its type `generic`, and one environment with values of its own for each of the fleet's.

    Its type `k8s` would name the files otherwise and take the kustomizations for its own input.  It has no groups.
    """
    pattern = measured.pattern()
    for path, text in fleet.templates(pattern, "{{ % }}").items():
        _write(folder / f"source/cluster/{path}.j2", text + _LAST_LINE)
    _dump(folder / "config/vars.yml", {"vars": {"version": fleet.VERSION}})
    apps = {"cluster": {"params": {"app_type": "generic"}}}
    environments = {
        name: {"vars": {"name": name, "id": fleet.id_of(number)}, "apps": apps}
        for number, name in enumerate(measured.names)
    }
    _dump(folder / "config/environments.yml", {"envs": environments})
    return len(pattern) * measured.count


def helm(folder: Path, measured: Fleet) -> int:
    """One chart, values for each group and for each environment."""
    pattern = measured.pattern()
    for path, text in fleet.templates(pattern, "{{ .Values.% }}").items():
        _write(folder / "chart/templates" / path, text)
    _dump(folder / "chart/Chart.yaml", {"apiVersion": "v2", "name": "cluster", "version": "0.1.0"})
    for group in range(fleet.GROUPS):
        _dump(folder / f"values/groups/g{group}.yaml", {"version": fleet.VERSION})
    for number, name in enumerate(measured.names):
        own = {"group": fleet.group_of(number), "name": name, "id": fleet.id_of(number)}
        _dump(folder / f"values/{name}.yaml", own)
    return len(pattern) * measured.count


# What kustomize reads instead of making it, and what is no object of Kubernetes.
_NO_OBJECTS: Final = ("bootstrap.sh", "cilium/values.yaml", "cilium/kustomizeconfig.yaml", "kind.yaml")


def kustomize(folder: Path, measured: Fleet) -> int:
    """A base with every object, an overlay for each environment with its patches, values.yaml and bootstrap.sh.

    It makes a file for each object and not for each file that keyturn writes; what is no object becomes part of a
    ConfigMap, as Flux has it too.
    """
    pattern = measured.pattern()
    base = fleet.files_of(pattern, "base", 0)
    objects = {
        path.replace("/", "-"): text
        for path, text in base.items()
        if path not in _NO_OBJECTS and not path.endswith("kustomization.yaml")
    }
    for file, text in objects.items():
        _write(folder / "base" / file, text)
    _dump(folder / "base/kustomization.yaml", {"resources": sorted(objects)})
    for number, name in enumerate(measured.names):
        overlay = folder / "overlays" / name
        own = fleet.files_of(pattern, name, number)
        for path in ("bootstrap.sh", "cilium/values.yaml", "cilium/kustomizeconfig.yaml"):
            _write(overlay / path.rpartition("/")[2], own[path])
        _dump(overlay / "kustomization.yaml", _overlay(name))
    documents = [one for text in objects.values() for one in yaml.safe_load_all(text)]
    return (len(documents) + 1) * measured.count


def _overlay(name: str) -> dict[str, Any]:
    patches = []
    for part, needs in {"secrets": None, "cilium": "secrets", "demo": "cilium"}.items():
        edits = [
            {"op": "replace", "path": "/metadata/name", "value": f"{name}-{part}"},
            {"op": "replace", "path": "/spec/path", "value": f"./clusters/{name}/{part}"},
        ]
        if needs:
            edits.append({"op": "replace", "path": "/spec/dependsOn/0/name", "value": f"{name}-{needs}"})
        target = {"kind": "Kustomization", "name": f"base-{part}"}
        patches.append({"target": target, "options": {"allowNameChange": True}, "patch": yaml.safe_dump(edits)})
    values = {"name": "cilium-values", "namespace": "kube-system", "files": ["values.yaml", "bootstrap.sh"]}
    return {
        "resources": ["../../base"],
        "configMapGenerator": [values],
        "configurations": ["kustomizeconfig.yaml"],
        "patches": patches,
    }


def _dump(file: Path, data: object) -> None:
    _write(file, yaml.safe_dump(data, sort_keys=False))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
