"""The Secret `cilium-ipsec-keys`: a key in, the document for sops out, and what stands in clear beside the ciphertext.

The annotations are what a reviewer, a keyless CI job and `flux diff` can see; they stand under sops' MAC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator.cilium import SECRET_KEY, SECRET_NAME
from generator.emit import emit
from generator.yamlio import Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from generator.findings import Finding
    from generator.keys import Key
    from generator.model import Environment
    from generator.yamlio import Plain

HEADER: Final = "# Written once by keyturn; to change it: keyturn rotate\n"
FILE: Final = f"secrets/{SECRET_NAME}.sops.yaml"
ENCRYPTED: Final = "^(data|stringData)$"  # what sops encrypts: its own name is encrypted_regex


def document(key: Key, namespace: str, created: datetime) -> str:
    """Return the Secret in clear.  It may go to sops and nowhere else.  `created` is in UTC."""
    used = key.algorithm
    sizes = {"keyturn/icv-bits": used.icv_bits} if used.icv_bits else {"keyturn/auth-bits": used.auth_bits}
    annotations: dict[str, Plain] = {
        "keyturn/key-id": str(key.id),
        "keyturn/algorithm": str(used),
        "keyturn/key-bits": str(used.key_bits),
        **{name: str(bits) for name, bits in sizes.items()},
        "keyturn/fingerprint": key.fingerprint(),
        "keyturn/created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    }
    secret: dict[str, Plain] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET_NAME, "namespace": namespace, "annotations": annotations},
        "type": "Opaque",
        "stringData": {SECRET_KEY: key.line()},
    }
    return HEADER + emit(secret)


@dataclass(frozen=True, slots=True)
class Clear:
    """What the clear part of a Secret says of its key; a missing annotation is empty text."""

    algorithm: str
    key_bits: str


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
            message = f"the Secret's {path} is {node.value!r}, and the environment needs {value!r}"
            hint = "cilium.namespace is fixed once a Secret exists" if path == "metadata.namespace" else _RESTORE
            yield node.finding("secret-reference", message, hint)
    if not any(root.get(f"{part}.{SECRET_KEY}") for part in ("stringData", "data")):
        yield root.finding("secret-reference", f"the Secret has no data key {SECRET_KEY!r}", _RESTORE)
    if root.get("sops") is None:
        yield root.finding("clear-secret", "the Secret is not encrypted", "take it out of git; its key is spent")


_RESTORE: Final = "git restore it"


def clear(root: Node) -> Clear:
    return Clear(annotation(root, "algorithm"), annotation(root, "key-bits"))


def annotation(root: Node, name: str) -> str:
    """Return the annotation `keyturn/<name>`, empty where there is none."""
    annotations = root.get("metadata.annotations")
    if annotations is None or not isinstance(annotations.value, dict):
        return ""
    node = annotations.value.get(f"keyturn/{name}")
    return node.value if node is not None and isinstance(node.value, str) else ""
