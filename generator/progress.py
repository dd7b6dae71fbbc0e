"""How far a long piece of work is: told where it is done, shown by whoever can show it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

Step = Callable[[str, int, int], None]
"""Takes what is being done, how many are done, and of how many."""

PATIENCE: Final = 1.0  # seconds that work may take without being shown


def untold(what: str, done: int, of: int) -> None:
    """Tell nobody."""


class Shown(Protocol):
    """What shows it, a bar."""

    def step(self, what: str, done: int, of: int) -> None: ...

    def close(self) -> None: ...


class Delayed:
    """Shows nothing of what is over within a second; `make` is called once it takes longer, also inside one step."""

    def __init__(self, make: Callable[[], Shown] | None) -> None:
        self._make = make  # None: nobody looks
        self._lock = threading.RLock()
        self._shown: Shown | None = None
        self._last: dict[str, tuple[int, int]] = {}
        self._timer: threading.Timer | None = None
        self._start()

    def _start(self) -> None:
        if self._make is not None:
            self._timer = threading.Timer(PATIENCE, self._show)
            self._timer.daemon = True
            self._timer.start()

    def step(self, what: str, done: int, of: int) -> None:
        with self._lock:
            self._last[what] = done, of
            if self._shown is not None:
                self._shown.step(what, done, of)
            elif self._timer is None:
                self._start()

    def _show(self) -> None:
        with self._lock:
            if self._make is None or self._timer is not threading.current_thread():  # hushed while this waited
                return
            self._shown = self._make()
            for what, (done, of) in self._last.items():
                self._shown.step(what, done, of)

    def hush(self) -> None:
        """Take it away until the next step, since something else is to be said or asked."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._shown is not None:
                self._shown.close()
                self._shown = None

    close = hush
