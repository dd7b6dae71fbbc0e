"""What a person at a terminal sees beside the plain words: colour, a table, a progress bar.  The only user of rich.

Text is never read as rich's markup.  NO_COLOR takes the colour away.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDEST: Final = 10_000  # columns: a table is as wide as its cells, and the terminal wraps it
_STYLES: Final = (
    (re.compile(r"created (?=[^ ]+$)"), "green"),
    (re.compile(r"updated (?=[^ ]+$)"), "yellow"),
    (re.compile(r"removed (?=[^ ]+$)"), "red"),
    (re.compile(r"keyturn: error:"), "bold red"),
    (re.compile(r"[^ ]+: error:"), "bold red"),
    (re.compile(r"[^ ]+: warning:"), "yellow"),
    (re.compile(r"(\+\+\+|---) .*"), "bold"),
    (re.compile(r"\+.*"), "green"),
    (re.compile(r"-.*"), "red"),
    (re.compile(r"@@.*"), "cyan"),
)
"""How a line starts, and the style of that start."""


def _console(stream: IO[str], width: int | None = None) -> Console:
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=True)


def line(text: str, stream: IO[str]) -> None:
    """Print one line; its start is coloured by what it says."""
    console = _console(stream)
    shown = Text(text)
    for pattern, style in () if console.no_color else _STYLES:
        if match := pattern.match(shown.plain):
            shown.stylize(style, 0, match.end())
            break
    console.print(shown)


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    stream: IO[str],
    *,
    numbers: bool = True,
    marked: Sequence[bool] = (),
) -> None:
    """Print a table; with `numbers` all columns but the first hold such, and rows that are `marked` stand out."""
    console = _console(stream)
    shown = Table(box=None, pad_edge=False, header_style="" if console.no_color else "bold")
    for number, title in enumerate(header):
        shown.add_column(title, justify="right" if number and numbers else "left", no_wrap=True)
    for number, row in enumerate(rows):
        mark = any(marked[number : number + 1]) and not console.no_color
        shown.add_row(*(Text(cell) for cell in row), style="bold red" if mark else "")
    whole = console.measure(shown, options=console.options.update(max_width=_WIDEST)).maximum
    wide = _console(stream, max(whole, console.width))
    with wide.capture() as captured:
        wide.print(shown, soft_wrap=False)
    stream.writelines(f"{one.rstrip()}\n" for one in captured.get().splitlines())


class Bar:
    """A progress bar, gone once it is closed; each kind of work has a line of its own."""

    def __init__(self, stream: IO[str]) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        self._progress = Progress(*columns, console=_console(stream), transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def step(self, what: str, done: int, of: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=of)
        self._progress.update(self._tasks[what], completed=done)

    def close(self) -> None:
        self._progress.stop()
