"""First keys: whether they may be made, and the making."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from generator import creation, files, firstkeys, git, keys, secret, sops, tree
from generator.app import recipients
from generator.errors import ManyRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from generator.model import Environment


@dataclass(frozen=True, slots=True)
class Options:
    """How keys are made; chance and time come in, so that a test can hold them."""

    newcomer: recipients.Newcomer
    jobs: int = 1
    token_bytes: Callable[[int], bytes] = secrets.token_bytes
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Made:
    """Path -> encrypted Secret, `tree.UNMADE` where the run only checks; `config` is set where `.sops.yaml` is new."""

    secrets: dict[str, bytes] = field(default_factory=dict)
    config: tree.Change | None = None


def make(root: Path, environments: list[Environment], names: list[str], options: Options, *, check: bool) -> Made:
    """Return a first Secret for each of the environments; `names` are all that there are.

    Writes no Secret, but where there is no `.sops.yaml` that, and an identity.  Raises RefusedError where one of the
    environments may have had a key before, or where recipients are not to be had; ToolError where sops fails.
    """
    if not environments:
        return Made()
    _refuse_known(root, environments, names)
    file = recipients.config_file(root)
    config = None
    if file is None:
        recipients.refuse_protected(environments)
        if check:
            return Made(_unmade(environments), tree.Change("created", creation.CONFIG, None, tree.UNMADE))
        sops.find(root)  # before anything is made
        config = recipients.make_config(root, options.newcomer)
        file = root / creation.CONFIG
    rules = recipients.rules(root, file, environments)
    if check:
        return Made(_unmade(environments))
    gate = sops.Sops(sops.find(root), file)

    def encrypted(environment: Environment) -> tuple[str, bytes]:
        path = firstkeys.path(environment.name)
        ipsec = environment.encryption.ipsec
        key = keys.first(keys.algorithm(ipsec.algorithm, ipsec.key_size), options.token_bytes)
        clear = secret.document(key, environment.cilium.namespace, options.now())
        return path, gate.encrypt(clear, root / path, rules[path])

    with ThreadPoolExecutor(options.jobs) as pool:
        return Made(dict(pool.map(encrypted, environments)), config)


def _unmade(environments: list[Environment]) -> dict[str, bytes]:
    return {firstkeys.path(environment.name): tree.UNMADE for environment in environments}


def _refuse_known(root: Path, environments: list[Environment], names: list[str]) -> None:
    new = [environment.name for environment in environments]
    if reasons := list(firstkeys.refusals(new, set(names), _past(root, new, names))):
        raise reasons[0] if len(reasons) == 1 else ManyRefusedError(reasons)


def _past(root: Path, new: list[str], names: list[str]) -> firstkeys.Past:
    disk: set[str] = set()
    for name in files.folders(root, tree.CLUSTERS):
        if name not in names:
            found = files.snapshot(root, f"{tree.CLUSTERS}/{name}")
            disk |= found.ours.keys() | (found.foreign & {firstkeys.path(name)})
    places = (f"{tree.CLUSTERS}/{name}{below}" for name in new for below in ("", "/secrets"))
    known = firstkeys.Past(disk=disk, folders={place for place in places if (root / place).is_dir()})
    repository = git.find(root)
    if repository is None:
        return known
    known = replace(known, index=repository.index(tree.CLUSTERS))
    if not repository.has_commit():
        return known
    return replace(
        known,
        head=repository.head([tree.CLUSTERS, "environments"]),
        history=repository.history(firstkeys.SECRETS),
        shallow=repository.is_shallow(),
    )
