"""The environment file: what it may say, as frozen dataclasses, and its JSON Schema.

The one source of names, defaults and limits.  What Cilium makes of a combination is `combinations`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from generator.nodes import Node
from generator.records import Record, ReportedError, option
from generator.shapes import (
    Choice,
    Duration,
    Flag,
    Free,
    Names,
    Nullable,
    Number,
    Schema,
    Span,
    Text,
    WrongError,
    span_of,
)
from generator.texts import (
    API_SERVER,
    ARGOCD_CLUSTER,
    CHART_REPOSITORY,
    CLUSTER_NAME,
    DNS_LABEL,
    FOLDER,
    GIT_REPOSITORY,
    MAX_CLUSTER_NAME,
    NAME,
    REVISION,
    VERSION,
)

if TYPE_CHECKING:
    from generator.findings import Finding

Algorithm = Literal["rfc4106-gcm-aes", "cbc-aes-sha256", "cbc-aes-sha512"]
EncryptionType = Literal["ipsec", "wireguard", "none"]
Engine = Literal["flux", "argocd", "none"]
AES_BITS: Final = (128, 192, 256)
IN_CLUSTER: Final = "https://kubernetes.default.svc"  # Argo CD's name for the cluster it runs in


@dataclass(frozen=True, slots=True)
class Cluster:
    name: str = option(
        CLUSTER_NAME, "Cilium's name of the cluster; the file's stem where it is left out", default="", shown=...
    )
    id: int = option(Number(0, 255), "1..255, unique within a mesh; 0: in no mesh", default=0)
    mesh: str | None = option(Nullable(NAME), "a Cluster Mesh's name: its members share one IPsec key", default=None)


@dataclass(frozen=True, slots=True)
class Chart:
    repository: str = option(CHART_REPOSITORY, "where the chart comes from", default="https://helm.cilium.io")
    name: str = option(NAME, "the chart's name there", default="cilium")


@dataclass(frozen=True, slots=True)
class Cilium:
    version: str = option(VERSION, "Cilium's version, which is the chart's", example="version: 1.16.0")
    namespace: str = option(NAME, "Cilium's namespace; fixed once a Secret exists", default="kube-system")
    chart: Chart = option(Record(Chart), "the Helm chart", default=Chart())
    values: Node = option(Free(), "more Helm values; no encryption block", default=Node({}))


@dataclass(frozen=True, slots=True)
class StrictEgress:
    cidr: str = option(
        Text(r"[^\s]+", "an IPv4 network"),
        "the IPv4 network whose traffic must be encrypted",
        example="cidr: 10.244.0.0/16",
    )
    allow_remote_node_identities: bool = option(
        Flag(), "let traffic to remote nodes pass in clear; needed in tunnel mode", default=False
    )


@dataclass(frozen=True, slots=True)
class StrictMode:
    egress: StrictEgress | None = option(
        Nullable(Record(StrictEgress)), "drop what leaves a node unencrypted", default=None
    )
    ingress: bool = option(Flag(), "drop what arrives unencrypted; WireGuard, Cilium 1.19", default=False)


@dataclass(frozen=True, slots=True)
class Ipsec:
    algorithm: Algorithm = option(
        Choice(("rfc4106-gcm-aes", "cbc-aes-sha256", "cbc-aes-sha512")),
        "by the names of cilium encryption create-key",
        default="rfc4106-gcm-aes",
    )
    key_size: int = option(Choice(AES_BITS), "AES bits of rfc4106-gcm-aes; not the ICV, which is 128", default=128)
    key_rotation_duration: Span = option(
        Duration(("ns", "us", "ms", "s", "m", "h")),
        "how long old and new key are both valid, a Go duration",
        default=span_of("5m"),
    )
    max_key_age: Span = option(
        Duration(("s", "m", "h", "d", "w"), least=1),
        "a key older than this is due for rotation",
        default=span_of("90d"),
    )
    cooldown: Span = option(
        Duration(("s", "m", "h", "d", "w")), "the least time between two rotations", default=span_of("1h")
    )


@dataclass(frozen=True, slots=True)
class Wireguard:
    persistent_keepalive: Span = option(Duration(("ns", "us", "ms", "s", "m", "h")), "0s: none", default=span_of("0s"))


@dataclass(frozen=True, slots=True)
class Encryption:
    type: EncryptionType = option(
        Choice(("ipsec", "wireguard", "none"), {"ztunnel": "is not supported yet"}),
        "ipsec, wireguard or none",
        example="type: ipsec",
    )
    node_encryption: bool = option(Flag(), "also node to node; WireGuard only", default=False)
    strict_mode: StrictMode | None = option(Nullable(Record(StrictMode)), "drop clear traffic", default=None)
    ipsec: Ipsec = option(Record(Ipsec), "for type: ipsec", default=Ipsec())
    wireguard: Wireguard = option(Record(Wireguard), "for type: wireguard", default=Wireguard())


@dataclass(frozen=True, slots=True)
class Flux:
    namespace: str = option(NAME, "Flux's namespace", default="flux-system")
    source_name: str = option(NAME, "the GitRepository that the Kustomizations read", default="flux-system")
    decryption_secret: str = option(NAME, "the Secret with the decryption key", default="sops-age")
    interval: Span = option(Duration(least=1), "how often Flux reconciles", default=span_of("10m"))


@dataclass(frozen=True, slots=True)
class Server:
    server: str | None = option(
        Nullable(API_SERVER),
        "the API server's address",
        default=None,
        shown=IN_CLUSTER,
    )
    name: str | None = option(Nullable(ARGOCD_CLUSTER), "the cluster's name in Argo CD", default=None)

    @property
    def is_in_cluster(self) -> bool:
        """Whether it is the cluster that Argo CD runs in."""
        return (self.server or "").rstrip("/") == IN_CLUSTER or self.name == "in-cluster"


@dataclass(frozen=True, slots=True)
class Argocd:
    namespace: str = option(NAME, "Argo CD's namespace", default="argocd")
    project: str = option(NAME, "the AppProject", default="default")
    destination: Server = option(Record(Server), "server or name", default=Server(server=IN_CLUSTER))
    secrets: str = option(Choice(("ksops", "none")), "how Argo CD decrypts; none: a way of your own", default="ksops")


@dataclass(frozen=True, slots=True)
class Gitops:
    engine: Engine = option(Choice(("flux", "argocd", "none")), "what applies the tree", default="flux")
    repository: str | None = option(
        Nullable(GIT_REPOSITORY), "the repository's address; required by argocd", default=None
    )
    revision: str = option(REVISION, "what the engine follows", default="main")
    path: str = option(FOLDER, "this workspace's folder inside the git repository", default="")
    flux: Flux = option(Record(Flux), "for engine: flux", default=Flux())
    argocd: Argocd = option(Record(Argocd), "for engine: argocd", default=Argocd())


@dataclass(frozen=True, slots=True)
class Demo:
    endor: bool = option(Flag(), "the Star Wars demo in namespace endor", default=False)
    ping: bool = option(Flag(), "two pods on two nodes that ping each other", default=False)


@dataclass(frozen=True, slots=True)
class Kind:
    name: str = option(Text(DNS_LABEL, "a DNS label", longest=40), "the kind cluster's name", default="kind")
    control_planes: int = option(Number(1, 99), "nodes that run the control plane", default=1)
    workers: int = option(Number(0, 999), "other nodes", default=3)


@dataclass(frozen=True, slots=True)
class _File:
    """An environment file as written; `Environment` is what it means."""

    extends: tuple[str, ...] = option(Names(NAME), "groups to inherit from; later ones win", default=())
    protected: bool = option(Flag(), "recipients are chosen by hand; changes of encryption are errors", default=False)
    cluster: Cluster = option(Record(Cluster), "Cilium's identity of the cluster", default=Cluster())
    cilium: Cilium = option(Record(Cilium), "Cilium itself", example="cilium: {version: 1.16.0}")
    encryption: Encryption = option(
        Record(Encryption), "what is encrypted, and how", example="encryption: {type: ipsec}"
    )
    gitops: Gitops = option(Record(Gitops), "who applies the tree", default=Gitops())
    demo: Demo = option(Record(Demo), "workloads to look at", default=Demo())
    kind: Kind | None = option(Nullable(Record(Kind)), "a kind cluster without CNI", default=None)


@dataclass(frozen=True, slots=True)
class Environment(_File):
    """One cluster, whole: inheritance resolved, defaults in.  `root` knows the place of each value."""

    name: str = field(kw_only=True)
    root: Node = field(kw_only=True, repr=False)

    @property
    def path(self) -> str:
        return f"environments/{self.name}.yaml"

    @property
    def cluster_name(self) -> str:
        return self.cluster.name or self.name

    def place(self, path: str) -> Node:
        """Return the node at a dotted path, or the nearest above it that was written."""
        while path:
            if node := self.root.get(path):
                return node
            path = path.rpartition(".")[0]
        return self.root


def parse(root: Node, name: str) -> tuple[Environment | None, list[Finding]]:
    """Return the environment that a merged node describes, and everything wrong with it.

    None where a required value is missing or does not fit; any other that does not fit stands at its default.
    """
    findings: list[Finding] = []
    try:
        file = Record(_File).read(root, "", findings)
    except WrongError as wrong:
        return None, [root.finding(wrong.rule, f"an environment: {wrong.message}", wrong.hint)]
    except ReportedError:
        return None, findings
    parts = {member: getattr(file, member) for member in _File.__dataclass_fields__}
    environment = Environment(**parts, name=name, root=root)
    findings += _cross_checks(environment)
    return environment, findings


def _cross_checks(environment: Environment) -> list[Finding]:
    """Rules within the file that need more than one value."""
    findings = []
    if len(environment.cluster_name) > MAX_CLUSTER_NAME:
        message = f"the cluster's name would be the file's, longer than {MAX_CLUSTER_NAME} characters"
        findings.append(environment.place("cluster").finding("cluster-name", message, "set cluster.name"))
    if environment.cluster_name == "default" and environment.cluster.id:
        message = f"the name default goes with id 0 only, not {environment.cluster.id}"
        findings.append(environment.place("cluster.id").finding("cluster-name", message, "set cluster.name"))
    place = environment.root.get("gitops.argocd.destination")
    given = [key for key in ("server", "name") if place and (node := place.get(key)) and node.value is not None]
    if place and isinstance(place.value, dict) and len(given) != 1:
        hint = "keep one, and write null for the other" if given else "write one of the two"
        findings.append(place.finding("destination", "gitops.argocd.destination: expected server or name", hint))
    if environment.gitops.engine == "argocd" and environment.gitops.repository is None:
        message = "gitops.repository is missing, and Argo CD has to be told it"
        hint = "such as repository: https://git.example.com/platform/clusters.git"
        findings.append(environment.place("gitops.repository").finding("missing-key", message, hint))
    if environment.demo.ping and environment.kind and environment.kind.workers < 2:  # noqa: PLR2004 -- one pod each
        message = f"demo.ping needs two workers, and kind has {environment.kind.workers}"
        findings.append(environment.place("demo.ping").finding("ping-workers", message, "raise kind.workers"))
    return findings


def json_schema() -> Schema:
    """Return the JSON Schema (2020-12) of one file.  Nothing is required in it: a group may say it instead."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "keyturn environment",
        **Record(_File).schema(),
    }
