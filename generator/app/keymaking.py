"""First keys: whether they may be made, and the making."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from generator import creation, files, firstkeys, git, keys, secret, sops, tree
from generator.app import meshkeys, recipients
from generator.errors import ManyRefusedError
from generator.progress import Step, untold

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
    step: Step = untold


@dataclass(frozen=True, slots=True)
class Made:
    """Path -> encrypted Secret, `tree.UNMADE` where the run only checks; `config` is set where `.sops.yaml` is new."""

    secrets: dict[str, bytes] = field(default_factory=dict)
    config: tree.Change | None = None


@dataclass(frozen=True, slots=True)
class Keyless:
    """The environments that need a first Secret, the names of all that there are, and who holds a mesh's key."""

    environments: list[Environment]
    names: list[str]
    holders: meshkeys.Holders


def make(root: Path, keyless: Keyless, options: Options, *, check: bool) -> Made:
    """Return a first Secret for each of the environments.

    Writes no Secret, but where there is no `.sops.yaml` that, and an identity.  Raises RefusedError where one of the
    environments may have had a key before, or where recipients are not to be had; ToolError where sops fails.
    """
    environments = keyless.environments
    if not environments:
        return Made()
    _refuse_known(root, environments, keyless.names)
    file = recipients.config_file(root)
    if file is None:
        recipients.refuse_protected(environments)
    if check:
        if file is None:
            return Made(_unmade(environments), tree.Change("created", creation.CONFIG, None, tree.UNMADE))
        recipients.rules(root, file, environments)
        for environment in environments:
            if keyless.holders.get(environment.cluster.mesh or ""):
                options.newcomer.tell(
                    f"{environment.name} gets the key of its mesh, and reading it takes a private key"
                )
        return Made(_unmade(environments))
    gate = sops.Sops(sops.find(root), file or root / creation.CONFIG)
    issues = _issues(root, keyless, gate, options)  # before anything is made: a mesh's key may not be to be had
    config = None if file is not None else recipients.make_config(root, options.newcomer)
    rules = recipients.rules(root, gate.config, environments)

    def encrypted(environment: Environment) -> tuple[str, bytes]:
        path = firstkeys.path(environment.name)
        clear = secret.document(issues[environment.name], environment.cilium.namespace)
        return path, gate.encrypt(clear, root / path, rules[path])

    made: dict[str, bytes] = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        options.step("encrypting", 0, len(environments))
        for path, data in pool.map(encrypted, environments):
            made[path] = data
            options.step("encrypting", len(made), len(environments))
    return Made(made, config)


def _issues(root: Path, keyless: Keyless, gate: sops.Sops, options: Options) -> dict[str, secret.Issue]:
    """Return environment -> its key: the members of a mesh share one, the one that a member holds already if any."""
    found: dict[str, secret.Issue] = {}
    shared: dict[str, secret.Issue] = {}
    for environment in keyless.environments:
        mesh = environment.cluster.mesh or ""
        issue = shared.get(mesh)
        if issue is None:
            held = keyless.holders.get(mesh)
            issue = meshkeys.joined(gate, root, environment, held) if held else _new(environment, options)
        if mesh:
            shared[mesh] = issue
        found[environment.name] = issue
    return found


def _new(environment: Environment, options: Options) -> secret.Issue:
    ipsec = environment.encryption.ipsec
    used = keys.algorithm(ipsec.algorithm, ipsec.key_size)
    return secret.Issue(keys.first(used, options.token_bytes), options.now())


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
