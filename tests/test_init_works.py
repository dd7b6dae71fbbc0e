"""What `keyturn init` wrote works: its templates, git's view of it, its Makefile; what could not work is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import rig
from alone import STARTER, TEMPLATES, WRITTEN, init, told
from kit import Ran, Repo, program

if TYPE_CHECKING:
    from pathlib import Path

LABS = ("lab-ipsec", "lab-node-encryption", "lab-wireguard")


# The templates


def test_templates_are_copied_when_they_are_asked_for(repo: Repo) -> None:
    ran = init(repo.root, "--templates")

    created = "".join(f"created {path}\n" for path in sorted(WRITTEN | TEMPLATES))
    assert ran == Ran(0, created, told(repo.root, repository=True))
    assert repo.files() == WRITTEN | TEMPLATES


def test_templates_may_follow_in_a_second_run(repo: Repo) -> None:
    init(repo.root)

    ran = init(repo.root, "--templates")

    created = "".join(f"created {path}\n" for path in sorted(TEMPLATES))
    assert ran == Ran(0, created, told(repo.root, repository=False, hooks=False))


def test_copied_templates_render_the_same_and_a_changed_one_is_used(repo: Repo) -> None:
    init(repo.root, "--templates")
    first = rig.command(repo.root, "render", "--new-identity")
    shutil.move(repo.root / "templates", repo.root.parent / "templates")
    without = rig.command(repo.root, "render", "--check")
    shutil.move(repo.root.parent / "templates", repo.root / "templates")
    with (repo.root / "templates" / "kind.yaml.j2").open("a", encoding="utf-8") as stream:
        stream.write("# ours: {{ name }}\n")

    changed = rig.command(repo.root, "render")

    lines = [line for line in changed.out.splitlines() if line.startswith(("created", "updated", "removed"))]
    assert (first.code, first.err.count("warning"), without.code, changed.code) == (0, 0, 0, 0)
    assert lines == [f"updated clusters/{name}/kind.yaml" for name in LABS]
    assert repo.read("clusters/lab-ipsec/kind.yaml").endswith("\n# ours: lab-ipsec\n")


# What was written works


def test_new_repository_renders_clean_and_a_second_run_changes_nothing(repo: Repo, home: Path) -> None:
    init(repo.root)

    codes = [
        repo.run(*words).code for words in (("render", "--check"), ("render", "--new-identity"), ("render", "--check"))
    ]

    assert codes == [1, 0, 0]
    assert (repo.root / ".sops.yaml").is_file()
    assert rig.keyring(home).is_file()
    recorded = repo.git("status", "--porcelain").splitlines()
    assert recorded == [f"?? {name}" for name in (*sorted({*STARTER, ".sops.yaml"}), "clusters/", "environments/")]


@pytest.mark.parametrize(
    "path",
    [
        *("keys.txt", "sops/age/keys.txt", "age.agekey", "lab/production.agekey", "gpg/flux.key"),
        *(".venv/bin/python", ".keyturn.lock", "environments/.lab.yaml.keyturn-tmp"),
    ],
)
def test_identities_and_leftovers_are_ignored_by_git(repo: Repo, path: str) -> None:
    init(repo.root)
    repo.write(path, "AGE-SECRET-KEY-1\n")

    repo.git("add", "-A")

    assert repo.git("ls-files", "--", path) == ""
    assert repo.git("check-ignore", "--", path) == f"{path}\n"


def test_nothing_that_belongs_in_git_is_ignored(repo: Repo) -> None:
    init(repo.root, "--templates")
    rig.command(repo.root, "render", "--new-identity", "lab-ipsec")

    ignored = repo.git("status", "--porcelain", "--ignored", "-uall")

    assert [line for line in ignored.splitlines() if line.startswith("!!")] == []


def make(folder: Path, *words: str, **variables: str) -> Ran:
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        [program("make"), "--no-print-directory", "-C", str(folder), *words],
        env={**env, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("words", "called"),
    [
        (["render"], "render --new-identity"),
        (["render", "ENV=lab-ipsec lab-wireguard"], "render --new-identity lab-ipsec lab-wireguard"),
        (["check"], "render --check"),
        (["check", "ENV=lab-ipsec"], "render --check lab-ipsec"),
        (["validate"], "validate"),
    ],
)
def test_make_calls_the_keyturn_that_is_named(repo: Repo, tmp_path: Path, words: list[str], called: str) -> None:
    init(repo.root)
    named = rig.script(tmp_path / "bin", "named", 'echo "$0: $*"\n')

    by_word, by_variable = make(repo.root, *words, f"KEYTURN={named}"), make(repo.root, *words, KEYTURN=str(named))

    assert (by_word, by_variable) == (Ran(0, f"{named}: {called}\n", ""),) * 2


def test_make_takes_the_keyturn_of_the_repository_before_the_one_on_path(repo: Repo, tmp_path: Path) -> None:
    init(repo.root)
    rig.script(tmp_path / "bin", "keyturn", "echo from PATH\n")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"

    before = make(repo.root, "render", PATH=path)
    rig.script(repo.root / ".venv" / "bin", "keyturn", "echo from .venv\n")
    after = make(repo.root, "render", PATH=path)

    assert (before, after) == (Ran(0, "from PATH\n", ""), Ran(0, "from .venv\n", ""))


def test_make_renders_and_checks_for_real(repo: Repo) -> None:
    init(repo.root)
    words = (f"KEYTURN={program('keyturn')}", "ENV=lab-ipsec")

    rendered, checked = make(repo.root, "render", *words), make(repo.root, "check", *words)
    (repo.root / "clusters" / "lab-ipsec" / "kind.yaml").unlink()
    differs = make(repo.root, "check", *words)

    assert (rendered.code, checked.code, differs.code) == (0, 0, 2)
    assert "created clusters/lab-ipsec/kind.yaml\n" in differs.out


def test_make_help_lists_the_targets_and_is_what_make_does(repo: Repo) -> None:
    init(repo.root)

    helped, bare = make(repo.root, "help"), make(repo.root)

    targets = [line.split()[0] for line in helped.out.splitlines()]
    assert (helped.code, targets) == (0, ["help", "render", "rotate", "check", "validate"])
    assert bare == helped


@pytest.mark.parametrize("name", ["a b", "Ümlaut", "-dash", "a#b"])
def test_subfolder_that_no_engine_could_be_told_of_is_refused(repo: Repo, name: str) -> None:
    repo.init()
    before = rig.standing(repo.root)

    ran = init(repo.root / name)

    assert (ran.code, ran.err.startswith(f"keyturn: error: the engine cannot be told of {name!r}: ")) == (2, True)
    assert rig.standing(repo.root) == before
