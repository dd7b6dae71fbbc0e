"""`keyturn validate`: what is wrong with a tree, as findings.  Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from generator import tree
from generator.app import scope
from generator.app.looking import Look
from generator.errors import RefusedError
from generator.findings import Finding, tidy
from generator.redaction import redact_keys
from generator.verdicts import Validated

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from generator.app.charting import Charts
    from generator.app.scope import Scope
    from generator.exemptions import Exemption
    from generator.rules import Tier


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for; `against` is a revision, `charts` gives the chart to render, `no_key` leaves keys alone."""

    scope: scope.Options
    now: Callable[[], datetime]
    against: str | None = None
    charts: Callable[[], contextlib.AbstractContextManager[Charts]] | None = None
    no_key: bool = False
    jobs: int = 1


def validate(root: Path, options: Options) -> Validated:
    """Return what is wrong.

    Raises InputError where a path or a revision is not there, RefusedError where history is missing, ToolError where
    git, sops or Helm does not answer.
    """
    with scope.opened(root, options.scope) as files:
        return _Run(root, files, options).run()


@dataclass(slots=True)
class _Run:
    """One run over one scope: the tiers one after the other, then the exceptions."""

    root: Path
    scope: Scope
    options: Options
    tiers: set[Tier] = field(default_factory=lambda: {"file", "tree"})
    notes: list[str] = field(default_factory=list)
    digests: dict[str, str | None] = field(default_factory=dict)
    new: list[Exemption] = field(default_factory=list)  # exceptions that the change adds

    def run(self) -> Validated:
        data = self.scope.view.read(tree.EXEMPTIONS)
        if data is None:
            look, found = self._findings([])
            return Validated(_shown(found), [], [*self.notes, *look.notes], look.files)
        from generator import exemptions, rules  # noqa: PLC0415 -- most repositories have no exceptions

        exempt, wrong = exemptions.load(data, rules.refuse_exception)
        look, found = self._findings(exempt)
        sifted = exemptions.sift(tidy([*wrong, *found]), exempt, self._digest)
        tiers = {name: rule.tier for name, rule in rules.RULES.items()}
        seen = [one for one in exempt if self._is_judged(one, tiers[one.rule])]
        idle = exemptions.idle(seen, sifted.used, self._digest)
        return Validated(_shown([*sifted.findings, *idle]), exempt, [*self.notes, *look.notes], look.files)

    def _findings(self, exempt: list[Exemption]) -> tuple[Look, list[Finding]]:
        """Return what every tier that was asked for finds."""
        look = Look(self.scope, drift_only=self.options.scope.drift)
        return look, [*look.findings(), *self._change(exempt), *self._keys(look), *self._charts(look)]

    def _change(self, exempt: list[Exemption]) -> Iterator[Finding]:
        if self.options.against is None:
            return
        from generator.app import against  # noqa: PLC0415 -- the hook does without

        self.tiers.add("change")
        if self.scope.store is None:
            raise RefusedError(f"{self.root} is in no git repository, and --against compares with a commit")
        branch = against.resolve(self.root, self.options.against, self.scope.store)
        yield from against.check(branch, self.scope.view, self.options.now(), staged=self.scope.index)
        self.new = against.new_exceptions(branch, exempt) if exempt else []
        if self.new:
            from generator import exemptions  # noqa: PLC0415 -- likewise

            yield from exemptions.added(self.new)

    def _keys(self, look: Look) -> Iterator[Finding]:
        """Prove what a private key at hand can; not in a hook, which asks for no passphrase and waits for no KMS."""
        if self.options.no_key or self.scope.index or self.options.scope.drift:
            return
        from generator.app.proving import Proof  # noqa: PLC0415 -- likewise

        proof = Proof(self.root, self.scope.view, look, self.options.jobs)
        yield from proof.findings()
        self.notes += proof.notes
        if proof.has_opened:
            self.tiers.add("key")

    def _charts(self, look: Look) -> Iterator[Finding]:
        if self.options.charts is None:
            return
        self.tiers.add("chart")
        wrong = {one.path for one in look.space.findings if one.level == "error"}
        with self.options.charts() as charts:
            for environment in look.space.environments:
                if environment.path not in wrong:
                    yield from charts.check(environment)

    def _digest(self, path: str) -> str | None:
        if path not in self.digests:
            import hashlib  # noqa: PLC0415 -- likewise

            found = [data for _, data in self.scope.view.contents([path])]
            self.digests[path] = hashlib.sha256(found[0]).hexdigest() if found and found[0] is not None else None
        return self.digests[path]

    def _is_judged(self, one: Exemption, tier: Tier) -> bool:
        """Whether this run could have found what an exception exempts."""
        looked = self.scope.whole or one.path in self.scope.paths
        is_new = tier != "change" or one in self.new  # what a change was excepted for has passed once it is merged
        return looked and is_new and tier in self.tiers and not self.options.scope.drift


def _shown(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings to be told, in order: whatever they quote, no key is in their words."""
    return tidy(replace(one, message=redact_keys(one.message), hint=redact_keys(one.hint)) for one in findings)
