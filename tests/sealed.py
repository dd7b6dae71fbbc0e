"""Secrets of a mesh that a test makes itself: any clear text, encrypted by the real sops for whom `.sops.yaml` says."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import rig
import yaml
from kit import IPSEC, Repo

from generator import keys, secret

if TYPE_CHECKING:
    from pathlib import Path

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def member(number: int, mesh: str = "prod", more: str = "") -> str:
    """An environment with IPsec in a mesh, which nothing applies; `more` goes to its algorithm."""
    text = IPSEC.replace("{type: ipsec}", f"{{type: ipsec, ipsec: {{{more}}}}}")
    return f"{text}gitops: {{engine: none}}\ncluster: {{mesh: {mesh}, id: {number}}}\n"


def mesh(repo: Repo, home: Path) -> Repo:
    """Make a repository with three members and one recipient, and no key yet."""
    repo.init()
    for number, name in enumerate("abc", start=1):
        repo.environment(name, member(number))
    repo.write(".sops.yaml", rig.config(rig.identity(rig.keyring(home))))
    return repo


def path(name: str) -> str:
    return f"clusters/{name}/{rig.SECRET}"


def key(number: int = 1, algorithm: str = "rfc4106-gcm-aes", *, start: int = 0x61, per_tunnel: bool = True) -> keys.Key:
    used = keys.algorithm(algorithm, 128)
    return keys.Key(number, used, bytes(range(start, start + used.length)), per_tunnel)


def clear(used: keys.Key, previous: int | None = None) -> str:
    return secret.document(secret.Issue(used, CREATED, previous), "kube-system")


def seal(repo: Repo, name: str, text: str) -> Path:
    """Write a Secret that is well encrypted, whatever it says."""
    return encrypt(repo, path(name), text, "--encrypted-regex", secret.ENCRYPTED)


def encrypt(repo: Repo, where: str, text: str, *words: str, form: str = "yaml") -> Path:
    """Write a file as the real sops encrypts it by the rules of `.sops.yaml`."""
    done = subprocess.run(
        [
            *(rig.real_sops(repo.root), "encrypt", *words),
            *("--input-type", form, "--output-type", form, "--filename-override", where),
        ],
        cwd=repo.root,
        env={**os.environ, "SOPS_DISABLE_VERSION_CHECK": "true"},
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return repo.write(where, done.stdout)


def opened(repo: Repo, name: str) -> str:
    """A Secret in clear."""
    return rig.decrypt(repo.root / path(name))


def read(repo: Repo, name: str) -> Any:
    """A Secret as it stands in git."""
    return yaml.safe_load(repo.read(path(name)))


def shut(home: Path) -> None:
    """Take every private key away."""
    rig.keyring(home).unlink()


def standing(repo: Repo) -> dict[str, rig.Entry]:
    return rig.standing(repo.root, without=(".git",))


def refused(repo: Repo, *arguments: str) -> str:
    """See that render refuses and writes nothing; return its one line."""
    before = standing(repo)
    ran = rig.command(repo.root, "render", *arguments)
    assert (ran.code, ran.out, standing(repo)) == (3, "", before)
    assert ran.err.startswith("keyturn: error: ")
    return ran.err.removeprefix("keyturn: error: ").removesuffix("\n")
