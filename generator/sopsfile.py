"""What a SOPS file says without any key: whether its block is whole, what it leaves in clear, and who can read it.

Sources: sops' stores/stores.go for the block, sops.go for which values a selector takes.  No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from generator import creation, manifests, secret
from generator.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.creation import Rule
    from generator.findings import Finding

_WRITE: Final = "encrypt it again with sops"
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+\S*")
_DEFAULT_SUFFIX: Final = "_unencrypted"


def check(root: Node, *, strict: bool) -> Iterator[Finding]:
    """Yield what is wrong with one encrypted document, whoever may read it.

    `strict` is for a Secret of keyturn's: its selector has to be one that takes `data` and `stringData` alone.
    """
    block = root.get("sops")
    if block is None or not isinstance(block.value, dict) or not block.value:
        place = root if block is None else block
        yield place.finding("sops-block", "the sops block is empty", _WRITE, key=block is not None)
    else:
        yield from _block(block)
        yield from _mac(block)
    yield from _clear(root, None if strict else _selector(block))
    if strict or any(True for _ in manifests.secrets(root)):
        yield from _weak(block, strict=strict)


def _block(block: Node) -> Iterator[Finding]:
    for key, pattern in (("lastmodified", _STAMP), ("version", _VERSION)):
        node = block.get(key)
        if node is None or not isinstance(node.value, str) or not pattern.fullmatch(node.value):
            yield (node or block).finding("sops-block", f"the sops block has no {key} that sops would write", _WRITE)
    if not any(creation.readers(Node({"sops": block}))):
        yield block.finding("sops-block", "the sops block names no recipient, so nobody can read the file", _WRITE)
    for group in creation.items(block.get("key_groups")) or [block]:
        for kind in creation.KINDS:
            for one in creation.items(group.get(kind)):
                enc = one.get("enc")
                if enc is None or not isinstance(enc.value, str) or not _ENCLOSED[kind].fullmatch(enc.value.strip()):
                    message = f"the data key for a recipient under {kind} is none that sops would write"
                    yield (enc or one).finding("sops-block", message, _WRITE)


def _armour(name: str) -> re.Pattern[str]:
    return re.compile(rf"-----BEGIN {name}-----\n[\w+/=\s:.()-]+\n-----END {name}-----")


_ENCLOSED: Final = {
    **dict.fromkeys(creation.KINDS, re.compile(r"[^\s]{20,}")),
    "age": _armour("AGE ENCRYPTED FILE"),
    "pgp": _armour("PGP MESSAGE"),
}
"""What the data key looks like, by the kind of its recipient."""


def _mac(block: Node) -> Iterator[Finding]:
    mac = block.get("mac")
    if mac is None:
        yield block.finding("sops-mac", "there is no MAC, so anything may have been changed", _WRITE)
    elif not manifests.is_sealed(mac):
        yield mac.finding("sops-mac", "the MAC is none that sops would write", _WRITE)
    only = block.get("mac_only_encrypted")
    if only is not None and only.value not in (None, False):
        hint = "take it out of the rule in .sops.yaml, and encrypt the file again"
        message = "the MAC covers encrypted values alone, so what stands in clear may have been changed"
        yield only.finding("sops-mac", message, hint)


def _clear(root: Node, selector: _Selector | None) -> Iterator[Finding]:
    """Yield the values in clear: all of a Secret's, and what the file's own selector takes."""
    told: set[int] = set()
    for one in manifests.secrets(root):
        for value in manifests.values(one):
            told.add(id(value))
            if not manifests.is_sealed(value):
                yield value.finding("clear-secret", "a value of the Secret is not encrypted", secret.SPENT)
    if selector is None:
        return
    pending = [(key, node, selector.takes(key)) for key, node in root.entries() if key != "sops"]
    while pending:
        key, node, taken = pending.pop()
        if isinstance(node.value, dict):
            pending += [(name, child, selector.takes(name, taken=taken)) for name, child in node.value.items()]
        elif isinstance(node.value, list):
            pending += [(key, child, taken) for child in node.value]
        elif taken and node.value not in (None, "") and id(node) not in told and not manifests.is_sealed(node):
            yield node.finding("clear-value", "a value that sops was to encrypt stands in clear", secret.SPENT)


@dataclass(frozen=True, slots=True)
class _Selector:
    """Which values sops takes: by the keys on their way, and all the others if there is nothing but exceptions."""

    pattern: re.Pattern[str]
    encrypts: bool  # whether a key that fits is for values to encrypt, or for exceptions

    def takes(self, key: str, *, taken: bool | None = None) -> bool:
        """Whether sops encrypts below a key; `taken` is whether it does where that key stands."""
        decided = taken is not None and taken == self.encrypts
        return self.encrypts if decided else (self.pattern.search(key[:_LONGEST]) is not None) == self.encrypts


def _selector(block: Node | None) -> _Selector | None:
    """Return a file's selector, None where it cannot be told here which values that takes."""
    said = [name for name in creation.SELECTORS if (node := block and block.get(name)) and node.value]
    name, value = (block and creation.selector(block)) or ("unencrypted_suffix", _DEFAULT_SUFFIX)
    if len(said) > 1 or "comment" in name:
        return None
    if name.endswith("_suffix"):
        return _Selector(re.compile(rf"{re.escape(value)}\Z"), name.startswith("encrypted"))
    if not _is_quick(value):
        return None
    if creation.is_gos_own(value):
        return None
    try:
        return _Selector(re.compile(value), name.startswith("encrypted"))
    except re.error:
        return None


def _is_quick(regex: str) -> bool:
    """Whether a stranger's regular expression ends soon in a matcher that goes back; what may not is not tried.

    That takes a group of more than letters that is repeated, or several repetitions in a row.
    """
    if _REPEATED_GROUP.search(_LITERAL_GROUP.sub("", regex)):
        return False
    before, opened, rest = regex.partition("(")
    inside, _, after = rest.partition(")")
    if "(" in rest or _REPEATED.search(before) or _REPEATED.search(after) or not opened:
        return len(_REPEATED.findall(regex)) <= _MOST_REPEATED
    return all(len(_REPEATED.findall(one)) <= _MOST_REPEATED for one in inside.split("|"))


_REPEATED_GROUP: Final = re.compile(r"\)[*+{]")
_LITERAL_GROUP: Final = re.compile(r"\((?:\?:)?[\w-]*\)[*+]")
_REPEATED: Final = re.compile(r"[*+{]")
_MOST_REPEATED: Final = 2
_LONGEST: Final = 128  # characters of a key that is matched


def _weak(block: Node | None, *, strict: bool) -> Iterator[Finding]:
    """Yield where a value that is added to a Secret later would not be encrypted.

    A Secret of keyturn's has the one selector that its rule has, letter by letter.
    """
    if block is None or not block.value:
        return
    said = next((node for name in creation.SELECTORS if (node := block.get(name)) is not None), block)
    if strict:
        every = [name for name in creation.SELECTORS if block.get(name) is not None]
        if every != ["encrypted_regex"] or said.value != secret.ENCRYPTED:
            yield said.finding("sops-selector", "the file's selector is not the one that keyturn's Secrets have", _ONLY)
        return
    selector = _selector(block)
    if selector is None:
        message = "the file's selector is not understood here, so values in clear may go unseen"
        yield replace(said.finding("sops-selector", message, _ONLY), level="warning")
    elif missed := [part for part in manifests.PARTS if not selector.takes(part)]:
        message = f"the file's selector does not encrypt {' and '.join(missed)} of a Secret"
        yield said.finding("sops-selector", message, _ONLY)


_ONLY: Final = f"encrypted_regex: {secret.ENCRYPTED}"


def against(root: Node, rule: Rule, *, strict: bool) -> Iterator[Finding]:
    """Yield where a file is not what its creation rule asks for: others can read it, or less of it is encrypted.

    The selector of a `strict` one is judged by itself.
    """
    block = root.get("sops") or root
    found = creation.readers(root)
    if found != rule.groups:
        here, there = (frozenset().union(*groups) for groups in (found, rule.groups))
        parts = [_listed("also for", here - there), _listed("not for", there - here)]
        told = ", ".join(part for part in parts if part) or "in other key groups"
        hint = "keyturn rotate gives a new key to the new recipients, keyturn rekey or sops updatekeys the old one"
        yield block.finding("sops-recipients", f"the file is not for whom {rule.place} says: {told}", hint, key=True)
    threshold = block.get("shamir_threshold")
    has = threshold.value if threshold is not None and isinstance(threshold.value, int) else 0
    if rule.threshold is not None and len(found) > 1 and has < rule.threshold:
        message = f"{has} key groups are enough to read the file, and {rule.place} asks for {rule.threshold}"
        yield (threshold or block).finding("sops-recipients", message, _WRITE)
    mine = creation.selector(block)
    if mine is not None and rule.selector not in (None, mine) and not strict:
        said = block.get(mine[0]) or block
        message = f"the file's selector is not the one that {rule.place} has, so what it leaves in clear is another"
        yield said.finding("sops-selector", message, _WRITE)


def _listed(words: str, recipients: frozenset[creation.Recipient]) -> str:
    names = [f"{kind} {_shown(name)}" for kind, name in sorted(recipients)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{words} {', '.join(names[:_SHOWN])}{more}" if names else ""


def _shown(name: str) -> str:
    """Return a recipient that is one by its form; what else stands there may be an identity that somebody pasted."""
    return name if _PUBLIC.fullmatch(name) else "[redacted]"


_PUBLIC: Final = re.compile(
    r"age1[a-z0-9]+|ssh-[a-z0-9]+ [A-Za-z0-9+/=]+(?: [^\n]*)?|[0-9A-F]{40}|arn:[^\s]+|projects/[^\s]+|https://[^\s?@]+"
)
_SHOWN: Final = 3
