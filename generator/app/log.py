"""`keyturn log`: the keys that an environment has had, out of git's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import firstkeys, git, history, proposal, workspace
from generator.app.openings import told_at
from generator.commits import Commit
from generator.errors import InputError, RefusedError
from generator.objects import Objects
from generator.outcome import Logged, Turned
from generator.shapes import nearest
from generator.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path


def log(root: Path, name: str) -> Logged:
    """Return every key that HEAD's history has brought, newest first; what was only rewrapped is no new one.

    Raises InputError where git never had a Secret of that name, RefusedError outside git and before a commit.
    """
    repository = git.find(root)
    head = repository.commit("HEAD") if repository else None
    if repository is None or head is None:
        raise RefusedError(f"{root} has no git history", hint="git init, and commit")
    path = firstkeys.path(name)
    written = history.written(root, head, path) if workspace.is_name(name) else []
    if not written:
        names = workspace.names(WorkTree(root))
        close = nearest(name, names) if name not in names else None
        there = "commit its Secret first" if name in names else "keyturn status shows which there are"
        hint = f"did you mean {close}?" if close else there
        raise InputError(f"git has had no Secret of an environment {name!r}", hint=hint)
    found: list[Turned] = []
    shallow = repository.is_shallow()
    with Objects(root) as objects:
        source = Commit(objects, head, "", git.place(root) or "")
        for commit in reversed(written):
            if shallow and commit.parent is None:
                continue  # it holds what came before, not what came with it
            told = told_at(source, commit.commit, path)
            if told is not None and (not found or found[-1].fingerprint != told.fingerprint):
                why = proposal.reason(commit.message)
                found.append(Turned(commit.time, told.key_id, told.fingerprint, commit.author, commit.commit, why))
    return Logged(found[::-1], shallow)
