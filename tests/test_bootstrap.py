"""The rendered bootstrap.sh, run by real shells with the real sops against programs that note how they were called."""

from __future__ import annotations

import re
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
NAMES = "go-template={{range $name, $_ := .data}}{{$name}} {{end}}"  # what an empty Secret answers with nothing

LAB = """
cilium: {version: 1.16.0, values: {hubble: {enabled: false}}}
encryption: {type: ipsec}
gitops: {repository: 'https://git.example.com/platform/clusters.git'}
kind: {name: blue, workers: 2}
demo: {endor: true}
"""
NO_KIND = LAB.replace("kind: {name: blue, workers: 2}\n", "")


@pytest.fixture
def bench(repo: Repo, home: Path, tmp_path: Path) -> Bench:
    return standins.bench(repo, home, tmp_path, LAB)


def fingerprint(bench: Bench) -> str:
    annotations = yaml.safe_load(bench.repo.read(SECRET))["metadata"]["annotations"]
    return str(annotations["keyturn/fingerprint"])


def whole_way(home: Path) -> list[str]:
    on = "kubectl --context kind-blue"
    apply = f"{on} apply --server-side -f -"
    return [
        "kind get clusters",
        "kind create cluster --config clusters/lab/kind.yaml",
        f"{on} -n kube-system get configmap cilium-config --ignore-not-found -o jsonpath={{.data.cluster-name}}",
        f"{on} create namespace kube-system --dry-run=client -o yaml",
        apply,
        f"{on} -n kube-system get secret cilium-ipsec-keys --ignore-not-found -o name",
        apply,
        (
            "helm upgrade --install cilium cilium --repo https://helm.cilium.io --version 1.16.0 "
            "--kube-context kind-blue --namespace kube-system --values clusters/lab/cilium/values.yaml"
        ),
        f"{on} -n kube-system rollout status daemonset/cilium --timeout=10m",
        f"{on} create namespace flux-system --dry-run=client -o yaml",
        apply,
        f"{on} -n flux-system get secret sops-age --ignore-not-found -o {NAMES}",
        (
            f"{on} -n flux-system create secret generic sops-age --from-file=age.agekey={rig.keyring(home)} "
            "--dry-run=client -o yaml"
        ),
        apply,
        (
            "flux bootstrap git --context kind-blue --namespace flux-system "
            "--url https://git.example.com/platform/clusters.git --branch main --path=clusters/lab/flux"
        ),
    ]


def told(bench: Bench) -> str:
    lines = [
        "making the kind cluster blue",
        f"applying the key {fingerprint(bench)}",
        "installing Cilium 1.16.0",
        "giving Flux the decryption key sops-age",
        "handing over to Flux, which reads https://git.example.com/platform/clusters.git",
        "done",
    ]
    return "".join(f"bootstrap.sh: {line}\n" for line in lines)


@pytest.mark.parametrize("shell", SHELLS)
def test_whole_way_from_nothing_to_flux_in_order(bench: Bench, home: Path, shell: str) -> None:
    ran = bench.run(shell=shell)

    assert ran == Ran(0, "", told(bench))
    assert bench.words == whole_way(home)


def test_decrypted_secret_goes_into_kubectl_apply_and_nowhere_else(bench: Bench) -> None:
    ran = bench.run()

    clear = rig.decrypt(bench.repo.root / SECRET)
    (material,) = re.findall(r"[0-9a-f]{40}", yaml.safe_load(clear)["stringData"]["keys"])
    given = [(call.argv, call.stdin) for call in bench.calls if material in f"{call.argv}{call.stdin}{call.env}"]
    assert given == [(["kubectl", "--context", "kind-blue", "apply", "--server-side", "-f", "-"], clear)]
    assert material not in ran.out + ran.err
    calls = bench.folder / "calls"
    files = [path for path in bench.folder.rglob("*") if path.is_file() and calls not in path.parents]
    assert [path for path in files if material in path.read_text("utf-8", "replace")] == []


def test_private_half_of_the_identity_is_in_no_argument_and_no_environment(bench: Bench, home: Path) -> None:
    ran = bench.run()

    private = rig.keyring(home).read_text("utf-8").strip()
    seen = "".join(f"{call.argv}{call.stdin}{call.env}" for call in bench.calls) + ran.out + ran.err
    assert private.startswith("AGE-SECRET-KEY-1")
    assert private not in seen


def test_what_kubectl_would_create_is_what_is_applied(bench: Bench) -> None:
    bench.run()

    applied = [call.stdin for call in bench.calls if call.argv[-2:] == ["-f", "-"]]
    expected = ["namespace: kube-system\n", rig.decrypt(bench.repo.root / SECRET), "namespace: flux-system\n"]
    assert applied == [*expected, "secret: generic\n"]


# The release that Flux adopts


RELEASES = {
    "the defaults": NO_KIND,
    "another version, namespace, mirror and chart": NO_KIND.replace(
        "{version: 1.16.0,",
        "{version: 1.18.2, namespace: cilium, chart: {repository: 'https://mirror.example.com/c', name: cilium-own},",
    ),
    "a pre-release": NO_KIND.replace("1.16.0", "1.17.0-rc.1"),
}


@pytest.mark.parametrize("text", RELEASES.values(), ids=RELEASES)
def test_helm_installs_the_release_that_flux_adopts(bench: Bench, text: str) -> None:
    bench.repo.git("rm", "-q", "-r", "-f", "clusters")  # its namespace is fixed once there is a Secret
    bench.render(text)

    bench.run(KUBE_CONTEXT="blue")

    tree = bench.repo.root / "clusters/lab/cilium"
    release = yaml.safe_load((tree / "helmrelease.yaml").read_text("utf-8"))
    repository = yaml.safe_load((tree / "helmrepository.yaml").read_text("utf-8"))
    (helm,) = (call.argv for call in bench.calls if call.argv[0] == "helm")
    chart, spec = release["spec"]["chart"]["spec"], release["spec"]
    assert helm[:5] == ["helm", "upgrade", "--install", spec["releaseName"], chart["chart"]]
    assert flag(helm, "--repo") == repository["spec"]["url"]
    assert flag(helm, "--version") == chart["version"]
    assert flag(helm, "--kube-context") == "blue"
    assert {flag(helm, "--namespace")} == {
        release["metadata"]["namespace"],
        spec["targetNamespace"],
        spec["storageNamespace"],
        repository["metadata"]["namespace"],
    }
    assert flag(helm, "--values") == "clusters/lab/cilium/values.yaml"
    assert spec["valuesFrom"][0]["valuesKey"] == "values.yaml"


def test_chart_from_an_oci_registry_is_installed_by_its_address(bench: Bench) -> None:
    bench.render(
        NO_KIND.replace("{version: 1.16.0,", "{version: 1.16.0, chart: {repository: 'oci://quay.io/charts/'},")
    )

    bench.run(KUBE_CONTEXT="blue")

    source = yaml.safe_load(bench.repo.read("clusters/lab/cilium/ocirepository.yaml"))["spec"]
    (helm,) = (call.argv for call in bench.calls if call.argv[0] == "helm")
    assert helm == [
        *("helm", "upgrade", "--install", "cilium", source["url"], "--version", source["ref"]["tag"]),
        *("--kube-context", "blue", "--namespace", "kube-system", "--values", "clusters/lab/cilium/values.yaml"),
    ]


# Another cluster, another key


def changes_nothing(words: list[str]) -> bool:
    """Whether the calls only asked."""
    return not any(re.search(r" (apply|create|upgrade|bootstrap|delete) ", f"{line} ") for line in words)


def test_context_of_another_cluster_stops_before_anything_is_changed(bench: Bench) -> None:
    bench.render(NO_KIND)
    bench.answer("cluster", "green")

    ran = bench.run(KUBE_CONTEXT="admin@somewhere")

    assert ran == Ran(1, "", "bootstrap.sh: context admin@somewhere is cluster green, not lab\n")
    assert changes_nothing(bench.words)


def test_cluster_that_holds_another_key_stops_before_it_is_replaced(bench: Bench) -> None:
    bench.render(NO_KIND)
    bench.answer("cluster", "lab")
    bench.answer("fingerprint", "sha256:00112233445566778899aabbccddeeff\n")

    ran = bench.run(KUBE_CONTEXT="blue")

    assert ran == Ran(1, "", f"bootstrap.sh: the cluster holds another key than {SECRET}\n")
    assert [words for words in bench.words if "apply" in words] == [
        "kubectl --context blue apply --server-side -f -"  # the namespace
    ]
    assert not [words for words in bench.words if words.startswith(("helm", "flux"))]


def test_second_run_does_the_same_and_keeps_what_is_there(bench: Bench, home: Path) -> None:
    bench.answer("kind", "green\nblue\n")
    bench.answer("cluster", "lab")
    bench.answer("fingerprint", f"{fingerprint(bench)}\n")
    bench.answer("sops-age", "age.agekey ")

    ran = bench.run()

    on = "kubectl --context kind-blue"
    way = whole_way(home)
    del way[12:14], way[1]
    way.insert(
        5, f"{on} -n kube-system get secret cilium-ipsec-keys -o jsonpath={{.metadata.annotations.keyturn/fingerprint}}"
    )
    assert bench.words == way
    assert (ran.code, ran.out, ran.err) == (
        0,
        "",
        told(bench)
        .replace("bootstrap.sh: making the kind cluster blue\n", "")
        .replace("giving Flux the decryption key sops-age", "keeping the cluster's decryption key sops-age"),
    )


def test_kind_cluster_with_a_longer_name_is_another_one(bench: Bench) -> None:
    bench.answer("kind", "blue-2\nnot-blue\nblu\n")

    bench.run()

    assert bench.words[1] == "kind create cluster --config clusters/lab/kind.yaml"


def test_context_has_to_be_named_where_there_is_no_kind_cluster(bench: Bench) -> None:
    bench.render(NO_KIND)

    ran = bench.run()

    assert (ran.code != 0, ran.out, bench.words) == (True, "", [])
    assert ran.err.endswith("KUBE_CONTEXT: set KUBE_CONTEXT to the kubectl context of cluster lab\n")


def test_context_that_was_named_goes_before_kinds_own(bench: Bench) -> None:
    bench.program("kind", None)

    ran = bench.run(KUBE_CONTEXT="other")

    assert (ran.code, {words.split()[2] for words in bench.words if words.startswith("kubectl")}) == (0, {"other"})


# What has to be there


@pytest.mark.parametrize("name", ["kubectl", "helm", "kind", "flux"])
def test_missing_program_is_named_before_anything_runs(bench: Bench, name: str) -> None:
    ran = bench.without(name)

    assert (ran, bench.words) == (Ran(1, "", f"bootstrap.sh: {name} is not on PATH\n"), [])


def test_sops_of_the_workspaces_own_environment_will_do(bench: Bench, home: Path) -> None:
    own = bench.repo.root / ".venv" / "bin"
    own.mkdir(parents=True)
    (bench.folder / "tools" / "sops").rename(own / "sops")

    ran = bench.run()

    assert (ran.code, bench.words) == (0, whole_way(home))


def test_missing_sops_is_named_before_anything_runs(bench: Bench) -> None:
    (bench.folder / "tools" / "sops").unlink()

    ran = bench.run()

    assert (ran, bench.words) == (Ran(1, "", "bootstrap.sh: .venv/bin/sops is not on PATH\n"), [])


def test_missing_secret_is_told_with_the_command_that_makes_it(bench: Bench) -> None:
    (bench.repo.root / SECRET).unlink()

    ran = bench.run()

    assert (ran, bench.words) == (Ran(1, "", f"bootstrap.sh: {SECRET} is missing: keyturn render lab\n"), [])


def test_tree_that_flux_could_not_read_is_told_first(bench: Bench) -> None:
    bench.repo.git("rm", "-q", "-r", "--cached", "clusters")

    ran = bench.run()

    message = "warning: clusters/lab is not in git, where Flux will look for it; commit it and push"
    assert (ran.code, ran.err.splitlines()[0]) == (0, f"bootstrap.sh: {message}")


def test_without_the_private_key_nothing_runs(bench: Bench, home: Path) -> None:
    rig.keyring(home).unlink()
    rig.identity(rig.keyring(home))

    ran = bench.run()

    assert (ran.code, ran.out, bench.words) == (1, "", [])
    assert ran.err.endswith(f"bootstrap.sh: no private key at hand for {SECRET}\n")


@pytest.mark.parametrize(
    ("program", "last"),
    [("kind", "kind get clusters"), ("kubectl", "kubectl --context kind-blue"), ("helm", "helm upgrade")],
)
def test_program_that_fails_ends_it_there(bench: Bench, program: str, last: str) -> None:
    bench.program(program, FAIL)

    ran = bench.run()

    assert ran.code != 0
    assert bench.words[-1].startswith(last)
    assert "bootstrap.sh: done\n" not in ran.err


# The decryption key for Flux


def test_identity_file_with_more_than_one_identity_is_not_given_to_a_cluster(bench: Bench, home: Path) -> None:
    rig.identity(rig.keyring(home))

    ran = bench.run()

    message = (
        f"{rig.keyring(home)} holds more than this cluster may have; "
        "put its one identity into a file and set ENGINE_AGE_KEY_FILE"
    )
    assert (ran.code, ran.err.splitlines()[-1]) == (1, f"bootstrap.sh: {message}")
    assert not [words for words in bench.words if "create secret" in words or words.startswith("flux")]


def given(bench: Bench) -> list[str]:
    return re.findall(r"--from-file=age\.agekey=(\S+)", "\n".join(bench.words))


def test_identity_of_the_engine_may_be_another_one(bench: Bench, home: Path) -> None:
    rig.identity(rig.keyring(home))
    engine = bench.folder / "engine.txt"
    rig.identity(engine)

    ran = bench.run(ENGINE_AGE_KEY_FILE=str(engine))

    assert (ran.code, given(bench)) == (0, [str(engine)])


@pytest.mark.parametrize(
    ("variable", "named"), [("SOPS_AGE_KEY_FILE", "xdg/sops/age/keys.txt"), ("XDG_CONFIG_HOME", "xdg")]
)
def test_identity_is_taken_from_where_sops_found_it(bench: Bench, home: Path, variable: str, named: str) -> None:
    place = bench.folder / "xdg" / "sops" / "age" / "keys.txt"
    place.parent.mkdir(parents=True)
    rig.keyring(home).rename(place)
    bench.env[variable] = str(bench.folder / named)

    ran = bench.run()

    assert (ran.code, given(bench)) == (0, [str(place)])


def test_missing_identity_file_is_told_with_the_ways_out(bench: Bench, home: Path) -> None:
    private = rig.keyring(home).read_text("utf-8").strip()
    rig.keyring(home).unlink()

    ran = bench.run(SOPS_AGE_KEY=private)

    message = f"no age identity in {rig.keyring(home)}; set ENGINE_AGE_KEY_FILE, or make sops-age by hand"
    assert (ran.code, ran.err.splitlines()[-1]) == (1, f"bootstrap.sh: {message}")


# Handing over


def flux(bench: Bench) -> str:
    (words,) = (words for words in bench.words if words.startswith("flux"))
    return words


def test_workspace_in_a_folder_hands_over_its_own_path_and_branch(bench: Bench) -> None:
    bench.render(LAB.replace("gitops: {", "gitops: {path: platform/eu, revision: release/1.0, "))

    bench.run()

    assert flux(bench) == (
        "flux bootstrap git --context kind-blue --namespace flux-system "
        "--url https://git.example.com/platform/clusters.git --branch release/1.0 --path=platform/eu/clusters/lab/flux"
    )


def test_arguments_reach_flux_as_they_are(bench: Bench) -> None:
    bench.run("--author-name", "A B", "--token-auth", "*")

    assert bench.calls[-1].argv[-4:] == ["--author-name", "A B", "--token-auth", "*"]


NO_ADDRESS = LAB.replace("gitops: {repository: 'https://git.example.com/platform/clusters.git'}\n", "")


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("ssh://git@example.com/x.git", "ssh://git@example.com/x.git"),
        ("https://example.com/x.git", "https://example.com/x.git"),
        ("git@example.com:team/x.git", "ssh://git@example.com/team/x.git"),
    ],
)
def test_address_comes_from_the_remote_in_a_form_that_flux_takes(bench: Bench, remote: str, url: str) -> None:
    bench.render(NO_ADDRESS)
    bench.repo.git("remote", "add", "origin", remote)

    bench.run()

    assert f"--url {url} " in flux(bench)


@pytest.mark.parametrize("text", [LAB, NO_ADDRESS])
def test_address_that_is_named_goes_first(bench: Bench, text: str) -> None:
    bench.render(text)
    bench.repo.git("remote", "add", "origin", "ssh://git@example.com/x.git")

    bench.run(GIT_URL="ssh://other/y.git")

    assert "--url ssh://other/y.git " in flux(bench)


@pytest.mark.parametrize("login", ["me:s3cret", "s3cret"])
def test_password_in_the_remotes_address_is_neither_handed_on_nor_shown(bench: Bench, login: str) -> None:
    bench.render(NO_ADDRESS)
    bench.repo.git("remote", "add", "origin", f"https://{login}@example.com/x.git")

    ran = bench.run()

    message = "the remote's address holds a password or token; set GIT_URL to one without"
    assert (ran.code, ran.err.splitlines()[-1]) == (1, f"bootstrap.sh: {message}")
    assert "s3cret" not in ran.err + "".join(bench.words)


def test_missing_address_is_told(bench: Bench) -> None:
    bench.render(NO_ADDRESS)

    ran = bench.run()

    message = "no git remote; set GIT_URL to the address that the cluster can read"
    assert (ran.code, ran.err.splitlines()[-1]) == (1, f"bootstrap.sh: {message}")


def test_flux_with_a_source_of_its_own_gets_the_kustomizations(bench: Bench) -> None:
    bench.render(LAB.replace("gitops: {", "gitops: {flux: {sourceName: platform}, "))

    ran = bench.run()

    assert (ran.code, bench.words[-1]) == (0, "kubectl --context kind-blue apply --server-side -f clusters/lab/flux")
    assert not [words for words in bench.words if words.startswith("flux")]


def test_without_an_engine_the_demo_is_applied_and_nothing_handed_over(bench: Bench) -> None:
    bench.render(NO_KIND.replace("gitops: {", "gitops: {engine: none, "))
    bench.program("flux", None)
    bench.program("kind", None)

    ran = bench.run(KUBE_CONTEXT="blue")

    on = "kubectl --context blue"
    assert bench.words == [
        f"{on} -n kube-system get configmap cilium-config --ignore-not-found -o jsonpath={{.data.cluster-name}}",
        f"{on} create namespace kube-system --dry-run=client -o yaml",
        f"{on} apply --server-side -f -",
        f"{on} -n kube-system get secret cilium-ipsec-keys --ignore-not-found -o name",
        f"{on} apply --server-side -f -",
        (
            "helm upgrade --install cilium cilium --repo https://helm.cilium.io --version 1.16.0 "
            "--kube-context blue --namespace kube-system --values clusters/lab/cilium/values.yaml"
        ),
        f"{on} -n kube-system rollout status daemonset/cilium --timeout=10m",
        f"{on} apply --server-side -k clusters/lab/demo",
    ]
    lines = [f"applying the key {fingerprint(bench)}", "installing Cilium 1.16.0", "applying the demo", "done"]
    assert ran == Ran(0, "", "".join(f"bootstrap.sh: {line}\n" for line in lines))


def test_environment_without_a_key_needs_no_sops(bench: Bench, home: Path) -> None:
    bench.render(f"{WIREGUARD}gitops: {{engine: none}}\n")
    (bench.folder / "tools" / "sops").unlink()
    rig.keyring(home).unlink()

    ran = bench.run(KUBE_CONTEXT="blue")

    assert (ran.code, [words for words in bench.words if "secret" in words]) == (0, [])
    assert ran.err == "bootstrap.sh: installing Cilium 1.16.0\nbootstrap.sh: done\n"


# Where it is run from


@pytest.mark.parametrize("shell", SHELLS)
def test_script_finds_its_workspace_from_anywhere(bench: Bench, home: Path, shell: str) -> None:
    for at in [
        ("", "clusters/lab/bootstrap.sh"),
        ("clusters/lab", "bootstrap.sh"),
        ("..", "repo/clusters/lab/bootstrap.sh"),
    ]:
        bench.forget()

        ran = bench.run(shell=shell, at=at)

        assert (ran.code, bench.words) == (0, whole_way(home))


def test_search_path_of_the_shell_does_not_lead_to_another_workspace(bench: Bench, home: Path) -> None:
    decoy = bench.folder / "decoy"
    (decoy / "clusters/lab").mkdir(parents=True)

    ran = bench.run(at=("", "clusters/lab/bootstrap.sh"), CDPATH=str(decoy))

    assert (ran.code, ran.out, bench.words) == (0, "", whole_way(home))


def test_names_that_a_shell_could_take_for_words_are_quoted(bench: Bench) -> None:
    text = LAB.replace("gitops: {", "cluster: {name: 1-x}\ngitops: {revision: a+b, ")
    bench.render(text)

    ran = bench.run()

    assert ran.code == 0
    assert "--branch a+b" in flux(bench)


def test_folder_with_blanks_in_its_name_does_no_harm(bench: Bench, home: Path) -> None:
    moved = bench.folder / "my  clusters; true"
    bench.repo.root.rename(moved)
    bench.repo.root = moved

    ran = bench.run()

    assert (ran.code, bench.words) == (0, whole_way(home))
