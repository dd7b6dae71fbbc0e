"""How fast keyturn is, beside what the machine could do at all.  `make bench` runs it; it tests nothing.

1,000 environments in 20 groups (IPsec, Flux, demo), on tmpfs where there is one.  Each figure is the median of three
runs of a process of its own, and beside it stands a floor that the same run measures, turn by turn with it:

- a bare loop (floor.py), which fills templates of the same files and is checked to write the same bytes;
- the same number of sops runs alone, as many at a time (sops_alone.py);
- a Python that does nothing, and below a hook the git calls that it makes (gate.py);
- pre-commit with a hook that does nothing;
- kubectl alone, for what `verify` asks (looking.py);
- tcpdump and tshark on the same capture (traffic.py).

What is not like with like: keyturn reads each Secret and checks it, tells the place of every value and syncs what it
writes to the disk, and the floor does none of that.  Peak memory is that of the largest process of a run.  Targets
hold for 1,000 environments on two processors, so another fleet is measured without those that depend on its size.

PEERS=1 adds what other hooks take for the same commit (hooks.py), and other tools for the same files (peers.py).
`--environments 100` is a quick look.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that this file runs as a program

import fastjsonschema
from bench import clock, fleet, gate, hooks, looking, peers, traffic, turns

from generator import sops

HERE: Final = Path(__file__).parent
ALL: Final = 1_000
JOBS: Final = os.cpu_count() or 1
HEAD: Final = ("", "ours", "target", "floor", "ours/floor", "the floor is")


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-", dir=fleet.tmpfs()) as folder:
        work = Path(folder)
        measured = fleet.Fleet(work / "repo", work / "home", options.environments)
        measured.make()
        bench = Bench(measured, work / "floor", options.runs)
        bench.prepare()
        each = len(measured.files()) // measured.count
        print(  # noqa: T201 -- what it is for
            f"{measured.count:,} environments in {fleet.GROUPS} groups, {each} files and a Secret each, "
            f"{JOBS} processors, medians of {options.runs}, in {folder}\n"
        )
        rows = [*bench.trees(), bench.memory(), bench.help()]
        if options.secrets:
            rows.append(bench.secrets(options.secrets))
        rows += turns.rows(measured, work / "few", options.runs, JOBS)
        rows += gate.rows(measured, work / "gate", options.runs, JOBS, partial(bench.loop, "unchanged"))
        rows += looking.rows(measured, work / "looking", options.runs, options.nodes)
        rows += traffic.rows(measured, work / "traffic", options.runs, options.packets)
        print(clock.table(HEAD, rows))  # noqa: T201 -- likewise
        if os.environ.get("PEERS"):
            hooks.measure(measured, options.runs)
    if os.environ.get("PEERS"):
        peers.measure(options.runs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast keyturn is, beside what the machine could do at all.")
    parser.add_argument("--environments", type=int, default=ALL, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--secrets", type=int, metavar="N", help="first Secrets to make, 0 for none (default: all)")
    parser.add_argument(
        "--nodes", type=int, default=looking.ALL, metavar="N", help="of a cluster to verify (default: %(default)s)"
    )
    parser.add_argument(
        "--packets", type=int, default=traffic.ALL, metavar="N", help="of a capture (default: %(default)s)"
    )
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each figure (default: %(default)s)")
    options = parser.parse_args()
    if options.environments < 2 or options.runs < 1:
        parser.error("two environments and one run are the least")
    options.secrets = options.environments if options.secrets is None else min(options.secrets, options.environments)
    return options


@dataclass(frozen=True, slots=True)
class Bench:
    """The figures of one fleet; `folder` is where the floor has its templates and its tree."""

    fleet: fleet.Fleet
    folder: Path
    runs: int

    def prepare(self) -> None:
        """Render everything once, so that each Secret is there and every module is compiled; give the floor the same.

        Raises FailedError where the floor does not write the bytes that keyturn writes.
        """
        self.fleet.keyturn("render", "--new-identity")
        for path, text in fleet.templates(self.fleet.pattern(), "{{ % }}").items():
            file = self.folder / "templates" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        code = fastjsonschema.compile_to_code(self.fleet.schema())
        (self.folder / "schema_code.py").write_text(code, "utf-8")
        self.loop("cold")
        ours, theirs = self.fleet.files(), fleet.files_below(self._tree)
        if ours.keys() != theirs.keys() or fleet.equal(ours, theirs) != len(ours):
            raise clock.FailedError("the bare loop does not write what keyturn writes")

    @property
    def _tree(self) -> Path:
        return self.folder / "clusters"

    def loop(self, mode: str, *names: str) -> float:
        return clock.run([*self._bare_loop(mode), *names], cwd=self.folder, env=self.fleet.env)

    def _bare_loop(self, mode: str) -> clock.Command:
        return [sys.executable, HERE / "floor.py", mode, self.folder, self.fleet.root / "environments", self._tree]

    def trees(self) -> list[list[str]]:
        """The rows about whole trees, and the one about a single environment."""
        one = self.fleet.names[self.fleet.count // 2]
        cold, least_cold = clock.interleaved(self.runs, self._cold, self._loop_cold)
        before = self._state()
        second, check, single, least, least_single = clock.interleaved(
            self.runs,
            partial(self.fleet.keyturn, "render"),
            partial(self.fleet.keyturn, "render", "--check"),
            partial(self.fleet.keyturn, "render", "--check", one),
            partial(self.loop, "unchanged"),
            partial(self.loop, "unchanged", one),
        )
        if self._state() != before:
            raise clock.FailedError("a second run or --check has written")
        return [
            clock.row("from an empty tree", cold, self._target("2.0 s"), least_cold, "the bare loop"),
            clock.row("a second run", second, self._target("1.2 s"), least, "the bare loop, nothing to write"),
            clock.row("--check", check, self._target("1.2 s"), least, "the bare loop, nothing to write"),
            clock.row(f"--check {one}", single, self._target("0.3 s"), least_single, "the bare loop, one environment"),
        ]

    def memory(self) -> list[str]:
        """The row about peak memory, of runs of their own."""
        ours = self._megabytes([fleet.PROGRAM, "--quiet", "render"])
        floor = self._megabytes(self._bare_loop("unchanged"))
        numbers = [f"{ours:.0f} MB", self._target("300 MB"), f"{floor:.0f} MB", f"{ours / floor:.2f}"]
        return ["peak memory of a second run", *numbers, "the bare loop, nothing to write"]

    def _megabytes(self, argv: clock.Command) -> float:
        peaks = [clock.megabytes(argv, cwd=self.fleet.root, env=self.fleet.env) for _ in range(self.runs)]
        return statistics.median(peaks)

    def _cold(self) -> float:
        self.fleet.empty()
        return self.fleet.keyturn("render")

    def _loop_cold(self) -> float:
        shutil.rmtree(self._tree)
        return self.loop("cold")

    def _state(self) -> dict[str, tuple[int, int]]:
        """What shows a write: which file it is on the disk, and when it was last changed.  The lock does not count."""
        found = (file for file in self.fleet.root.rglob("*") if file.name != ".keyturn.lock")
        return {str(file): ((seen := file.lstat()).st_ino, seen.st_mtime_ns) for file in found}

    def _target(self, seconds: str) -> str:
        return seconds if self.fleet.count == ALL else ""

    def help(self) -> list[str]:
        bare = [sys.executable, "-c", ""]
        ours, floor = clock.interleaved(
            self.runs * 3,  # a tenth of a second is soon measured, and soon wrong
            partial(self.fleet.keyturn, "--help"),
            lambda: clock.run(bare, cwd=self.fleet.root, env=self.fleet.env),
        )
        return clock.row("--help", ours, "0.12 s", floor, "python -c ''")

    def secrets(self, count: int) -> list[str]:
        """The row about first Secrets, where all the rest of the tree stands already."""
        gone = self.fleet.secrets()[:count]
        program = sops.find(self.fleet.root)
        clear = self._clear(program, gone[0])
        config = self.fleet.root / ".sops.yaml"

        def keyturn() -> float:
            for file in gone:
                file.unlink()
            ran = self.fleet.keyturn("render", "--jobs", str(JOBS))
            if not all(file.exists() for file in gone):
                raise clock.FailedError("not every Secret was made")
            return ran

        def alone() -> float:
            argv: clock.Command = [
                sys.executable,
                HERE / "sops_alone.py",
                "encrypt",
                program,
                config,
                str(count),
                str(JOBS),
            ]
            return clock.run(argv, cwd=self.fleet.root, env=self.fleet.env, stdin=clear)

        ours, floor = clock.interleaved(self.runs, keyturn, alone)
        target = "1.15 x floor" if count == ALL else ""
        return clock.row(f"{count:,} first Secrets", ours, target, floor, f"sops alone, {JOBS} at a time")

    def _clear(self, program: str, file: Path) -> bytes:
        """What keyturn gave to sops, had back by sops; the key is one of a cluster that does not exist."""
        return clock.output([program, "decrypt", file], cwd=self.fleet.root, env=self.fleet.env)


if __name__ == "__main__":
    try:
        main()
    except clock.FailedError as error:
        sys.exit(f"bench: {error}")
