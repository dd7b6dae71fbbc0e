"""What tests of requests share: stand-ins for `gh` and `glab`, bare repositories as remotes, and keys that are due."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import rig
import sealed
import turned
from kit import IPSEC, PROJECT, Ran, Repo

from generator import ages

if TYPE_CHECKING:
    from datetime import timedelta

GITHUB: Final = "https://github.com/acme/clusters.git"
GITLAB: Final = "https://gitlab.example.com/g/p.git"
GITEA: Final = "https://git.example.com/acme/clusters.git"
BRANCH: Final = "keyturn/rotate-lab-3"
FIRST: Final = {
    "gh": f"{GITHUB.removesuffix('.git')}/pull/1",
    "glab": f"{GITLAB.removesuffix('.git')}/-/merge_requests/1",
}
ADDRESSES: Final = {"gh": GITHUB, "glab": GITLAB}
OLD: Final = 400 * turned.DAY  # of a key that is due
AGES: Final = {"lab": OLD, "one": OLD, "two": OLD, "new": turned.DAY}

# Both tools in one: flags that the real ones do not have are refused, and so is a second request for one branch.
# Requests stand in a file, so that `list` sees what `create` made; a test may put its own there.
TOOL: Final = r"""
import json, pathlib, subprocess, sys

KNOWN = {
    "gh pr list": "repo head state json",
    "gh pr create": "repo base head title body-file",
    "gh pr edit": "repo title body-file",
    "glab mr list": "repo source-branch all output",
    "glab mr create": "repo source-branch target-branch title description yes",
    "glab mr update": "repo title description",
}
SWITCHES = {"all", "yes"}
here = pathlib.Path(__file__)
folder, tool, stdin = here.parent.parent, here.name, sys.stdin.read()
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps([tool, *sys.argv[1:]]) + "\0" + stdin + "\0")
verb, words = " ".join([tool, *sys.argv[1:3]]), iter(sys.argv[3:])
if (before := folder / "before").exists():  # what somebody does at this moment
    before = before.rename(folder / "during")
    subprocess.run([before], check=True)
if (broken := folder / "broken").exists() and verb == broken.read_text():
    sys.exit("HTTP 502: Bad gateway")
if verb not in KNOWN:
    sys.exit(f"unknown command {verb!r}")
given, loose = {}, []
for word in words:
    if not word.startswith("--"):
        loose.append(word)
    elif word[2:] not in KNOWN[verb].split():
        sys.exit(f"unknown flag: {word}")
    else:
        given[word[2:]] = True if word[2:] in SWITCHES else next(words)
store = folder / "requests"
requests = json.loads(store.read_text())
branch = given.get("head") or given.get("source-branch")
body = stdin if given.get("body-file") == "-" else given.get("description", "")
if tool == "gh" and len(body) > 65536:
    sys.exit("GraphQL: Body is too long (maximum is 65536 characters)")
if verb.endswith("list"):
    found = [one for one in requests if one["branch"] == branch]
    if tool == "gh":
        rows = [
            {
                "number": one["number"],
                "url": one["url"],
                "state": {"open": "OPEN", "closed": "CLOSED", "merged": "MERGED"}[one["state"]],
                "createdAt": one["created"],
                "isCrossRepository": one["fork"],
            }
            for one in found
            if given.get("state") == "all" or one["state"] == "open"
        ]
        print(json.dumps([{name: row[name] for name in given["json"].split(",")} for row in rows]))
    else:
        print(json.dumps([
            {
                "iid": one["number"],
                "web_url": one["url"],
                "state": {"open": "opened"}.get(one["state"], one["state"]),
                "created_at": one["created"],
                "source_project_id": 99 if one["fork"] else 7,
                "target_project_id": 7,
            }
            for one in found
            if "all" in given or one["state"] == "open"
        ]))
elif verb.endswith("create"):
    asked = ["git", "--git-dir", str(folder / "remote.git"), "rev-parse", "-q", "--verify", "refs/heads/" + branch]
    if subprocess.run(asked, capture_output=True).returncode:
        sys.exit("GraphQL: Head sha can't be blank")
    if any(one["branch"] == branch and one["state"] == "open" and not one["fork"] for one in requests):
        sys.exit(f"a pull request for branch {branch!r} already exists")
    number = len(requests) + 1
    where = "https://github.com/acme/clusters/pull/" if tool == "gh" else "https://gitlab.example.com/g/p/-/merge_requests/"
    target = given.get("base") or given.get("target-branch")
    requests.append({
        "number": number, "url": f"{where}{number}", "branch": branch, "target": target, "title": given["title"],
        "body": body, "state": "open", "created": (folder / "now").read_text(), "fork": False,
    })
    print(f"Creating request for {branch} into {target}\n", file=sys.stderr)
    print(f"{where}{number}")
else:
    for one in requests:
        if str(one["number"]) == loose[0]:
            one |= {"title": given["title"], "body": body}
            print(one["url"])
store.write_text(json.dumps(requests))
"""

# What keyturn itself runs, and what hooks do: no `gh` or `glab` of the machine.
_TOOLS: Final = ("git", "cat", "env", "grep", "sleep", "touch")


@dataclass
class Forge:
    """A clone, its bare remote in `folder`, and the tools that were put on PATH."""

    repo: Repo
    folder: Path

    @property
    def bare(self) -> Repo:
        return Repo(self.folder / "remote.git")

    def tool(self, name: str) -> None:
        """Put a stand-in on PATH."""
        file = self.folder / "bin" / name
        file.write_text(f"#!{sys.executable} -IS\n{TOOL}", "utf-8")
        file.chmod(0o755)

    def address(self, url: str, repo: Repo | None = None) -> None:
        """Let a clone have a remote with an address on the web, which git finds in the bare repository."""
        used = repo or self.repo
        used.git("config", f"url.{self.folder / 'remote.git'}.insteadOf", url)
        used.git("remote", "set-url", "origin", url)

    def clone(self, name: str) -> Repo:
        """Return another person's clone."""
        other = Repo(Path(shutil.copytree(self.repo.root, self.folder / name, symlinks=True)))
        other.git("config", "user.name", name)
        return other

    def hook(self, repo: Repo, name: str, body: str) -> None:
        folder = repo.root if (repo.root / "HEAD").is_file() else repo.root / ".git"
        rig.script(folder / "hooks", name, body)

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "requests").read_text("utf-8"))
        return found

    def put(self, state: str, *, ago: timedelta = turned.MINUTE, fork: bool = False, created: str = "") -> str:
        """Have a request for the branch of `lab`, made some time ago; return its address."""
        found = self.requests()
        tool = "gh" if (self.folder / "bin" / "gh").exists() else "glab"
        url = re.sub("1$", str(len(found) + 1), FIRST[tool])
        time = created or ages.stamp(turned.now() - ago)
        made = {"number": len(found) + 1, "url": url, "branch": BRANCH, "target": "main", "title": "", "body": ""}
        found.append({**made, "state": state, "created": time, "fork": fork})
        (self.folder / "requests").write_text(json.dumps(found), "utf-8")
        return url

    def change(self, number: int, **what: object) -> None:
        """Do to a request what a person does."""
        found = self.requests()
        found[number - 1] |= what
        (self.folder / "requests").write_text(json.dumps(found), "utf-8")

    def meanwhile(self, body: str) -> None:
        """Have a script run when a tool is first asked, as if somebody else were at work."""
        rig.script(self.folder, "before", body)

    def broken(self, verb: str) -> None:
        """Have a tool fail at one of its commands; at none, where that is empty."""
        (self.folder / "broken").write_text(verb, "utf-8")

    @property
    def calls(self) -> list[tuple[list[str], str]]:
        """What the tools were asked: their words, and what they were given to read."""
        file = self.folder / "calls"
        parts = file.read_text("utf-8").split("\0") if file.exists() else [""]
        return [(json.loads(words), stdin) for words, stdin in zip(parts[:-1:2], parts[1::2], strict=True)]

    @property
    def verbs(self) -> list[str]:
        return [" ".join(words[:3]) for words, _ in self.calls]

    def there(self) -> dict[str, str]:
        """Return keyturn's branches on the remote and their commits."""
        lines = self.bare.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads/keyturn/")
        return dict(line.split(" ") for line in lines.splitlines())

    def rotate(self, *arguments: str) -> Ran:
        return turned.rotate(self.repo, *arguments)

    def asked(self, *arguments: str, code: int = 0) -> Any:
        """Rotate with a request, see how it ends, and return its JSON."""
        return turned.answer(self.repo, *arguments, "--pr", code=code)

    def forward(self, repo: Repo) -> Repo:
        """Bring a clone's `main` to where the remote's is."""
        repo.git("fetch", "-q", "origin")
        repo.git("reset", "-q", "--hard", "origin/main")
        return repo

    def moved(self) -> None:
        """Have another key for `lab` on the remote's `main`, with the id that it had before."""
        self.forward(self.repo)
        turned.hold(self.repo, "lab", sealed.key(2, start=0x70), previous=1)
        turned.commit(self.repo, "another key")
        self.repo.git("push", "-q", "origin", "HEAD:main")

    def merged(self, branch: str, *, ago: timedelta, squash: bool = False) -> None:
        """Merge a branch of the remote there, as a forge does; the branch stays."""
        other = self.forward(self.clone("merger"))
        words = ("--squash",) if squash else ("--no-ff", "-m", "merge")
        turned.git(other, "merge", "-q", *words, f"origin/{branch}", ago=ago)
        if squash:
            turned.git(other, "commit", "-q", "-m", "squashed", ago=ago)
        other.git("push", "-q", "origin", "HEAD:main")
        shutil.rmtree(other.root)


def prepared(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that `prepare` has filled once, for the tests of a module to start from."""
    folder = factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(turned.person(factory.mktemp("home"))))
        patch.setenv("PYTHONPATH", str(PROJECT))
        prepare(folder)
    return folder


def prepare(folder: Path) -> None:
    """Make what `start` copies: `lab`, `one`, `two` with a key that is due, `new`, and the mesh of `a` and `b`."""
    repo = Repo(folder / "clone")
    repo.root.mkdir()
    subprocess.run(["git", "init", "-q", "--template=", "-b", "main", repo.root], check=True)
    repo.write(".sops.yaml", rig.config(rig.identity(folder / "keys.txt")))
    for number, (name, old) in enumerate(AGES.items()):
        repo.environment(name, f"{IPSEC}gitops: {{engine: none}}\n")
        turned.hold(repo, name, sealed.key(2, start=0x20 + number), previous=1, old=old)
    for number, name in enumerate("ab", start=1):
        repo.environment(name, sealed.member(number))
        turned.hold(repo, name, sealed.key(15, start=0x50), previous=14, old=turned.DAY)
    turned.commit(repo, ago=2 * turned.DAY)
    turned.pack(repo)
    subprocess.run(["git", "clone", "-q", "--template=", "--bare", repo.root, folder / "remote.git"], check=True)
    publish(folder)


def publish(folder: Path) -> None:
    """Let what `clone` knows as `origin` be the `remote.git` beside it, and nothing be requested there yet."""
    repo = Repo(folder / "clone")
    repo.git("remote", "add", "origin", str(folder / "remote.git"))
    repo.git("fetch", "-q", "origin")
    repo.git("remote", "set-head", "origin", "main")
    (folder / "requests").write_text("[]", "utf-8")


def start(prepared: Path, folder: Path, patch: pytest.MonkeyPatch) -> Forge:
    """Return a copy with its remote as `origin`, and a PATH with git alone."""
    shutil.copytree(prepared, folder, symlinks=True)
    (folder / "now").write_text(ages.stamp(turned.now()), "utf-8")
    (folder / "bin").mkdir()
    (folder / "tools").mkdir()
    for name in _TOOLS:
        (folder / "tools" / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    (folder / "tools" / "sops").symlink_to(rig.real_sops(folder))
    patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{folder / 'tools'}")
    forge = Forge(Repo(folder / "clone"), folder)
    forge.repo.git("remote", "set-url", "origin", str(folder / "remote.git"))
    return forge


def alone(prepared: Path, folder: Path) -> Repo:
    """Return a copy without a remote."""
    repo = Repo(Path(shutil.copytree(prepared / "clone", folder)))
    repo.git("remote", "remove", "origin")
    return repo


def at(forge: Forge, tool: str) -> Forge:
    """Let a clone's remote be on GitHub with `gh`, or on GitLab with `glab`."""
    forge.tool(tool)
    forge.address(ADDRESSES[tool])
    return forge


# A remote that takes push options, keeps them, and says what GitLab says.
TAKES_OPTIONS: Final = """
i=0
while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
    eval "printf '%s\\n' \\"\\$GIT_PUSH_OPTION_$i\\""
    i=$((i + 1))
done >options
"""
SAYS_WHERE: Final = """
echo >&2
echo 'View merge request for this branch:' >&2
echo '  https://gitlab.example.com/g/p/-/merge_requests/7' >&2
"""


def takes_options(forge: Forge, says: str = SAYS_WHERE) -> None:
    forge.bare.git("config", "receive.advertisePushOptions", "true")
    forge.hook(forge.bare, "pre-receive", TAKES_OPTIONS + says)


def options(forge: Forge) -> list[str]:
    """Return the push options that the remote got last."""
    return (forge.bare.root / "options").read_text("utf-8").splitlines()


def refuses(forge: Forge, says: str = "nobody pushes here") -> None:
    forge.hook(forge.bare, "pre-receive", f"echo 'ERROR: {says}' >&2\nexit 1\n")
