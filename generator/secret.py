"""The Secret `cilium-ipsec-keys`: a key in, the document for sops out, and what stands in clear beside the ciphertext.

The annotations are what a reviewer, a keyless CI job and `flux diff` can see; they stand under sops' MAC.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from generator import ages, keys
from generator.cilium import SECRET_KEY, SECRET_NAME
from generator.errors import InputError
from generator.nodes import Node
from generator.shapes import described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.findings import Finding
    from generator.keys import Key
    from generator.model import Environment
    from generator.nodes import Plain

HEADER: Final = "# Written once by keyturn; to change it: keyturn rotate\n"
FILE: Final = f"secrets/{SECRET_NAME}.sops.yaml"
ENCRYPTED: Final = "^(data|stringData)$"  # what sops encrypts: its own name is encrypted_regex


FINGERPRINT: Final = re.compile(rb"keyturn/fingerprint: (sha256:[0-9a-f]{32})")  # in the bytes of a Secret


@dataclass(frozen=True, slots=True)
class Issue:
    """A key, when it was made (UTC), and the id that it followed, None for a first one."""

    key: Key
    created: datetime
    previous: int | None = None


def document(issue: Issue, namespace: str) -> str:
    """Return the Secret in clear.  It may go to sops and nowhere else."""
    from generator.emit import emit  # noqa: PLC0415 -- a hook makes no Secret, and should be quick

    annotations: dict[str, Plain] = {
        **{f"keyturn/{name}": value for name, value in _told(issue).items()},
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    }
    secret: dict[str, Plain] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET_NAME, "namespace": namespace, "annotations": annotations},
        "type": "Opaque",
        "stringData": {SECRET_KEY: issue.key.line()},
    }
    return HEADER + emit(secret)


def _told(issue: Issue) -> dict[str, str]:
    """What the annotations `keyturn/...` say of a key."""
    used = issue.key.algorithm
    sizes = {"icv-bits": used.icv_bits} if used.icv_bits else {"auth-bits": used.auth_bits}
    return {
        "key-id": str(issue.key.id),
        "algorithm": str(used),
        "key-bits": str(used.key_bits),
        **{name: str(bits) for name, bits in sizes.items()},
        "fingerprint": issue.key.fingerprint(),
        "created": issue.created.strftime(ages.RFC3339),
        **({} if issue.previous is None else {"previous-key-id": str(issue.previous)}),
    }


@dataclass(frozen=True, slots=True)
class Told:
    """What a Secret's annotations tell of its key, in clear; `previous` is None for a first or adopted one."""

    key_id: int
    algorithm: keys.Algorithm
    fingerprint: str
    created: datetime
    previous: int | None


def told(root: Node) -> Told:
    """Read the annotations `keyturn/...`.  Raises InputError, which names it, where one is missing or malformed."""
    for name, pattern in _ANNOTATIONS.items():
        if not re.fullmatch(pattern, annotation(root, name)):
            raise InputError(f"the Secret's keyturn/{name} is {'malformed' if annotation(root, name) else 'missing'}")
    auth, _, crypt = annotation(root, "algorithm").rpartition(" ")
    bits = (int(annotation(root, f"{name}-bits") or 0) for name in ("key", "auth", "icv"))
    used = keys.Algorithm(auth, crypt, *bits)
    if not used.is_known:
        raise InputError("the Secret's annotations tell of a key that no agent takes")
    return Told(int(annotation(root, "key-id")), used, annotation(root, "fingerprint"), _created(root), _previous(root))


_BITS: Final = r"[1-9][0-9]{1,3}"
_ANNOTATIONS: Final = {
    "key-id": r"[1-9]|1[0-5]",
    "algorithm": r"rfc4106\(gcm\(aes\)\)|hmac\(sha(?:256|512)\) cbc\(aes\)",
    "key-bits": _BITS,
    "icv-bits": f"(?:{_BITS})?",
    "auth-bits": f"(?:{_BITS})?",
    "fingerprint": r"sha256:[0-9a-f]{32}",
}


ANNOTATIONS: Final = (*_ANNOTATIONS, "created", "previous-key-id")
"""What `keyturn/...` there is."""


def _created(root: Node) -> datetime:
    try:
        return datetime.strptime(annotation(root, "created"), ages.RFC3339).replace(tzinfo=UTC)
    except ValueError:
        raise InputError("the Secret does not tell when its key was made") from None


def _previous(root: Node) -> int | None:
    previous = annotation(root, "previous-key-id")
    if previous and not keys.is_id(previous):
        raise InputError("the Secret's keyturn/previous-key-id is no key id")
    return int(previous) if previous else None


def line(root: Node) -> str | None:
    """Return the key line of a Secret in clear, None where it has none."""
    text, encoded = root.get(f"stringData.{SECRET_KEY}"), root.get(f"data.{SECRET_KEY}")
    found = text.value if text is not None else _decoded(encoded.value) if encoded is not None else None
    return found if isinstance(found, str) else None


def ciphertext(root: Node) -> str:
    """Return the key line as sops wrote it, empty where there is none."""
    found = root.get(f"stringData.{SECRET_KEY}") or root.get(f"data.{SECRET_KEY}")
    return str(found.value) if found is not None else ""


def opened(root: Node) -> Issue:
    """Read a decrypted Secret.

    Raises InputError, which never quotes it, where the key line is malformed or the annotations tell of another key.
    """
    text = line(root)
    if text is None:
        raise InputError(f"the Secret has no data key {SECRET_KEY!r}")
    issue = Issue(keys.parse(text), _created(root), _previous(root))
    if wrong := [name for name, value in _told(issue).items() if annotation(root, name) != value]:
        raise InputError(f"the Secret holds another key than keyturn/{wrong[0]} tells")
    return issue


def _decoded(value: object) -> str | None:
    try:
        return base64.b64decode(str(value), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None


def head(data: bytes) -> bytes:
    """Return a Secret with an empty `sops` block, where that is plainly the last thing in the file.

    Nobody but sops reads the block, and it takes half the time that reading a Secret takes.
    """
    start = data.find(b"\nsops:\n")
    if start < 0 or not _INDENTED.fullmatch(data, start + len(b"\nsops:\n")):
        return data
    return data[:start] + b"\nsops: {}\n"


_INDENTED: Final = re.compile(rb"(?: +[^ \n][^\n]*\n)+")


def clear_values(root: Node) -> Iterator[Finding]:
    """Yield where a value that sops encrypts stands in clear, whatever the `sops` block says."""
    if root.get("sops") is None:
        yield root.finding("clear-secret", "the Secret is not encrypted", SPENT)
        return
    for part in ("data", "stringData"):
        node = root.get(part)
        values = [value for _, value in node.entries()] or [node] if node and node.value else []
        for value in values:
            if not str(value.value).startswith("ENC["):
                yield value.finding("clear-secret", "a value of the Secret is not encrypted", SPENT)


SPENT: Final = "take it out of git; what it held is spent"


def check(root: Node, environment: Environment) -> Iterator[Finding]:
    """Yield where an existing Secret is not the one that the environment's values name.

    Cilium mounts the Secret by name in its own namespace and reads one data key: any other is not found.
    """
    expected = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata.name": SECRET_NAME,
        "metadata.namespace": environment.cilium.namespace,
    }
    for path, value in expected.items():
        node = root.get(path) or Node(None, root.source, root.line, root.column)
        if node.value != value:
            message = f"the Secret's {path} is {described(node)}, and the environment needs {value!r}"
            hint = "cilium.namespace is fixed once a Secret exists" if path == "metadata.namespace" else RESTORE
            yield node.finding("secret-reference", message, hint)
    if not any(root.get(f"{part}.{SECRET_KEY}") for part in ("stringData", "data")):
        yield root.finding("secret-reference", f"the Secret has no data key {SECRET_KEY!r}", RESTORE)


RESTORE: Final = "bring back the file that keyturn wrote"


def annotation(root: Node, name: str) -> str:
    """Return the annotation `keyturn/<name>`, empty where there is none."""
    annotations = root.get("metadata.annotations")
    if annotations is None or not isinstance(annotations.value, dict):
        return ""
    node = annotations.value.get(f"keyturn/{name}")
    return node.value if node is not None and isinstance(node.value, str) else ""
