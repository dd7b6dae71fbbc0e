"""What a rotation is: who turns together, to which key, and what forbids it.  No I/O.

The rules are Cilium's: agents take exactly the next id, keep the algorithm and the length of an authentication key, and
need the time until every node has the key; all clusters of a mesh hold the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from generator import ages, keys, mesh
from generator.errors import InputError, RefusedError
from generator.secret import Issue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from generator.model import Environment
    from generator.secret import Told

PREFIX: Final = "keyturn/"  # of every branch that keyturn makes
TOGETHER: Final = f"{PREFIX}rotate-together"


@dataclass(frozen=True, slots=True)
class Subject:
    """What turns together: one environment, or all members of a mesh, by name."""

    environments: tuple[Environment, ...]
    mesh: str | None = None

    @property
    def names(self) -> list[str]:
        return [environment.name for environment in self.environments]

    @property
    def label(self) -> str:
        return f"mesh {self.mesh}" if self.mesh else self.names[0]

    def branch(self, key_id: int) -> str:
        return f"{PREFIX}rotate-{f'mesh-{self.mesh}' if self.mesh else self.names[0]}-{key_id}"

    @property
    def cooldown(self) -> timedelta:
        return timedelta(seconds=max(one.encryption.ipsec.cooldown.seconds for one in self.environments))


def subjects(environments: Iterable[Environment]) -> list[Subject]:
    """Return what turns together among environments that use IPsec, by name of the first."""
    found = sorted((one for one in environments if one.encryption.type == "ipsec"), key=lambda one: one.name)
    alone = [Subject((one,)) for one in found if one.cluster.mesh is None]
    meshes = [Subject(tuple(members), name) for name, members in mesh.members(found).items()]
    return sorted((*alone, *meshes), key=lambda subject: subject.names[0])


Held = dict[str, "Told | None"]
"""Environment -> what its Secret on the base tells, None where it has none."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A rotation that nothing forbids: what turns, from what, to what, and why; `forced` says what --force passed."""

    subject: Subject
    held: Held
    issue: Issue
    why: str
    forced: str = ""

    @property
    def old(self) -> Told:
        return _any(self.held)

    @property
    def previous_fingerprint(self) -> str | None:
        """The fingerprint that every member had, None where they differed."""
        found = {told.fingerprint if told else None for told in self.held.values()}
        return found.pop() if len(found) == 1 else None


def _any(held: Held) -> Told:
    return next(told for told in held.values() if told is not None)


def issue(
    subject: Subject, held: Held, key_size: int | None, token_bytes: Callable[[int], bytes], now: datetime
) -> Issue:
    """Return the next key of a subject: next id, same algorithm, same lengths, or AES keys of `key_size` bits.

    Raises RefusedError where the Secrets do not allow it, InputError where `key_size` does not.
    """
    refuse_held(subject, held)
    old = _any(held)
    used = old.algorithm
    if key_size is not None:
        if used.auth:
            raise InputError(f"{subject.label} uses {used}, and --key-size is for {keys.GCM}")
        if key_size < used.key_bits:
            raise InputError(f"{subject.label} has a key of {used.key_bits} bits, and --key-size never makes it weaker")
        used = replace(used, key_bits=key_size)
    created = now.replace(microsecond=0)
    return Issue(keys.successor(old.key_id, used, token_bytes), created, old.key_id)


def refuse_held(subject: Subject, held: Held) -> None:
    """Raise RefusedError where the Secrets on the base have no common successor that agents take."""
    told = {name: one for name, one in held.items() if one is not None}
    if not told:
        what = f"{subject.label} has no Secret on the base yet"
        raise RefusedError(what, hint=f"keyturn render {subject.names[0]}, and commit what it makes")
    first, old = next(iter(told.items()))
    for name, other in told.items():
        if other.key_id != old.key_id:
            message = f"the mesh {subject.mesh} shares one key, and {name} has id {other.key_id}, {first} {old.key_id}"
            is_behind = (other.key_id - old.key_id) % keys.MAX_ID <= keys.MAX_ID // 2  # after 15 comes 1
            behind, ahead = (first, name) if is_behind else (name, first)
            hint = (
                f"take cluster.mesh out of {behind}, rotate it until its id is {told[ahead].key_id}, then put it back"
            )
            raise RefusedError(message, hint=hint)
        if other.algorithm != old.algorithm:
            message = f"the mesh {subject.mesh} shares one key, and {name} has another algorithm than {first}"
            raise RefusedError(message, hint="bring them to one algorithm before they are one mesh")
    for environment in subject.environments:
        _refuse_algorithm(environment, old)


def _refuse_algorithm(environment: Environment, old: Told) -> None:
    ipsec = environment.encryption.ipsec
    asked = keys.algorithm(ipsec.algorithm, ipsec.key_size)
    if str(asked) != str(old.algorithm):
        name, there = environment.name, _cli_name(old.algorithm)
        raise RefusedError(
            f"{name} asks for {ipsec.algorithm}, its Secret holds {there}, and agents refuse that in a rotation",
            hint=f"write algorithm: {there} to rotate; to change it plan an outage: suspend the engine, replace the "
            f"Secret in the cluster with id {keys.next_id(old.key_id)}, restart every agent, "
            f"git rm the Secret, keyturn adopt {name}, and resume",
        )


def _cli_name(used: keys.Algorithm) -> str:
    return {"": "rfc4106-gcm-aes", "hmac(sha256)": "cbc-aes-sha256"}.get(used.auth, "cbc-aes-sha512")


def refuse_versions(subject: Subject, changed: Mapping[str, tuple[str, str]]) -> None:
    """Raise RefusedError while Cilium is being moved; `changed` is environment -> version before and after."""
    for name, (before, after) in changed.items():
        message = f"cilium.version of {name} went from {before} to {after} within the cool-down of {_span(subject)}"
        raise RefusedError(message, hint="let the upgrade end on every node, then rotate")
    versions = {one.cilium.version: one.name for one in subject.environments}
    if len(versions) > 1:
        told = ", ".join(f"{name} {version}" for version, name in sorted(versions.items()))
        message = f"the mesh {subject.mesh} has more than one cilium.version: {told}"
        raise RefusedError(message, hint="finish the upgrade, then rotate")


def too_young(subject: Subject, commit: str, time: datetime, now: datetime) -> str:
    """Say that the rotation before is younger than the cool-down."""
    age = ages.words(now - time)
    return f"{subject.label} was rotated {age} ago by {commit[:12]}, within its cool-down of {_span(subject)}"


def _span(subject: Subject) -> str:
    longest = max((one.encryption.ipsec.cooldown for one in subject.environments), key=lambda span: span.seconds)
    return str(longest)


def due(environment: Environment, told: Told) -> datetime:
    """Return when a key becomes older than `maxKeyAge`."""
    return told.created + timedelta(seconds=environment.encryption.ipsec.max_key_age.seconds)


def due_first(subject: Subject, held: Held) -> datetime | None:
    """Return when the first key of a subject is due, None where none has one."""
    found = [due(one, told) for one in subject.environments if (told := held.get(one.name)) is not None]
    return min(found, default=None)
