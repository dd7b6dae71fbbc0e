"""Cluster Mesh without keys: what its members have to agree on, and which files are read to find them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import rig
from kit import IPSEC, WIREGUARD, Ran, Repo

from generator import workspace
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NONE = "{engine: none}"
ARGOCD = "{engine: argocd, repository: https://git.example.com/clusters.git}"
RULE = "mesh-rotation-duration"


def flux(interval: str) -> str:
    return f"{{engine: flux, flux: {{interval: {interval}}}}}"


def member(
    number: int, mesh: str = "production", *, gitops: str = NONE, ipsec: str = "", version: str = "1.16.0"
) -> str:
    """An environment with IPsec in a mesh."""
    said = IPSEC.replace("{type: ipsec}", f"{{type: ipsec, ipsec: {{{ipsec}}}}}").replace("1.16.0", version)
    return f"{said}gitops: {gitops}\ncluster: {{mesh: {mesh}, id: {number}}}\n"


def told(repo: Repo, *names: str) -> list[tuple[str, str]]:
    """File and rule of each finding."""
    return [(finding.path, finding.rule) for finding in workspace.load(WorkTree(repo.root), names).findings]


# What members agree on


ROTATIONS = [
    ("{engine: flux}", "25m", []),
    ("{engine: flux}", "24m59s", [RULE]),
    ("{engine: flux}", "30m", []),
    (flux("1m"), "7m", []),
    (flux("1m"), "6m59s", [RULE]),
    (flux("7m37s"), "20m14s", []),
    (flux("7m37s"), "20m13s", [RULE]),
    (flux("12m30s"), "30m", []),
    (flux("12m31s"), "30m", [RULE]),
    (ARGOCD, "11m", []),
    (ARGOCD, "10m59s", [RULE]),
    (NONE, "5m", []),
    (NONE, "299s", ["rotation-duration", RULE]),
]


@pytest.mark.parametrize(("gitops", "duration", "rules"), ROTATIONS)
def test_rotation_lasts_at_least_twice_the_interval_and_5m(
    repo: Repo, gitops: str, duration: str, rules: list[str]
) -> None:
    repo.environment("a", member(1, gitops=gitops, ipsec=f"keyRotationDuration: {duration}"))

    assert told(repo) == [("environments/a.yaml", rule) for rule in rules]


@pytest.mark.parametrize(("duration", "number"), [("2h5m", 0), ("2h4m59s", 3)])
def test_slowest_member_decides_for_all(repo: Repo, duration: str, number: int) -> None:
    for index, gitops in enumerate((NONE, ARGOCD, flux("1h")), start=1):
        repo.environment(f"m{index}", member(index, gitops=gitops, ipsec=f"keyRotationDuration: {duration}"))

    found = workspace.load(WorkTree(repo.root)).findings

    hint = "at least 125m: twice what the engine of m3 may wait, plus 5m"
    assert [(one.path, one.hint) for one in found] == [(f"environments/m{n}.yaml", hint) for n in (1, 2, 3)][:number]


def in_mesh(number: int, mesh: str = "production") -> str:
    return f"gitops: {{engine: none}}\ncluster: {{mesh: {mesh}, id: {number}}}\n"


AGREE = {
    "two members": (member(1), member(2)),
    "the last id": (member(254), member(255)),
    "equal ids in two meshes": (member(1), member(1, "staging")),
    "one id in a mesh and outside": (member(1), f"{IPSEC}gitops: {NONE}\ncluster: {{id: 1}}\n"),
    "one name in a mesh and outside": (member(1), f"{IPSEC}gitops: {NONE}\ncluster: {{name: a}}\n"),
    "one name in two meshes": (member(1), member(2, "staging").replace("id: 2", "id: 2, name: a")),
    "names that are exchanged": (
        member(1).replace("id: 1", "id: 1, name: b"),
        member(2).replace("id: 2", "id: 2, name: a"),
    ),
    "two types in two meshes": (member(1), WIREGUARD + in_mesh(1, "staging")),
    "WireGuard": (WIREGUARD + in_mesh(1), f"{WIREGUARD}{in_mesh(2)}".replace("engine: none", "engine: flux")),
    "WireGuard with settings of IPsec": (
        WIREGUARD + in_mesh(1),
        WIREGUARD.replace("type: wireguard", "type: wireguard, ipsec: {algorithm: cbc-aes-sha512}") + in_mesh(2),
    ),
    "WireGuard with a size of IPsec": (
        WIREGUARD + in_mesh(1),
        WIREGUARD.replace("type: wireguard", "type: wireguard, ipsec: {keySize: 256}") + in_mesh(2),
    ),
    "two patches": (member(1), member(2, version="1.16.19")),
    "two minors in two meshes": (member(1), member(2, "staging", version="1.17.0")),
    "a size that is said, and the default": (member(1), member(2, ipsec="keySize: 128")),
    "two algorithms in two meshes": (member(1), member(2, "staging", ipsec="algorithm: cbc-aes-sha256")),
    "Flux without a mesh": (member(1), f"{IPSEC}gitops: {{engine: flux}}\n"),
}


@pytest.mark.parametrize(("first", "second"), AGREE.values(), ids=AGREE)
def test_near_miss_is_no_finding(repo: Repo, first: str, second: str) -> None:
    repo.environment("a", first)
    repo.environment("b", second)

    assert told(repo) == []


def test_id_that_two_members_inherit_is_told_in_the_group(repo: Repo) -> None:
    repo.write("environments/groups/g.yaml", member(7))
    for name in ("a", "b", "c"):
        repo.environment(name, "extends: [g]\n")

    ran = rig.command(repo.root, "render", "--check")

    message = "error: cluster.id 7 is a's in the mesh production; 1 is free [mesh-id]"
    assert ran == Ran(2, "", f"environments/groups/g.yaml:4:33: {message}\n")


def test_full_mesh_has_no_free_id_to_name(repo: Repo) -> None:
    for number in range(1, 256):
        repo.environment(f"m{number:03}", f"{WIREGUARD}{in_mesh(number)}")
    full = workspace.load(WorkTree(repo.root)).findings
    repo.environment("one-more", f"{WIREGUARD}{in_mesh(255)}")

    found = workspace.load(WorkTree(repo.root)).findings

    assert full == []
    assert [(one.path, one.rule, one.hint) for one in found] == [
        ("environments/one-more.yaml", "mesh-id", "a mesh has at most 255 clusters")
    ]


@pytest.mark.parametrize("named", ["a", "b", "c"])
def test_members_that_disagree_are_told_also_when_one_alone_is_named(repo: Repo, named: str) -> None:
    repo.environment("a", member(1))
    repo.environment("b", member(2))
    repo.environment("c", member(2, ipsec="keySize: 256"))

    assert told(repo, named) == [("environments/c.yaml", "mesh-id"), ("environments/c.yaml", "mesh-algorithm")]


def test_what_is_wrong_in_the_file_of_a_member_is_told_also_when_it_is_not_named(repo: Repo) -> None:
    repo.environment("a", member(1))
    repo.environment("b", f"{member(2)}zebra: 1\n")
    repo.environment("c", f"{member(2)}gitops: [\n")

    assert told(repo, "a") == [("environments/b.yaml", "unknown-key"), ("environments/c.yaml", "yaml-syntax")]


# Which files are read


def mates(repo: Repo, *names: str) -> list[str]:
    return [environment.name for environment in workspace.load(WorkTree(repo.root), names).mates]


REST = IPSEC + "gitops: {engine: none}\n"
SPELLINGS = {
    "plain": "cluster: {mesh: production, id: 2}\n",
    "a block": "cluster:\n    id: 2\n    mesh:\n        production\n",
    "single quotes": "cluster: {mesh: 'production', id: 2}\n",
    "JSON": '"cluster": {"mesh":"production","id":2}\n',
    "a literal": "cluster:\n  id: 2\n  mesh: |-\n    production\n",
    "a folded text": "cluster:\n  id: 2\n  mesh: >-\n    production\n",
    "an alias": "cluster: {mesh: &m production, id: 2, name: *m}\n",
    "a comment behind it": "cluster: {mesh: production, # ours\n  id: 2}\n",
    "an escape": 'cluster: {mesh: "\\x70roduction", id: 2}\n',
    "an escape of four digits": 'cluster: {mesh: "productio\\u006e", id: 2}\n',
    "a line that goes on": 'cluster:\n  id: 2\n  mesh: "prod\\\n    uction"\n',
    "an escaped key": '"\\x63luster": {"m\\x65sh": "production", id: 2}\n',
    "a group": "extends: [eu]\ncluster: {id: 2}\n",
    "a group of a group": "extends: [west]\ncluster: {id: 2}\n",
    "a group of a group of a group": "extends: [far]\ncluster: {id: 2}\n",
    "a group by an escape": 'extends: ["\\x65u"]\ncluster: {id: 2}\n',
    "a group that says it by an escape": "extends: [north]\ncluster: {id: 2}\n",
    "a group of a group by an escape": "extends: [south]\ncluster: {id: 2}\n",
    "a group above another mesh's": "extends: [asia, eu]\ncluster: {id: 2}\n",
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_member_is_found_however_its_file_says_so(repo: Repo, text: str, end: str) -> None:
    repo.environment("a", member(1))
    repo.environment("b", (text + REST).replace("\n", end))
    repo.write("environments/groups/eu.yaml", "cluster: {mesh: production}\n")
    repo.write("environments/groups/west.yaml", "extends: [eu]\n")
    repo.write("environments/groups/far.yaml", "extends: [west]\n")
    repo.write("environments/groups/north.yaml", 'cluster: {mesh: "\\x70roduction"}\n')
    repo.write("environments/groups/south.yaml", 'extends: ["n\\x6frth"]\n')
    repo.write("environments/groups/asia.yaml", "cluster: {mesh: asia}\n")

    assert (mates(repo, "a"), told(repo, "a")) == (["b"], [])


def test_member_is_found_where_the_defaults_name_the_mesh(repo: Repo) -> None:
    repo.write("environments/defaults.yaml", "cluster: {mesh: production}\n")
    repo.environment("a", f"{REST}cluster: {{id: 1}}\n")
    repo.environment("b", f"{REST}cluster: {{id: 2}}\n")
    repo.environment("c", f"{REST}cluster: {{mesh: null}}\n")
    repo.environment("d", f"{REST}cluster: {{mesh: staging, id: 3}}\n")

    assert (mates(repo, "a"), mates(repo, "d"), told(repo, "a"), told(repo, "d")) == (["b"], [], [], [])


def test_members_of_each_mesh_that_is_named_are_found(repo: Repo) -> None:
    for name, mesh in [("a", "p"), ("b", "p"), ("c", "q"), ("d", "q"), ("e", "r"), ("f", "r")]:
        repo.environment(name, member(ord(name), mesh))

    assert mates(repo, "a", "d", "e", "f") == ["b", "c"]


BROKEN = "cilium: [\n"
STRANGERS = {
    "a broken file": BROKEN,
    "a broken file of another mesh": f"cluster: {{mesh: staging}}\n{BROKEN}",
    "bytes that are no text": b"\xff\xfe\x00",
    "a file that extends what is not there": "extends: [nothing]\n",
    "the mesh in a comment": "# not in production\nzebra: 1\n",
    "the mesh as a name": "cluster: {name: production}\nzebra: 1\n",
    "a longer name": "cluster: {mesh: production-eu}\nzebra: 1\n",
    "a mesh taken away": "extends: [eu]\ncluster: {mesh: null}\nzebra: 1\n",
    "another mesh over the group's": "extends: [eu]\ncluster: {mesh: staging}\nzebra: 1\n",
    "broken groups": "# production\nextends: [broken, nothing]\n",
    "a mesh that is no text": "# production\ncluster: {mesh: [production]}\n",
    "no mapping for a cluster": "cluster: production\n",
}


@pytest.mark.parametrize("text", STRANGERS.values(), ids=STRANGERS)
def test_file_outside_the_mesh_is_not_told_about(repo: Repo, text: str | bytes) -> None:
    repo.environment("a", member(1))
    repo.environment("b", member(2))
    repo.write("environments/stranger.yaml", text)
    repo.write("environments/groups/eu.yaml", "cluster: {mesh: production}\n")
    repo.write("environments/groups/broken.yaml", "a: 1\na: 2\n")

    assert (mates(repo, "a"), told(repo, "a")) == (["b"], [])
    assert told(repo) != []


def test_environment_without_a_mesh_reads_no_other(repo: Repo) -> None:
    repo.environment("a", REST)
    repo.environment("b", f"{member(0)}{BROKEN}")

    assert told(repo, "a") == []


MAKES: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "link": lambda path: path.symlink_to("b.yaml"),
    "link to nowhere": lambda path: path.symlink_to("production"),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_what_is_no_file_is_neither_followed_nor_waited_for(repo: Repo, make: Callable[[Path], None]) -> None:
    repo.environment("a", member(1))
    repo.environment("b", member(2))
    make(repo.root / "environments/production.yaml")

    assert (mates(repo, "a"), told(repo, "a")) == (["b"], [("environments/production.yaml", "stray-file")])


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_what_is_no_file_is_told_where_every_file_is_a_member(repo: Repo, make: Callable[[Path], None]) -> None:
    repo.write("environments/defaults.yaml", "cluster: {mesh: production}\n")
    repo.environment("a", f"{REST}cluster: {{id: 1}}\n")
    make(repo.root / "environments/c.yaml")

    assert told(repo, "a") == [("environments/c.yaml", "stray-file")]


@pytest.mark.parametrize("extends", ["[eu]", "[west]"])
def test_member_by_a_group_that_cannot_be_read_is_not_overlooked(repo: Repo, extends: str) -> None:
    repo.environment("a", member(1))
    repo.environment("b", f"extends: {extends}\n{REST}cluster: {{id: 2}}\n")
    repo.write("environments/groups/eu.yaml", "cluster: {mesh: production}\ncilium: [\n")
    repo.write("environments/groups/west.yaml", "extends: [eu]\n")

    assert ("environments/groups/eu.yaml", "yaml-syntax") in told(repo, "a")


def test_value_that_was_refused_is_not_compared_with_the_others(repo: Repo) -> None:
    repo.environment("a", member(1).replace("id: 1", "id: 300"))
    repo.environment("b", member(2))

    assert told(repo) == [("environments/a.yaml", "wrong-value")]
