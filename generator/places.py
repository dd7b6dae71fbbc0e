"""Folders of the user's that hold what can be had again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from generator.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping


def cache(env: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return keyturn's cache folder, which may not be there yet.  Raises ToolError where no variable tells it."""
    if named := env.get("XDG_CACHE_HOME"):
        return Path(named) / "keyturn"
    home = env.get("HOME")
    if not home:
        raise ToolError("there is no place for a cache", hint="set HOME, or XDG_CACHE_HOME to a folder")
    return Path(home) / ("Library/Caches" if platform == "darwin" else ".cache") / "keyturn"
