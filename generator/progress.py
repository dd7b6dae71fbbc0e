"""How far a long piece of work is: told where it is done, shown by whoever can show it."""

from __future__ import annotations

import time
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
    """Shows nothing of what is over within a second; `make` is called once it takes longer."""

    def __init__(self, make: Callable[[], Shown]) -> None:
        self._make = make
        self._start = time.monotonic()
        self._shown: Shown | None = None

    def step(self, what: str, done: int, of: int) -> None:
        if self._shown is None and time.monotonic() - self._start > PATIENCE:
            self._shown = self._make()
        if self._shown is not None:
            self._shown.step(what, done, of)

    def close(self) -> None:
        if self._shown is not None:
            self._shown.close()
