"""What tests share: a workspace on a real disk with real git, the command line, and where outside data lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
PROJECT = HERE.parent
CHARTS = PROJECT.parent / "shared" / "facts" / "cilium-charts"
EXAMPLES = 100 * int(os.environ.get("KEYTURN_EXAMPLES", "1"))  # of each property

IPSEC = "cilium: {version: 1.16.0, values: {hubble: {enabled: false}}}\nencryption: {type: ipsec}\n"
WIREGUARD = "cilium: {version: 1.16.0, values: {hubble: {enabled: false}}}\nencryption: {type: wireguard}\n"


@dataclass(frozen=True)
class Ran:
    """How a command line ended."""

    code: int
    out: str
    err: str


@dataclass
class Repo:
    """A workspace in an empty folder; a git repository once `init` was called."""

    root: Path

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def read(self, path: str) -> str:
        return (self.root / path).read_text("utf-8")

    def environment(self, name: str, text: str = IPSEC) -> Path:
        return self.write(f"environments/{name}.yaml", text)

    def files(self) -> dict[str, bytes]:
        """Every file below the root but git's own, by POSIX path."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(self.root).parts
        }

    def init(self) -> None:
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, message: str = "a commit") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def run(self, *arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Ran:
        """Run keyturn as a program of its own, in the root."""
        done = subprocess.run(
            [sys.executable, "-m", "generator", *arguments],
            cwd=self.root,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


def missing(what: str) -> NoReturn:
    """Skip a test on a person's machine, and fail it where CI is set, since CI has to have everything."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def program(name: str) -> str:
    """Return a program beside this Python, else on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or missing(name)


def charts() -> Path:
    """Return the folder with values.yaml of real charts; it comes with no clone, so without it a test is skipped."""
    if not CHARTS.is_dir():
        pytest.skip(f"no data of real charts in {CHARTS}")
    return CHARTS
