"""`keyturn schema`."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of the environment file."""
    from generator import model, report

    click.echo(report.as_json(model.json_schema()))
