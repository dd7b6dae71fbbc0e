"""The programs of `make e2e`: Go modules pinned under tools/, built once and kept outside the repository.

As a program it builds what is missing and prints a line for each; as a module it says where a program lies.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NoReturn

TOOLS: Final = Path(__file__).parent / "tools"
READ: Final = "crds"  # the one folder whose modules are read and not built
LONGEST: Final = ("kube-apiserver", "kustomize-controller", "source-controller", "helm-controller", "sops", "helm")
BUILDS: Final = sorted(  # the longest first: what they share is compiled then
    (file.parent.name for file in TOOLS.glob("*/go.mod") if file.parent.name != READ),
    key=lambda name: (LONGEST.index(name) if name in LONGEST else len(LONGEST), name),
)
ELSEWHERE: Final = {
    "kubectl": ["version", "--client"],
    "sops of pip": ["--disable-version-check", "--version"],
    "git": ["--version"],
    "openssl": ["version"],
    "tcpdump": ["--version"],
}
# The last word of a package's path, where it is not the program's name.
NAMES: Final = {
    "v3": "etcd",
    "v4": "helm",
    "v5": "kustomize",
    "wireguard": "wireguard-go",
    "kustomize-sops": "ksops",
}
LIMIT: Final = 45 * 60  # seconds for one program, on a machine that does something else as well
LEAST: Final = (1, 26, 3)  # the newest `go` line of a go.mod under tools/
AROUND: Final = dict(os.environ)  # tests change HOME, and Go's caches are below the user's
HOME: Final = Path.home()


class FailedError(Exception):
    """A program could not be built, or Go is missing or too old; its text says why."""


def kept() -> Path:
    """Return the folder of all builds: $KEYTURN_E2E, else in the user's cache."""
    cache = Path(AROUND.get("XDG_CACHE_HOME") or HOME / ".cache")
    return Path(AROUND.get("KEYTURN_E2E") or cache / "keyturn" / "e2e").absolute()


def folder(name: str) -> Path:
    """Return where a module's programs lie, or would: its name, and a hash over its module files."""
    files = [TOOLS / name / file for file in ("go.mod", "go.sum")]
    told = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    return kept() / f"{name}-{told[:16]}"


def packages(name: str) -> list[str]:
    """Return the packages of a module's `tool` lines."""
    return re.findall(r"(?m)^tool (\S+)$", (TOOLS / name / "go.mod").read_text("utf-8"))


def version(name: str) -> str:
    """Return the version that a module pins of its first program: that of the module which holds the package."""
    text, package = (TOOLS / name / "go.mod").read_text("utf-8"), packages(name)[0]
    required = re.findall(r"(?m)^(?:require )?\s*(\S+) (v\S+)", text)
    _, found = max((len(path), number) for path, number in required if f"{package}/".startswith(f"{path}/"))
    return str(found)


def go() -> str:
    """Return a Go that is new enough: the one on PATH, else the one beside this Python.  Raises FailedError."""
    for found in (
        shutil.which("go", path=AROUND.get("PATH")),
        shutil.which("go", path=str(Path(sys.executable).parent)),
    ):
        if found and _number(found) >= LEAST:
            return found
    least = ".".join(str(part) for part in LEAST)
    raise FailedError(f"no Go of at least {least} on PATH or in this virtual environment")


def environment() -> dict[str, str]:
    """Return the environment of every build: no C compiler, and no setting of the user's that would change a build."""
    taken = {"GOFLAGS", "GOWORK", "GO111MODULE", "GOEXPERIMENT", "GOOS", "GOARCH", "CGO_ENABLED"}
    kept_as_is = {name: value for name, value in AROUND.items() if name not in taken}
    return {**kept_as_is, "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath", "GOWORK": "off", "CGO_ENABLED": "0"}


def build(name: str) -> Path:
    """Build the programs of one module, and return their folder.  Raises FailedError with the compiler's words."""
    target = folder(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FailedError(f"no place to keep it: {error}; name another in KEYTURN_E2E") from error
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        for package in packages(name):
            last = package.rsplit("/", 1)[-1]
            argv = [go(), "build", "-ldflags=-s -w", "-o", str(made / NAMES.get(last, last)), package]
            _run(argv, TOOLS / name)
        try:
            made.rename(target)
        except OSError:  # another run was quicker
            if not target.is_dir():
                raise
    return target


def all_built() -> list[Path]:
    """Return the paths of every program that was built."""
    return [file for name in BUILDS for file in sorted(folder(name).glob("*"))]


def built(name: str) -> Path | None:
    """Return the path of a program, where it was built."""
    return next((file for file in all_built() if file.name == name), None)


def find(name: str) -> Path:
    """Return the path of a program.  Raises FailedError where it was not built."""
    found = built(name)
    if found is None:
        raise FailedError(f"{name} was not built: python tests/e2e/programs.py says why")
    return found


def versions() -> dict[str, str]:
    """Return what was built and from which version, what is read of others, and what comes from elsewhere."""
    told = {name: version(name) if folder(name).is_dir() else "not built" for name in BUILDS}
    modules = re.findall(r"(?m)^\s+[^/\s]+/[^/\s]+/([^/\s]+)\S* (v\S+)$", (TOOLS / READ / "go.mod").read_text("utf-8"))
    told |= {f"CRDs of {name}": number for name, number in modules}
    for name, words in ELSEWHERE.items():
        beside = os.pathsep.join([str(Path(sys.executable).parent), AROUND.get("PATH", "")])
        path = shutil.which(name.split()[0], path=beside)
        said = subprocess.run([path, *words], capture_output=True, text=True, check=False).stdout if path else "missing"
        told[name] = said.partition("\n")[0]
    return told


def module(name: str, path: str) -> Path:
    """Return the folder with the source of a module that `name` pins.  Raises FailedError."""
    told = _run([go(), "mod", "download", "-json", path], TOOLS / name)
    return Path(json.loads(told)["Dir"])


def _number(found: str) -> tuple[int, ...]:
    # Asked among the module files: a Go that fetches the version which a go.mod wants, tells that one.
    done = subprocess.run(
        [found, "version"], cwd=TOOLS / "crds", env=environment(), capture_output=True, text=True, check=False
    )
    told = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return tuple(int(part or 0) for part in told.groups()) if told and done.returncode == 0 else (0,)


def _run(argv: list[str], cwd: Path) -> str:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=cwd, env=environment(), stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as started:
        try:
            out, err = started.communicate(timeout=LIMIT)
        except BaseException as error:
            os.killpg(started.pid, signal.SIGKILL)  # go, and each compiler that it runs
            if isinstance(error, subprocess.TimeoutExpired):
                raise FailedError(f"not done within {LIMIT // 60} min") from error
            raise
    if started.returncode:
        words = err.strip().splitlines()[-8:]
        raise FailedError("\n".join(words) or f"exit code {started.returncode}")
    return out


def _sweep() -> None:
    """Remove what a build that was killed has left."""
    for left in kept().glob(".*"):
        if time.time() - left.stat().st_mtime > LIMIT:
            shutil.rmtree(left, ignore_errors=True)


def _stop(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> int:
    """Build what is missing; what cannot be built is told, and does not keep the rest from being built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--have-go", action="store_true", help="exit 0 where Go is there and new enough, else 1")
    asked = parser.parse_args()
    failed = 0
    try:
        found = go()
    except FailedError as error:
        if not asked.have_go:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201 -- a program's words
        return 1
    if asked.have_go:
        return 0
    signal.signal(signal.SIGTERM, _stop)
    _sweep()
    for name in BUILDS:
        if folder(name).is_dir():
            continue
        start = time.monotonic()
        print(f"building {name} {version(name)} with {found} ...", end=" ", flush=True)  # noqa: T201 -- likewise
        try:
            build(name)
            print(f"{time.monotonic() - start:.0f} s", flush=True)  # noqa: T201 -- likewise
        except FailedError as error:
            failed += 1
            print(f"failed\n{error}", flush=True)  # noqa: T201 -- likewise
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
