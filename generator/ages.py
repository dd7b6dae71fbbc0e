"""How old something is, in words.  No clock: time comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
RFC3339: Final = "%Y-%m-%dT%H:%M:%SZ"


def words(age: timedelta) -> str:
    """Return `93 days`, `2 hours`: the largest unit that fills twice, else the next smaller one.

    >>> from datetime import timedelta
    >>> words(timedelta(days=93)), words(timedelta(hours=30)), words(timedelta(seconds=5))
    ('93 days', '30 hours', '5 seconds')
    """
    seconds = max(0, int(age.total_seconds()))
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def stamp(time: datetime) -> str:
    """Return a time in UTC as RFC 3339, in seconds."""
    return time.strftime(RFC3339)
