"""The second half of the corpus: what `validate` finds in repositories that keyturn rendered, and in others.

Each case changes a good repository by one thing.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import corpus
import judged
import pytest
import rig
import sealed
from judged import LAB, VALUES, edit
from kit import IPSEC, WIREGUARD
from test_corpus import found, shows_no_secret, validate

from generator import creation

if TYPE_CHECKING:
    from collections.abc import Callable

    from corpus import Found
    from kit import Repo

Change = "Callable[[Repo], object]"
CLEAR = corpus.KEY


def secret(old: str, new: str) -> Callable[[Repo], object]:
    return lambda repo: edit(repo, LAB, old, new)


def both(*changes: Callable[[Repo], object]) -> Callable[[Repo], object]:
    def change(repo: Repo) -> None:
        for one in changes:
            one(repo)

    return change


def without(line: str, path: str = LAB) -> Callable[[Repo], object]:
    """Take the lines away that start with some words."""

    def change(repo: Repo) -> None:
        lines = repo.read(path).splitlines(keepends=True)
        kept = [one for one in lines if not one.strip().startswith(line)]
        assert len(kept) < len(lines)
        repo.write(path, "".join(kept))

    return change


def write(path: str, text: str) -> Callable[[Repo], object]:
    return lambda repo: repo.write(path, text)


def remove(path: str) -> Callable[[Repo], object]:
    return lambda repo: (repo.root / path).unlink()


def cut(repo: Repo) -> None:
    """Leave nothing of the block but its name."""
    repo.write(LAB, repo.read(LAB).partition("sops:\n")[0] + "sops: {}\n")


def other_config(repo: Repo) -> None:
    repo.write(".sops.yaml", rig.config(rig.identity(repo.root.parent / "stranger")))


def resealed(repo: Repo) -> None:
    """A Secret that is well made, for somebody else."""
    config = repo.read(".sops.yaml")
    other_config(repo)
    sealed.seal(repo, "lab", sealed.clear(sealed.key()))
    repo.write(".sops.yaml", config)


def selected(*words: str) -> Callable[[Repo], object]:
    """A file of somebody else's that sops encrypted by another selector."""

    def change(repo: Repo) -> None:
        edit(repo, ".sops.yaml", "creation_rules:\n", "creation_rules:\n  - {path_regex: ^apps/, age: AGE}\n")
        edit(repo, ".sops.yaml", "AGE", judged.document(repo)["sops"]["age"][0]["recipient"])
        sealed.encrypt(repo, "apps/a.yaml", corpus.secret(), *words)

    return change


def cleared(old: str = "password: ENC", new: str = "other: hunter2\n    password: ENC") -> Callable[[Repo], object]:
    def change(repo: Repo) -> None:
        selected("--encrypted-regex", "^(data|stringData)$")(repo)
        edit(repo, "apps/a.yaml", old, new)

    return change


def values_file(text: str, *words: str, then: tuple[str, str] = ("", "")) -> Callable[[Repo], object]:
    """An encrypted file that is no Secret."""

    def change(repo: Repo) -> None:
        selected()(repo)
        sealed.encrypt(repo, "apps/a.yaml", text, *words)
        if then[0]:
            edit(repo, "apps/a.yaml", *then)

    return change


def in_json(repo: Repo) -> None:
    """A Secret that sops encrypted as JSON, and one value of it in clear."""
    selected()(repo)
    text = json.dumps({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "hunter2", "b": "hunter2"}})
    sealed.encrypt(repo, "apps/b.json", text, "--encrypted-regex", "^(data|stringData)$", form="json")
    repo.write("apps/b.json", re.sub(r'"b": "ENC[^"]*"', '"b": "hunter2"', repo.read("apps/b.json")))


def two_documents(repo: Repo) -> None:
    selected("--encrypted-regex", "^(data|stringData)$")(repo)
    repo.write("apps/a.yaml", repo.read("apps/a.yaml") + "---\n" + corpus.secret())


def link(repo: Repo) -> None:
    (repo.root / LAB).unlink()
    (repo.root / LAB).symlink_to("/etc/passwd")


def rename_key(repo: Repo) -> None:
    edit(repo, LAB, "    keys: ENC", "    key: ENC")


S = LAB
CASES: dict[str, tuple[Callable[[Repo], object], list[Found]]] = {
    "nothing changed": (lambda _: None, []),
    # What existing hooks miss.
    "a good Secret with its encrypted_regex": (lambda _: None, []),
    "one clear value among encrypted ones": (
        secret("    keys: ENC", "    more: hunter2\n    keys: ENC"),
        [(S, 18, "clear-secret")],
    ),
    "a fake sops block": (
        lambda repo: repo.write(S, sealed.clear(sealed.key()) + "sops:\n    mac: x\n    version: 3.11.0\n"),
        [
            (S, 18, "clear-secret"),
            (S, 18, "clear-key"),
            (S, 19, "sops-recipients"),
            (S, 20, "sops-block"),
            (S, 20, "sops-block"),
            (S, 20, "sops-selector"),
            (S, 20, "sops-mac"),
        ],
    ),
    "a second document behind an encrypted one": (
        two_documents,
        [("apps/a.yaml", 22, "not-encrypted"), ("apps/a.yaml", 23, "clear-secret")],
    ),
    "a Secret in a file called yml": (write("x.yml", corpus.secret()), [("x.yml", 1, "clear-secret")]),
    "a Secret for the wrong recipients": (resealed, [(S, 19, "sops-recipients")]),
    "a Secret in a List beside the tree": (
        write("clusters/lab/list.yaml", 'kind: List\nitems:\n- {kind: "Secret", data: {a: YQ==}}\n'),
        [("clusters/lab/list.yaml", 3, "clear-secret")],
    ),
    "an identity beside the tree": (write("keys.txt", corpus.AGE_PQ), [("keys.txt", 1, "clear-identity")]),
    # SOPS files.
    "a Secret without encryption": (
        lambda repo: repo.write(S, sealed.clear(sealed.key())),
        [(S, 2, "clear-secret"), (S, 18, "clear-key")],
    ),
    "a value that is no ciphertext": (
        secret("keys: ENC[AES256_GCM,", "keys: ENC[NONE,"),
        [(S, 18, "clear-secret")],
    ),
    "a ciphertext without its tag": (
        lambda repo: repo.write(S, repo.read(S).replace(",tag:", ",gat:", 1)),
        [(S, 18, "clear-secret")],
    ),
    "no sops block": (
        lambda repo: repo.write(S, repo.read(S).partition("sops:\n")[0]),
        [(S, 2, "clear-secret")],
    ),
    "an empty sops block": (cut, [(S, 19, "sops-block"), (S, 19, "sops-recipients")]),
    "no MAC": (without("mac:"), [(S, 20, "sops-mac")]),
    "a MAC in clear": (secret("mac: ENC", "mac: abc #"), [(S, 31, "sops-mac")]),
    "a MAC over encrypted values alone": (
        secret("    version: 3", "    mac_only_encrypted: true\n    version: 3"),
        [(S, 33, "sops-mac")],
    ),
    "no version": (without("version:"), [(S, 20, "sops-block")]),
    "no time": (without("lastmodified:"), [(S, 20, "sops-block")]),
    "a time that is none": (secret('lastmodified: "2', 'lastmodified: "x2'), [(S, 30, "sops-block")]),
    "no data key for a recipient": (
        lambda repo: repo.write(S, repo.read(S).replace("          enc: |", "          enk: |")),
        [(S, 21, "sops-block")],
    ),
    "a data key that is none": (
        lambda repo: repo.write(S, re.sub(r"enc: \|\n(?: {12}[^\n]*\n)+", "enc: foo\n", repo.read(S))),
        [(S, 22, "sops-block")],
    ),
    "two selectors": (
        secret("    encrypted_regex:", "    unencrypted_suffix: _x\n    encrypted_regex:"),
        [(S, 33, "sops-selector")],
    ),
    "a selector that is weaker in disguise": (
        secret("^(data|stringData)$", "^(.*keys.*|stringD.*)$"),
        [(S, 32, "sops-selector")],
    ),
    "a selector by comments": (
        lambda repo: repo.write(S, repo.read(S).replace("encrypted_regex:", "encrypted_comment_regex:")),
        [(S, 32, "sops-selector")],
    ),
    "what kubectl applied, in clear": (
        secret(
            "        keyturn/created",
            "        kubectl.kubernetes.io/last-applied-configuration: "
            + json.dumps(json.dumps({"kind": "Secret", "stringData": {"a": "hunter2"}}))
            + "\n        keyturn/created",
        ),
        [(S, 13, "clear-secret")],
    ),
    "no recipient": (
        lambda repo: repo.write(S, repo.read(S).replace("    age:\n", "    other:\n")),
        [(S, 19, "sops-recipients"), (S, 20, "sops-block")],
    ),
    "a weaker regex": (secret("^(data|stringData)$", "^(stringData)$"), [(S, 32, "sops-selector")]),
    "no selector but the default": (without("encrypted_regex:"), [(S, 20, "sops-selector")]),
    "a regex that takes nothing": (secret("^(data|stringData)$", "^nothing$"), [(S, 32, "sops-selector")]),
    "a Secret that is not YAML": (lambda repo: repo.write(S, repo.read(S) + "a: [\n"), [(S, 35, "yaml-syntax")]),
    "two documents in the Secret": (lambda repo: repo.write(S, repo.read(S) + "---\na: b\n"), [(S, 34, "documents")]),
    "a Secret that is a link": (link, [(S, 0, "missing-secret")]),
    "another kind": (secret("kind: Secret", "kindX: Secret"), [(S, 2, "secret-reference"), (S, 3, "unknown-key")]),
    "another name": (secret("name: cilium-ipsec-keys", "name: other"), [(S, 5, "secret-reference")]),
    "another namespace": (secret("namespace: kube-system", "namespace: x"), [(S, 6, "secret-reference")]),
    "another data key": (rename_key, [(S, 2, "secret-reference")]),
    "a key that the MAC does not cover": (secret("type: Opaque", "typex: Opaque"), [(S, 16, "unknown-key")]),
    "a key more in the metadata": (secret("    name: c", "    nome: x\n    name: c"), [(S, 5, "unknown-key")]),
    "an annotation that keyturn does not know": (
        secret("        keyturn/created", "        keyturn/creator: me\n        keyturn/created"),
        [(S, 13, "unknown-key")],
    ),
    "an annotation of somebody else's": (
        secret("        keyturn/created", "        example.com/note: me\n        keyturn/created"),
        [],
    ),
    # Annotations.
    "no key id": (without("keyturn/key-id"), [(S, 2, "annotations")]),
    "the key id 0": (secret('key-id: "1"', 'key-id: "0"'), [(S, 2, "annotations")]),
    "the key id 16": (secret('key-id: "1"', 'key-id: "16"'), [(S, 2, "annotations")]),
    "a key id that is a number": (secret('key-id: "1"', "key-id: 1"), [(S, 2, "annotations")]),
    "no fingerprint": (without("keyturn/fingerprint"), [(S, 2, "annotations")]),
    "half a fingerprint": (
        lambda repo: repo.write(S, repo.read(S).replace("fingerprint: sha256:", "fingerprint: sha256:0")),
        [(S, 2, "annotations")],
    ),
    "no date": (without("keyturn/created"), [(S, 2, "annotations")]),
    "no algorithm": (without("keyturn/algorithm"), [(S, 2, "annotations")]),
    "an algorithm that no agent takes": (secret(": rfc4106(gcm(aes))", ": rot13"), [(S, 2, "annotations")]),
    "another algorithm": (
        both(
            secret(": rfc4106(gcm(aes))", ": hmac(sha256) cbc(aes)"),
            secret("keyturn/icv-bits", "keyturn/auth-bits"),
        ),
        [(S, 0, "other-algorithm"), (S, 2, "annotations")],
    ),
    "another size": (
        secret('key-bits: "128"', 'key-bits: "256"'),
        [(S, 0, "other-algorithm"), (S, 2, "annotations")],
    ),
    "a size that is none": (secret('key-bits: "128"', 'key-bits: "129"'), [(S, 2, "annotations")]),
    "a previous key id that it does not follow": (
        secret("        keyturn/created", '        keyturn/previous-key-id: "7"\n        keyturn/created'),
        [(S, 2, "annotations")],
    ),
    "no guard against Flux": (secret("prune: disabled", "prune: enabled"), [(S, 14, "annotations")]),
    "no guard against Argo CD": (without("argocd.argoproj.io"), [(S, 2, "annotations")]),
    # The tree.
    "an edited file": (lambda repo: edit(repo, VALUES, "enabled: true", "enabled: false"), [(VALUES, 6, "drift")]),
    "a file of a line more": (lambda repo: repo.write(VALUES, repo.read(VALUES) + "a: b\n"), [(VALUES, 26, "drift")]),
    "a missing file": (remove(VALUES), [(VALUES, 0, "drift")]),
    "a foreign file at a path of ours": (write(VALUES, "a: b\n"), [(VALUES, 0, "foreign-file")]),
    "a link at a path of ours": (
        both(remove(VALUES), lambda repo: (repo.root / VALUES).symlink_to("/etc/passwd")),
        [(VALUES, 0, "foreign-file")],
    ),
    "a file where a folder of ours should be": (
        both(lambda repo: shutil.rmtree(repo.root / "clusters/m1/cilium"), write("clusters/m1/cilium", "a: b\n")),
        [("clusters/m1/cilium", 0, "foreign-file"), ("clusters/m1/cilium/values.yaml", 0, "drift")],
    ),
    "a foreign file beside ours": (write("clusters/lab/cilium/mine.yaml", "a: b\n"), []),
    "a file of ours too many": (
        lambda repo: repo.write("clusters/lab/cilium/old.yaml", repo.read(VALUES)),
        [("clusters/lab/cilium/old.yaml", 1, "left-over")],
    ),
    "an environment that is not rendered again": (
        lambda repo: edit(repo, "environments/wg.yaml", "wireguard", "none"),
        [
            ("clusters/wg/cilium/values.yaml", 6, "drift"),
        ],
    ),
    "an environment that is gone": (
        remove("environments/m2.yaml"),
        [
            ("clusters/m2/bootstrap.sh", 1, "left-over"),
            ("clusters/m2/cilium/values.yaml", 1, "left-over"),
            (sealed.path("m2"), 0, "unused-secret"),
            ("clusters/m2/secrets/kustomization.yaml", 1, "left-over"),
        ],
    ),
    "an environment that is not rendered": (
        lambda repo: repo.environment("new", WIREGUARD),
        [],
    ),
    "a Secret that is missing": (remove(S), [(S, 0, "missing-secret")]),
    "a Secret that is not used": (
        lambda repo: repo.write(sealed.path("wg"), repo.read(S)),
        [(sealed.path("wg"), 0, "unused-secret")],
    ),
    "a mesh with two keys": (
        lambda repo: sealed.seal(repo, "m2", sealed.clear(sealed.key(2), 1)),
        [(sealed.path("m2"), 0, "mesh-key")],
    ),
    # Environments.
    "a misspelt key": (
        lambda repo: edit(repo, "environments/lab.yaml", "{type: ipsec}", "{type: ipsec, nodeEncrption: true}"),
        [("environments/lab.yaml", 2, "unknown-key")],
    ),
    "a warning of render's": (
        lambda repo: repo.environment("lab", IPSEC.replace("{enabled: false}", "{enabled: true}")),
        [("clusters/lab/cilium/values.yaml", 25, "drift"), ("environments/lab.yaml", 1, "hubble-tls")],
    ),
    "a group that is not there": (
        lambda repo: repo.environment("wg", "extends: [nobody]\n" + WIREGUARD),
        [("environments/wg.yaml", 1, "unknown-group")],
    ),
    "a template that fails": (
        write("templates/bootstrap.sh.j2", "{{ nobody }}\n"),
        [("templates", 0, "template")],
    ),
    "a template of nothing": (write("templates/kimd.yaml.j2", ""), [("templates/kimd.yaml.j2", 0, "stray-template")]),
    # `.sops.yaml`.
    "no .sops.yaml": (remove(".sops.yaml"), [(".sops.yaml", 0, "sops-rule")]),
    "a .sops.yaml that is not YAML": (write(".sops.yaml", "a: [\n"), [(".sops.yaml", 2, "sops-rule")]),
    "a rule that encrypts less": (
        lambda repo: edit(repo, ".sops.yaml", "^(data|stringData)$", "^data$"),
        [(".sops.yaml", 3, "sops-rule")],
    ),
    "a rule for nothing": (
        lambda repo: edit(repo, ".sops.yaml", "^clusters/", "^others/"),
        [(".sops.yaml", 0, "sops-rule")] * 3,  # one for each Secret
    ),
    "a protected environment whose recipient nobody chose": (
        both(
            lambda repo: repo.write(".sops.yaml", creation.NEW_IDENTITY + repo.read(".sops.yaml")),
            lambda repo: repo.environment("lab", f"protected: true\n{IPSEC}"),
        ),
        [(".sops.yaml", 0, "sops-rule")],
    ),
    # SOPS files of others.
    "a file that sops encrypted whole": (selected(), []),
    "a Secret of others with encrypted_regex": (selected("--encrypted-regex", "^(data|stringData)$"), []),
    "a Secret of others with another selector": (
        selected("--encrypted-regex", "^(stringData)$"),
        [("apps/a.yaml", 20, "sops-selector")],
    ),
    "a Secret of others with a value in clear": (cleared(), [("apps/a.yaml", 6, "clear-secret")]),
    "a Secret in JSON with a value in clear": (in_json, [("apps/b.json", 6, "clear-secret")]),
    "values that sops encrypted": (values_file("a: hunter2\nb: [1, true, null, '']\n"), []),
    "values of which one is in clear": (
        values_file("a: hunter2\nb: [1]\n", then=("b:\n", "c: hunter2\nb:\n")),
        [("apps/a.yaml", 2, "clear-value")],
    ),
    "values with an exception by suffix": (values_file("a: hunter2\nb_unencrypted: words\n"), []),
    "values with a selector by suffix": (
        values_file(
            "a: words\nb_secret: hunter2\n", "--encrypted-suffix", "_secret", then=("a: w", "c_secret: x\na: w")
        ),
        [("apps/a.yaml", 1, "clear-value")],
    ),
    "a selector that is not the rule's": (
        both(
            selected("--encrypted-regex", "^(data|stringData)$"),
            lambda repo: edit(repo, ".sops.yaml", "path_regex: ^apps/,", "path_regex: ^apps/, encrypted_regex: ^.*$,"),
        ),
        [("apps/a.yaml", 20, "sops-selector")],
    ),
    "rules of others that are not understood here": (
        both(
            selected("--encrypted-regex", "^(data|stringData)$"),
            lambda repo: edit(repo, ".sops.yaml", "path_regex: ^apps/", "path_regex: '^[[:alpha:]]+/'"),
        ),
        [(".sops.yaml", 2, "sops-rule"), (".sops.yaml", 2, "sops-rule")],
    ),
    "values with a selector that Python does not know": (
        values_file("a: hunter2\n", "--encrypted-regex", "^[[:alpha:]]$", then=("a: ENC", "b: words\na: ENC")),
        [],
    ),
    "values with a selector of several words": (
        values_file(
            "a_password: hunter2\nb: words\n",
            "--encrypted-regex",
            "^(.*password.*|.*token.*|tls)$",
            then=("b: words", "a_token: x\nb: words"),
        ),
        [("apps/a.yaml", 2, "clear-value")],
    ),
    "values with a selector that could take for ever": (
        values_file(
            "aaaa: hunter2\n", "--encrypted-regex", "^(a+)+$", then=("aaaa: ENC", f"{'a' * 40}b: x\naaaa: ENC")
        ),
        [],
    ),
    "values with a selector of what stays clear": (
        values_file("a: hunter2\nb: words\n", "--unencrypted-regex", "^b$"),
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_repository_has_these_findings_and_no_others(name: str, world: Repo) -> None:
    change, expected = CASES[name]
    change(world)
    world.git("add", "-A")

    ran = validate(world, "--no-key")

    assert (found(ran), shows_no_secret(ran)) == (expected, True)
