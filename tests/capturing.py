"""A repository whose environments say how traffic is encrypted, and captures put before `keyturn capture`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pcaps
import pytest
import rig
import sealed
import turned
from kit import IPSEC, PROJECT, WIREGUARD, Ran, Repo
from pcaps import NODE, OTHER, ether, ip

ESP4 = pcaps.between_nodes(pcaps.esp(4), 50)
ESP3 = pcaps.between_nodes(pcaps.esp(3), 50)
DATA = pcaps.between_nodes(pcaps.udp(51871, 51871, pcaps.wireguard()))
HELLO = pcaps.between_nodes(pcaps.udp(51871, 51871, pcaps.wireguard(1)))
IN_VXLAN = pcaps.between_nodes(pcaps.vxlan(pcaps.between_pods()))
FROM_OTHER = ether(ip(OTHER, NODE, 17, pcaps.vxlan(pcaps.between_pods())), pcaps.THERE, pcaps.HERE)
PLAIN = pcaps.between_pods()
HTTP = ether(ip(NODE, OTHER, 6, pcaps.tcp(40_000, 10_250)))
BY_NODE = ("--node-ip", NODE)


def make(repo: Repo, home: Path) -> Repo:
    repo.init()
    repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    newer = IPSEC.replace("1.16.0", "1.18.0") + "gitops: {engine: none}\n"
    repo.environment("lab", newer)
    repo.environment("old", newer.replace("1.18.0", "1.16.0"))
    repo.environment("bare", newer)
    repo.environment("wg", f"{WIREGUARD}gitops: {{engine: none}}\n")
    repo.environment(
        "wgn", f"{WIREGUARD.replace('wireguard}', 'wireguard, nodeEncryption: true}')}gitops: {{engine: none}}\n"
    )
    repo.environment("open", WIREGUARD.replace("wireguard}", "none}"))
    for name in ("lab", "old"):
        turned.hold(repo, name, sealed.key(4), previous=3)
    return repo


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(turned.person(home)))
        patch.setenv("PYTHONPATH", str(PROJECT))
        root = tmp_path_factory.mktemp("made") / "repo"
        root.mkdir()
        return make(Repo(root), home)


@pytest.fixture
def lab(made: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A copy, in which the test stands; no private key is to be found."""
    repo = Repo(Path(shutil.copytree(made.root, tmp_path / "lab")))
    monkeypatch.chdir(repo.root)
    return repo


def capture(repo: Repo, data: bytes, *words: str, env: str = "lab") -> Ran:
    repo.write("c.pcap", data)
    return rig.command(repo.root, "capture", "c.pcap", "--env", env, *words)


def answer(repo: Repo, data: bytes, *words: str, env: str = "lab") -> tuple[int, dict[str, Any]]:
    """Return the exit code, and the JSON about the one capture."""
    ran = capture(repo, data, *words, "--output", "json", env=env)
    (found,) = json.loads(ran.out)["captures"]
    return ran.code, found


def verdict(repo: Repo, *data: bytes, env: str = "lab", words: tuple[str, ...] = BY_NODE) -> tuple[int, str]:
    code, found = answer(repo, pcaps.pcap(*data), *words, env=env)
    return code, found["verdict"]


def cooked(repo: Repo, *data: bytes, env: str = "lab") -> tuple[int, str]:
    """The verdict of `tcpdump -i any`."""
    code, found = answer(repo, pcaps.pcap(*data, link=pcaps.SLL2), env=env)
    return code, found["verdict"]
