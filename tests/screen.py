"""A terminal for a program: what is typed, what is sent to it, and what a person sees on it in the end."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import pytest

from generator import cli

if TYPE_CHECKING:
    from pathlib import Path

Env = Mapping[str, str]

# What would tell rich more than the terminal itself does.
_TOLD = re.compile(r"NO_COLOR|FORCE_COLOR|COLORTERM|COLUMNS|LINES|TTY_.*")
_PIECE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+|\x1b)")
_TERM = "xterm-256color"
NONE: Env = {}
PATIENCE = 20.0  # seconds to wait for a program that says nothing


@dataclass(frozen=True)
class Seen:
    """How a program ended: what it sent to the terminal, lines ended by a newline, and what went into pipes instead."""

    code: int
    sent: str
    out: str = ""
    err: str = ""


class Terminal:
    """A program that runs at a terminal; streams named in `piped` go into a pipe."""

    def __init__(self, cwd: Path, argv: list[str], env: Env, piped: str = "", columns: int = 80) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, columns))
        kept = {name: value for name, value in os.environ.items() if not _TOLD.fullmatch(name)}
        self.process = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**kept, "TERM": _TERM, **env},
            stdin=slave,
            stdout=subprocess.PIPE if "out" in piped else slave,
            stderr=subprocess.PIPE if "err" in piped else slave,
            start_new_session=True,
        )
        os.close(slave)
        self._sent = b""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str, seconds: float = PATIENCE) -> None:
        while text.encode() not in self._sent:
            assert self._read(seconds), f"it ended without {text!r}: {self._sent!r}"

    def interrupt(self) -> None:
        """Do what Ctrl-C does: to everything in the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> Seen:
        while self._read():
            pass
        os.close(self._master)
        out, err = self.process.communicate(timeout=PATIENCE)
        return Seen(self.process.returncode, *(text(data or b"") for data in (self._sent, out, err)))

    def _read(self, seconds: float = PATIENCE) -> bool:
        assert select.select([self._master], [], [], seconds)[0], f"it says no more after {self._sent!r}"
        data = next(_all(self._master), b"")
        self._sent += data
        return data != b""


def text(sent: bytes) -> str:
    return sent.decode().replace("\r\n", "\n")


def keyturn(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "generator", *arguments]


def run(cwd: Path, *arguments: str, env: Env = NONE, piped: str = "", columns: int = 80) -> Seen:
    """Run keyturn in this process, its output at a terminal; streams named in `piped` go into a pipe."""
    pipes = {name: io.BytesIO() for name in ("out", "err")}
    sent: list[bytes] = []
    with attached(sent, {"COLUMNS": str(columns), **env}) as terminal, pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        streams = [
            io.TextIOWrapper(pipe, "utf-8", write_through=True) if name in piped else terminal
            for name, pipe in pipes.items()
        ]
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            code = cli.run([*arguments])
        out, err = (pipe.getvalue() for pipe in pipes.values())
    return Seen(code, *(text(data) for data in (b"".join(sent), out, err)))


@contextlib.contextmanager
def attached(sent: list[bytes], env: Env = NONE) -> Iterator[TextIO]:
    """Give a stream that is a terminal; in the end, `sent` holds what came out of it."""
    master, slave = pty.openpty()
    reader = threading.Thread(target=lambda: sent.extend(_all(master)))
    reader.start()
    with pytest.MonkeyPatch.context() as patch, os.fdopen(slave, "w", buffering=1, encoding="utf-8") as stream:
        for name in filter(_TOLD.fullmatch, list(os.environ)):
            patch.delenv(name)
        for name, value in {"TERM": _TERM, **env}.items():
            patch.setenv(name, value)
        yield stream
    reader.join()
    os.close(master)


def _all(master: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # how Linux tells that nobody writes any more
        while data := os.read(master, 65536):
            yield data


def plain(sent: str) -> str:
    """Return the text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", sent)


def sequences(sent: str) -> set[str]:
    """Return everything that begins with an escape, with the character that ends it."""
    return set(re.findall(r"\x1b(?:\[[^A-Za-z]*[A-Za-z]|.?)", sent))


def shown(sent: str) -> list[str]:
    """Return the lines that stand on the screen in the end, as far as the cursor has come."""
    lines, row, column = [""], 0, 0
    for values, letter, control, said in _PIECE.findall(sent):
        if control == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif control == "\r":
            column = 0
        elif letter == "A":
            row = max(row - int(values or 1), 0)
        elif letter == "K":
            assert values == "2", f"erases a part of a line: {values}"
            lines[row] = ""
        elif not letter:
            lines[row] = lines[row][:column].ljust(column) + said + lines[row][column + len(said) :]
            column += len(said)
        else:
            assert letter in "mhl", f"moves in another way: {values}{letter}"
    return [line.rstrip() for line in lines[: row + 1]]
