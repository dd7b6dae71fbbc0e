"""`keyturn init` and pre-commit: where the hooks are written, what they run, and whose file is left alone.

That they stop a commit is in test_hooks.py.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
import rig
import yaml
from alone import CREATED, HOOKS, WRITTEN, init, told
from kit import PROJECT, Ran, Repo

if TYPE_CHECKING:
    from pathlib import Path

THEIRS = "repos:\n  - repo: https://example.com/hooks\n    rev: v1\n    hooks: [{id: theirs}]\n"
LEFT = f"keyturn: {HOOKS} at the top of the repository is yours, and was left alone; what its repos lack:\n"
BELOW = CREATED.replace(f"created {HOOKS}\n", "")


def hooks(text: str) -> dict[str, Any]:
    """The hooks of a file, by their names."""
    return {hook["id"]: hook for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]}


def script(hook: dict[str, Any]) -> str:
    """What a hook has sh run."""
    shell, flag, text, name = shlex.split(hook["entry"])
    assert (shell, flag, name) == ("sh", "-c", hook["id"])
    return text


@pytest.mark.parametrize(
    ("place", "folder", "root", "files"),
    [
        ("", "", "", "^(environments|templates|clusters)/"),
        ("platform", "platform/", "--root platform ", "^platform/(environments|templates|clusters)/"),
        ("a.b/eu", "a.b/eu/", "--root a.b/eu ", r"^a\.b/eu/(environments|templates|clusters)/"),
    ],
)
def test_hooks_run_at_the_top_for_a_workspace_in_any_folder(
    repo: Repo, place: str, folder: str, root: str, files: str
) -> None:
    repo.init()

    assert init(repo.root / place).code == 0

    found = hooks(repo.read(HOOKS))
    path = f'PATH="$PWD/{folder}.venv/bin:$PATH"'
    assert list(found) == ["keyturn-validate", "keyturn-render"]
    assert script(found["keyturn-validate"]) == f'{path}; exec keyturn {root}validate --index --deleted -- "$@"'
    assert script(found["keyturn-render"]) == f"{path}; exec keyturn {root}validate --index --drift"
    assert [found[name].get("pass_filenames", True) for name in found] == [True, False]
    assert (found["keyturn-validate"]["require_serial"], found["keyturn-render"]["files"]) == (True, files)
    assert "@" not in repo.read(HOOKS).replace('"$@"', "")


@pytest.mark.parametrize("place", ["", "platform/eu"])
def test_comment_shows_how_pre_commit_installs_the_hooks_that_this_repository_offers(repo: Repo, place: str) -> None:
    repo.init()
    init(repo.root / place)

    commented = re.findall(r"(?m)^# (  .*)$", repo.read(HOOKS))

    shown = hooks("repos:\n" + "\n".join(commented))
    offered = {one["id"]: one for one in yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text("utf-8"))}
    root = f"keyturn --root {place} " if place else "keyturn "
    entries = {name: shown[name].get("entry", one["entry"]) for name, one in offered.items()}
    assert (list(shown), len(commented)) == (list(offered), 7 if place else 5)
    assert entries == {name: one["entry"].replace("keyturn ", root, 1) for name, one in offered.items()}


def test_other_file_in_an_empty_repository_is_a_stranger(repo: Repo) -> None:
    repo.init()
    repo.write(HOOKS, THEIRS)
    before = rig.standing(repo.root)

    ran = init(repo.root)

    hint = "name an empty folder or repository; nothing was written"
    assert ran == Ran(3, "", f"keyturn: error: {repo.root} is not empty: {HOOKS}; {hint}\n")
    assert rig.standing(repo.root) == before


def test_file_of_somebody_at_the_top_is_left_alone_and_what_it_lacks_is_told(repo: Repo) -> None:
    repo.init()
    repo.write(HOOKS, THEIRS)
    folder = repo.root / "platform/eu"

    ran = init(folder)

    last = told(folder, repository=False, hooks=False)
    lines = ran.err.removeprefix(LEFT).removesuffix(last)
    assert (ran.code, ran.out, repo.read(HOOKS)) == (0, BELOW, THEIRS)
    assert ran.err == f"{LEFT}{lines}{last}"
    fresh = Repo(repo.root.parent / "fresh")
    fresh.root.mkdir()
    fresh.init()
    init(fresh.root / "platform/eu")
    assert hooks(f"{THEIRS}{lines}") == {"theirs": {"id": "theirs"}} | hooks(fresh.read(HOOKS))


def test_file_of_somebody_that_lacks_nothing_is_not_talked_about(repo: Repo) -> None:
    repo.init()
    init(repo.root / "platform/eu")
    ours = repo.read(HOOKS).partition("\nrepos:\n")[2]
    repo.write(HOOKS, f"{THEIRS}{ours}")
    (repo.root / "platform/eu/README.md").unlink()

    ran = init(repo.root / "platform/eu")

    assert ran == Ran(0, "created README.md\n", told(repo.root / "platform/eu", repository=False, hooks=False))


def test_second_workspace_is_told_what_the_file_of_the_first_lacks(repo: Repo) -> None:
    repo.init()
    init(repo.root / "platform/eu")
    before = repo.read(HOOKS)

    ran = init(repo.root / "platform/us")

    assert (ran.code, ran.out, repo.read(HOOKS)) == (0, BELOW, before)
    assert (ran.err.startswith(LEFT), ran.err.count("--root platform/us validate --index")) == (True, 2)


@pytest.mark.parametrize("target", ["nowhere", "theirs"])
def test_link_at_the_top_is_not_written_through(repo: Repo, tmp_path: Path, target: str) -> None:
    (tmp_path / "theirs").write_text(THEIRS, "utf-8")
    repo.init()
    (repo.root / HOOKS).symlink_to(tmp_path / target)

    ran = init(repo.root / "platform")

    assert (ran.code, ran.out, ran.err.startswith(LEFT)) == (0, BELOW, True)
    assert ((tmp_path / "theirs").read_text("utf-8"), (tmp_path / "nowhere").exists()) == (THEIRS, False)


def test_json_names_the_hooks_and_keeps_what_is_lacking_apart(repo: Repo) -> None:
    repo.init()

    first, second = (init(repo.root / place, "--output", "json") for place in ("platform/eu", "platform/us"))

    below = sorted(path for path in WRITTEN if path != HOOKS)
    assert [json.loads(ran.out)["created"] for ran in (first, second)] == [[*below, f"../../{HOOKS}"], below]
    assert second.err.startswith(LEFT)
