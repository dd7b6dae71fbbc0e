"""What agents tell to `keyturn verify`, by every version's answers, and what is made of it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import clusters
import pytest
from clusters import Time, lab, look, seen, serve, wireguard
from kit import IPSEC, WIREGUARD, Repo

from generator import agents, kubectl, workspace
from generator.agents import Agent
from generator.app import asking
from generator.errors import ToolError
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusters import Lab

    from generator.evidence import Check
    from generator.model import Environment

Object = dict[str, Any]
AT = Time().clock.now()
__all__ = ["lab", "serve", "wireguard"]  # fixtures

# `encrypt status -o json`, as each version's source writes it.
_XFRM: Object = {"error-count": 3, "xfrm-errors": {"XfrmInNoStates": 2, "XfrmOutPolBlock": 1}}
_QUIET: Object = {"decrypt-interfaces": ["eth0"], "keys-in-use": 1, "max-seq-number": "N/A"}
_BUSY: Object = {"decrypt-interfaces": [], "keys-in-use": 6, "max-seq-number": "0x4f/0xffffffff"}
_LONG: Object = {"decrypt-interfaces": None, "keys-in-use": 12, "max-seq-number": "0x4f/0xffffffffffffffff"}
_PEERED: Object = {"name": "cilium_wg0", "peer-count": 3, "public-key": clusters.public(1)}
IPSEC_ANSWERS: dict[str, Object] = {
    "1.15": {"ipsec": _QUIET, "mode": "IPsec"},
    "1.16": {"ipsec": _BUSY | _XFRM, "mode": "IPsec"},
    "1.17": {"ipsec": _QUIET | _XFRM, "mode": "IPsec"},
    "1.18": {"ipsec": _LONG, "mode": "IPsec"},
    "1.19": {"ipsec": _LONG | _XFRM, "mode": "IPsec"},
    "1.20": {"ipsec": _LONG | _XFRM | {"decrypt-interfaces": ["cilium_vxlan", "eth0"]}, "mode": "IPsec"},
}
_OLD: Object = {"mode": "Wireguard", "wireguard": {"interfaces": [_PEERED | {"peers": None}]}}
_NEW: Object = {"mode": "Wireguard", "wireguard": {"interfaces": [_PEERED | {"listen-port": 51871, "peers": None}]}}
WIREGUARD_ANSWERS = {"1.15": _OLD, "1.16": _OLD, "1.17": _OLD, "1.18": _NEW, "1.19": _NEW, "1.20": _NEW}


def environment(repo: Repo, text: str) -> Environment:
    repo.environment("lab", text + "gitops: {engine: none}\n")
    return workspace.load(WorkTree(repo.root), ["lab"]).environments[0]


def judged(environment: Environment, *told: Object, nodes: int | None = None) -> dict[str, Check]:
    """Judge agents n1, n2 and so on, each of which tells the same twice; there are as many nodes, or none is known."""
    names = [f"n{number}" for number in range(1, (len(told) if nodes is None else nodes) + 1)]
    every = [Agent(f"cilium-n{number}", f"n{number}", one, one) for number, one in enumerate(told, start=1)]
    return {one.name: one for one in agents.checks(environment, every, names, AT)}


def said(checks: dict[str, Check]) -> dict[str, tuple[bool | None, str]]:
    return {name: (one.ok, one.whole) for name, one in checks.items()}


@pytest.mark.parametrize("version", IPSEC_ANSWERS)
def test_ipsec_agent_of_every_version_is_understood(repo: Repo, version: str) -> None:
    answer = IPSEC_ANSWERS[version]

    checks = said(judged(environment(repo, IPSEC), answer))

    count, used = answer["ipsec"].get("error-count", 0), answer["ipsec"]["keys-in-use"]
    assert checks == {
        "agents/answer": (True, "1 agent, each of them"),
        "agents/mode": (True, "IPsec: 1 agent"),
        "agents/xfrm-errors": (True, f"{count} so far, none since the sample before"),
        "agents/keys-in-use": (None, f"{used} key{'' if used == 1 else 's'} each"),
    }


@pytest.mark.parametrize("version", WIREGUARD_ANSWERS)
def test_wireguard_agent_of_every_version_is_understood(repo: Repo, version: str) -> None:
    assert said(judged(environment(repo, WIREGUARD), *[WIREGUARD_ANSWERS[version]] * 4)) == {
        "agents/answer": (True, "4 agents, each of them"),
        "agents/mode": (True, "Wireguard: 4 agents"),
        "agents/node-encryption": (True, "Disabled: 4 agents"),
        "agents/peers": (True, "3 peers each"),
    }


def test_sum_of_the_named_errors_counts_where_there_is_no_other() -> None:
    told: list[Object | None] = [{"ipsec": {"xfrm-errors": {"a": 2, "b": 3}}}, {"ipsec": {}}, {}, None]

    assert [agents.errors(one) for one in told] == [5, 0, 0, 0]


@pytest.mark.parametrize(
    ("told", "holds", "words"),
    [
        (["Enabled", "Enabled"], True, "Enabled: 2 agents"),
        (["Enabled", "OptedOut"], True, "Enabled: 1 agent, OptedOut: 1 agent"),
        (["OptedOut", "OptedOut"], False, "OptedOut: 2 agents"),
        (["Enabled", "Disabled"], False, "1 of 2 agents; not: n2 (Disabled)"),
        (["Enabled", None], False, "1 of 2 agents; not: n2 (Disabled)"),
    ],
)
def test_node_encryption_holds_where_one_encrypts_and_none_is_off(
    repo: Repo, *, told: list[str | None], holds: bool, words: str
) -> None:
    asked = environment(repo, WIREGUARD.replace("wireguard}", "wireguard, nodeEncryption: true}"))
    answers: list[Object] = [
        {"mode": "Wireguard", "wireguard": {"node-encryption": one} if one else {}} for one in told
    ]

    assert said(judged(asked, *answers))["agents/node-encryption"] == (holds, words)


def test_peers_in_a_mesh_are_told_and_not_judged(repo: Repo) -> None:
    meshed = environment(repo, WIREGUARD + "cluster: {mesh: sea, id: 1}\n")

    checks = judged(meshed, clusters.wireguard_agent(7), clusters.wireguard_agent(9))

    assert (checks["agents/peers"].ok, checks["agents/peers"].seen) == (None, "7 to 9 peers")


def test_peers_are_not_judged_where_nobody_knows_how_many_nodes_there_are(repo: Repo) -> None:
    check = judged(environment(repo, WIREGUARD), clusters.wireguard_agent(7), nodes=0)["agents/peers"]

    assert (check.ok, check.expected) == (None, "told only: how many nodes there are is not known")


def test_agent_that_complains_of_itself_is_a_failed_check(repo: Repo) -> None:
    answer = clusters.wireguard_agent() | {"msg": "wireguard state mismatch between kernel\nand agent"}

    checks = said(judged(environment(repo, WIREGUARD), answer))

    assert checks["agents/answer"] == (
        False,
        "0 of 1 agent; not: n1 (wireguard state mismatch between kernel and agent)",
    )


def test_agent_whose_api_does_not_answer_tells_no_mode(repo: Repo) -> None:
    checks = said(judged(environment(repo, IPSEC), {"msg": "dial unix: refused", "ipsec": {"keys-in-use": 6}}))

    assert (checks["agents/answer"], checks["agents/mode"]) == (
        (False, "0 of 1 agent; not: n1 (dial unix: refused)"),
        (False, "0 of 1 agent; not: n1 (not told)"),
    )


def test_errors_are_judged_for_agents_that_answered_twice_alone(repo: Repo) -> None:
    asked, many = environment(repo, IPSEC), {"mode": "IPsec", "ipsec": {"error-count": 37}}
    few: Object = {"mode": "IPsec", "ipsec": {"error-count": 5}}
    late, again = Agent("a", "n1", None, many), Agent("b", "n2", many, few)

    checks = [
        {one.name: (one.ok, one.seen) for one in agents.checks(asked, every, None, AT)}["agents/xfrm-errors"]
        for every in ([late], [late, again])
    ]

    once = "; 1 agent answered once, and cannot be judged"
    assert checks == [
        (None, f"0 so far, none since the sample before{once}"),
        (True, f"5 so far, none since the sample before{once}"),
    ]


def test_node_without_an_agent_is_named(repo: Repo) -> None:
    checks = judged(environment(repo, WIREGUARD), clusters.wireguard_agent(2), nodes=3)

    assert said(checks)["agents/answer"] == (False, "1 of 3 agents; not: n2 (no agent), n3 (no agent)")


def test_two_agents_of_one_node_are_both_judged() -> None:
    first, second, nowhere = (clusters.pod("worker") for _ in range(3))
    second["metadata"]["name"] = "cilium-second"
    nowhere["metadata"]["name"], nowhere["spec"] = "cilium-nowhere", {}

    names = [one.agent().name for one in agents.pods([first, second, nowhere])]

    assert names == ["no node, cilium-nowhere", "worker, cilium-second", "worker, cilium-worker"]


# By the real kubectl, and a stand-in for `exec`


def test_agent_that_has_its_client_by_the_old_name_is_asked_by_that(lab: Lab) -> None:
    lab.agents(
        'echo "error: exec: \\"cilium-dbg\\": executable file not found in \\$PATH" >&2; exit 126\n', "cilium-dbg"
    )
    lab.tell(clusters.IPSEC_AGENT)

    done = look(lab)

    assert done.holds
    assert {one.split()[1] for one in lab.asked} == {"cilium-dbg", "cilium"}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo hello\n", "what it answers is no JSON"),
        ("echo '[]'\n", "what it answers is no JSON"),
        ("printf '[%.0s' $(seq 200000)\n", "what it answers is no JSON"),
        (
            "echo 'dial unix /var/run/cilium/cilium.sock: connect: no such file or directory' >&2; exit 1\n",
            "dial unix /var/run/cilium/cilium.sock: connect: no such file or directory",
        ),
        (
            "echo 'error: exec: \"cilium-dbg\": executable file not found in $PATH' >&2; exit 1\n",
            'exec: "cilium-dbg": executable file not found in $PATH',
        ),
        ("echo 'Cannot get status: timeout' >&2; exit 1\n", "Cannot get status: timeout"),
        ("exit 137\n", "exit 137"),
        ("sleep 60\n", "kubectl exec did not answer within 0.5 s"),
    ],
)
def test_agent_that_does_not_answer_says_why(lab: Lab, script: str, why: str) -> None:
    lab.agents(script)
    asked = dataclasses.replace(kubectl.find(lab.folder / "config", None), patience=0.5)

    with pytest.raises(ToolError) as caught:
        asked.encryption("kube-system", "cilium-worker")

    assert str(caught.value) == why


def test_agent_that_does_not_tell_of_node_encryption_has_none(wireguard: Lab) -> None:
    wireguard.agents("exit 1\n", "status")

    assert seen(look(wireguard))["agents/node-encryption"] == (True, "Disabled: 4 agents")


def test_pod_that_does_not_run_is_not_asked_and_one_that_ends_does_not_count(lab: Lab) -> None:
    lab.one("Pod", "cilium-worker")["status"]["phase"] = "Pending"
    lab.one("Pod", "cilium-worker2")["metadata"]["deletionTimestamp"] = "2026-03-04T05:06:07Z"

    done = look(lab)

    assert seen(done)["agents/answer"] == (False, "2 of 4 agents; not: worker (Pending), worker2 (no agent)")
    assert {one.split()[0] for one in lab.asked} == {"cilium-control-plane", "cilium-worker3"}


def test_samples_keep_what_was_told_before(lab: Lab) -> None:
    time, count = Time(), 0
    samples = asking.Samples(kubectl.find(lab.folder / "config", None), "kube-system", time.sleep, twice=True)

    def tell() -> list[Agent]:
        nonlocal count
        count += 1
        lab.tell({"mode": "IPsec", "ipsec": {"error-count": count}})
        return samples.take()

    first, second = tell(), tell()

    assert [(agents.errors(one.first), agents.errors(one.last)) for one in (first[0], second[0])] == [(1, 1), (1, 2)]
    assert (time.slept, len(lab.asked)) == ([asking.APART], 12)


def test_agents_are_asked_only_once_all_else_holds(wireguard: Lab) -> None:
    wireguard.server.take("CiliumNode", "worker")
    back = clusters.ciliumnode("worker", public_key=clusters.public(9))
    happens: list[Callable[[], object]] = [lambda: None, lambda: wireguard.server.objects.append(back)]
    time = Time()
    time.happens.extend(happens)

    done = look(wireguard, time, wait=60)

    assert (done.holds, len(wireguard.asked), len(time.slept)) == (True, 8, 2)


def test_answers_of_agents_are_never_a_bug(repo: Repo) -> None:
    odd: list[Object] = [
        {},
        {"mode": 1},
        {"mode": "IPsec", "ipsec": []},
        {"ipsec": {"xfrm-errors": [1], "error-count": "many"}},
    ]
    odd += [{"wireguard": {"interfaces": [None, 1, {"peer-count": True}]}}, {"wireguard": {"node-encryption": {}}}]

    for text in (IPSEC, WIREGUARD):
        checks = judged(environment(repo, text), *odd)
        assert json.dumps([one.as_json() for one in checks.values()])
