"""How commands talk: the answer on stdout, the talk on stderr, each plain in a pipe and coloured at a terminal."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeVar

import click

from generator.errors import InputError, KeyturnError, ManyRefusedError
from generator.findings import InvalidError, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

    from generator.progress import Delayed, Shown

C = TypeVar("C", bound="Callable[..., object]")

PROGRAM: Final = "keyturn"
OUTPUT: Final = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to answer."
)


def _said(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise click.BadParameter("it says nothing", ctx, param)
    if text is not None and not text.isprintable() and any("\ud800" <= one <= "\udfff" for one in text):
        raise click.BadParameter("it is not UTF-8", ctx, param)
    return text.strip() if text else None


_COMMITTING: Final = (
    click.option("--reason", metavar="TEXT", callback=_said, help="Why, for the commit."),
    click.option("--pr/--no-pr", default=False, show_default=True, help="Push, and open or update the request."),
    click.option("--base", metavar="REV", help="The commit to start from."),
    click.option("--fetch", is_flag=True, help="Fetch first; --pr does."),
    click.option("--branch", metavar="NAME", help="The branch to make."),
    click.option("--dry-run", is_flag=True, help="Print the plan and change nothing."),
    click.option(
        "--forge", type=click.Choice(["github", "gitlab", "gitea"]), help="Where requests are made; else by the remote."
    ),
)


def committing(command: C) -> C:
    """Give a command the options of all that make commits."""
    for option in reversed(_COMMITTING):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Talk:
    """What every command is told: where, and with `-q` to leave out the lines that tell what was done, or `-v`."""

    root: Path | None
    quiet: bool
    verbose: bool = False

    def find_root(self) -> Path:
        from generator import worktree

        root = worktree.find_root(Path.cwd()) if self.root is None else worktree.named_root(self.root.resolve())
        if self.verbose:
            say(f"root: {root}")
        return root

    def find_tree(self) -> tuple[Path, bool]:
        """Return the folder whose files are judged, and whether it has environments: any other folder has files too.

        It is the root where there is one, else the top of the git repository, else where the user is.
        """
        from generator import git, worktree

        if self.root is not None:
            root = self.root.resolve()
            return root, worktree.is_root(root)
        try:
            return self.find_root(), True
        except InputError:
            return git.top(Path.cwd()) or Path.cwd(), False

    def answer(self, line: str) -> None:
        if not self.quiet:
            show(line)

    def answer_table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Answer with a table; only where `at_terminal(sys.stdout)`."""
        from generator import terminal

        if not self.quiet:
            terminal.table(header, _visible(rows), sys.stdout)

    @staticmethod
    def show_table(header: Sequence[str], rows: Sequence[Sequence[str]], marked: Sequence[bool] = ()) -> None:
        """Print a table of words that was asked for, also into a pipe; rows that are `marked` stand out."""
        from generator import terminal

        terminal.table(header, _visible(rows), sys.stdout, numbers=False, marked=marked)

    def progress(self) -> contextlib.closing[Delayed]:
        """Give what work tells its steps; a bar shows them at a terminal, once the work takes longer than a second.

        With `-v` the lines about programs tell it instead.
        """
        from generator import progress

        shown = at_terminal(sys.stderr) and not self.quiet and not self.verbose
        return contextlib.closing(progress.Delayed(_bar if shown else None))


def _bar() -> Shown:
    from generator import terminal

    return terminal.Bar(sys.stderr)


def at_terminal(stream: IO[str] | None) -> bool:
    """Whether a person looks at it, and the terminal can do more than print lines; None is a closed one."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _visible(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[visible(cell) for cell in row] for row in rows]


def visible(text: str) -> str:
    """Return one line in which control characters are shown, not sent: a terminal would obey them."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def show(line: str, *, err: bool = False) -> None:
    """Print one line."""
    line = visible(line)
    stream = sys.stderr if err else sys.stdout
    if at_terminal(stream):
        from generator import terminal

        terminal.line(line, stream)
    else:
        click.echo(line, err=err)


def say(line: str) -> None:
    """Say something that is not the answer."""
    show(f"keyturn: {line}", err=True)


def complain(error: KeyturnError) -> None:
    """Say what ended a command, or what a part of it ended with."""
    if isinstance(error, InvalidError):
        for finding in error.findings:
            show(str(finding), err=True)
        if all(finding.level == "warning" for finding in error.findings):
            say("error: --strict takes warnings for errors")
        return
    for reason in error.reasons if isinstance(error, ManyRefusedError) else [error]:
        say(f"error: {reason}")


def complain_all(errors: Sequence[KeyturnError]) -> None:
    """Say what several parts of a command ended with, each finding once."""
    findings = [finding for error in errors if isinstance(error, InvalidError) for finding in error.findings]
    for finding in tidy(findings):
        show(str(finding), err=True)
    for error in errors:
        if not isinstance(error, InvalidError):
            complain(error)


def complete_environments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str | CompletionItem]:
    """Return the environments that a shell may offer; none where there is no repository."""
    from generator import workspace
    from generator.worktree import WorkTree

    return _offered(lambda root: workspace.names(WorkTree(root)), ctx, param, incomplete)


def complete_secrets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str | CompletionItem]:
    """Return the names of Secrets that a shell may offer to retire."""
    from generator.app import standing

    return _offered(standing.left_over, ctx, param, incomplete)


def _offered(
    names: Callable[[Path], list[str]], ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[str | CompletionItem]:
    given = ctx.params.get(param.name or "") or ()
    try:
        root = Talk(ctx.find_root().params.get("root"), quiet=True).find_root()
        return [name for name in names(root) if name.startswith(incomplete) and name not in given]
    except (KeyturnError, OSError):
        return []
