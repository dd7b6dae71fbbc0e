"""The gate to where requests are reviewed: GitHub by `gh`, GitLab by `glab` or push options, others by their URL.

A request that is open for a branch is found and updated, never made twice; one that a person closed stays closed.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

from generator import git, process
from generator.errors import ToolError
from generator.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KINDS: Final = ("github", "gitlab", "gitea")
_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Text:
    """A request: from which branch, to which, and its words."""

    branch: str
    target: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Request:
    """One that is there."""

    id: str
    url: str
    is_open: bool
    is_merged: bool
    created: datetime


@dataclass(frozen=True, slots=True)
class Address:
    """Where a repository lies: a host, with its port where the address has one, and a path without `.git`."""

    host: str
    path: str

    def __str__(self) -> str:
        return f"https://{self.host}/{self.path}"


def address(url: str) -> Address | None:
    """Read a remote's address in any of git's forms, without who logs in; None for a folder."""
    if match := re.fullmatch(r"(https?|ssh|git)://(?:[^/]*@)?(\[[^]/]+\]|[^/:]+)(:[0-9]*)?/+(.+?)(?:\.git)?/*", url):
        port = match[3] or "" if match[1].startswith("http") else ""  # ssh's port is not the web's
        return Address(_PAGES.get(match[2], match[2]) + port, match[4])
    if match := re.fullmatch(r"(?:([^@/:]+)@)?(\[[^]/]+\]|[^/:@]+):/*(.+?)(?:\.git)?/*", url):
        is_host = match[1] or "." in match[2] or match[2] == "localhost"  # else it may be a name for a folder
        return Address(match[2], match[3]) if is_host and not match[3].startswith("\\") else None
    return None


_PAGES: Final = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}  # ssh by the port of https


class Forge(ABC):
    """One forge, and one repository there; without an address its tool looks at the remotes itself."""

    tool: ClassVar[str] = ""
    needs_tool: ClassVar[bool] = False  # without it a request can only be opened by a person

    def __init__(self, root: Path, where: Address | None) -> None:
        self.root = root
        self.where = where

    @property
    def has_tool(self) -> bool:
        return bool(self.tool) and shutil.which(self.tool) is not None

    def options(self, text: Text) -> list[str]:
        """Return the push options that open a request; none where a tool does."""
        del text
        return []

    def opened(self, said: str) -> str | None:
        """Return the address of the request that a push opened, by what the other side said."""
        del said
        return None

    @abstractmethod
    def requests(self, branch: str) -> list[Request]:
        """Return every request for a branch.  Raises ToolError where the tool fails."""

    @abstractmethod
    def create(self, text: Text) -> str | None:
        """Open a request and return its address, None where its tool does not tell."""

    @abstractmethod
    def update(self, request: Request, text: Text) -> None:
        """Give an open request other words."""

    @abstractmethod
    def by_hand(self, text: Text) -> str:
        """Say how a person opens the request: `open` and an address, or a command."""

    def _run(self, words: Sequence[str], stdin: str = "") -> str:
        env = {**git.environment(network=True), "GH_PROMPT_DISABLED": "1", "NO_COLOR": "1", "NO_PROMPT": "1"}
        result = process.run([self.tool, *words], cwd=self.root, env=env, stdin=stdin.encode(), seconds=_SECONDS)
        if result.code != 0:
            said = " ".join(result.stderr.decode("utf-8", "replace").split())
            raise ToolError(f"{self.tool} {' '.join(words[:2])} failed: {redact(said)[:300] or 'it says nothing'}")
        return result.stdout.decode("utf-8", "replace")

    def _listed(self, words: Sequence[str]) -> list[dict[str, object]]:
        try:
            found = json.loads(self._run(words) or "[]")
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ToolError(f"{self.tool} {' '.join(words[:2])} did not answer with a list")
        return found


class GitHub(Forge):
    tool = "gh"
    needs_tool = True

    def _repo(self) -> list[str]:
        if self.where is None:
            return []
        named = self.where.path if self.where.host == "github.com" else f"{self.where.host}/{self.where.path}"
        return ["--repo", named]

    def requests(self, branch: str) -> list[Request]:
        fields = "number,url,state,createdAt,isCrossRepository"
        words = ["pr", "list", *self._repo(), "--head", branch, "--state", "all", "--json", fields]
        return [
            Request(
                str(one.get("number")),
                str(one.get("url")),
                one.get("state") == "OPEN",
                one.get("state") == "MERGED",
                _time(one.get("createdAt")),
            )
            for one in self._listed(words)
            if not one.get("isCrossRepository")  # a fork's branch of the same name
        ]

    def create(self, text: Text) -> str | None:
        words = ["--base", text.target, "--head", text.branch, "--title", text.title, "--body-file", "-"]
        return _last_address(self._run(["pr", "create", *self._repo(), *words], text.body))

    def update(self, request: Request, text: Text) -> None:
        self._run(["pr", "edit", request.id, *self._repo(), "--title", text.title, "--body-file", "-"], text.body)

    def by_hand(self, text: Text) -> str:
        words = ["--base", text.target, "--head", text.branch, "--title", text.title, "--body", ""]
        return shlex.join(["gh", "pr", "create", *self._repo(), *words])


class GitLab(Forge):
    tool = "glab"

    def _repo(self) -> list[str]:
        return [] if self.where is None else ["--repo", str(self.where)]

    def options(self, text: Text) -> list[str]:
        if self.has_tool:
            return []
        why = " ".join(text.body.partition("\n\n")[0].split())  # push options take no newline
        words = {"target": text.target, "title": text.title, "description": why}
        return ["merge_request.create", *(f"merge_request.{name}={value}" for name, value in words.items())]

    def opened(self, said: str) -> str | None:
        found = re.findall(r"https?://\S+/merge_requests/[0-9]+", said)
        return found[-1] if found else None

    def requests(self, branch: str) -> list[Request]:
        words = ["mr", "list", *self._repo(), "--source-branch", branch, "--all", "--output", "json"]
        return [
            Request(
                str(one.get("iid")),
                str(one.get("web_url")),
                one.get("state") == "opened",
                one.get("state") == "merged",
                _time(one.get("created_at")),
            )
            for one in self._listed(words)
            if one.get("source_project_id") == one.get("target_project_id")  # else a fork's branch of the same name
        ]

    def create(self, text: Text) -> str | None:
        words = ["--source-branch", text.branch, "--target-branch", text.target, "--title", text.title]
        return _last_address(self._run(["mr", "create", *self._repo(), *words, "--description", text.body, "--yes"]))

    def update(self, request: Request, text: Text) -> None:
        self._run(["mr", "update", request.id, *self._repo(), "--title", text.title, "--description", text.body])

    def by_hand(self, text: Text) -> str:
        if self.where is None:
            words = ["--source-branch", text.branch, "--target-branch", text.target, "--title", text.title]
            return shlex.join(["glab", "mr", "create", *words])
        asked = f"merge_request[source_branch]={quote(text.branch)}&merge_request[target_branch]={quote(text.target)}"
        return f"open {self.where}/-/merge_requests/new?{asked}"


class Other(Forge):
    """Gitea, Forgejo and whatever else: the branch is pushed, and a person opens the request."""

    def requests(self, branch: str) -> list[Request]:
        del branch
        return []

    def create(self, text: Text) -> str | None:
        raise ToolError(f"no tool opens requests there for {text.branch}", hint=self.by_hand(text))

    def update(self, request: Request, text: Text) -> None:
        del request, text

    def by_hand(self, text: Text) -> str:
        if self.where is None:
            return f"open a request for {text.branch} to {text.target}"
        return f"open {self.where}/compare/{quote(text.target)}...{quote(text.branch)}"


_FORGES: Final[dict[str, type[Forge]]] = {"github": GitHub, "gitlab": GitLab, "gitea": Other}


def find(root: Path, urls: Sequence[str], named: str | None) -> Forge:
    """Return the forge of a remote: the one that is named, else by the host in its address."""
    found = [where for url in urls if (where := address(url)) is not None]
    kind = named or next((kind for where in found for kind in KINDS if kind in where.host.lower()), "gitea")
    where = next((one for one in found if kind in one.host.lower()), found[0] if found else None)
    return _FORGES[kind](root, where)


def _time(text: object) -> datetime:
    """Read a time of a forge's; the newest there is where it tells none, so that nothing is taken for long ago."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _last_address(said: str) -> str | None:
    found = re.findall(r"https?://\S+", said)
    return str(found[-1]) if found else None
