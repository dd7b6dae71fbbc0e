"""`keyturn status`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from generator.talk import OUTPUT, Talk, complete_environments, show


@click.command()
@click.argument("environments", nargs=-1, metavar="[ENV]...", shell_complete=complete_environments)
@OUTPUT
@click.pass_context
def status(ctx: click.Context, /, environments: tuple[str, ...], output: str) -> None:
    """Show the keys, their age, and what waits.

    Out of the work tree: no private key, no network.  Exit code 1 where a key is overdue, or a Secret cannot be read.
    """
    from generator import report
    from generator.app import status as app

    talk: Talk = ctx.obj
    now = datetime.now(UTC)
    stood = app.status(talk.find_root(), environments, now)
    if output == "json":
        click.echo(report.as_json(report.status_json(stood)))
    else:
        talk.show_table(*report.status_table(stood, now))
    for finding in stood.findings:
        show(str(finding), err=True)
    if stood.findings or any(one.overdue for one in stood.environments):
        ctx.exit(1)
