"""The figures of `keyturn validate`: as a hook, under pre-commit, over the whole tree, and with the key at hand.

A rotation of one environment is staged in the fleet, as somebody who merges it by hand would have it.  The hook looks
at that, and once more at one file among many that have nothing to do with keyturn; there it is also measured among ten,
turn by turn, since its cost should follow what is staged and not the size of a repository.

The floor below a hook is a Python that does nothing and, one after the other, the git calls that keyturn makes; git
itself tells which these are, and is asked for no object.  It imports nothing and looks at nothing.
"""

from __future__ import annotations

import json
import shlex
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from bench import clock, fleet, turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.fleet import Fleet

MANY: Final = 50  # unrelated files for each environment of the fleet, so 50,000 for a whole one
FEW: Final = 10
LEAST: Final = "python -c '' and the same git calls"


def rows(measured: Fleet, folder: Path, runs: int, jobs: int, loop: Callable[[], float]) -> list[list[str]]:
    """Return the rows about `validate`; `folder` is an empty one, and `loop` the bare loop that has nothing to write.

    The fleet is committed.  The rotation is still staged afterwards.
    """
    is_full = measured.count == turns.ALL
    often = runs * 3 if is_full else runs  # a fifth of a second is soon measured, and soon wrong
    secret = _stage(measured)
    lines = [
        *_hook(measured, secret, often, "one Secret", "0.2 s"),
        _under_pre_commit(measured, folder / "pre-commit", often),
        *_whole(measured, runs, jobs, loop),
        *_unrelated(folder, measured.count * MANY, often),
    ]
    return lines if is_full else [[*line[:2], "", *line[3:]] for line in lines]


def _stage(measured: Fleet) -> str:
    """Stage a rotation of one environment, and return the path of its Secret."""
    name = measured.names[measured.count // 2]
    secret = f"clusters/{name}/{fleet.SECRET}"
    measured.keyturn("rotate", name)
    measured.git("checkout", "-q", f"keyturn/rotate-{name}-2", "--", secret)
    if measured.git("diff", "--cached", "--name-only").decode() != f"{secret}\n":
        raise clock.FailedError("the rotation of one environment is more than its Secret")
    return secret


def _hook(place: Fleet, path: str, runs: int, what: str, target: str, beside: Fleet | None = None) -> list[list[str]]:
    """Return the rows of the hook by either way to call it; `beside` is a smaller repository with the same change."""
    lines = []
    for words in (["--index", "--", path], ["--staged"]):
        takes = [partial(each.keyturn, "validate", *words) for each in (place, beside) if each is not None]
        ours, *small, least = clock.interleaved(runs, *takes, _floor(place, words))
        told = [f"; among {FEW} {one.median:.3f} s: {ours.over(one):.2f}" for one in small]
        lines.append(clock.row(f"validate {words[0]}, {what}", ours, target, least, "".join([LEAST, *told])))
    return lines


def _floor(place: Fleet, words: list[str]) -> Callable[[], float]:
    """Return a run of a Python that does nothing and of what keyturn asks git for, by git's own account."""
    told = place.home / "git-calls"
    told.unlink(missing_ok=True)
    argv: clock.Command = [fleet.PROGRAM, "--quiet", "validate", *words]
    clock.output(argv, cwd=place.root, env={**place.env, "GIT_TRACE2_EVENT": str(told)})
    events = [json.loads(line) for line in told.read_text("utf-8").splitlines()]
    calls = [event["argv"] for event in events if event["event"] == "start" and "/" not in event["sid"]]
    script = " && ".join(shlex.join(call) for call in ([sys.executable, "-c", ""], *calls))
    return partial(clock.run, ["sh", "-c", script], cwd=place.root, env=place.env)


def _under_pre_commit(measured: Fleet, folder: Path, runs: int) -> list[str]:
    """Return the row of the hook under pre-commit, beside the same run with a hook that does nothing."""
    folder.mkdir(parents=True)
    takes = []
    for name, entry in (("keyturn", f"{fleet.PROGRAM} validate --index --"), ("nothing", "true")):
        hook = {"id": name, "name": name, "language": "system", "entry": entry, "require_serial": True}
        config = folder / f"{name}.yaml"
        config.write_text(json.dumps({"repos": [{"repo": "local", "hooks": [hook]}]}), "utf-8")
        argv: clock.Command = [fleet.PROGRAM.with_name("pre-commit"), "run", "--config", config]
        if b"Passed" not in clock.output(argv, cwd=measured.root, env=measured.env):  # this warms up, too
            raise clock.FailedError(f"pre-commit does not run the hook {name}")
        takes.append(partial(clock.run, argv, cwd=measured.root, env=measured.env))
    ours, floor = clock.interleaved(runs, *takes)
    more = ours.without(floor).median
    words = f"pre-commit with a hook that does nothing; {more:.3f} s more"
    return clock.row("pre-commit run, one Secret", ours, "floor + 0.2 s", floor, words)


def _whole(measured: Fleet, runs: int, jobs: int, loop: Callable[[], float]) -> list[list[str]]:
    """Return the rows about the whole tree, without a key and with it."""
    count = measured.count
    bare, check, least, opened, alone = clock.interleaved(
        runs,
        partial(measured.keyturn, "validate", "--no-key"),
        partial(measured.keyturn, "render", "--check"),
        loop,
        partial(measured.keyturn, "validate", "--jobs", str(jobs)),
        partial(turns.alone, measured, "decrypt", count, jobs),
    )
    beside = f"the bare loop, which reads no Secret; {bare.over(check):.2f} x render --check"
    rest = f"sops decrypt alone, {jobs} at a time; without tier 1 {opened.without(bare).over(alone):.2f}"
    return [
        clock.row("validate --no-key, the whole tree", bare, "2.5 s", least, beside),
        clock.row(f"validate, {count:,} Secrets opened", opened, "1.15 x floor", alone, rest),
    ]


def _unrelated(folder: Path, count: int, runs: int) -> list[list[str]]:
    """Return the rows of the hook in a repository that has no environments."""
    many, few = _repository(folder / "many", count), _repository(folder / "few", FEW)
    return _hook(many, _FILE, runs, f"1 of {count:,} files", "0.25 s", few)


_FILE: Final = "d000/f000.txt"


def _repository(folder: Path, count: int) -> Fleet:
    """Return a repository of so many small files, 100 in a folder, of which _FILE is changed and staged."""
    place = fleet.Fleet(folder / "repo", folder / "home", 0)
    place.settle()
    place.root.mkdir()
    place.git("init", "-q", "-b", "main")
    stream = ["commit refs/heads/main\ncommitter bench <bench@localhost> 0 +0000\ndata 0\n"]
    for number in range(count):
        path, text = f"d{number // 100:03}/f{number % 100:03}.txt", f"file {number}\n"
        stream.append(f"M 100644 inline {path}\ndata {len(text)}\n{text}")
    place.git("fast-import", "--quiet", stdin="".join(stream).encode())
    place.git("reset", "-q", "--hard")
    (place.root / _FILE).write_text("another line\n", "utf-8")
    place.git("add", _FILE)
    return place
