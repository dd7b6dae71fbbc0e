"""`keyturn validate --chart` and `--pull-chart` as commands; test_charting has what they find."""

from __future__ import annotations

from pathlib import Path

import pytest
import rig
import test_charting
from kit import WIREGUARD, Ran, Repo

from generator import places
from generator.errors import ToolError


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A HelmRepository with our chart in it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    test_charting.publish(folder, test_charting.packed(test_charting.CHART))
    return folder


@pytest.fixture
def rendered(repo: Repo) -> Repo:
    """A repository with one environment."""
    repo.init()
    repo.environment("lab", WIREGUARD)
    return repo


def validate(repo: Repo, *words: str) -> Ran:
    return rig.command(repo.root, "validate", *words)


def test_command_proves_the_values_by_a_chart(rendered: Repo) -> None:
    rendered.git("add", "-A")
    assert validate(rendered, "--chart", str(test_charting.CHART)).code == 0

    rendered.environment("lab", WIREGUARD.replace("hubble:", "hubbel: {enabled: false}, hubble:"))
    ran = validate(rendered, "--chart", str(test_charting.CHART))

    assert (ran.code, "[chart-value]" in ran.out) == (1, True)


def test_command_pulls_the_chart_once_into_the_cache_of_the_user(rendered: Repo, repository: Path, home: Path) -> None:
    with test_charting.served(repository) as (address, asked):
        chart = f"1.16.0, chart: {{repository: '{address}'}}"
        rendered.environment("lab", WIREGUARD.replace("1.16.0", chart))
        rendered.git("add", "-A")

        first, count = validate(rendered, "--pull-chart"), len(asked)
        second = validate(rendered, "--pull-chart")

    assert (first.code, second.code, len(asked)) == (0, 0, count)
    assert first.err.startswith(f"keyturn: pulling cilium 1.16.0 from {address}\n")
    assert len(list((home / ".cache" / "keyturn" / "charts").glob("*.tgz"))) == 1


def test_command_says_what_is_no_chart(rendered: Repo, tmp_path: Path) -> None:
    ran = validate(rendered, "--chart", str(tmp_path / "nowhere"))

    assert (ran.code, ran.out, "does not exist" in ran.err) == (2, "", True)


@pytest.mark.parametrize(
    ("env", "platform", "place"),
    [
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "linux", "/x/keyturn"),
        ({"HOME": "/h"}, "linux", "/h/.cache/keyturn"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Caches/keyturn"),
    ],
)
def test_cache_lies_where_the_user_keeps_such(env: dict[str, str], platform: str, place: str) -> None:
    assert places.cache(env, platform) == Path(place)


def test_no_home_is_no_place_for_a_cache() -> None:
    with pytest.raises(ToolError, match="no place for a cache"):
        places.cache({}, "linux")
