"""Runs one program for as long as whoever started it lives, and then takes its folder away.

    python leash.py SECONDS FOLDER [PROGRAM [ARGUMENT]...]

The program and all that it started end when stdin ends, which the death of the other side does too, when the time is
over, on a signal, or with the program itself.  Whatever it was, FOLDER is gone afterwards, and so is every program that
was told of it in its environment; so a FOLDER that could be anybody's, such as /tmp, is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PATIENCE = 20  # seconds for a program to end by itself


def _end(started: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(PATIENCE)


def _strays(folder: str) -> list[int]:
    """Return the programs that were started with a HOME or another variable below the folder, where /proc tells."""
    found = []
    told = re.compile(re.escape(os.fsencode(folder)) + rb"(?![^/:\0])")  # it, or what is below it
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if told.search(file.read_bytes()) and file.parent.name != str(os.getpid()):
                found.append(int(file.parent.name))
    return found


def _remove(folder: str) -> None:
    # What a test ran beside the servers, and other leashes, may still write below it.
    start = time.monotonic()
    while (strays := _strays(folder)) or os.path.lexists(folder):
        spent = time.monotonic() - start
        if spent > 3 * PATIENCE:
            break
        for stray in strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stray, signal.SIGTERM if spent < PATIENCE else signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.2)


def main() -> int:
    seconds, folder, *argv = sys.argv[1:]
    if not Path(folder).is_absolute() or len(Path(folder).parts) < 3 or ".." in Path(folder).parts:
        sys.exit(f"leash: {folder!r} is no folder of a program's own")
    ended, deadline = threading.Event(), time.monotonic() + float(seconds)

    def read_to_the_end() -> None:
        while os.read(0, 4096):
            pass
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    started = None
    try:
        # Nothing breaks off what follows: a signal sets the event, and no more.
        if argv:
            started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        threading.Thread(target=read_to_the_end, daemon=True).start()
        while not ended.wait(0.1) and time.monotonic() < deadline:
            if started is not None and started.poll() is not None:
                break
    finally:
        if started is not None:
            _end(started)
        _remove(folder)
    return started.returncode if started is not None else 0


if __name__ == "__main__":
    sys.exit(main())
