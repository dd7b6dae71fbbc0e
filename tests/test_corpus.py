"""The corpus: what `validate` finds in each of its files and repositories, no more and no less."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import corpus
import pytest
import rig

if TYPE_CHECKING:
    from corpus import Found
    from kit import Ran, Repo

FILES = {**corpus.CLEAR, **corpus.SECRET_FILES, **corpus.GOOD}


def validate(repo: Repo, *words: str) -> Ran:
    return rig.command(repo.root, "validate", *words, "--output", "json")


def found(ran: Ran) -> list[Found]:
    return [(one["path"], one["line"], one["rule"]) for one in json.loads(ran.out)["findings"]]


def shows_no_secret(ran: Ran) -> bool:
    return not any(secret in ran.out + ran.err for secret in corpus.SECRETS)


@pytest.mark.parametrize("name", FILES)
def test_file_has_these_findings_and_no_others(name: str, repo: Repo) -> None:
    case = FILES[name]
    for path, text in case.files.items():
        repo.write(path, text)

    ran = validate(repo)

    assert (found(ran), ran.code, shows_no_secret(ran)) == (case.found, int(bool(case.found)), True)
