"""`keyturn rekey`."""

from __future__ import annotations

import contextlib

import click

from generator.talk import OUTPUT, committing, complain_all, complete_environments, say


@click.command()
@click.argument("environments", nargs=-1, required=True, metavar="ENV...", shell_complete=complete_environments)
@committing
@OUTPUT
@click.pass_context
def rekey(  # noqa: PLR0913 -- one a flag
    ctx: click.Context,
    /,
    *,
    environments: tuple[str, ...],
    output: str,
    reason: str | None,
    base: str | None,
    branch: str | None,
    forge: str | None,
    pr: bool,
    fetch: bool,
    dry_run: bool,
) -> None:
    """Give the same key to other recipients.

    After a change of .sops.yaml, as a commit to review; it takes a private key.  Who could read the key before still
    has it: only a rotation takes it away.
    """
    from generator import lock, report
    from generator.app import base as bases
    from generator.app import rekey as app

    root = ctx.obj.find_root()
    bases.refuse_outside(root)
    options = app.Options(environments, say, reason, base, fetch, branch, pr, dry_run, forge)
    with contextlib.nullcontext() if dry_run else lock.hold(root):
        done = app.rekey(root, options)
    if len(done.problems) == 1 and not done.rewrapped and len(done.skipped) == 1:
        raise done.problems[0]
    if output == "json":
        click.echo(report.as_json(report.rekeyed_json(done)))
    else:
        for line in report.rekeyed_lines(done):
            ctx.obj.answer(line)
    complain_all(done.problems)
    if dry_run and done.rewrapped:
        say("a dry run: nothing was written")
    if done.problems:
        ctx.exit(3)
