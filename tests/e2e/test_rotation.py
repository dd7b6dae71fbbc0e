"""The exam, by git: `keyturn rotate --pr`, the gate, a merge, Flux, and `verify --wait` until every node has moved."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import screen
import turned
from e2e import servers, stories
from e2e.stories import NODES, PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.controlplane import Cluster
    from e2e.hosting import Host
    from e2e.stories import Lab
    from kit import Ran

BRANCH = "keyturn/rotate-lab-ipsec-2"


@pytest.fixture(scope="module")
def lab(place: Path, host: Host, cluster: Cluster) -> Lab:
    """A cluster that Flux keeps, whose agents all show key 1."""
    lab = stories.under_flux("lab-ipsec", place / "clusters", host, cluster)
    lab.agents(key=1)
    lab.keyturn("verify", "lab-ipsec", "--no-exec")
    return lab


@pytest.fixture(scope="module")
def proposed(lab: Lab) -> Ran:
    """The rotation as a request: its branch is at the host.  What keyturn said of it."""
    return lab.keyturn("rotate", "lab-ipsec", "--pr", "--reason", "the exam")


@pytest.fixture(scope="module")
def merged(lab: Lab, proposed: Ran) -> Lab:
    """The rotation as a reviewer merged it at the host, and as Flux applied it."""
    assert proposed.code == 0
    commit = turned.merge(lab.repo, BRANCH, ago=turned.NO_AGE)
    lab.repo.git("push", "-q", "origin", "main")
    lab.reads(commit)
    lab.applied(commit, *PARTS)
    return lab


def test_rotation_is_at_the_host_as_one_changed_secret(lab: Lab, proposed: Ran) -> None:
    lab.repo.git("fetch", "-q", "origin")

    assert f"lab-ipsec: IPsec key 1 -> 2 on {BRANCH}" in proposed.out
    assert lab.repo.git("diff", "--name-only", "main", f"origin/{BRANCH}").split() == [lab.secret]
    (status,) = json.loads(lab.keyturn("status", "lab-ipsec", "--output", "json").out)["environments"]
    assert (status["key_id"], status["branch"]) == (1, BRANCH)


def test_rotation_passes_the_gate(lab: Lab, proposed: Ran) -> None:
    assert proposed.code == 0
    lab.repo.git("checkout", "-q", BRANCH)
    ran = lab.keyturn("validate", "--strict", "--against", "origin/main")
    lab.repo.git("checkout", "-q", "main")

    assert ran.code == 0


def test_cluster_keeps_its_key_until_the_merge(lab: Lab, proposed: Ran) -> None:
    assert proposed.code == 0
    assert lab.line_in_cluster == lab.line
    assert lab.line.startswith("1+ ")


def test_flux_applies_the_next_key_after_the_merge(merged: Lab) -> None:
    before = turned.clear(merged.repo, "HEAD^", "lab-ipsec")

    assert merged.line_in_cluster == merged.line
    assert re.fullmatch(r"2\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128", merged.line)
    assert merged.line.split()[2] not in before


def nodes(lab: Lab, code: int) -> tuple[list[str], str]:
    """What does not hold, and what `verify` saw of the nodes."""
    told = json.loads(lab.keyturn("verify", lab.name, "--no-exec", "--output", "json", code=code).out)["checks"]
    (seen,) = [one["seen"] for one in told if one["name"] == "ciliumnodes/key"]
    return [one["name"] for one in told if one["ok"] is False], seen


def test_verify_waits_until_the_last_node_has_moved(merged: Lab) -> None:
    words = screen.keyturn("verify", merged.name, "--no-exec", "--wait", "10m")
    waiting = screen.Terminal(merged.repo.root, words, {}, piped="out")
    waiting.wait_for("0 of 4 nodes show key 2", servers.PATIENCE)
    for count, node in enumerate(NODES, start=1):
        failing, seen = nodes(merged, code=1)
        assert failing == ["ciliumnodes/key"]
        assert f"{count - 1} of 4 nodes; not yet: " in seen
        assert waiting.process.poll() is None
        merged.moves(node, 2)
        waiting.wait_for(f"{node} shows key 2 ({count} of 4)", servers.PATIENCE)  # it has looked since

    ended = waiting.end()

    assert ended.code == 0
    assert ended.sent.splitlines()[-1].endswith("hold, 1 not judged")
    assert nodes(merged, code=0) == ([], "4 nodes, each of them")
