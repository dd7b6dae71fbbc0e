"""Fixtures: an empty HOME for every test, and a workspace."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import judged
import pytest
import turned
from hypothesis import settings
from kit import EXAMPLES, PROJECT, Repo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

settings.register_profile("keyturn", max_examples=EXAMPLES)
settings.load_profile("keyturn")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing with them")


def pytest_configure() -> None:
    """Put temporary folders into memory where that may be: the suite makes 200,000 files, and syncs many of them."""
    memory = Path("/dev/shm")  # noqa: S108 -- pytest makes a folder there that is the user's alone
    if os.access(memory, os.W_OK):
        state = os.statvfs(memory)
        if not state.f_flag & os.ST_NOEXEC and state.f_bavail * state.f_frsize > 2 << 30:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_finish() -> None:
    """Have Python's garbage collector pass over thousands of collected tests, which stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> object:
    """Return a function that compares text with a golden file, or writes it under --update-golden."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(file: Path, text: str) -> None:
        if update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        assert file.exists(), f"no golden file {file}: run pytest --update-golden and read the diff"
        assert text == file.read_text("utf-8")

    return compare


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    """Have Jinja compile each template once: commands in this process share what each run of the program makes anew."""
    real = jinja2.Environment.compile
    made: dict[tuple[object, ...], CodeType] = {}

    def compiled(environment: jinja2.Environment, source: str, name: str, filename: str) -> CodeType:
        asked = type(environment), source, name, filename
        if asked not in made:
            made[asked] = real(environment, source, name, filename)
        return made[asked]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", compiled)
        yield


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME, no credentials and no git configuration but a name."""
    home = turned.person(tmp_path / "home")
    for name in list(os.environ):
        if name.startswith(("SOPS_", "GIT_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    return home


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    root = tmp_path / "repo"
    root.mkdir()
    return Repo(root)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good repository to judge, and its home; for `world`, and to be read."""
    return judged.world(tmp_path_factory.mktemp("good"))


@pytest.fixture
def world(good: Path, repo: Repo, home: Path) -> Repo:
    """A copy of the good repository, and its key in the test's own home."""
    return judged.copied(good, repo, home)
