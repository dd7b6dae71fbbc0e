"""The figures of rotations: one key, and all of them together, beside the same sops runs alone.

The fleet is committed first; every run makes its branches from the same commit, which are taken away before the next.
One rotation is measured in the fleet and in a workspace of ten, turn by turn.  Its floor is one `sops decrypt` and one
`sops encrypt`, and nothing of git's.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import clock, fleet

from generator import sops

if TYPE_CHECKING:
    from bench.fleet import Fleet

HERE: Final = Path(__file__).parent
FEW: Final = 10
ALL: Final = 1_000
TOGETHER: Final = "keyturn/rotate-together"


def rows(measured: Fleet, folder: Path, runs: int, jobs: int) -> list[list[str]]:
    """Return the rows about rotations; `folder` is an empty one for the workspace of ten."""
    few = fleet.Fleet(folder / "repo", folder / "home", min(FEW, measured.count))
    few.make()
    few.keyturn("render", "--new-identity")
    for each in (measured, few):
        each.commit()
    one, least, small = clock.interleaved(
        runs * 3, partial(_rotate_one, measured), partial(alone, measured, "turn", 1, 1), partial(_rotate_one, few)
    )
    all_, sops_alone = clock.interleaved(
        runs, partial(_together, measured), partial(alone, measured, "turn", measured.count, jobs)
    )
    whole = measured.count == ALL
    of_ten = f"at most 1.5 x {small.median:.3f} s in {few.count}: {one.over(small):.2f}"
    floor = f"sops alone, decrypt and encrypt; {of_ten}"
    many = f"sops alone, decrypt and encrypt, {jobs} at a time"
    return [
        clock.row("one rotation", one, "0.4 s" if whole else "", least, floor),
        clock.row(f"{measured.count:,} rotations --together", all_, "1.15 x floor" if whole else "", sops_alone, many),
    ]


def _rotate(measured: Fleet, branch: str, *words: str) -> float:
    seconds = measured.keyturn("rotate", *words)
    measured.git("update-ref", "-d", f"refs/heads/{branch}")  # fails where the branch was not made
    return seconds


def _rotate_one(measured: Fleet) -> float:
    name = measured.names[measured.count // 2]
    return _rotate(measured, f"keyturn/rotate-{name}-2", name)


def _together(measured: Fleet) -> float:
    return _rotate(measured, TOGETHER, "--all", "--together")


def alone(measured: Fleet, mode: str, count: int, jobs: int) -> float:
    """Run sops as often as keyturn does, on the files of one Secret, and nothing else; sops_alone.py has the modes."""
    program, secret = sops.find(measured.root), measured.secrets()[0]
    argv: clock.Command = [
        *(sys.executable, HERE / "sops_alone.py", mode, program, measured.root / ".sops.yaml", str(count), str(jobs)),
        secret,
    ]
    clear = (
        b"" if mode == "decrypt" else clock.output([program, "decrypt", secret], cwd=measured.root, env=measured.env)
    )
    return clock.run(argv, cwd=measured.root, env=measured.env, stdin=clear)
