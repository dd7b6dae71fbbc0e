"""Two versions of sops read and write each other's files: the one that pip brings, and the newest."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from e2e import programs, stories
from kit import Ran, Repo
from rig import SECRET, keyring

if TYPE_CHECKING:
    from pathlib import Path

FILE = f"clusters/lab-ipsec/{SECRET}"


@pytest.fixture(scope="module")
def paths(place: Path) -> dict[str, str]:
    """PATHs, on which sops is the wheel's, or the newest."""
    stories.needs("sops")
    newest = place / "newest"
    newest.mkdir()
    (newest / "sops").symlink_to(programs.find("sops"))
    return {"wheel": os.environ["PATH"], "newest": f"{newest}:{os.environ['PATH']}"}


@pytest.fixture
def repo(place: Path, request: pytest.FixtureRequest) -> Repo:
    root = place / re.sub(r"\W", "-", request.node.name)
    root.mkdir()
    return Repo(root)


def run(repo: Repo, path: str, *words: str) -> str:
    ran: Ran = repo.run(*words, env={"PATH": path})
    assert ran.code == 0, ran.err
    return ran.out


def sops(repo: Repo, path: str, *words: str) -> str:
    argv = ["env", f"PATH={path}", "sops", *words]
    return subprocess.run(argv, cwd=repo.root, capture_output=True, text=True, check=True).stdout


def version(repo: Repo, path: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", sops(repo, path, "--disable-version-check", "--version"))
    assert found
    return tuple(int(part) for part in found.groups())


def line(repo: Repo, path: str) -> str:
    return sops(repo, path, "decrypt", "--extract", '["stringData"]["keys"]', FILE)


def test_these_are_two_versions(repo: Repo, paths: dict[str, str]) -> None:
    assert version(repo, paths["wheel"]) != version(repo, paths["newest"])


@pytest.mark.parametrize(("writer", "reader"), [("wheel", "newest"), ("newest", "wheel")])
def test_what_one_wrote_the_other_reads_proves_and_rotates(
    repo: Repo, paths: dict[str, str], writer: str, reader: str
) -> None:
    run(repo, paths[writer], "init")
    run(repo, paths[writer], "render", "--new-identity")
    repo.commit("the clusters")
    wrote = version(repo, paths[writer])
    assert yaml.safe_load(repo.read(FILE))["sops"]["version"] == ".".join(str(part) for part in wrote)

    assert re.fullmatch(r"1\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128", line(repo, paths[reader]))
    run(repo, paths[reader], "validate")  # with the key at hand: every MAC, and what the annotations tell
    run(repo, paths[reader], "rotate", "lab-ipsec", "--force")
    repo.git("merge", "-q", "--ff-only", "keyturn/rotate-lab-ipsec-2")
    assert line(repo, paths[writer]).startswith("2+ ")
    run(repo, paths[writer], "validate")


def test_identity_that_keyturn_makes_is_one_of_age(repo: Repo, paths: dict[str, str], home: Path) -> None:
    stories.needs("age")
    run(repo, paths["wheel"], "init")
    run(repo, paths["wheel"], "render", "--new-identity")
    (told,) = yaml.safe_load(repo.read(FILE))["sops"]["age"]

    public = subprocess.run(["age-keygen", "-y", keyring(home)], capture_output=True, text=True, check=True).stdout
    opened = subprocess.run(
        ["age", "--decrypt", "-i", keyring(home)], input=told["enc"].encode(), capture_output=True, check=True
    ).stdout

    assert public.split() == [told["recipient"]]
    assert len(opened) == 32  # the data key, by which sops encrypts each value
