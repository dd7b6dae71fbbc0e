"""`keyturn render` from end to end: what it writes, what it leaves alone, and what it answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import rig
import yaml
from kit import IPSEC, WIREGUARD, Ran, Repo

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = [
    "bootstrap.sh",
    "cilium/helmrelease.yaml",
    "cilium/helmrepository.yaml",
    "cilium/kustomization.yaml",
    "cilium/kustomizeconfig.yaml",
    "cilium/values.yaml",
    "flux/cilium.yaml",
]
KEYED = sorted([*PLAIN, "flux/secrets.yaml", rig.SECRET, "secrets/kustomization.yaml"])
SECRET = f"clusters/lab/{rig.SECRET}"
ENCRYPT = "encrypt --encrypted-regex '^(data|stringData)$' --input-type yaml --output-type yaml"
CHECKED = " (checked only, nothing written)"


def below(name: str, files: list[str]) -> list[str]:
    return [f"clusters/{name}/{file}" for file in files]


def lines(action: str, paths: list[str]) -> str:
    return "".join(f"{action} {path}\n" for path in paths)


def counts(environments: str, created: int = 0, updated: int = 0, removed: int = 0, unchanged: int = 0) -> str:
    return f"{environments}: {created} created, {updated} updated, {removed} removed, {unchanged} unchanged"


@pytest.fixture
def lab(repo: Repo, home: Path) -> Repo:
    """One IPsec environment with an identity and chosen recipients, not rendered yet."""
    rig.lab(repo, home)
    return repo


@pytest.fixture
def rendered(lab: Repo) -> Repo:
    assert rig.command(lab.root, "render").code == 0
    return lab


@pytest.fixture
def wireguard(repo: Repo) -> Repo:
    """One WireGuard environment, rendered."""
    repo.init()
    repo.environment("lab", WIREGUARD)
    assert rig.command(repo.root, "render").code == 0
    return repo


def test_first_run_says_what_it_created(lab: Repo) -> None:
    ran = lab.run("render")

    assert ran == Ran(0, lines("created", below("lab", KEYED)) + counts("1 environment", created=10) + "\n", "")
    assert sorted(lab.files()) == sorted([".sops.yaml", "environments/lab.yaml", *below("lab", KEYED)])


def test_second_run_changes_no_byte_and_no_time(rendered: Repo) -> None:
    before = rig.standing(rendered.root, without=(".git",))

    ran = rig.command(rendered.root, "render", "--new-identity")

    assert ran == Ran(0, counts("1 environment", unchanged=10) + "\n", "")
    assert rig.standing(rendered.root, without=(".git",)) == before


def test_program_is_found_from_a_folder_below_the_root(rendered: Repo) -> None:
    ran = Repo(rendered.root / "clusters" / "lab").run("render", "lab")

    assert ran == Ran(0, counts("1 environment", unchanged=10) + "\n", "")


def test_rendered_files_follow_the_umask(lab: Repo) -> None:
    subprocess.run(
        ["sh", "-c", 'umask 027 && exec "$0" -m generator -q render', sys.executable], cwd=lab.root, check=True
    )

    modes = {path: (lab.root / path).stat().st_mode & 0o777 for path in below("lab", KEYED)}
    assert modes == dict.fromkeys(below("lab", KEYED), 0o640)


# --check


def test_check_of_what_is_missing_exits_1_and_writes_nothing_at_all(repo: Repo, tmp_path: Path, home: Path) -> None:
    repo.environment("lab")
    before = rig.standing(tmp_path)

    ran = repo.run("render", "--check", "--new-identity")

    created = [".sops.yaml", *below("lab", KEYED)]
    assert ran == Ran(1, lines("created", created) + counts("1 environment", created=11) + CHECKED + "\n", "")
    assert rig.standing(tmp_path) == before
    assert not rig.keyring(home).exists()


def test_check_inside_git_takes_no_lock(lab: Repo, tmp_path: Path) -> None:
    before = rig.standing(tmp_path)

    ran = rig.command(lab.root, "render", "--check")

    assert ran.code == 1
    assert rig.standing(tmp_path) == before


def test_check_of_a_rendered_tree_exits_0(rendered: Repo, tmp_path: Path) -> None:
    before = rig.standing(tmp_path)

    ran = rig.command(rendered.root, "render", "--check")

    assert ran == Ran(0, counts("1 environment", unchanged=10) + CHECKED + "\n", "")
    assert rig.standing(tmp_path) == before


def test_check_says_what_the_run_then_does(rendered: Repo) -> None:
    rendered.environment("other", WIREGUARD)
    rendered.write(
        "clusters/lab/bootstrap.sh", "# Rendered by keyturn from environments/lab.yaml; edits are overwritten\n"
    )
    rendered.write(
        "clusters/lab/kind.yaml", "# Rendered by keyturn from environments/lab.yaml; edits are overwritten\n"
    )

    checked = rig.command(rendered.root, "render", "--check")
    ran = rig.command(rendered.root, "render")

    told = (
        "updated clusters/lab/bootstrap.sh\nremoved clusters/lab/kind.yaml\n"
        f"{lines('created', below('other', PLAIN))}"
        f"{counts('2 environments', created=7, updated=1, removed=1, unchanged=9)}"
    )
    assert (checked, ran) == (Ran(1, f"{told}{CHECKED}\n", ""), Ran(0, f"{told}\n", ""))


# --diff


def test_diff_shows_every_changed_line(wireguard: Repo) -> None:
    wireguard.environment("lab", f"{WIREGUARD}gitops: {{revision: release}}\n")

    ran = rig.command(wireguard.root, "render", "--diff")

    assert ran == Ran(
        0,
        "--- a/clusters/lab/bootstrap.sh\n"
        "+++ b/clusters/lab/bootstrap.sh\n"
        f"{hunk(wireguard, 'clusters/lab/bootstrap.sh', '--branch release', '--branch main')}"
        "updated clusters/lab/bootstrap.sh\n"
        f"{counts('1 environment', updated=1, unchanged=6)}\n",
        "",
    )


def hunk(repo: Repo, path: str, new: str, old: str) -> str:
    """Return the hunk of a diff that puts `new` into the one line that had `old`."""
    content = repo.read(path).splitlines()
    (at,) = (number for number, line in enumerate(content) if new in line)
    start, end = max(at - 3, 0), min(at + 4, len(content))
    before = "".join(f" {line}\n" for line in content[start:at])
    after = "".join(f" {line}\n" for line in content[at + 1 : end])
    changed = f"-{content[at].replace(new, old)}\n+{content[at]}\n"
    return f"@@ -{start + 1},{end - start} +{start + 1},{end - start} @@\n{before}{changed}{after}"


def test_diff_is_what_git_needs_to_do_the_same(wireguard: Repo) -> None:
    wireguard.environment("lab", f"{WIREGUARD}gitops: {{engine: none}}\nkind: {{}}\n")

    shown = rig.command(wireguard.root, "render", "--check", "--diff")
    patch = wireguard.write("change.patch", shown.out.partition("created clusters/")[0])
    wireguard.git("apply", "change.patch")
    patch.unlink()

    assert shown.code == 1
    assert rig.command(wireguard.root, "render", "--check") == Ran(
        0, counts("1 environment", unchanged=3) + CHECKED + "\n", ""
    )


def test_diff_of_a_check_names_a_secret_that_would_be_made(lab: Repo) -> None:
    ran = rig.command(lab.root, "render", "--check", "--diff")

    assert f"# {SECRET} would be made; its content is chance and ciphertext\n" in ran.out.splitlines(keepends=True)


def test_diff_goes_with_text_only(lab: Repo) -> None:
    ran = rig.command(lab.root, "render", "--diff", "--output", "json")

    assert ran == Ran(2, "", "keyturn: error: --diff goes with --output text; see keyturn render --help\n")


# --output json, --quiet, --verbose, --jobs


def test_json_tells_each_environment_and_each_warning(rendered: Repo) -> None:
    rendered.environment("lab", IPSEC.replace("1.16.0", "1.17.0").replace("hubble: {enabled: false}", ""))
    rendered.environment("other", f"{WIREGUARD}gitops: {{engine: none}}\n")
    header = "# Rendered by keyturn from environments/gone.yaml; edits are overwritten\n"
    rendered.write("clusters/gone/kind.yaml", header)

    ran = rig.command(rendered.root, "render", "--output", "json")

    updated = ["bootstrap.sh", "cilium/helmrelease.yaml", "cilium/values.yaml"]
    others = ["bootstrap.sh", "cilium/values.yaml"]
    assert (ran.code, json.loads(ran.out)) == (
        0,
        {
            "environments": [
                {"name": "lab", "created": [], "updated": below("lab", updated), "removed": [], "unchanged": 7},
                {"name": "other", "created": below("other", others), "updated": [], "removed": [], "unchanged": 0},
                {"name": "gone", "created": [], "updated": [], "removed": ["clusters/gone/kind.yaml"], "unchanged": 0},
            ],
            "warnings": [
                {
                    "path": "environments/lab.yaml",
                    "line": 1,
                    "column": 35,
                    "rule": "hubble-tls",
                    "level": "warning",
                    "message": "hubble.tls.auto.method helm makes new certificates at every rendering",
                    "hint": "set it to certmanager, or turn Hubble off",
                }
            ],
        },
    )
    assert ran.err == (
        "environments/lab.yaml:1:35: warning: hubble.tls.auto.method helm makes new certificates at every rendering; "
        "set it to certmanager, or turn Hubble off [hubble-tls]\n"
    )


def test_json_keeps_its_shape_where_nothing_changed(rendered: Repo) -> None:
    ran = rig.command(rendered.root, "render", "--check", "--output", "json")

    unchanged = {"name": "lab", "created": [], "updated": [], "removed": [], "unchanged": 10}
    assert (ran.code, json.loads(ran.out), ran.err) == (0, {"environments": [unchanged], "warnings": []}, "")


def test_quiet_leaves_out_what_was_done(lab: Repo) -> None:
    assert rig.command(lab.root, "-q", "render") == Ran(0, "", "")


def test_quiet_check_answers_by_its_exit_code_alone(lab: Repo) -> None:
    assert rig.command(lab.root, "-q", "render", "--check") == Ran(1, "", "")


def test_verbose_tells_root_and_programs_on_stderr(lab: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAL_SOPS", rig.real_sops(lab.root))
    stand_in = rig.script(tmp_path / "bin", "sops", 'exec "$REAL_SOPS" "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    ran = lab.run("-v", "-q", "render")

    root, *programs = re.sub(r"in \d+\.\d\d s", "in N s", ran.err).splitlines()
    assert (ran.code, ran.out, root) == (0, "", f"keyturn: root: {lab.root}")
    assert {line.split()[2] for line in programs} == {"git", str(stand_in)}
    assert [line for line in programs if "sops" in line.split()[2]] == [
        f"keyturn: ran {stand_in} --version in N s, exit 0",
        f"keyturn: ran {stand_in} --config {lab.root}/.sops.yaml {ENCRYPT} --filename-override {SECRET} in N s, exit 0",
    ]


@pytest.mark.parametrize("jobs", ["1", "5"])
def test_number_of_jobs_changes_nothing_that_can_be_seen(repo: Repo, home: Path, jobs: str) -> None:
    rig.lab(repo, home, name="a")
    repo.environment("b")
    repo.environment("c", IPSEC)

    ran = rig.command(repo.root, "render", "--jobs", jobs)

    created = [path for name in "abc" for path in below(name, KEYED)]
    assert ran == Ran(0, lines("created", created) + counts("3 environments", created=30) + "\n", "")
    secrets = [yaml.safe_load(repo.read(f"clusters/{name}/{rig.SECRET}")) for name in "abc"]
    assert len({secret["metadata"]["annotations"]["keyturn/fingerprint"] for secret in secrets}) == 3


def test_jobs_below_one_are_a_usage_error(lab: Repo) -> None:
    ran = rig.command(lab.root, "render", "--jobs", "0")

    message = "Invalid value for '--jobs': 0 is not in the range x>=1; see keyturn render --help"
    assert ran == Ran(2, "", f"keyturn: error: {message}\n")


# What belongs to whom


def test_named_environment_is_rendered_and_its_folder_alone_looked_at(rendered: Repo) -> None:
    rendered.environment("other", WIREGUARD)
    header = "# Rendered by keyturn from environments/gone.yaml; edits are overwritten\n"
    rendered.write("clusters/gone/kind.yaml", header)
    rendered.write("clusters/lab/bootstrap.sh", header)
    before = rig.standing(rendered.root / "clusters/lab"), rendered.read("clusters/gone/kind.yaml")

    ran = rig.command(rendered.root, "render", "other", "other")

    assert ran == Ran(0, lines("created", below("other", PLAIN)) + counts("1 environment", created=7) + "\n", "")
    assert (rig.standing(rendered.root / "clusters/lab"), rendered.read("clusters/gone/kind.yaml")) == before


def test_unknown_environment_is_an_input_error_with_the_nearest_name(rendered: Repo) -> None:
    ran = rig.command(rendered.root, "render", "lap")

    assert ran == Ran(2, "", "keyturn: error: no environment 'lap'; did you mean lab?\n")


def test_files_of_an_environment_that_is_gone_are_removed_with_their_folders(wireguard: Repo) -> None:
    wireguard.environment("other", WIREGUARD)
    rig.command(wireguard.root, "render")
    (wireguard.root / "environments/lab.yaml").unlink()

    ran = rig.command(wireguard.root, "render")

    removed = lines("removed", below("lab", PLAIN))
    assert ran == Ran(0, removed + counts("1 environment", removed=7, unchanged=7) + "\n", "")
    assert [path.name for path in (wireguard.root / "clusters").iterdir()] == ["other"]


def test_secret_of_an_environment_that_is_gone_is_kept_with_a_warning(rendered: Repo) -> None:
    rendered.environment("other", WIREGUARD)
    (rendered.root / "environments/lab.yaml").unlink()
    secret = rig.standing(rendered.root)[SECRET]

    ran = rig.command(rendered.root, "render")

    removed = [path for path in below("lab", KEYED) if path != SECRET]
    created = below("other", PLAIN)
    assert ran == Ran(
        0,
        lines("created", created) + lines("removed", removed) + counts("1 environment", created=7, removed=9) + "\n",
        f"{SECRET}: warning: the Secret is kept, and there is no environments/lab.yaml; "
        "keyturn retire lab takes it away once the cluster is gone [unused-secret]\n",
    )
    assert rig.standing(rendered.root)[SECRET] == secret
    assert sorted(path for path in rendered.files() if path.startswith("clusters/lab/")) == [SECRET]


def test_kept_secret_is_warned_about_again_and_counted_nowhere(rendered: Repo) -> None:
    rendered.environment("other", WIREGUARD)
    (rendered.root / "environments/lab.yaml").unlink()
    first = rig.command(rendered.root, "render")

    second = rig.command(rendered.root, "render")

    assert second == Ran(0, counts("1 environment", unchanged=7) + "\n", first.err)


def test_files_of_others_below_clusters_are_left_alone(wireguard: Repo) -> None:
    wireguard.environment("other", WIREGUARD)
    rig.command(wireguard.root, "render")
    theirs = {
        "clusters/README.md": "ours and theirs\n",
        "clusters/lab/flux/flux-system/gotk-sync.yaml": "kind: GitRepository\n",
        "clusters/other/flux/flux-system/gotk-sync.yaml": "kind: GitRepository\n",
        "clusters/other/notes.txt": "# Rendered by somebody from environments/other.yaml; edits are overwritten\n",
        "clusters/somebody/else.yaml": "kind: ConfigMap\n",
    }
    for path, text in theirs.items():
        wireguard.write(path, text)
    os.mkfifo(wireguard.root / "clusters/other/pipe")
    (wireguard.root / "clusters/other/link.yaml").symlink_to("../lab/cilium/values.yaml")
    before = {path: rig.standing(wireguard.root)[path] for path in [*theirs, "clusters/other/link.yaml"]}
    (wireguard.root / "environments/other.yaml").unlink()

    ran = rig.command(wireguard.root, "render")

    removed = lines("removed", below("other", PLAIN))
    after = rig.standing(wireguard.root)
    assert ran == Ran(0, removed + counts("1 environment", removed=7, unchanged=7) + "\n", "")
    assert {path: after[path] for path in before} == before
    assert {path for path in after if path.startswith("clusters/other")} == {
        "clusters/other",
        "clusters/other/flux",
        "clusters/other/flux/flux-system",
        "clusters/other/flux/flux-system/gotk-sync.yaml",
        "clusters/other/link.yaml",
        "clusters/other/notes.txt",
        "clusters/other/pipe",
    }


def test_edit_of_a_rendered_file_is_overwritten_and_the_others_keep_inode_and_time(wireguard: Repo) -> None:
    before = rig.standing(wireguard.root, without=(".git",))
    text = wireguard.read("clusters/lab/cilium/values.yaml")
    wireguard.write("clusters/lab/cilium/values.yaml", text.replace("enabled: true", "enabled: false", 1))

    ran = rig.command(wireguard.root, "render")

    out = f"updated clusters/lab/cilium/values.yaml\n{counts('1 environment', updated=1, unchanged=6)}\n"
    after = rig.standing(wireguard.root, without=(".git",))
    changed = {"clusters/lab/cilium", "clusters/lab/cilium/values.yaml"}  # the folder has a new entry
    assert ran == Ran(0, out, "")
    assert wireguard.read("clusters/lab/cilium/values.yaml") == text
    assert {path: after[path] for path in after if path not in changed} == {
        path: before[path] for path in before if path not in changed
    }


def test_updated_file_keeps_its_permissions(wireguard: Repo) -> None:
    file = wireguard.root / "clusters/lab/bootstrap.sh"
    file.chmod(0o750)
    wireguard.environment("lab", f"{WIREGUARD}gitops: {{revision: release}}\n")

    ran = rig.command(wireguard.root, "render")

    assert ran.out.startswith("updated clusters/lab/bootstrap.sh\n")
    assert file.stat().st_mode & 0o777 == 0o750


def test_leftovers_of_a_killed_run_are_cleaned(wireguard: Repo) -> None:
    before = wireguard.files()
    leftovers = [
        "clusters/lab/.bootstrap.sh.keyturn-tmp",
        "clusters/lab/cilium/.values.yaml.keyturn-tmp",
        "clusters/lab/demo/.endor.yaml.keyturn-tmp",
    ]
    for path in leftovers:
        wireguard.write(path, "half a fi")

    ran = rig.command(wireguard.root, "render")

    assert ran == Ran(0, counts("1 environment", unchanged=7) + "\n", "")
    assert wireguard.files() == before


# Changes of an environment


def test_new_version_reaches_every_file_that_names_it(rendered: Repo) -> None:
    secret = rig.standing(rendered.root)[SECRET]
    rendered.environment("lab", IPSEC.replace("1.16.0", "1.18.2"))

    ran = rig.command(rendered.root, "render")

    updated = below("lab", ["bootstrap.sh", "cilium/helmrelease.yaml", "cilium/values.yaml"])
    assert ran == Ran(0, lines("updated", updated) + counts("1 environment", updated=3, unchanged=7) + "\n", "")
    assert rig.standing(rendered.root)[SECRET] == secret


def test_leaving_ipsec_keeps_the_secret_with_a_warning(rendered: Repo) -> None:
    secret = rig.standing(rendered.root)[SECRET]
    rendered.environment("lab", WIREGUARD)

    ran = rig.command(rendered.root, "render")

    updated = ["bootstrap.sh", "cilium/values.yaml", "flux/cilium.yaml"]
    assert ran == Ran(
        0,
        lines("updated", below("lab", updated))
        + lines("removed", below("lab", ["flux/secrets.yaml", "secrets/kustomization.yaml"]))
        + counts("1 environment", updated=3, removed=2, unchanged=5)
        + "\n",
        f"{SECRET}: warning: the Secret is kept, and encryption.type is wireguard; "
        "keyturn retire lab takes it away once no node uses it [unused-secret]\n",
    )
    assert rig.standing(rendered.root)[SECRET] == secret


def test_coming_back_to_ipsec_takes_the_kept_secret(rendered: Repo) -> None:
    before = rendered.files()
    rendered.environment("lab", WIREGUARD)
    rig.command(rendered.root, "render")
    rendered.environment("lab", IPSEC)

    ran = rig.command(rendered.root, "render")

    assert (ran.code, ran.err) == (0, "")
    assert rendered.files() == before


@pytest.mark.parametrize(
    ("asked", "instead"),
    [
        ("keySize: 256", "rfc4106(gcm(aes)) with 256"),
        ("algorithm: cbc-aes-sha512", "hmac(sha512) cbc(aes) with 128"),
    ],
)
def test_secret_with_another_algorithm_is_kept_with_a_warning(rendered: Repo, asked: str, instead: str) -> None:
    secret = rig.standing(rendered.root)[SECRET]
    rendered.environment("lab", IPSEC.replace("{type: ipsec}", f"{{type: ipsec, ipsec: {{{asked}}}}}"))

    ran = rig.command(rendered.root, "render")

    warning = (
        f"{SECRET}: warning: the Secret holds rfc4106(gcm(aes)) with 128 bits, not {instead} bits; "
        "render never changes a key; say in the environment what the Secret holds [other-algorithm]\n"
    )
    assert ran == Ran(0, counts("1 environment", unchanged=10) + "\n", warning)
    assert rig.standing(rendered.root)[SECRET] == secret


@pytest.mark.parametrize("encryption", ["{type: wireguard}", "{type: ipsec, ipsec: {keySize: 256}}"])
def test_change_of_encryption_is_an_error_for_a_protected_environment(rendered: Repo, encryption: str) -> None:
    rendered.environment("lab", f"protected: true\n{IPSEC.replace('{type: ipsec}', encryption)}")
    before = rig.standing(rendered.root, without=(".git",))

    ran = rig.command(rendered.root, "render")

    assert (ran.code, ran.out, f"{SECRET}: error: " in ran.err) == (2, "", True)
    assert rig.standing(rendered.root, without=(".git",)) == before


def test_strict_takes_a_warning_for_an_error_and_writes_nothing(rendered: Repo) -> None:
    rendered.environment("lab", WIREGUARD)
    before = rig.standing(rendered.root, without=(".git",))

    ran = rig.command(rendered.root, "render", "--strict")

    warning = (
        f"{SECRET}: warning: the Secret is kept, and encryption.type is wireguard; "
        "keyturn retire lab takes it away once no node uses it [unused-secret]\n"
    )
    assert ran == Ran(2, "", f"{warning}keyturn: error: --strict takes warnings for errors\n")
    assert rig.standing(rendered.root, without=(".git",)) == before


def test_namespace_is_fixed_once_there_is_a_secret(rendered: Repo) -> None:
    rendered.environment("lab", IPSEC.replace("version:", "namespace: cilium, version:"))
    before = rig.standing(rendered.root, without=(".git",))

    ran = rig.command(rendered.root, "render")

    message = (
        f"{SECRET}:6:16: error: the Secret's metadata.namespace is 'kube-system', and the environment needs 'cilium'; "
        "cilium.namespace is fixed once a Secret exists [secret-reference]\n"
    )
    assert ran == Ran(2, "", message)
    assert rig.standing(rendered.root, without=(".git",)) == before


CLEAR = """apiVersion: v1
kind: Secret
metadata:
  name: cilium-ipsec-keys
  namespace: kube-system
stringData:
  keys: 1+ rfc4106(gcm(aes)) {material} 128
"""
ANOTHER_OBJECT = (
    "kind: ConfigMap\nmetadata: {name: cilium-ipsec-keys, namespace: kube-system}\napiVersion: v1\nsops: {}\n"
)


SPENT = "take it out of git; what it held is spent [clear-secret]"
RESTORE = "bring back the file that keyturn wrote [secret-reference]"
UNUSABLE = {
    "clear": (CLEAR, [f":1:1: error: the Secret is not encrypted; {SPENT}"]),
    "empty": ("", [f":1:1: error: the Secret is not encrypted; {SPENT}"]),
    "another object": (
        ANOTHER_OBJECT,
        [
            f":1:1: error: the Secret has no data key 'keys'; {RESTORE}",
            f":1:7: error: the Secret's kind is 'ConfigMap', and the environment needs 'Secret'; {RESTORE}",
        ],
    ),
    "not YAML": (
        "a: [\n",
        [
            (
                ":2:1: error: not YAML: while parsing a flow node, did not find expected node content; "
                "see the line before too [yaml-syntax]"
            ),
        ],
    ),
}


@pytest.mark.parametrize(("content", "complaints"), UNUSABLE.values(), ids=UNUSABLE)
def test_secret_that_no_cluster_could_use_is_an_error_and_stays_as_it_is(
    rendered: Repo, content: str, complaints: list[str]
) -> None:
    material = os.urandom(20).hex()
    rendered.write(SECRET, content.replace("{material}", material))
    before = rig.standing(rendered.root, without=(".git",))

    ran = rig.command(rendered.root, "render")

    assert (ran.code, ran.out, sorted(ran.err.splitlines())) == (2, "", sorted(SECRET + line for line in complaints))
    assert rig.standing(rendered.root, without=(".git",)) == before


def test_secret_that_says_it_was_rendered_is_neither_written_again_nor_removed(rendered: Repo) -> None:
    header = "# Rendered by keyturn from environments/lab.yaml; edits are overwritten\n"
    rendered.write(SECRET, header + rendered.read(SECRET).partition("\n")[2])
    secret = rig.standing(rendered.root)[SECRET]

    kept = rig.command(rendered.root, "render")
    rendered.environment("other", WIREGUARD)
    (rendered.root / "environments/lab.yaml").unlink()
    gone = rig.command(rendered.root, "render")

    assert (kept, gone.code) == (Ran(0, counts("1 environment", unchanged=10) + "\n", ""), 0)
    assert rig.standing(rendered.root)[SECRET] == secret


def test_key_in_clear_is_an_error_also_beside_what_sops_wrote(rendered: Repo) -> None:
    material = os.urandom(20).hex()
    text = rendered.read(SECRET)
    rendered.write(SECRET, re.sub(r"keys: ENC.*", f"keys: 1+ rfc4106(gcm(aes)) {material} 128", text))
    before = rig.standing(rendered.root, without=(".git",))

    ran = rig.command(rendered.root, "render")

    assert (ran.code, ran.out, "[clear-secret]" in ran.err, material in ran.err) == (2, "", True, False)
    assert rig.standing(rendered.root, without=(".git",)) == before


def test_one_wrong_environment_keeps_the_others_from_being_written(rendered: Repo) -> None:
    rendered.environment("other", WIREGUARD)
    rendered.environment("wrong", "cilium: {version: 1.16.0}\nencryption: {type: ipsek}\n")
    before = rig.standing(rendered.root, without=(".git",))

    ran = rig.command(rendered.root, "render")

    assert (ran.code, ran.out, ran.err.splitlines()[0].split(": ")[:2]) == (
        2,
        "",
        ["environments/wrong.yaml:2:20", "error"],
    )
    assert rig.standing(rendered.root, without=(".git",)) == before


def test_write_that_fails_leaves_every_file_old_or_new(wireguard: Repo) -> None:
    before = wireguard.files()
    wireguard.environment("lab", WIREGUARD.replace("1.16.0", "1.17.0"))

    ended = subprocess.run(
        ["sh", "-c", 'ulimit -f 2 && exec "$0" -m generator -q render', sys.executable],  # blocks of 512 bytes
        cwd=wireguard.root,
        capture_output=True,
        text=True,
        check=False,
    )

    now = wireguard.files()
    file = wireguard.root / "clusters/lab/bootstrap.sh"
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "", f"keyturn: error: {file}: File too large\n")
    assert {path: now[path] for path in now if path.startswith("clusters")} == {
        path: before[path] for path in before if path.startswith("clusters")
    }
