"""Fixtures of `make e2e`: a person with an empty HOME and the programs that were built, a cluster, a host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import turned
from e2e import controlplane, hosting, programs, servers, stories
from kit import PROJECT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from e2e.controlplane import Cluster
    from e2e.hosting import Host

KEPT = re.compile(r"PATH|TMPDIR|LANG|LC_.*|TERM|CI|USER|LOGNAME|PYTEST_.*|PYTHON.*")  # of the caller's variables
broken: dict[str, str] = {}  # story -> the test at which it broke off


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        broken.setdefault(item.path.stem, item.name)
        cluster = getattr(item, "funcargs", {}).get("cluster")
        if isinstance(cluster, controlplane.Cluster):
            for name in cluster.servers.running:
                report.sections.append((f"the last words of {name}", cluster.servers.last_words(name)))
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell no story further from where it broke off: what follows would only say so again."""
    if item.path.stem in broken:
        pytest.skip(f"the story broke off at {broken[item.path.stem]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which versions ran."""
    terminalreporter.section("what ran")
    for name, version in programs.versions().items():
        terminalreporter.write_line(f"{name:<22}{version}")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder that is gone when this process is, whatever happens to it."""
    folder = Path(tempfile.mkdtemp(prefix="keyturn-e2e-"))
    words: list[str | Path] = [sys.executable, servers.LEASH, str(2 * servers.LIFE), folder]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as leash:
        yield folder
        assert leash.stdin is not None
        leash.stdin.close()
        leash.wait(servers.END)
    assert not folder.exists()


@pytest.fixture(scope="module")
def place(scratch: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for one story."""
    folder = scratch / str(request.module.__name__)
    folder.mkdir()
    return folder


@pytest.fixture(scope="module", autouse=True)
def person(place: Path) -> Iterator[Path]:
    """An empty HOME, no credentials, and a PATH with keyturn, what was built, and the stand-in for `flux bootstrap`."""
    own = place / "bin"
    own.mkdir()
    for file in programs.all_built():
        if file.name != "sops":  # the one on PATH is the one that pip brings
            (own / file.name).symlink_to(file)
    shutil.copy2(Path(__file__).parent / "flux-bootstrap", own / "flux")
    home = turned.person(place / "home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if not KEPT.fullmatch(name):  # of Helm, sops, git or a proxy: none may lead away from the story
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("PYTHONPATH", str(PROJECT))
        patch.setenv("PATH", f"{own}:{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield home


@pytest.fixture(autouse=True)
def home(person: Path) -> Path:
    """The HOME of the story, where the fast suite has one for each test."""
    return person


@pytest.fixture(scope="module")
def cluster(place: Path, person: Path) -> Iterator[Cluster]:
    """An API server of the story's own."""
    del person  # whose PATH and HOME it runs in
    stories.needs("etcd", "kube-apiserver")
    folder = place / "cluster"
    folder.mkdir()
    with controlplane.running(folder) as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(started.kubeconfig))
        yield started


@pytest.fixture(scope="module")
def host(place: Path, person: Path) -> Iterator[Host]:
    """A host with git repositories and charts."""
    del person
    folder = place / "host"
    folder.mkdir()
    with hosting.hosting(folder) as started:
        yield started
