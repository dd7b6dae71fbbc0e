"""`keyturn adopt`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import IO

import click

from generator.talk import OUTPUT, Talk, complete_environments, say


@click.command()
@click.argument("environment", metavar="ENV", shell_complete=complete_environments)
@click.option(
    "--from", "source", type=click.File("rb"), default="-", help="The Secret as kubectl prints it; default: stdin."
)
@OUTPUT
@click.pass_obj
def adopt(talk: Talk, environment: str, source: IO[bytes], output: str) -> None:
    """Take over a running cluster's key.

    Reads what `kubectl -n kube-system get secret cilium-ipsec-keys -o yaml` prints, and writes it encrypted into the
    tree, with the same id.  The clear text touches no disk.
    """
    from generator import lock, report, yamlio
    from generator.app import adopt as app

    root = talk.find_root()
    if source.name == "<stdin>" and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError("there is no Secret on stdin: pipe what kubectl prints, or name a file by --from")
    with lock.hold(root):
        adopted = app.adopt(root, environment, lambda: source.read(yamlio.MAX_BYTES + 1), datetime.now(UTC))
    if output == "json":
        click.echo(report.as_json(report.adopted_json(adopted)))
    elif adopted.change is None:
        talk.answer(f"{environment}: the tree holds key {adopted.key_id} already")
    else:
        talk.answer(str(adopted.change))
        talk.answer(f"{environment}: IPsec key {adopted.key_id}, {adopted.fingerprint}")
    for warning in adopted.warnings:
        say(f"warning: {warning}")
    if adopted.change is not None:
        say(f"its age counts from {adopted.created.date().isoformat()}; next: keyturn render, and commit")
