"""Charts on the disk: folders and archives that somebody gave, and a cache of what was pulled.

An archive may come from anywhere: nothing in it leaves the folder that it is unpacked into, links are refused, and
what it may grow to is limited before it is read.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from generator import charts, files, yamlio
from generator.errors import InputError
from generator.nodes import plain
from generator.redaction import redact

if TYPE_CHECKING:
    from generator.helm import Reference
    from generator.nodes import Node, Plain

MAX_BYTES: Final = 64 << 20  # what a chart may hold; Cilium's is 3 MiB
MAX_MEMBERS: Final = 10_000
_BLOCK: Final = 512  # bytes of a tar archive's headers, at least one a member
_SCHEMA: Final = "values.schema.json"
GIVE: Final = "give a chart's folder, or its .tgz"


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart's files say; `shown` is how messages call it.  `folder` is whole, for Helm, where it renders."""

    folder: Path
    shown: str
    version: str | None = None
    keys: charts.Keys | None = field(default=None, repr=False)  # None: it has no values.yaml
    schema: charts.Schema | None = field(default=None, repr=False)
    missing: str = ""  # why it cannot be rendered


def read(folder: Path, shown: str) -> Chart:
    """Return the chart in a folder.  Raises InputError where there is none, or a file of it cannot be read."""
    meta = _yaml(folder, "Chart.yaml", shown)
    values = _yaml(folder, "values.yaml", shown)
    if meta is None and values is None:
        raise InputError(f"{shown} is no chart: it has neither Chart.yaml nor values.yaml", hint=GIVE)
    version = meta[0].get("version") if meta else None
    lacks = "Chart.yaml" if meta is None else "" if (folder / "templates").is_dir() else "templates"
    schema = _schema(folder, shown)
    defaults = plain(values[0]) if values else None
    assert isinstance(defaults, dict | None)  # noqa: S101 -- _yaml takes nothing else
    keys: charts.Keys | None = None
    if values:
        keys = charts.known(values[0], values[1], schema)
        keys |= dict.fromkeys(_dependencies(meta[0]) if meta else ())
    return Chart(
        folder,
        shown,
        version.text if version is not None else None,
        keys,
        charts.Schema(schema, f"{shown}/{_SCHEMA}", defaults) if schema is not None else None,
        f"{shown} has no {lacks}: its values and schema are used, nothing is rendered" if lacks else "",
    )


def _yaml(folder: Path, name: str, shown: str) -> tuple[Node, str] | None:
    data = _bytes(folder / name, f"{shown}/{name}", yamlio.MAX_BYTES)
    if data is None:
        return None
    node, findings = yamlio.read(data, f"{shown}/{name}")
    serious = [one for one in findings if one.rule != "duplicate-key"]
    if node is None or serious or not isinstance(node.value, dict | None):
        where = f"{shown}/{name}:{serious[0].line}: {serious[0].message}" if serious else f"{shown}/{name}: no mapping"
        raise InputError(charts.told(where), hint="take the chart as it came")
    return node, data.decode("utf-8-sig")


def _bytes(file: Path, shown: str, most: int) -> bytes | None:
    """Return a file's content, whole or with one byte too many; None where there is none."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream:
            return stream.read(most + 1)
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}") from None


def _schema(folder: Path, shown: str) -> Plain:
    data = _bytes(folder / _SCHEMA, f"{shown}/{_SCHEMA}", MAX_BYTES)
    if data is None:
        return None
    try:
        schema: Plain = json.loads(data)
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict | bool):
        raise InputError(f"{shown}/{_SCHEMA} is no JSON Schema", hint="take the chart as it came")
    return schema


def _dependencies(meta: Node) -> list[str]:
    """Return the names under which a chart's values go to the charts inside it."""
    node = meta.get("dependencies")
    found = ["tags"] if node is not None else []
    for one in node.value if node is not None and isinstance(node.value, list) else []:
        name = one.get("alias") or one.get("name")
        found += [name.text] if name is not None else []
    return found


def alone(chart: Chart, folder: Path) -> Chart:
    """Return a chart in a copy without the schemas in it, which Helm would follow to wherever they lead."""
    try:
        shutil.copytree(chart.folder, folder, ignore=shutil.ignore_patterns(_SCHEMA, ".git"))
    except OSError as error:
        why = error.strerror or "see what its links lead to"
        raise InputError(f"{chart.shown} cannot be read: {why}") from None
    return replace(chart, folder=folder)


def archive(path: Path, shown: str) -> bytes:
    """Return a file that may be an archive, whole."""
    data = _bytes(path, shown, MAX_BYTES)
    if data is None or len(data) > MAX_BYTES:
        raise InputError(f"{shown} is no chart: it has more than {MAX_BYTES >> 20} MiB", hint=GIVE)
    return data


def unpack(data: bytes, folder: Path, shown: str) -> Path:
    """Write what an archive holds into a new folder and return the chart's own, which is the one at its top.

    Raises InputError where it is no chart's archive, or one that could do harm.
    """
    try:
        members = _members(_unzipped(data), shown)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError, RecursionError):
        raise InputError(f"{shown} is no chart: not a .tgz", hint=GIVE) from None
    tops = {path.parts[0] for path in members}
    if len(tops) != 1 or any(len(path.parts) == 1 or not members.keys().isdisjoint(path.parents) for path in members):
        raise InputError(f"{shown} is no chart: it holds no folder, or several", hint=GIVE)
    for path, content in members.items():
        file = folder / path
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder / tops.pop()


def _unzipped(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return stream.read(MAX_BYTES + MAX_MEMBERS * 4 * _BLOCK + 1)


def _members(data: bytes, shown: str) -> dict[PurePosixPath, bytes]:
    """Return path -> content of the files in an archive that is in memory, and so no larger than it may be."""
    found: dict[PurePosixPath, bytes] = {}
    size = 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for number, member in enumerate(archive):
            size += member.size
            if number >= MAX_MEMBERS or size > MAX_BYTES or member.size < 0:
                message = f"{shown} holds more than {MAX_MEMBERS:,} files, or more than {MAX_BYTES >> 20} MiB"
                raise InputError(message, hint="Cilium's chart is far smaller")
            if member.isdir():
                continue
            path = PurePosixPath(member.name)
            away = path.is_absolute() or ".." in path.parts or not {"\\", "\0"}.isdisjoint(member.name)
            if away or not path.parts or not member.isfile():
                raise InputError(f"{shown} holds {redact(member.name)!r}, which is no file inside it", hint=GIVE)
            stream = archive.extractfile(member)
            found[path] = stream.read() if stream else b""
    return found


@dataclass(frozen=True, slots=True)
class Cache:
    """Charts that were pulled, by digest, with an index of what they were pulled as; any of it may go at any time."""

    folder: Path

    def get(self, reference: Reference) -> bytes | None:
        """Return the chart's archive, None where it is not there whole."""
        try:
            entry = json.loads(self._entry(reference).read_bytes())
            digest = str(entry["digest"])
            if entry != _entry(reference, digest) or not re.fullmatch("[0-9a-f]{64}", digest):
                return None
            data = (self.folder / f"{digest}.tgz").read_bytes()
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return data if hashlib.sha256(data).hexdigest() == digest else None

    def keep(self, reference: Reference, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        _write(self.folder / f"{digest}.tgz", data)
        _write(self._entry(reference), json.dumps(_entry(reference, digest), indent=1).encode() + b"\n")

    def _entry(self, reference: Reference) -> Path:
        whole = f"{reference.repository}\n{reference.name}\n{reference.version}"
        short = hashlib.sha256(whole.encode()).hexdigest()[:16]
        return self.folder / "refs" / f"{reference.name}-{reference.version}-{short}.json"


def _entry(reference: Reference, digest: str) -> dict[str, str]:
    return {
        "repository": reference.repository,
        "name": reference.name,
        "version": reference.version,
        "digest": digest,
    }


def _write(path: Path, data: bytes) -> None:
    """Write a whole file, also where another keyturn writes the same one."""
    own = path.with_name(f"{path.name}.{os.getpid()}")
    files.write(own, data)
    own.replace(path)
