"""The command line: its commands, what they share, and how each way of ending becomes an exit code.

Commands import what they need when they run, so that --help is quick.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

import click

from generator import __version__
from generator.errors import KeyturnError
from generator.talk import PROGRAM, Talk, complain, say

COMMANDS: Final = (
    *("adopt", "capture", "completion", "engine", "init", "log", "rekey", "render", "retire", "rotate", "rules"),
    *("schema", "status", "validate", "verify"),
)


class Commands(click.Group):
    """Commands by name alone; the module of each is imported once it is asked for, since a hook should be quick."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- Click's contract
        if cmd_name not in self.commands:
            return None
        command = getattr(importlib.import_module(f"generator.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 -- a module of ours
        return command


@click.group(
    cls=Commands,
    commands={name: click.Command(name) for name in COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
)
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

    Exit codes: 0 done or clean; 1 differences, findings, an overdue key, a cluster that does otherwise, or traffic in
    clear; 2 wrong input; 3 a tool is missing or failed, something cannot be told, or keyturn refuses for safety; 4 a
    bug; 130 interrupted.
    """
    if verbose:
        from generator import process  # noqa: PLC0415 -- only now: --help is quick

        ctx.with_resource(process.watched(say))
    ctx.obj = Talk(root, quiet, verbose)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every way it can end but a bug is told here."""
    try:
        code = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:  # Click's own end of a completion, or what it makes of a reader that has gone
        return 3 if stop.code else 0
    except (click.ClickException, click.Abort, KeyboardInterrupt, KeyturnError, OSError) as error:
        return _complain(error)
    return code if isinstance(code, int) else 0


def _complain(error: BaseException) -> int:
    """Say what ended the command, and return the exit code for it."""
    if isinstance(error, click.ClickException):
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "keyturn"
        say(f"error: {' '.join(error.format_message().split()).rstrip('.')}; see {command} --help")
        return error.exit_code
    if isinstance(error, OSError):
        say(f"error: {error.filename or 'the system'}: {error.strerror}")
        return 3
    if not isinstance(error, KeyturnError):
        say("interrupted")
        return 130
    complain(error)
    return error.exit_code
