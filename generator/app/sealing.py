"""Secrets encrypted by the rules of a commit's `.sops.yaml`, and those that stand in it opened where a key can."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator import creation, firstkeys, fitting, objects, secret, sops, yamlio
from generator.errors import InputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.commits import Commit
    from generator.model import Environment


@dataclass(slots=True)
class Sealer:
    """sops with the configuration of a commit; `place` is the workspace as that configuration sees it.

    `source` is where the configuration stands, from the top of the repository.
    """

    gate: sops.Sops
    config: creation.Config
    place: str
    source: str
    _shut: set[creation.Groups] = field(default_factory=set)  # whom no private key at hand belongs to

    def rule(self, environment: Environment) -> creation.Rule:
        return fitting.rule(self.config, self.place, environment)

    def seal(self, environment: Environment, issue: secret.Issue) -> bytes:
        """Return an environment's Secret, encrypted for those whom the rule names."""
        clear = secret.document(issue, environment.cilium.namespace)
        path = self.gate.config.parent / self.place / firstkeys.path(environment.name)
        return self.gate.encrypt(clear, path, self.rule(environment))

    def rewrap(self, environment: Environment, data: bytes) -> bytes:
        """Return a Secret with the same key, for those whom the rule names now."""
        path = self.gate.config.parent / self.place / firstkeys.path(environment.name)
        return self.gate.rewrap(data, path, self.rule(environment))

    def prove(self, name: str, data: bytes) -> None:
        """See that a Secret holds the key that it tells of, where a private key at hand opens it.

        Raises RefusedError where it does not, ToolError where sops fails.
        """
        path = firstkeys.path(name)
        root, _ = yamlio.read(data, path)
        readers = creation.readers(root) if root is not None else frozenset()
        if readers in self._shut:
            return
        clear = self.gate.decrypt(self.gate.config.parent / self.place / path, data)
        if clear is None:
            self._shut.add(readers)
            return
        opened(clear, path)


def opened(clear: bytes, path: str) -> secret.Issue:
    """Return what a decrypted Secret holds.  Raises RefusedError, without a quote, where it is not what it tells."""
    node, _ = yamlio.read(clear, path)
    if node is None:
        raise RefusedError(f"{path} is no Secret once it is decrypted", hint=secret.RESTORE)
    try:
        return secret.opened(node)
    except InputError as error:
        raise RefusedError(f"{path}: {error.message}", hint=secret.RESTORE) from None


@contextlib.contextmanager
def sealer(commit: Commit) -> Iterator[Sealer]:
    """Give a sealer for a commit.  Raises RefusedError where it has no `.sops.yaml` that can be used."""
    path, folder = _configured(commit)
    found = commit.objects.find(commit.oid, path)
    if found is None or found.mode not in objects.FILES:
        message = f"there is no {creation.CONFIG}{commit.words}" if found is None else f"{path} is no regular file"
        raise RefusedError(message, hint="commit the one that says who may read the Secrets")
    data = commit.objects.blob(found.oid)
    config = creation.Config(data)
    place = commit.place.removeprefix(folder).strip("/")
    with sops.configured(sops.find(commit.objects.root), data) as gate:
        yield Sealer(gate, config, f"{place}/" if place else "", path)


def _configured(commit: Commit) -> tuple[str, str]:
    """Return where the nearest `.sops.yaml` is, or would be, from the top of the repository, and its folder."""
    folder = commit.place
    while True:
        path = f"{folder}/{creation.CONFIG}".lstrip("/")
        if commit.objects.find(commit.oid, path) is not None or not folder:
            return path, folder
        folder = folder.rpartition("/")[0]


def readers(commit: Commit, environment: Environment) -> creation.Groups | None:
    """Return for whom a commit's `.sops.yaml` wants an environment's Secret, None where it does not tell."""
    path, folder = _configured(commit)
    found = commit.objects.find(commit.oid, path)
    if found is None or found.mode not in objects.FILES:
        return None
    above = commit.place.removeprefix(folder).strip("/")
    try:
        config = creation.Config(commit.objects.blob(found.oid))
        return fitting.rule(config, f"{above}/" if above else "", environment).groups
    except RefusedError:  # the rules about `.sops.yaml` say why
        return None
