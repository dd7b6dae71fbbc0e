"""Reviewed exceptions: what they take away, and that none of them outlives its reason."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import corpus
import pytest
import rig
from test_corpus import found, validate

if TYPE_CHECKING:
    from kit import Repo

PAGE = "docs/page.md"
FILE = ".keyturn.yaml"


@pytest.fixture
def page(repo: Repo) -> Repo:
    """A repository, not keyturn's, with one page that holds a key."""
    repo.init()
    repo.write(PAGE, f"{corpus.KEY}\n")
    repo.git("add", "-A")
    return repo


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def exempt(repo: Repo, *, path: str = PAGE, rule: str = "clear-key", sha256: str = "", reason: str = "spent") -> None:
    sha256 = sha256 or digest(f"{corpus.KEY}\n")
    row = f"- path: {path}\n  rule: {rule}\n  reason: {reason}\n  sha256: {sha256}\n"
    before = repo.read(FILE) if (repo.root / FILE).exists() else "exceptions:\n"
    repo.write(FILE, before + row)
    repo.git("add", "-A")


def test_exception_takes_a_finding_away_and_is_told_in_every_run(page: Repo) -> None:
    exempt(page)

    ran = validate(page)
    told = rig.command(page.root, "validate")

    assert (found(ran), ran.code) == ([], 0)
    assert json.loads(ran.out)["exceptions"] == [
        {"path": PAGE, "rule": "clear-key", "reason": "spent", "sha256": digest(f"{corpus.KEY}\n")}
    ]
    assert told.out == f"{PAGE}: exception: spent [clear-key]\n"


def test_exception_is_a_notice_on_github(page: Repo) -> None:
    exempt(page, reason="spent, long ago")

    ran = rig.command(page.root, "validate", "--output", "github")

    assert ran.out == f"::notice file={PAGE},title=keyturn exception of clear-key::spent, long ago\n"


def test_exception_is_read_from_where_the_files_are(page: Repo) -> None:
    exempt(page)
    page.write(FILE, "exceptions: []\n")

    assert found(validate(page, "--index")) == []
    assert found(validate(page)) == [(PAGE, 1, "clear-key")]


def test_exception_ends_with_a_change_of_the_file(page: Repo) -> None:
    exempt(page)
    page.write(PAGE, f"{corpus.KEY}\nmore\n")

    ran = validate(page)

    assert found(ran) == [(FILE, 2, "idle-exception"), (PAGE, 1, "clear-key")]
    message = json.loads(ran.out)["findings"][0]["message"]
    now = digest(f"{corpus.KEY}\nmore\n")
    assert message == f"an exception without effect: the file has changed, its sha256 is {now}"


@pytest.mark.parametrize(
    ("path", "rule", "why"),
    [
        ("docs/gone.md", "clear-key", "there is no such file"),
        (PAGE, "clear-identity", "the file breaks no such rule"),
        (PAGE, "drift", "the file breaks no such rule"),
    ],
)
def test_exception_without_effect_is_a_finding(page: Repo, path: str, rule: str, why: str) -> None:
    exempt(page)
    exempt(page, path=path, rule=rule)

    ran = validate(page)

    assert found(ran) == [(FILE, 6, "idle-exception")]
    assert json.loads(ran.out)["findings"][0]["message"] == f"an exception without effect: {why}"


@pytest.mark.parametrize("rule", ["key-id", "tampered", "chart-value"])
def test_exception_of_what_was_not_judged_is_not_idle(page: Repo, rule: str) -> None:
    exempt(page)
    exempt(page, rule=rule)

    assert found(validate(page)) == []


def test_hook_does_not_judge_the_exception_of_a_file_that_it_was_not_given(page: Repo) -> None:
    page.write("other.txt", "words\n")
    exempt(page, path="docs/gone.md")

    assert found(validate(page, "--index", str(page.root / "other.txt"))) == []


def test_exception_is_for_one_path_exactly(page: Repo) -> None:
    exempt(page, path="docs")

    assert found(validate(page)) == [(FILE, 2, "idle-exception"), (PAGE, 1, "clear-key")]


WRONG = {
    "an unknown key": ("exeptions: []\n", [(1, "unknown-key")]),
    "a list": ("- a\n", [(1, "wrong-type")]),
    "no list": ("exceptions: a\n", [(1, "wrong-type")]),
    "a word in the list": ("exceptions: [a]\n", [(1, "wrong-type")]),
    "a missing reason": (
        f"exceptions:\n- {{path: {PAGE}, rule: clear-key, sha256: {'a' * 64}}}\n",
        [(2, "missing-key")],
    ),
    "an empty reason": (
        f"exceptions:\n- {{path: {PAGE}, rule: clear-key, reason: '', sha256: {'a' * 64}}}\n",
        [(2, "wrong-value")],
    ),
    "half a digest": (
        f"exceptions:\n- {{path: {PAGE}, rule: clear-key, reason: r, sha256: {'a' * 32}}}\n",
        [(2, "wrong-value")],
    ),
    "an unknown rule": (
        f"exceptions:\n- {{path: {PAGE}, rule: clear-keys, reason: r, sha256: {'a' * 64}}}\n",
        [(2, "wrong-value")],
    ),
    "a rule about exceptions": (
        f"exceptions:\n- {{path: {PAGE}, rule: idle-exception, reason: r, sha256: {'a' * 64}}}\n",
        [(2, "wrong-value")],
    ),
    "what is not YAML": ("exceptions: [\n", [(2, "yaml-syntax")]),
}


@pytest.mark.parametrize("name", WRONG)
def test_exception_that_is_wrong_exempts_nothing(name: str, page: Repo) -> None:
    text, expected = WRONG[name]
    page.write(FILE, text)
    page.git("add", "-A")

    ran = validate(page)

    assert found(ran) == [*((FILE, line, rule) for line, rule in expected), (PAGE, 1, "clear-key")]


@pytest.mark.parametrize("text", ["", "# nothing\n", "exceptions:\n", "exceptions: []\n"])
def test_file_without_exceptions_is_fine(page: Repo, text: str) -> None:
    page.write(FILE, text)
    page.git("add", "-A")

    assert found(validate(page)) == [(PAGE, 1, "clear-key")]
