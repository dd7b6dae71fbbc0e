"""A workspace of many environments on tmpfs, keyturn run in it, and the files of one environment as a pattern.

The environments are IPsec with Flux and the demo, in 20 groups; there is no git repository before `commit`, so that
removed Secrets may be made again.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import clock

PROGRAM: Final = Path(sys.executable).parent / "keyturn"
GROUPS: Final = 20
VERSION: Final = "1.16.0"
SECRET: Final = "secrets/cilium-ipsec-keys.sops.yaml"  # noqa: S105 -- a path
MARKS: Final = {"name": "¤name¤", "id": "¤id¤", "version": "¤version¤"}  # what differs, in a pattern

BRACES: Final = {"open": "¤open¤", "close": "¤close¤"}  # what a template would take for its own


@dataclass(frozen=True, slots=True)
class Fleet:
    """`count` environments c0000, c0001 and so on in the workspace `root`; `home` is the home folder of all runs."""

    root: Path
    home: Path
    count: int

    @property
    def names(self) -> list[str]:
        return [f"c{number:04}" for number in range(self.count)]

    @property
    def env(self) -> dict[str, str]:
        """The variables for every program that is timed: nothing of the person who measures."""
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "TMPDIR": str(self.home)}

    def make(self) -> None:
        """Write the environments; each says something of its own."""
        self.settle()
        (self.root / "environments" / "groups").mkdir(parents=True)
        for group in range(GROUPS):
            self._write(
                f"groups/g{group}",
                f"cilium:\n  version: {VERSION}\n  values: {{hubble: {{enabled: false}}}}\n"
                "demo: {endor: true, ping: true}\n",
            )
        for number, name in enumerate(self.names):
            self._write(name, f"extends: [{group_of(number)}]\ncluster: {{id: {id_of(number)}}}\n" + _IPSEC)

    def settle(self) -> None:
        """Make the home folder, of somebody whom git takes commits from."""
        self.home.mkdir(parents=True)
        (self.home / ".gitconfig").write_text("[user]\nname = bench\nemail = bench@localhost\n", "utf-8")

    def commit(self) -> None:
        """Make it a repository, of one commit."""
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "the fleet"]):
            self.git(*words)

    def git(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run git, untimed, and return what it prints."""
        return clock.output(["git", *words], cwd=self.root, env=self.env, stdin=stdin)

    def _write(self, name: str, text: str) -> None:
        (self.root / f"environments/{name}.yaml").write_text(text, "utf-8")

    def keyturn(self, *arguments: str) -> float:
        """Run the program that this Python environment holds, without the lines about files."""
        return clock.run([PROGRAM, "--quiet", *arguments], cwd=self.root, env=self.env)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of an environment file."""
        schema: dict[str, Any] = json.loads(clock.output([PROGRAM, "schema"], cwd=self.root, env=self.env))
        return schema

    def secrets(self) -> list[Path]:
        return [file for name in self.names if (file := self.root / f"clusters/{name}/{SECRET}").exists()]

    def empty(self) -> None:
        """Take everything out of the tree but the Secrets and the folders that hold them."""
        for entry in sorted((self.root / "clusters").rglob("*"), reverse=True):
            if not entry.is_dir():
                if not entry.name.endswith(".sops.yaml"):
                    entry.unlink()
            elif not any(entry.iterdir()):
                entry.rmdir()

    def files(self) -> dict[str, Path]:
        """Return every rendered file by its path below `clusters/`, the Secrets not among them."""
        return files_below(self.root / "clusters")

    def pattern(self) -> dict[str, str]:
        """Return the rendered files of one environment by path, with MARKS where another would say something else."""
        number, name = 1, self.names[1]
        marked = {}
        for path, file in files_below(self.root / "clusters" / name).items():
            text = file.read_text("utf-8")
            if any(start in text for start in ("{%", "{#", "¤")):
                raise clock.FailedError(f"{path} cannot be made a template: it holds template syntax")
            text = text.replace("{{", BRACES["open"]).replace("}}", BRACES["close"])
            text = text.replace(name, MARKS["name"]).replace(VERSION, MARKS["version"])
            marked[path] = text.replace(f"\n  id: {id_of(number)}\n", f"\n  id: {MARKS['id']}\n")
        return marked


_IPSEC: Final = "encryption:\n  type: ipsec\n"


def group_of(number: int) -> str:
    return f"g{number % GROUPS}"


def id_of(number: int) -> int:
    return number % 256


def templates(pattern: dict[str, str], expression: str) -> dict[str, str]:
    """Return a pattern as templates; `expression` is how a tool writes a value, with % for its name."""
    braces = {"open": '{{ "{{" }}', "close": '{{ "}}" }}'}  # so write Jinja2 and Go alike
    return _filled(pattern, {key: expression.replace("%", key) for key in MARKS} | braces)


def files_of(pattern: dict[str, str], name: str, number: int) -> dict[str, str]:
    """Return a pattern as the files of one environment."""
    return _filled(pattern, {"name": name, "id": str(id_of(number)), "version": VERSION, "open": "{{", "close": "}}"})


def _filled(pattern: dict[str, str], values: dict[str, str]) -> dict[str, str]:
    files = dict(pattern)
    for key, mark in (MARKS | BRACES).items():
        files = {path: text.replace(mark, values[key]) for path, text in files.items()}
    return files


def files_below(folder: Path) -> dict[str, Path]:
    """Return every file below a folder by its POSIX path in it, in order; Secrets are left out."""
    return {
        file.relative_to(folder).as_posix(): file
        for file in sorted(folder.rglob("*"))
        if not file.name.endswith(".sops.yaml") and file.is_file()
    }


def equal(ours: dict[str, Path], theirs: dict[str, Path]) -> int:
    """Return how many files are in both, byte for byte."""
    return sum(file.read_bytes() == theirs[path].read_bytes() for path, file in ours.items() if path in theirs)


def tmpfs() -> Path | None:
    """Return a folder in memory, None where the system has none at the usual place."""
    shared = Path("/dev/shm")  # noqa: S108 -- by purpose; what is made in it is made safely
    return shared if shared.is_dir() else None
