"""The first tier of `keyturn validate`: what can be seen without any key and without history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator import contents, firstkeys, fitting, mesh, secret, tree, workspace, yamlio
from generator.app.sopsrules import Rules
from generator.drift import Drift
from generator.errors import InputError
from generator.findings import Finding, errors
from generator.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.app.scope import Scope
    from generator.model import Environment
    from generator.nodes import Node


class Look:
    """One look at the files of a scope; what it has read is kept for the other tiers."""

    def __init__(self, scope: Scope, *, drift_only: bool) -> None:
        self._scope, self._view, self._drift_only = scope, scope.view, drift_only
        self.notes: list[str] = []
        self.space = Workspace()
        self.secrets: dict[str, Node] = {}  # environment -> its Secret, where one can be read
        self.sealed: list[str] = []  # every SOPS file that was looked through
        self.files = 0
        self._rules = Rules(scope.view)

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with files, environments and trees."""
        self.space = self._load()
        self._rules.environments = {one.name: one for one in self.space.environments}
        yield from self.space.findings
        drift = Drift({}, frozenset())
        try:
            drift, stray = self._drift()
            yield from stray
        except InputError as error:  # a template that fails
            yield Finding(tree.TEMPLATES, 0, 0, "template", "error", error.message, error.hint)
        yield from self._files(drift)
        yield from self._secrets()

    def _load(self) -> Workspace:
        names = workspace.names(self._view)
        wanted = self._scope.environments(names)
        if not self._scope.whole and not wanted:
            return Workspace(names=names)
        self._view.keep(workspace.path(name) for name in wanted)
        return workspace.load(self._view, () if len(wanted) == len(names) else wanted)

    def _drift(self) -> tuple[Drift, list[Finding]]:
        """Return what should stand in the trees that may differ, and templates that stand for nothing."""
        trees = self._scope.trees()
        rendered = [one for one in self.space.environments if one.name in trees]
        if self._scope.whole and (missing := sorted({one.name for one in self.space.environments} - trees)):
            shown = ", ".join(missing[:_SHOWN]) + (
                f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            )
            self.notes.append(f"not compared: {shown}; git tracks nothing of them in {tree.CLUSTERS}/")
        if rendered and errors(self.space.findings, strict=False):
            self.notes.append("environments have errors, so the trees were not compared with them")
            return Drift({}, frozenset()), []
        environments = self.space.environments if self._scope.whole else rendered  # a template may fail in any of them
        if not environments:
            return Drift({}, trees), []
        from generator import templating  # noqa: PLC0415 -- Jinja2 takes 50 ms, and a Secret is not rendered
        from generator.render import Renderer  # noqa: PLC0415 -- likewise

        templates, stray = templating.load(self._view)
        renderer = Renderer(templates)
        wanted: dict[str, bytes] = {}
        for environment in environments:
            tree_of = renderer.tree(environment)
            if environment.name in trees:
                wanted |= tree_of
        return Drift(wanted, trees), stray

    def _files(self, drift: Drift) -> Iterator[Finding]:
        searched = set() if self._drift_only else set(self._scope.paths)
        folders = tuple(f"{tree.CLUSTERS}/{name}/" for name in drift.trees)
        if self._scope.whole:
            folders = (f"{tree.CLUSTERS}/",)
        compared = {path for path in self._view.names if path.startswith(folders)} if drift.trees else set()
        for path, data in self._view.contents(sorted(searched | compared)):
            self.files += path in searched
            if data is None:
                message = f"has more than {_MEGABYTES} MiB, and was not looked through"
                yield Finding(path, 0, 0, "not-searched", "warning", message, "keep it somewhere else")
                continue
            if path in searched:
                yield from self._content(path, data)
            if path in compared and firstkeys.environment(path) is None:
                yield from drift.see(path, data)
        yield from drift.missing(self._view.names)

    def _content(self, path: str, data: bytes) -> list[Finding]:
        name = firstkeys.environment(path)
        if name is None:
            judged = contents.check(data, path, self._rules.rule_for)
            if judged.is_sealed:
                self.sealed.append(path)
            return judged.findings
        root, findings = contents.secret(data, path, self._rules.rule_for)
        if root is not None:
            self.secrets[name] = root
            if root.get("sops") is not None:
                self.sealed.append(path)
        return findings

    def _secrets(self) -> Iterator[Finding]:
        """Yield where a Secret does not fit its environment, is not there, or has none."""
        if self._drift_only:
            return
        view = self._view
        told: dict[str, tuple[str, str]] = {}
        for environment in self.space.environments:
            node = self._secret(environment.name)
            if node is not None:
                yield from fitting.strictly(node, environment)
            elif self._is_missing(environment):
                path = firstkeys.path(environment.name)
                message = f"there is no such Secret, and {environment.name} asks for IPsec"
                hint = f"keyturn render {environment.name}, and git add {path}"
                yield Finding(path, 0, 0, "missing-secret", "error", message, hint)
        for name, members in mesh.members(self._members()).items():
            told = {one.name: key for one in members if (key := self._key(one.name)) is not None}
            yield from mesh.keys(told, name)
        for name in sorted(self._scope.left_over(self.space.names)):
            if view.has(path := firstkeys.path(name)):
                hint = f"keyturn retire {name} takes it away once the cluster is gone"
                message = f"the Secret is kept, and there is no {workspace.path(name)}"
                yield Finding(path, 0, 0, "unused-secret", "warning", message, hint)

    def _is_missing(self, environment: Environment) -> bool:
        is_rendered = self._view.has(f"{tree.CLUSTERS}/{environment.name}")
        has_none = self._view.read(firstkeys.path(environment.name)) is None
        return environment.encryption.type == "ipsec" and is_rendered and has_none

    def _members(self) -> list[Environment]:
        """Return the members of meshes; in the hook the index is asked for mates only where there are any."""
        members = [*self.space.environments, *self.space.mates]
        self._scope.also([firstkeys.path(one.name) for one in self.space.mates])
        return [one for one in members if one.encryption.type == "ipsec"]

    def _key(self, name: str) -> tuple[str, str] | None:
        node = self._secret(name)
        told = (secret.annotation(node, "key-id"), secret.annotation(node, "fingerprint")) if node is not None else None
        return told if told is not None and all(told) else None

    def _secret(self, name: str) -> Node | None:
        if name not in self.secrets:
            path = firstkeys.path(name)
            data = self._view.read(path)
            root = yamlio.read(data, path)[0] if data is not None else None
            if root is None:
                return None
            self.secrets[name] = root
        return self.secrets[name]


_SHOWN = 10  # names that a note lists
_MEGABYTES = 64
