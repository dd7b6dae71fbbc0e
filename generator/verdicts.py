"""What `validate` answers: a sum for a person, JSON, GitHub's workflow commands, SARIF 2.1.0.  No I/O.

Sources: GitHub's "Workflow commands", actions/toolkit for how they escape; OASIS SARIF 2.1.0, chapter 3.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from generator.redaction import redact_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.exemptions import Exemption
    from generator.findings import Finding


@dataclass(frozen=True, slots=True)
class Validated:
    """What is wrong with a tree, the exceptions that took findings away, and what a person should know beside them.

    `files` is how many were looked through.
    """

    findings: list[Finding]
    exceptions: list[Exemption]
    notes: list[str]
    files: int


def as_json(done: Validated) -> dict[str, Any]:
    return {
        "findings": [one.as_json() for one in done.findings],
        "exceptions": [one.as_json() for one in done.exceptions],
    }


def exceptions(done: Validated) -> Iterator[str]:
    """Yield a line for each reviewed exception: they are told in every run."""
    for one in done.exceptions:
        yield f"{one.path}: exception: {redact_keys(one.reason)} [{one.rule}]"


def closing(done: Validated) -> str:
    """Return the closing line, with counts."""
    count = Counter(one.level for one in done.findings)
    parts = [_number(count[level], level) for level in ("error", "warning") if count.get(level)]
    return f"{' and '.join(parts) or 'clean'}: {_number(done.files, 'file')} looked through"


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def github(done: Validated, place: str) -> Iterator[str]:
    """Yield a workflow command for each finding and each exception; `place` is the root from the repository's top."""
    for one in done.findings:
        where = f",line={one.line},col={max(one.column, 1)}" if one.line else ""
        words = f"{one.message}; {one.hint}" if one.hint else one.message
        file, title = _value(_from_top(one.path, place)), _value(f"keyturn {one.rule}")
        yield f"::{one.level} file={file}{where},title={title}::{_data(words)}"
    for exempt in done.exceptions:
        file, title = _value(_from_top(exempt.path, place)), _value(f"keyturn exception of {exempt.rule}")
        yield f"::notice file={file},title={title}::{_data(redact_keys(exempt.reason))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    return _data(_printable(text)).replace(":", "%3A").replace(",", "%2C")


def _from_top(path: str, place: str) -> str:
    return posixpath.normpath(posixpath.join(place, path))


def _printable(text: str) -> str:
    """Return a name with what is no character of UTF-8 shown: git's names are bytes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def sarif(done: Validated, place: str, version: str) -> dict[str, Any]:
    """Return a log with one run; an exception is a rule's note, since what it takes away is no result."""
    named = sorted({one.rule for one in done.findings})
    driver = {
        "name": "keyturn",
        "version": version,
        "semanticVersion": version,
        "rules": [_rule(name) for name in named],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, named.index(one.rule), place) for one in done.findings],
                "properties": {"exceptions": [one.as_json() for one in done.exceptions]},
            }
        ],
    }


def _rule(name: str) -> dict[str, Any]:
    from generator import rules  # noqa: PLC0415 -- likewise

    known = rules.RULES.get(name)
    text = known.reason if known else name
    return {"id": name, "shortDescription": {"text": text}, "defaultConfiguration": {"level": "error"}}


def _result(finding: Finding, index: int, place: str) -> dict[str, Any]:
    from urllib.parse import quote  # noqa: PLC0415 -- for this form alone

    location = {
        "artifactLocation": {"uri": quote(_printable(_from_top(finding.path, place)))},
        "region": {"startLine": max(finding.line, 1), "startColumn": max(finding.column, 1)},  # GitHub wants a line
    }
    words = f"{finding.message}; {finding.hint}" if finding.hint else finding.message
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.level,
        "message": {"text": words},
        "locations": [{"physicalLocation": location}],
    }
