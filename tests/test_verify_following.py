"""What a person is told who waits for a cluster: each node once, and nothing of a look that saw none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusters import Time
from kit import IPSEC, WIREGUARD, Repo
from sealed import key

from generator import workspace
from generator.attestation import Verified
from generator.evidence import Check
from generator.following import Following
from generator.secret import Told
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.model import Environment

AT = Time().clock.now()
KEY = key(3)
TOLD = Told(3, KEY.algorithm, KEY.fingerprint(), AT, 2)


def environment(repo: Repo, text: str) -> Environment:
    repo.environment("lab", text)
    return workspace.load(WorkTree(repo.root), ["lab"]).environments[0]


def looked(environment: Environment, nodes: Mapping[str, str] | None, *failing: str) -> Verified:
    """Return a look that saw what nodes show, and checks that do not hold."""
    told = TOLD if environment.encryption.type == "ipsec" else None
    checks = [Check(name, ok=False, seen="", expected="", at=AT) for name in failing]
    return Verified(environment, None, told, checks, nodes, [], AT, AT)


def lines(*looks: Verified) -> list[list[str]]:
    following = Following()
    return [list(following.lines(one)) for one in looks]


def test_look_that_could_not_see_the_nodes_tells_none_of_them_anew(repo: Repo) -> None:
    lab = environment(repo, IPSEC)

    told = lines(
        looked(lab, {"a": "3", "b": "2"}, "ciliumnodes/key"),
        looked(lab, None, "ciliumnodes/key"),
        looked(lab, {"a": "3", "b": "3"}),
    )

    assert told == [
        ["1 of 2 nodes show key 3", "waiting for ciliumnodes/key"],
        [],
        ["b shows key 3 (2 of 2)"],
    ]


def test_what_is_waited_for_is_told_where_it_changed(repo: Repo) -> None:
    lab = environment(repo, IPSEC)

    told = lines(looked(lab, None, "rollout", "version"), looked(lab, None, "rollout"), looked(lab, None, "rollout"))

    assert told == [["waiting for rollout, version"], ["waiting for rollout"], []]


def test_wireguard_is_told_by_public_keys_and_no_encryption_by_nothing(repo: Repo) -> None:
    by_keys = lines(looked(environment(repo, WIREGUARD), {"a": "x", "b": ""}))
    off = lines(looked(environment(repo, WIREGUARD.replace("wireguard", "none")), {}))

    assert (by_keys, off) == ([["1 of 2 nodes show a public key"]], [[]])
