"""The only module that runs programs: argv lists, pipes, a time limit, no shell."""

from __future__ import annotations

import logging
import os
import select
import shlex
import subprocess
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from generator.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


_log = logging.getLogger("keyturn")  # argv never holds a secret, so it may be told


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended; its output may hold secrets, so it stays out of tracebacks."""

    code: int
    stdout: bytes
    stderr: bytes

    def __repr__(self) -> str:
        return f"Result(code={self.code})"


def run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes = b"", seconds: float = 60) -> Result:
    """Run a program to its end; `stdin` is all it can read.  Go programs trust $PWD, so it is made to fit `cwd`.

    Raises ToolError where it cannot be started or takes longer than `seconds`; never for its exit code.
    """
    start = time.monotonic()
    try:
        done = subprocess.run(
            argv, cwd=cwd, env={**env, "PWD": str(cwd)}, input=stdin, capture_output=True, timeout=seconds, check=False
        )
    except FileNotFoundError:
        raise ToolError(f"{argv[0]} is not to be found") from None
    except subprocess.TimeoutExpired:
        raise ToolError(f"{argv[0]} did not answer within {seconds:g} s") from None
    except OSError as error:
        raise ToolError(f"{argv[0]} cannot be started: {error.strerror}") from None
    _log.info("ran %s in %.2f s, exit %d", shlex.join(argv), time.monotonic() - start, done.returncode)
    return Result(done.returncode, done.stdout, done.stderr)


_ANSWER: Final = 60.0  # seconds that a program may take for one answer
_CHUNK: Final = 1 << 16


class Dialogue:
    """A program that answers one request after the other, such as `git cat-file --batch`; of one thread at a time.

    Raises ToolError where it cannot be started, ends in between, or takes too long for an answer.
    """

    def __init__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._name = shlex.join(argv)
        self._rest = b""
        try:
            self._program = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**env, "PWD": str(cwd)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            raise ToolError(f"{argv[0]} cannot be started: {error.strerror}") from None
        _log.info("runs %s", self._name)

    def close(self) -> None:
        self._program.kill()
        self._program.communicate()

    def ask(self, request: bytes) -> bytes:
        """Send a request, whole, and return the first line of the answer, without its end."""
        stream = self._program.stdin
        assert stream is not None  # noqa: S101 -- it is a pipe
        try:
            _write(stream, request)
        except BrokenPipeError:
            raise ToolError(f"{self._name} ended too soon") from None
        while b"\n" not in self._rest:
            self._fill()
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes of the answer."""
        while len(self._rest) < count:
            self._fill()
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def _fill(self) -> None:
        stream = self._program.stdout
        assert stream is not None  # noqa: S101 -- it is a pipe
        if not select.select([stream], [], [], _ANSWER)[0]:
            raise ToolError(f"{self._name} did not answer within {_ANSWER:g} s")
        more = os.read(stream.fileno(), _CHUNK)
        if not more:
            raise ToolError(f"{self._name} ended too soon")
        self._rest += more


def _write(stream: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]
