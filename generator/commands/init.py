"""`keyturn init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.talk import OUTPUT, Talk, say, show

if TYPE_CHECKING:
    from generator.app.init import Started


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--templates", is_flag=True, help="Copy the templates too, to change them.")
@click.option("--ci", type=click.Choice(["github", "gitlab"]), help="Write workflows that validate and rotate.")
@OUTPUT
@click.pass_obj
def init(talk: Talk, folder: Path | None, output: str, ci: str | None, *, templates: bool) -> None:
    """Start a repository of clusters.

    Writes samples, a Makefile, a .gitignore and hooks for pre-commit into an empty folder or repository; git init where
    there is none.  What is there already is never overwritten.  With --ci a workspace that is there gets workflows
    alone: one that validates each request, one that rotates what is due.
    """
    from generator import report
    from generator.app import init as app

    if folder is not None and talk.root is not None:
        raise click.UsageError("--root and DIR both name the folder")
    folder = folder or talk.root or Path()
    started = app.init(folder, templates=templates, ci=ci)
    if output == "json":
        click.echo(report.as_json({"root": str(started.root), "created": started.created}))
    else:
        for path in started.created:
            talk.answer(f"created {path}")
    if started.repository:
        say(f"made a git repository in {started.root}")
    if ci is not None:
        say(f"read the first lines of {app.CI[ci][0]}: it needs a token of yours")
        if all(path.endswith(app.CI[ci]) for path in started.created):
            return
    _tell_of_hooks(started)
    where = "" if started.root == Path.cwd().resolve() else f"--root {shlex.quote(str(folder))} "
    say(f"next: put your clusters in the place of the samples, then keyturn {where}render --new-identity")


def _tell_of_hooks(started: Started) -> None:
    from generator.app.init import HOOKS

    if started.to_add:
        say(f"{HOOKS} at the top of the repository is yours, and was left alone; what its repos lack:")
        for line in started.to_add.splitlines():
            show(line, err=True)
    elif any(path.endswith(HOOKS) for path in started.created):
        say("in each clone, pip install pre-commit && pre-commit install has every commit looked at")
