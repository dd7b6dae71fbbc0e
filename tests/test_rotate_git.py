"""A rotation wherever a user stands in git, from any base, beside other people, under any git configuration."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import rig
import sealed
import turned
import yaml
from kit import IPSEC, Ran, Repo, program

if TYPE_CHECKING:
    from pathlib import Path

SECRET = sealed.path("lab")
BRANCH = "keyturn/rotate-lab-2"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose only commit, the first key, is a day old; no private key is at hand."""
    return turned.prepared(tmp_path_factory.mktemp("prepared")) / "lab"


@pytest.fixture
def lab(prepared: Path, tmp_path: Path) -> Repo:
    return Repo(shutil.copytree(prepared, tmp_path / "lab"))


def clone(lab: Repo, name: str = "clone", *options: str) -> Repo:
    """Clone the bare repository that has what `lab` had at the first call."""
    remote = lab.root.parent / "remote.git"
    if not remote.exists():
        lab.git("clone", "-q", "--bare", ".", str(remote))
    lab.git("clone", "-q", *options, f"file://{remote}", f"../{name}")
    return Repo(lab.root.parent / name)


def grown(repo: Repo) -> str:
    """Add a commit, made now."""
    repo.git("commit", "-q", "--allow-empty", "-m", "more")
    return turned.tip(repo, "HEAD")


def seen(repo: Repo, place: str = "") -> tuple[str, str, str]:
    """Return what the rotation's commit follows, what it changes, and the id of its key."""
    changed = repo.git("-c", "core.quotePath=false", "diff", "--name-status", f"{BRANCH}^", BRANCH)
    text = yaml.safe_load(repo.git("show", f"{BRANCH}:{place}{SECRET}"))
    return turned.tip(repo, f"{BRANCH}^"), changed, text["metadata"]["annotations"]["keyturn/key-id"]


def good(parent: str, place: str = "") -> tuple[str, str, str]:
    return parent, f"M\t{place}{SECRET}\n", "2"


def configure(repo: Repo, settings: str) -> None:
    for setting in settings.split():
        repo.git("config", *setting.split("="))


# Where the user stands


def test_work_in_progress_stays_as_it_is(lab: Repo) -> None:
    lab.write("environments/lab.yaml", "stashed: 1\n")
    lab.git("stash", "-q")
    lab.write("environments/lab.yaml", "staged: 1\n")
    lab.write("new", "staged")
    lab.git("add", "-A")
    for path in ("environments/lab.yaml", ".sops.yaml", "untracked"):
        lab.write(path, "in the work tree\n")
    (lab.root / SECRET).unlink()
    before = turned.private(lab)

    ran = turned.rotate(lab, "lab")

    assert (ran.code, turned.private(lab), seen(lab)) == (0, before, good(turned.tip(lab, "main")))


def test_detached_head_is_the_base(lab: Repo) -> None:
    lab.git("checkout", "-q", "--detach")
    tip = grown(lab)

    assert (turned.rotate(lab, "lab").code, seen(lab), lab.read(".git/HEAD")) == (0, good(tip), f"{tip}\n")


def test_shallow_clone_is_enough_where_it_begins_before_the_cool_down(lab: Repo) -> None:
    enough = clone(lab, "enough", "--depth=1")
    assert (turned.rotate(enough, "lab").code, seen(enough)) == (0, good(turned.tip(enough, "main")))

    grown(enough)
    enough.git("push", "-q")
    line = turned.refused(clone(lab, "short", "--depth=1"), "lab")

    reason = "this clone is shallow and begins within the cool-down of lab"
    assert line == f"{reason}; git fetch --unshallow (in CI fetch-depth: 0)"


def test_linked_worktree_rotates_from_its_own_branch(lab: Repo) -> None:
    lab.git("worktree", "add", "-q", "-b", "side", "../linked")
    linked = Repo(lab.root.parent / "linked")
    tip = grown(linked)

    assert (turned.rotate(linked, "lab").code, seen(lab), linked.git("status", "-s")) == (0, good(tip), "")


@pytest.mark.parametrize("config", ["", "a ü/"], ids=["sops.yaml at the top", "sops.yaml at the root"])
def test_environments_in_a_subfolder_rotate(repo: Repo, home: Path, config: str) -> None:
    repo.init()
    inner = Repo(repo.root / "a ü")
    inner.environment("lab", f"{IPSEC}gitops: {{engine: none}}\n")
    rule = rig.config(rig.identity(rig.keyring(home)))
    repo.write(f"{config}.sops.yaml", rule if config else rule.replace("^clusters", "^a ü/clusters"))
    assert rig.command(inner.root, "render").code == 0
    tip = turned.commit(repo)
    assert (turned.rotate(inner, "lab").code, seen(repo, "a ü/")) == (0, good(tip, "a ü/"))

    turned.merge(repo, BRANCH, ago=turned.MINUTE)

    assert "within its cool-down of 1h" in turned.rotate(inner, "lab").err


NOWHERE = {
    "init": "has no commit yet; commit environments/ and clusters/ first",
    "": "is in no git repository; git init, and commit environments/ and clusters/",
}


@pytest.mark.parametrize("words", NOWHERE)
def test_folder_without_a_commit_is_refused(repo: Repo, words: str) -> None:
    repo.environment("lab")
    if words:
        repo.git(words)

    assert turned.rotate(repo, "lab") == Ran(3, "", f"keyturn: error: {repo.root} {NOWHERE[words]}\n")


def test_repository_with_sha256_names_rotates(lab: Repo) -> None:
    shutil.rmtree(lab.root / ".git")
    lab.git("init", "-q", "-b", "main", "--object-format=sha256")
    tip = turned.commit(lab)

    ran = turned.rotate(lab, "lab")

    assert (ran.code, len(tip), seen(lab), lab.git("fsck", "--strict", "--no-progress")) == (0, 64, good(tip), "")


def test_variables_of_a_hook_do_not_lead_elsewhere(lab: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for name in ("DIR", "INDEX_FILE", "WORK_TREE", "OBJECT_DIRECTORY", "COMMON_DIR", "PREFIX", "SHALLOW_FILE"):
            patch.setenv(f"GIT_{name}", str(tmp_path / "elsewhere"))
        ran = turned.rotate(lab, "lab")

    assert (ran.code, (tmp_path / "elsewhere").exists(), seen(lab)) == (0, False, good(turned.tip(lab, "main")))


# The base


BASES = [
    ("main", "", "origin/main"),
    ("trunk", "", "origin/trunk"),
    ("main", "remote set-head origin -d", "origin/main"),
    ("trunk", "remote set-head origin -d", "HEAD"),
    ("main", "remote set-head origin -d; update-ref refs/remotes/origin/master HEAD", "HEAD"),
    ("main", "symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/gone", "origin/main"),
    ("main", "remote rename origin upstream", "upstream/main"),
    ("main", "remote add second .", "origin/main"),
    ("main", "remote rename origin upstream; remote add second .", "HEAD"),
    ("main", "remote remove origin", "HEAD"),
]


@pytest.mark.parametrize(("branch", "setup", "base"), BASES, ids=str)
def test_base_is_what_the_remote_is_known_to_have_else_the_current_branch(
    lab: Repo, branch: str, setup: str, base: str
) -> None:
    lab.git("branch", "-m", branch)
    local = clone(lab)
    local.git("switch", "-q", "-c", "work")
    grown(local)
    for command in filter(None, setup.split("; ")):
        local.git(*command.split())

    assert (turned.rotate(local, "lab").code, seen(local)) == (0, good(turned.tip(local, base)))


@pytest.mark.parametrize("named", ["{sha}", "{sha:.9}", "v1", "note", "origin/side", "side", "@~1", "refs/heads/side"])
def test_any_name_of_a_commit_is_a_base(lab: Repo, named: str) -> None:
    first = turned.tip(lab, "main")
    lab.git("branch", "side")
    grown(lab)
    local = clone(lab)
    for words in ("branch side main~1", "tag v1 main~1", "tag -a -m x note main~1"):
        local.git(*words.split())

    assert (turned.rotate(local, "lab", "--base", named.format(sha=first)).code, seen(local)) == (0, good(first))


@pytest.mark.parametrize("named", ["nonsense", "-x", "--all", "^main", "HEAD..main", "HEAD:environments", "", "a b"])
def test_name_of_no_commit_is_no_base(lab: Repo, named: str) -> None:
    line = f"--base {named} is no commit here; git fetch, or another name"

    assert turned.refused(lab, "lab", f"--base={named}", code=2) == line


# What others do


@pytest.mark.parametrize(("words", "number"), [("", 0), ("--fetch --dry-run", 0), ("--fetch", 1)])
def test_what_is_new_on_the_remote_is_the_base_once_it_is_fetched(lab: Repo, words: str, number: int) -> None:
    local, other = clone(lab), clone(lab, "other")
    tips = turned.tip(local, "main"), grown(other)
    other.git("push", "-q")

    base = turned.answer(local, "lab", *words.split())["base"]

    assert (base, turned.tip(local, "origin/main")) == (tips[number], tips[number])


def test_second_of_two_clones_is_told_where_the_rotation_waits_until_it_is_gone(lab: Repo) -> None:
    first, second = clone(lab), clone(lab, "second", "--single-branch")
    turned.rotate(first, "lab")
    first.git("push", "-q", "origin", BRANCH)
    told = turned.rotate(second, "lab", "--fetch")
    first.git("push", "-q", "origin", f":{BRANCH}")

    ran = turned.rotate(second, "lab", "--fetch")

    assert (told.code, told.err.partition(";")[0]) == (3, f"keyturn: error: a rotation of lab waits on origin/{BRANCH}")
    assert (ran.code, second.git("for-each-ref", "refs/remotes/origin/keyturn")) == (0, "")


# Who signs, and what is configured


def test_commit_has_the_time_and_the_names_that_git_has(lab: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(lab, "author.name=Adá")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ci@example.com")
    start = int(time.time())

    turned.rotate(lab, "lab")

    who = lab.git("show", "-s", "--format=%an <%ae> %cn <%ce>", BRANCH)
    assert who == "Adá <test@example.com> Test <ci@example.com>\n"
    when = [int(text) for text in lab.git("show", "-s", "--format=%at %ct", BRANCH).split()]
    assert start <= min(when) <= max(when) <= time.time()


@pytest.mark.parametrize("name", ["name", "email"])
def test_user_without_an_identity_is_told_in_one_line(lab: Repo, name: str) -> None:
    lab.git("config", "--global", "--unset", f"user.{name}")
    configure(lab, "user.useConfigOnly=true")

    line = turned.refused(lab, "lab")

    hint = "git config user.name and user.email say who you are"
    assert line == f"git makes no commit: no {name} was given and auto-detection is disabled; {hint}"


def test_commit_is_signed_where_git_is_configured_to(lab: Repo, tmp_path: Path) -> None:
    key, trusted = tmp_path / "id", tmp_path / "trusted"
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    trusted.write_text(f"test@example.com {key.with_suffix('.pub').read_text('utf-8')}", "utf-8")
    configure(lab, f"commit.gpgSign=1 gpg.format=ssh user.signingKey={key}")

    turned.rotate(lab, "lab")

    lab.git("-c", f"gpg.ssh.allowedSignersFile={trusted}", "verify-commit", BRANCH)


GPG = 'printf "%s " "$@" > {0}\ncat > /dev/null\necho "[GNUPG:] SIG_CREATED " >&2\necho a signature\n'


def test_gpg_program_of_the_user_signs_where_that_is_wanted(lab: Repo, tmp_path: Path) -> None:
    gpg = rig.script(tmp_path, "gpg", GPG.format(tmp_path / "called"))
    configure(lab, f"commit.gpgSign=true gpg.program={gpg} user.signingKey=ME")

    assert turned.rotate(lab, "lab").code == 0

    assert "\ngpgsig a signature\n" in lab.git("cat-file", "commit", BRANCH)
    assert (tmp_path / "called").read_text("utf-8") == "--status-fd=2 -bsau ME "


def test_signing_that_fails_leaves_no_branch(lab: Repo, tmp_path: Path) -> None:
    gpg = rig.script(tmp_path, "gpg", "echo no secret key >&2\nexit 2\n")
    configure(lab, f"commit.gpgSign=true gpg.program={gpg}")

    assert turned.refused(lab, "lab") == (
        "git made no commit: gpg failed to sign the data; "
        "commit.gpgSign asks for a signature: see git config user.signingKey and gpg.program"
    )


def test_commit_hooks_do_not_run(lab: Repo, tmp_path: Path) -> None:
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-checkout", "pre-push"):
        rig.script(tmp_path / "hooks", name, f"echo {name} >> {tmp_path}/ran\nexit 1\n")
    configure(lab, f"core.hooksPath={tmp_path / 'hooks'}")

    ran = turned.rotate(lab, "lab")

    assert (ran.code, (tmp_path / "ran").exists(), seen(lab)) == (0, False, good(turned.tip(lab, "main")))


CONFIGURED = {
    "text": "core.autocrlf=true core.eol=crlf core.quotePath=true core.fileMode=false core.abbrev=4",
    "words": "i18n.commitEncoding=ISO-8859-1 i18n.logOutputEncoding=ISO-8859-1 commit.template=/nowhere",
    "log": "log.showSignature=true log.follow=true log.diffMerges=off log.showRoot=false format.pretty=raw",
    "diff": "diff.relative=true diff.noprefix=true diff.renames=copies color.ui=always notes.displayRef=*",
    "grep": "grep.patternType=fixed",
}


@pytest.mark.parametrize("settings", CONFIGURED.values(), ids=CONFIGURED)
def test_settings_of_a_user_change_neither_commit_nor_answer(lab: Repo, settings: str) -> None:
    lab.write(".gitattributes", "* text eol=crlf\n")
    base = turned.commit(lab)
    own = lab.read(".git/config")
    configure(lab, settings)

    turned.rotate(lab, "lab", "--reason", "größer: €")
    waits = turned.rotate(lab, "lab").err

    lab.write(".git/config", own)
    lines = lab.git("cat-file", "commit", BRANCH).splitlines()
    assert [line.partition(" ")[0] for line in lines[:5]] == ["tree", "parent", "author", "committer", ""]
    assert (seen(lab), lines[5:8]) == (good(base), ["lab: rotate IPsec key 1 -> 2", "", "größer: €"])
    assert "\\r" not in repr(subprocess.check_output(["git", "cat-file", "blob", f"{BRANCH}:{SECRET}"], cwd=lab.root))
    assert waits.startswith(f"keyturn: error: a rotation of lab waits on {BRANCH}; ")


def test_settings_of_a_user_do_not_hide_the_rotation_before(lab: Repo) -> None:
    turned.rotate(lab, "lab")
    turned.merge(lab, BRANCH, ago=turned.MINUTE)
    configure(lab, " ".join(CONFIGURED.values()))

    assert "within its cool-down of 1h" in turned.rotate(lab, "lab").err


def test_folder_that_is_a_link_on_the_base_is_refused(lab: Repo) -> None:
    lab.git("mv", "environments", "elsewhere")
    (lab.root / "environments").symlink_to("elsewhere")
    turned.commit(lab)

    assert turned.refused(lab, "lab", code=2) == "environments is a link in main; make it a folder"
