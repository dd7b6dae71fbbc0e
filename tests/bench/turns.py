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
        _commit(each)
    one, least, small = clock.interleaved(
        runs * 3, partial(_rotate_one, measured), partial(_alone, measured, 1, 1), partial(_rotate_one, few)
    )
    all_, sops_alone = clock.interleaved(
        runs, partial(_together, measured), partial(_alone, measured, measured.count, jobs)
    )
    whole = measured.count == ALL
    of_ten = f"at most 1.5 x {small.median:.3f} s in {few.count}: {one.over(small):.2f}"
    floor = f"sops alone, decrypt and encrypt; {of_ten}"
    return [
        ["one rotation", str(one), "0.4 s" if whole else "", str(least), f"{one.over(least):.2f}", floor],
        [
            f"{measured.count:,} rotations --together",
            str(all_),
            "1.15 x floor" if whole else "",
            str(sops_alone),
            f"{all_.over(sops_alone):.2f}",
            f"sops alone, decrypt and encrypt, {jobs} at a time",
        ],
    ]


def _commit(measured: Fleet) -> None:
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "the fleet"]):
        _git(measured, *words)


def _git(measured: Fleet, *words: str) -> None:
    name = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    clock.output(["git", *name, *words], cwd=measured.root, env=measured.env)


def _rotate(measured: Fleet, branch: str, *words: str) -> float:
    env = {**measured.env, **{f"GIT_{who}_{what}": "bench" for who in ("AUTHOR", "COMMITTER") for what in _WHO}}
    seconds = clock.run([fleet.PROGRAM, "--quiet", "rotate", *words], cwd=measured.root, env=env)
    _git(measured, "update-ref", "-d", f"refs/heads/{branch}")  # fails where the branch was not made
    return seconds


_WHO: Final = ("NAME", "EMAIL")


def _rotate_one(measured: Fleet) -> float:
    name = measured.names[measured.count // 2]
    return _rotate(measured, f"keyturn/rotate-{name}-2", name)


def _together(measured: Fleet) -> float:
    return _rotate(measured, TOGETHER, "--all", "--together")


def _alone(measured: Fleet, count: int, jobs: int) -> float:
    """Run sops as often as keyturn does, on the same files, and nothing else."""
    program = sops.find(measured.root)
    argv: clock.Command = [
        *(sys.executable, HERE / "sops_alone.py", program, measured.root / ".sops.yaml", str(count), str(jobs)),
        measured.secrets()[0],
    ]
    clear = clock.output([program, "decrypt", measured.secrets()[0]], cwd=measured.root, env=measured.env)
    return clock.run(argv, cwd=measured.root, env=measured.env, stdin=clear)
