"""The tree as a mapping: what changes between two, whose a file is, and diffs that git itself applies."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import tree

if TYPE_CHECKING:
    from generator.tree import Change

Files = dict[str, bytes]

PATHS = st.sampled_from(["a.yaml", "b.sh", "d/a.yaml", "d/e/a.yaml", "d/e/b.yaml", "f-1/g_2.yaml"])
TREES = st.dictionaries(PATHS, st.binary(max_size=4), max_size=6)


def applied(current: Files, changes: list[Change]) -> Files:
    """Do by hand what the changes say, and look that each fits what is there."""
    files = dict(current)
    for change in changes:
        assert files.get(change.path) == change.before
        assert (
            change.action
            == {(True, False): "created", (False, True): "removed", (False, False): "updated"}[
                change.before is None, change.after is None
            ]
        )
        if change.after is None:
            del files[change.path]
        else:
            files[change.path] = change.after
    return files


@given(TREES, TREES)
def test_applying_the_changes_gives_what_is_wanted(current: Files, wanted: Files) -> None:
    assert applied(current, tree.changes(current, wanted)) == wanted


@given(TREES, TREES)
def test_only_what_differs_changes_once_and_in_order(current: Files, wanted: Files) -> None:
    changed = [change.path for change in tree.changes(current, wanted)]

    assert changed == sorted(path for path in current.keys() | wanted.keys() if current.get(path) != wanted.get(path))


@given(TREES)
def test_equal_trees_change_nothing(files: Files) -> None:
    assert tree.changes(files, dict(files)) == []


def test_change_is_told_by_its_action_and_path() -> None:
    changes = tree.changes({"a": b"1", "b": b"1", "c": b"1"}, {"b": b"2", "c": b"1", "d": b""})

    assert [str(change) for change in changes] == ["removed a", "updated b", "created d"]


def test_change_keeps_contents_out_of_its_representation() -> None:
    (change,) = tree.changes({"a": b"before"}, {"a": b"after"})

    assert repr(change) == "Change(action='updated', path='a')"


def test_first_line_says_whose_file_it_is() -> None:
    header = tree.header("lab-ipsec")

    assert header == "# Rendered by keyturn from environments/lab-ipsec.yaml; edits are overwritten\n"


@pytest.mark.parametrize("name", ["lab", "a", "0", "a-1", "a" * 63])
def test_file_with_our_first_line_is_ours(name: str) -> None:
    assert tree.is_ours(tree.header(name).encode() + b"anything \xff\0")


def test_file_whose_lines_git_ended_anew_is_ours() -> None:
    assert tree.is_ours(tree.header("lab").replace("\n", "\r\n").encode())


HEADER = tree.header("lab").encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n" + HEADER,
        b" " + HEADER,
        b"#!/bin/sh\n" + HEADER,
        HEADER.strip(),
        HEADER.strip() + b" not\n",
        HEADER.lower(),
        HEADER.replace(b"lab", b""),
        HEADER.replace(b"lab", b"Lab"),
        HEADER.replace(b"lab", b"../lab"),
        HEADER.replace(b"edits", b"Edits"),
        b"# Written once by keyturn; to change it: keyturn rotate\n",
        b"\xff\xfe",
    ],
)
def test_file_with_another_first_line_is_foreign(data: bytes) -> None:
    assert not tree.is_ours(data)


def difference(before: bytes | None, after: bytes | None) -> str:
    (change,) = tree.changes({} if before is None else {"d/a": before}, {} if after is None else {"d/a": after})
    return "".join(tree.diff(change))


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (b"a\nb\n", b"a\nc\n", "--- a/d/a\n+++ b/d/a\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"),
        (None, b"a\n", "--- /dev/null\n+++ b/d/a\n@@ -0,0 +1 @@\n+a\n"),
        (b"a\n", None, "--- a/d/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"),
        (b"a", b"a\n", "--- a/d/a\n+++ b/d/a\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"),
        (b"a\n", b"b", "--- a/d/a\n+++ b/d/a\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n"),
        (b"a\r\n", b"a\n", "--- a/d/a\n+++ b/d/a\n@@ -1 +1 @@\n-a\r\n+a\n"),
        ("é\x0b\u2028x\n".encode(), b"", "--- a/d/a\n+++ b/d/a\n@@ -1 +0,0 @@\n-é\x0b\u2028x\n"),
    ],
)
def test_diff_is_unified(before: bytes | None, after: bytes | None, text: str) -> None:
    assert difference(before, after) == text


LINES = st.sampled_from(["a", "b: c", "- d", "", " ", "--- a/x", "+++ b/x", "@@ -1 +1 @@", "\\ No", "é\u2028", "\tx"])
TEXTS = st.builds(
    lambda lines, end, last: (end.join(lines) + last).encode() or b"\n",
    st.lists(LINES, min_size=1, max_size=12),
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.sampled_from(["", "\n", "\n\n"]),
)
TEXT_TREES = st.dictionaries(PATHS, TEXTS, max_size=6)


def write(folder: Path, files: Files) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def on_disk(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@given(TEXT_TREES, TEXT_TREES)
@settings(max_examples=60, deadline=None)
def test_git_applies_the_diff(current: Files, wanted: Files) -> None:
    patch = "".join(line for change in tree.changes(current, wanted) for line in tree.diff(change))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, current)

        if patch:
            command = ["git", "apply", "--whitespace=nowarn", "-"]
            done = subprocess.run(command, cwd=folder, input=patch.encode(), capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (0, b"")

        assert on_disk(folder) == wanted
