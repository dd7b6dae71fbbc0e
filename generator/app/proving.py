"""The third tier of `keyturn validate`: what a private key at hand proves.  What it opens is compared and forgotten."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from generator import creation, firstkeys, git, identity, keys, secret, sops, yamlio
from generator.errors import InputError, RefusedError, ToolError, UnansweredError
from generator.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from generator.app.looking import Look
    from generator.creation import Groups
    from generator.keys import Key
    from generator.model import Environment
    from generator.tracked import View


@dataclass(frozen=True, slots=True)
class _Opened:
    """What became of one file: what is wrong, the key in it, and whether a private key at hand reads it."""

    path: str
    findings: list[Finding]
    key: Key | None = None
    is_shut: bool = False


class Proof:
    """Decrypts the SOPS files of a look, as many at a time as `jobs` says."""

    def __init__(self, root: Path, view: View, look: Look, jobs: int) -> None:
        self._root, self._view, self._look, self._jobs = root, view, look, jobs
        self._at_hand = identity.recipients(os.environ)
        self.notes: list[str] = []
        self.has_opened = False

    def findings(self) -> Iterator[Finding]:
        """Yield what does not hold once it is opened.  Raises ToolError where sops does not answer."""
        if not self._look.sealed:
            return
        try:
            program = sops.find(self._root)
        except ToolError as error:
            self.notes.append(f"{error.message}, so nothing was decrypted: {error.hint}")
            return
        gate = sops.Sops(program, (git.top(self._root) or self._root) / creation.CONFIG)
        with ThreadPoolExecutor(self._jobs) as pool:
            files = self._view.contents(self._look.sealed)
            done = list(pool.map(lambda one: self._open(gate, one[0], one[1] or b""), files))
        for one in done:
            yield from one.findings
        shut = sum(one.is_shut for one in done)
        if shut:
            self.notes.append(
                f"no private key at hand reads {shut} of {len(done)} SOPS files: their MAC was not checked"
            )
        found = {name: one.key for one in done if one.key and (name := firstkeys.environment(one.path))}
        yield from self._meshes(found)
        self.has_opened = shut < len(done)
        if self.has_opened:
            yield from self._protected()

    def _open(self, gate: sops.Sops, path: str, data: bytes) -> _Opened:
        root = yamlio.read(data, path)[0]
        readers = _all(creation.readers(root)) if root is not None else frozenset()
        if self._is_for_others(readers):
            return _Opened(path, [], is_shut=True)
        ours = firstkeys.environment(path) is not None
        hint = secret.RESTORE if ours else "bring back what sops wrote"
        try:
            clear = gate.decrypt(self._root / path, data)
        except RefusedError:
            message = "was changed after sops encrypted it: its MAC or a value does not fit"
            return _Opened(path, [Finding(path, 0, 0, "tampered", "error", message, hint)])
        except UnansweredError:
            raise
        except ToolError as error:
            message = f"sops cannot read it: {error.message.partition(': ')[2]}"
            return _Opened(path, [Finding(path, 0, 0, "tampered", "error", message, hint)])
        if clear is None and any(("age", public) in readers for public in self._at_hand or ()):
            message = "is for an age identity at hand, and that does not open it"
            return _Opened(path, [Finding(path, 0, 0, "tampered", "error", message, hint)])
        if clear is None:
            return _Opened(path, [], is_shut=True)
        return _read(clear, path) if firstkeys.environment(path) else _Opened(path, [])

    def _is_for_others(self, readers: frozenset[creation.Recipient]) -> bool:
        """Whether no identity at hand can open a file, without trying: only where that is plain from public keys."""
        if self._at_hand is None or not readers:
            return False
        return all(kind == "age" and _NATIVE.fullmatch(name) for kind, name in readers) and not any(
            ("age", public) in readers for public in self._at_hand
        )

    def _meshes(self, found: dict[str, Key]) -> Iterator[Finding]:
        """Yield the members of a mesh whose key is not the others'; the annotations may all say the same."""
        first: dict[str, tuple[str, Key]] = {}
        for environment in self._look.space.environments:
            mesh, key = environment.cluster.mesh, found.get(environment.name)
            if mesh is None or key is None or environment.encryption.type != "ipsec":
                continue
            other, shared = first.setdefault(mesh, (environment.name, key))
            if key != shared:
                message = f"the mesh {mesh} shares one key, and this is not the key that {other} holds"
                hint = f"keyturn rotate {other} turns the whole mesh, in one commit"
                yield Finding(firstkeys.path(environment.name), 0, 0, "mesh-key", "error", message, hint)

    def _protected(self) -> Iterator[Finding]:
        """Yield the protected environments whose Secret another cluster's key reads for certain.

        A cluster with Flux decrypts by a key of its own.  Where everybody who reads its Secret reads the protected one
        too, that key is among them.
        """
        having = [one for one in self._look.space.environments if one.name in self._look.secrets]
        readers = {one.name: _all(creation.readers(self._look.secrets[one.name])) for one in having}
        for one in having:
            if one.protected and one.encryption.type == "ipsec":
                others = [other.name for other in having if _reads(other, one, readers)]
                if others:
                    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
                    message = (
                        f"{one.name} is protected, and the key with which {others[0]}{more} decrypts reads this too"
                    )
                    hint = "give each cluster an identity of its own, then keyturn rotate"
                    yield Finding(firstkeys.path(one.name), 0, 0, "protected-readers", "warning", message, hint)


_NATIVE: Final = re.compile(r"age1[02-9ac-hj-np-z]{58}")  # X25519, of no plugin


def _reads(other: Environment, one: Environment, readers: dict[str, frozenset[creation.Recipient]]) -> bool:
    if other.name == one.name or other.gitops.engine != "flux" or other.encryption.type != "ipsec":
        return False
    in_one_mesh = one.cluster.mesh is not None and one.cluster.mesh == other.cluster.mesh
    return not in_one_mesh and bool(readers[other.name]) and readers[other.name] <= readers[one.name]


def _all(groups: Groups) -> frozenset[creation.Recipient]:
    return frozenset().union(*groups)


def _read(clear: bytes, path: str) -> _Opened:
    """Compare what a Secret holds with what it tells, and quote neither."""
    root = yamlio.read(clear, path)[0]
    line = secret.line(root) if root is not None else None
    if root is None or line is None:
        message = "the Secret holds no key line once it is decrypted"
        return _Opened(path, [Finding(path, 0, 0, "key-line", "error", message, secret.RESTORE)])
    if wrong := keys.complaint(line):
        hint = "keyturn adopt takes a good one from the cluster"
        return _Opened(path, [Finding(path, 0, 0, "key-line", "error", f"the key line {wrong}", hint)])
    try:
        return _Opened(path, [], secret.opened(root).key)
    except InputError as error:
        return _Opened(path, [Finding(path, 0, 0, "untrue-annotation", "error", error.message, secret.RESTORE)])
