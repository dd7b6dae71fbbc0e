"""The templates: the package's own, and those of the repository, which go before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import packaged
from generator.errors import InputError
from generator.findings import Finding
from generator.render import ENGINES, FILES, SUFFIX, Template
from generator.shapes import nearest
from generator.worktree import own

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDER = "templates"


def load(root: Path | None) -> tuple[dict[str, Template], list[Finding]]:
    """Return every template by name; without a root, the package's alone.

    One of the repository's that stands for nothing is a warning: most likely its name has a typo.  Names that start
    with `_` are parts for other templates to include.
    """
    ours = packaged.folder(_FOLDER)
    found = dict(_read(ours, _FOLDER))
    if root is None or root / _FOLDER == ours:
        return found, []
    theirs = dict(_read(own(root / _FOLDER), _FOLDER))
    known = [path + SUFFIX for path in (*FILES, *ENGINES)]
    findings = []
    for name, template in theirs.items():
        if name not in known and not name.rpartition("/")[2].startswith("_"):
            close = nearest(name, known)
            hint = f"did you mean {_FOLDER}/{close}?" if close else "a part to include starts with _"
            findings.append(Finding(template.path, 0, 0, "stray-template", "warning", "stands for no file", hint))
    return {**found, **theirs}, findings


def _read(folder: Path, shown: str) -> Iterator[tuple[str, Template]]:
    for file in sorted(folder.rglob(f"*{SUFFIX}")) if folder.is_dir() else ():
        name = file.relative_to(folder).as_posix()
        if file.is_symlink() or not file.is_file():
            raise InputError(f"{shown}/{name}: is no regular file", hint="write the template here")
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{shown}/{name}: the file is not UTF-8") from None
        yield name, Template(text, f"{shown}/{name}")
