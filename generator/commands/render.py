"""`keyturn render`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

import click

from generator.talk import OUTPUT, Talk, at_terminal, complete_environments, say, show

if TYPE_CHECKING:
    from generator.outcome import Outcome
    from generator.progress import Delayed

FEW: Final = 200  # changes that a person at a terminal reads line by line; of more, a table tells


@click.command()
@click.argument("environments", nargs=-1, metavar="[ENV]...", shell_complete=complete_environments)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if anything would change.")
@click.option("--diff", is_flag=True, help="Print a unified diff.")
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option(
    "--new-identity", is_flag=True, help="Where there is no .sops.yaml, make it, for an age identity of yours."
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Run N sops at a time; default: the processors.")
@OUTPUT
@click.pass_context
def render(  # noqa: PLR0913 -- one a flag
    ctx: click.Context,
    /,
    environments: tuple[str, ...],
    output: str,
    jobs: int | None,
    *,
    check: bool,
    diff: bool,
    strict: bool,
    new_identity: bool,
) -> None:
    """Render environments into clusters/.

    All of them, or those named.  A second run changes nothing.  An IPsec environment gets its key once; an existing
    Secret is never touched.
    """
    from generator import lock
    from generator.app import keymaking, recipients
    from generator.app import render as app

    if diff and output == "json":
        raise click.UsageError("--diff goes with --output text", ctx)
    talk: Talk = ctx.obj
    root = talk.find_root()
    with contextlib.nullcontext() if check else lock.hold(root), talk.progress() as progress:
        newcomer = recipients.Newcomer(
            may_make=lambda place: new_identity or _ask(place, progress), tell=lambda line: _tell(line, progress)
        )
        keys = keymaking.Options(newcomer, jobs or os.cpu_count() or 1, step=progress.step)
        outcome = app.render(root, app.Options(keys, environments, check, strict))
    _answer(talk, outcome, output, check=check, diff=diff)
    if check and outcome.changes:
        ctx.exit(1)


def _tell(line: str, progress: Delayed) -> None:
    progress.hush()
    say(line)


def _ask(place: str, progress: Delayed) -> bool:
    """Ask the person at the terminal; where there is none, nobody has said yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    progress.hush()
    return click.confirm(
        f"There is no .sops.yaml. Make one for the age identity in {place} (made if it is not there)?", err=True
    )


def _answer(talk: Talk, outcome: Outcome, output: str, *, check: bool, diff: bool) -> None:
    from generator import report

    for warning in outcome.warnings:
        show(str(warning), err=True)
    if output == "json":
        if outcome.config:
            say(f"{outcome.config}{' (checked only)' if check else ''}")
        click.echo(report.as_json(report.rendered_json(outcome)))
        return
    for line in report.diff_lines(outcome) if diff else ():
        if at_terminal(sys.stdout):
            show(line.rstrip("\n"))
        else:
            click.echo(line, nl=False)
    if len(outcome.changes) > FEW and at_terminal(sys.stdout):
        talk.answer_table(*report.rendered_table(outcome))
    else:
        for change in outcome.changes:
            talk.answer(str(change))
    talk.answer(report.rendered_sum(outcome, check=check))
    for line in () if check else report.left_to_a_person(outcome):
        say(line)
