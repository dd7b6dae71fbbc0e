"""What the tests of keyturn on its own share: the command line without a root, and what `init` writes."""

from __future__ import annotations

import contextlib
import io

from kit import PROJECT, Ran, Repo

from generator import cli

_STARTER = PROJECT / "generator" / "starter"


def keyturn(*words: object) -> Ran:
    """Run a command line in this process, with no root named."""
    written = [io.BytesIO(), io.BytesIO()]  # Click writes bytes too
    out, err = (io.TextIOWrapper(stream, "utf-8", write_through=True) for stream in written)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([*map(str, words)])
    return Ran(code, *(stream.getvalue().decode() for stream in written))


def init(*words: object) -> Ran:
    return keyturn("init", *words)


def _below(folder: str) -> dict[str, bytes]:
    return {f"{folder}/{path}": data for path, data in Repo(PROJECT / folder).files().items()}


STARTER = {".gitignore": "gitignore", "Makefile": "Makefile", "README.md": "README.md"}
TEMPLATES = _below("templates")
WRITTEN = _below("environments") | {path: (_STARTER / name).read_bytes() for path, name in STARTER.items()}
CREATED = "".join(f"created {path}\n" for path in sorted(WRITTEN))


NEXT = "next: put your clusters in the place of the samples, then"


def told(folder: object, *, repository: bool, root: str = "--root {} ") -> str:
    """Return what `init` says beside its answer."""
    made = f"keyturn: made a git repository in {folder}\n" if repository else ""
    return f"{made}keyturn: {NEXT} keyturn {root.format(folder)}render --new-identity\n"
