"""What each Cilium version takes under `encryption`, as data, and the Helm values of an environment.

Source: the charts' own values.yaml, 1.15 to 1.20, and the upgrade notes of 1.21 and 1.22 for what they remove.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from generator.nodes import Plain, plain
from generator.shapes import span_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.model import Environment

OLDEST: Final = 15  # minors of Cilium 1
NEWEST: Final = 20
ESP_OUTERMOST: Final = 18  # from here on the overlay is encrypted after encapsulation

SECRET_NAME: Final = "cilium-ipsec-keys"  # noqa: S105 -- an object's name
SECRET_KEY: Final = "keys"  # noqa: S105 -- the name of its data key
MOUNT_PATH: Final = "/etc/ipsec"


class Version(NamedTuple):
    """A Cilium version; a pre-release comes before its release."""

    major: int
    minor: int
    patch: int
    final: bool = True

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def version(text: str) -> Version:
    """Read a version that the model has accepted."""
    numbers, _, pre_release = text.partition("-")
    major, minor, patch = (int(number) for number in numbers.split("."))
    return Version(major, minor, patch, final=not pre_release)


Status = Literal["works", "deprecated", "no effect", "removed", "not yet there"]


@dataclass(frozen=True, slots=True)
class Key:
    """A chart key below `encryption`, and the minors of Cilium 1 at which its standing changed."""

    path: str
    since: int = 14
    deprecated: int | None = None
    inert: int | None = None
    removed: int | None = None
    instead: str = ""

    def status(self, minor: int) -> Status:
        if self.removed is not None and minor >= self.removed:
            return "removed"
        if minor < self.since:
            return "not yet there"
        if self.inert is not None and minor >= self.inert:
            return "no effect"
        if self.deprecated is not None and minor >= self.deprecated:
            return "deprecated"
        return "works"

    def written(self, minor: int) -> bool:
        """Whether we write it; one that is going away without a successor still has to be."""
        status = self.status(minor)
        return status == "works" or (status == "deprecated" and not self.instead)


KEYS: Final = (
    Key("enabled"),
    Key("type"),
    Key("nodeEncryption", deprecated=21, removed=22),
    Key("strictMode.enabled", since=15, deprecated=19, removed=20, instead="strictMode.egress.enabled"),
    Key("strictMode.cidr", since=15, deprecated=19, removed=20, instead="strictMode.egress.cidr"),
    Key(
        "strictMode.allowRemoteNodeIdentities",
        since=15,
        deprecated=19,
        removed=20,
        instead="strictMode.egress.allowRemoteNodeIdentities",
    ),
    Key("strictMode.egress.enabled", since=19),
    Key("strictMode.egress.cidr", since=19),
    Key("strictMode.egress.allowRemoteNodeIdentities", since=19),
    Key("strictMode.ingress.enabled", since=19),
    Key("keyFile", deprecated=14, removed=16, instead="ipsec.keyFile"),
    Key("mountPath", deprecated=14, removed=16, instead="ipsec.mountPath"),
    Key("secretName", deprecated=14, removed=16, instead="ipsec.secretName"),
    Key("interface", deprecated=14, removed=16, instead="ipsec.interface"),
    Key("ipsec.keyFile"),
    Key("ipsec.mountPath"),
    Key("ipsec.secretName"),
    Key("ipsec.keyWatcher"),
    Key("ipsec.keyRotationDuration"),
    Key("ipsec.interface", inert=20),
    Key("ipsec.encryptedOverlay", since=16, inert=18, removed=20),
    Key("wireguard.userspaceFallback", removed=17),
    Key("wireguard.persistentKeepalive", since=15),
    Key("ztunnel", since=19),
)
BY_PATH: Final = {key.path: key for key in KEYS}


def helm_values(environment: Environment) -> dict[str, Plain]:
    """Return the chart's values: the cluster's identity, the whole `encryption` block of that version, the user's own.

    The block says every key that works in that version, also those that equal the chart's defaults, so that no
    other layer of values can turn encryption off unseen.
    """
    minor = version(environment.cilium.version).minor
    values = plain(environment.cilium.values)
    assert isinstance(values, dict)  # noqa: S101 -- the model takes a mapping only
    wanted = _encryption(environment)
    block: dict[str, Plain] = {}
    for key in KEYS:
        if key.path in wanted and key.written(minor):
            _put(block, key.path, wanted[key.path])
    own: dict[str, Plain] = {
        "cluster": {"name": environment.cluster_name, "id": environment.cluster.id},
        "encryption": block,
    }
    return _over(own, values)


def _encryption(environment: Environment) -> dict[str, Plain]:
    encryption = environment.encryption
    strict = encryption.strict_mode
    egress = strict.egress if strict else None
    drop_clear: dict[str, Plain] = {
        "enabled": egress is not None,
        "cidr": egress.cidr if egress else "",
        "allowRemoteNodeIdentities": egress is not None and egress.allow_remote_node_identities,
    }
    wanted: dict[str, Plain] = {
        "enabled": encryption.type != "none",
        "nodeEncryption": encryption.node_encryption,
        "ipsec.keyFile": SECRET_KEY,
        "ipsec.mountPath": MOUNT_PATH,
        "ipsec.secretName": SECRET_NAME,
        "ipsec.keyWatcher": True,
        "ipsec.keyRotationDuration": str(encryption.ipsec.key_rotation_duration),
        "ipsec.interface": "",
        "ipsec.encryptedOverlay": False,
        "wireguard.userspaceFallback": False,
        "wireguard.persistentKeepalive": str(encryption.wireguard.persistent_keepalive),
        **{f"strictMode.{key}": value for key, value in drop_clear.items()},
        **{f"strictMode.egress.{key}": value for key, value in drop_clear.items()},
        "strictMode.ingress.enabled": strict is not None and strict.ingress,
    }
    if encryption.type != "none":
        wanted["type"] = encryption.type
    return wanted


def _put(block: dict[str, Plain], path: str, value: Plain) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        below = block.setdefault(parent, {})
        assert isinstance(below, dict)  # noqa: S101 -- KEYS holds no key below a leaf
        block = below
    block[last] = value


def _over(below: dict[str, Plain], above: dict[str, Plain]) -> dict[str, Plain]:
    merged = dict(below)
    for key, value in above.items():
        base = merged.get(key)
        merged[key] = _over(base, value) if isinstance(base, dict) and isinstance(value, dict) else value
    return merged


# cilium-config entries that the encryption block decides; `extraConfig` would write them a second time.
OWNED_CONFIG: Final = re.compile(
    r"enable-ipsec.*|ipsec-.*|encrypt-.*|encryption-.*|enable-encryption-.*|enable-wireguard.*|wireguard-.*|"
    r"cluster-name|cluster-id"
)


def expected_config(environment: Environment) -> dict[str, str | None]:
    """Return what ConfigMap `cilium-config` has to say for the environment's encryption; None: absent, or "false".

    A duration may be written otherwise, as in 5m0s.  Source: the ConfigMap's template in the charts, and for the names
    of strict mode the agent's own flags, which changed in 1.19.
    """
    encryption = environment.encryption
    ipsec, wireguard = encryption.type == "ipsec", encryption.type == "wireguard"
    wanted: dict[str, str | None] = {
        "enable-ipsec": "true" if ipsec else None,
        "enable-wireguard": "true" if wireguard else None,
        "encrypt-node": "true" if encryption.node_encryption else None,
    }
    if ipsec:
        wanted["ipsec-key-file"] = f"{MOUNT_PATH}/{SECRET_KEY}"
        wanted["enable-ipsec-key-watcher"] = _key_watcher(environment)
        wanted["ipsec-key-rotation-duration"] = str(encryption.ipsec.key_rotation_duration)
    strict = encryption.strict_mode
    egress = strict.egress if strict else None
    old = version(environment.cilium.version) < (1, 19)
    wanted["enable-encryption-strict-mode" + ("" if old else "-egress")] = "true" if egress else None
    if egress:
        wanted["encryption-strict-mode-cidr" if old else "encryption-strict-egress-cidr"] = egress.cidr
    if not old:
        wanted["enable-encryption-strict-mode-ingress"] = "true" if strict and strict.ingress else None
    return wanted


def _key_watcher(environment: Environment) -> str | None:
    """The one of them that `extraConfig` may say otherwise; `combinations` warns of it."""
    node = environment.cilium.values.get("extraConfig.enable-ipsec-key-watcher")
    return None if node is not None and str(node.value).lower() == "false" else "true"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An entry of cilium-config that is not what an environment asks for; None: there is none, or need be none."""

    name: str
    seen: str | None
    wanted: str | None


def contradictions(seen: Mapping[str, str], wanted: Mapping[str, str | None]) -> Iterator[Contradiction]:
    """Yield where cilium-config says something else than `expected_config`."""
    for name, value in wanted.items():
        if not _agree(seen.get(name), value):
            yield Contradiction(name, seen.get(name), value)


_DURATION: Final = re.compile(r"(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|ms|s|m|h))+")


def _agree(seen: str | None, wanted: str | None) -> bool:
    if seen is None or wanted is None:
        return (seen in (None, "false", "")) if wanted is None else False
    if _DURATION.fullmatch(wanted) and _DURATION.fullmatch(seen):
        return round(span_of(seen).seconds * 1e9) == round(span_of(wanted).seconds * 1e9)
    return seen == wanted
