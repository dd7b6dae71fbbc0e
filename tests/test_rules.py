"""`keyturn rules`: every rule that can be told is listed with its reason, and has a case that shows it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import corpus
import rig
import test_corpus_repositories
import test_findings
from kit import HERE

from generator import cleartext, rules
from generator.combinations import RULES

if TYPE_CHECKING:
    from pathlib import Path

    from kit import Repo

CASES = {**corpus.CLEAR, **corpus.SECRET_FILES, **corpus.GOOD}


def told_by_the_source() -> set[str]:
    return (
        test_findings.rules_of_the_source()
        | {rule.name for rule in RULES}
        | {form.rule for form in cleartext.FORMS}
        | set(re.findall(r'_Case\(.*, "([a-z-]+)", ', _text(HERE.parent / "generator" / "succession.py")))
    )


def _text(file: Path) -> str:
    return file.read_text("utf-8")


def test_every_rule_that_can_be_told_is_listed_and_no_other() -> None:
    assert sorted(rules.RULES) == sorted(told_by_the_source())


def test_every_rule_has_a_case() -> None:
    shown = {rule for case in CASES.values() for _, _, rule in case.found}
    shown |= {rule for _, found in test_corpus_repositories.CASES.values() for _, _, rule in found}
    texts = [*test_findings.TRANSCRIPTS.values(), *(_text(file) for file in HERE.glob("test_*.py"))]
    shown |= {word for text in texts for word in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text)}

    assert [rule for rule in rules.RULES if rule not in shown] == []


def test_reasons_are_one_line_each() -> None:
    assert [one.name for one in rules.RULES.values() if "\n" in one.reason or one.reason.endswith(".")] == []
    assert {one.tier for one in rules.RULES.values()} == set(rules.TIERS)


def test_command_lists_every_rule(repo: Repo) -> None:
    ran = rig.command(repo.root, "rules")
    lines = ran.out.splitlines()

    assert (ran.code, ran.err, lines[0].split()) == (0, "", ["rule", "tier", "reason"])
    assert [line.split()[0] for line in lines[1:]] == list(rules.RULES)
    assert "agents agree on exactly the next id" in next(line for line in lines if line.startswith("key-id "))


def test_command_answers_in_json(repo: Repo) -> None:
    ran = rig.command(repo.root, "rules", "--output", "json")

    assert json.loads(ran.out)["rules"][0] == {
        "rule": "clear-identity",
        "tier": "file",
        "reason": "an age identity opens every Secret that is encrypted for it, from the whole history",
    }


def test_exception_of_a_misspelt_rule_gets_a_suggestion() -> None:
    assert rules.refuse_exception("clear-keys") == "did you mean clear-key?"
    assert rules.refuse_exception("clear-key") is None
    assert rules.refuse_exception("qqq") == "keyturn rules lists them"
