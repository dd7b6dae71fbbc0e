"""The age identity that sops looks for: where it lies, its public half, and a new one.

The private half is written to its own file and is never returned, shown or logged.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage

from generator import ages, files
from generator.errors import RefusedError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping


def location(env: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return where sops looks for age identities.  Raises ToolError where no variable tells."""
    if named := env.get("SOPS_AGE_KEY_FILE"):
        return Path(named)
    if config := env.get("XDG_CONFIG_HOME"):
        return Path(config) / "sops" / "age" / "keys.txt"
    home = env.get("HOME")
    if not home:
        raise ToolError("there is no place for an age identity", hint="set HOME, or SOPS_AGE_KEY_FILE to a file")
    if platform == "darwin":
        return Path(home) / "Library" / "Application Support" / "sops" / "age" / "keys.txt"
    return Path(home) / ".config" / "sops" / "age" / "keys.txt"


def recipients(env: Mapping[str, str]) -> frozenset[str] | None:
    """Return the public halves of the age identities at hand; None where that cannot be told without asking them."""
    if env.get("SOPS_AGE_KEY_CMD"):
        return None
    texts = [env.get("SOPS_AGE_KEY", "")]
    usual = {name: value for name, value in env.items() if name != "SOPS_AGE_KEY_FILE"}  # sops reads both
    try:
        texts += [file.read_text("utf-8") for file in {location(env), location(usual)} if file.exists()]
    except (ToolError, OSError, UnicodeDecodeError):
        return None
    lines = [line.strip() for text in texts for line in text.splitlines()]
    try:
        made = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:  # of a plugin, or post-quantum
        return None
    return frozenset(str(one.to_public()) for one in made)


def recipient(file: Path) -> str | None:
    """Return the public half of the first identity in a file, or None where there is no file.

    Raises RefusedError where the file holds none that can be read here.
    """
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    for line in re.findall(r"(?m)^AGE-SECRET-KEY-1[0-9A-Z]+", text):
        try:
            return str(pyrage.x25519.Identity.from_str(line).to_public())
        except pyrage.IdentityError:
            continue
    raise RefusedError(f"{file} holds no age identity that can be read here", hint="write .sops.yaml by hand")


def make(file: Path) -> str:
    """Write a new identity, for the owner's eyes only, as age-keygen does; return its public half."""
    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    created = ages.stamp(datetime.now(UTC))
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.create(file, f"# created: {created}\n# public key: {public}\n{identity}\n".encode(), 0o600)
    return public
