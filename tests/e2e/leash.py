"""Runs one program for as long as whoever started it lives, and then takes its folder away.

    python leash.py SECONDS FOLDER PROGRAM [ARGUMENT]...

The program and all that it started end when stdin ends, which the death of the other side does too, when the time is
over, on a signal, or with the program itself.  Whatever it was, FOLDER is gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import NoReturn

PATIENCE = 20  # seconds for a program to end by itself


def _end(started: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(PATIENCE)


def _until_stdin_ends() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt(number, frame)


def main() -> int:
    seconds, folder, *argv = sys.argv[1:]
    signal.signal(signal.SIGTERM, _stop)
    code = 1
    try:
        started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        threading.Thread(target=_until_stdin_ends, daemon=True).start()
        try:
            code = started.wait(float(seconds))
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        finally:
            _end(started)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
