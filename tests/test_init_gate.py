"""The workflows of `keyturn init --ci` that validate: when they run, what they may do, and what they stop."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import rig
import turned
import yaml
from alone import init, workflows
from kit import IPSEC, Ran, Repo, program

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS: Final = {"github": ".github/workflows/keyturn-validate.yml", "gitlab": ".gitlab-ci.yml"}
KINDS = pytest.mark.parametrize("ci", PATHS)
INSTALL: Final = 'python -m pip install "$KEYTURN"'
PLACE: Final = "platform/eu"  # where the workspace is in its repository
BRANCH: Final = "keyturn/rotate-lab-2"
SECRET: Final = f"clusters/lab/{rig.SECRET}"


def workflow(ci: str, place: str = "") -> Any:
    return yaml.load(workflows(ci, place)[PATHS[ci]], Loader=yaml.BaseLoader)  # noqa: S506 -- strings alone, also of `on`


# What it says


def test_github_runs_for_pull_requests_and_in_the_queue_and_may_read_alone() -> None:
    found = workflow("github")

    assert (found["on"], found["permissions"]) == ({"pull_request": {}, "merge_group": {}}, {"contents": "read"})
    (job,) = found["jobs"].values()
    assert ("permissions" in job, "if" in job, "secrets." in str(found)) == (False, False, False)


def test_github_checks_out_the_whole_history_with_actions_named_by_their_hash() -> None:
    (job,) = workflow("github")["jobs"].values()

    uses = {step["uses"]: step["with"] for step in job["steps"] if "uses" in step}
    assert [one for one in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []
    rotating = workflows("github")[".github/workflows/keyturn-rotate.yml"].decode()
    assert [one for one in uses if one not in rotating] == []
    (checkout,) = [given for name, given in uses.items() if name.startswith("actions/checkout@")]
    assert checkout == {"fetch-depth": "0", "persist-credentials": "false"}


def test_no_expression_stands_in_a_script() -> None:
    (job,) = workflow("github")["jobs"].values()

    assert [step["run"] for step in job["steps"] if "${{" in step.get("run", "")] == []
    assert job["steps"][-1]["env"] == {"QUEUE": "${{ github.event.merge_group.base_sha }}"}


def test_gitlab_runs_in_merge_requests_alone_with_the_whole_history() -> None:
    job = workflow("gitlab")["keyturn-validate"]

    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
    assert (job["variables"]["GIT_DEPTH"], "KEYTURN_TOKEN" in str(job), "allow_failure" in job) == ("0", False, False)


# What it runs


@dataclass(frozen=True)
class Gate:
    """A bare remote whose `main` has one key for `lab`, and whose rotation waits on a branch."""

    folder: Path

    @property
    def remote(self) -> Repo:
        return Repo(self.folder / "remote.git")

    def clone(self, name: str, *words: str) -> Repo:
        other = Repo(self.folder / name)
        self.remote.git("clone", "-q", *words, f"file://{self.remote.root}", str(other.root))
        return other

    def runner(self, ref: str) -> Repo:
        """A clone as GitLab's runner makes it: what is built, whole, and no branch."""
        other = Repo(self.folder / "runner")
        other.root.mkdir()
        other.git("init", "-q")
        other.git("remote", "add", "origin", str(self.remote.root))
        other.git("fetch", "-q", "--refmap=", "origin", f"+{ref}:refs/pipelines/1")
        other.git("checkout", "-q", "--detach", "refs/pipelines/1")
        return other

    def merged(self) -> Repo:
        """A checkout of the request's merge, as GitHub makes it of the `main` that there was."""
        other = self.clone("merged")
        other.git("checkout", "-q", "--detach", "origin/main")
        other.git("merge", "-q", "--no-ff", "-m", "the request", f"origin/{BRANCH}")
        return other

    def moved(self) -> None:
        """Have another rotation of the same key come to `main` first."""
        other = self.clone("somebody", "--single-branch")
        assert rig.command(other.root / PLACE, "rotate", "lab", "--branch", "keyturn/first").code == 0
        other.git("push", "-q", "origin", "keyturn/first:main")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("gate")
    top, repo = Repo(folder / "repo"), Repo(folder / "repo" / PLACE)
    repo.root.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(turned.person(folder / "home")))
        top.init()
        repo.environment("lab", f"{IPSEC}gitops: {{engine: none}}\n")
        repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(folder / "home"))))
        assert rig.command(repo.root, "-q", "render").code == 0
        for ci in PATHS:
            assert init(repo.root, "--ci", ci).code == 0
        turned.commit(top)
        assert rig.command(repo.root, "rotate", "lab").code == 0
        top.git("clone", "-q", "--bare", str(top.root), str(folder / "remote.git"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def gate(prepared: Path, tmp_path: Path) -> Gate:
    """A copy of the remote; nobody has a private key."""
    shutil.copytree(prepared / "remote.git", tmp_path / "gate/remote.git")
    return Gate(tmp_path / "gate")


def script(repo: Repo, ci: str) -> tuple[str, Path]:
    """The last script that a checkout has its runner run, without what it installs, and in which folder."""
    found = yaml.safe_load(repo.read(PATHS[ci]))
    if ci == "gitlab":
        return "\n".join(found["keyturn-validate"]["script"]).replace(INSTALL, ":"), repo.root
    (job,) = found["jobs"].values()
    return job["steps"][-1]["run"], repo.root / job["steps"][-1]["working-directory"]


def ran(repo: Repo, ci: str, **variables: str) -> Ran:
    """Run it as a runner does."""
    text, folder = script(repo, ci)
    env = {**os.environ, **variables, "PATH": f"{Path(program('keyturn')).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-e", "-c", text], cwd=folder, env=env, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


PULL: Final = {"GITHUB_BASE_REF": "main", "QUEUE": ""}
DETACHED: Final = {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": ""}


def test_github_lets_a_right_rotation_through_and_stops_it_once_it_is_stale(gate: Gate) -> None:
    runner = gate.merged()

    right = ran(runner, "github", **PULL)
    gate.moved()
    runner.git("fetch", "-q", "origin")
    stale = ran(runner, "github", **PULL)

    heads = [one.partition("::")[0] for one in stale.out.removeprefix("::").split("\n::")]
    assert (right.code, right.out) == (0, ""), right
    found = [f"error file={PLACE}/{SECRET},title=keyturn {rule}" for rule in ("cooldown", "stale")]
    assert (stale.code, heads) == (1, found), stale


def test_github_compares_with_the_base_of_the_queue_there(gate: Gate) -> None:
    runner = gate.merged()
    base = runner.git("rev-parse", "HEAD^1").strip()
    gate.moved()
    runner.git("fetch", "-q", "origin")

    right = ran(runner, "github", GITHUB_BASE_REF="", QUEUE=base)
    stale = ran(runner, "github", GITHUB_BASE_REF="", QUEUE=runner.git("rev-parse", "origin/main").strip())

    assert (right.code, stale.code) == (0, 1), (right, stale)


def test_gitlab_lets_a_right_rotation_through_and_stops_it_once_it_is_stale(gate: Gate) -> None:
    runner = gate.runner(f"refs/heads/{BRANCH}")
    assert runner.git("branch", "--all").count("\n") == 1  # that HEAD is on none

    right = ran(runner, "gitlab", **DETACHED)
    gate.moved()
    stale = ran(runner, "gitlab", **DETACHED)

    assert (right.code, right.out) == (0, ""), right
    assert (stale.code, re.findall(r"(?m)^(\S+): error: .*\[(.*)\]$", stale.out)) == (
        1,
        [(SECRET, "cooldown"), (SECRET, "stale")],
    ), stale


def test_gitlab_compares_a_merged_result_with_what_it_was_merged_into(gate: Gate) -> None:
    made = gate.merged()
    base = made.git("rev-parse", "HEAD^1").strip()
    made.git("push", "-q", "origin", "HEAD:refs/merge-requests/1/merge")
    runner = gate.runner("refs/merge-requests/1/merge")

    done = ran(runner, "gitlab", **DETACHED | {"CI_MERGE_REQUEST_TARGET_BRANCH_SHA": base})

    assert (done.code, runner.git("branch", "--remotes")) == (0, ""), done


@KINDS
def test_shallow_clone_is_refused_and_the_way_out_is_named(gate: Gate, ci: str) -> None:
    runner = gate.clone("runner", "--depth", "1", "--branch", BRANCH)

    done = ran(runner, ci, **PULL, **DETACHED)

    assert (done.code, done.out) == (3, ""), done
    assert "fetch-depth: 0" in done.err
    assert "GIT_DEPTH: 0" in done.err
