"""`keyturn rotate`."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING

import click

from generator.talk import OUTPUT, Talk, committing, complain_all, complete_environments, say

if TYPE_CHECKING:
    from generator.app.rotate import Options
    from generator.outcome import Rotated


@click.command()
@click.argument("environments", nargs=-1, metavar="[ENV]...", shell_complete=complete_environments)
@click.option("--all", "every", is_flag=True, help="Every environment with IPsec.")
@click.option("--due", is_flag=True, help="Those whose key is older than maxKeyAge.")
@committing
@click.option("--together", is_flag=True, help="One commit for all, on keyturn/rotate-together; all or nothing.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=5, show_default=True, help="Requests that may be open at a time."
)
@click.option("--key-size", type=click.Choice(["128", "192", "256"]), help="AES bits from now on; never fewer.")
@click.option("--force", is_flag=True, help="Pass over the cool-down; the commit tells.")
@OUTPUT
@click.pass_context
def rotate(  # noqa: PLR0913 -- one a flag
    ctx: click.Context,
    /,
    *,
    environments: tuple[str, ...],
    output: str,
    reason: str | None,
    base: str | None,
    branch: str | None,
    limit: int,
    key_size: str | None,
    forge: str | None,
    every: bool,
    due: bool,
    pr: bool,
    fetch: bool,
    together: bool,
    dry_run: bool,
    force: bool,
) -> None:
    """Make the next key, as a commit to review.

    On a branch of its own for each environment or mesh, from the remote's default branch as last fetched.  Needs public
    keys only.  Your branch, index and work tree are not touched.
    """
    from generator.app import choosing
    from generator.app import rotate as app

    if bool(environments) + every + due != 1:
        raise click.UsageError("name environments, or --all, or --due", ctx)
    wish = choosing.Wish(environments, every, due, force, pr, together, branch)
    size = int(key_size) if key_size else None
    how = partial(app.Options, wish, reason=reason, base=base, fetch=fetch, limit=limit, key_size=size)
    done = _run(ctx.obj, partial(how, dry_run=dry_run, forge=forge), dry_run=dry_run)
    _answer(ctx.obj, done, output, dry_run=dry_run, pr=pr)
    if done.problems:
        ctx.exit(3)


def _run(talk: Talk, options: partial[Options], *, dry_run: bool) -> Rotated:
    from generator import lock
    from generator.app import base
    from generator.app import rotate as app

    root = talk.find_root()
    base.refuse_outside(root)
    with contextlib.nullcontext() if dry_run else lock.hold(root), talk.progress() as progress:

        def tell(line: str) -> None:
            progress.hush()
            say(line)

        return app.rotate(root, options(tell=tell, jobs=os.cpu_count() or 1, step=progress.step))


def _answer(talk: Talk, done: Rotated, output: str, *, dry_run: bool, pr: bool) -> None:
    from generator import report

    if done.problems and not done.rotations and len(done.problems) == 1 and not done.waits:
        raise done.problems[0]
    if output == "json":
        click.echo(report.as_json(report.rotated_json(done)))
    else:
        for line in report.rotated_lines(done):
            talk.answer(line)
    complain_all(done.problems)
    for line in report.rotated_notes(done, dry_run=dry_run, pr=pr):
        say(line)
