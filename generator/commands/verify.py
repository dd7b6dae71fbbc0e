"""`keyturn verify`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.errors import ToolError
from generator.talk import OUTPUT, Talk, at_terminal, complain_all, complete_environments, say

if TYPE_CHECKING:
    from generator.attestation import Verified
    from generator.kubectl import Kubectl


def _seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> float:
    from generator.nodes import Node
    from generator.shapes import Duration, WrongError

    if text is None:
        return 0
    try:
        return Duration().read(Node(text), "", []).seconds
    except WrongError as wrong:
        raise click.BadParameter(f"{wrong.message}; {wrong.hint}".rstrip("; "), ctx, param) from None


def _context(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    if name is not None and not name.strip():  # kubectl would take it for its current one
        raise click.BadParameter("it names no context", ctx, param)
    return name


def _report(ctx: click.Context, param: click.Parameter, file: Path | None) -> Path | None:
    from generator.attestation import SUFFIXES

    if file is not None and file.suffix not in SUFFIXES:
        raise click.BadParameter(f"{file.name} ends in neither {' nor '.join(SUFFIXES)}", ctx, param)
    if file is not None and not file.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {file.parent}", ctx, param)
    return file


@click.command()
@click.argument("environment", metavar="ENV", shell_complete=complete_environments)
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="For kubectl.")
@click.option("--context", metavar="NAME", callback=_context, help="The context of kubectl; default: its current one.")
@click.option(
    "--hub-context", metavar="NAME", callback=_context, help="The context of Argo CD's cluster, where that is another."
)
@click.option("--wait", metavar="DURATION", callback=_seconds, help="Look again until all holds, for as long as 15m.")
@click.option("--no-secret", is_flag=True, help="Do not read the Secret.")
@click.option("--no-exec", is_flag=True, help="Do not ask the agents, which takes the right to exec into them.")
@OUTPUT
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_report,
    help="Write evidence: a .md or .json file.",
)
@click.pass_context
def verify(  # noqa: PLR0913 -- one a flag
    ctx: click.Context,
    /,
    environment: str,
    *,
    kubeconfig: Path | None,
    context: str | None,
    hub_context: str | None,
    wait: float,
    output: str,
    report: Path | None,
    no_secret: bool,
    no_exec: bool,
) -> None:
    """Show that a cluster does what git says.

    Asks it by kubectl, and changes nothing.  Exit code 0 where all holds, 1 where something does not, 3 where the
    cluster cannot be asked.  `keyturn engine rbac` prints the rights that it takes.
    """
    from generator import kubectl
    from generator.app import verify as app

    talk: Talk = ctx.obj
    asked = kubectl.find(kubeconfig, context)
    hub = kubectl.find(kubeconfig, hub_context) if hub_context is not None else None
    clock = app.Clock(lambda: datetime.now(UTC), time.monotonic, time.sleep)
    shown = at_terminal(sys.stderr) and not talk.quiet
    with talk.progress() as progress:

        def tell(line: str) -> None:
            progress.hush()
            say(line)

        options = app.Options(asked, hub, clock, wait, not no_secret, not no_exec, tell if shown else _nobody)
        try:
            done = app.verify(talk.find_root(), environment, options, progress.step)
        except ToolError:
            if report is not None:
                say(f"nothing is written to {report}, since nothing could be asked")
            raise
    _answer(talk, done, output)
    if report is not None:
        _write(report, done, asked, hub)
    if not done.holds:
        ctx.exit(3 if done.unasked else 1)


def _nobody(_: str) -> None:
    """Tell nobody."""


def _answer(talk: Talk, done: Verified, output: str) -> None:
    from generator import attestation, report

    if output == "json":
        click.echo(report.as_json(attestation.as_json(done)))
    else:
        talk.show_table(attestation.HEADER, attestation.rows(done), [one.ok is False for one in done.checks])
    complain_all(done.unasked)
    if not talk.quiet:
        for note in done.notes:
            say(note)
        say(attestation.closing(done))


def _write(file: Path, done: Verified, asked: Kubectl, hub: Kubectl | None) -> None:
    from generator import attestation, files, report

    where = attestation.Surroundings(asked.where(), hub.where() if hub else "", *asked.versions())
    if file.suffix == ".json":
        text = report.as_json(attestation.report(done, where)) + "\n"
    else:
        text = attestation.markdown(done, where)
    files.write(file, text.encode())
