"""The third tier: what a private key at hand proves, and that nothing of what it opens is shown."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import judged
import pytest
import rig
import sealed
import turned
from judged import LAB, edit
from kit import IPSEC, Ran, Repo

from generator import keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

M2 = sealed.path("m2")
LINE = sealed.key().line()
MATERIAL = sealed.key().material.hex()


def validate(repo: Repo, *words: str) -> Ran:
    return rig.command(repo.root, "validate", "--output", "json", *words)


def found(repo: Repo, *words: str) -> list[tuple[str, str, str]]:
    """Path, rule and message of what is found, in which no key may be."""
    ran = validate(repo, *words)
    assert MATERIAL not in ran.out + ran.err
    return [(one["path"], one["rule"], one["message"]) for one in json.loads(ran.out)["findings"]]


def seal(repo: Repo, line: str, *, name: str = "lab") -> None:
    """A Secret that is well encrypted, with another key line than keyturn would write."""
    text = sealed.clear(sealed.key())
    assert LINE in text
    sealed.seal(repo, name, text.replace(LINE, line))


def test_good_repository_is_clean_and_says_nothing_of_keys(world: Repo) -> None:
    ran = rig.command(world.root, "validate")

    assert (ran.code, ran.out) == (0, "")
    assert ran.err == f"keyturn: clean: {len(world.git('ls-files').split())} files looked through\n"


TAMPERED: dict[str, Callable[[str], str]] = {
    "a byte of the ciphertext": lambda text: _bent(text, "keys: ENC[AES256_GCM,data:"),
    "a byte of the MAC": lambda text: _bent(text, "mac: ENC[AES256_GCM,data:"),
    "the key id": lambda text: text.replace('key-id: "1"', 'key-id: "2"'),
    "the fingerprint": lambda text: _bent(text, "fingerprint: sha256:"),
    "the date": lambda text: text.replace('created: "20', 'created: "19'),
}


def _bent(text: str, before: str) -> str:
    """Change the character behind some text."""
    head, found, tail = text.partition(before)
    assert found
    return f"{head}{found}{'b' if tail[0] == 'a' else 'a'}{tail[1:]}"


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_changed_after_encryption_is_found(name: str, world: Repo) -> None:
    world.write(LAB, TAMPERED[name](world.read(LAB)))

    assert [(path, rule) for path, rule, _ in found(world)] == [(LAB, "tampered")]


LINES = {
    "a newline": (f"{LINE}\n", "the key line has blanks where none belong"),
    "a blank behind it": (f"{LINE} ", "the key line has blanks where none belong"),
    "two blanks": (LINE.replace(" 128", "  128"), "the key line has blanks where none belong"),
    "no ICV": (LINE.removesuffix(" 128"), "the key line has 3 words, where agents take 4"),
    "an id of 0": (LINE.replace("1+", "0+"), "the key line does not begin with a key id, 1..15"),
    "an id of 16": (LINE.replace("1+", "16+"), "the key line does not begin with a key id, 1..15"),
    "0x before it": (LINE.replace(MATERIAL, f"0x{MATERIAL}"), "the key line has a key that is not hexadecimal bytes"),
    "half a byte": (LINE.replace(MATERIAL, MATERIAL[:-1]), "the key line has a key that is not hexadecimal bytes"),
    "a byte too few": (LINE.replace(MATERIAL, MATERIAL[2:]), "the key line has a key of 19 bytes"),
    "another algorithm": (LINE.replace("rfc4106(gcm(aes))", "rot13"), "the key line names an algorithm that is not"),
    "an ICV of 256": (LINE.replace(" 128", " 256"), "the key line has an ICV that is not 96 or 128 bits"),
}


@pytest.mark.parametrize("name", LINES)
def test_key_line_is_right_to_the_last_byte(name: str, world: Repo) -> None:
    line, words = LINES[name]
    seal(world, line.replace("\n", "\\n"))

    (message,) = [message for _, rule, message in found(world) if rule == "key-line"]

    assert message[: len(words)] == words


def test_secret_without_a_key_line_is_found(world: Repo) -> None:
    sealed.seal(world, "lab", sealed.clear(sealed.key()).replace("  keys:", "  key:"))

    assert [(rule, message) for _, rule, message in found(world)] == [
        ("key-line", "the Secret holds no key line once it is decrypted"),
        ("secret-reference", "the Secret has no data key 'keys'"),
    ]


def test_annotations_that_are_not_true_are_found(world: Repo) -> None:
    seal(world, sealed.key(start=0x21).line())

    assert found(world) == [(LAB, "untrue-annotation", "the Secret holds another key than keyturn/fingerprint tells")]


def test_id_that_is_not_true_is_found(world: Repo) -> None:
    seal(world, LINE.replace("1+", "2+"))

    assert found(world) == [(LAB, "untrue-annotation", "the Secret holds another key than keyturn/key-id tells")]


def test_members_whose_keys_differ_in_a_plus_are_found(world: Repo) -> None:
    for name in ("m1", "m2"):
        sealed.seal(world, name, sealed.clear(sealed.key(per_tunnel=name == "m1")))

    assert [(path, rule) for path, rule, _ in found(world)] == [(M2, "mesh-key")]


def test_file_of_somebody_elses_is_opened_too(world: Repo) -> None:
    edit(world, ".sops.yaml", "creation_rules:\n", "creation_rules:\n  - {path_regex: ^apps/, age: AGE}\n")
    edit(world, ".sops.yaml", "AGE", judged.document(world)["sops"]["age"][0]["recipient"])
    sealed.encrypt(world, "apps/a.yaml", "a: b\n")
    world.git("add", "-A")
    assert found(world) == []

    world.write("apps/a.yaml", _bent(world.read("apps/a.yaml"), "mac: ENC[AES256_GCM,data:"))

    assert [(path, rule) for path, rule, _ in found(world)] == [("apps/a.yaml", "tampered")]


def test_without_a_key_it_says_what_was_not_checked(world: Repo, home: Path) -> None:
    judged.keyless(home)
    world.write(LAB, TAMPERED["a byte of the MAC"](world.read(LAB)))

    ran = rig.command(world.root, "validate")

    assert (ran.code, ran.out) == (0, "")
    assert "keyturn: no private key at hand reads 3 of 3 SOPS files: their MAC was not checked\n" in ran.err


def _enclosed(text: str) -> str:
    """The data key of the one recipient."""
    return text.partition("enc: |")[2].partition("lastmodified")[0]


def test_file_that_does_not_open_hides_no_other(world: Repo) -> None:
    """Recipients alone do not tell that no key at hand opens a file."""
    stranger = _enclosed(world.read(LAB))
    for name in ("m1", "m2"):
        data = world.read(sealed.path(name))
        world.write(sealed.path(name), data.replace(_enclosed(data), stranger))
    world.write(LAB, TAMPERED["the date"](world.read(LAB)))

    assert [(path, rule) for path, rule, _ in found(world)] == [
        (LAB, "tampered"),
        (sealed.path("m1"), "tampered"),
        (M2, "tampered"),
    ]


def test_secret_in_clear_is_no_file_that_was_changed(world: Repo) -> None:
    """There is nothing to open, and it should not come back as it was: the key in it is spent."""
    world.write(LAB, sealed.clear(sealed.key()))

    assert {rule for path, rule, _ in found(world) if path == LAB} == {"clear-secret", "clear-key"}


def test_file_for_an_identity_at_hand_that_does_not_open_is_found(world: Repo, home: Path) -> None:
    public = judged.document(world)["sops"]["age"][0]["recipient"]
    other = rig.identity(home / "other")
    config = world.read(".sops.yaml")
    world.write(".sops.yaml", config.replace(public, other))
    sealed.seal(world, "lab", sealed.clear(sealed.key()))
    world.write(LAB, world.read(LAB).replace(other, public))
    world.write(".sops.yaml", config)

    assert found(world) == [(LAB, "tampered", "is for an age identity at hand, and that does not open it")]


def test_without_an_identity_no_sops_is_run(
    world: Repo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.keyless(home)
    rig.identity(rig.keyring(home))  # one that reads none of them
    rig.script(tmp_path / "bin", "sops", f'[ "$1" = --version ] && echo "sops 3.11.0" || touch {tmp_path}/ran\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    ran = rig.command(world.root, "validate")

    assert (ran.code, "reads 3 of 3 SOPS files" in ran.err, (tmp_path / "ran").exists()) == (0, True, False)


@pytest.mark.parametrize("words", [("--no-key",), ("--index",), ("--drift",)])
def test_keys_are_left_alone_where_that_is_asked_for(world: Repo, words: tuple[str, ...]) -> None:
    world.write(LAB, TAMPERED["a byte of the MAC"](world.read(LAB)))
    world.git("add", "-A")

    assert found(world, *words) == []


def test_hook_runs_no_sops(world: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.script(tmp_path / "bin", "sops", f"touch {tmp_path}/ran; exit 1\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    world.write(LAB, TAMPERED["the key id"](world.read(LAB)))
    world.git("add", "-A")

    validate(world, "--staged")

    assert not (tmp_path / "ran").exists()


def test_sops_that_quotes_a_key_is_not_quoted(world: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f'case "$1" in --version) echo "sops 3.11.0";; *) echo "bad value {LINE}" >&2; exit 1;; esac\n'
    rig.script(tmp_path / "bin", "sops", body)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    assert {(rule, message) for _, rule, message in found(world)} == {
        ("tampered", "sops cannot read it: bad value [redacted]")
    }


def test_no_sops_at_all_is_said(world: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.sops._WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    ran = rig.command(world.root, "validate")

    assert (ran.code, ran.out) == (0, "")
    assert "sops is not to be found, so nothing was decrypted" in ran.err


# Who reads what is protected.


def protected(repo: Repo, lab: list[str], safe: list[str]) -> None:
    """An unprotected lab and a protected environment, each for some recipients."""
    repo.init()
    rules = [
        f"  - {{path_regex: ^clusters/{name}/, encrypted_regex: ^(data|stringData)$, age: '{','.join(who)}'}}"
        for name, who in (("lab", lab), ("safe", safe))
    ]
    repo.write(".sops.yaml", "creation_rules:\n" + "\n".join(rules) + "\n")
    repo.environment("lab")
    repo.environment("safe", f"protected: true\n{IPSEC}")
    assert rig.command(repo.root, "-q", "render").code == 0
    turned.commit(repo)


def test_key_of_another_cluster_that_reads_a_protected_one_is_a_warning(repo: Repo, home: Path) -> None:
    public = rig.identity(rig.keyring(home))
    protected(repo, [public], [public])

    ((path, rule, message),) = found(repo)

    assert (path, rule) == (sealed.path("safe"), "protected-readers")
    assert message == "safe is protected, and the key with which lab decrypts reads this too"
    assert validate(repo).code == 0


def test_clusters_with_identities_of_their_own_are_no_warning(repo: Repo, home: Path) -> None:
    team, one, two = (rig.identity(rig.keyring(home)) for _ in range(3))
    protected(repo, [team, one], [team, two])

    assert found(repo) == []


def test_jobs_make_no_difference(world: Repo) -> None:
    world.write(LAB, TAMPERED["the date"](world.read(LAB)))

    assert found(world, "--jobs", "1") == found(world, "--jobs", "8")


def test_longest_key_is_read(world: Repo) -> None:
    used = keys.algorithm("rfc4106-gcm-aes", 256)
    world.environment("lab", IPSEC.replace("ipsec}", "ipsec, ipsec: {keySize: 256}}"))
    sealed.seal(world, "lab", sealed.clear(keys.Key(1, used, bytes(range(36)))))

    assert found(world) == []
