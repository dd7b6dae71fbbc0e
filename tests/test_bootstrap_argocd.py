"""The rendered bootstrap.sh where Argo CD takes over: it may run in another cluster than the one it looks after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import rig
import standins
import yaml
from kit import WIREGUARD, Ran
from standins import FAIL, SHELLS, Bench, flag

if TYPE_CHECKING:
    from pathlib import Path

    from kit import Repo

SECRET = f"clusters/lab/{rig.SECRET}"
REPOSITORY = "https://git.example.com/platform/clusters.git"

KIND = "kind: {name: blue, workers: 2}\n"
HERE = f"""
cilium: {{version: 1.16.0, values: {{hubble: {{enabled: false}}}}}}
encryption: {{type: ipsec}}
gitops: {{engine: argocd, repository: '{REPOSITORY}'}}
demo: {{endor: true}}
{KIND}"""
HUB = HERE.replace("engine: argocd,", "engine: argocd, argocd: {destination: {name: blue}},")
BY_SERVER = HERE.replace("engine: argocd,", "engine: argocd, argocd: {destination: {server: 'https://203.0.113.7'}},")
SAID = HERE.replace(
    "engine: argocd,", "engine: argocd, argocd: {destination: {server: 'https://kubernetes.default.svc'}},"
)

NEEDED = "ARGOCD_CONTEXT: set ARGOCD_CONTEXT to the kubectl context of the cluster that runs Argo CD\n"


@pytest.fixture
def bench(repo: Repo, home: Path, tmp_path: Path) -> Bench:
    """Argo CD in the cluster itself; Flux nowhere."""
    made = standins.bench(repo, home, tmp_path, HERE)
    made.program("flux", None)
    return made


def fingerprint(bench: Bench) -> str:
    annotations = yaml.safe_load(bench.repo.read(SECRET))["metadata"]["annotations"]
    return str(annotations["keyturn/fingerprint"])


def to_cilium(context: str) -> list[str]:
    """The calls up to where there is a network."""
    on = f"kubectl --context {context}"
    apply = f"{on} apply --server-side -f -"
    return [
        f"{on} -n kube-system get configmap cilium-config --ignore-not-found -o jsonpath={{.data.cluster-name}}",
        f"{on} create namespace kube-system --dry-run=client -o yaml",
        apply,
        f"{on} -n kube-system get secret cilium-ipsec-keys --ignore-not-found -o name",
        apply,
        (
            "helm upgrade --install cilium cilium --repo https://helm.cilium.io --version 1.16.0 "
            f"--kube-context {context} --namespace kube-system --values clusters/lab/cilium/values.yaml"
        ),
        f"{on} -n kube-system rollout status daemonset/cilium --timeout=10m",
    ]


def to_argocd(context: str) -> list[str]:
    on = f"kubectl --context {context}"
    return [
        f"{on} get customresourcedefinition applications.argoproj.io",
        f"{on} apply --server-side -f clusters/lab/argocd-root.yaml",
    ]


MADE = ["kind get clusters", "kind create cluster --config clusters/lab/kind.yaml"]


def told(bench: Bench, hub: str, *, handed_over: bool = True) -> list[str]:
    last = [f"handing over to Argo CD in {hub}, which reads {REPOSITORY}", "done"]
    lines = [f"applying the key {fingerprint(bench)}", "installing Cilium 1.16.0", *(last if handed_over else [])]
    return [f"bootstrap.sh: {line}" for line in lines]


@pytest.mark.parametrize("shell", SHELLS)
def test_whole_way_from_nothing_to_argocd_in_order(bench: Bench, shell: str) -> None:
    ran = bench.run(shell=shell)

    assert bench.words == [*MADE, *to_cilium("kind-blue"), *to_argocd("kind-blue")]
    lines = ["bootstrap.sh: making the kind cluster blue", *told(bench, "kind-blue")]
    assert (ran.code, ran.out, ran.err.splitlines()) == (0, "", lines)


def test_second_run_ends_where_the_first_did(bench: Bench) -> None:
    bench.answer("kind", "blue\n")
    bench.answer("cluster", "lab")
    bench.answer("fingerprint", f"{fingerprint(bench)}\n")

    ran = bench.run()

    asked = (
        "kubectl --context kind-blue -n kube-system get secret cilium-ipsec-keys "
        "-o jsonpath={.metadata.annotations.keyturn/fingerprint}"
    )
    way = to_cilium("kind-blue")
    assert bench.words == [MADE[0], *way[:4], asked, *way[4:], *to_argocd("kind-blue")]
    assert (ran.code, ran.err.splitlines()) == (0, told(bench, "kind-blue"))


def test_identity_is_given_to_nobody(bench: Bench, home: Path) -> None:
    ran = bench.run()

    private = rig.keyring(home).read_text("utf-8").strip()
    seen = "".join(f"{call.argv}{call.stdin}{call.env}" for call in bench.calls) + ran.err
    assert private.startswith("AGE-SECRET-KEY-1")
    assert (private in seen, [words for words in bench.words if "create secret" in words]) == (False, [])


# Which cluster runs Argo CD


@pytest.mark.parametrize("text", [HERE, SAID], ids=["by default", "said"])
def test_cluster_that_looks_after_itself_is_its_own_hub(bench: Bench, text: str) -> None:
    bench.render(text)

    ran = bench.run(KUBE_CONTEXT="green")

    assert (ran.code, bench.words) == (0, [*to_cilium("green"), *to_argocd("green")])


@pytest.mark.parametrize("text", [HERE, HUB, BY_SERVER], ids=["itself", "by name", "by server"])
def test_hub_that_was_named_gets_the_root_and_the_cluster_everything_else(bench: Bench, text: str) -> None:
    bench.render(text)

    ran = bench.run(KUBE_CONTEXT="green", ARGOCD_CONTEXT="hub")

    assert bench.words == [*to_cilium("green"), *to_argocd("hub")]
    assert (ran.code, ran.err.splitlines()) == (0, told(bench, "hub"))


@pytest.mark.parametrize("text", [HUB, BY_SERVER], ids=["by name", "by server"])
@pytest.mark.parametrize("context", ["", "green"])
def test_hub_has_to_be_named_where_it_is_another_cluster(bench: Bench, text: str, context: str) -> None:
    bench.render(text)

    ran = bench.run(KUBE_CONTEXT=context)

    assert (ran.code != 0, ran.out, bench.words) == (True, "", [])
    assert (ran.err.count("\n"), ran.err.endswith(NEEDED)) == (1, True)


def test_context_with_blanks_in_its_name_is_one_word(bench: Bench) -> None:
    bench.run(ARGOCD_CONTEXT="the  hub; true")

    assert [call.argv[:3] for call in bench.calls[-2:]] == [["kubectl", "--context", "the  hub; true"]] * 2


# What has to be there


@pytest.mark.parametrize(("text", "hub"), [(HERE, "kind-blue"), (HUB, "hub")], ids=["itself", "another"])
def test_hub_without_argocd_is_told_once_the_network_is_there(bench: Bench, text: str, hub: str) -> None:
    bench.render(text)
    bench.answer("no-argocd", "Error from server (NotFound)\n")

    ran = bench.run(ARGOCD_CONTEXT=hub)

    message = f"no Argo CD in {hub}: install it and apply what 'keyturn engine argocd lab' prints, then run this again"
    assert bench.words == [*MADE, *to_cilium("kind-blue"), to_argocd(hub)[0]]
    assert (ran.code, ran.out, ran.err.splitlines()) == (
        1,
        "",
        [
            "bootstrap.sh: making the kind cluster blue",
            *told(bench, hub, handed_over=False),
            "Error from server (NotFound)",
            f"bootstrap.sh: {message}",
        ],
    )


@pytest.mark.parametrize("name", ["kubectl", "helm", "kind", "git"])
def test_missing_program_is_named_before_anything_runs(bench: Bench, name: str) -> None:
    ran = bench.without(name)

    assert (ran, bench.words) == (Ran(1, "", f"bootstrap.sh: {name} is not on PATH\n"), [])


def test_tree_that_argocd_could_not_read_is_told_first(bench: Bench) -> None:
    bench.repo.git("rm", "-q", "-r", "--cached", "clusters")

    ran = bench.run()

    message = "warning: clusters/lab is not in git, where Argo CD will look for it; commit it and push"
    assert (ran.code, ran.err.splitlines()[0]) == (0, f"bootstrap.sh: {message}")
    assert bench.words[-1] == to_argocd("kind-blue")[-1]


def test_root_that_is_refused_is_not_called_done(bench: Bench) -> None:
    bench.program("kubectl", standins.KUBECTL + 'case "$*" in *argocd-root.yaml) echo no >&2; exit 9 ;; esac\n')

    ran = bench.run()

    assert (ran.code, ran.err.splitlines()[-1]) == (9, "no")


def test_cilium_that_is_not_installed_hands_nothing_over(bench: Bench) -> None:
    bench.program("helm", FAIL)

    ran = bench.run()

    assert (ran.code, bench.words) == (9, [*MADE, *to_cilium("kind-blue")[:-1]])


# What is handed over

OCI = HERE.replace(
    "version: 1.16.0,", "version: 1.18.2, chart: {repository: 'oci://registry.example.com/charts/', name: cilium-own},"
)


@pytest.mark.parametrize("text", [HERE, OCI], ids=["https", "oci"])
def test_helm_installs_the_release_that_argocd_adopts(bench: Bench, text: str) -> None:
    bench.render(text)

    bench.run()

    spec = yaml.safe_load(bench.repo.read("clusters/lab/argocd/cilium.yaml"))["spec"]
    chart = spec["sources"][0]
    (helm,) = (call.argv for call in bench.calls if call.argv[0] == "helm")
    named = [chart["chart"]] if "--repo" in helm else [f"oci://{chart['repoURL']}/{chart['chart']}"]
    assert helm[:5] == ["helm", "upgrade", "--install", chart["helm"]["releaseName"], *named]
    assert [word for word in helm if word.startswith("https:")] == ([chart["repoURL"]] if "--repo" in helm else [])
    assert flag(helm, "--version") == chart["targetRevision"]
    assert flag(helm, "--namespace") == spec["destination"]["namespace"]
    assert [f"$values/{flag(helm, '--values')}"] == chart["helm"]["valueFiles"]


def test_environment_without_a_key_is_handed_over_without_sops(bench: Bench) -> None:
    bench.render(f"{WIREGUARD}gitops: {{engine: argocd, repository: '{REPOSITORY}'}}\n")
    (bench.folder / "tools" / "sops").unlink()

    ran = bench.run(KUBE_CONTEXT="green")

    way = to_cilium("green")
    assert (ran.code, bench.words) == (0, [*way[:3], *way[5:], *to_argocd("green")])
