"""`keyturn verify`, by the real kubectl, against an API server of the test's own; agents answer by a stand-in."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

import clusters
import pytest
import rig
import turned
from clusters import Time, lab, look, seen, serve, wireguard
from kit import WIREGUARD, Ran

from generator import kubectl
from generator.errors import ToolError
from generator.evidence import Question

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import apiserver
    from clusters import Lab


NODES = clusters.NODES
ARGOCD = clusters.ARGOCD
__all__ = ["lab", "serve", "wireguard"]  # fixtures
HOLDS = {
    "rollout": (True, "4 agents, each of them"),
    "version": (True, "v1.16.0"),
    "secret": (True, "id 1 and the same fingerprint"),
    "ciliumnodes/key": (True, "4 nodes, each of them"),
    "helmrelease/cilium": (True, "ready, chart 1.16.0"),
    "agents/answer": (True, "4 agents, each of them"),
    "agents/mode": (True, "IPsec: 4 agents"),
    "agents/xfrm-errors": (True, "0 so far, none since the sample before"),
    "agents/keys-in-use": (None, "6 keys each"),
}


# What holds


def test_cluster_that_does_what_git_says_holds(lab: Lab) -> None:
    ran = lab.verify("--no-exec")

    at = f"ready, at {lab.commit[:12]}"
    rows = [
        ("holds", "check", "expected", "seen"),
        ("yes", "cilium-config/cluster-name", "lab", "lab"),
        ("yes", "cilium-config/cluster-id", "0", "0"),
        ("yes", "cilium-config/enable-ipsec", "true", "true"),
        ("yes", "cilium-config/enable-wireguard", "absent or false", "not there"),
        ("yes", "cilium-config/encrypt-node", "absent or false", "not there"),
        ("yes", "cilium-config/ipsec-key-file", "/etc/ipsec/keys", "/etc/ipsec/keys"),
        ("yes", "cilium-config/enable-ipsec-key-watcher", "true", "true"),
        ("yes", "cilium-config/ipsec-key-rotation-duration", "5m", "5m"),
        ("yes", "cilium-config/enable-encryption-strict-mode", "absent or false", "not there"),
        ("yes", "rollout", "every agent is of the newest revision, and available", "4 agents, each of them"),
        ("yes", "version", "1.16.0", "v1.16.0"),
        ("yes", "secret", "id 1 and git's fingerprint", "id 1 and the same fingerprint"),
        ("yes", "ciliumnodes/key", "every node shows key 1", "4 nodes, each of them"),
        ("yes", "kustomization/lab-secrets", f"{at} or later", at),
        ("yes", "kustomization/lab-cilium", f"{at} or later", at),
        ("yes", "helmrelease/cilium", "ready, chart 1.16.0", "ready, chart 1.16.0"),
        ("-", "agents", "each agent answers and encrypts", "left out by --no-exec"),
    ]
    assert (ran.code, ran.err) == (0, "keyturn: lab: of 17 checks 16 hold, 1 not judged\n")
    assert [tuple(re.split(r" {2,}", line.strip())) for line in ran.out.splitlines()] == rows
    assert lab.asked == []


def test_json_has_the_environment_the_commit_and_every_check(lab: Lab) -> None:
    ran = lab.verify("--no-exec", "--no-secret", "--output", "json")

    answer = json.loads(ran.out)
    assert (ran.code, list(answer), answer["environment"], answer["commit"]) == (
        0,
        ["environment", "commit", "checks"],
        "lab",
        lab.commit,
    )
    assert len(answer["checks"]) == 17
    assert [one for one in answer["checks"] if one["name"] in ("secret", "version")] == [
        {"name": "version", "ok": True, "seen": "v1.16.0", "expected": "1.16.0"},
        {"name": "secret", "ok": None, "seen": "left out by --no-secret", "expected": "id 1 and git's fingerprint"},
    ]
    assert {one.resource for one in lab.server.requests}.isdisjoint({"secrets", "pods"})


def test_every_agent_is_asked_twice_and_what_ipsec_shows_is_judged(lab: Lab) -> None:
    time = Time()

    done = look(lab, time)

    ready = (True, f"ready, at {lab.commit[:12]}")
    assert seen(done) == HOLDS | {"kustomization/lab-secrets": ready, "kustomization/lab-cilium": ready}
    assert sorted(lab.asked) == sorted(f"cilium-{node} cilium-dbg" for node in NODES * 2)
    assert (time.slept, done.holds, done.nodes) == ([5.0], True, dict.fromkeys(NODES, "1"))


def test_wireguard_by_argocd_holds(wireguard: Lab) -> None:
    done = look(wireguard)

    at = f"Synced, Healthy, at {wireguard.commit[:12]}"
    assert seen(done) == {
        "rollout": (True, "4 agents, each of them"),
        "version": (True, "v1.16.0"),
        "ciliumnodes/public-key": (True, "4 nodes, each of them"),
        "ciliumnodes/different": (True, "4 keys, no two the same"),
        "application/lab-root": (True, at),
        "application/lab-cilium": (True, at),
        "agents/answer": (True, "4 agents, each of them"),
        "agents/mode": (True, "Wireguard: 4 agents"),
        "agents/node-encryption": (True, "Disabled: 4 agents"),
        "agents/peers": (True, "3 peers each"),
    }
    assert (len(wireguard.asked), done.holds) == (8, True)


def test_node_encryption_holds_with_a_control_plane_that_opted_out(serve: Callable[[str], Lab]) -> None:
    lab = serve(WIREGUARD.replace("wireguard}", "wireguard, nodeEncryption: true}") + "gitops: {engine: none}\n")
    lab.server.objects = [clusters.config("node"), *clusters.nodes(*NODES)]
    lab.tell(clusters.wireguard_agent())
    lab.tell(clusters.whole_status("Enabled"), "status")
    lab.tell(clusters.whole_status("OptedOut"), "cilium-control-plane.status")

    done = look(lab)

    assert (done.holds, seen(done)["agents/node-encryption"]) == (True, (True, "Enabled: 3 agents, OptedOut: 1 agent"))


def test_encryption_that_is_off_is_off(serve: Callable[[str], Lab]) -> None:
    lab = serve(WIREGUARD.replace("wireguard", "none") + "gitops: {engine: none}\n")
    lab.server.objects = [clusters.config("none"), *clusters.nodes(*NODES)]
    lab.tell({"mode": "Disabled"})

    done = look(lab)

    assert seen(done) == {
        "rollout": (True, "4 agents, each of them"),
        "version": (True, "v1.16.0"),
        "agents/answer": (True, "4 agents, each of them"),
        "agents/mode": (True, "Disabled: 4 agents"),
    }
    assert done.holds


# What does not hold


def test_ipsec_that_does_otherwise_fails_each_check(lab: Lab) -> None:
    server = lab.server
    data = lab.one("ConfigMap")["data"]
    data |= {"enable-ipsec": "false", "enable-wireguard": "true", "ipsec-key-rotation-duration": "10m0s"}
    data |= {"cluster-name": "other", "cluster-id": "7"}
    daemonset = lab.one("DaemonSet")
    daemonset["status"]["numberAvailable"] = 3
    daemonset["spec"]["template"]["spec"]["containers"][0]["image"] = "registry:5000/cilium:v1.15.9"
    server.take("Secret")
    server.objects.append(clusters.secret(lab.line.replace("1+ rfc", "2+ rfc")))
    lab.one("CiliumNode", "worker2")["spec"]["encryption"]["key"] = 15
    lab.one("CiliumNode", "worker3")["spec"] = {}
    lab.one("Kustomization", "lab-secrets")["status"]["conditions"][0] |= {"status": "False", "message": "no\nkey"}
    lab.one("Kustomization", "lab-cilium")["status"]["lastAppliedRevision"] = f"main@sha1:{'0' * 40}"
    lab.one("HelmRelease")["status"]["history"][0]["chartVersion"] = "1.15.9"
    lab.agents("exit 1\n", "cilium-worker2.every")
    lab.tell({"mode": "Disabled"}, "cilium-worker.every")
    lab.agents(
        'n=$(cat "$AGENTS/n" 2>/dev/null || echo 1); echo $((n + 1)) > "$AGENTS/n"\n'
        'echo "{\\"mode\\": \\"IPsec\\", \\"ipsec\\": {\\"xfrm-errors\\": {\\"inbound_no_state\\": $n}}}"\n',
        "cilium-worker3.every",
    )

    done = look(lab)

    at = f"ready, at {lab.commit[:12]}"
    assert {name: one for name, one in seen(done).items() if one[0] is not True} == {
        "cilium-config/cluster-name": (False, "other"),
        "cilium-config/cluster-id": (False, "7"),
        "cilium-config/enable-ipsec": (False, "false"),
        "cilium-config/enable-wireguard": (False, "true"),
        "cilium-config/ipsec-key-rotation-duration": (False, "10m0s"),
        "rollout": (False, "of 4 agents 4 of the newest revision, 3 available"),
        "version": (False, "v1.15.9"),
        "secret": (False, "id 2 and the same fingerprint"),
        "ciliumnodes/key": (False, "2 of 4 nodes; not yet: worker2 (15, another key), worker3 (none)"),
        "kustomization/lab-secrets": (False, f"not ready: no key, {at.removeprefix('ready, ')}"),
        "kustomization/lab-cilium": (False, "ready, at 000000000000, which this clone does not have: git fetch"),
        "helmrelease/cilium": (False, "ready, chart 1.15.9"),
        "agents/answer": (False, "3 of 4 agents; not: worker2 (exit 1)"),
        "agents/mode": (False, "2 of 3 agents; not: worker (Disabled)"),
        "agents/xfrm-errors": (False, "they grow: worker3 (1 -> 2)"),
        "agents/keys-in-use": (None, "0 to 6 keys"),
    }
    assert (done.holds, done.unasked) == (False, [])


def test_wireguard_that_does_otherwise_fails_each_check(wireguard: Lab) -> None:
    old = turned.tip(wireguard.repo, "HEAD")
    wireguard.repo.write(
        "clusters/lab/cilium/values.yaml", wireguard.repo.read("clusters/lab/cilium/values.yaml") + "\n"
    )
    turned.commit(wireguard.repo)
    server = wireguard.server
    server.take("CiliumNode", "worker3")
    annotations = wireguard.one("CiliumNode", "worker")["metadata"]["annotations"]
    annotations["network.cilium.io/wg-pub-key"] = wireguard.one("CiliumNode", "worker2")["metadata"]["annotations"][
        "network.cilium.io/wg-pub-key"
    ]
    wireguard.one("CiliumNode", "control-plane")["metadata"] = {"name": "control-plane"}
    wireguard.one("Application", "lab-root")["status"]["sync"]["status"] = "OutOfSync"
    wireguard.tell(clusters.whole_status("Enabled"), "cilium-worker.status")

    done = look(wireguard)

    new = turned.tip(wireguard.repo, "HEAD")[:12]
    failing = {one.name: (one.whole, one.expected) for one in done.checks if one.ok is False}
    assert failing == {
        "ciliumnodes/public-key": (
            "2 of 4 nodes; not: control-plane (no key), worker3 (no CiliumNode)",
            "every node has a CiliumNode with a public key",
        ),
        "ciliumnodes/different": ("the same key: worker and worker2", "no two nodes have the same public key"),
        "application/lab-root": (
            f"OutOfSync, Healthy, at {old[:12]}, which is before it",
            f"synced and healthy, at {new} or later",
        ),
        "application/lab-cilium": (
            f"Synced, Healthy, at {old[:12]}, which is before it",
            f"synced and healthy, at {new} or later",
        ),
        "agents/node-encryption": ("3 of 4 agents; not: worker (Enabled)", "Disabled"),
        "agents/peers": (
            "0 of 4 agents; not: control-plane (3), worker (3), worker2 (3), worker3 (3)",
            "2 peers each, the other nodes",
        ),
    }


def test_cluster_without_cilium_fails_and_is_not_an_error(lab: Lab) -> None:
    lab.server.objects = []
    lab.server.groups -= {"cilium.io/v2", "kustomize.toolkit.fluxcd.io/v1", "helm.toolkit.fluxcd.io/v2"}

    ran = lab.verify("--output", "json")

    assert (ran.code, {one["seen"] for one in json.loads(ran.out)["checks"]}) == (
        1,
        {
            "there is no ConfigMap cilium-config",
            "there is no DaemonSet cilium",
            "there is no Secret cilium-ipsec-keys",
            "there is no CiliumNode",
            "it is not there",
            "there is no agent's pod",
        },
    )


def test_five_thousand_nodes_are_read_and_the_first_few_that_lack_are_named(lab: Lab) -> None:
    names = [f"node-{number:04}" for number in range(5000)]
    lab.server.take("CiliumNode")
    lab.server.objects += [clusters.ciliumnode(one, key=15 if one < "node-0020" else 1) for one in names]

    text = lab.verify("--no-exec")
    done = look(lab, agents=False)

    (line,) = [line for line in text.out.splitlines() if "ciliumnodes/key" in line]
    shown = ", ".join(f"node-{number:04} (15, another key)" for number in range(5))
    assert re.split(r" {2,}", line)[3] == f"4,980 of 5,000 nodes; not yet: {shown} and 15 more"
    assert seen(done)["ciliumnodes/key"][1].count("(15, another key)") == 20
    assert (text.code, len(done.nodes or {})) == (1, 5000)


# Keys


def test_secret_of_the_cluster_is_compared_and_never_shown(lab: Lab, tmp_path: Path) -> None:
    line = lab.line.replace(lab.line.split()[2], "5a" * 20)
    lab.server.take("Secret")
    lab.server.objects.append(clusters.secret(line))
    files = [tmp_path / "evidence.md", tmp_path / "evidence.json"]

    texts = [lab.verify("--no-exec", "--report", str(file)) for file in files]
    texts.append(
        rig.command(lab.repo.root, "-v", "verify", "lab", "--no-exec", "--kubeconfig", str(lab.folder / "config"))
    )

    shown = "".join(ran.out + ran.err for ran in texts) + "".join(file.read_text("utf-8") for file in files)
    assert [ran.code for ran in texts] == [1, 1, 1]
    assert "id 1 and another fingerprint" in shown
    material, coded = line.split()[2], clusters.secret(line)["data"]["keys"]
    assert [one for one in (material, material[:8], coded, coded[:24]) if one in shown] == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1 rfc4106(gcm(aes)) 00zz 128", "the key line has a key that is not hexadecimal bytes"),
        ("", "the Secret has no key line, and one is wanted"),
        ("1+ a\n2+ b", "the Secret has 2 lines, and one is wanted"),
    ],
)
def test_secret_that_agents_would_not_take_is_told_without_a_word_of_it(lab: Lab, line: str, told: str) -> None:
    lab.server.take("Secret")
    lab.server.objects.append(clusters.secret(line))

    assert seen(look(lab, agents=False))["secret"] == (False, told)


# What cannot be asked


def refusing(*resources: str) -> Callable[[apiserver.Request], bool]:
    return lambda asked: asked.resource not in resources


RIGHTS = "; keyturn engine rbac prints the rights that are needed"


def test_right_that_is_missing_is_named_and_the_rest_is_shown(lab: Lab) -> None:
    lab.server.allowed = refusing("secrets", "ciliumnodes")

    ran = lab.verify("--no-exec", "--wait", "1h")

    assert ran.code == 3
    assert ran.err == (
        f"keyturn: error: jane may not list ciliumnodes.cilium.io in the whole cluster{RIGHTS}\n"
        f"keyturn: error: jane may not get secrets in namespace kube-system{RIGHTS}\n"
        "keyturn: lab: of 17 checks 14 hold, 3 not judged\n"
    )
    assert [line.split()[:2] for line in ran.out.splitlines() if "could not be asked" in line] == [
        ["-", "secret"],
        ["-", "ciliumnodes/key"],
    ]


def test_agents_that_may_not_be_asked_are_no_failed_check(lab: Lab) -> None:
    lab.agents(
        'echo "Error from server (Forbidden): pods \\"$pod\\" is forbidden: User \\"jane\\" cannot create resource '
        '\\"pods/exec\\" in API group \\"\\" in the namespace \\"kube-system\\"" >&2\nexit 1\n'
    )

    done = look(lab)

    assert [str(one) for one in done.unasked] == [f"jane may not create pods/exec in namespace kube-system{RIGHTS}"]
    assert seen(done)["agents"] == (None, "could not be asked")


def test_cluster_that_answers_nothing_is_told_why_and_no_check_is(lab: Lab) -> None:
    lab.server.allowed = lambda _: False

    ran = lab.verify()

    why = f"jane may not get configmaps in namespace kube-system{RIGHTS}"
    assert ran == Ran(3, "", f"keyturn: error: {why}\n")


CONTEXTS = "; see kubectl config get-contexts"
CONFIG = "configmaps cilium-config in kube-system"
RIGHT = "did you specify the right host or port?"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--context", "nope"),
            f'kubectl: context "nope" does not exist{CONTEXTS}',
        ),
        (
            ("--context", "other"),
            f"{CONFIG} cannot be asked for: The connection to the server 127.0.0.1:1 was refused - {RIGHT}",
        ),
    ],
)
def test_cluster_that_is_not_there_is_3(lab: Lab, words: tuple[str, ...], told: str) -> None:
    assert lab.verify(*words) == Ran(3, "", f"keyturn: error: {told}\n")


def test_no_kubectl_is_3(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", clusters.git_without_kubectl(tmp_path / "few"))

    assert lab.verify() == Ran(3, "", "keyturn: error: kubectl is not to be found; put it on PATH\n")


def test_list_that_has_expired_between_two_pieces_is_asked_whole(lab: Lab) -> None:
    lab.server.objects += [clusters.ciliumnode(f"more-{number}", key=1) for number in range(600)]

    def expired(handler: apiserver.Handler, query: dict[str, str]) -> None:
        if "continue" in query:
            handler.status(410, "Expired", "The provided continue parameter is too old.")
        else:
            handler.list("CiliumNode", "cilium.io/v2", lab.server.found("CiliumNode"), query)

    lab.server.failing["ciliumnodes"] = expired

    assert seen(look(lab, agents=False))["ciliumnodes/key"] == (True, "604 nodes, each of them")


def test_kinds_that_the_cluster_does_not_tell_are_not_taken_for_none(lab: Lab) -> None:
    lab.server.undiscovered = {"cilium.io/v2"}

    done = look(lab, agents=False)

    assert [str(one) for one in done.unasked] == [
        "ciliumnodes.cilium.io cannot be asked for: (ServiceUnavailable): no discovery"
    ]
    assert seen(done)["ciliumnodes/key"] == (None, "could not be asked")


def cut(handler: apiserver.Handler, _: dict[str, str]) -> None:
    """Promise more than comes, and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"kind":')
    handler.close_connection = True


def broken(handler: apiserver.Handler, _: dict[str, str]) -> None:
    handler.status(500, "InternalError", "etcd has no leader")


@pytest.mark.parametrize(
    ("failing", "why"),
    [
        (cut, "unexpected error when reading response body. Please retry. Original error: unexpected EOF"),
        (broken, "(InternalError): etcd has no leader"),
    ],
)
def test_answer_that_does_not_come_is_told_and_waited_for(
    lab: Lab, failing: Callable[[apiserver.Handler, dict[str, str]], None], why: str
) -> None:
    lab.server.failing["ciliumnodes"] = failing
    time = Time(deque([lambda: None, lab.server.failing.clear]))

    given_up = look(lab, agents=False)
    waited = look(lab, time, agents=False, wait=60)

    assert [str(one) for one in given_up.unasked] == [f"ciliumnodes.cilium.io cannot be asked for: {why}"]
    assert (waited.holds, time.slept) == (True, [2.0, 3.0])


def test_question_ends_with_the_time_that_it_may_take(lab: Lab) -> None:
    over = threading.Event()

    def silent(*_: object) -> None:
        over.wait(20)

    lab.server.failing["ciliumnodes"] = silent
    asked, start = kubectl.find(lab.folder / "config", None), monotonic()

    # kubectl has two words for it, by what was awaited last
    over_words = r"^ciliumnodes.cilium.io cannot be asked for: .*(Client.Timeout|context deadline) exceeded"
    with pytest.raises(ToolError, match=over_words):
        asked.get(Question("ciliumnodes.cilium.io"), 2)

    assert monotonic() - start < 10
    over.set()


# Waiting


def test_rotation_is_followed_until_the_last_node_has_moved(lab: Lab) -> None:
    for node in NODES:
        lab.one("CiliumNode", node)["spec"]["encryption"]["key"] = 15
    moves = [lambda node=node: lab.one("CiliumNode", node)["spec"]["encryption"].update(key=1) for node in NODES]
    time = Time(deque(moves))
    told: list[str] = []

    done = look(lab, time, told, agents=False, wait=900)

    assert (done.holds, time.slept) == (True, [2.0, 3.0, 4.5, 6.75])
    assert told == [
        "0 of 4 nodes show key 1",
        "waiting for ciliumnodes/key",
        "control-plane shows key 1 (1 of 4)",
        "worker shows key 1 (2 of 4)",
        "worker2 shows key 1 (3 of 4)",
        "worker3 shows key 1 (4 of 4)",
    ]


def test_time_that_is_over_ends_the_waiting_with_what_was_seen_last(lab: Lab) -> None:
    lab.one("CiliumNode", "worker")["spec"]["encryption"]["key"] = 15
    time = Time()

    done = look(lab, time, wait=5)

    assert time.slept == [2.0, 3.0, 5.0]  # the last five seconds are the agents' own
    assert (done.failing, len(done.checks)) == (["ciliumnodes/key"], 20)


def test_cluster_that_does_not_answer_is_waited_for(lab: Lab) -> None:
    every = {"configmaps", "daemonsets", "secrets", "ciliumnodes", "kustomizations", "helmreleases"}
    lab.server.failing = dict.fromkeys(every, broken)
    told: list[str] = []

    done = look(lab, Time(deque([lab.server.failing.clear])), told, agents=False, wait=60)
    lab.server.failing = dict.fromkeys(every, broken)

    assert (done.holds, told) == (True, ["the cluster does not answer; waiting for it", "4 of 4 nodes show key 1"])
    with pytest.raises(ToolError, match="etcd has no leader"):
        look(lab, agents=False, wait=2)


@pytest.mark.parametrize("text", ["15", "1d", "-5m", "", "soon"])
def test_wait_is_a_duration(lab: Lab, text: str) -> None:
    ran = lab.verify("--wait", text)

    hint = "numbers with a unit each, of ms, s, m, h"
    told = (
        f"Invalid value for '--wait': expected a duration such as 5m, not '{text}'; {hint}; see keyturn verify --help"
    )
    assert ran == Ran(2, "", f"keyturn: error: {told}\n")
