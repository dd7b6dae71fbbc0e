"""Programs that serve on loopback while a test runs: each on a leash, in a folder of its own, with a log."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from e2e import leash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is behind no proxy
LEASH: Final = Path(__file__).parent / "leash.py"
LIFE: Final = 30 * 60  # seconds that a server may live, whatever happens
START: Final = 240  # seconds to be ready, on a machine that does something else as well
END: Final = 6 * leash.PATIENCE  # seconds: a leash's own patience, as often as it may need it
PATIENCE: Final = 120  # seconds for what a controller does within one


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(
    look: Callable[[], object], what: str, seconds: float = PATIENCE, told: Callable[[], str] | None = None
) -> None:
    """Look until something is so; else fail with what was waited for, and what is `told` of it."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}; {told() if told else ''}"
        time.sleep(0.25)


def answers(url: str) -> bool:
    """Tell whether somebody says "ok" there."""
    try:
        with DIRECT.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@dataclass
class Servers:
    """What runs, in the order of its start; `folder` holds a folder for each and their logs."""

    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def room(self, name: str) -> Path:
        """Return the folder that is one server's own, and goes with it."""
        room = self.folder / name
        room.mkdir(exist_ok=True)
        return room

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def start(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start a program in its room, with HOME and TMPDIR there and no other variable but PATH and those given."""
        room = self.room(name)
        clean = {"PATH": os.environ["PATH"], "HOME": str(room), "TMPDIR": str(room), **(env or {})}
        with self.log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, LEASH, str(LIFE), room, *argv],
                cwd=room,
                env=clean,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # ^C at a terminal ends the tests, and these by them
            )

    def ready(self, name: str, look: Callable[[], object]) -> None:
        """Wait until a server is ready.  One that has ended fails at once, with its last words."""

        def seen() -> bool:
            assert self.running[name].poll() is None, f"{name} has ended:\n{self.last_words(name)}"
            return bool(look())

        try:
            until(seen, f"{name} is ready", START)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.last_words(name)}") from None

    def last_words(self, name: str, lines: int = 15) -> str:
        return "\n".join(self.log(name).read_text("utf-8", "replace").splitlines()[-lines:])

    def end(self) -> None:
        """End all of them, and see that nothing is left of them."""
        for one in self.running.values():
            assert one.stdin is not None
            one.stdin.close()
        left = []
        for name, one in self.running.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(END)
            if one.returncode is None or (self.folder / name).exists():
                left.append(name)
        self.running.clear()
        assert left == [], f"not ended, or not removed: {left}"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Servers]:
    servers = Servers(folder)
    try:
        yield servers
    finally:
        servers.end()
