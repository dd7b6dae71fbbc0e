"""`keyturn engine`: what Argo CD or Flux needs before it can apply a tree, and no key."""

from __future__ import annotations

import re
import subprocess
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import rig
import yaml
from alone import keyturn
from kit import PROJECT, Ran, Repo, program

if TYPE_CHECKING:
    from pathlib import Path

ARGOCD = """cilium: {version: 1.18.12, values: {hubble: {enabled: false}}}
encryption: {type: ipsec}
gitops:
  engine: argocd
  repository: ssh://git@git.example.com/clusters.git
"""
OWN_ARGOCD = f"{ARGOCD}  argocd: {{namespace: '1'}}\n"
FLUX = ARGOCD.replace("engine: argocd", "engine: flux")
OWN_FLUX = f"{FLUX}  revision: '1.20'\n  flux: {{namespace: '0o7', decryptionSecret: 'true', interval: 3m, %s}}\n"
BOOTSTRAPPED = OWN_FLUX % "sourceName: '0o7'"
BY_HAND = OWN_FLUX % "sourceName: 'on'"

APPLY = "kubectl apply --server-side --field-manager=keyturn -f -"
HEALTH = "resource.customizations.health.argoproj.io_Application"
LUA = """local health = { status = "Progressing", message = "" }
if obj.status ~= nil and obj.status.health ~= nil then
  health.status = obj.status.health.status or health.status
  health.message = obj.status.health.message or ""
end
return health
"""

# What of Argo CD's own Deployment the patch touches.
REPO_SERVER = """apiVersion: apps/v1
kind: Deployment
metadata: {name: argocd-repo-server, namespace: argocd}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: argocd-repo-server}}
  template:
    metadata: {labels: {app.kubernetes.io/name: argocd-repo-server}}
    spec:
      initContainers:
        - {name: copyutil, image: 'argocd:v3.1.0', volumeMounts: [{name: var-files, mountPath: /run}]}
      containers:
        - name: argocd-repo-server
          image: argocd:v3.1.0
          env: [{name: HOME, value: /tmp}]
          volumeMounts: [{name: var-files, mountPath: /var/run}]
      volumes: [{name: var-files, emptyDir: {}}]
"""

Object = dict[str, Any]


def printed(repo: Repo, *words: str) -> str:
    ran = rig.command(repo.root, "engine", *words)
    assert (ran.code, ran.err) == (0, ""), ran.err
    return ran.out


def documents(text: str) -> list[Object]:
    return [dict(one) for one in yaml.safe_load_all(text) if one is not None]


def commented(text: str) -> Object:
    """Return the Secret that stands in the comments: applying it as it is could take a key away."""
    lines = re.findall(r"^#   (apiVersion: v1|  .*|kind: .*|metadata:|type: .*|data:)$", text, re.MULTILINE)
    return dict(yaml.safe_load("\n".join(line for line in lines if "kubectl" not in line and "--dry" not in line)))


def comment(text: str) -> str:
    """Return what the comments of a text say, as one line."""
    return " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))


@pytest.fixture
def repo(repo: Repo) -> Repo:
    repo.init()
    named = {"argo": ARGOCD, "own-argo": OWN_ARGOCD, "flux": FLUX, "bootstrapped": BOOTSTRAPPED, "by-hand": BY_HAND}
    for name, text in named.items():
        repo.environment(name, text)
    repo.environment("neither", "cilium: {version: 1.18.12}\nencryption: {type: ipsec}\ngitops: {engine: none}\n")
    return repo


# Argo CD


@pytest.mark.parametrize(("words", "namespace"), [((), "argocd"), (("argo",), "argocd"), (("own-argo",), "1")])
def test_argocd_gets_a_config_map_and_a_patch_in_its_namespace(
    repo: Repo, words: tuple[str, ...], namespace: str
) -> None:
    text = printed(repo, "argocd", *words)

    config, patch = documents(text)
    assert config == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "argocd"},
        },
        "data": {
            "resource.customizations.health.argoproj.io_Application": LUA,
            "kustomize.buildOptions": "--enable-alpha-plugins --enable-exec",
        },
    }
    assert (patch["apiVersion"], patch["kind"]) == ("apps/v1", "Deployment")
    assert patch["metadata"] == {"name": "argocd-repo-server", "namespace": namespace}
    assert f"kubectl -n {namespace} create secret generic sops-age --from-file=keys.txt=" in comment(text)
    assert f"keyturn engine argocd{''.join(f' {word}' for word in words)} | {APPLY}" in comment(text)


@pytest.mark.parametrize("version", ["1.26.0", kubernetes_validate.latest_version()])
def test_whole_objects_are_what_kubernetes_takes(repo: Repo, version: str) -> None:
    whole = [documents(printed(repo, "argocd"))[0], commented(printed(repo, "flux"))]

    for one in whole:
        kubernetes_validate.validate(one, version, strict=True)
    assert [one["kind"] for one in whole] == ["ConfigMap", "Secret"]


@pytest.fixture
def patched(repo: Repo, tmp_path: Path) -> Object:
    """Argo CD's Deployment after the patch, merged by the real kubectl without a cluster."""
    there, patch = tmp_path / "there.yaml", tmp_path / "patch.yaml"
    there.write_text(REPO_SERVER, "utf-8")
    patch.write_text(yaml.safe_dump(documents(printed(repo, "argocd"))[1]), "utf-8")
    done = subprocess.run(
        [program("kubectl"), "patch", "--local", "-f", str(there), "--patch-file", str(patch), "-o", "yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout))


def test_patched_repo_server_is_valid_and_keeps_what_it_had(patched: Object) -> None:
    kubernetes_validate.validate(patched, kubernetes_validate.latest_version(), strict=True)

    spec, was = patched["spec"]["template"]["spec"], yaml.safe_load(REPO_SERVER)["spec"]["template"]["spec"]
    (server,), (had,) = spec["containers"], was["containers"]
    assert {one["name"] for one in spec["initContainers"]} == {"copyutil", "install-ksops"}
    assert server["image"] == had["image"]
    assert [one for one in server["env"] if one in had["env"]] == had["env"]
    assert [one for one in server["volumeMounts"] if one in had["volumeMounts"]] == had["volumeMounts"]
    assert [one for one in spec["volumes"] if one in was["volumes"]] == was["volumes"]


def test_every_mount_of_the_patch_has_its_volume_and_every_volume_its_mount(repo: Repo) -> None:
    spec = documents(printed(repo, "argocd"))[1]["spec"]["template"]["spec"]

    mounts = [mount["name"] for one in spec["initContainers"] + spec["containers"] for mount in one["volumeMounts"]]
    assert set(mounts) == {volume["name"] for volume in spec["volumes"]} == {"custom-tools", "sops-age"}


def test_repo_server_finds_the_programs_that_were_put_there_and_the_key(repo: Repo) -> None:
    spec = documents(printed(repo, "argocd"))[1]["spec"]["template"]["spec"]

    (install,), (server,) = spec["initContainers"], spec["containers"]
    (folder,) = install["volumeMounts"]
    mounts = {mount["mountPath"]: mount for mount in server["volumeMounts"]}
    tools = {mount["subPath"]: path for path, mount in mounts.items() if mount["name"] == folder["name"]}
    (key,) = (PurePosixPath(one["value"]) for one in server["env"] if one["name"] == "SOPS_AGE_KEY_FILE")
    (secret,) = (one["secret"]["secretName"] for one in spec["volumes"] if one["name"] == "sops-age")
    assert install["command"] == ["cp", *sorted(tools), f"{folder['mountPath']}/"]
    assert tools == {"ksops": "/usr/local/bin/ksops"}
    assert mounts[str(key.parent)] == {"name": "sops-age", "mountPath": "/sops-age", "readOnly": True}
    assert f"create secret generic {secret} --from-file={key.name}=" in printed(repo, "argocd")


def test_container_that_installs_has_no_more_rights_than_it_needs(repo: Repo) -> None:
    (install,) = documents(printed(repo, "argocd"))[1]["spec"]["template"]["spec"]["initContainers"]

    assert re.fullmatch(r"viaductoss/ksops:v\d+\.\d+\.\d+", install["image"])
    assert install["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 999,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_hydrator_is_warned_of_where_argocd_is_set_up_and_in_the_readme(repo: Repo) -> None:
    told = comment(printed(repo, "argocd"))

    readme = " ".join((PROJECT / "README.md").read_text("utf-8").split())
    assert "WARNING: never use Argo CD's source hydrator (spec.sourceHydrator) together with SOPS." in told
    assert "in clear text" in told
    assert re.search(r"Never use Argo CD's source hydrator together with SOPS[^.]* in clear text", readme)


# Flux


@pytest.mark.parametrize(
    ("words", "namespace", "name"),
    [
        ((), "flux-system", "sops-age"),
        (("flux",), "flux-system", "sops-age"),
        (("bootstrapped",), "0o7", "true"),
        (("by-hand",), "0o7", "true"),
    ],
)
def test_flux_gets_the_shape_of_its_secret_and_how_to_fill_it(
    repo: Repo, words: tuple[str, ...], namespace: str, name: str
) -> None:
    text = printed(repo, "flux", *words)

    assert commented(text) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {"age.agekey": "BASE64-OF-THE-AGE-IDENTITY"},
    }
    assert f"kubectl -n {namespace} create secret generic {name} --from-file=age.agekey=" in comment(text)


@pytest.mark.parametrize("words", [(), ("flux",), ("bootstrapped",)])
def test_source_that_flux_bootstrap_makes_is_not_printed(repo: Repo, words: tuple[str, ...]) -> None:
    assert documents(printed(repo, "flux", *words)) == []


def test_source_that_nobody_else_makes_is_printed(repo: Repo) -> None:
    (source,) = documents(printed(repo, "flux", "by-hand"))

    assert source == {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "on", "namespace": "0o7"},
        "spec": {"interval": "3m", "url": "ssh://git@git.example.com/clusters.git", "ref": {"branch": "1.20"}},
    }


def test_source_is_the_one_that_the_rendered_kustomizations_read(repo: Repo, home: Path) -> None:
    repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    assert rig.command(repo.root, "render", "by-hand").code == 0

    text = printed(repo, "flux", "by-hand")

    (source,) = documents(text)
    spec = yaml.safe_load(repo.read("clusters/by-hand/flux/secrets.yaml"))["spec"]
    assert spec["sourceRef"] == {"kind": "GitRepository", "name": source["metadata"]["name"]}
    assert spec["decryption"]["secretRef"] == {"name": commented(text)["metadata"]["name"]}


# Both


@pytest.mark.parametrize("words", [("argocd",), ("argocd", "own-argo"), ("flux",), ("flux", "by-hand")])
def test_nothing_printed_is_a_key_though_there_is_one(repo: Repo, home: Path, words: tuple[str, ...]) -> None:
    public = rig.identity(rig.keyring(home))

    text = printed(repo, *words)

    private = rig.keyring(home).read_text("utf-8").strip()
    assert private.startswith("AGE-SECRET-KEY-1")
    assert (private in text, public in text, "SECRET-KEY" in text) == (False, False, False)
    assert [one for one in documents(text) if one["kind"] == "Secret" and one.keys() & {"data", "stringData"}] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["argocd", "flux"], "flux is applied by flux, not by argocd; keyturn engine flux flux"),
        (["flux", "argo"], "argo is applied by argocd, not by flux; keyturn engine argocd argo"),
        (["flux", "neither"], "neither is applied by none, not by flux"),
        (["flux", "flex"], "no environment 'flex'; did you mean flux?"),
    ],
)
def test_environment_of_another_engine_or_of_none_is_an_input_error(repo: Repo, words: list[str], message: str) -> None:
    assert rig.command(repo.root, "engine", *words) == Ran(2, "", f"keyturn: error: {message}\n")


def test_what_is_wrong_with_the_environment_is_told_and_nothing_printed(repo: Repo) -> None:
    repo.environment("argo", ARGOCD.replace("ipsec", "ipsek"))

    ran = rig.command(repo.root, "engine", "argocd", "argo")

    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("environments/argo.yaml:2:20: error: encryption.type: ")


@pytest.mark.parametrize("engine", ["argocd", "flux"])
def test_outside_a_repository_the_defaults_are_printed(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    inside = printed(repo, engine)
    monkeypatch.chdir(tmp_path)

    outside, named = keyturn("engine", engine), keyturn("engine", engine, "lab")

    hint = "go to the repository, or name it with --root"
    assert outside == Ran(0, inside, "")
    assert named == Ran(2, "", f"keyturn: error: no environments/ in {tmp_path} or above it; {hint}\n")


def test_named_root_that_is_none_is_an_input_error(tmp_path: Path) -> None:
    ran = rig.command(tmp_path, "engine", "argocd")

    assert ran == Ran(2, "", f"keyturn: error: no environments/ in {tmp_path}; --root names the folder that holds it\n")


@pytest.mark.parametrize(("engine", "name"), [("argocd", "own-argo"), ("flux", "by-hand")])
def test_template_of_the_repository_goes_first(repo: Repo, engine: str, name: str) -> None:
    repo.write(f"templates/engine/{engine}.yaml.j2", "# ours{{ argument }}, {{ argocd_namespace }} {{ flux_secret }}\n")

    texts = [printed(repo, engine), printed(repo, engine, name)]

    named = {"argocd": "1 sops-age", "flux": "argocd true"}[engine]
    assert texts == ["# ours, argocd sops-age\n", f"# ours {name}, {named}\n"]


def test_template_of_the_repository_that_fails_is_told_by_its_line(repo: Repo) -> None:
    repo.write("templates/engine/flux.yaml.j2", "a: b\nc: {{ nothing }}\n")

    ran = rig.command(repo.root, "engine", "flux")

    assert ran == Ran(2, "", "keyturn: error: templates/engine/flux.yaml.j2:2: 'nothing' is undefined\n")


def test_environment_that_brings_its_secrets_another_way_needs_no_ksops(repo: Repo) -> None:
    repo.environment("eu", f"{ARGOCD}  argocd: {{secrets: none}}\n")

    text = printed(repo, "argocd", "eu")

    (only,) = documents(text)
    assert (only["kind"], only["data"]) == ("ConfigMap", {HEALTH: LUA})
    assert "ksops" not in text
