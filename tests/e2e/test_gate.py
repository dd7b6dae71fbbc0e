"""What must not get through: the gate stops each, and what Flux does with it where somebody pushes it all the same."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING

import pyrage
import pytest
import rig
import turned
from e2e import api, stories
from e2e.stories import PARTS
from kit import Repo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.controlplane import Cluster
    from e2e.hosting import Host
    from e2e.stories import Lab


@pytest.fixture(scope="module")
def lab(place: Path, host: Host, cluster: Cluster) -> Lab:
    return stories.under_flux("lab-ipsec", place / "clusters", host, cluster)


@contextlib.contextmanager
def pushed(lab: Lab) -> Iterator[str]:
    """Push what stands on main past the gate, have Flux read it, and put main right afterwards."""
    good = turned.tip(lab.repo, "origin/main")
    lab.repo.git("push", "-q", "origin", "main")
    lab.reads(lab.head)
    yield lab.head
    lab.repo.git("reset", "-q", "--hard", good)
    lab.repo.git("push", "-q", "--force", "origin", "main")
    lab.reads(good)
    lab.applied(good, *PARTS)
    assert lab.line_in_cluster == lab.line


def stopped(lab: Lab) -> tuple[set[str], set[str]]:
    """The rules by which `validate` stops what stands on main: with the private key at hand, and without."""
    found = []
    for words in ((), ("--no-key",)):
        ran = lab.keyturn("validate", *words, "--against", "origin/main", "--output", "json", code=1)
        found.append({one["rule"] for one in json.loads(ran.out)["findings"] if one["level"] == "error"})
    return found[0], found[1]


def test_tampered_ciphertext(lab: Lab) -> None:
    text = lab.repo.read(lab.secret)
    start = text.index("keys: ENC[AES256_GCM,data:") + len("keys: ENC[AES256_GCM,data:")
    lab.repo.write(lab.secret, text[:start] + ("B" if text[start] != "B" else "C") + text[start + 1 :])
    lab.repo.commit("a slip of the hand")
    before = lab.line_in_cluster

    assert stopped(lab) == ({"tampered", "same-id"}, {"same-id"})
    with pushed(lab):
        lab.flux_says("secrets", "decrypt")
        assert lab.line_in_cluster == before


def test_tampered_id_which_flux_takes_since_it_checks_no_mac(lab: Lab) -> None:
    text = lab.repo.read(lab.secret)
    lab.repo.write(lab.secret, text.replace('keyturn/key-id: "1"', 'keyturn/key-id: "2"'))
    lab.repo.commit("it is the second, isn't it")

    assert stopped(lab) == ({"tampered", "same-key"}, {"same-key"})
    with pushed(lab) as commit:
        lab.applied(commit, "secrets")
        found = lab.cluster.api.get(api.SECRETS, "cilium-ipsec-keys")
        assert found["metadata"]["annotations"]["keyturn/key-id"] == "2"
        assert lab.line_in_cluster.startswith("1+ ")


def test_secret_encrypted_for_a_stranger(lab: Lab) -> None:
    stranger = str(pyrage.x25519.Identity.generate().to_public())
    clear = rig.decrypt(lab.repo.root / lab.secret)
    argv = ["sops", "encrypt", "--age", stranger, "--encrypted-regex", "^(data|stringData)$"]
    argv += ["--filename-override", lab.secret]
    done = subprocess.run(argv, cwd=lab.repo.root, input=clear, capture_output=True, text=True, check=True)
    lab.repo.write(lab.secret, done.stdout)
    lab.repo.commit("new readers")
    before = lab.line_in_cluster

    assert stopped(lab) == ({"sops-recipients", "same-id"}, {"sops-recipients", "same-id"})
    with pushed(lab):
        lab.flux_says("secrets", "decrypt")
        assert lab.line_in_cluster == before


def test_stale_rotation(lab: Lab, place: Path) -> None:
    other = Repo(place / "other")
    lab.repo.git("clone", "-q", lab.repo.git("remote", "get-url", "origin").strip(), str(other.root))
    lab.keyturn("rotate", "lab-ipsec")  # which waits here, while a colleague's is merged
    assert other.run("rotate", "lab-ipsec").code == 0
    turned.merge(other, "keyturn/rotate-lab-ipsec-2", ago=turned.DAY)
    other.git("push", "-q", "origin", "main")
    lab.repo.git("pull", "-q", "--ff-only", "origin", "main")
    lab.reads(lab.head)
    lab.applied(lab.head, *PARTS)
    before = lab.line_in_cluster

    lab.repo.git("merge", "-q", "--no-edit", "-X", "theirs", "keyturn/rotate-lab-ipsec-2")

    assert stopped(lab) == ({"same-id"}, {"same-id"})
    with pushed(lab) as commit:
        lab.applied(commit, "secrets")
        after = lab.line_in_cluster
        assert (before.split()[0], after.split()[0]) == ("2+", "2+")  # agents that have a key 2 take no other one
        assert before != after
    lab.repo.git("branch", "-q", "-D", "keyturn/rotate-lab-ipsec-2")


def test_revert_of_a_rotation(lab: Lab) -> None:
    assert lab.line.startswith("2+ ")
    lab.repo.git("revert", "--no-edit", "-m", "1", "HEAD")

    assert stopped(lab) == ({"old-key"}, {"old-key"})
    with pushed(lab) as commit:
        lab.applied(commit, "secrets")
        assert lab.line_in_cluster.startswith("1+ ")
