"""The only module that runs programs: argv lists, pipes, a time limit, no shell."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from generator.errors import ToolError, UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


_told: Final[list[Callable[[str], None]]] = []


@contextlib.contextmanager
def watched(tell: Callable[[str], None]) -> Iterator[None]:
    """Have every run of a program told, for as long as the context lasts: argv never holds a secret."""
    _told.append(tell)
    try:
        yield
    finally:
        _told.remove(tell)


def _log(line: str) -> None:
    for tell in _told:
        tell(line)


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
        with _started(argv, cwd, env) as program:
            stdout, stderr = program.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise UnansweredError(f"{argv[0]} did not answer within {seconds:g} s") from None
    _log(f"ran {shlex.join(argv)} in {time.monotonic() - start:.2f} s, exit {program.returncode}")
    return Result(program.returncode, stdout, stderr)


_running: Final[set[subprocess.Popen[bytes]]] = set()
_ending = threading.Event()


def stop() -> None:
    """Kill every program that runs, and start none any more, since this one is about to end."""
    _ending.set()
    for program in tuple(_running):
        program.kill()


@contextlib.contextmanager
def _started(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], *, unbuffered: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and see that it has ended.  Raises ToolError where it cannot be started."""
    try:
        program = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**env, "PWD": str(cwd)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0 if unbuffered else -1,
        )
    except FileNotFoundError:
        raise ToolError(f"{argv[0]} is not to be found") from None
    except OSError as error:
        raise ToolError(f"{argv[0]} cannot be started: {error.strerror}") from None
    with program:
        _running.add(program)
        if _ending.is_set():
            program.kill()
        try:
            yield program
        finally:
            if program.poll() is None:
                program.kill()
            _running.discard(program)


_ANSWER: Final = 60.0  # seconds that a program may take for one answer
_CHUNK: Final = 1 << 16


class Dialogue:
    """A program that answers one request after the other, such as `git cat-file --batch`; of one thread at a time.

    Raises ToolError where it cannot be started, ends in between, or takes too long for an answer.
    """

    def __init__(self, argv: Sequence[str], name: str, *, cwd: Path, env: Mapping[str, str]) -> None:
        """Start `argv`, which messages call `name`."""
        self._name = name
        self._rest = b""
        self._stack = contextlib.ExitStack()
        self._program = self._stack.enter_context(_started(argv, cwd, env, unbuffered=True))
        _log(f"runs {shlex.join(argv)}")

    def close(self) -> None:
        self._stack.close()

    def _ended(self) -> ToolError:
        stream = self._program.stderr
        assert stream is not None  # noqa: S101 -- it is a pipe
        self._program.kill()  # what it had to say is in the pipe, which has room for more than any complaint
        lines = stream.read().decode("utf-8", "replace").strip().splitlines()
        hint = "git fetch --refetch, or a clone that holds everything" if "promisor" in str(lines[-1:]) else ""
        return ToolError(f"{self._name} ended too soon{f': {lines[-1]}' if lines else ''}", hint=hint)

    def ask(self, request: bytes) -> bytes:
        """Send a request, whole, and return the first line of the answer, without its end."""
        self.tell(request)
        return self.line()

    def tell(self, request: bytes) -> None:
        """Send a request, whole, before its answer is read; it has to fit into a pipe."""
        stream = self._program.stdin
        assert stream is not None  # noqa: S101 -- it is a pipe
        try:
            _write(stream, request)
        except BrokenPipeError:
            raise self._ended() from None

    def line(self) -> bytes:
        """Return the next line of the answer, without its end."""
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

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes of the answer, without keeping them."""
        while len(self._rest) < count:
            count -= len(self._rest)
            self._rest = b""
            self._fill()
        self._rest = self._rest[count:]

    def _fill(self) -> None:
        stream = self._program.stdout
        assert stream is not None  # noqa: S101 -- it is a pipe
        if not select.select([stream], [], [], _ANSWER)[0]:
            raise ToolError(f"{self._name} did not answer within {_ANSWER:g} s")
        more = os.read(stream.fileno(), _CHUNK)
        if not more:
            raise self._ended()
        self._rest += more


def _write(stream: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]
