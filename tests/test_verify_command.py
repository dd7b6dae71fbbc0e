"""The command line of `keyturn verify`: what is wrong with the words, the report, the terminal, Argo CD elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import clusters
import pytest
import rig
import screen
from clusters import lab, look, seen, serve, wireguard
from kit import WIREGUARD, Ran

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clusters import Lab

__all__ = ["lab", "serve", "wireguard"]  # fixtures


# What is wrong with the words


def test_environment_that_is_not_there_is_told_with_the_nearest(lab: Lab) -> None:
    ran = lab.verify(name="labb")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith("did you mean lab?\n")


def test_environment_that_is_wrong_is_told_by_its_place(lab: Lab) -> None:
    lab.repo.environment("lab", "cilium: {version: 1.16.0}\nencryption: {tpye: ipsec}\n")

    ran = lab.verify()

    assert (ran.code, ran.out, ran.err.splitlines()[0].partition(": ")[0]) == (2, "", "environments/lab.yaml:2:13")


def test_environment_without_its_secret_is_told_what_makes_it(lab: Lab) -> None:
    (lab.repo.root / "clusters/lab" / rig.SECRET).unlink()

    hint = "keyturn render lab, or go to the branch that has it"
    assert lab.verify() == Ran(2, "", f"keyturn: error: lab has no Secret here, which tells its key; {hint}\n")


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("evidence.txt", "evidence.txt ends in neither .md nor .json"),
        ("nowhere/evidence.md", "there is no folder {folder}/nowhere"),
    ],
)
def test_report_that_could_not_be_written_is_refused_before_anything_is_asked(
    lab: Lab, tmp_path: Path, file: str, told: str
) -> None:
    ran = lab.verify("--report", str(tmp_path / file))

    words = f"Invalid value for '--report': {told.format(folder=tmp_path)}; see keyturn verify --help"
    assert ran == Ran(2, "", f"keyturn: error: {words}\n")
    assert lab.server.requests == []


@pytest.mark.parametrize("option", ["--context", "--hub-context"])
def test_context_that_is_empty_is_not_taken_for_the_current_one(lab: Lab, option: str) -> None:
    ran = lab.verify(option, "")

    words = f"Invalid value for '{option}': it names no context; see keyturn verify --help"
    assert ran == Ran(2, "", f"keyturn: error: {words}\n")


def test_kubeconfig_that_is_not_there_is_the_users_input(lab: Lab) -> None:
    ran = rig.command(lab.repo.root, "verify", "lab", "--kubeconfig", "nowhere")

    assert (ran.code, "nowhere" in ran.err) == (2, True)


# The report


def test_report_holds_the_checks_with_times_versions_commit_and_ids(lab: Lab, tmp_path: Path) -> None:
    lab.one("CiliumNode", "worker")["spec"]["encryption"]["key"] = 15

    ran = lab.verify("--no-exec", "--report", str(tmp_path / "evidence.json"))

    told = json.loads((tmp_path / "evidence.json").read_text("utf-8"))
    checks, times = told.pop("checks"), [told.pop("began"), told.pop("ended")]
    assert ran.code == 1
    assert [name for name in told["key"] if told["key"][name]] == ["id", "fingerprint", "algorithm", "created"]
    assert told | {"key": None, "versions": None} == {
        "environment": "lab",
        "verdict": "does not hold",
        "commit": lab.commit,
        "cluster": "lab",
        "context": "lab",
        "hub_context": None,
        "encryption": "ipsec",
        "node_encryption": False,
        "versions": None,
        "key": None,
        "unasked": [],
        "nodes": [{"name": name, "key_id": "15" if name == "worker" else "1"} for name in clusters.NODES],
        "notes": [],
    }
    assert set(told["versions"]) == {"keyturn", "cilium", "kubectl", "kubernetes"}
    assert told["versions"]["kubernetes"] == "v1.31.0"
    assert {len(one["at"]) for one in checks} | {len(one) for one in times} == {len("2026-03-04T05:06:07Z")}
    assert checks[12] | {"at": ""} == {
        "name": "ciliumnodes/key",
        "ok": False,
        "seen": "3 of 4 nodes; not yet: worker (15, another key)",
        "expected": "every node shows key 1",
        "at": "",
    }


def test_report_for_a_person_says_the_same_as_a_page(lab: Lab, tmp_path: Path) -> None:
    lab.server.allowed = lambda asked: asked.resource != "secrets"
    lab.one("Kustomization", "lab-cilium")["status"]["conditions"][0] |= {"status": "False", "message": "a | b <c>"}
    lab.repo.write("clusters/lab/more.yaml", "more: true\n")

    ran = lab.verify("--no-exec", "--report", str(tmp_path / "evidence.md"))

    page = (tmp_path / "evidence.md").read_text("utf-8")
    assert ran.code == 3
    assert page.startswith("# Encryption of lab: could not be asked whole\n\n|  |  |\n| --- | --- |\n| looked at | 2")
    assert f"\n| commit | {lab.commit} |\n| cluster | lab |\n| kubectl context | lab |\n" in page
    assert "\n| key id | 1 |\n| key id before | none |\n| key fingerprint, public | sha256:" in page
    assert re.search(
        r"\| NO \| kustomization/lab-cilium \| ready, at \w+ or later \| not ready: a \\\| b \\<c\\>, at ", page
    )
    assert "\n## Could not be asked\n\n- jane may not get secrets in namespace kube-system\n" in page
    assert "\n## Notes\n\n- clusters/lab or environments is not as in HEAD" in page
    assert page.endswith(
        "## Nodes\n\n| node | key id |\n| --- | --- |\n" + "".join(_row(one) for one in clusters.NODES)
    )


def _row(name: str) -> str:
    return f"| {name} | 1 |\n"


def test_report_of_wireguard_names_public_keys(wireguard: Lab, tmp_path: Path) -> None:
    wireguard.verify("--no-exec", "--report", str(tmp_path / "evidence.md"), "--context", "lab")

    page = (tmp_path / "evidence.md").read_text("utf-8")
    assert page.startswith("# Encryption of lab: holds\n")
    assert page.endswith(f"| node | public key |\n| --- | --- |\n{''.join(_public(one) for one in range(1, 5))}")
    assert "key id" not in page


def _public(number: int) -> str:
    return f"| {clusters.NODES[number - 1]} | {clusters.public(number)} |\n"


# What git says


def test_work_tree_that_is_not_as_in_head_is_noted(lab: Lab) -> None:
    lab.repo.write("environments/lab.yaml", lab.repo.read("environments/lab.yaml") + "# more\n")

    ran = lab.verify("--no-exec")

    words = "clusters/lab or environments is not as in HEAD: the cluster is compared with the work tree"
    assert (ran.code, ran.err.splitlines()[0]) == (0, f"keyturn: {words}")


def test_tree_that_git_ignores_has_no_commit_to_compare_with(lab: Lab) -> None:
    lab.repo.write(".gitignore", "clusters/\n")
    lab.repo.git("rm", "-r", "-q", "--cached", "clusters")
    lab.repo.git("commit", "-q", "--amend", "-a", "-m", "without")

    done = look(lab, agents=False)

    expected = {one.name: one.expected for one in done.checks}
    assert (done.commit, done.notes, done.holds) == (
        None,
        ["git has no commit of clusters/lab, so no engine's revision is compared"],
        True,
    )
    assert expected["kustomization/lab-cilium"] == "ready, at any commit, since git has none of it"


def test_folder_outside_git_is_compared_with_the_cluster_all_the_same(lab: Lab) -> None:
    (lab.repo.root / ".git").rename(lab.repo.root / "was.git")

    done = look(lab, agents=False)

    assert (done.commit, done.holds) == (None, True)
    assert done.notes == ["git has no commit here, so no engine's revision is compared"]


def test_rotation_of_which_git_says_more_is_compared_by_its_new_id(lab: Lab) -> None:
    assert rig.command(lab.repo.root, "rotate", "lab", "--force").code == 0
    lab.repo.git("merge", "-q", "--ff-only", "keyturn/rotate-lab-2")

    done = look(lab, agents=False)

    assert {name: one for name, one in seen(done).items() if one[0] is False} == {
        "secret": (False, "id 1 and another fingerprint"),
        "ciliumnodes/key": (False, "0 of 4 nodes; not yet: control-plane (1), worker (1), worker2 (1), worker3 (1)"),
        "kustomization/lab-secrets": (False, f"ready, at {lab.commit[:12]}, which is before it"),
        "kustomization/lab-cilium": (False, f"ready, at {lab.commit[:12]}, which is before it"),
    }


# Argo CD in another cluster


ELSEWHERE = WIREGUARD + clusters.ARGOCD.replace(
    "git}", "git, argocd: {destination: {server: 'https://eu.example.com'}}}"
)


def test_argocd_elsewhere_is_asked_by_its_own_context(serve: Callable[[str], Lab]) -> None:
    lab = serve(ELSEWHERE)
    lab.server.objects = [clusters.config("wireguard"), *clusters.nodes(*clusters.NODES)]
    lab.server.objects += clusters.argocd(lab.commit, "root", "cilium")

    file = lab.folder / "evidence.json"
    assert lab.verify("--no-exec", "--hub-context", "lab", "--report", str(file)).code == 0
    assert json.loads(file.read_text("utf-8"))["hub_context"] == "lab"
    assert lab.verify("--no-exec", "--hub-context", "other").code == 3


def test_argocd_elsewhere_that_is_not_named_cannot_be_asked(serve: Callable[[str], Lab]) -> None:
    lab = serve(ELSEWHERE)
    lab.server.objects = [clusters.config("wireguard"), *clusters.nodes(*clusters.NODES)]

    ran = lab.verify("--no-exec")

    why = "Argo CD runs in another cluster, and is not asked; say its context: --hub-context"
    assert (ran.code, ran.err.splitlines()[0]) == (3, f"keyturn: error: {why}")
    assert look(lab, time := clusters.Time(), agents=False, wait=900).unasked[0].message in why
    assert time.slept == []


def test_hub_is_for_argocd_alone(lab: Lab) -> None:
    ran = lab.verify("--no-exec", "--hub-context", "lab")

    assert ran == Ran(2, "", "keyturn: error: --hub-context is for Argo CD, and lab has engine flux\n")


def test_report_that_could_not_be_made_is_told(lab: Lab, tmp_path: Path) -> None:
    ran = lab.verify("--context", "other", "--report", str(tmp_path / "evidence.md"))

    assert (ran.code, ran.err.splitlines()[0]) == (
        3,
        f"keyturn: nothing is written to {tmp_path}/evidence.md, since nothing could be asked",
    )
    assert not (tmp_path / "evidence.md").exists()


# At a terminal


def test_progress_is_a_line_a_node_at_a_terminal_and_nothing_in_a_pipe(lab: Lab) -> None:
    lab.one("CiliumNode", "worker")["spec"]["encryption"]["key"] = 15
    words = ["verify", "lab", "--no-exec", "--kubeconfig", str(lab.folder / "config"), "--wait", "1s"]

    shown = screen.plain(screen.run(lab.repo.root, *words).sent)
    piped = lab.repo.run(*words)

    assert "keyturn: 3 of 4 nodes show key 1" in shown
    assert "keyturn: waiting for ciliumnodes/key" in shown
    assert (piped.code, piped.err) == (1, "keyturn: lab: of 17 checks 15 hold, 1 do not hold, 1 not judged\n")


def test_nothing_is_written_and_nothing_is_asked_but_to_read(lab: Lab) -> None:
    before = rig.standing(lab.repo.root, without=(".git",))

    look(lab)

    assert rig.standing(lab.repo.root, without=(".git",)) == before
    assert {one.verb for one in lab.server.requests} == {"get", "list"}


def test_help_names_every_way_to_leave_something_out(lab: Lab) -> None:
    text = lab.verify("--help").out

    assert re.findall(r"--no-\w+", text) == ["--no-secret", "--no-exec"]


def test_key_of_the_cluster_stands_in_no_system_call_but_on_kubectls_way_to_us(lab: Lab, tmp_path: Path) -> None:
    log = tmp_path / "strace.log"
    words = ("-v", "verify", "lab", "--no-exec", "--kubeconfig", str(lab.folder / "config"))
    done = subprocess.run(
        [
            *(rig.strace(), "-f", "-qq", "-yy", "-v", "-s", "65536", "-e", "signal=none", "-o", str(log)),
            *(sys.executable, "-m", "generator", *words, "--report", str(tmp_path / "evidence.json")),
        ],
        cwd=lab.repo.root,
        capture_output=True,
        check=False,
    )

    material = lab.line.split()[2]
    traces = [lab.line, material, clusters.secret(lab.line)["data"]["keys"]]
    seen = [line for line in rig.whole_calls(log.read_text("utf-8", "replace")) if any(one in line for one in traces)]
    where = {re.sub(r"^\d+ +(\w+)\(\d+<(\w+):.*", r"\1 \2", line) for line in seen}
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != log]
    held = [path.name for path in files if any(one.encode() in path.read_bytes() for one in traces)]
    assert (done.returncode, where, held) == (0, {"read TCP", "write pipe", "read pipe"}, [])
