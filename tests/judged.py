"""A rendered and committed repository to judge, made once a session, and changes to it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import rig
import sealed
import turned
import yaml
from kit import WIREGUARD, Repo

if TYPE_CHECKING:
    from pathlib import Path

LAB = sealed.path("lab")
VALUES = "clusters/lab/cilium/values.yaml"


def world(folder: Path) -> Path:
    """Return a folder with `repo` and its `home`: a lab, a mesh of two, and WireGuard, rendered a day ago."""
    repo = Repo(folder / "repo")
    repo.write("README.md", "words\n")
    home = turned.person(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        rig.lab(repo, home)
        repo.environment("wg", WIREGUARD)
        for number, name in enumerate(("m1", "m2"), start=1):
            repo.environment(name, sealed.member(number))
        assert rig.command(repo.root, "-q", "render").code == 0
        turned.commit(repo, "first keys")
        turned.pack(repo)
    return folder


def copied(made: Path, repo: Repo, home: Path) -> Repo:
    """Copy what `world` made to a test's own folders."""
    shutil.copytree(made / "repo", repo.root, symlinks=True, dirs_exist_ok=True)
    shutil.copytree(made / "home", home, dirs_exist_ok=True)
    return repo


def edit(repo: Repo, path: str, old: str, new: str) -> None:
    """Replace text that stands in a file once or more often."""
    text = repo.read(path)
    assert old in text, (path, old)
    repo.write(path, text.replace(old, new))


def document(repo: Repo, path: str = LAB) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(repo.read(path))
    return read


def keyless(home: Path) -> None:
    """Take the private keys away."""
    sealed.shut(home)
