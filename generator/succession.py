"""What a change does to keys and to encryption, judged against what was there before.  No I/O, no private key.

The rules are Cilium's: agents agree on exactly the next id, keep algorithm and lengths in a rotation, and need one
rotation to end before the next; a step back breaks traffic without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import firstkeys, keys
from generator.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.creation import Groups
    from generator.findings import Level
    from generator.keys import Algorithm
    from generator.model import Environment
    from generator.secret import Told


@dataclass(frozen=True, slots=True)
class Held:
    """A Secret as some commit or the change has it: what it tells, its ciphertext, which says nothing, its readers."""

    told: Told
    ciphertext: str
    readers: Groups


@dataclass(frozen=True, slots=True)
class Before:
    """What a change is judged against, and how that is called: the merge base, or the tip of the branch.

    `known` are the fingerprints of the environment's earlier keys, each with the commit that had it.
    """

    held: Held
    words: str
    known: Mapping[str, str]


def check(name: str, after: Held, before: Before, key_size: int) -> Iterator[Finding]:
    """Yield what forbids one Secret to follow another; `key_size` is the environment's own after the change."""
    old, new = before.held.told, after.told
    same = (old.key_id, old.fingerprint) == (new.key_id, new.fingerprint)
    if same and after.ciphertext == before.held.ciphertext:
        if new != old:  # other recipients alone change none of it
            message = f"what stands in clear beside the key is not what it was{there_of(before.words)}, and the key is"
            hint = f"git restore --source={before.words} {firstkeys.path(name)}"
            yield Finding(firstkeys.path(name), 0, 0, "annotations", "error", message, hint)
        return
    found = next((one for one in _cases(name, after, before) if one.holds), None)
    if found is not None:
        yield Finding(firstkeys.path(name), 0, 0, found.rule, "error", found.message, found.hint)
    yield from _lengths(firstkeys.path(name), old.algorithm, new.algorithm, key_size)


@dataclass(frozen=True, slots=True)
class _Case:
    """One thing that may be wrong with a key, and whether it is."""

    holds: bool
    rule: str
    message: str
    hint: str


def _cases(name: str, after: Held, before: Before) -> Iterator[_Case]:
    """Yield what may be wrong with a key that follows another; the first that holds says it best."""
    old, new, there = before.held.told, after.told, there_of(before.words)
    follows = keys.next_id(old.key_id)
    same_key = new.fingerprint == old.fingerprint
    again = f"git restore --source={before.words} {firstkeys.path(name)}, then keyturn rotate {name}"
    steps = f"the key id goes from {old.key_id}{there} to {new.key_id}"
    unturned = f"{steps}, and the key stays the same"
    yield _Case(same_key and new.key_id != old.key_id, "same-key", unturned, again)
    back = (
        f"{steps}, back to a key that {before.known.get(new.fingerprint, '')[:12]} had: who has moved on loses traffic"
    )
    hint = "a rotation is not taken back: keyturn rotate makes the next key"
    yield _Case(new.fingerprint in before.known and not same_key, "old-key", back, hint)
    resealed = f"another ciphertext for the key id {old.key_id}{there}, which tells of the same key"
    yield _Case(same_key, "same-id", resealed, again)
    under = f"another key under the id {old.key_id}{there}: agents take it for the one they have"
    yield _Case(new.key_id == old.key_id, "same-id", under, again)
    twice = f"{steps}: two rotations in one change, and agents need the time for each"
    one_by_one = "let the first reach the cluster, then make the second"
    yield _Case(new.key_id == keys.next_id(follows), "key-id", twice, one_by_one)
    yield _Case(new.key_id != follows, "key-id", f"{steps}, and agents agree on {follows} alone", again)
    yield _Case(after.ciphertext == before.held.ciphertext, "same-key", f"{steps}, and the ciphertext stays", again)


def there_of(words: str) -> str:
    return f" in {words}" if words else ""


def _lengths(path: str, old: Algorithm, new: Algorithm, key_size: int) -> Iterator[Finding]:
    """Agents below 1.18 diverge on another algorithm, later ones refuse it; longer AES with the same ICV passes."""
    if new == old:
        return
    longer = (old.auth, old.icv_bits) == ("", new.icv_bits) and new.auth == "" and new.key_bits > old.key_bits
    if longer and key_size == new.key_bits:
        return
    was, now = _described(old), _described(new)
    message = f"the key goes from {was} to {now}, which agents refuse in a rotation"
    hint = "a rotation keeps algorithm and lengths; another takes an outage, and an exception in .keyturn.yaml"
    if longer:
        message = f"the key goes from {was} to {now}, and its environment's keySize is {key_size}"
        hint = f"keyturn rotate --key-size {new.key_bits} changes both"
    yield Finding(path, 0, 0, "other-lengths", "error", message, hint)


def _described(used: Algorithm) -> str:
    parts = [
        f"{used.key_bits} bits",
        f"an ICV of {used.icv_bits}" if used.icv_bits else f"{used.auth_bits} for {used.auth}",
    ]
    return f"{used} ({', '.join(parts)})"


def removed(name: str, words: str) -> Finding:
    """Return the finding that a Secret is gone which its environment needs."""
    message = f"the Secret is taken away, and {name} still asks for IPsec: its next one would start anew"
    hint = f"git restore --source={words} {firstkeys.path(name)}"
    return Finding(firstkeys.path(name), 0, 0, "secret-removed", "error", message, hint)


def turned_in_part(mesh: str, turned: Mapping[str, str], left: Mapping[str, str]) -> Iterator[Finding]:
    """Yield where members of a mesh keep the key that others leave; values are fingerprints after the change."""
    others = set(turned.values())
    for name, fingerprint in sorted(left.items()) if turned else ():
        if fingerprint not in others:
            message = (
                f"the mesh {mesh} turns in part: {', '.join(sorted(turned))} get another key, and {name} keeps its own"
            )
            hint = f"keyturn rotate {name} turns the whole mesh, in one commit"
            yield Finding(firstkeys.path(name), 0, 0, "mesh-part", "error", message, hint)


def upgraded(name: str, by: str, versions: tuple[str, str]) -> Finding:
    """Return the finding that Cilium is moved while a key turns; `by` is whose version changes."""
    message = f"the key of {name} turns in one change with cilium.version of {by}, {versions[0]} to {versions[1]}"
    hint = "two changes: let the one end on every node, then make the other"
    return Finding(firstkeys.path(name), 0, 0, "turn-and-upgrade", "error", message, hint)


def encryption(before: Environment, after: Environment) -> Iterator[Finding]:
    """Yield what a change of an existing environment does to its traffic: an error where it is protected."""
    old, new = before.encryption, after.encryption
    said: list[tuple[str, str]] = []
    if old.type != new.type:
        what = _CLEAR if new.type == "none" else _BETWEEN
        said.append(("encryption.type", f"encryption.type goes from {old.type} to {new.type}: {what}"))
    if old.node_encryption and not new.node_encryption and new.type != "none":
        message = "nodeEncryption is turned off: nodes talk to each other in clear from then on"
        said.append(("encryption.nodeEncryption", message))
    if old.strict_mode is not None and new.strict_mode is None and new.type != "none":
        message = "strictMode is taken away: traffic that cannot be encrypted leaves in clear, and is not dropped"
        said.append(("encryption.strictMode", message))
    level: Level = "error" if before.protected or after.protected else "warning"
    for path, message in said:
        place = after.place(path)
        yield Finding(place.source, place.line, place.column, "encryption-change", level, message, _PLAN)


_CLEAR: Final = "what pods send each other goes in clear from then on"
_BETWEEN: Final = "until every agent has restarted, nodes with one and the other do not understand each other"
_PLAN: Final = "plan it: agents restart one after the other; protected: true makes this an error"


def renamed(old: Environment, new: Environment, *, alone: bool) -> Iterator[Finding]:
    """Yield where an environment may be another that has just gone, and starts with a key of its own.

    It is an error where it looks like that one; `alone` is whether these two are the only ones that come and go.
    """
    alike = old.cluster_name == new.cluster_name or (alone and _identity(old) == _identity(new))
    words = f"looks like {old.name}" if alike else f"comes as {old.name} goes"
    level: Level = "error" if alike else "warning"
    message = f"{new.name} {words}, which this change takes away, and its key starts anew"
    hint = (
        f"if it was renamed: git mv clusters/{old.name} clusters/{new.name} and keep the Secret; "
        "if not: two changes, one after the other"
    )
    if alike or alone:
        yield Finding(firstkeys.path(new.name), 0, 0, "renamed", level, message, hint)


def _identity(environment: Environment) -> tuple[object, ...]:
    """What a renamed environment keeps, whatever else is changed with it."""
    one, gitops = environment, environment.gitops
    where = (gitops.engine, gitops.repository, gitops.argocd.destination)
    return one.encryption.type, one.cilium.namespace, one.cluster.id, one.cluster.mesh, where, one.kind
