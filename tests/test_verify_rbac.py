"""`keyturn engine rbac`: the rights that `keyturn verify` takes, no more and no fewer, as an API server judges them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import rig
from clusters import ARGOCD, lab, look, serve, wireguard
from kit import IPSEC, WIREGUARD, Ran, Repo
from test_engine_command import documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import apiserver
    from clusters import Lab

Object = dict[str, Any]
ELSEWHERE = WIREGUARD + ARGOCD.replace("git}", "git, argocd: {destination: {server: 'https://eu.example.com'}}}")
__all__ = ["lab", "serve", "wireguard"]  # fixtures


def printed(repo: Repo, *words: str) -> list[Object]:
    ran = rig.command(repo.root, "engine", "rbac", *words)
    assert (ran.code, ran.err) == (0, "")
    return documents(ran.out)


def allowing(roles: Iterable[Object]) -> Callable[[apiserver.Request], bool]:
    """Judge requests as Kubernetes does by Roles and ClusterRoles that are all bound to who asks."""

    def allowed(asked: apiserver.Request) -> bool:
        for role in roles:
            if role["kind"] not in ("Role", "ClusterRole"):
                continue
            if role["kind"] == "Role" and role["metadata"]["namespace"] != asked.namespace:
                continue
            if any(_fits(rule, asked) for rule in role["rules"]):
                return True
        return False

    return allowed


def _fits(rule: Object, asked: apiserver.Request) -> bool:
    return (
        asked.group in rule["apiGroups"]
        and asked.resource in rule["resources"]
        and asked.verb in rule["verbs"]
        and asked.name in rule.get("resourceNames", [asked.name])
    )


def used(rules: Iterable[Object], requests: Iterable[apiserver.Request]) -> set[str]:
    """Return the resources of rules that no request made use of."""
    asked = list(requests)
    return {
        resource
        for role in rules
        for rule in role.get("rules", [])
        for resource in rule["resources"]
        if not any(_fits(rule | {"resources": [resource]}, one) for one in asked)
    }


@pytest.mark.parametrize(("fixture", "environment"), [("lab", ()), ("lab", ("lab",)), ("wireguard", ("lab",))])
def test_who_has_these_rights_and_no_other_can_verify(
    request: pytest.FixtureRequest, fixture: str, environment: tuple[str, ...]
) -> None:
    one: Lab = request.getfixturevalue(fixture)
    one.server.allowed = allowing(printed(one.repo, *environment))

    done = look(one)

    assert (done.holds, done.unasked) == (True, [])


@pytest.mark.parametrize("fixture", ["lab", "wireguard"])
def test_every_right_for_an_environment_is_made_use_of(request: pytest.FixtureRequest, fixture: str) -> None:
    one: Lab = request.getfixturevalue(fixture)

    look(one)

    assert used(printed(one.repo, "lab"), one.server.requests) == {"pods/exec"}  # a stand-in asks for that


def test_without_the_flags_rights_the_same_flags_serve(lab: Lab) -> None:
    roles = printed(lab.repo, "lab", "--no-exec", "--no-secret")
    lab.server.allowed = allowing(roles)

    ran = lab.verify("--no-exec", "--no-secret")

    assert ran.code == 0
    resources = {resource for role in roles for rule in role.get("rules", []) for resource in rule["resources"]}
    assert resources == {"ciliumnodes", "configmaps", "daemonsets", "helmreleases", "kustomizations"}
    assert used(roles, lab.server.requests) == set()


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ((), set()),
        (("--no-exec",), {"pods", "pods/exec"}),
        (("--no-secret",), {"secrets"}),
        (("--no-exec", "--no-secret"), {"pods", "pods/exec", "secrets"}),
    ],
)
def test_flags_take_their_rights_away(repo: Repo, words: tuple[str, ...], missing: set[str]) -> None:
    repo.environment("lab", IPSEC)

    roles = printed(repo, *words)

    found = {resource for role in roles for rule in role.get("rules", []) for resource in rule["resources"]}
    every = {"ciliumnodes", "nodes", "configmaps", "daemonsets", "helmreleases", "kustomizations"}
    assert found == (every | {"pods", "pods/exec", "secrets"}) - missing


def test_names_are_the_environments_own(repo: Repo) -> None:
    repo.environment("eu", WIREGUARD.replace("version: 1.16.0", "version: 1.16.0, namespace: net") + ARGOCD)

    roles = {(one["kind"], one["metadata"]["name"]): one for one in printed(repo, "eu")}

    assert roles["Role", "keyturn-verify"]["metadata"]["namespace"] == "net"
    assert roles["Role", "keyturn-verify-eu"] == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "keyturn-verify-eu", "namespace": "argocd"},
        "rules": [
            {
                "apiGroups": ["argoproj.io"],
                "resources": ["applications"],
                "resourceNames": ["eu-root", "eu-cilium"],
                "verbs": ["get"],
            }
        ],
    }
    assert all(one["metadata"]["name"].startswith("keyturn-verify") for one in roles.values())


@pytest.mark.parametrize("words", [(), ("--no-exec",), ("lab",), ("eu", "--no-secret"), ("far", "--hub"), ("off",)])
def test_every_object_is_valid_and_every_role_is_bound(repo: Repo, words: tuple[str, ...]) -> None:
    repo.environment("lab", IPSEC)
    repo.environment("eu", WIREGUARD + ARGOCD)
    repo.environment("far", ELSEWHERE)
    repo.environment("off", WIREGUARD.replace("wireguard", "none") + "gitops: {engine: none}\n")

    roles = printed(repo, *words)

    for one in roles:
        kubernetes_validate.validate(one, "1.31", strict=True)
    named = {(one["kind"], one["metadata"]["name"]) for one in roles if "rules" in one}
    assert named == {(one["roleRef"]["kind"], one["roleRef"]["name"]) for one in roles if "roleRef" in one}


def test_argocd_elsewhere_gets_a_role_of_its_own(repo: Repo) -> None:
    repo.environment("eu", ELSEWHERE)
    repo.environment("lab", IPSEC)

    here, hub = (
        {one["metadata"]["namespace"] for one in printed(repo, "eu", *words) if one["kind"] == "Role"}
        for words in ((), ("--hub",))
    )
    refused = [rig.command(repo.root, "engine", "rbac", *words, "--hub") for words in (["lab"], [])]

    assert (here, hub) == ({"kube-system"}, {"argocd"})
    told = "keyturn: error: --hub is for an environment whose Argo CD runs in another cluster"
    assert refused == [Ran(2, "", f"{told}\n"), Ran(2, "", f"{told}; name it: keyturn engine rbac ENV --hub\n")]


def test_no_right_is_to_change_anything_but_to_exec(repo: Repo) -> None:
    repo.environment("lab", IPSEC)

    verbs = {
        (resource, verb)
        for role in printed(repo)
        for rule in role.get("rules", [])
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert {one for one in verbs if one[1] not in ("get", "list")} == {("pods/exec", "create")}


def test_warnings_tell_what_exec_and_the_secret_are_worth(repo: Repo) -> None:
    repo.environment("lab", IPSEC)

    texts = [rig.command(repo.root, "engine", "rbac", *words).out for words in ([], ["--no-exec", "--no-secret"])]

    assert [text.count("# WARNING") for text in texts] == [2, 0]
