"""Creation rules: who may read a file by `.sops.yaml`, who can by a SOPS file, and what is refused."""

from __future__ import annotations

import pytest

from generator import creation, yamlio
from generator.errors import RefusedError

OURS = "^(data|stringData)$"
PATH = "clusters/lab/secrets/cilium-ipsec-keys.sops.yaml"
AGE = "age1lab"


def rule(text: str, path: str = PATH) -> creation.Rule:
    return creation.Config(text.encode()).rule_for(path, OURS)


def refusal(text: str, path: str = PATH) -> str:
    with pytest.raises(RefusedError) as refused:
        rule(text, path)
    return str(refused.value)


def groups(*members: set[tuple[str, str]]) -> creation.Groups:
    return frozenset(frozenset(group) for group in members)


def readers(block: str) -> creation.Groups:
    root, findings = yamlio.read(block.encode(), "a file")
    assert root is not None
    assert findings == []
    return creation.readers(root)


# Which rule


def test_first_config_is_one_rule_for_every_secret_of_the_tree() -> None:
    text = creation.first_config(AGE)

    selector = ("encrypted_regex", "^(data|stringData)$")
    assert rule(text) == creation.Rule(".sops.yaml:5", groups({("age", AGE)}), selector)


@pytest.mark.parametrize(
    "path",
    [
        "clusters/lab/demo/endor.yaml",
        "clusters/lab/secrets/more/x.sops.yaml",
        "clusters/lab/secrets/x.sops.yaml.orig",
        "clusters/lab/secrets/xsopsyaml",
    ],
)
def test_first_config_is_no_rule_for_anything_else(path: str) -> None:
    hint = r"add one with path_regex: ^clusters/[^/]+/secrets/[^/]+\.sops\.yaml$"
    assert refusal(creation.first_config(AGE), path) == f".sops.yaml: no creation rule for {path}; {hint}"


@pytest.mark.parametrize("above", ["", "platform/", "clusters/", "my-clusters/", "a.b/clusters/eu+1/"])
def test_rule_that_is_proposed_is_one_for_the_workspaces_own_folder(above: str) -> None:
    path = f"{above}{PATH}"
    message = refusal("creation_rules: []\n", path)

    proposed = message.partition("add one with path_regex: ")[2]

    assert message.startswith(f".sops.yaml: no creation rule for {path}; ")
    assert rule(f"creation_rules:\n  - path_regex: {proposed}\n    age: {AGE}\n", path).place == ".sops.yaml:2"


def test_config_that_keyturn_made_is_known_by_its_first_line_alone() -> None:
    made = creation.first_config(AGE)
    first, _, rest = made.partition("\n")

    assert [
        creation.Config(text.encode()).is_made_for_one for text in (made, rest, f"{first}\n{{}}\n", f"\n{made}")
    ] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("patterns", "line"),
    [
        (["^clusters/", "^clusters/lab/"], 2),
        (["^other/", "lab"], 4),
        (["^clusters/other/", r"\.sops\.yaml$"], 4),
        (["''", "^clusters/"], 2),
        (["null", "^clusters/"], 2),
        (["^secrets/", "secrets/"], 4),
        (["^clusters/LAB/", "(?i)^CLUSTERS/"], 4),
    ],
)
def test_first_rule_that_matches_anywhere_in_the_path_is_taken(patterns: list[str], line: int) -> None:
    text = "creation_rules:\n" + "".join(f"  - path_regex: {one}\n    age: {AGE}\n" for one in patterns)

    assert rule(text) == creation.Rule(f".sops.yaml:{line}", groups({("age", AGE)}))


def test_rule_without_a_pattern_matches_everything() -> None:
    assert rule(f"creation_rules:\n  - age: {AGE}\n").place == ".sops.yaml:2"


@pytest.mark.parametrize("text", ["", "{}\n", "creation_rules:\n", "creation_rules: []\n", "creation_rules: x\n"])
def test_config_without_a_rule_is_refused_with_the_rule_to_add(text: str) -> None:
    hint = r"add one with path_regex: ^clusters/[^/]+/secrets/[^/]+\.sops\.yaml$"
    assert refusal(text) == f".sops.yaml: no creation rule for {PATH}; {hint}"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("'('", "missing ), unterminated subpattern at position 0"),
        (r"'(?<name>x)'", "unknown extension ?<n at position 1"),
        (r"'clusters\z'", r"bad escape \z at position 8"),
    ],
)
def test_pattern_that_cannot_be_understood_is_refused(pattern: str, problem: str) -> None:
    text = f"creation_rules:\n  - age: {AGE}\n    path_regex: {pattern}\n"

    hint = "write it without Go's own extensions"
    assert refusal(text) == f".sops.yaml:3: path_regex is not understood here: {problem}; {hint}"


@pytest.mark.parametrize("pattern", ["^clusters/[[:alnum:]-]+/secrets/", "[^[:space:]]+/secrets/"])
def test_pattern_that_go_reads_otherwise_is_refused_and_not_guessed(pattern: str) -> None:
    text = f"creation_rules:\n  - path_regex: '{pattern}'\n    age: {AGE}\n"

    reason = "named classes; write it without Go's own extensions"
    assert refusal(text) == f".sops.yaml:2: path_regex is not understood here: {reason}"


def test_merged_key_groups_are_refused() -> None:
    text = f"creation_rules:\n  - key_groups:\n      - merge: [{{age: [{AGE}]}}]\n        age: [{AGE}]\n"

    message = "merged key groups are not understood here; write the group out"
    assert refusal(text) == f".sops.yaml:3: {message}"


def test_pattern_of_a_later_rule_is_not_looked_at() -> None:
    text = f"creation_rules:\n  - age: {AGE}\n  - path_regex: '('\n    age: {AGE}\n"

    assert rule(text).place == ".sops.yaml:2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: [\n",
            (
                ".sops.yaml:2:1: not YAML: while parsing a flow node, did not find expected node content; "
                "see the line before too"
            ),
        ),
        ("a: 1\na: 2\n", ".sops.yaml:2:1: duplicate key 'a'; it stands on line 1 already; keep one"),
        ("a: 1\n---\nb: 2\n", ".sops.yaml:2:1: more than one document; one file, one document"),
    ],
)
def test_config_that_cannot_be_read_is_refused_by_line_and_column(text: str, message: str) -> None:
    assert refusal(text) == message


# Selectors

SELECTORS = (
    "encrypted_regex",
    "encrypted_suffix",
    "encrypted_comment_regex",
    "unencrypted_regex",
    "unencrypted_suffix",
    "unencrypted_comment_regex",
)


@pytest.mark.parametrize("name", SELECTORS)
def test_selector_other_than_the_trees_is_refused(name: str) -> None:
    text = f"creation_rules:\n  - age: {AGE}\n    {name}: ^data$\n"

    hint = f"for this path it has to be encrypted_regex: {OURS}"
    assert refusal(text) == f".sops.yaml:3: the rule's selector is {name}: ^data$; {hint}"


@pytest.mark.parametrize("name", SELECTORS[1:])
def test_selector_with_the_trees_words_and_another_meaning_is_refused(name: str) -> None:
    assert refusal(f"creation_rules:\n  - age: {AGE}\n    {name}: {OURS}\n").startswith(
        ".sops.yaml:3: the rule's selector"
    )


@pytest.mark.parametrize(
    "more",
    ["", f"encrypted_regex: {OURS}", "encrypted_regex: ''", "unencrypted_suffix: null", "mac_only_encrypted: false"],
)
def test_rule_that_encrypts_what_the_tree_needs_is_taken(more: str) -> None:
    text = f"creation_rules:\n  - age: {AGE}\n    {more}\n"

    assert rule(text).groups == groups({("age", AGE)})


def test_mac_over_ciphertext_alone_is_refused() -> None:
    text = f"creation_rules:\n  - age: {AGE}\n    mac_only_encrypted: true\n"

    hint = "take it out: the annotations stand in clear and need the MAC"
    assert refusal(text) == f".sops.yaml:3: the rule has mac_only_encrypted; {hint}"


def test_selector_of_a_rule_for_other_files_is_the_users_own() -> None:
    text = f"creation_rules:\n  - path_regex: ^values/\n    encrypted_suffix: _secret\n  - age: {AGE}\n"

    assert rule(text).place == ".sops.yaml:4"


# Recipients: the same set, whether a rule names it or sops wrote it.

ARN = "arn:aws:kms:eu-central-1:111122223333:key/11112222-3333"
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINca1ZMNLghHLZ43AHca9ToNaYrxd0IVhLlpNbrDQBn7 me@example.com"
SAME = {
    "age": ("age: age1a", "age: [{recipient: age1a, enc: x}]", {("age", "age1a")}),
    "two age, with a comma": (
        "age: 'age1a, age1b'",
        "age: [{recipient: age1b}, {recipient: age1a}]",
        {("age", "age1a"), ("age", "age1b")},
    ),
    "two age, over lines": (
        "age: >-\n      age1a,\n      age1b,",
        "age: [{recipient: age1a}, {recipient: age1b}]",
        {("age", "age1a"), ("age", "age1b")},
    ),
    "two age, as a list": (
        "age: [age1a, age1b]",
        "age: [{recipient: age1a}, {recipient: age1b}]",
        {("age", "age1a"), ("age", "age1b")},
    ),
    "an ssh key": (f"age: {SSH}", f"age: [{{recipient: '{SSH}'}}]", {("age", SSH)}),
    "pgp": (
        "pgp: 85D7 7543 B3D6 24B6 3CEA 9E6D BC17 301B 491B 3F21",
        "pgp: [{fp: 85d77543b3d624b63cea9e6dbc17301b491b3f21, created_at: '2026-01-01'}]",
        {("pgp", "85D77543B3D624B63CEA9E6DBC17301B491B3F21")},
    ),
    "kms": (f"kms: {ARN}", f"kms: [{{arn: '{ARN}', aws_profile: ''}}]", {("kms", ARN)}),
    "kms with a role": (
        f"kms: {ARN}+arn:aws:iam::111122223333:role/x",
        f"kms: [{{arn: '{ARN}', role: 'arn:aws:iam::111122223333:role/x'}}]",
        {("kms", ARN)},
    ),
    "gcp": (
        "gcp_kms: projects/p/locations/l/keyRings/r/cryptoKeys/k",
        "gcp_kms: [{resource_id: projects/p/locations/l/keyRings/r/cryptoKeys/k}]",
        {("gcp_kms", "projects/p/locations/l/keyRings/r/cryptoKeys/k")},
    ),
    "azure": (
        "azure_keyvault: https://v.vault.azure.net/keys/k/00112233",
        "azure_kv: [{vault_url: 'https://v.vault.azure.net', name: k, version: '00112233'}]",
        {("azure_kv", "https://v.vault.azure.net/keys/k")},
    ),
    "azure without a version": (
        "azure_keyvault: https://v.vault.azure.net/keys/k",
        "azure_kv: [{vault_url: 'https://v.vault.azure.net', name: k, version: '445566'}]",
        {("azure_kv", "https://v.vault.azure.net/keys/k")},
    ),
    "vault": (
        "hc_vault_transit_uri: https://v.example.com:8200/v1/sops/keys/k",
        "hc_vault: [{vault_address: 'https://v.example.com:8200', engine_path: sops, key_name: k}]",
        {("hc_vault", "https://v.example.com:8200/v1/sops/keys/k")},
    ),
    "huawei": (
        "hckms: eu-west-1:00000000-1111",
        "hckms: [{key_id: 'eu-west-1:00000000-1111'}]",
        {("hckms", "eu-west-1:00000000-1111")},
    ),
    "several kinds": (
        f"age: age1a\n    kms: {ARN}",
        f"age: [{{recipient: age1a}}]\n  kms: [{{arn: '{ARN}'}}]\n  pgp: []",
        {("age", "age1a"), ("kms", ARN)},
    ),
}


@pytest.mark.parametrize(("written", "block", "recipients"), SAME.values(), ids=SAME)
def test_recipients_of_a_rule_equal_the_readers_of_its_file(
    written: str, block: str, recipients: set[tuple[str, str]]
) -> None:
    asked = rule(f"creation_rules:\n  - path_regex: ''\n    {written}\n").groups
    seen = readers(f"a: 1\nsops:\n  {block}\n")

    assert (asked, seen) == (groups(recipients), groups(recipients))


KEY_GROUPS = """creation_rules:
  - shamir_threshold: 2
    age: ignored-where-there-are-groups
    key_groups:
      - age: [age1a, age1b]
        hc_vault: ['https://v.example.com/v1/sops/keys/k']
      - pgp: ['0011']
        kms: [{arn: 'arn:aws:kms:x', role: r, context: {a: b}}]
        gcp_kms: [{resource_id: projects/p}]
        azure_keyvault: [{vaultUrl: 'https://v.vault.azure.net', key: k, version: '1'}]
        hckms: [{key_id: 'eu:1'}]
"""
BLOCK_GROUPS = """sops:
  shamir_threshold: 2
  key_groups:
    - hc_vault: [{vault_address: 'https://v.example.com', engine_path: sops, key_name: k}]
      age: [{recipient: age1b}, {recipient: age1a}]
    - pgp: [{fp: '0011'}]
      kms: [{arn: 'arn:aws:kms:x'}]
      gcp_kms: [{resource_id: projects/p}]
      azure_kv: [{vault_url: 'https://v.vault.azure.net', name: k, version: '1'}]
      hckms: [{key_id: 'eu:1'}]
"""


def test_key_groups_are_compared_group_by_group() -> None:
    expected = groups(
        {("age", "age1a"), ("age", "age1b"), ("hc_vault", "https://v.example.com/v1/sops/keys/k")},
        {
            ("pgp", "0011"),
            ("kms", "arn:aws:kms:x"),
            ("gcp_kms", "projects/p"),
            ("azure_kv", "https://v.vault.azure.net/keys/k"),
            ("hckms", "eu:1"),
        },
    )

    assert (rule(KEY_GROUPS).groups, readers(BLOCK_GROUPS)) == (expected, expected)


def test_address_without_quotes_in_a_list_between_brackets_is_read() -> None:
    written = "hc_vault: [https://v.example.com/v1/sops/keys/k]"

    asked = rule(f"creation_rules:\n  - key_groups:\n      - {written}\n").groups

    assert asked == groups({("hc_vault", "https://v.example.com/v1/sops/keys/k")})


def test_one_group_is_what_sops_writes_without_groups() -> None:
    asked = rule("creation_rules:\n  - key_groups:\n      - age: [age1a, age1b]\n").groups

    assert asked == readers("sops:\n  age: [{recipient: age1a}, {recipient: age1b}]\n")


@pytest.mark.parametrize(
    "block",
    [
        "age: [{recipient: age1a}]",
        "age: [{recipient: age1a}, {recipient: age1b}, {recipient: age1c}]",
        "age: [{recipient: age1a}]\n  pgp: [{fp: age1b}]",
        "key_groups: [{age: [{recipient: age1a}]}, {age: [{recipient: age1b}]}]",
        "age: []",
    ],
)
def test_fewer_more_or_other_readers_differ_from_the_rule(block: str) -> None:
    asked = rule("creation_rules:\n  - age: age1a,age1b\n").groups

    assert readers(f"sops:\n  {block}\n") != asked


@pytest.mark.parametrize("block", ["a: 1\n", "sops: x\n", "sops: {age: x}\n", "sops: {age: [x]}\n"])
def test_file_without_a_sops_block_has_no_reader_with_a_name(block: str) -> None:
    assert {recipient for group in readers(block) for kind, recipient in group} <= {""}


@pytest.mark.parametrize(
    "written",
    ["path_regex: ^clusters/", "age: ''", "age: []", "age: ' , '", "key_groups: [{age: []}]", "key_groups: [{}, {}]"],
)
def test_rule_without_a_recipient_is_refused(written: str) -> None:
    text = f"creation_rules:\n  - {written}\n"

    assert refusal(text) == f".sops.yaml:2: the rule for {PATH} names no recipient; add one"
