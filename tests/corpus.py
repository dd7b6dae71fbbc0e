"""Files and repositories, good and bad, and exactly what `validate` finds in each.

Every secret is put together here, at test time, so that this repository passes its own hook.  Nothing in it opens
anything: keys are counted up, identities are of nobody.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

Found = tuple[str, int, str]  # path, line, rule


@dataclass(frozen=True)
class Case:
    """A folder of files by path, and what is found in it, in order."""

    files: dict[str, str | bytes]
    found: list[Found] = field(default_factory=list)


def _hex(length: int) -> str:
    return bytes(range(0x61, 0x61 + length)).hex()


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


GCM = "rfc4106(gcm" + "(aes))"
MATERIAL = _hex(20)
KEY = f"3+ {GCM} {MATERIAL} 128"
PLAIN = f"3 {GCM} {MATERIAL} 128"
PREFIXED = f"3 {GCM} 0x{MATERIAL} 128"
LONG = f"15+ {GCM} {_hex(36)} 128"
CBC = f"2+ hmac(sha256) {_hex(16)} cbc(aes) {_hex(16)}"
CBC512 = f"2 hmac(sha512) {_hex(32)} cbc(aes) {_hex(16)}"
AGE = "AGE-SECRET-" + "KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" + "QPZRY9X8GF2TVDW0S3JN54KHCE"
AGE_PQ = "AGE-SECRET-" + "KEY-PQ-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" + "QPZRY9X8GF2TVDW0S3JN54KHCE"
WIREGUARD = b64(bytes(range(0x20, 0x40)))
_BODY = b64(bytes(range(48)))


def private(kind: str, body: str = _BODY) -> str:
    """A private key in its armour; `kind` is the word before PRIVATE KEY."""
    name = f"{kind} " if kind else ""
    ends = " BLOCK" if kind == "PGP" else ""
    blank = "\n" if kind == "PGP" else ""
    return (
        f"-----BEGIN {name}PRIVATE" + f" KEY{ends}-----\n{blank}{body}\n-----END {name}PRIVATE" + f" KEY{ends}-----\n"
    )


SECRETS = (MATERIAL, _hex(36), _hex(16), _hex(32), AGE, AGE_PQ, WIREGUARD, _BODY, "hunter2", b64("hunter2"))
"""What no message may ever hold."""


def _wrapped(text: str) -> list[str]:
    """Lines as `base64` writes them."""
    return [text[start : start + 76] for start in range(0, len(text), 76)]


def secret(body: str = "stringData:\n  password: hunter2\n", kind: str = "Secret") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata:\n  name: a\n{body}"


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\ndata:\n  kind: Secret\n"


def one(text: str | bytes, *found: tuple[int, str], path: str = "file") -> Case:
    return Case({path: text}, [(path, line, rule) for line, rule in found])


CLEAR: dict[str, Case] = {
    "a key line": one(f"{KEY}\n", (1, "clear-key")),
    "a key line without a plus": one(f"{PLAIN}\n", (1, "clear-key")),
    "a key line with 0x": one(f"{PREFIXED}\n", (1, "clear-key")),
    "a key line without a newline": one(KEY, (1, "clear-key")),
    "a key line of 36 bytes": one(LONG, (1, "clear-key")),
    "a key line without its ICV": one(KEY.removesuffix(" 128"), (1, "clear-key")),
    "a key line in capitals": one(KEY.replace(MATERIAL, MATERIAL.upper()), (1, "clear-key")),
    "an auth and crypt line": one(CBC, (1, "clear-key")),
    "an auth and crypt line of SHA-512": one(CBC512, (1, "clear-key")),
    "an auth and crypt line with 0x": one(CBC.replace(_hex(16), f"0x{_hex(16)}"), (1, "clear-key")),
    "a key line behind others": one(f"# notes\n\nkey: {KEY}\n", (3, "clear-key")),
    "two key lines": one(f"{KEY}\n{CBC}\n", (1, "clear-key"), (2, "clear-key")),
    "a key line folded by YAML": one(f"keys: >-\n  3+ {GCM}\n  {MATERIAL}\n  128\n", (2, "clear-key"), path="a.yaml"),
    "a key line with CRLF": one(f"a\r\n{KEY}\r\n", (2, "clear-key")),
    "a key line in UTF-16": one(f"a\n{KEY}\n".encode("utf-16"), (2, "clear-key")),
    "a key line in a binary file": one(b"\x00\x01\x02\xff" + KEY.encode() + b"\x00", (1, "clear-key")),
    "a key line in bytes that are no UTF-8": one(b"\xfc\xfd\n" + KEY.encode(), (2, "clear-key")),
    "a key line in a file without a known ending": one(KEY, (1, "clear-key"), path="a/b/.hidden"),
    "a key line in a shell history": one(
        f'kubectl create -n kube-system secret generic cilium-ipsec-keys --from-literal=keys="{PLAIN}"\n',
        (1, "clear-key"),
        path=".bash_history",
    ),
    "a key line in a shell history with backslashes": one(
        f"echo 3+\\ rfc4106\\(gcm\\(aes\\)\\)\\ {MATERIAL}\\ 128\n", (1, "clear-key"), path=".zsh_history"
    ),
    "a pre-shared key in a shell history": one(f"ls\nPSK={MATERIAL}\n", (2, "clear-key"), path=".bash_history"),
    "a pre-shared key in an array": one(f"NEW_PSK=({MATERIAL})\n", (1, "clear-key")),
    "a pre-shared key in a page": one(f"    PSK: {MATERIAL}\n", (1, "clear-key"), path="lab.md"),
    "a key line in a Markdown page": one(f"# Keys\n\n```\n{KEY}\n```\n", (4, "clear-key"), path="docs/keys.md"),
    "a key line in JSON": one(json.dumps({"keys": KEY}), (1, "clear-key"), path="keys.json"),
    "a key line in a commented line": one(f"a: b # {KEY}\n", (1, "clear-key"), path="a.yaml"),
    "a key line in a kubectl patch": one(
        'kubectl patch secret cilium-ipsec-keys -p=\'{"stringData":{"keys":"' + PLAIN + "\"}}'\n", (1, "clear-key")
    ),
    "what ip xfrm shows": one(f"aead {GCM} 0x{MATERIAL} 128\n", (1, "clear-key")),
    "a key line in base64": one(f"keys: {b64(KEY)}\n", (1, "clear-key")),
    "a key line without a plus in base64": one(f"keys: {b64(PLAIN)}\n", (1, "clear-key")),
    "a key line with two digits in base64": one(f"keys: {b64(LONG)}\n", (1, "clear-key")),
    "an auth and crypt line in base64": one(f"keys: {b64(CBC)}\n", (1, "clear-key")),
    "base64 that is wrapped": one(
        f"data:\n  keys: |\n    {b64(KEY)[:40]}\n    {b64(KEY)[40:]}\n", (3, "clear-key"), path="a.txt"
    ),
    "base64 in JSON": one(json.dumps({"data": {"keys": b64(KEY)}}), (1, "clear-key"), path="x.json"),
    "base64 of more than the key line": one(b64(f"a word\n{KEY}\nanother\n"), (1, "clear-key")),
    "base64 of an age identity": one(f"age.agekey: {b64(AGE)}\n", (1, "clear-identity")),
    "base64 of an SSH key": one(f"identity: {b64(private('OPENSSH'))}\n", (1, "clear-private-key")),
    "base64 that is wrapped in the middle of a word": one(
        "\n".join(_wrapped(b64(f"# created: 2026-11-26T12:00:00Z\n# public key: age1{'q' * 58}\n{AGE}\n"))) + "\n",
        (3, "clear-identity"),
        path="a.txt",
    ),
    "a key line in a table": one(f"| `{GCM}` | `{MATERIAL}` | 128 |\n", (1, "clear-key"), path="a.md"),
    "a key line as a list": one(f"- 3+\n- {GCM}\n- {MATERIAL}\n- 128\n", (2, "clear-key"), path="a.yaml"),
    "an SSH key in JSON in JSON": one(
        json.dumps({"a": json.dumps({"private_key": private("")})}), (1, "clear-private-key"), path="sa.json"
    ),
    "an SSH key that a patch takes out": one(
        "".join(f"-{line}\n" for line in private("RSA").splitlines()), (1, "clear-private-key"), path="a.patch"
    ),
    "a PGP key in base64": one(b64(private("PGP")), (1, "clear-private-key")),
    "a WireGuard key in a block": one(f"privateKey: |\n  {WIREGUARD}\n", (1, "clear-wireguard-key"), path="a.yaml"),
    "a WireGuard key in Terraform": one(f'  private_key = "{WIREGUARD}"\n', (1, "clear-wireguard-key"), path="a.tf"),
    "a WireGuard key of UCI": one(f"option private_key '{WIREGUARD}'\n", (1, "clear-wireguard-key")),
    "an age identity": one(f"# created: 2026-01-01\n{AGE}\n", (2, "clear-identity"), path="keys.txt"),
    "a post-quantum age identity": one(f"{AGE_PQ}\n", (1, "clear-identity"), path="keys.txt"),
    "an age identity in a shell command": one(f"export SOPS_AGE_KEY={AGE}\n", (1, "clear-identity")),
    "an OpenSSH key": one(private("OPENSSH"), (1, "clear-private-key"), path="id_ed25519"),
    "an RSA key": one(private("RSA"), (1, "clear-private-key")),
    "an EC key": one(private("EC"), (1, "clear-private-key")),
    "a PKCS#8 key": one(private(""), (1, "clear-private-key")),
    "an encrypted PKCS#8 key": one(private("ENCRYPTED"), (1, "clear-private-key")),
    "an RSA key with headers": one(private("RSA", f"Proc-Type: 4,ENCRYPTED\n\n{_BODY}"), (1, "clear-private-key")),
    "a PGP key": one(private("PGP"), (1, "clear-private-key"), path="key.asc"),
    "an SSH key that YAML indents": one(
        "key: |\n" + "".join(f"  {line}\n" for line in private("OPENSSH").splitlines()), (2, "clear-private-key")
    ),
    "an SSH key in JSON": one(json.dumps({"key": private("OPENSSH")}), (1, "clear-private-key"), path="k.json"),
    "a PuTTY key": one(
        "PuTTY-User-Key-" + f"File-3: ssh-ed25519\nPrivate-Lines: 1\n{_BODY}\n", (1, "clear-private-key")
    ),
    "a WireGuard configuration": one(
        f"[Interface]\nPrivateKey = {WIREGUARD}\n", (2, "clear-wireguard-key"), path="wg0.conf"
    ),
    "a WireGuard key in YAML": one(f"privateKey: {WIREGUARD}\n", (1, "clear-wireguard-key"), path="a.yaml"),
    "a WireGuard key in JSON": one(json.dumps({"private_key": WIREGUARD}), (1, "clear-wireguard-key"), path="a.json"),
    "a WireGuard key in a variable": one(f"WG_PRIVATE_KEY={WIREGUARD}\n", (1, "clear-wireguard-key"), path=".env"),
    "a WireGuard pre-shared key": one(f"PresharedKey = {WIREGUARD}\n", (1, "clear-wireguard-key"), path="wg0.conf"),
}

SECRET_FILES: dict[str, Case] = {
    "a Secret": one(secret(), (1, "clear-secret"), path="a.yaml"),
    "a Secret in a file called yml": one(secret(), (1, "clear-secret"), path="a.yml"),
    "a Secret with a quoted kind": one(secret(kind='"Secret"'), (1, "clear-secret"), path="a.yaml"),
    "a Secret with a kind in single quotes": one(secret(kind="'Secret'"), (1, "clear-secret"), path="a.yaml"),
    "a Secret with a tagged kind": one(secret(kind="!!str Secret"), (1, "clear-secret"), path="a.yaml"),
    "a Secret with an anchor": one(secret(kind="&k Secret"), (1, "clear-secret"), path="a.yaml"),
    "a Secret with data in base64": one(
        secret(f"data:\n  password: {b64('hunter2')}\n"), (1, "clear-secret"), path="a.yaml"
    ),
    "a Secret behind a comment": one("# words\n\n" + secret(), (3, "clear-secret"), path="a.yaml"),
    "a Secret behind a byte order mark": one("\ufeff" + secret(), (1, "clear-secret"), path="a.yaml"),
    "a Secret as the second document": one(f"{CONFIG_MAP}---\n{secret()}", (8, "clear-secret"), path="a.yaml"),
    "a Secret as the first of three documents": one(
        f"---\n{secret()}---\n{CONFIG_MAP}---\n{CONFIG_MAP}", (2, "clear-secret"), path="a.yaml"
    ),
    "a Secret beside a document that is no YAML": one(
        "a: [\n---\n" + secret() + "---\n}\n", (3, "clear-secret"), path="a.yaml"
    ),
    "two Secrets in one file": one(
        f"{secret()}---\n{secret()}", (1, "clear-secret"), (8, "clear-secret"), path="a.yaml"
    ),
    "a Secret behind an end of document": one(f"{CONFIG_MAP}...\n---\n{secret()}", (9, "clear-secret"), path="a.yaml"),
    "a Secret in a List": one(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  stringData: {a: hunter2}\n",
        (4, "clear-secret"),
        path="a.yaml",
    ),
    "a Secret in a List in a List": one(
        "apiVersion: v1\nkind: List\nitems:\n- kind: List\n  items:\n"
        "  - {kind: Secret, apiVersion: v1, data: {a: YQ==}}\n",
        (6, "clear-secret"),
        path="a.yaml",
    ),
    "a Secret among a chart's extra objects": one(
        "extraObjects:\n- apiVersion: v1\n  kind: Secret\n  stringData:\n    a: hunter2\n",
        (2, "clear-secret"),
        path="v.yaml",
    ),
    "a Secret in JSON": one(
        json.dumps({"apiVersion": "v1", "kind": "Secret", "data": {"a": b64("hunter2")}}),
        (1, "clear-secret"),
        path="a.json",
    ),
    "a Secret in indented JSON": one(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "List",
                "items": [
                    {"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "hunter2: b"}},
                ],
            },
            indent=1,
        ),
        (5, "clear-secret"),
        path="a.json",
    ),
    "a Secret in flow style": one(
        "{apiVersion: v1, kind: Secret, stringData: {a: hunter2}}\n", (1, "clear-secret"), path="a.yaml"
    ),
    "a Secret in a file without an ending": one(secret(), (1, "clear-secret"), path="secret"),
    "a Secret in a backup": one(secret(), (1, "clear-secret"), path="a.yaml.bak"),
    "a patch of a Secret": one("kind: Secret\nstringData:\n  a: hunter2\n", (1, "clear-secret"), path="patch.yaml"),
    "a Secret with a number": one(secret("stringData:\n  pin: 4711\n"), (1, "clear-secret"), path="a.yaml"),
    "a Secret in UTF-16, as PowerShell writes it": one(secret().encode("utf-16"), (1, "clear-secret"), path="a.yaml"),
    "a Secret in JSON with an emoji": one(
        json.dumps({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "hunter2 \U0001f600"}}),
        (1, "clear-secret"),
        path="a.json",
    ),
    "a Secret in JSON lines": one(
        "".join(
            json.dumps({"apiVersion": "v1", "kind": kind, "data": {"a": "YQ=="}}) + "\n" for kind in ("X", "Secret")
        ),
        (1, "clear-secret"),
        path="a.json",
    ),
    "a Secret in JSON of more than 1 MiB": one(
        json.dumps([{"a": "x" * (1 << 20)}, {"kind": "Secret", "data": {"a": "YQ=="}}]),
        (1, "clear-secret"),
        path="a.json",
    ),
    "a SecretList": one(
        "apiVersion: v1\nkind: SecretList\nitems:\n- data: {a: YQ==}\n", (4, "clear-secret"), path="a.yaml"
    ),
    "a Secret that begins with its type": one(
        "type: Opaque\nkind: Secret\nstringData: {a: hunter2}\n", (1, "clear-secret"), path="dump"
    ),
    "a Secret with a key twice": one(secret("data: {}\ndata: {a: YQ==}\n"), (6, "not-searched"), path="a.yaml"),
    "a Secret with a kind twice": one(
        "kind: ConfigMap\nkind: Secret\ndata: {a: YQ==}\n", (2, "not-searched"), path="a.yaml"
    ),
    "a Secret with a merge key": one(
        "kind: Secret\nx: &x {a: hunter2}\nstringData: {<<: *x}\n", (3, "not-searched"), path="a.yaml"
    ),
    "a Secret in conflict": one(
        secret("stringData:\n<<<<<<< HEAD\n  a: hunter2\n=======\n  a: b\n>>>>>>> x\n"),
        (7, "clear-secret"),
        path="a.yaml",
    ),
    "a chart's template with a value in clear": one(
        "kind: Secret\nmetadata: {name: {{ .Values.name }}}\nstringData:\n  a: hunter2\n",
        (4, "clear-secret"),
        path="templates/secret.yaml",
    ),
    "a value that only looks filled in": one(
        secret('stringData:\n  a: "<hunter2>"\n'), (1, "clear-secret"), path="a.yaml"
    ),
    "a default that is filled in": one(secret("stringData:\n  a: ${A:-hunter2}\n"), (1, "clear-secret"), path="a.yaml"),
    "a SOPS file in name, with a comment about sops": one(
        "a: hunter2 # encrypt with sops: later\n", (0, "not-encrypted"), path="x.SOPS.yaml"
    ),
    "a SOPS file that is no YAML": one("a: [\nsops:\n", (0, "not-encrypted"), (3, "yaml-syntax"), path="x.sops.yaml"),
    "a file that is called a SOPS file": one("a: hunter2\n", (0, "not-encrypted"), path="values.sops.yaml"),
    "a variable file that is called a SOPS file": one("A=hunter2\n", (0, "not-encrypted"), path="x.sops.env"),
    "a Secret that is called a SOPS file": one(secret(), (0, "not-encrypted"), (1, "clear-secret"), path="a.sops.yaml"),
    "a file whose nodes nobody can count": one(
        "kind: Secret\ndata: [" + "x," * 100_001 + "]\n", (2, "not-searched"), path="a.yaml"
    ),
}

GOOD: dict[str, Case] = {
    "the lab's own command": one('kubectl create secret generic x --from-literal=keys="3 ' + GCM + ' $PSK 128"\n'),
    "an explanation of the key line": one(f"`<id>+ {GCM} <hex> <icv bits>`, such as {GCM} with 128 bits\n"),
    "an algorithm without a key": one(f"keyturn/algorithm: {GCM}\nkeyturn/key-bits: '128'\n"),
    "a commit's name": one(f"commit {MATERIAL}\n"),
    "a hash beside hmac": one("hmac(sha256) of the body, sha256:" + _hex(32) + "\n"),
    "a place for a pre-shared key": one('PSK=$(dd if=/dev/urandom count=20 bs=1 | xxd -p -c 64)\necho "$PSK"\n'),
    "an age recipient": one("age: age1qpzry9x8gf2tvdw0s3jn54khce6mua7lqpzry9x8gf2tvdw0s3jn54khce\n"),
    "a word about age identities": one("Identities start with AGE-SECRET-" + "KEY-1 and are secret.\n"),
    "a WireGuard public key": one(f"[Peer]\nPublicKey = {WIREGUARD}\nAllowedIPs = 10.0.0.0/8\n"),
    "a WireGuard key beside nothing": one(f"{WIREGUARD}\n"),
    "a place for a WireGuard key": one("[Interface]\nPrivateKey = <the node's own>\n"),
    "a private key's header in prose": one(
        "What starts with -----BEGIN OPENSSH PRIVATE" + " KEY----- is one, and so on and so forth.\n"
    ),
    "a private key's header in code": one('HEADER = b"-----BEGIN RSA PRIVATE' + ' KEY-----"\nother = 1\n'),
    "a private key that somebody is to fill in": one("-----BEGIN PRIVATE" + " KEY-----\nyour key\n"),
    "a private key left out": one("-----BEGIN PRIVATE" + " KEY-----\n...\n-----END PRIVATE" + " KEY-----\n"),
    "a public key": one(f"-----BEGIN PUBLIC KEY-----\n{_BODY}\n-----END PUBLIC KEY-----\n"),
    "a certificate": one(f"-----BEGIN CERTIFICATE-----\n{_BODY}\n-----END CERTIFICATE-----\n"),
    "long base64": one(b64(bytes(range(256)) * 4)),
    "an empty file": one(""),
    "bytes": one(bytes(range(256)) * 8),
    "a Secret without values": one(secret(""), path="a.yaml"),
    "a Secret with empty values": one(secret("data: {}\nstringData:\n  a: ''\n  b: null\n"), path="a.yaml"),
    "a token that the cluster fills in": one(secret("type: kubernetes.io/service-account-token\n"), path="a.yaml"),
    "a Secret that Flux fills in": one(secret("stringData:\n  a: ${password}\n"), path="a.yaml"),
    "a Secret that a plugin fills in": one(secret("stringData:\n  a: <path:kv/data/x#password>\n"), path="a.yaml"),
    "a chart's template of a Secret": one(
        "apiVersion: v1\nkind: Secret\nstringData:\n  a: {{ .Values.a | quote }}\n", path="templates/secret.yaml"
    ),
    "a sealed Secret": one(secret(kind="SealedSecret").replace("v1", "bitnami.com/v1alpha1"), path="a.yaml"),
    "a Secret of another group": one(secret().replace("apiVersion: v1", "apiVersion: x.example.com/v1"), path="a.yaml"),
    "a policy about Secrets": one(
        "kind: Policy\nspec:\n  match:\n  - kind: Secret\n    data: [a]\n".replace("data: [a]", "name: a"),
        path="a.yaml",
    ),
    "a ConfigMap that speaks of a Secret": one(CONFIG_MAP, path="a.yaml"),
    "YAML that cannot be read": one("a: [\n", path="a.yaml"),
    "JSON that cannot be read": one('{"kind": "Secret", ', path="a.json"),
    "a large description of an API": one(
        json.dumps({"a": "x" * (1 << 20), "b": {"kind": "Secret", "version": "v1"}, "data": {"type": "object"}}),
        path="a.json",
    ),
    "prose about kind: Secret": one("A manifest with kind: Secret and data: {a: b} is one.\n", path="README.md"),
    "YAML with tags and merge keys": one(
        "Resources:\n  A: !Ref B\n  C: {<<: *x, kind: Secret}\n".replace("*x", "{a: b}"), path="cf.yaml"
    ),
    "a Secret's name in a list of kinds": one("kinds: [Secret, ConfigMap]\ndata: {a: b}\n", path="a.yaml"),
}
