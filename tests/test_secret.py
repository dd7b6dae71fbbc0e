"""The Secret: the document for sops, and what its clear part tells and has to tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generator import keys, model, secret
from generator.keys import Algorithm, Key
from generator.secret import Issue
from generator.yamlio import read

if TYPE_CHECKING:
    from generator.model import Environment
    from generator.nodes import Node

CREATED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
GCM = keys.algorithm("rfc4106-gcm-aes", 128)


def counting(length: int) -> bytes:
    return bytes(range(length))


def test_document_for_gcm_is_this_text() -> None:
    key = Key(1, GCM, counting(20))

    text = secret.document(Issue(key, CREATED), "kube-system")

    assert (
        text
        == f"""\
# Written once by keyturn; to change it: keyturn rotate
apiVersion: v1
kind: Secret
metadata:
  name: cilium-ipsec-keys
  namespace: kube-system
  annotations:
    keyturn/key-id: "1"
    keyturn/algorithm: rfc4106(gcm(aes))
    keyturn/key-bits: "128"
    keyturn/icv-bits: "128"
    keyturn/fingerprint: "{key.fingerprint()}"
    keyturn/created: "2026-01-02T03:04:05Z"
    kustomize.toolkit.fluxcd.io/prune: disabled
    argocd.argoproj.io/sync-options: Prune=false,Delete=false
type: Opaque
stringData:
  keys: "1+ rfc4106(gcm(aes)) {counting(20).hex()} 128"
"""
    )


def test_document_for_cbc_is_this_text() -> None:
    key = Key(15, keys.algorithm("cbc-aes-sha512", 128), counting(48))

    text = secret.document(Issue(key, CREATED), "cilium")

    assert (
        text
        == f"""\
# Written once by keyturn; to change it: keyturn rotate
apiVersion: v1
kind: Secret
metadata:
  name: cilium-ipsec-keys
  namespace: cilium
  annotations:
    keyturn/key-id: "15"
    keyturn/algorithm: hmac(sha512) cbc(aes)
    keyturn/key-bits: "128"
    keyturn/auth-bits: "256"
    keyturn/fingerprint: "{key.fingerprint()}"
    keyturn/created: "2026-01-02T03:04:05Z"
    kustomize.toolkit.fluxcd.io/prune: disabled
    argocd.argoproj.io/sync-options: Prune=false,Delete=false
type: Opaque
stringData:
  keys: "15+ hmac(sha512) {counting(32).hex()} cbc(aes) {counting(48)[32:].hex()}"
"""
    )


ALGORITHMS = [
    *(keys.algorithm("rfc4106-gcm-aes", bits) for bits in (128, 192, 256)),
    *(keys.algorithm(name, 128) for name in ("cbc-aes-sha256", "cbc-aes-sha512")),
]


@st.composite
def any_key(draw: st.DrawFn) -> Key:
    used: Algorithm = draw(st.sampled_from(ALGORITHMS))
    return Key(draw(st.integers(1, 15)), used, draw(st.binary(min_size=used.length, max_size=used.length)))


@given(any_key())
def test_document_holds_the_line_whole_and_the_material_nowhere_else(key: Key) -> None:
    text = secret.document(Issue(key, CREATED), "kube-system")

    assert yaml.safe_load(text)["stringData"] == {"keys": key.line()}
    clear, _, _ = text.partition("stringData:")
    cut = key.algorithm.auth_bits // 8
    assert [part for part in (key.material[:cut], key.material[cut:]) if part and part.hex() in clear] == []


@given(any_key())
def test_every_annotation_is_text(key: Key) -> None:
    annotations = yaml.safe_load(secret.document(Issue(key, CREATED), "kube-system"))["metadata"]["annotations"]

    assert {type(value) for value in annotations.values()} == {str}


def test_file_and_selector_are_those_of_the_interface() -> None:
    assert (secret.FILE, secret.ENCRYPTED, secret.HEADER) == (
        "secrets/cilium-ipsec-keys.sops.yaml",
        "^(data|stringData)$",
        "# Written once by keyturn; to change it: keyturn rotate\n",
    )


PATH = "clusters/lab/secrets/cilium-ipsec-keys.sops.yaml"


def node_of(text: str) -> Node:
    node, found = read(text.encode(), PATH)
    assert found == []
    assert node is not None
    return node


def environment(namespace: str = "kube-system") -> Environment:
    text = f"{{cilium: {{version: 1.16.0, namespace: {namespace}}}, encryption: {{type: ipsec}}}}"
    parsed, found = model.parse(node_of(text), "lab")
    assert found == []
    assert parsed is not None
    return parsed


SOUND = """\
apiVersion: v1
kind: Secret
metadata:
  name: cilium-ipsec-keys
  namespace: kube-system
stringData:
  keys: ENC[AES256_GCM,data:x,type:str]
sops:
  mac: x
"""
NEEDS = "and the environment needs"
RESTORE = "bring back the file that keyturn wrote"
SPENT = "take it out of git; what it held is spent"


@pytest.mark.parametrize("part", ["stringData", "data"])
def test_sound_secret_has_no_finding(part: str) -> None:
    root = node_of(SOUND.replace("stringData", part))

    assert [*secret.check(root, environment()), *secret.clear_values(root)] == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "namespace: kube-system",
            "namespace: cilium",
            (
                f"5:14: error: the Secret's metadata.namespace is 'cilium', {NEEDS} 'kube-system'; "
                "cilium.namespace is fixed once a Secret exists [secret-reference]"
            ),
        ),
        (
            "name: cilium-ipsec-keys",
            "name: other",
            (
                f"4:9: error: the Secret's metadata.name is 'other', {NEEDS} 'cilium-ipsec-keys'; {RESTORE} "
                "[secret-reference]"
            ),
        ),
        (
            "kind: Secret",
            "kind: ConfigMap",
            f"2:7: error: the Secret's kind is 'ConfigMap', {NEEDS} 'Secret'; {RESTORE} [secret-reference]",
        ),
        (
            "apiVersion: v1",
            "apiVersion: v2",
            f"1:13: error: the Secret's apiVersion is 'v2', {NEEDS} 'v1'; {RESTORE} [secret-reference]",
        ),
        ("  keys:", "  key:", f"1:1: error: the Secret has no data key 'keys'; {RESTORE} [secret-reference]"),
    ],
)
def test_secret_that_the_values_do_not_name_is_told_at_its_place(old: str, new: str, line: str) -> None:
    root = node_of(SOUND.replace(old, new))

    assert [str(found) for found in secret.check(root, environment())] == [f"{PATH}:{line}"]


def test_secret_of_another_namespace_than_the_environment_s_is_told() -> None:
    found = [finding.message for finding in secret.check(node_of(SOUND), environment("cilium"))]

    assert found == [f"the Secret's metadata.namespace is 'kube-system', {NEEDS} 'cilium'"]


def test_secret_without_anything_in_it_is_told_whole() -> None:
    found = list(secret.check(node_of("{}"), environment()))

    assert [(finding.line, finding.column, finding.rule) for finding in found] == [(1, 1, "secret-reference")] * 5


@pytest.mark.parametrize(("value", "seen"), [("[{x: hunter2}]", "a list"), ("{x: hunter2}", "a mapping")])
def test_member_of_a_wrong_type_is_described_and_not_poured_out(value: str, seen: str) -> None:
    (found,) = secret.check(node_of(SOUND.replace("kind: Secret", f"kind: {value}")), environment())

    assert found.message == f"the Secret's kind is {seen}, {NEEDS} 'Secret'"


def test_secret_without_a_sops_block_is_told_as_clear() -> None:
    found = [str(finding) for finding in secret.clear_values(node_of("data: {keys: 'ENC[x]'}"))]

    assert found == [f"{PATH}:1:1: error: the Secret is not encrypted; {SPENT} [clear-secret]"]


@pytest.mark.parametrize(
    ("part", "value", "column"),
    [
        ("stringData", "hunter2", 20),
        ("data", "aHVudGVyMg==", 14),
        ("data", "{x: hunter2}", 14),
        ("data", "7", 14),
        ("data", " ENC", 15),
    ],
)
def test_clear_value_beside_a_sops_block_is_told_at_its_place_and_not_quoted(
    part: str, value: str, column: int
) -> None:
    root = node_of(f"{part}: {{keys: {value}, other: 'ENC[x]'}}\nsops: {{mac: x}}\n")

    found = [str(finding) for finding in secret.clear_values(root)]

    assert found == [f"{PATH}:1:{column}: error: a value of the Secret is not encrypted; {SPENT} [clear-secret]"]


@pytest.mark.parametrize("part", ["data", "stringData"])
def test_text_in_place_of_the_values_is_clear_too(part: str) -> None:
    found = [str(finding) for finding in secret.clear_values(node_of(f"{part}: hunter2\nsops: {{mac: x}}\n"))]

    column = len(part) + 3
    assert found == [f"{PATH}:1:{column}: error: a value of the Secret is not encrypted; {SPENT} [clear-secret]"]


@pytest.mark.parametrize("value", ["{}", "null"])
def test_no_values_are_no_clear_ones(value: str) -> None:
    assert list(secret.clear_values(node_of(f"data: {value}\nsops: {{mac: x}}\n"))) == []


def test_annotation_is_read_by_its_name() -> None:
    root = node_of(secret.document(Issue(Key(1, GCM, counting(20)), CREATED), "kube-system"))

    names = ("algorithm", "key-bits", "created", "none")
    assert [secret.annotation(root, name) for name in names] == ["rfc4106(gcm(aes))", "128", "2026-01-02T03:04:05Z", ""]


@pytest.mark.parametrize(
    "metadata", ["{}", "{annotations: null}", "{annotations: []}", "{annotations: {keyturn/key-id: 1}}"]
)
def test_annotation_that_is_no_text_is_empty(metadata: str) -> None:
    assert secret.annotation(node_of(f"metadata: {metadata}"), "key-id") == ""


SOPS_BLOCK = b"sops:\n    age:\n        - enc: |\n            text\n    version: 3.11.0\n"


def test_head_leaves_out_what_sops_alone_reads() -> None:
    assert secret.head(b"kind: Secret\n" + SOPS_BLOCK) == b"kind: Secret\nsops: {}\n"


@pytest.mark.parametrize(
    "data",
    [
        b"kind: Secret\n",
        b"kind: Secret\n" + SOPS_BLOCK + b"stringData: {keys: clear}\n",
        b"kind: Secret\n" + SOPS_BLOCK + b">>>>>>> side\n",
        b"kind: Secret\n" + SOPS_BLOCK + b"\n",
        b"kind: Secret\n" + SOPS_BLOCK.rstrip(b"\n"),
        b"kind: Secret\n" + SOPS_BLOCK.replace(b"\n", b"\r\n"),
        SOPS_BLOCK + b"kind: Secret\n",
        b"kind: Secret\nsops:\n",
    ],
)
def test_head_is_the_whole_where_the_block_is_not_plainly_the_last(data: bytes) -> None:
    assert secret.head(data) == data
