"""What tests of rotations share: a committed repository, commits of a chosen age, and what stands on a branch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import rig
import sealed
import yaml
from kit import IPSEC, Ran, Repo

from generator import keys, proposal, secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
NO_AGE = timedelta()
GITCONFIG = """
[user]
name = Test
email = test@example.com
[init]
templateDir =
[maintenance]
auto = false
"""


def now() -> datetime:
    """The clock of this machine, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def time(stamp: str) -> datetime:
    """Read what an annotation or JSON tells."""
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def git(repo: Repo, *words: str, ago: timedelta = NO_AGE) -> str:
    """Run git with a date some time ago."""
    date = f"@{int((now() - ago).timestamp())} +0000"
    env = {**os.environ, "GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
    done = subprocess.run(["git", *words], cwd=repo.root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(repo: Repo, message: str = "a commit", *, ago: timedelta = DAY) -> str:
    """Commit all that stands in the work tree, some time ago."""
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", message, ago=ago)
    return tip(repo, "HEAD")


def rendered(repo: Repo, home: Path, *names: str, text: str = IPSEC) -> Repo:
    """Make a repository with environments, each with a first key by keyturn, committed a day ago."""

    def make() -> None:
        rig.lab(repo, home, text, names[0])
        for name in names[1:]:
            repo.environment(name, text)
        assert rig.command(repo.root, "-q", "render") == Ran(0, "", "")
        commit(repo, "first keys")

    return once(repo, home, ("rendered", names, text), make)


def once(repo: Repo, home: Path, asked: object, make: Callable[[], None]) -> Repo:
    """Have a repository and its identity made once a session, and copied for the next test that asks for the same."""
    told = repr((asked, repo.files())).encode()
    kept = home.parent.parent / f"once-{hashlib.sha256(told).hexdigest()[:12]}"
    keyring = rig.keyring(home)
    if kept.exists():
        shutil.copytree(kept / "repo", repo.root, symlinks=True, dirs_exist_ok=True)
        keyring.parent.mkdir(parents=True)
        shutil.copy2(kept / keyring.name, keyring)
        return repo
    make()
    pack(repo)
    shutil.copytree(repo.root, kept / "repo", symlinks=True)
    shutil.copy2(keyring, kept)
    return repo


def pack(repo: Repo) -> None:
    """Put git's objects into one file, since a repository that is copied for every test should have few."""
    repo.git("repack", "-a", "-d", "-q")


def person(home: Path) -> Path:
    """Give a HOME a name to commit by; git makes no samples of hooks there, and does no housekeeping."""
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text(GITCONFIG, "utf-8")
    return home


def prepared(folder: Path) -> Path:
    """Return a folder with `lab`, a repository whose only commit, the first key, is a day old, beside its `home`."""
    lab = Repo(folder / "lab")
    lab.write("README", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(person(folder / "home")))
        rendered(lab, folder / "home", "lab")
    return folder


def hold(
    repo: Repo, name: str, key: keys.Key, *, previous: int | None = None, old: timedelta = 10 * DAY, more: str = ""
) -> None:
    """Give an environment a key that a test chose, made `old` ago; `more` is `old text=new text` in its clear form."""
    text = secret.document(secret.Issue(key, now() - old, previous), "kube-system")
    before, _, after = more.partition("=")
    assert not more or before in text
    sealed.seal(repo, name, text.replace(before, after) if more else text)


def merge(repo: Repo, branch: str, *, ago: timedelta = DAY, how: str = "--no-ff") -> str:
    """Merge a branch into the current one, some time ago, and return the merge."""
    git(repo, "merge", "-q", how, *(["-m", f"merge {branch}"] if how == "--no-ff" else []), branch, ago=ago)
    return tip(repo, "HEAD")


def tip(repo: Repo, revision: str) -> str:
    return repo.git("rev-parse", "--verify", f"{revision}^{{commit}}").strip()


def branches(repo: Repo) -> list[str]:
    """The branches that keyturn made."""
    return repo.git("for-each-ref", "--format=%(refname:short)", "refs/heads/keyturn/").split()


def refs(repo: Repo) -> str:
    return repo.git("for-each-ref")


def diff(repo: Repo, revision: str) -> list[str]:
    """What one commit did to which file."""
    return repo.git("diff-tree", "-r", "--no-commit-id", "--name-status", f"{revision}^", revision).splitlines()


def message(repo: Repo, revision: str) -> str:
    return repo.git("show", "-s", "--format=%B", revision).rstrip("\n") + "\n"


def trailers(repo: Repo, revision: str) -> list[proposal.Trailer]:
    return proposal.trailers(message(repo, revision))


def text(repo: Repo, revision: str, path: str) -> str:
    """A file of some commit, with its own line ends."""
    shown = ["git", "show", f"{revision}:{path}"]
    return subprocess.run(shown, cwd=repo.root, capture_output=True, check=True).stdout.decode()


def told(repo: Repo, revision: str, name: str) -> dict[str, str]:
    """What the annotations of a Secret tell in some commit, without their prefix."""
    text = repo.git("show", f"{revision}:{sealed.path(name)}")
    found = yaml.safe_load(text)["metadata"]["annotations"]
    return {key.removeprefix("keyturn/"): value for key, value in found.items() if key.startswith("keyturn/")}


def recipients(repo: Repo, revision: str, name: str) -> list[str]:
    """The age recipients of a Secret in some commit."""
    text = repo.git("show", f"{revision}:{sealed.path(name)}")
    return [one["recipient"] for one in yaml.safe_load(text)["sops"]["age"]]


def clear(repo: Repo, revision: str, name: str) -> str:
    """A Secret of some commit, as the real sops decrypts it."""
    done = subprocess.run(
        [rig.real_sops(repo.root), "decrypt", "--input-type", "yaml", "--output-type", "yaml"],
        cwd=repo.root,
        env={**os.environ, "SOPS_DISABLE_VERSION_CHECK": "true"},
        input=repo.git("show", f"{revision}:{sealed.path(name)}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def key(repo: Repo, revision: str, name: str) -> keys.Key:
    """The key that a Secret holds in some commit."""
    return keys.parse(yaml.safe_load(clear(repo, revision, name))["stringData"]["keys"])


def rotate(repo: Repo, *arguments: str) -> Ran:
    return rig.command(repo.root, "rotate", *arguments)


def answer(repo: Repo, *arguments: str, code: int = 0) -> Any:
    """Rotate, see how it ends, and return its JSON."""
    ran = rotate(repo, *arguments, "--output", "json")
    assert ran.code == code, ran.err
    return json.loads(ran.out)


def private(repo: Repo) -> tuple[object, ...]:
    """What is the user's own: the work tree, the index, what HEAD names, the stash, and every branch but keyturn's."""
    others = [line for line in refs(repo).splitlines() if "/keyturn/" not in line]
    folder = repo.root / ".git"
    return sealed.standing(repo), (folder / "index").read_bytes(), (folder / "HEAD").read_text("utf-8"), others


def refused(repo: Repo, *arguments: str, code: int = 3) -> str:
    """See that rotate refuses and leaves every branch and file as it was; return its one line."""
    before = refs(repo), private(repo)
    ran = rotate(repo, *arguments)
    assert (ran.code, ran.out, (refs(repo), private(repo))) == (code, "", before), ran.err
    (line,) = ran.err.splitlines()
    assert line.startswith("keyturn: error: ")
    return re.sub("^keyturn: error: ", "", line)
