"""What the tests of keyturn on its own share: the command line without a root, and what `init` writes."""

from __future__ import annotations

import contextlib
import io
import re

from kit import PROJECT, Ran, Repo

from generator import __version__, cli

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


HOOKS = ".pre-commit-config.yaml"
STARTER = {".gitignore": "gitignore", HOOKS: "pre-commit-config.yaml", "Makefile": "Makefile", "README.md": "README.md"}
TEMPLATES = _below("templates")
WRITTEN = _below("environments") | {path: (_STARTER / name).read_bytes() for path, name in STARTER.items()}
WRITTEN[HOOKS] = re.sub(rb"@[A-Z]+@", b"", WRITTEN[HOOKS])  # at the top of a repository nothing stands there
CREATED = "".join(f"created {path}\n" for path in sorted(WRITTEN))

WORKFLOWS = {
    "github": {
        ".github/workflows/keyturn-rotate.yml": "github.yml",
        ".github/workflows/keyturn-validate.yml": "github-validate.yml",
    },
    "gitlab": {".gitlab-ci.yml": "gitlab.yml"},
}


def workflows(ci: str, place: str = "") -> dict[str, bytes]:
    """What the workflows say for a workspace in some folder of its repository, by their paths."""
    texts = {path: (_STARTER / "ci" / name).read_text("utf-8") for path, name in WORKFLOWS[ci].items()}
    words = {"@VERSION@": __version__, "@PLACE@": place or "."}
    return {path: re.sub("@[A-Z]+@", lambda one: words[one[0]], text).encode() for path, text in texts.items()}


NEXT = "next: put your clusters in the place of the samples, then"
SWITCH_ON = "keyturn: in each clone, pip install pre-commit && pre-commit install has every commit looked at\n"


def told(folder: object, *, repository: bool, root: str = "--root {} ", hooks: bool = True) -> str:
    """Return what `init` says beside its answer; `hooks` where it wrote those for pre-commit."""
    made = f"keyturn: made a git repository in {folder}\n" if repository else ""
    switched = SWITCH_ON if hooks else ""
    return f"{made}{switched}keyturn: {NEXT} keyturn {root.format(folder)}render --new-identity\n"
