"""What other hooks take for the same commit, and what they see: `make bench PEERS=1`.

The commit is the one that gate.py has staged.  Each hook comes from PyPI at a pinned version into a virtual environment
of its own, and is run by the program and with the files that its definition names: a run stands for what pre-commit
would start, without pre-commit.  validate-sops leaves `files` to its users; here it is given every `.sops.yaml`.

Four small cases stand beside the time.  A hook has *found* one where it stops the commit and names the line or the
field that is wrong, *refused* it where it stops the commit for something else, and *missed* it where it lets it pass;
*not given it* says that by its definition it never sees such a file.  A good Secret should pass.  The cases are put
together while this runs, so that no secret stands in this repository.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import pyrage
from bench import clock, fleet, peers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook as its definition has it; `command` gets the folder of its programs, `files` tells what it is given."""

    package: str
    command: Callable[[Path], list[str]]
    files: str = ""


OURS: Final = Hook("keyturn", lambda _: [str(fleet.PROGRAM), "validate", "--index", "--"])
PEERS: Final = (
    Hook("detect-secrets==1.5.0", lambda programs: [str(programs / "detect-secrets-hook")]),
    Hook("validate-sops==0.1.2", lambda programs: [str(programs / "validate-sops")], r"\.sops\.yaml$"),
    Hook(
        "pre-commit-hook-ensure-sops==1.1",
        lambda programs: [str(programs / "python"), "-m", "pre_commit_hook_ensure_sops"],
        "secret",
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A file with something wrong in a line, or below a field; with nothing wrong where both are empty."""

    what: str
    path: str
    line: int = 0
    field: str = ""


def measure(measured: Fleet, runs: int) -> None:
    """Print the table, and a line for each hook that could not be measured."""
    staged = measured.git("diff", "--cached", "--name-only").decode().strip()
    contestants, failed = [(OURS, OURS.command(fleet.PROGRAM.parent))], []
    for hook in PEERS:
        try:
            contestants.append((hook, hook.command(peers.programs(hook.package))))
        except clock.FailedError as error:
            failed.append(f"{hook.package} was not measured: {error}")
    takes = [
        partial(clock.run, [*argv, staged], cwd=measured.root, env=measured.env, codes=(0, 1))  # 1: it is refused
        for _, argv in contestants
    ]
    figures = clock.interleaved(runs * 3, *takes)
    cases = [*_cases(measured), Case("a good Secret", staged)]
    rows = [
        [
            hook.package,
            str(figure),
            f"{figure.over(figures[0]):.2f}",
            *(_verdict(measured, hook, argv, one) for one in cases),
        ]
        for (hook, argv), figure in zip(contestants, figures, strict=True)
    ]
    head = f"\nhooks on one Secret of {measured.count:,}, without pre-commit, medians of {runs * 3}\n"
    table = clock.table(["", "one Secret", "/ours", *(case.what for case in cases)], rows)
    print(head, table, *failed, sep="\n")  # noqa: T201 -- its answer


def _cases(measured: Fleet) -> list[Case]:
    """Stage what a commit should not hold."""
    key = f"3+ rfc4106(gcm(aes)) {secrets.token_hex(20)} 128"
    secret = f"clusters/{measured.names[0]}/{fleet.SECRET}"
    field = "stringData"
    before, sealed, after = (measured.root / secret).read_text("utf-8").partition(f"\n{field}:\n")
    if not sealed:
        raise clock.FailedError(f"the Secret has no {field}")
    texts = {
        "docs/lab.txt": f"# the lab\n\nkey: {key}\n",
        "docs/identity.txt": f"# of the lab\n{pyrage.x25519.Identity.generate()}\n",
        secret: f"{before}{sealed}    password: {secrets.token_urlsafe(12)}\n{after}",
    }
    for path, text in texts.items():
        (measured.root / path).parent.mkdir(exist_ok=True)
        (measured.root / path).write_text(text, "utf-8")
    measured.git("add", "--", *texts)
    line = before.count("\n") + 3
    wrong = (("an IPsec key", 3, ""), ("an age identity", 2, ""), ("a value in clear", line, field))
    return [Case(what, path, at, name) for (what, at, name), path in zip(wrong, texts, strict=True)]


def _verdict(measured: Fleet, hook: Hook, argv: list[str], case: Case) -> str:
    if not re.search(hook.files, case.path):
        return "not given it"
    code, words = clock.ended([*argv, case.path], cwd=measured.root, env=measured.env)
    if code == 0:
        return "missed" if case.line else "passes"
    place = rf":{case.line}\b|\b{case.field or '(?!)'}\b"
    return "found" if case.line and re.search(place, words) else "refused"
