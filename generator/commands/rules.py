"""`keyturn rules`."""

from __future__ import annotations

import click

from generator.talk import OUTPUT, Talk


@click.command()
@OUTPUT
@click.pass_obj
def rules(talk: Talk, output: str) -> None:
    """List every rule of validate, with its reason."""
    from generator import report
    from generator import rules as known

    if output == "json":
        click.echo(report.as_json(report.rules_json(known.RULES.values())))
        return
    talk.show_table(*report.rules_table(known.RULES.values()))
