"""Argo CD: a real API server takes every Application, and kustomize with the real KSOPS builds the Secret."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import rig
import yaml
from e2e import controlplane, stories

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.controlplane import Cluster
    from e2e.hosting import Host
    from e2e.stories import Lab


# Stands in for KSOPS, a function on stdin and stdout: it shows kustomize's half of the work, and not KSOPS's own.
STAND_IN = """
import subprocess, sys, yaml
asked = yaml.safe_load(sys.stdin)
assert asked["functionConfig"]["kind"] == "ksops"
files = asked["functionConfig"]["files"]
clear = [subprocess.run(["sops", "decrypt", file], capture_output=True, check=True).stdout for file in files]
items = [yaml.safe_load(one) for one in clear]
print(yaml.safe_dump({"apiVersion": asked["apiVersion"], "kind": "ResourceList", "items": items}))
"""


@pytest.fixture(scope="module")
def lab(place: Path, host: Host, cluster: Cluster) -> Lab:
    """What `keyturn init` starts, of which three environments are Argo CD's; a cluster that knows its kinds."""
    cluster.install(controlplane.ARGOCD_CRDS)
    cluster.kubectl("create", "namespace", "argocd")
    return stories.begin("production", place / "clusters", host, cluster)


def applications(lab: Lab) -> list[Path]:
    root = lab.repo.root / "clusters"
    return sorted([*root.glob("*/argocd/*.yaml"), *root.glob("*/argocd-root.yaml")])


def offer(lab: Lab, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Have the API server judge manifests as if it took them, and take no field that it does not know."""
    argv = ["kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict", *words]
    return subprocess.run(argv, cwd=lab.repo.root, input=given, capture_output=True, text=True, timeout=60, check=False)


def build(lab: Lab, path: str, env: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run kustomize as Argo CD's repo-server does where KSOPS is set up."""
    argv = ["kustomize", "build", "--enable-alpha-plugins", "--enable-exec", path]
    around = {**os.environ, **({"PATH": env} if env else {})}
    return subprocess.run(argv, cwd=lab.repo.root, env=around, capture_output=True, text=True, timeout=60, check=False)


def decrypted(built: str) -> str:
    """The key line of the Secret that kustomize built, which has to be all that it built."""
    found = yaml.safe_load(built)
    assert (found["kind"], found["metadata"]["name"]) == ("Secret", "cilium-ipsec-keys")
    return str(found["stringData"]["keys"])


def test_api_server_takes_every_application(lab: Lab) -> None:
    files = applications(lab)
    names = [yaml.safe_load(file.read_text("utf-8"))["metadata"]["name"] for file in files]

    done = offer(lab, *(word for file in files for word in ("-f", str(file))))

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"application.argoproj.io/{name} serverside-applied (server dry run)" for name in names
    ]
    assert {name.rsplit("-", 1)[1] for name in names} == {"root", "secrets", "cilium", "demo"}


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("targetRevision:", "targetRevison:", ".spec.source.targetRevison: field not declared in schema"),
        ("  project: default\n", "", "spec.project: Required value"),
    ],
)
def test_api_server_refuses_what_is_not_an_application(lab: Lab, right: str, wrong: str, words: str) -> None:
    text = lab.repo.read("clusters/production/argocd/secrets.yaml")
    assert right in text

    done = offer(lab, "-f", "-", given=text.replace(right, wrong))

    assert done.returncode == 1
    assert words in done.stderr


def test_kustomize_takes_the_generator_and_asks_for_ksops(lab: Lab) -> None:
    stories.needs("kustomize")
    around = os.pathsep.join(one for one in os.environ["PATH"].split(os.pathsep) if not shutil.which("ksops", path=one))

    done = build(lab, "clusters/production/secrets", around)

    assert done.returncode == 1
    assert '"ksops": executable file not found' in done.stderr


def test_kustomize_hands_the_generator_to_a_program_called_ksops(lab: Lab, place: Path) -> None:
    stories.needs("kustomize")
    script = rig.script(place / "stand-in", "ksops", f"exec {sys.executable} -c '{STAND_IN}'\n")

    done = build(lab, "clusters/production/secrets", f"{script.parent}{os.pathsep}{os.environ['PATH']}")

    assert done.returncode == 0, done.stderr
    assert decrypted(done.stdout) == lab.line


def test_real_ksops_gives_the_decrypted_secret(lab: Lab) -> None:
    if not shutil.which("ksops"):
        pytest.skip("NOT RUN: no ksops on PATH, and none could be pinned under tools/: see tests/e2e/README.md")

    done = build(lab, "clusters/production/secrets")

    assert done.returncode == 0, done.stderr
    assert decrypted(done.stdout) == lab.line
