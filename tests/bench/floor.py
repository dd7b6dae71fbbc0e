"""What any renderer has to do, and nothing else: the floor below `keyturn render`, run as a program.

For each environment: parse it by libyaml, merge its groups, validate it by a compiled schema, fill plain Jinja2
templates, compare with what stands there, and where that differs write and rename.  It knows no place of a value, tells
no error well, guards against nothing and reads no Secret.  Its templates are keyturn's own output with three values
taken out, so that it writes the same bytes; they hold no condition, no loop and no filter.

    floor.py cold|unchanged PREPARED ENVIRONMENTS OUT [NAME...]

PREPARED holds `templates/` and `schema_code.py`.  Where nothing should have changed, a write is exit code 1.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import jinja2
import yaml


def main() -> None:
    mode, prepared, environments, out, *names = sys.argv[1:]
    sys.path.insert(0, prepared)
    validate = importlib.import_module("schema_code").validate
    templates = _templates(Path(prepared) / "templates")
    groups: dict[str, Any] = {}
    writes = 0
    for name in names or sorted(file.stem for file in Path(environments).glob("*.yaml")):
        values = _environment(environments, name, groups)
        validate(values)
        shown = {"name": name, "id": values["cluster"]["id"], "version": values["cilium"]["version"]}
        for path, template in templates:
            writes += _put(f"{out}/{name}/{path}", template.render(shown).encode())
    sys.exit(mode == "unchanged" and writes > 0)


def _templates(folder: Path) -> list[tuple[str, jinja2.Template]]:
    jinja = jinja2.Environment(autoescape=False, keep_trailing_newline=True)  # noqa: S701 -- YAML, not HTML
    return [
        (file.relative_to(folder).as_posix(), jinja.from_string(file.read_text("utf-8")))
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]


def _environment(folder: str, name: str, groups: dict[str, Any]) -> Any:
    own = _load(f"{folder}/{name}.yaml")
    merged: Any = {}
    for group in own["extends"]:
        if group not in groups:
            groups[group] = _load(f"{folder}/groups/{group}.yaml")
        merged = _merge(merged, groups[group])
    return _merge(merged, own)


def _load(path: str) -> Any:
    with open(path, "rb") as stream:  # noqa: PTH123 -- a Path would be work that need not be
        return yaml.load(stream, Loader=yaml.CSafeLoader)


def _merge(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: _merge(below.get(key), value) for key, value in above.items()}


def _put(path: str, data: bytes) -> bool:
    """Write a file where it differs, and tell whether it did."""
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 -- likewise
            if stream.read() == data:
                return False
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 -- likewise
    with open(f"{path}.tmp", "wb") as stream:  # noqa: PTH123 -- likewise
        stream.write(data)
    os.replace(f"{path}.tmp", path)  # noqa: PTH105 -- likewise
    return True


if __name__ == "__main__":
    main()
