"""What stands in the way of a rendered file and is not keyturn's: refused by name, and nothing is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import rig
from kit import IPSEC, WIREGUARD, Ran, Repo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = "# Rendered by keyturn from environments/lab.yaml; edits are overwritten\n"
SECRET = f"clusters/lab/{rig.SECRET}"


def file(path: str, text: str = "somebody's\n") -> Callable[[Repo], None]:
    def put(repo: Repo) -> None:
        repo.write(path, text)

    return put


def link(path: str, target: str) -> Callable[[Repo], None]:
    def put(repo: Repo) -> None:
        place = repo.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    return put


def link_to_our_own_file(repo: Repo) -> None:
    repo.write("clusters/lab/kept.yaml", HEADER)
    (repo.root / "clusters/lab/bootstrap.sh").symlink_to("kept.yaml")


def folder(path: str) -> Callable[[Repo], None]:
    def put(repo: Repo) -> None:
        (repo.root / path).mkdir(parents=True)

    return put


def pipe(path: str) -> Callable[[Repo], None]:
    def put(repo: Repo) -> None:
        (repo.root / path).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(repo.root / path)

    return put


IN_THE_WAY = {
    "a foreign file": (file("clusters/lab/bootstrap.sh"), "clusters/lab/bootstrap.sh"),
    "an empty file": (file("clusters/lab/cilium/values.yaml", ""), "clusters/lab/cilium/values.yaml"),
    "a file with our words further down": (
        file("clusters/lab/bootstrap.sh", f"\n{HEADER}"),
        "clusters/lab/bootstrap.sh",
    ),
    "a file where a folder has to be": (file("clusters/lab/cilium"), "clusters/lab/cilium"),
    "a file of ours where a folder has to be": (file("clusters/lab/cilium", HEADER), "clusters/lab/cilium"),
    "a file where the environment's folder has to be": (file("clusters/lab"), "clusters/lab"),
    "a file where clusters/ has to be": (file("clusters"), "clusters"),
    "a folder where a file has to be": (folder("clusters/lab/bootstrap.sh"), "clusters/lab/bootstrap.sh"),
    "a link to a file of ours": (link_to_our_own_file, "clusters/lab/bootstrap.sh"),
    "a link to nothing": (link("clusters/lab/bootstrap.sh", "nowhere"), "clusters/lab/bootstrap.sh"),
    "a link to a folder": (link("clusters/lab/cilium", "../../elsewhere"), "clusters/lab/cilium"),
    "a link as the environment's folder": (link("clusters/lab", "../elsewhere"), "clusters/lab"),
    "a link as clusters/": (link("clusters", "elsewhere"), "clusters"),
    "a pipe": (pipe("clusters/lab/bootstrap.sh"), "clusters/lab/bootstrap.sh"),
    "a folder in the Secret's place": (folder(SECRET), SECRET),
    "a link as the Secret's folder": (link("clusters/lab/secrets", "../../elsewhere"), "clusters/lab/secrets"),
}


@pytest.mark.parametrize(("put", "blocked"), IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_what_is_in_the_way_is_named_and_nothing_is_written(
    repo: Repo, home: Path, put: Callable[[Repo], None], blocked: str
) -> None:
    rig.lab(repo, home)
    repo.environment("another", WIREGUARD)
    repo.write("elsewhere/values.yaml", HEADER)
    put(repo)
    before = rig.standing(repo.root, without=(".git",))

    ran = rig.command(repo.root, "render")

    message = (
        f"keyturn: error: not written by keyturn: {blocked}; move it away, then render again; nothing was written\n"
    )
    assert ran == Ran(3, "", message)
    assert rig.standing(repo.root, without=(".git",)) == before


@pytest.mark.parametrize("put", [link(SECRET, "../../../elsewhere.yaml"), pipe(SECRET)], ids=["link", "pipe"])
def test_secret_that_is_not_a_regular_file_is_refused(repo: Repo, home: Path, put: Callable[[Repo], None]) -> None:
    rig.lab(repo, home)
    repo.write("elsewhere.yaml", "kind: Secret\n")
    put(repo)
    before = rig.standing(repo.root, without=(".git",))

    ran = rig.command(repo.root, "render")

    assert ran == Ran(3, "", f"keyturn: error: {SECRET} is not a regular file; move it away\n")
    assert rig.standing(repo.root, without=(".git",)) == before


def test_everything_in_the_way_of_every_environment_is_named_at_once(repo: Repo) -> None:
    repo.init()
    for name in ("lab", "other"):
        repo.environment(name, WIREGUARD)
        repo.write(f"clusters/{name}/bootstrap.sh", "somebody's\n")
    repo.write("clusters/other/flux/cilium.yaml", "somebody's\n")

    ran = rig.command(repo.root, "render")

    named = "clusters/lab/bootstrap.sh, clusters/other/bootstrap.sh, clusters/other/flux/cilium.yaml"
    message = f"keyturn: error: not written by keyturn: {named}; move it away, then render again; nothing was written\n"
    assert ran == Ran(3, "", message)


def test_check_refuses_what_the_run_refuses(repo: Repo) -> None:
    repo.init()
    repo.environment("lab", WIREGUARD)
    repo.write("clusters/lab/bootstrap.sh", "somebody's\n")

    assert rig.command(repo.root, "render", "--check") == rig.command(repo.root, "render")


def test_no_identity_is_made_where_a_file_is_in_the_way(repo: Repo, home: Path) -> None:
    repo.init()
    repo.environment("lab", IPSEC)
    repo.write("clusters/lab/bootstrap.sh", "somebody's\n")

    ran = rig.command(repo.root, "render", "--new-identity")

    assert (ran.code, rig.keyring(home).exists(), (repo.root / ".sops.yaml").exists()) == (3, False, False)


def test_rendering_goes_on_once_the_file_was_moved_away(repo: Repo) -> None:
    repo.init()
    repo.environment("lab", WIREGUARD)
    blocker = repo.write("clusters/lab/bootstrap.sh", "somebody's\n")
    rig.command(repo.root, "render")
    blocker.rename(repo.root / "clusters/lab/mine.sh")

    ran = rig.command(repo.root, "render")

    assert (ran.code, ran.err, repo.read("clusters/lab/mine.sh")) == (0, "", "somebody's\n")


@pytest.mark.parametrize(
    "path",
    [
        "templates/cilium/values.yaml.j2",
        "environments/b.yaml",
        "environments/groups/b.yaml",
        "environments/defaults.yaml",
    ],
)
def test_link_brings_no_file_of_the_machine_into_the_tree(repo: Repo, home: Path, path: str) -> None:
    repo.environment("lab", WIREGUARD)
    (home / "private").write_text("private", "utf-8")
    link(path, str(home / "private"))(repo)
    before = repo.files()

    ran = rig.command(repo.root, "render", "--check", "--diff")

    assert (ran.code, ran.out, "private" in ran.err.replace(path, "")) == (2, "", False)
    assert "is no regular file" in ran.err
    assert repo.files() == before


def test_linked_folder_of_templates_is_refused(repo: Repo, home: Path) -> None:
    repo.environment("lab", WIREGUARD)
    (repo.root / "templates").symlink_to(home)

    ran = rig.command(repo.root, "render", "--check")

    assert ran == Ran(2, "", f"keyturn: error: {repo.root}/templates is a link; make it a folder\n")


def test_defaults_that_link_to_nowhere_are_told_and_not_left_out(repo: Repo) -> None:
    repo.environment("lab", WIREGUARD)
    link("environments/defaults.yaml", "nowhere")(repo)

    ran = rig.command(repo.root, "render", "--check")

    message = "environments/defaults.yaml: error: is no regular file; write it here [stray-file]"
    assert ran == Ran(2, "", f"{message}\n")
