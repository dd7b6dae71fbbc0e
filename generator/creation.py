"""Creation rules: what `.sops.yaml` says about who may read a file, and what a SOPS file says about who can.

The file is the user's and sops' own; keyturn reads it only to refuse what would be encrypted otherwise than the
tree needs, and to compare recipients afterwards.  Source: sops' README and config/config.go.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from generator import yamlio
from generator.errors import RefusedError
from generator.findings import Finding
from generator.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONFIG: Final = ".sops.yaml"
NEW_IDENTITY: Final = "# Made by keyturn render --new-identity: one recipient, whose identity lies on one machine.\n"
SELECTORS: Final = (
    "encrypted_regex",
    "encrypted_suffix",
    "encrypted_comment_regex",
    "unencrypted_regex",
    "unencrypted_suffix",
    "unencrypted_comment_regex",
)


class RuleError(RefusedError):
    """The configuration, or a rule of it, is none that keyturn can work by; `finding` tells the same with its place."""

    def __init__(self, place: str, finding: Finding) -> None:
        super().__init__(f"{place}: {finding.message}", hint=finding.hint)
        self.finding = finding


Recipient = tuple[str, str]  # kind, as the sops block names it; and what tells one from another
Groups = frozenset[frozenset[Recipient]]


@dataclass(frozen=True, slots=True)
class Rule:
    """The first rule that matches a path, and where it stands; `threshold` is how many groups it takes to read it."""

    place: str
    groups: Groups
    selector: tuple[str, str] | None = None  # its name and what it says
    threshold: int | None = None


def first_config(recipient: str) -> str:
    """Return a `.sops.yaml` for every secret in the tree, for one age recipient."""
    return (
        f"{NEW_IDENTITY}"
        "# Add the recipients of your team and of your clusters. A protected environment gets no key until they are\n"
        "# chosen and these three lines are gone.\n"
        "creation_rules:\n"
        "  - path_regex: ^clusters/[^/]+/secrets/[^/]+\\.sops\\.yaml$\n"
        "    encrypted_regex: ^(data|stringData)$\n"
        f"    age: {recipient}\n"
    )


class Config:
    """A `.sops.yaml`, read once."""

    def __init__(self, data: bytes, path: str = CONFIG) -> None:
        """Raise RuleError, with line, where the file is not YAML that keyturn reads; `path` is for its messages."""
        self.path = path
        root, findings = yamlio.read(data, path)
        if root is None or findings:
            raise _refused(findings[0])
        self._read: dict[int, Rule] = {}  # by line: a thousand files have one rule
        self._rules = items(root.get("creation_rules"))
        self.is_made_for_one = data.startswith(NEW_IDENTITY.encode())

    def rule_for(self, path: str, encrypted: str) -> Rule:
        """Return the rule that sops will take for a path relative to the configuration's folder.

        `encrypted` is the one selector that the tree allows.  Raises RuleError, with line, where there is no rule,
        or one that would encrypt otherwise, or one that cannot be understood.
        """
        node = self._matching(path)
        if node is None:
            above = re.escape(path.rpartition("clusters/")[0])
            hint = rf"add one with path_regex: ^{above}clusters/[^/]+/secrets/[^/]+\.sops\.yaml$"
            raise RuleError(
                self.path, Finding(self.path, 0, 0, "sops-rule", "error", f"no creation rule for {path}", hint)
            )
        _check_selector(node, encrypted)
        return self._rule(node, path)

    def any_rule_for(self, path: str) -> Rule | None:
        """Return the rule for somebody else's file, whatever it selects; None where sops has none.

        Raises RuleError where that cannot be understood.
        """
        node = self._matching(path)
        return self._rule(node, path) if node is not None else None

    def _rule(self, node: Node, path: str) -> Rule:
        if (rule := self._read.get(node.line)) is None:
            groups = frozenset(_groups(node))
            if not any(groups):
                raise _wrong(node, f"the rule for {path} names no recipient", "add one")
            threshold = node.get("shamir_threshold")
            number = threshold.value if threshold is not None and isinstance(threshold.value, int) else None
            rule = self._read[node.line] = Rule(_place(node), groups, selector(node), number)
        return rule

    def _matching(self, path: str) -> Node | None:
        return next((node for node in self._rules if _matches(node, path)), None)


def _refused(finding: Finding) -> RuleError:
    hint = "write it out" if finding.rule == "merge-key" else finding.hint
    place = f"{finding.path}:{finding.line}:{finding.column}"
    return RuleError(place, replace(finding, rule="sops-rule", hint=hint))


def _wrong(node: Node, message: str, hint: str) -> RuleError:
    return RuleError(_place(node), node.finding("sops-rule", message, hint))


def _place(node: Node) -> str:
    return f"{node.source}:{node.line}"


def items(node: Node | None) -> list[Node]:
    """Return what a list holds; nothing where there is none."""
    return node.value if node is not None and isinstance(node.value, list) else []


def _matches(rule: Node, path: str) -> bool:
    pattern = rule.get("path_regex")
    if pattern is None or pattern.value in (None, ""):
        return True
    reason = "named classes" if is_gos_own(pattern.text) else ""
    try:
        found = re.search("" if reason else str(pattern.value), path)
    except re.error as error:
        reason = str(error)
    if reason:
        message = f"path_regex is not understood here: {reason}"
        raise _wrong(pattern, message, "write it without Go's own extensions")
    return found is not None


def is_gos_own(regex: str) -> bool:
    """Whether a regular expression has named classes, which Go knows and Python takes for something else."""
    return re.search(r"\[:\^?\w+:\]", regex) is not None


def selector(node: Node) -> tuple[str, str] | None:
    """Return the selector that a rule or a `sops` block has, None where it has none."""
    said = ((name, node.get(name)) for name in SELECTORS)
    return next(((name, str(one.value)) for name, one in said if one is not None and one.value), None)


def _check_selector(rule: Node, encrypted: str) -> None:
    for name in SELECTORS:
        node = rule.get(name)
        if node is not None and node.value not in (None, "") and (name, node.value) != ("encrypted_regex", encrypted):
            hint = f"for this path it has to be encrypted_regex: {encrypted}"
            raise _wrong(node, f"the rule's selector is {name}: {node.text}", hint)
    only = rule.get("mac_only_encrypted")
    if only is not None and only.value not in (None, False):
        hint = "take it out: the annotations stand in clear and need the MAC"
        raise _wrong(only, "the rule has mac_only_encrypted", hint)


def _groups(rule: Node) -> Iterator[frozenset[Recipient]]:
    groups = items(rule.get("key_groups"))
    for group in groups or [rule]:
        yield frozenset(_recipients(group))


def _recipients(group: Node) -> Iterator[Recipient]:
    if (merge := group.get("merge")) is not None:
        raise _wrong(merge, "merged key groups are not understood here", "write the group out")
    for key, (kind, identify) in _RULE_KEYS.items():
        for text in _texts(group.get(key)):
            yield kind, identify(text)


def _texts(node: Node | None) -> Iterator[str]:
    """The recipients of one kind: text with commas, or a list of text or of mappings."""
    if node is None:
        return
    for item in items(node) or [node]:
        if isinstance(item.value, dict):
            yield _described(item)
        elif isinstance(item.value, str):
            yield from filter(None, (part.strip() for part in item.value.split(",")))


def _described(item: Node) -> str:
    """One recipient of a key group that is written as a mapping, in the form that its text would have."""
    part = {key: str(node.value) for key, node in item.entries()}
    if "vaultUrl" in part:
        return f"{part['vaultUrl']}/keys/{part.get('key', '')}"
    return part.get("arn") or part.get("resource_id") or next(iter(part.values()), "")


def _as_is(text: str) -> str:
    return text


def _fingerprint(text: str) -> str:
    return text.replace(" ", "").upper()


def _arn(text: str) -> str:
    return text.partition("+")[0].partition("|")[0]


def _azure(text: str) -> str:
    """Vault and key; sops puts the newest version in where the rule has none."""
    vault, _, key = text.partition("/keys/")
    return f"{vault.rstrip('/')}/keys/{key.partition('/')[0]}"


_RULE_KEYS: Final = {
    "age": ("age", _as_is),
    "pgp": ("pgp", _fingerprint),
    "kms": ("kms", _arn),
    "gcp_kms": ("gcp_kms", _as_is),
    "azure_keyvault": ("azure_kv", _azure),
    "hc_vault_transit_uri": ("hc_vault", _as_is),
    "hc_vault": ("hc_vault", _as_is),
    "hckms": ("hckms", _as_is),
}


def readers(root: Node) -> Groups:
    """Return who can read a SOPS file, from its `sops` block, in the form of a rule's groups."""
    block = root.get("sops") or Node({})
    groups = items(block.get("key_groups"))
    return frozenset(frozenset(_readers(group)) for group in groups or [block])


def _readers(group: Node) -> Iterator[Recipient]:
    for kind, identify in _BLOCK_KEYS.items():
        for item in items(group.get(kind)):
            yield kind, identify({key: str(node.value) for key, node in item.entries()})


_BLOCK_KEYS: Final[dict[str, Callable[[dict[str, str]], str]]] = {
    "age": lambda part: part.get("recipient", ""),
    "pgp": lambda part: _fingerprint(part.get("fp", "")),
    "kms": lambda part: _arn(part.get("arn", "")),
    "gcp_kms": lambda part: part.get("resource_id", ""),
    "azure_kv": lambda part: _azure(f"{part.get('vault_url', '')}/keys/{part.get('name', '')}"),
    "hc_vault": lambda part: (
        f"{part.get('vault_address', '')}/v1/{part.get('engine_path', '')}/keys/{part.get('key_name', '')}"
    ),
    "hckms": lambda part: part.get("key_id", ""),
}
KINDS: Final = tuple(_BLOCK_KEYS)
"""The kinds of recipients, as a `sops` block names them."""
