"""Claims about every input: a change of a good tree is found, a good tree is not, and nothing crashes or hangs."""

from __future__ import annotations

import contextlib
import json
import random
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import corpus
import judged
import pytest
import rig
import sealed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged import LAB
from kit import HERE, PROJECT

from generator import cleartext, contents, creation, exemptions, keys, rules, yamlio
from generator.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit import Repo

MIB = 1 << 20
OURS = "clusters/lab/secrets/cilium-ipsec-keys.sops.yaml"


def read_all(data: bytes) -> None:
    """Give one input to everything that reads YAML, SOPS files or exceptions of anybody's."""
    contents.check(data, "a.yaml", lambda _: None)
    contents.check(data, "file", lambda _: None)
    contents.secret(data, OURS, lambda _: None)
    with contextlib.suppress(RefusedError):
        config = creation.Config(data)
        config.any_rule_for("a.yaml")
    exemptions.load(data, rules.refuse_exception)


# What nobody meant.

PIECES = st.sampled_from(
    [
        *("kind: Secret\n", "apiVersion: v1\n", "data:\n", "stringData: {a: b}\n", "sops:\n", "    mac: ENC["),
        *(
            "---\n",
            "...\n",
            "- ",
            "  ",
            "\n",
            "&a ",
            "*a ",
            "!!str ",
            "<<: ",
            "? ",
            "{",
            "}",
            "[",
            "]",
            '"',
            "'",
            "|\n",
        ),
        *(">-\n", "#", "\t", "\0", "ENC[AES256_GCM,data:aGk=,iv:", "type:str]", "    age:\n", "creation_rules:\n"),
        *("path_regex: (", "exceptions:\n", corpus.KEY, corpus.AGE, corpus.b64(corpus.KEY), "-----BEGIN "),
        *("PRIVATE KEY-----\n", "PrivateKey=", "%YAML 1.1\n", "0x1", "1e999", "~", "2026-01-01"),
        *("\ud7ff", "\u2028", "\x85", "\ufeff", "é"),
    ]
)
TEXTS = st.lists(PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode())
LARGE = st.tuples(st.lists(PIECES, min_size=1, max_size=6), TEXTS).map(
    lambda parts: (one := "".join(parts[0]).encode()) * (MIB // 8 // max(len(one), 1)) + parts[1]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=2_000), TEXTS))
def test_no_input_is_a_crash(data: bytes) -> None:
    read_all(data)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(LARGE)
def test_no_large_input_is_a_hang(data: bytes) -> None:
    start = time.process_time()
    contents.check(data, "a.yaml", lambda _: None)

    assert time.process_time() - start < 2


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_no_finding_shows_what_was_found(data: bytes) -> None:
    findings = contents.check(data, "a.yaml", lambda _: None).findings
    findings += contents.secret(data, OURS, lambda _: None)[1]

    assert not [one for one in findings if any(secret in str(one) for secret in corpus.SECRETS)]


def _filled(piece: bytes, start: bytes = b"", end: bytes = b"") -> bytes:
    room = MIB - len(start) - len(end)
    return start + (piece * (room // len(piece) + 1))[:room] + end


def _bomb() -> bytes:
    lines = [b"a%d: &b%d [%s]\n" % (n, n, b",".join([b"*b%d" % (n - 1) if n else b"1"] * 9)) for n in range(20)]
    return b"kind: Secret\n" + b"".join(lines)


_GOING_BACK = (
    *(b"(a+)+$", b"(a|a)*$", b"((a|a))*$", b"(?:a|a)+$", b"(a*)*b", b"a*a*a*a*a*a*c"),
    *(b"(a*|b*)(a*|b*)(a*|b*)c", b"(a{1,9}){1,9}c", b"(a?){400}b"),
)
HOSTILE: dict[str, Callable[[], bytes]] = {
    "depth": lambda: _filled(b"[", b"kind: Secret\ndata: "),
    "nodes": lambda: _filled(b"a: b\n", b"kind: Secret\n"),
    "nodes in three documents": lambda: b"".join(
        b"kind: Secret\ndata:\n" + b" - a\n" * 69_000 + b"---\n" for _ in range(3)
    ),
    "documents": lambda: _filled(b"kind: Secret\ndata: {a: b}\n---\n"),
    "empty documents": lambda: _filled(b"---\n", b"kind: Secret\n"),
    "flow that one parser does not read": lambda: b"kind: Secret\ndata: {a: http://x" + b", b: c" * 9_000 + b"}",
    "such flow in many documents": lambda: b"".join(
        b"kind: Secret\ndata: {a: http://x" + b", b: c" * 1_000 + b"}\n---\n" for _ in range(170)
    ),
    "aliases": _bomb,
    "key lines": lambda: _filled(f"{corpus.KEY}\n".encode()),
    "base64 of a word": lambda: _filled(corpus.b64("rfc" + "4106(").rstrip("=").encode()),
    "headers": lambda: _filled(b"-----BEGIN RSA PRIVATE" + b" KEY-----\n "),
    "headers without an end": lambda: _filled(b"A ", b"PRIVATE" + b" KEY -----BEGIN "),
    "PuTTY headers": lambda: _filled(b"PuTTY-User-Key-File-3:"),
    "WireGuard words": lambda: _filled(b"PrivateKey = "),
    "kinds": lambda: _filled(b"kind: \n", b"", b"Secret"),
    "blanks behind a kind": lambda: _filled(b" ", b"kind:", b"Secret"),
    "comments": lambda: _filled(b"# Secret kind\n"),
    "anchors": lambda: _filled(b"kind: & ", b"", b"Secret"),
    "one ciphertext": lambda: _filled(b"AAAA", b'sops: {a: b}\nx: "ENC[AES256_GCM,data:', b'"'),
    "JSON": lambda: _filled(b'"a":"b",', b'{"kind":"Secret","data":{', b'"z":"y"}}'),
    "blanks behind a word": lambda: _filled(b" ", b"PSK="),
    "words of base64 apart": lambda: _filled(corpus.b64("rfc" + "4106(").rstrip("=").encode() + b"!"),
    "keys in UTF-16": lambda: _filled(f"{corpus.KEY}\n".encode("utf-16-le")),
    "headers and blanks": lambda: _filled(b"-----BEGIN PRIVATE" + b" KEY-----\n" + b" " * 80),
    "selectors that go back": lambda: b"".join(
        b"---\nsops: {encrypted_regex: '%s'}\n%sb: x\n" % (regex, b"a" * 400) for regex in _GOING_BACK
    ),
    "a selector and long keys": lambda: _filled(b"a" * 128 + b": x\n", b"sops:\n  encrypted_regex: a*a*b\n"),
    "NULs": lambda: _filled(b"\0rfc4106"),
}


def test_hostile_input_of_1_mib_takes_neither_2_seconds_nor_300_mb() -> None:
    """In a process of its own, whose peak is that of these inputs; seconds are those of the processor."""
    code = "import test_validate_properties as t; t.measure()"
    env = {"PYTHONPATH": f"{HERE}:{PROJECT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    seconds, megabytes = json.loads(done.stdout)

    assert {name: taken for name, taken in seconds.items() if taken >= 2} == {}
    assert megabytes < 300


def measure() -> None:
    seconds = {}
    for name, make in HOSTILE.items():
        data = make()
        assert len(data) <= MIB
        start = time.process_time()
        contents.check(data, "a.yaml", lambda _: None)
        seconds[name] = time.process_time() - start
    print(json.dumps([seconds, _peak()]))  # noqa: T201 -- its answer


def _peak() -> float:
    """The most memory of this process in MB; on Linux not that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text("utf-8"))[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


@pytest.mark.parametrize("needle", sorted({form.rule for form in cleartext.FORMS}))
def test_every_form_compiles_and_is_found_by_its_needles(needle: str) -> None:
    shown = {rule for case in corpus.CLEAR.values() for _, _, rule in case.found}

    assert needle in shown


# What somebody did to a good tree.


def _line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def _flip(text: str, chance: random.Random) -> str:
    """Another character of the ciphertext, its nonce or its tag."""
    line = _line(text, "keys: ENC")
    at = chance.choice([at for at, one in enumerate(line) if one.isalnum() and at > line.index("data:") + 4])
    other = chance.choice([one for one in "ABab01" if one != line[at]])
    return text.replace(line, line[:at] + other + line[at + 1 :])


def _rename(text: str, chance: random.Random) -> str:
    key = chance.choice(re.findall(r"^ *([A-Za-z][\w./-]*):", text.partition("sops:")[0], re.MULTILINE))
    return re.sub(rf"^( *){re.escape(key)}:", rf"\1{key}x:", text, count=1, flags=re.MULTILINE)


def _swap(text: str, chance: random.Random) -> str:
    """Two annotations, one with the other's value."""
    lines = re.findall(r"^        keyturn/[^\n]*$", text, re.MULTILINE)
    one, other = chance.sample([line for line in lines if "-bits" not in line], 2)
    (a, x), (b, y) = (line.split(": ", 1) for line in (one, other))
    return text.replace(one, f"{a}: {y}").replace(other, f"{b}: {x}")


def _annotate(text: str, chance: random.Random) -> str:
    line = chance.choice(re.findall(r"^        [\w./-]+: [^\n]*$", text.partition("type:")[0], re.MULTILINE))
    return text.replace(line, line.rstrip('"') + "1" + ('"' if line.endswith('"') else ""))


def _move(text: str, chance: random.Random) -> str:
    return text.replace('key-id: "1"', f'key-id: "{chance.randint(2, keys.MAX_ID)}"')


def _beside(text: str, chance: random.Random) -> str:
    value = chance.choice(["hunter2", "4711", "true", "[hunter2]", "{a: hunter2}"])
    return text.replace("    keys: ENC", f"    more: {value}\n    keys: ENC")


def _cut_mac(text: str, _: random.Random) -> str:
    return text.replace(_line(text, "mac: ") + "\n", "")


def _other_reader(text: str, chance: random.Random) -> str:
    line = _line(text, "- recipient: ")
    return text.replace(line, line[: -chance.randint(1, 9)] + "q")


MUTATIONS = (_flip, _rename, _swap, _annotate, _move, _beside, _cut_mac, _other_reader)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(MUTATIONS), st.integers(0, 2**32))
def test_every_mutation_of_a_good_secret_is_found(
    good: Path, repo: Repo, home: Path, mutation: Callable[[str, random.Random], str], seed: int
) -> None:
    if not (repo.root / LAB).exists():
        judged.copied(good, repo, home)
    before = (good / "repo" / LAB).read_text("utf-8")
    text = mutation(before, random.Random(seed))  # noqa: S311 -- chance that a run can repeat
    assert text != before
    repo.write(LAB, text)

    ran = rig.command(repo.root, "validate", str(repo.root / LAB), "--output", "json")

    assert json.loads(ran.out)["findings"] != [], text


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["rfc4106-gcm-aes", "cbc-aes-sha256", "cbc-aes-sha512"]),
    st.sampled_from([128, 192, 256]),
    st.sampled_from(["flux", "argocd", "none"]),
    st.integers(1, keys.MAX_ID),
)
def test_good_tree_has_no_finding(repo: Repo, home: Path, algorithm: str, size: int, engine: str, number: int) -> None:
    if not (repo.root / ".git").exists():
        repo.init()
        repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    ipsec = f"{{algorithm: {algorithm}" + (f", keySize: {size}}}" if algorithm.startswith("rfc") else "}")
    repo.environment(
        "lab",
        "cilium: {version: 1.18.0, values: {hubble: {enabled: false}}}\n"
        f"encryption: {{type: ipsec, ipsec: {ipsec}}}\n"
        f"gitops: {{engine: {engine}, repository: 'https://git.example.com/a/b.git'}}\n",
    )
    used = keys.algorithm(algorithm, size)
    issued = keys.Key(number, used, bytes(range(used.length)))
    sealed.seal(repo, "lab", sealed.clear(issued, (number - 2) % keys.MAX_ID + 1))
    assert rig.command(repo.root, "-q", "render").code == 0
    repo.git("add", "-A")

    ran = rig.command(repo.root, "validate", "--output", "json")

    assert json.loads(ran.out)["findings"] == []


@given(st.binary(max_size=200))
def test_reader_of_yaml_takes_any_bytes(data: bytes) -> None:
    yamlio.read(data, "a.yaml", most_slow=0)
