"""`keyturn retire`."""

from __future__ import annotations

import click

from generator.talk import OUTPUT, Talk, complete_secrets, say


@click.command()
@click.argument("environment", metavar="ENV", shell_complete=complete_secrets)
@OUTPUT
@click.pass_context
def retire(ctx: click.Context, /, environment: str, output: str) -> None:
    """Remove the Secret of a cluster that is gone.

    Or of one that no longer uses IPsec.  render never does that.  Whether git can give it back is told.
    """
    from generator import lock, report
    from generator.app import retire as app

    talk: Talk = ctx.obj
    root = talk.find_root()
    with lock.hold(root):
        retired = app.retire(root, environment)
    if output == "json":
        click.echo(report.as_json(report.retired_json(retired)))
    else:
        talk.answer(str(retired.change))
    if retired.commit is None:
        say("git does not hold that Secret as it stood here, so it cannot be had back")
    else:
        say(f"git keeps the Secret: git show {retired.commit}:./{retired.change.path}")
