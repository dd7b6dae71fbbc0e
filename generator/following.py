"""What a person who waits for a cluster is told: which nodes have moved, and what is still waited for.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator.evidence import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.attestation import Verified


@dataclass
class Following:
    """Looks at one environment, one after the other; each is told by what is new in it."""

    _moved: set[str] | None = None
    _failing: list[str] = field(default_factory=list)

    def lines(self, done: Verified) -> Iterator[str]:
        """Yield a line for each node that has moved since the look before, and what does not hold yet where it changed.

        A look that could not see the nodes is no look.
        """
        if done.nodes:
            yield from self._nodes(done, done.nodes)
        if done.failing and done.failing != self._failing:
            yield f"waiting for {', '.join(done.failing)}"
        self._failing = done.failing

    def _nodes(self, done: Verified, nodes: Mapping[str, str]) -> Iterator[str]:
        what = f"key {done.told.key_id}" if done.told else "a public key"
        moved = {node for node, shown in nodes.items() if (shown == str(done.told.key_id) if done.told else shown)}
        if self._moved is None:
            yield f"{len(moved):,} of {counted(len(nodes), 'node')} show {what}"
        else:
            before = moved & self._moved
            for number, node in enumerate(sorted(moved - before), start=len(before) + 1):
                yield f"{node} shows {what} ({number:,} of {len(nodes):,})"
        self._moved = moved
