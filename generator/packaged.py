"""Where the files lie that come with keyturn: beside the modules once installed, beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def folder(name: str) -> Path:
    """Return `templates`, `environments`, the samples, or `starter`, what else a new repository gets."""
    installed = _HERE / name
    return installed if installed.is_dir() else _HERE.parent / name
