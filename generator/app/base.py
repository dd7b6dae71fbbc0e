"""The commit that a rotation starts from: what everybody agreed on, not what somebody works on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generator import git, remotes, workspace
from generator.commits import Commit
from generator.errors import InputError, RefusedError
from generator.history import HEADS, REMOTES
from generator.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from generator.git import Repository


@dataclass(frozen=True, slots=True)
class Base:
    """A commit, how a person calls it, the remote that requests go to, and the branch there that they are for."""

    repository: Repository
    oid: str
    name: str
    remote: str | None
    branch: str | None


def refuse_outside(root: Path) -> None:
    """Raise RefusedError outside git, where there is nothing to start from; asks no program."""
    if git.directory(root) is None:
        raise RefusedError(f"{root} is in no git repository", hint="git init, and commit environments/ and clusters/")


def resolve(root: Path, named: str | None, *, fetch: bool = False) -> Base:
    """Return `named`, else the remote's default branch as last fetched, else the current branch.

    Raises RefusedError outside git and where there is no commit, InputError where `named` is none.
    """
    refuse_outside(root)
    repository = git.find(root)
    assert repository is not None  # noqa: S101 -- refuse_outside has seen it
    remote = remotes.default(repository)
    told = remotes.fetch(repository, remote) if fetch and remote else None
    branch = (told or remotes.head(repository, remote)) if remote else None
    there = f"{remote}/{branch}" if branch else None
    if named is not None:
        oid = repository.commit(named)
        if oid is None:
            raise InputError(f"--base {named} is no commit here", hint="git fetch, or another name")
        return Base(repository, oid, named, remote, _branch(repository, named, remote) or branch)
    if there is not None and (oid := repository.commit(f"{REMOTES}{there}")) is not None:
        return Base(repository, oid, there, remote, branch)
    if fetch and remote:
        message = f"{remote} does not tell its default branch, or has none yet"
        raise RefusedError(message, hint=f"git push {remote} your main branch first, or say --base")
    current = repository.symbolic("HEAD")
    oid = repository.commit("HEAD")
    if oid is None:
        raise RefusedError(f"{root} has no commit yet", hint="commit environments/ and clusters/ first")
    local = current.removeprefix(HEADS) if current else None
    return Base(repository, oid, local or "HEAD", remote, branch or local)


def _branch(repository: Repository, named: str, remote: str | None) -> str | None:
    """Return the branch of the remote that a revision names, None where it names no branch."""
    for prefix in (f"{REMOTES}{remote}/", HEADS):
        short = named.removeprefix(f"{remote}/") if prefix != HEADS else named
        full = named if named.startswith(prefix) else f"{prefix}{short}"
        if repository.has_ref(full) and full != f"{prefix}HEAD":
            return full.removeprefix(prefix)
    return None


@contextlib.contextmanager
def opened(base: Base) -> Iterator[Commit]:
    """Give the base as a source of environments.  Raises RefusedError where it has none."""
    place = git.place(base.repository.root) or ""
    with Objects(base.repository.root) as objects:
        commit = Commit(objects, base.oid, f" in {base.name}", place)
        if not commit.has(workspace.FOLDER):
            raise RefusedError(f"{base.name} has no {commit.path(workspace.FOLDER)}/", hint="commit it, or say --base")
        yield commit
