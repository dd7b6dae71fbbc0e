"""The templates: the package's own, and those of the repository, which go before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import packaged, tree
from generator.errors import InputError
from generator.findings import Finding
from generator.render import ENGINES, FILES, SUFFIX, Template
from generator.shapes import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from generator.source import Source


def load(source: Source | None) -> tuple[dict[str, Template], list[Finding]]:
    """Return every template by name; without a source, the package's alone.

    One of the repository's that stands for nothing is a warning: most likely its name has a typo.  Names that start
    with `_` are parts for other templates to include.
    """
    found = dict(_packaged(packaged.folder(tree.TEMPLATES)))
    theirs = dict(_read(source)) if source is not None else {}
    known = [path + SUFFIX for path in (*FILES, *ENGINES)]
    findings = []
    for name, template in theirs.items():
        if name not in known and not name.rpartition("/")[2].startswith("_"):
            close = nearest(name, known)
            hint = f"did you mean {tree.TEMPLATES}/{close}?" if close else "a part to include starts with _"
            findings.append(Finding(template.path, 0, 0, "stray-template", "warning", "stands for no file", hint))
    return {**found, **theirs}, findings


def _packaged(folder: Path) -> Iterator[tuple[str, Template]]:
    for file in sorted(folder.rglob(f"*{SUFFIX}")):
        name = file.relative_to(folder).as_posix()
        yield name, Template(file.read_text("utf-8"), f"{tree.TEMPLATES}/{name}")


def _read(source: Source) -> Iterator[tuple[str, Template]]:
    pending = [tree.TEMPLATES]
    while pending:
        folder = pending.pop()
        for entry in source.entries(folder):
            path = f"{folder}/{entry.name}"
            if entry.is_folder:
                pending.append(path)
            elif entry.name.endswith(SUFFIX):
                yield path.removeprefix(f"{tree.TEMPLATES}/"), Template(_text(source, path), path)


def _text(source: Source, path: str) -> str:
    data = source.read(path)
    if data is None:
        raise InputError(f"{path}: is no regular file", hint="write the template here")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: the file is not UTF-8") from None
