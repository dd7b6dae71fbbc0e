"""What the tests of the edges share: age identities, the real sops, stand-in programs, and what stands on a disk."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pyrage
from kit import IPSEC, Ran, Repo, missing, program

from generator import cli, sops

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "secrets/cilium-ipsec-keys.sops.yaml"  # noqa: S105 -- a path

RULE = r"""creation_rules:
  - path_regex: ^clusters/[^/]+/secrets/[^/]+\.sops\.yaml$
    encrypted_regex: ^(data|stringData)$
"""


def identity(file: Path) -> str:
    """Add a new age identity to a file and return its public half."""
    made = pyrage.x25519.Identity.generate()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"{made}\n")
    file.chmod(0o600)
    return str(made.to_public())


def config(*recipients: str) -> str:
    """Return a `.sops.yaml` for every Secret in the tree, whose recipients somebody chose."""
    return f"{RULE}    age: {','.join(recipients)}\n"


def keyring(home: Path) -> Path:
    """Return where sops looks for identities on Linux with nothing but HOME set."""
    return home / ".config" / "sops" / "age" / "keys.txt"


def lab(repo: Repo, home: Path, text: str = IPSEC, name: str = "lab") -> str:
    """Make a repository with one environment, an identity and a `.sops.yaml` for it; return the public half."""
    repo.init()
    repo.environment(name, text)
    public = identity(keyring(home))
    repo.write(".sops.yaml", config(public))
    return public


def command(root: Path, *arguments: str) -> Ran:
    """Run a command line inside this process, five times as fast; for claims that are not about processes."""
    return words("--root", str(root), *arguments)


def words(*arguments: str) -> Ran:
    """Run a command line inside this process, where the test stands."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(list(arguments))
    return Ran(code, out.getvalue(), err.getvalue())


def real_sops(folder: Path) -> str:
    """Return the path of the sops that keyturn would run."""
    return sops.find(folder)


def decrypt(file: Path) -> str:
    """Return what the real sops makes of a file, by the identities that the environment offers."""
    done = subprocess.run(
        [real_sops(file.parent), "decrypt", file.name],
        cwd=file.parent,
        env={**os.environ, "SOPS_DISABLE_VERSION_CHECK": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def script(folder: Path, name: str, body: str) -> Path:
    """Write a small program for sh."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}", "utf-8")
    file.chmod(0o755)
    return file


@functools.cache
def strace() -> str:
    """Return strace, where the system lets it trace."""
    found = program("strace")
    done = subprocess.run([found, "-o", os.devnull, "true"], capture_output=True, check=False)
    return found if done.returncode == 0 else missing("the right to trace programs")


def whole_calls(log: str) -> list[str]:
    """Return strace's lines; a call that another process interrupted begins as it began."""
    begun: dict[str, str] = {}
    lines = []
    for line in log.splitlines():
        process, _, call = line.partition(" ")
        if line.endswith("<unfinished ...>"):
            begun[process] = call.strip().removesuffix("<unfinished ...>")
        start, resumed, rest = line.partition(" resumed>")
        lines.append(f"{process} {begun.get(process, start)}{rest}" if resumed else line)
    return lines


Entry = tuple[int, int, int, bytes]


def standing(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, Entry]:
    """Return path -> mode, inode, time of change and content (of a link: its target) of everything in a folder.

    A folder's own time tells of files that came and went in it.
    """
    found: dict[str, Entry] = {}
    pending = [folder]
    while pending:
        path = pending.pop()
        name = path.relative_to(folder).as_posix()
        if name in without:
            continue
        state = path.lstat()
        content = b""
        if stat.S_ISDIR(state.st_mode):
            pending += path.iterdir()
        elif stat.S_ISLNK(state.st_mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(state.st_mode):
            content = path.read_bytes()
        found[name] = state.st_mode, state.st_ino, state.st_mtime_ns, content
    return found
