"""The gate to other repositories: fetching what they have, pushing a branch.  Hooks and credentials are the user's."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import git
from generator.errors import ToolError
from generator.history import HEADS, REMOTES
from generator.redaction import redact
from generator.rotation import PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from generator.git import Repository

_USUAL: Final = ("main", "master")  # default branches, where a remote was never asked for its own


class PushRefusedError(ToolError):
    """The other side, or a hook on this one, did not take the branch.

    `is_behind` where the other side has commits on it that this one lacks.
    """

    is_behind = False


def default(repository: Repository) -> str | None:
    """Return the remote that requests go to: `origin`, or the only one, or git's own choice among several."""
    names = repository.remotes()
    if "origin" in names or len(names) <= 1:
        return "origin" if "origin" in names else next(iter(names), None)
    chosen = repository.setting("checkout.defaultRemote")
    return chosen if chosen in names else None


def head(repository: Repository, remote: str) -> str | None:
    """Return the remote's default branch as last fetched, such as `main`; None where that is not known."""
    prefix = f"{REMOTES}{remote}/"
    named = repository.symbolic(f"{prefix}HEAD")
    if named is not None and repository.commit(named) is not None:
        return named.removeprefix(prefix)
    known = [branch for branch in _USUAL if repository.commit(f"{prefix}{branch}") is not None]
    return known[0] if len(known) == 1 else None


def fetch(repository: Repository, remote: str) -> str | None:
    """Fetch what the remote is set up to give, and keyturn's branches; return its default branch.

    What is gone there of keyturn's branches is forgotten here too.  Raises ToolError where the remote cannot be had.
    """
    listed = _network(repository, "ls-remote", "--symref", "--", remote, "HEAD", f"{HEADS}{PREFIX}*")
    there = {line.partition("\t")[2] for line in listed.split("\n")}
    match = re.search(rf"(?m)^ref: {HEADS}(\S+)\tHEAD$", listed)
    main = match[1] if match and "HEAD" in there else None
    asked = git.run(repository.root, "config", "--get-all", f"remote.{remote}.fetch").stdout
    words = os.fsdecode(asked).split() or [_mirrored(remote, "*")]
    words += [_mirrored(remote, f"{PREFIX}*"), *([_mirrored(remote, main)] if main else [])]
    _network(repository, "fetch", "--quiet", "--", remote, *dict.fromkeys(words))
    for name in _names(repository, f"{REMOTES}{remote}/{PREFIX}"):
        if name.replace(f"{REMOTES}{remote}/", HEADS, 1) not in there:
            git.output(repository.root, "update-ref", "-d", name)
    return main


def _mirrored(remote: str, branch: str) -> str:
    return f"+{HEADS}{branch}:{REMOTES}{remote}/{branch}"


def _names(repository: Repository, prefix: str) -> list[str]:
    return os.fsdecode(git.output(repository.root, "for-each-ref", "--format=%(refname)", prefix)).split()


@dataclass(frozen=True, slots=True)
class Push:
    """A commit for a branch; `instead_of` is what the branch there holds and may lose, if anything."""

    remote: str
    branch: str
    commit: str
    instead_of: str | None = None


def push(repository: Repository, push: Push, options: Sequence[str] = ()) -> str:
    """Push a branch, with the user's `pre-push` hook; `options` are push options.  Return what the other side said.

    Raises PushRefusedError.
    """
    ref = f"{HEADS}{push.branch}"
    lease = [f"--force-with-lease={ref}:{push.instead_of}"] if push.instead_of else []
    given = [word for option in options for word in ("-o", option)]
    words = ("push", *lease, *given, "--", push.remote, f"{push.commit}:{ref}")
    result = git.run(repository.root, *words, network=True, seconds=git.PATIENCE)
    if result.code != 0:
        error = PushRefusedError(f"{push.remote} did not take {push.branch}: {_complaint(result.stderr)}")
        error.is_behind = any(word in result.stderr for word in (b"non-fast-forward", b"fetch first", b"stale info"))
        raise error
    return result.stderr.decode("utf-8", "replace")


def urls(repository: Repository, remote: str) -> list[str]:
    """Return the remote's address as git uses it, then as it was set: one of them may be a short form."""
    used = os.fsdecode(git.run(repository.root, "remote", "get-url", "--push", remote).stdout).strip()
    return [url for url in (used, repository.setting(f"remote.{remote}.url")) if url]


def _network(repository: Repository, *words: str) -> str:
    result = git.run(repository.root, *words, network=True, seconds=git.PATIENCE)
    if result.code != 0:
        hint = "without --pr and --fetch, what was fetched last serves"
        raise ToolError(f"git {words[0]} failed: {_complaint(result.stderr)}", hint=hint)
    return os.fsdecode(result.stdout)


def _complaint(stderr: bytes) -> str:
    """Return the line that says why, without what could be a password: git says it among much else."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(remote: )?(error|fatal|ERROR)\b|! \[", line)]
    said = (telling or lines or ["it says nothing"])[0]
    if match := re.fullmatch(r"! \[.*\((.*)\)", said):  # which commit was pushed where is known
        return redact(match[1])
    if said.startswith("error: failed to push some refs") and said != lines[0]:
        said = lines[lines.index(said) - 1]  # what a hook of the user's said
    return redact(re.sub(r"^(remote: )?(error|fatal|ERROR): ", "", said))
