"""The command line: words in, lines out, an exit code.  Commands import what they need, so that --help is quick."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from generator import __version__
from generator.errors import KeyturnError, ManyRefusedError

if TYPE_CHECKING:
    from generator.app.render import Outcome

_OUTPUT = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to answer."
)


@dataclass(frozen=True, slots=True)
class Talk:
    """How much is said: `-v` says more on stderr, `-q` leaves out the lines that tell what was done."""

    root: Path | None
    verbose: bool
    quiet: bool

    def find_root(self) -> Path:
        from generator import workspace  # noqa: PLC0415 -- 70 ms that --help does not need

        root = workspace.find_root(Path.cwd()) if self.root is None else self.root.absolute()
        self.detail(f"root: {root}")
        return root

    def detail(self, line: str) -> None:
        if self.verbose:
            say(line)

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
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr.")
@click.option("-q", "--quiet", is_flag=True, help="Leave out the lines that tell what was done.")
@click.version_option(__version__, prog_name="keyturn")
@click.pass_context
def cli(ctx: click.Context, root: Path | None, *, verbose: bool, quiet: bool) -> None:
    """Keep Cilium's transparent encryption in git.

    Exit codes: 0 done or clean; 1 differences; 2 wrong input; 3 a tool is missing or failed, or keyturn refuses for
    safety; 4 a bug; 130 interrupted.
    """
    ctx.obj = Talk(root, verbose, quiet)


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
def render(ctx: click.Context, /, environments: tuple[str, ...], output: str, **flags: Any) -> None:
    """Render every environment, or those named, into clusters/.

    A second run changes nothing.  An IPsec environment gets its key once; an existing Secret is never touched.
    """
    from generator import lock, report  # noqa: PLC0415 -- 70 ms that --help does not need
    from generator.app import keymaking  # noqa: PLC0415
    from generator.app import render as app  # noqa: PLC0415

    talk: Talk = ctx.obj
    check, diff = flags["check"], flags["diff"]
    if diff and output == "json":
        raise click.UsageError("--diff goes with --output text")
    root = talk.find_root()
    jobs = flags["jobs"] or os.cpu_count() or 1
    options = app.Options(
        keymaking.Options(_asker(new_identity=flags["new_identity"]), jobs, check=check),
        environments,
        strict=flags["strict"],
    )
    if check:
        outcome = app.render(root, options)
    else:
        with lock.hold(root):
            outcome = app.render(root, options)
    _tell(talk, outcome)
    if output == "json":
        click.echo(report.as_json(report.rendered_json(outcome)))
    else:
        for line in report.diff_lines(outcome) if diff else ():
            click.echo(line, nl=False)
        for line in report.rendered_lines(outcome, check=check):
            talk.answer(line)
    if check and outcome.changes:
        ctx.exit(1)


def _asker(*, new_identity: bool) -> Any:
    """Return what answers for the user whether an identity may be made: the flag, or a person at a terminal."""

    def ask(place: str) -> bool:
        if new_identity:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return click.confirm(
            f"There is no .sops.yaml. Make one for the age identity in {place} (made if it is not there)?", err=True
        )

    return ask


def _tell(talk: Talk, outcome: Outcome) -> None:
    for warning in outcome.warnings:
        click.echo(str(warning), err=True)
    for notice in outcome.notices:
        say(notice)
    for detail in outcome.details:
        talk.detail(detail)


@cli.command()
@click.argument("environment", metavar="ENV")
@_OUTPUT
@click.pass_context
def retire(ctx: click.Context, /, environment: str, output: str) -> None:
    """Remove the Secret of a cluster that is gone, or that no longer uses IPsec.

    render never does that.  The Secret must be committed, so that it can be had back.
    """
    from generator import lock, report  # noqa: PLC0415 -- 70 ms that --help does not need
    from generator.app import retire as app  # noqa: PLC0415

    talk: Talk = ctx.obj
    root = talk.find_root()
    with lock.hold(root):
        retired = app.retire(root, environment)
    if output == "json":
        click.echo(report.as_json(report.retired_json(retired)))
    else:
        talk.answer(str(retired.change))
        say(f"commit this; git keeps the Secret: git show {retired.commit}:./{retired.change.path}")


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the environment file, for editors."""
    from generator import model, report  # noqa: PLC0415 -- 70 ms that --help does not need

    click.echo(report.as_json(model.json_schema()))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every way it can end but a bug is told here."""
    try:
        code = cli.main(arguments, prog_name="keyturn", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, KeyturnError, OSError) as error:
        for notice in getattr(error, "__notes__", ()):
            say(notice)
        return _complain(error)
    return code if isinstance(code, int) else 0


def _complain(error: BaseException) -> int:
    """Say what ended the command, and return the exit code for it."""
    if isinstance(error, BrokenPipeError):  # the reader has gone; Python would complain again at its own end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    if isinstance(error, OSError):
        say(f"error: {error.filename or 'the system'}: {error.strerror}")
        return 3
    if not isinstance(error, KeyturnError):
        say("interrupted")
        return 130
    for finding in getattr(error, "findings", ()):
        click.echo(str(finding), err=True)
    for reason in error.reasons if isinstance(error, ManyRefusedError) else [error]:
        if not hasattr(error, "findings"):
            say(f"error: {reason}")
    return error.exit_code
