"""A running cluster's Secret, as kubectl prints it, read for the key that it holds.  No I/O, and nothing is quoted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from generator import ages, keys, secret, yamlio
from generator.cilium import SECRET_NAME
from generator.errors import InputError

if TYPE_CHECKING:
    from generator.keys import Key
    from generator.nodes import Node


@dataclass(frozen=True, slots=True)
class Found:
    """A key, and when the Secret came into the cluster, None where it does not tell."""

    key: Key
    created: datetime | None


def read(data: bytes, namespace: str, name: str) -> Found:
    """Return the key of the Secret `cilium-ipsec-keys` in `namespace`, from YAML or JSON; `name` is the environment.

    Raises InputError, which says what is wrong and never quotes it.
    """
    hint = f"kubectl -n {namespace} get secret {SECRET_NAME} -o yaml | keyturn adopt {name}"
    root, findings = yamlio.read(data, "input") if data.strip() else (None, [])
    if root is None or findings or not isinstance(root.value, dict):
        place = f" (line {findings[0].line})" if findings and findings[0].line else ""
        raise InputError(f"what was given is no Secret in YAML or JSON{place}", hint=hint)
    one = _only(root, hint)
    for path, wanted in (("kind", "Secret"), ("metadata.name", SECRET_NAME), ("metadata.namespace", namespace)):
        node = one.get(path)
        if node is None or node.value != wanted:
            raise InputError(f"what was given is not the Secret: its {path} is not {wanted}", hint=hint)
    if one.get("sops") is not None:
        raise InputError("what was given is encrypted by sops, and what the cluster holds is wanted", hint=hint)
    line = secret.line(one)
    if line is None:
        raise InputError("the Secret has no text under the data key 'keys'", hint=hint)
    return Found(key(line), _created(one))


def _only(root: Node, hint: str) -> Node:
    """Return the Secret itself; kubectl wraps what it lists."""
    items = root.get("items")
    if root.get("kind") is None or items is None or not isinstance(items.value, list):
        return root
    if len(items.value) != 1:
        raise InputError(f"what was given is a list of {len(items.value)} objects", hint=hint)
    return items.value[0]


def key(text: str) -> Key:
    """Read a key line as agents do: they take a line's end and `0x`, which are no part of the key.

    Raises InputError, which says what is wrong and never quotes it.
    """
    lines = text.splitlines()
    if len(lines) != 1:
        what = f"{len(lines)} lines" if lines else "no key line"
        raise InputError(f"the Secret has {what}, and one is wanted", hint=_ONE_LINE)
    line = re.sub(r"(?<= )0x(?=[0-9a-fA-F])", "", lines[0])
    if complaint := keys.complaint(line):
        raise InputError(f"the key line {complaint}", hint="put a sound key into the cluster first")
    return keys.parse(line)


_ONE_LINE: Final = "agents use the last: leave that one alone in the cluster's Secret, then adopt"


def _created(root: Node) -> datetime | None:
    node = root.get("metadata.creationTimestamp")
    try:
        return datetime.strptime(str(node.value), ages.RFC3339).replace(tzinfo=UTC) if node is not None else None
    except ValueError:
        return None
