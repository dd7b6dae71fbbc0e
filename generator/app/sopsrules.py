"""The creation rules that sops would take for the files of a tree; each `.sops.yaml` is read once."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from generator import creation, firstkeys, fitting
from generator.errors import RefusedError
from generator.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.creation import Rule
    from generator.model import Environment
    from generator.source import Source


class Rules:
    """What each `.sops.yaml` says; `environments` are those whose Secrets have to have a rule that the tree can use."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._found: dict[str, creation.Config | RefusedError | None] = {}
        self.environments: dict[str, Environment] = {}

    def rule_for(self, path: str) -> Rule | None:
        """Return the rule for a path, None where somebody else's file has none.

        Raises RuleError where a Secret of keyturn's has none that the tree can use, or the rules cannot be read.
        """
        name = firstkeys.environment(path)
        place = self._source.place or ""
        whole = posixpath.normpath(posixpath.join(place, path))  # from the top of the repository, as all folders here
        for folder in _upwards(place if name is not None else posixpath.dirname(whole)):
            config = self._config(posixpath.relpath(posixpath.join(folder, creation.CONFIG), place or "."))
            if config is None:
                continue
            shown = posixpath.relpath(whole, folder or ".")
            environment = self.environments.get(name or "")
            if environment is None:
                return config.any_rule_for(shown)
            try:
                return fitting.rule(config, shown.removesuffix(path), environment)
            except creation.RuleError:
                raise
            except RefusedError as error:
                raise _wrong(config.path, error.message, error.hint) from None
        if name is None:
            return None
        message = f"no {creation.CONFIG} says for whom the Secrets are encrypted"
        raise _wrong(creation.CONFIG, message, "write it, and commit it")

    def _config(self, path: str) -> creation.Config | None:
        if path not in self._found:
            data = self._source.read(path)
            try:
                self._found[path] = creation.Config(data, path) if data is not None else None
            except RefusedError as error:
                self._found[path] = error
        found = self._found[path]
        if isinstance(found, RefusedError):
            raise found
        return found


def _upwards(folder: str) -> Iterator[str]:
    """Yield a folder and those above it, up to the top of the repository, which is empty."""
    while folder and not folder.startswith(".."):
        yield folder
        folder = posixpath.dirname(folder)
    yield ""


def _wrong(path: str, message: str, hint: str) -> creation.RuleError:
    return creation.RuleError(path, Finding(path, 0, 0, "sops-rule", "error", message, hint))
