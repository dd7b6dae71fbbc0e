"""`keyturn log`."""

from __future__ import annotations

import click

from generator.talk import OUTPUT, Talk, complete_environments, say


@click.command()
@click.argument("environment", metavar="ENV", shell_complete=complete_environments)
@OUTPUT
@click.pass_obj
def log(talk: Talk, environment: str, output: str) -> None:
    """Show the keys that an environment has had.

    Out of git's history: when, which, by whom, and why.
    """
    from generator import report
    from generator.app import log as app

    logged = app.log(talk.find_root(), environment)
    if output == "json":
        click.echo(report.as_json(report.log_json(environment, logged.keys)))
    else:
        talk.show_table(*report.log_table(logged.keys))
    if logged.shallow:
        say("this clone is shallow, and keys may have come before it begins; git fetch --unshallow")
