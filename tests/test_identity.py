"""The age identity: where sops looks, how it is written, and that its private half stays in its file."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pyrage
import pytest
import rig

from generator import identity
from generator.errors import RefusedError, ToolError


@pytest.mark.parametrize(
    ("env", "platform", "expected"),
    [
        ({"HOME": "/h"}, "linux", "/h/.config/sops/age/keys.txt"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Application Support/sops/age/keys.txt"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "linux", "/x/sops/age/keys.txt"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "darwin", "/x/sops/age/keys.txt"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": ""}, "linux", "/h/.config/sops/age/keys.txt"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/x", "SOPS_AGE_KEY_FILE": "/k/age.key"}, "linux", "/k/age.key"),
        ({"HOME": "/h", "SOPS_AGE_KEY_FILE": ""}, "linux", "/h/.config/sops/age/keys.txt"),
        ({"SOPS_AGE_KEY_FILE": "/k/age.key"}, "darwin", "/k/age.key"),
    ],
)
def test_identity_lies_where_sops_looks(env: dict[str, str], platform: str, expected: str) -> None:
    assert identity.location(env, platform) == Path(expected)


@pytest.mark.parametrize("env", [{}, {"HOME": ""}])
def test_without_home_there_is_no_place(env: dict[str, str]) -> None:
    with pytest.raises(ToolError) as refused:
        identity.location(env, "linux")

    hint = "set HOME, or SOPS_AGE_KEY_FILE to a file"
    assert str(refused.value) == f"there is no place for an age identity; {hint}"


def test_new_identity_looks_like_age_keygens_and_is_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "keys.txt"
    mask = os.umask(0)
    try:
        public = identity.make(file)
    finally:
        os.umask(mask)

    pattern = r"# created: (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n# public key: (\S+)\n(AGE-SECRET-KEY-1[0-9A-Z]{58})\n"
    match = re.fullmatch(pattern, file.read_text("utf-8"))
    assert match
    assert (match[2], str(pyrage.x25519.Identity.from_str(match[3]).to_public())) == (public, public)
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)


def test_every_new_identity_is_another(tmp_path: Path) -> None:
    assert identity.make(tmp_path / "a") != identity.make(tmp_path / "b")


@pytest.mark.parametrize("content", ["", "AGE-SECRET-KEY-1SOMEBODYS\n"])
def test_new_identity_never_replaces_a_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(content, "utf-8")

    with pytest.raises(FileExistsError):
        identity.make(file)

    assert file.read_text("utf-8") == content


def test_new_identity_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").symlink_to("elsewhere.txt")

    with pytest.raises(FileExistsError):
        identity.make(tmp_path / "keys.txt")

    assert not (tmp_path / "elsewhere.txt").exists()


def test_made_identity_is_found_again(tmp_path: Path) -> None:
    public = identity.make(tmp_path / "keys.txt")

    assert identity.recipient(tmp_path / "keys.txt") == public


def test_first_of_several_identities_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text("# mine\n\nAGE-SECRET-KEY-1NOTREALLYONE\n", "utf-8")
    first = rig.identity(file)
    rig.identity(file)

    assert identity.recipient(file) == first


def test_no_file_is_no_identity(tmp_path: Path) -> None:
    assert identity.recipient(tmp_path / "keys.txt") is None


UNREADABLE = [
    b"",
    b"# public key: age1xyz\n",
    b"AGE-SECRET-KEY-1TYPO\n",
    b"AGE-SECRET-KEY-PQ-1QQQQ\n",
    b" AGE-SECRET-KEY-1INDENTED\n",
    b"\x00\xff\xfe",
    b"age-encryption.org/v1\n",
]


@pytest.mark.parametrize("content", UNREADABLE)
def test_file_without_a_readable_identity_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys.txt"
    file.write_bytes(content)

    with pytest.raises(RefusedError) as refused:
        identity.recipient(file)

    assert str(refused.value) == f"{file} holds no age identity that can be read here; write .sops.yaml by hand"
    assert refused.value.__context__ is None  # pyrage's own words would quote the line
