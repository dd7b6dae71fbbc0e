"""What is judged by the objects of a cluster alone: each state of Cilium's and of the engines' objects."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import clusters
import pytest
import rig
from clusters import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import IPSEC, WIREGUARD, Repo
from sealed import key

from generator import cluster, engines, evidence, kubectl, model, workspace, yamlio
from generator.engines import Wanted
from generator.errors import ToolError
from generator.evidence import Answer, Question
from generator.secret import Told
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from generator.evidence import Check
    from generator.model import Environment

Object = dict[str, Any]
AT = Time().clock.now()
COMMIT, LATER, BEFORE, STRANGE = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
KEY = key(3)
TOLD = Told(3, KEY.algorithm, KEY.fingerprint(), AT, 2)


def environment(repo: Repo, text: str) -> Environment:
    repo.environment("lab", text)
    return workspace.load(WorkTree(repo.root), ["lab"]).environments[0]


# The engines


def holds(commit: str) -> bool | None:
    return {COMMIT: True, LATER: True, BEFORE: False}.get(commit)


def engine(environment: Environment, objects: list[Object], wanted: str | None = COMMIT) -> dict[str, Check]:
    named = {f"{one['kind'].lower()}/{one['metadata']['name']}": one for one in objects}
    asked = engines.questions(environment)
    answers = {name: Answer(AT, [named[name]] if name in named else []) for name in asked}
    return {one.name: one for one in engines.checks(environment, answers, Wanted(wanted, holds))}


def changed(one: Object, change: Callable[[Object], object]) -> Object:
    made = copy.deepcopy(one)
    change(made)
    return made


def applied(revision: str) -> Callable[[Object], object]:
    return lambda one: one["status"].update(lastAppliedRevision=revision)


FLUX: dict[str, tuple[Callable[[Object], object], bool, str]] = {
    "ready": (lambda _: None, True, "ready, at aaaaaaaaaaaa"),
    "later": (
        applied(f"main@sha1:{LATER}"),
        True,
        "ready, at bbbbbbbbbbbb",
    ),
    "before": (
        applied(f"main@sha1:{BEFORE}"),
        False,
        "ready, at cccccccccccc, which is before it",
    ),
    "strange": (
        applied(f"main@sha1:{STRANGE}"),
        False,
        "ready, at dddddddddddd, which this clone does not have: git fetch",
    ),
    "old form": (
        applied(f"main/{COMMIT}"),
        True,
        "ready, at aaaaaaaaaaaa",
    ),
    "bare": (applied(COMMIT), True, "ready, at aaaaaaaaaaaa"),
    "never applied": (lambda one: one["status"].pop("lastAppliedRevision"), False, "ready, at no commit"),
    "suspended": (lambda one: one["spec"].update(suspend=True), False, "suspended, at aaaaaaaaaaaa"),
    "not looked at": (
        lambda one: one["metadata"].update(generation=4),
        False,
        "a change that is not looked at yet, at aaaaaaaaaaaa",
    ),
    "no condition": (lambda one: one["status"].update(conditions=[]), False, "not ready yet, at aaaaaaaaaaaa"),
    "another condition": (
        lambda one: one["status"].update(conditions=[{"type": "Reconciling", "status": "True"}]),
        False,
        "not ready yet, at aaaaaaaaaaaa",
    ),
    "no reason but a word": (
        lambda one: one["status"].update(conditions=[{"type": "Ready", "status": "False", "reason": "Failed"}]),
        False,
        "not ready: Failed, at aaaaaaaaaaaa",
    ),
    "a key in its words": (
        lambda one: one["status"]["conditions"][0].update(status="False", message=f"no {'5a' * 20} {'x ' * 150}"),
        False,
        f"not ready: no [redacted] {'x ' * 91}x..., at aaaaaaaaaaaa",
    ),
    "no status": (lambda one: one.pop("status"), False, "a change that is not looked at yet, at no commit"),
    "odd": (lambda one: one.update(status=[1], spec="x", metadata={}), False, "not ready yet, at no commit"),
}


@pytest.mark.parametrize("state", FLUX)
def test_each_state_of_a_kustomization_is_told(repo: Repo, state: str) -> None:
    change, ok, words = FLUX[state]
    one = clusters.flux(COMMIT, "cilium")[0]
    asked = environment(repo, WIREGUARD)
    answers = {
        "kustomization/lab-cilium": Answer(AT, [changed(one, change)]),
        "helmrelease/cilium": Answer(AT),
    }

    first, second = engines.checks(asked, answers, Wanted(COMMIT, holds))

    assert (first.ok, first.seen) == (ok, words)
    assert (second.ok, second.seen) == (False, "it is not there")


@pytest.mark.parametrize(
    ("history", "ok", "words"),
    [
        ([{"chartVersion": "1.16.0"}, {"chartVersion": "1.15.0"}], True, "ready, chart 1.16.0"),
        ([{"chartVersion": "1.16.0+0123456789ab"}], True, "ready, chart 1.16.0+0123456789ab"),
        ([{"chartVersion": "1.15.0"}], False, "ready, chart 1.15.0"),
        ([], True, "ready"),
    ],
)
def test_helm_release_is_judged_by_the_chart_that_was_installed_last(
    repo: Repo, *, history: list[Object], ok: bool, words: str
) -> None:
    release = changed(clusters.flux(COMMIT)[0], lambda one: one["status"].update(history=history))

    check = engine(environment(repo, WIREGUARD), [release])["helmrelease/cilium"]

    assert (check.ok, check.seen, check.expected) == (ok, words, "ready, chart 1.16.0")


ARGOCD: dict[str, tuple[Callable[[Object], object], bool, str]] = {
    "synced": (lambda _: None, True, "Synced, Healthy, at aaaaaaaaaaaa"),
    "out of sync": (
        lambda one: one["status"]["sync"].update(status="OutOfSync"),
        False,
        "OutOfSync, Healthy, at aaaaaaaaaaaa",
    ),
    "ill": (lambda one: one["status"]["health"].update(status="Degraded"), False, "Synced, Degraded, at aaaaaaaaaaaa"),
    "failed": (
        lambda one: one["status"].update(
            sync={"status": "OutOfSync"}, operationState={"phase": "Failed", "message": "one\nobject"}
        ),
        False,
        "OutOfSync, Healthy: one object, at no commit",
    ),
    "failed before": (
        lambda one: one["status"].update(operationState={"phase": "Failed", "message": "long ago"}),
        True,
        "Synced, Healthy, at aaaaaaaaaaaa",
    ),
    "new": (lambda one: one.pop("status"), False, "never synced, health unknown, at no commit"),
}


@pytest.mark.parametrize("state", ARGOCD)
def test_each_state_of_an_application_is_told(repo: Repo, state: str) -> None:
    change, ok, words = ARGOCD[state]
    one = clusters.argocd(COMMIT, "cilium")[0]

    check = engine(environment(repo, WIREGUARD + clusters.ARGOCD), [changed(one, change)])["application/lab-cilium"]

    assert (check.ok, check.seen) == (ok, words)


def test_engine_is_asked_for_the_parts_that_the_tree_has(repo: Repo) -> None:
    every = IPSEC + "demo: {ping: true}\n"

    named = [
        list(engines.questions(environment(repo, text)))
        for text in (
            every,
            every + clusters.ARGOCD,
            every + clusters.ARGOCD.replace("git}", "git, argocd: {secrets: none}}"),
            WIREGUARD,
            WIREGUARD + "gitops: {engine: none}\n",
        )
    ]

    assert named == [
        ["kustomization/lab-secrets", "kustomization/lab-cilium", "kustomization/lab-demo", "helmrelease/cilium"],
        ["application/lab-root", "application/lab-secrets", "application/lab-cilium", "application/lab-demo"],
        ["application/lab-root", "application/lab-cilium", "application/lab-demo"],
        ["kustomization/lab-cilium", "helmrelease/cilium"],
        [],
    ]


# Cilium itself


def judged(environment: Environment, **objects: list[Object]) -> dict[str, Check]:
    """Judge the answers to the questions named, which the gate has made small, and nothing else."""
    asked = cluster.questions(environment, secret=True)
    answers = {name: Answer(AT, [asked[name].kept(one) for one in objects.get(name, [])]) for name in asked}
    told = TOLD if environment.encryption.type == "ipsec" else None
    return {one.name: one for one in cluster.checks(environment, told, answers)}


IMAGES = {
    "quay.io/cilium/cilium:v1.16.0@sha256:00": (True, "v1.16.0"),
    "localhost:5000/mirror/cilium:1.16.0": (True, "1.16.0"),
    "cilium:v1.16.1": (False, "v1.16.1"),
    "quay.io/cilium/cilium:v1.16.0-rc.1": (False, "v1.16.0-rc.1"),
    "localhost:5000/cilium@sha256:00": (None, "an image without a tag: localhost:5000/cilium@sha256:00"),
    "localhost:5000/cilium": (None, "an image without a tag: localhost:5000/cilium"),
    "": (False, "no container cilium-agent"),
}


@pytest.mark.parametrize("image", IMAGES)
def test_version_is_the_tag_of_the_agents_image(repo: Repo, image: str) -> None:
    one = clusters.daemonset("1.16.0", 3)
    one["spec"]["template"]["spec"]["containers"] = [{"name": "sidecar", "image": "x:v9"}]
    one["spec"]["template"]["spec"]["containers"] += [{"name": "cilium-agent", "image": image}] if image else []

    check = judged(environment(repo, WIREGUARD), daemonset=[one])["version"]

    assert (check.ok, check.seen) == IMAGES[image]


def test_image_that_the_values_put_in_its_place_is_the_one_that_is_expected(repo: Repo) -> None:
    text = WIREGUARD.replace("{hubble", "{image: {override: 'localhost:5000/own:v7', tag: v1.15.0}, hubble")
    one = clusters.daemonset("1.16.0", 3)
    one["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost:5000/own:v7"

    check = judged(environment(repo, text), daemonset=[one])["version"]

    assert (check.ok, check.seen, check.expected) == (True, "v7", "v7")


def test_tag_that_the_values_name_is_the_one_that_is_expected(repo: Repo) -> None:
    text = WIREGUARD.replace("{hubble", "{image: {tag: v1.16.0-own.3}, hubble")

    checks = judged(environment(repo, text), daemonset=[clusters.daemonset("1.16.0-own.3", 3)])

    assert (checks["version"].ok, checks["version"].expected) == (True, "v1.16.0-own.3")


ROLLOUTS: dict[str, tuple[dict[str, int], bool, str]] = {
    "whole": ({}, True, "3 agents, each of them"),
    "not looked at": ({"observedGeneration": 1}, False, "a change that is not rolled out yet"),
    "half updated": ({"updatedNumberScheduled": 1}, False, "of 3 agents 1 of the newest revision, 3 available"),
    "half available": ({"numberAvailable": 2}, False, "of 3 agents 3 of the newest revision, 2 available"),
    "nowhere": (
        {"desiredNumberScheduled": 0, "updatedNumberScheduled": 0, "numberAvailable": 0},
        False,
        "of 0 agents 0 of the newest revision, 0 available",
    ),
}


@pytest.mark.parametrize("state", ROLLOUTS)
def test_each_state_of_a_rollout_is_told(repo: Repo, state: str) -> None:
    status, ok, words = ROLLOUTS[state]
    one = clusters.daemonset("1.16.0", 3)
    one["status"] |= status

    check = judged(environment(repo, WIREGUARD), daemonset=[one])["rollout"]

    assert (check.ok, check.seen) == (ok, words)


@pytest.mark.parametrize(
    ("line", "ok", "words"),
    [
        (KEY.line(), True, "id 3 and the same fingerprint"),
        (f"{KEY.line()}\n", True, "id 3 and the same fingerprint"),
        (KEY.line().replace("3+", "3"), True, "id 3 and the same fingerprint, without + (per-tunnel keys)"),
        (
            KEY.line().removesuffix("128") + "96",
            False,
            "id 3 and the same fingerprint, but an ICV of 96 bits, not 128",
        ),
        (KEY.line().replace("3+", "4+"), False, "id 4 and the same fingerprint"),
        (key(3, start=0x41).line(), False, "id 3 and another fingerprint"),
        (key(2, start=0x41).line(), False, "id 2 and another fingerprint"),
    ],
)
def test_secret_has_gits_id_and_gits_key(repo: Repo, *, line: str, ok: bool, words: str) -> None:
    check = judged(environment(repo, IPSEC), secret=[clusters.secret(line)])["secret"]

    assert (check.ok, check.seen) == (ok, words)


@pytest.mark.parametrize("data", [{}, {"keys": "not base64!"}, {"keys": "/w=="}, {"keys": 3}, []])
def test_secret_without_a_text_is_told(repo: Repo, data: object) -> None:
    check = judged(environment(repo, IPSEC), secret=[clusters.secret("") | {"data": data}])["secret"]

    assert (check.ok, check.seen in ("the Secret holds no text", "the Secret has no key line, and one is wanted")) == (
        False,
        True,
    )


@pytest.mark.parametrize(
    ("public", "lack"),
    [("", "no key"), ("x", "no WireGuard key"), ("AAAA", "no WireGuard key"), (None, "no CiliumNode")],
)
def test_node_without_a_sound_public_key_is_named(repo: Repo, public: str | None, lack: str) -> None:
    nodes = [clusters.node("a"), clusters.node("b")]
    ciliumnodes = [clusters.ciliumnode("a", public_key=clusters.public(1))]
    ciliumnodes += [] if public is None else [clusters.ciliumnode("b", public_key=public)]

    check = judged(environment(repo, WIREGUARD), nodes=nodes, ciliumnodes=ciliumnodes)["ciliumnodes/public-key"]

    assert (check.ok, check.seen) == (False, f"1 of 2 nodes; not: b ({lack})")


def test_cluster_without_nodes_has_no_public_key(repo: Repo) -> None:
    check = judged(environment(repo, WIREGUARD))["ciliumnodes/public-key"]

    assert (check.ok, check.seen) == (False, "no node")


def test_strict_mode_is_compared_by_the_names_of_its_version(repo: Repo) -> None:
    strict = "strictMode: {egress: {cidr: 10.244.0.0/16, allowRemoteNodeIdentities: true}}"
    text = WIREGUARD.replace("1.16.0", "1.20.0").replace("wireguard}", f"wireguard, {strict}}}")
    data = {"enable-encryption-strict-mode-egress": "true", "encryption-strict-egress-cidr": "10.0.0.0/8"}

    checks = judged(environment(repo, text), config=[clusters.config("wireguard", **data)])

    assert {name: one.ok for name, one in checks.items() if "strict" in name} == {
        "cilium-config/enable-encryption-strict-mode-egress": True,
        "cilium-config/encryption-strict-egress-cidr": False,
        "cilium-config/enable-encryption-strict-mode-ingress": True,
    }


def test_node_that_shows_the_key_before_is_told_from_one_that_shows_another(repo: Repo) -> None:
    nodes = [clusters.ciliumnode(name, key=number) for name, number in {"a": 3, "b": 2, "c": 4, "d": 0}.items()]

    check = judged(environment(repo, IPSEC), ciliumnodes=nodes)["ciliumnodes/key"]

    assert check.seen == "1 of 4 nodes; not yet: b (2), c (4, another key), d (none)"


def test_names_that_fit_on_a_line_are_shown_and_the_rest_is_kept_for_json() -> None:
    names = [f"n{number}" for number in range(50)]

    check, long = (
        evidence.failing("x", "not: ", "all", AT, names),
        evidence.failing("x", "", "all", AT, ["a" * 200, "b"]),
    )

    first, rest = ", ".join(names[:34]), ", ".join(names[34:])
    assert (check.short, check.whole) == (f"not: {first} and 16 more", f"not: {first}, {rest}")
    assert (long.short, len(long.rest)) == (f"{'a' * 200} and 1 more", 1)


# The gate


def asked(folder: Path, script: str) -> kubectl.Kubectl:
    """Return a gate to a program that stands in for kubectl's rare answers."""
    return kubectl.Kubectl(str(rig.script(folder, "kubectl", f"{script}\n")))


NODES = Question("nodes")
RARE = {
    "echo '[1]'": "what kubectl answers about nodes is no JSON",
    "echo 'no JSON'": "what kubectl answers about nodes is no JSON",
    'printf \'{"apiVersion": "v1", "items": [ {\'': "what kubectl answers about nodes is no JSON",
    "exit 9": "nodes cannot be asked for: exit 9",
    'echo \'E0304 05:06:07.1       7 x.go:1] "a" err="b"\' >&2; exit 1': (
        'nodes cannot be asked for: E0304 05:06:07.1       7 x.go:1] "a" err="b"'
    ),
    "echo 'Error from server (Forbidden): no' >&2; exit 1": (
        "nodes cannot be asked for: forbidden: no; keyturn engine rbac prints the rights that are needed"
    ),
    "echo 'error: You must be logged in to the server (Unauthorized)' >&2; exit 1": (
        "kubectl: You must be logged in to the server (Unauthorized); see kubectl config get-contexts"
    ),
    "echo 'The connection to the server localhost:8080 was refused - right?' >&2; exit 1": (
        "nodes cannot be asked for: The connection to the server localhost:8080 was refused - right?; "
        "say --kubeconfig or --context: kubectl knows of no cluster"
    ),
    "echo 'error: token 5a5a5a5a5a5a5a5a5a5a5a5a is bad' >&2; exit 1": (
        "nodes cannot be asked for: token [redacted] is bad"
    ),
}


@pytest.mark.parametrize("script", RARE)
def test_rare_answer_of_kubectl_is_told_in_one_line(tmp_path: Path, script: str) -> None:
    with pytest.raises(ToolError) as caught:
        asked(tmp_path, script).get(NODES)

    assert str(caught.value) == RARE[script]


def test_version_and_context_that_are_not_told_are_empty(tmp_path: Path) -> None:
    silent = asked(tmp_path, "exit 1\n")

    assert (silent.versions(), silent.where()) == (("", ""), "")


@pytest.mark.parametrize(
    ("answer", "objects"),
    [
        ('{"kind": "NodeList", "items": [{"a": 1}, {"a": 2}]}', [{"a": 1}, {"a": 2}]),
        ('{"apiVersion": "v1", "items": [\n{"a": 1},\n{"a": 2}\n], "kind": "List"}', [{"a": 1}, {"a": 2}]),
        ('{"apiVersion": "v1", "items": [], "kind": "List"}', []),
        ('{"kind": "Node", "a": 3}', [{"kind": "Node", "a": 3}]),
    ],
)
def test_lists_in_every_form_and_single_objects_are_read(tmp_path: Path, answer: str, objects: list[Object]) -> None:
    assert asked(tmp_path, f"cat <<'END'\n{answer}\nEND\n").get(NODES) == objects


# Whatever a cluster says

KINDS = {
    question: kind
    for kind, question in {
        "ConfigMap": "configmaps",
        "Secret": "secrets",
        "Node": "nodes",
        "DaemonSet": "daemonsets.apps",
        "CiliumNode": "ciliumnodes.cilium.io",
        "Kustomization": "kustomizations.kustomize.toolkit.fluxcd.io",
        "HelmRelease": "helmreleases.helm.toolkit.fluxcd.io",
        "Application": "applications.argoproj.io",
    }.items()
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def parsed(text: str) -> Environment:
    node, _ = yamlio.read(text.encode(), "environments/lab.yaml")
    assert node is not None
    found, _ = model.parse(node, "lab")
    assert found is not None
    return found


ENVIRONMENTS = [parsed(IPSEC), parsed(WIREGUARD + clusters.ARGOCD)]


def mangled(draw: st.DrawFn, value: Any) -> Any:
    """Return an object in which anything may be something else."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    if isinstance(value, dict):
        return {name: mangled(draw, one) for name, one in value.items()}
    return [mangled(draw, one) for one in value] if isinstance(value, list) else value


@st.composite
def clusters_of_any_kind(draw: st.DrawFn) -> list[Object]:
    every = [
        clusters.config("ipsec"),
        clusters.secret(KEY.line()),
        *clusters.nodes("a", "b", key=3),
        *clusters.flux(COMMIT, "secrets", "cilium"),
        *clusters.argocd(COMMIT, "root", "cilium"),
    ]
    made = [(one["kind"], mangled(draw, one)) for one in every]
    return [{**one, "kind": kind} for kind, one in made if isinstance(one, dict)]


@given(objects=clusters_of_any_kind())
@settings(max_examples=50, deadline=None)
def test_no_object_of_a_cluster_is_a_bug(objects: list[Object]) -> None:
    for environment in ENVIRONMENTS:
        asked = cluster.questions(environment, secret=True) | engines.questions(environment)
        answers = {
            name: Answer(AT, [question.kept(one) for one in objects if KINDS[question.resource] == one["kind"]])
            for name, question in asked.items()
        }
        told = TOLD if environment.encryption.type == "ipsec" else None
        checks = [*cluster.checks(environment, told, answers)]
        checks += engines.checks(environment, answers, Wanted(COMMIT, holds))
        assert all(isinstance(one.seen, str) for one in checks)
