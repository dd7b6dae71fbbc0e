"""Every rule of `validate`: its name, what it takes to judge it, and why it is there.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from generator.shapes import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

Tier = Literal["file", "tree", "change", "key", "chart"]
TIERS: Final[dict[Tier, str]] = {
    "file": "any file by itself, in any repository",
    "tree": "environments, and the tree that they render",
    "change": "with --against: what a change does to what was there",
    "key": "where a private key at hand opens the Secrets",
    "chart": "with --chart or --pull-chart",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `reason` is one sentence without a full stop."""

    name: str
    tier: Tier
    reason: str


_FILE: Final = {
    "clear-identity": "an age identity opens every Secret that is encrypted for it, from the whole history",
    "clear-key": "who has a cluster's IPsec key reads and forges its traffic, and what was recorded of it",
    "clear-private-key": "a private key in git is everybody's who can read the repository, for good",
    "clear-secret": "a v1 Secret without encryption stands in clear in every clone; base64 is no encryption",
    "clear-value": "one value in clear among encrypted ones is what sops' own filestatus does not see",
    "clear-wireguard-key": "WireGuard's private keys belong on the node that made them",
    "not-encrypted": "a file that is called a SOPS file and is none is about to be taken for one",
    "not-searched": "what cannot be looked through may hold anything",
    "sops-block": "a sops block that sops did not write protects nothing, and nobody can open it",
    "sops-mac": "without a MAC over all values, what stands in clear beside a key can be changed unseen",
    "sops-recipients": "who may read a Secret is decided in .sops.yaml, and a file can say otherwise",
    "sops-rule": "a creation rule that would encrypt less, or for nobody, is found before it is used",
    "sops-selector": "a value that is added to a Secret later has to be encrypted too",
}
_YAML: Final = {
    "alias": "an alias has to lead to something else than itself",
    "control-character": "a character that no editor shows changes what a value is",
    "depth": "a file that is nested without end is no environment",
    "documents": "the second document of a file would not be read",
    "duplicate-key": "of a key that stands twice, only one counts, and readers differ in which",
    "file-size": "a file of that size is no environment",
    "key-type": "a key that is no text is read as another by Helm",
    "merge-key": "merge keys are no part of YAML 1.2, and hide what an environment says",
    "nodes": "aliases can make a small file fill the memory",
    "not-utf8": "YAML here is UTF-8, whatever the editor",
    "number": "a number that JSON does not hold reaches Helm as another",
    "yaml-1-1": "Helm reads yes, on and 0400 otherwise than YAML 1.2 does",
    "yaml-syntax": "a file that is not YAML says nothing",
    "yaml-tag": "tags make programs out of values",
    "yaml-version": "another version of YAML means other values",
}
_ENVIRONMENT: Final = {
    "chart-key": "a key that this version of Cilium ignores, or does not have, is a setting that does nothing",
    "cilium-version": "the rules of a version that is not known here cannot be checked",
    "cluster-in-values": "the cluster's identity is said once, or two clusters have one",
    "cluster-name": "Cilium refuses other names",
    "defaults-extend": "defaults apply to all, so they extend nothing",
    "demo-nodes": "the demo's two pods are bound to nodes that have these names in kind alone",
    "destination": "Argo CD takes one of server and name",
    "encryption-block": "an encryption block of one's own would replace the one that is checked, typo and all",
    "engine-name": "a name that is too long for a label stops the engine",
    "extends-cycle": "groups that extend each other have no end",
    "extends-order": "two lists that contradict each other leave open which group wins",
    "extra-config": "a flag of one's own would override the encryption that is asked for",
    "gcm-256-panic": "agents below 1.15.7 panic on AES-256 with per-tunnel keys (cilium#33457)",
    "gitops-path": "the engine would look for the tree where it is not",
    "hubble-tls": "certificates that are new at every rendering make the engine roll out without end",
    "ipsec-cni-chaining": "Cilium does not encrypt with IPsec behind another CNI",
    "ipsec-dns-proxy": "IPsec needs the transparent mode of the DNS proxy",
    "ipsec-host-firewall": "the host firewall does not work with IPsec",
    "ipsec-ipv6-only": "IPsec needs IPv4",
    "ipsec-kube-proxy-replacement": "below 1.16 IPsec does not work without kube-proxy",
    "ipsec-legacy-routing": "from 1.19 IPsec needs host routing by the kernel beside bpf.masquerade",
    "key-size": "CBC has keys of one size",
    "key-watcher": "agents that do not watch the key need a restart for each rotation",
    "mesh-algorithm": "the clusters of a mesh hold one key, so it is of one algorithm",
    "mesh-id": "Cilium tells the clusters of a mesh apart by their ids",
    "mesh-name": "Cilium tells the clusters of a mesh apart by their names",
    "mesh-rotation-duration": "the old key may not go before the slowest cluster of a mesh has the new one",
    "mesh-tls": "certificates that are new at every rendering disconnect the clusters of a mesh",
    "mesh-type": "the clusters of a mesh encrypt alike, or not at all with each other",
    "mesh-version": "the clusters of a mesh are at most a minor version apart",
    "missing-key": "without it there is nothing to render",
    "name": "an environment's name becomes part of names in Kubernetes",
    "native-routing-cidr": "Cilium does not start without it",
    "newer-cilium": "a version that is newer than keyturn is checked by older rules",
    "node-encryption": "node to node encryption is WireGuard's, and ends with 1.22",
    "not-yet": "it would be taken without effect",
    "ping-workers": "traffic between pods on one node is never encrypted, so two nodes are needed",
    "rotation-duration": "within less than 5m not every node may have the new key",
    "secret-reference": "a Secret that the agents do not find leaves them without a key",
    "stray-file": "a file that looks like an environment and is not read is a cluster without its settings",
    "stray-template": "a template whose name has a typo changes nothing",
    "strict-egress-cidr": "strict mode with a wrong network drops what it should not",
    "strict-ingress": "strict ingress takes WireGuard, and on 1.19 tunnels",
    "strict-mode-empty": "strict mode that asks for nothing drops nothing",
    "strict-mode-ipsec": "below 1.19 strict mode knows WireGuard alone",
    "strict-mode-unencrypted": "strict mode without encryption drops everything",
    "unknown-group": "a group that is not there says nothing",
    "unknown-key": "a misspelt key is a setting that is not there",
    "wrong-type": "a value of another type means something else",
    "wrong-value": "a value that is none of those that there are is a typo",
}
_TREE: Final = {
    "annotations": "a reviewer, a rotation without a key and the merge gate rely on what stands in clear",
    "drift": "what the engine applies is not what the environment says",
    "foreign-file": "a file of somebody else's at a path of keyturn's is never overwritten, so it goes stale",
    "idle-exception": "an exception that exempts nothing hides the next finding",
    "left-over": "a file that no environment renders any more is still applied",
    "mesh-key": "clusters of a mesh with different keys do not understand each other",
    "missing-secret": "agents without their Secret do not start",
    "other-algorithm": "agents refuse another algorithm in a rotation",
    "template": "a template that fails renders nothing",
    "unused-secret": "a key that nothing uses any more is still a key",
}
_CHANGE: Final = {
    "cooldown": "a second rotation before every node has ended the first drops packets",
    "encryption-change": "while encryption changes, nodes do not understand each other, or talk in clear",
    "key-id": "agents agree on exactly the next id, and after 15 comes 1; any other breaks traffic without a word",
    "mesh-part": "all clusters of a mesh hold one key, so they turn together",
    "new-exception": "an exception is something that a person decides",
    "old-key": "a key that comes back, as by git revert, moves the id backwards",
    "other-lengths": "agents refuse another algorithm or length in a rotation, or diverge",
    "renamed": "a cluster that runs on has a key already, whatever its environment is called",
    "same-id": "agents take another key under an old id for the one they have, and drop packets",
    "same-key": "a rotation without a new key rotates nothing",
    "secret-removed": "a key that is gone from git would be made anew with id 1, and traffic stops",
    "stale": "a rotation that was right when it was made is wrong once the branch has gone on",
    "turn-and-upgrade": "no key turns while Cilium is being upgraded",
}
_KEY: Final = {
    "key-line": "agents panic, or take another key, where the line is not right to the last byte",
    "protected-readers": "who breaks into one cluster should not read the key of a protected one",
    "tampered": "Flux does not check the MAC, so this is the place where it is",
    "untrue-annotation": "what stands in clear beside the key has to be true of it",
}
_CHART: Final = {
    "chart-differs": "a chart that renders differently each time makes the engine roll out without end",
    "chart-fails": "what Helm cannot render is not installed",
    "chart-intent": "the chart takes typos without a word and then encrypts nothing: its own cilium-config proves it",
    "chart-schema": "the chart refuses the values",
    "chart-value": "a key that the chart does not know is a setting that is not there",
    "chart-version": "another version's chart proves little",
}


def _rules() -> Iterator[Rule]:
    groups: tuple[tuple[Tier, dict[str, str]], ...] = (
        ("file", _FILE),
        ("tree", {**_YAML, **_ENVIRONMENT, **_TREE}),
        ("change", _CHANGE),
        ("key", _KEY),
        ("chart", _CHART),
    )
    for tier, reasons in groups:
        for name, reason in sorted(reasons.items()):
            yield Rule(name, tier, reason)


RULES: Final = {rule.name: rule for rule in _rules()}

_NEVER: Final = ("idle-exception", "new-exception")


def refuse_exception(name: str) -> str | None:
    """Say why no exception can be made of a rule, None where one can."""
    if name in _NEVER:
        return "no exception is made of the rules about exceptions"
    if name not in RULES:
        close = nearest(name, list(RULES))
        return f"did you mean {close}?" if close else "keyturn rules lists them"
    return None
