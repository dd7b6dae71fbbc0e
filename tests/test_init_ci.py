"""`keyturn init --ci`: where workflows are written, what stands in the one that rotates, and that it does.

The one that validates is in test_init_gate.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import forges
import pytest
import rig
import yaml
from alone import CREATED, HOOKS, NEXT, SWITCH_ON, WORKFLOWS, WRITTEN, init, workflows
from forges import Forge
from kit import Ran, Repo, program

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES: Final = {ci: next(iter(paths)) for ci, paths in WORKFLOWS.items()}
KINDS = pytest.mark.parametrize("ci", FILES)
EACH = pytest.mark.parametrize(("ci", "path"), [(ci, path) for ci, paths in WORKFLOWS.items() for path in paths])
PLACES = pytest.mark.parametrize("place", ["", "platform/eu"], ids=["at the top", "in a subfolder"])
JOBS = ["keyturn-rotate", "keyturn-validate"]
INSTALL = 'python -m pip install "$KEYTURN"'


def token(ci: str) -> str:
    return f"keyturn: read the first lines of {FILES[ci]}: it needs a token of yours\n"


def created(ci: str, up: str = "") -> str:
    return "".join(f"created {up}{path}\n" for path in WORKFLOWS[ci])


def started(repo: Repo, place: str = "") -> Path:
    """Make a repository whose workspace is in a folder, without a workflow."""
    repo.init()
    folder = repo.root / place
    assert init(folder).code == 0
    return folder


# What is written where


@KINDS
def test_empty_folder_gets_a_workspace_and_the_workflows(repo: Repo, ci: str) -> None:
    ran = init(repo.root, "--ci", ci)

    made = f"keyturn: made a git repository in {repo.root}\n"
    following = f"{SWITCH_ON}keyturn: {NEXT} keyturn --root {repo.root} render --new-identity\n"
    assert ran == Ran(0, f"{CREATED}{created(ci)}", f"{made}{token(ci)}{following}")
    assert repo.files() == WRITTEN | workflows(ci)


@KINDS
@PLACES
def test_workspace_that_is_there_gets_the_workflows_alone_at_the_top_of_the_repository(
    repo: Repo, ci: str, place: str
) -> None:
    folder = started(repo, place)
    (folder / "environments/lab-ipsec.yaml").write_text("# mine\n", "utf-8")
    (folder / "README.md").unlink()
    before = repo.files()

    ran = init(folder, "--ci", ci)

    assert ran == Ran(0, created(ci, "../../" if place else ""), token(ci))
    assert repo.files() == before | workflows(ci, place)


@KINDS
def test_empty_subfolder_gets_a_workspace_and_the_repository_the_workflows(repo: Repo, ci: str) -> None:
    repo.init()

    ran = init(repo.root / "platform/eu", "--ci", ci)

    here = CREATED.replace(f"created {HOOKS}\n", "")
    assert (ran.code, ran.out) == (0, f"{here}created ../../{HOOKS}\n{created(ci, '../../')}")
    found = repo.files()
    assert {path: found[path] for path in WORKFLOWS[ci]} == workflows(ci, "platform/eu")
    below = [f"platform/eu/{path}" for path in WRITTEN if path != HOOKS]
    assert sorted(found) == sorted([HOOKS, *WORKFLOWS[ci], *below])


@KINDS
@PLACES
def test_second_run_writes_nothing(repo: Repo, ci: str, place: str) -> None:
    folder = repo.root / place
    repo.init()
    init(folder, "--ci", ci)
    before = rig.standing(repo.root)

    ran = init(folder, "--ci", ci)

    assert (ran, rig.standing(repo.root)) == (Ran(0, "", token(ci)), before)


def test_workflows_of_both_forges_stand_beside_each_other(repo: Repo) -> None:
    runs = [init(repo.root, "--ci", ci) for ci in ("github", "gitlab", "github")]

    assert [ran.code for ran in runs] == [0, 0, 0]
    assert repo.files() == WRITTEN | workflows("github") | workflows("gitlab")


@EACH
@PLACES
@pytest.mark.parametrize("text", ["on: push\n", ""], ids=["something else", "empty"])
def test_other_workflow_of_that_name_is_refused_and_untouched(
    repo: Repo, ci: str, path: str, place: str, text: str
) -> None:
    folder = started(repo, place)
    repo.write(path, text)
    before = rig.standing(repo.root)

    ran = init(folder, "--ci", ci)

    reason = f"{repo.root / path} is there already, and says something else"
    hint = f"keyturn init --ci {ci} in an empty folder writes one to copy from"
    assert ran == Ran(3, "", f"keyturn: error: {reason}; {hint}\n")
    assert rig.standing(repo.root) == before


@EACH
@pytest.mark.parametrize("place", ["", "platform/eu"])
def test_other_workflow_in_the_way_of_a_new_workspace_leaves_nothing_written(
    repo: Repo, ci: str, path: str, place: str
) -> None:
    repo.init()
    repo.write(path, "on: push\n")
    before = repo.files()

    ran = init(repo.root / place, "--ci", ci)

    assert (ran.code, ran.out, repo.files(), (repo.root / "platform").exists()) == (3, "", before, False), ran.err


@KINDS
def test_workflow_is_not_written_through_a_link(repo: Repo, tmp_path: Path, ci: str) -> None:
    started(repo)
    (tmp_path / "elsewhere").mkdir()
    link = repo.root / FILES[ci].partition("/")[0]
    link.symlink_to(tmp_path / "elsewhere" / ("" if ci == "github" else "file"))

    ran = init(repo.root, "--ci", ci)

    assert (ran.code, ran.out, list((tmp_path / "elsewhere").iterdir())) == (3, "", []), ran.err


@KINDS
def test_json_names_the_workflows(repo: Repo, ci: str) -> None:
    folder = started(repo, "platform/eu")

    first, second = (init(folder, "--ci", ci, "--output", "json") for _ in range(2))

    answers = [json.loads(ran.out) for ran in (first, second)]
    paths = [f"../../{path}" for path in WORKFLOWS[ci]]
    assert answers == [{"root": str(folder), "created": named} for named in (paths, [])]


def test_forge_without_a_workflow_is_a_wrong_word(repo: Repo) -> None:
    ran = init(repo.root, "--ci", "gitea")

    assert (ran.code, repo.files()) == (2, {})


# What it says


def workflow(ci: str) -> Any:
    return yaml.load(workflows(ci)[FILES[ci]], Loader=yaml.BaseLoader)  # noqa: S506 -- it makes strings alone, also of `on`


def test_github_is_given_no_right_and_every_action_by_its_hash() -> None:
    found = workflow("github")

    uses = [step["uses"] for job in found["jobs"].values() for step in job["steps"] if "uses" in step]
    assert [one for one in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []
    assert [one.partition("@")[0] for one in uses] == [
        "actions/create-github-app-token",
        "actions/checkout",
        "actions/setup-python",
    ]
    assert (found["permissions"], [job for job in found["jobs"].values() if "permissions" in job]) == ({}, [])


def test_github_runs_on_a_schedule_and_by_hand_with_the_whole_history() -> None:
    found = workflow("github")

    (job,) = found["jobs"].values()
    (checkout,) = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    crons = [one["cron"] for one in found["on"]["schedule"]]
    assert (sorted(found["on"]), found["on"]["workflow_dispatch"]) == (["schedule", "workflow_dispatch"], {})
    assert [len(cron.split()) for cron in crons] == [5]
    assert (checkout["fetch-depth"], checkout["token"]) == ("0", "${{ steps.app.outputs.token }}")
    assert found["concurrency"] == {"group": "keyturn-rotate", "cancel-in-progress": "false"}


def test_github_says_why_its_own_token_is_not_used() -> None:
    text = workflows("github")[FILES["github"]].decode()

    told = " ".join(line.removeprefix("#").strip() for line in text.partition("\nname:")[0].splitlines())
    assert "pull requests that are made with the workflow's own GITHUB_TOKEN start no workflows" in told
    assert [line for line in text.splitlines() if "GITHUB_TOKEN" in line and not line.startswith("#")] == []
    assert "github.token" not in text


def test_gitlab_runs_in_scheduled_pipelines_alone_with_the_whole_history() -> None:
    jobs = workflow("gitlab")

    job = jobs["keyturn-rotate"]
    assert (sorted(jobs), job["rules"]) == (JOBS, [{"if": '$CI_PIPELINE_SOURCE == "schedule"'}])
    assert (job["variables"]["GIT_DEPTH"], job["resource_group"]) == ("0", "keyturn-rotate")
    assert workflows("gitlab")[FILES["gitlab"]].count(b'\n    GIT_DEPTH: "0" ') == 2


@KINDS
def test_no_address_holds_a_token(ci: str) -> None:
    text = b"".join(workflows(ci).values()).decode()

    assert re.findall(r"\S*://\S*@\S*", text) == []
    assert re.findall(r"https?://\S*TOKEN\S*", text) == []


# What it runs


def commands(ci: str) -> list[str]:
    """The scripts of a job, each of which has a shell of its own."""
    job = workflow(ci)["jobs"]["rotate"] if ci == "github" else workflow(ci)["keyturn-rotate"]
    return [step["run"] for step in job["steps"] if "run" in step] if ci == "github" else ["\n".join(job["script"])]


@KINDS
def test_scripts_are_sound_in_any_shell(ci: str) -> None:
    done = [subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode for text in commands(ci)]

    assert done == [0] * len(commands(ci))
    assert [INSTALL in text for text in commands(ci)] == ([True, False] if ci == "github" else [True])
    assert "keyturn rotate --due --pr" in commands(ci)[-1]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forges.prepared(tmp_path_factory)


@pytest.fixture
def forge(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Forge:
    """A clone with keys that are due; nobody has a name or a private key, and `keyturn` is on PATH."""
    found = forges.start(prepared, tmp_path / "forge", monkeypatch)
    beside = Path(program("keyturn")).parent
    monkeypatch.setenv("PATH", f"{found.folder / 'bin'}{os.pathsep}{beside}{os.pathsep}{found.folder / 'tools'}")
    (found.folder / "tools/sh").symlink_to(shutil.which("sh") or "/bin/sh")
    found.repo.git("config", "user.name", "Somebody")
    found.repo.git("config", "user.email", "somebody@example.com")
    (home / ".gitconfig").unlink()
    return found


def published(forge: Forge, ci: str, place: str) -> Path:
    """Have the workspace in a folder of the repository, with the workflow that `init` makes; return the folder."""
    folder = forge.repo.root / place
    if place:
        folder.mkdir(parents=True)
        forge.repo.git("mv", "environments", "clusters", ".sops.yaml", place)
    assert init(folder, "--ci", ci).code == 0
    forge.repo.git("add", "-A")
    forge.repo.git("commit", "-q", "-m", f"rotate what is due at {ci}")
    forge.repo.git("push", "-q", "origin", "main")
    return folder


def ran(folder: Path, text: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as a runner does, without what it installs."""
    assert (folder / "environments").is_dir() or "cd " in text
    script = text.replace(INSTALL, ":")
    env = {**os.environ, **variables}
    return subprocess.run(["sh", "-e", "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=False)


BRANCHES = [f"keyturn/rotate-{name}-3" for name in ("lab", "one", "two")]


@PLACES
def test_github_runner_opens_a_request_for_each_key_that_is_due(forge: Forge, place: str) -> None:
    forges.at(forge, "gh")
    published(forge, "github", place)
    runner = forge.clone("runner")
    runner.git("config", "--unset", "user.name")
    runner.git("config", "--unset", "user.email")
    (job,) = yaml.safe_load(runner.read(FILES["github"]))["jobs"].values()
    step = job["steps"][-1]
    text = step["run"].replace("${{ steps.app.outputs.app-slug }}", "acme-keyturn")

    done = ran(runner.root / step["working-directory"], text, {"GH_TOKEN": "t0k3n"})

    assert (done.returncode, sorted(forge.there())) == (0, BRANCHES), done.stderr
    assert sorted((one["branch"], one["target"]) for one in forge.requests()) == [(one, "main") for one in BRANCHES]
    who = forge.bare.git("show", "-s", "--format=%an <%ae>", BRANCHES[0])
    assert who == "acme-keyturn[bot] <acme-keyturn[bot]@users.noreply.github.com>\n"
    assert "t0k3n" not in f"{done.stdout}{done.stderr}{forge.calls}{runner.read('.git/config')}"


@PLACES
def test_gitlab_runner_pushes_a_branch_that_opens_its_request(forge: Forge, place: str) -> None:
    forge.address(forges.GITLAB)
    forges.takes_options(forge)
    published(forge, "gitlab", place)
    runner = forge.clone("runner")
    runner.git("config", "--unset", "user.name")
    runner.git("config", "--unset", "user.email")
    runner.git("checkout", "-q", "--detach")
    job = yaml.safe_load(runner.read(FILES["gitlab"]))["keyturn-rotate"]
    names = {"CI_SERVER_HOST": "gitlab.example.com", "CI_SERVER_URL": "https://gitlab.example.com"}
    variables = {**names, "CI_PROJECT_PATH": "g/p", "KEYTURN_TOKEN": "t0k3n"}

    done = ran(runner.root, "\n".join(job["script"]), variables)

    assert (done.returncode, sorted(forge.there())) == (0, BRANCHES), done.stderr
    assert forges.options(forge)[:2] == ["merge_request.create", "merge_request.target=main"]
    who = forge.bare.git("show", "-s", "--format=%an <%ae>", BRANCHES[0])
    assert who == "keyturn <keyturn@gitlab.example.com>\n"
    assert "t0k3n" not in f"{done.stdout}{done.stderr}{runner.read('.git/config')}"
    asked = "protocol=https\nhost=gitlab.example.com\n\n"
    filled = subprocess.run(
        ["git", "credential", "fill"],
        cwd=runner.root,
        env={**os.environ, **variables},
        input=asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert filled.stdout.splitlines()[2:] == ["username=keyturn", "password=t0k3n"]
