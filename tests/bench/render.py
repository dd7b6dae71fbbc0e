"""How fast `keyturn render` is, beside what the machine could do at all.  `make bench` runs it; it tests nothing.

1,000 environments in 20 groups (IPsec, Flux, demo).  Each figure is the median of three runs of a process of its own,
on tmpfs where there is one; the floors are measured in the same run:

- a bare loop in one process: parse each environment by libyaml, fill each template, compare, write and rename;
- the same number of `sops encrypt` alone, as many at a time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jinja2
from ruamel.yaml import YAML

from generator import secret, sops

PROJECT = Path(__file__).parents[2]
ENVIRONMENTS = 1_000
GROUPS = 20
SECRETS = 100
RUNS = 3
JOBS = os.cpu_count() or 1


def main() -> None:
    shared = Path("/dev/shm")  # noqa: S108 -- tmpfs by purpose; the folder below it is made safely
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        root = Path(folder) / "repo"
        home = Path(folder) / "home"
        home.mkdir()
        make(root)
        print(f"{ENVIRONMENTS:,} environments, {JOBS} processors, median of {RUNS}\n")  # noqa: T201 -- what it is for
        measure(root, home)


def make(root: Path) -> None:
    """Write the environments; each says something of its own."""
    (root / "environments" / "groups").mkdir(parents=True)
    for group in range(GROUPS):
        text = "cilium:\n  version: 1.16.0\n  values: {hubble: {enabled: false}}\ndemo: {endor: true, ping: true}\n"
        (root / f"environments/groups/g{group}.yaml").write_text(text, "utf-8")
    for number in range(ENVIRONMENTS):
        text = f"extends: [g{number % GROUPS}]\ncluster: {{id: {number % 256}}}\nencryption:\n  type: ipsec\n"
        (root / f"environments/c{number:04}.yaml").write_text(text, "utf-8")


def measure(root: Path, home: Path) -> None:
    first = [f"c{number:04}" for number in range(SECRETS)]
    made = timed(lambda: keyturn(root, home, "render", "--new-identity", *first), 1)
    row(f"{SECRETS} first Secrets", made, f"sops alone, {JOBS} at a time", bare_sops(root))
    keyturn(root, home, "render")
    row("a second run", timed(lambda: keyturn(root, home, "render")), "bare loop", bare_loop(root))
    row("--check", timed(lambda: keyturn(root, home, "render", "--check")))
    row("--check c0500", timed(lambda: keyturn(root, home, "render", "--check", "c0500")))
    row("from an empty tree", timed(lambda: empty_and_render(root, home)), "emptying it", timed(lambda: empty(root)))
    row("--help", timed(lambda: keyturn(root, home, "--help")), "python -c ''", timed(bare_python))


def row(what: str, seconds: float, floor: str = "", least: float = 0.0) -> None:
    beside = f"{floor}: {least:.3f} s" if floor else ""
    print(f"{what:24} {seconds:7.3f} s   {beside}")  # noqa: T201 -- what it is for


def timed(action: object, runs: int = RUNS) -> float:
    assert callable(action)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def keyturn(root: Path, home: Path, *arguments: str) -> None:
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)}
    subprocess.run(
        [sys.executable, "-m", "generator", "--quiet", *arguments], cwd=root, env=env, check=True, capture_output=True
    )


def bare_python() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def empty(root: Path) -> None:
    for file in (root / "clusters").rglob("*"):
        if file.is_file() and not file.name.endswith(".sops.yaml"):
            file.unlink()


def empty_and_render(root: Path, home: Path) -> None:
    empty(root)
    keyturn(root, home, "render")


def bare_sops(root: Path) -> float:
    program = sops.find(root)
    text = b"apiVersion: v1\nkind: Secret\nstringData:\n  keys: x\n"
    command = [program, "encrypt", "--encrypted-regex", secret.ENCRYPTED, "--input-type", "yaml"]
    command += ["--output-type", "yaml", "--filename-override", "clusters/a/secrets/b.sops.yaml"]

    def once(_: int) -> None:
        subprocess.run(command, cwd=root, input=text, capture_output=True, check=True)

    with ThreadPoolExecutor(JOBS) as pool:
        return timed(lambda: list(pool.map(once, range(SECRETS))), 1)


def bare_loop(root: Path) -> float:
    yaml = YAML(typ="safe")
    templates = [file.read_text("utf-8") for file in sorted((root / "clusters/c0000").rglob("*.yaml"))]
    loop = jinja2.Environment(autoescape=False)  # noqa: S701 -- YAML
    compiled = [loop.from_string(text.replace("c0000", "{{ name }}")) for text in templates]

    def once() -> None:
        for file in sorted((root / "environments").glob("*.yaml")):
            yaml.load(file)
            for template in compiled:
                template.render(name=file.stem)
            for rendered in (root / "clusters" / file.stem).rglob("*"):
                if rendered.is_file():
                    rendered.read_bytes()

    return timed(once)


if __name__ == "__main__":
    main()
