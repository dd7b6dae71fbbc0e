"""What the documents promise and a machine can see."""

from __future__ import annotations

import re

import pytest
from kit import PROJECT

SECURITY = (PROJECT / "SECURITY.md").read_text("utf-8")
README = (PROJECT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("claimed", sorted(set(re.findall(r"`tests/(\S+?)`", SECURITY))))
def test_test_that_a_claim_names_is_there(claimed: str) -> None:
    file, _, name = claimed.partition("::")

    text = (PROJECT / "tests" / file).read_text("utf-8")

    assert f"def {name}" in text


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_link_leads_somewhere(link: str) -> None:
    assert (PROJECT / link).exists()


def test_every_make_target_that_the_readme_names_is_there() -> None:
    named = set(re.findall(r"(?m)^make ([a-z0-9]+)|`make ([a-z0-9]+)", README))

    targets = {name for pair in named for name in pair if name}
    assert targets <= set(re.findall(r"^([a-z0-9]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE))
