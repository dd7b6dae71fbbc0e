"""The only module that runs programs: argv lists, pipes, a time limit, no shell."""

from __future__ import annotations

import logging
import shlex
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
