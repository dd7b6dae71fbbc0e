"""Programs timed from outside, each in a process of its own, and tables of the medians.  Knows nothing of keyturn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Command = Sequence[str | Path]


class FailedError(Exception):
    """A program that was to be timed did not do what it is timed for."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The seconds of some runs of one program, in the order in which they were taken."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    def over(self, other: Figure) -> float:
        """Return how many times as long it takes as `other`: the median of the turns, which share what slows them."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.runs, other.runs, strict=True))

    def without(self, other: Figure) -> Figure:
        """Return what is left of each run without that of `other` in the same turn."""
        return Figure(tuple(ours - theirs for ours, theirs in zip(self.runs, other.runs, strict=True)))

    def __str__(self) -> str:
        """The median, and how far the run that lies furthest from it does."""
        spread = max(abs(run - self.median) for run in self.runs) / self.median
        return f"{self.median:.3f} s ±{spread:.0%}"


def run(argv: Command, *, cwd: Path, env: Mapping[str, str], stdin: bytes = b"", codes: Sequence[int] = (0,)) -> float:
    """Run a program to its end and return the seconds from before its start.

    Raises FailedError with its last words where its exit code is none of `codes`.
    """
    with tempfile.TemporaryFile() as words, tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        start = time.perf_counter()
        code = subprocess.run(argv, cwd=cwd, env=env, stdin=given, stdout=words, stderr=words, check=False).returncode
        seconds = time.perf_counter() - start
        words.seek(0)
        if code not in codes:
            last = words.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise FailedError(f"{Path(argv[0]).name} ended with {code}: {last[:300]}")
    return seconds


def output(argv: Command, *, cwd: Path, env: Mapping[str, str], stdin: bytes = b"") -> bytes:
    """Return what a program prints, untimed.  Raises FailedError where its exit code is not 0."""
    done = subprocess.run(argv, cwd=cwd, env=env, input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        raise FailedError(f"{Path(argv[0]).name} ended with {done.returncode}")
    return done.stdout


def ended(argv: Command, *, cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Return the exit code of a program and all that it says, untimed."""
    done = subprocess.run(argv, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def megabytes(argv: Command, *, cwd: Path, env: Mapping[str, str]) -> float:
    """Run a program and return its peak memory; of several processes that of the largest, not the sum."""
    peak = Path(__file__).with_name("peak.py")
    return int(output([sys.executable, "-I", "-S", peak, *argv], cwd=cwd, env=env)) / (1 << 20)


def interleaved(runs: int, *takes: Callable[[], float]) -> list[Figure]:
    """Return a figure for each of `takes`; they take turns, so that what slows the machine down meets all of them."""
    rounds = [[take() for take in takes] for _ in range(runs)]
    return [Figure(seconds) for seconds in zip(*rounds, strict=True)]


def row(what: str, ours: Figure, target: str, floor: Figure, least: str) -> list[str]:
    """Return a line of a table: a figure, what it should be, and the floor below it, which `least` names."""
    return [what, str(ours), target, str(floor), f"{ours.over(floor):.2f}", least]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text in columns; the first and the last are words, those between are numbers."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    last = len(cells) - 1
    aligned = [
        cell.ljust(width) if column in (0, last) else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()
