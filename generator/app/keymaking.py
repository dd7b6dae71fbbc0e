"""First keys: whether they may be made, for whom they are encrypted, and the making."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from generator import creation, files, firstkeys, git, identity, keys, secret, sops, tree
from generator.errors import ManyRefusedError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from generator.model import Environment


@dataclass(slots=True)
class Made:
    """Path -> encrypted Secret, empty bytes where the run only checks; `config` is set where `.sops.yaml` is new."""

    secrets: dict[str, bytes] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    config: tree.Change | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How keys are made; `may_make_identity(place)` is asked before a first identity is written there."""

    may_make_identity: Callable[[str], bool]
    jobs: int = 1
    check: bool = False
    token_bytes: Callable[[int], bytes] = secrets.token_bytes
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def make(root: Path, environments: list[Environment], names: list[str], options: Options, made: Made) -> None:
    """Put a first Secret for each of the environments into `made`; `names` are all that there are.

    Writes no Secret, but where there is no `.sops.yaml` that, and an identity; `made` tells also where this fails.
    Raises RefusedError where one of them may have had a key before, or where recipients are not to be had.
    """
    if not environments:
        return
    _refuse_known(root, environments, names)
    file = config_file(root)
    if file is None:
        file = _first_config(root, environments, options, made)
    rules = _check_rules(root, file, environments)
    if options.check:
        made.secrets = dict.fromkeys((firstkeys.path(one.name) for one in environments), b"")
        return
    assert file is not None  # noqa: S101 -- only a check does without
    program = sops.find(file)
    made.details.append(f"sops: {program.program}, configured by {file}")

    def encrypted(environment: Environment) -> tuple[str, bytes]:
        path = firstkeys.path(environment.name)
        ipsec = environment.encryption.ipsec
        key = keys.first(keys.algorithm(ipsec.algorithm, ipsec.key_size), options.token_bytes)
        clear = secret.document(key, environment.cilium.namespace, options.now())
        return path, program.encrypt(clear, root / path, rules[path])

    with ThreadPoolExecutor(options.jobs) as pool:
        made.secrets = dict(pool.map(encrypted, environments))


def _refuse_known(root: Path, environments: list[Environment], names: list[str]) -> None:
    new = [environment.name for environment in environments]
    if reasons := list(firstkeys.refusals(new, set(names), _past(root, names))):
        raise reasons[0] if len(reasons) == 1 else ManyRefusedError(reasons)


def _past(root: Path, names: list[str]) -> firstkeys.Past:
    disk: set[str] = set()
    for name in files.folders(root, "clusters"):
        if name not in names:
            found = files.snapshot(root, f"clusters/{name}")
            disk |= found.ours.keys() | (found.foreign & {firstkeys.path(name)})
    repository = git.find(root)
    if repository is None or not repository.has_commit():
        index = repository.index("clusters") if repository else set()
        return firstkeys.Past(index=index, disk=disk)
    return firstkeys.Past(
        head=repository.head(["clusters", "environments"]),
        index=repository.index("clusters"),
        history=repository.history(firstkeys.SECRETS),
        shallow=repository.is_shallow(),
        disk=disk,
    )


def config_file(root: Path) -> Path | None:
    """Return the nearest `.sops.yaml`, from the root up to the git repository's top; a stranger's is never taken."""
    top = git.top(root) or root
    for folder in (root, *root.parents):
        if (folder / creation.CONFIG).exists():
            return folder / creation.CONFIG
        if folder == top:
            break
    return None


def _check_rules(root: Path, file: Path | None, environments: list[Environment]) -> dict[str, creation.Rule]:
    """Return path -> creation rule, once each of them is one that the tree can use."""
    if file is None:
        return {}
    config = creation.Config(file.read_bytes())
    rules = {}
    for environment in environments:
        path = firstkeys.path(environment.name)
        rules[path] = config.rule_for((root / path).relative_to(file.parent).as_posix(), secret.ENCRYPTED)
        if environment.protected and config.is_made_for_one:
            message = f"{environment.name} is protected, and {creation.CONFIG} has one recipient that nobody chose"
            raise RefusedError(message, hint=f"choose the recipients, and take the first lines of {file} out")
    return rules


def _first_config(root: Path, environments: list[Environment], options: Options, made: Made) -> Path | None:
    """Write `.sops.yaml` for the identity of whoever runs this, making one where there is none."""
    if protected := [environment.name for environment in environments if environment.protected]:
        message = f"no {creation.CONFIG}, and {', '.join(protected)} is protected"
        raise RefusedError(message, hint="choose the recipients by hand and write it")
    file = root / creation.CONFIG
    if options.check:
        made.config = tree.Change("created", creation.CONFIG, None, b"")
        return None
    place = identity.location(os.environ)
    if not options.may_make_identity(str(place)):
        hint = "keyturn render --new-identity makes one with an age identity of yours, or write it by hand"
        raise RefusedError(f"no {creation.CONFIG} says for whom the Secrets are encrypted", hint=hint)
    public = identity.recipient(place)
    if public is None:
        public = identity.make(place)
        made.notices.append(f"made an age identity: {place}")
        made.notices.append("BACK IT UP: without it nobody can read the Secrets that are encrypted for it")
    else:
        made.notices.append(f"found an age identity: {place}")
    data = creation.first_config(public).encode()
    files.write(file, data)
    made.config = tree.Change("created", creation.CONFIG, None, data)
    made.notices.append(f"made {creation.CONFIG} with its public half as the only recipient: {public}")
    return file
