"""The command line: words in, lines out, an exit code.  Commands import what they need, so that --help is quick."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator import __version__
from generator.errors import KeyturnError, ManyRefusedError
from generator.findings import InvalidError

if TYPE_CHECKING:
    from generator.outcome import Outcome

_OUTPUT = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to answer."
)


@dataclass(frozen=True, slots=True)
class Talk:
    """What every command is told: where, and with `-q` to leave out the lines that tell what was done."""

    root: Path | None
    quiet: bool

    def find_root(self) -> Path:
        from generator import workspace

        root = workspace.find_root(Path.cwd()) if self.root is None else workspace.named_root(self.root.resolve())
        logging.getLogger("keyturn").info("root: %s", root)
        return root

    def answer(self, line: str) -> None:
        if not self.quiet:
            click.echo(line)


def say(line: str) -> None:
    click.echo(f"keyturn: {line}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The repository; default: the nearest folder upwards with environments/.",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell on stderr which programs are run.")
@click.option("-q", "--quiet", is_flag=True, help="Leave out the lines that tell what was done.")
@click.version_option(__version__, prog_name="keyturn")
@click.pass_context
def cli(ctx: click.Context, root: Path | None, *, verbose: bool, quiet: bool) -> None:
    """Keep Cilium's transparent encryption in git.

    Exit codes: 0 done or clean; 1 differences; 2 wrong input; 3 a tool is missing or failed, or keyturn refuses for
    safety; 4 a bug; 130 interrupted.
    """
    logging.basicConfig(format="keyturn: %(message)s", level=logging.INFO if verbose else logging.WARNING, force=True)
    ctx.obj = Talk(root, quiet)


@cli.command()
@click.argument("environments", nargs=-1, metavar="[ENV]...")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if anything would change.")
@click.option("--diff", is_flag=True, help="Print a unified diff.")
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option(
    "--new-identity", is_flag=True, help="Where there is no .sops.yaml, make it, for an age identity of yours."
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Run N sops at a time; default: the processors.")
@_OUTPUT
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
    """Render every environment, or those named, into clusters/.

    A second run changes nothing.  An IPsec environment gets its key once; an existing Secret is never touched.
    """
    from generator import lock
    from generator.app import keymaking, recipients
    from generator.app import render as app

    if diff and output == "json":
        raise click.UsageError("--diff goes with --output text", ctx)
    talk: Talk = ctx.obj
    root = talk.find_root()
    newcomer = recipients.Newcomer((lambda _: True) if new_identity else _ask, say)
    options = app.Options(keymaking.Options(newcomer, jobs or os.cpu_count() or 1), environments, check, strict)
    with contextlib.nullcontext() if check else lock.hold(root):
        outcome = app.render(root, options)
    _answer(talk, outcome, output, check=check, diff=diff)
    if check and outcome.changes:
        ctx.exit(1)


def _ask(place: str) -> bool:
    """Ask the person at the terminal; where there is none, nobody has said yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return click.confirm(
        f"There is no .sops.yaml. Make one for the age identity in {place} (made if it is not there)?", err=True
    )


def _answer(talk: Talk, outcome: Outcome, output: str, *, check: bool, diff: bool) -> None:
    from generator import report

    for warning in outcome.warnings:
        click.echo(str(warning), err=True)
    if output == "json":
        if outcome.config:
            say(f"{outcome.config}{' (checked only)' if check else ''}")
        click.echo(report.as_json(report.rendered_json(outcome)))
        return
    for line in report.diff_lines(outcome) if diff else ():
        click.echo(line, nl=False)
    for line in report.rendered_lines(outcome, check=check):
        talk.answer(line)


@cli.command()
@click.argument("environment", metavar="ENV")
@_OUTPUT
@click.pass_context
def retire(ctx: click.Context, /, environment: str, output: str) -> None:
    """Remove the Secret of a cluster that is gone, or that no longer uses IPsec.

    render never does that.  Whether git can give it back is told.
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


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the environment file, for editors."""
    from generator import model, report

    click.echo(report.as_json(model.json_schema()))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every way it can end but a bug is told here."""
    try:
        code = cli.main(arguments, prog_name="keyturn", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit:  # what Click makes of a reader that has gone
        return 3
    except (click.ClickException, click.Abort, KeyboardInterrupt, KeyturnError, OSError) as error:
        return _complain(error)
    return code if isinstance(code, int) else 0


def _complain(error: BaseException) -> int:
    """Say what ended the command, and return the exit code for it."""
    if isinstance(error, click.ClickException):
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "keyturn"
        say(f"error: {error.format_message().rstrip('.')}; see {command} --help")
        return error.exit_code
    if isinstance(error, OSError):
        say(f"error: {error.filename or 'the system'}: {error.strerror}")
        return 3
    if not isinstance(error, KeyturnError):
        say("interrupted")
        return 130
    _explain(error)
    return error.exit_code


def _explain(error: KeyturnError) -> None:
    if isinstance(error, InvalidError):
        for finding in error.findings:
            click.echo(str(finding), err=True)
        if all(finding.level == "warning" for finding in error.findings):
            say("error: --strict takes warnings for errors")
        return
    for reason in error.reasons if isinstance(error, ManyRefusedError) else [error]:
        say(f"error: {reason}")
