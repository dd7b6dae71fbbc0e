"""The rules about Cilium's settings: what the chart takes without a word, and then encrypts nothing.

Levels and versions are Cilium's own behaviour, read from its documentation, its charts and what agent and operator
refuse at their start.  The rules look at the environment and at `cilium.values` alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from generator import chartkeys, cilium, strictmode, yamlwords
from generator.view import Complaint, Rule, View, finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from generator.findings import Finding
    from generator.model import Environment
    from generator.nodes import Node


def check(environment: Environment) -> list[Finding]:
    """Return what Cilium would not do, or not do as asked."""
    version = cilium.version(environment.cilium.version)
    found = list(chartkeys.known_version(environment, version))
    if any(one.level == "error" for one in found):
        return found
    view = View(environment, version)
    for rule in RULES:
        if not rule.since <= version.minor < rule.below:
            continue
        for path, message, hint in rule.check(view):
            found.append(finding(environment, rule.name, rule.level, (path, message, hint)))
    return [*found, *chartkeys.in_values(environment, version), *yamlwords.check(environment)]


def _node_encryption_removed(view: View) -> Iterator[Complaint]:
    if view.environment.encryption.node_encryption:
        yield "encryption.nodeEncryption", f"nodeEncryption is removed in Cilium {view.version}", "take it out"


def _node_encryption_deprecated(view: View) -> Iterator[Complaint]:
    if view.environment.encryption.node_encryption:
        yield "encryption.nodeEncryption", f"nodeEncryption is deprecated in Cilium {view.version}", "plan without it"


def _node_encryption(view: View) -> Iterator[Complaint]:
    if view.environment.encryption.node_encryption and not view.wireguard:
        hint = "set type: wireguard, or take nodeEncryption out"
        yield "encryption.nodeEncryption", "nodeEncryption works with WireGuard only", hint


def _host_firewall(view: View) -> Iterator[Complaint]:
    if view.ipsec and view.on("hostFirewall.enabled"):
        yield "cilium.values.hostFirewall.enabled", "IPsec does not work with the host firewall", "turn one of them off"


def _chaining(view: View) -> Iterator[Complaint]:
    for key in ("chainingMode", "chainingTarget"):
        if view.ipsec and view.on(f"cni.{key}"):
            yield f"cilium.values.cni.{key}", "IPsec does not work with CNI chaining", f"take cni.{key} out"


def _kube_proxy_replacement(view: View) -> Iterator[Complaint]:
    if view.ipsec and view.on("kubeProxyReplacement"):
        message = f"IPsec does not work with kubeProxyReplacement in Cilium {view.version}"
        yield "cilium.values.kubeProxyReplacement", message, "use Cilium 1.16 or newer, or turn it off"


def _host_legacy_routing(view: View) -> Iterator[Complaint]:
    replaced = view.on("kubeProxyReplacement") and view.on("bpf.masquerade")
    if view.ipsec and replaced and not view.on("bpf.hostLegacyRouting"):
        message = "IPsec with kubeProxyReplacement and bpf.masquerade needs a kernel fix"
        hint = "set bpf.hostLegacyRouting: true unless every node's kernel has it"
        yield "cilium.values.bpf.masquerade", message, hint


def _dns_proxy(view: View) -> Iterator[Complaint]:
    opaque = not view.on("dnsProxy.enableTransparentMode", default=True)
    if view.ipsec and view.on("l7Proxy", default=True) and opaque:
        message = "IPsec with l7Proxy needs the DNS proxy's transparent mode"
        yield "cilium.values.dnsProxy.enableTransparentMode", message, "set it to true, or l7Proxy to false"


_CLOUD_IPAM: Final = ("eni", "azure", "alibabacloud")


def _native_routing(view: View) -> Iterator[Complaint]:
    cloud = view.value("ipam.mode") in _CLOUD_IPAM or any(view.on(f"{name}.enabled") for name in _CLOUD_IPAM)
    # 1.20's own default is null, which stands for true.
    asked = view.value("enableIPv4Masquerade") is None or view.on("enableIPv4Masquerade")
    masquerading = asked and not view.on("ipMasqAgent.enabled")
    ipv4 = view.on("ipv4.enabled", default=True)
    if not view.tunnel and ipv4 and masquerading and not cloud and not view.value("ipv4NativeRoutingCIDR"):
        message = "native routing with masquerading needs ipv4NativeRoutingCIDR"
        yield "cilium.values.routingMode", message, "set cilium.values.ipv4NativeRoutingCIDR"


def _ipv6_only(view: View) -> Iterator[Complaint]:
    if view.ipsec and not view.on("ipv4.enabled", default=True):
        yield "cilium.values.ipv4.enabled", "IPsec does not work on an IPv6-only cluster", "use type: wireguard"


def _long_gcm_key(view: View) -> Iterator[Complaint]:
    ipsec = view.environment.encryption.ipsec
    longest = ipsec.algorithm == "rfc4106-gcm-aes" and ipsec.key_size == 256
    if view.ipsec and longest and view.version < cilium.Version(1, 15, 7):
        message = "agents below 1.15.7 panic at a key of 36 bytes (cilium#33457)"
        yield "encryption.ipsec.keySize", message, "use Cilium 1.15.7 or newer, or keySize: 128"


def _key_size(view: View) -> Iterator[Complaint]:
    ipsec = view.environment.encryption.ipsec
    if view.ipsec and ipsec.algorithm != "rfc4106-gcm-aes" and ipsec.key_size != 128:
        message = f"keySize is of rfc4106-gcm-aes only; {ipsec.algorithm} takes AES-128"
        yield "encryption.ipsec.keySize", message, "take keySize out, or change the algorithm"


def _short_rotation(view: View) -> Iterator[Complaint]:
    duration = view.environment.encryption.ipsec.key_rotation_duration
    if view.ipsec and duration.seconds < 300:
        message = f"a keyRotationDuration of {duration} may end before every node has the new key"
        yield "encryption.ipsec.keyRotationDuration", message, "5m or more"


_KEY_WATCHER: Final = "enable-ipsec-key-watcher"


def _key_watcher(view: View) -> Iterator[Complaint]:
    for path in ("encryption.ipsec.keyWatcher", f"extraConfig.{_KEY_WATCHER}"):
        if view.ipsec and not view.on(path, default=True):
            yield (
                f"cilium.values.{path}",
                "without the key watcher a rotation needs every agent restarted",
                "take it out",
            )


def _secret_reference(view: View) -> Iterator[Complaint]:
    """The Secret is `cilium-ipsec-keys` in `cilium.namespace`, its data key `keys`, mounted at /etc/ipsec."""
    if view.value("namespaceOverride") not in (None, "", view.environment.cilium.namespace):
        message = f"namespaceOverride takes Cilium out of {view.environment.cilium.namespace}"
        yield "cilium.values.namespaceOverride", message, "say it as cilium.namespace"
    expected = {"secretName": cilium.SECRET_NAME, "keyFile": cilium.SECRET_KEY, "mountPath": cilium.MOUNT_PATH}
    for key, value in expected.items():
        for path in (f"encryption.ipsec.{key}", f"encryption.{key}"):
            seen = view.value(path)
            if view.ipsec and seen not in (None, "", value):
                yield f"cilium.values.{path}", f"{path} disagrees with the Secret, which has {value}", "take it out"


def _extra_config(view: View) -> Iterator[Complaint]:
    """The agent takes arguments before its environment, and that before cilium-config, where `extraConfig` goes."""
    names = [(f"extraConfig.{name}", name) for name in _members(view.environment.cilium.values.get("extraConfig"))]
    names += [("extraArgs", str(one.value).lstrip("-").partition("=")[0]) for one in _listed(view, "extraArgs")]
    variables = [str(one.value) for entry in _listed(view, "extraEnv") for key, one in entry.entries() if key == "name"]
    names += [("extraEnv", name.lower().removeprefix("cilium_").replace("_", "-")) for name in variables]
    for path, name in names:
        if cilium.OWNED_CONFIG.fullmatch(name.lower()) and path != f"extraConfig.{_KEY_WATCHER}":
            message = f"{path.partition('.')[0]} {name} would override what encryption says"
            yield f"cilium.values.{path}", message, "say it under encryption or cluster"


def _listed(view: View, path: str) -> list[Node]:
    node = view.environment.cilium.values.get(path)
    return node.value if node is not None and isinstance(node.value, list) else []


def _members(node: Node | None) -> list[str]:
    return [key for key, _ in node.entries()] if node else []


def _cluster_in_values(view: View) -> Iterator[Complaint]:
    cluster = view.environment.cilium.values.get("cluster")
    if cluster is not None and not isinstance(cluster.value, dict):
        yield "cilium.values.cluster", "cluster in cilium.values takes the cluster's name away", "take it out"
    for key in ("name", "id"):
        if key in _members(cluster):
            yield f"cilium.values.cluster.{key}", f"cluster.{key} stands in cilium.values", f"say it as cluster.{key}"


def _hubble_tls(view: View) -> Iterator[Complaint]:
    if all(view.on(f"hubble.{key}", default=True) for key in ("enabled", "tls.enabled")):
        yield from _certificates(view, "hubble.tls.auto", ", or turn Hubble off")


def _mesh_tls(view: View) -> Iterator[Complaint]:
    if view.on("clustermesh.useAPIServer"):
        yield from _certificates(view, "clustermesh.apiserver.tls.auto", "")


def _certificates(view: View, path: str, otherwise: str) -> Iterator[Complaint]:
    """Helm makes certificates while it renders, and an engine renders again and again."""
    engine, method = view.environment.gitops.engine, view.value(f"{path}.method", "helm")
    made = engine != "none" and view.on(f"{path}.enabled", default=True)
    if made and method not in ("cronJob", "certmanager"):
        message = f"{path}.method {method} makes new certificates at every rendering"
        # cronJob and helm's --wait, which Flux does by default, deadlocked on 1.17: cilium#40381.
        better = "certmanager" if view.version.minor == 17 and engine == "flux" else "cronJob or certmanager"
        yield f"cilium.values.{path}.method", message, f"set it to {better}{otherwise}"


def _engine_name(view: View) -> Iterator[Complaint]:
    """A label has at most 63 characters.

    Flux labels what it applies with the Kustomization's name, and Argo CD with the Application's where it tracks by
    label; the environment's own name is a label of its Applications too.
    """
    longest = 63 - len("-secrets")
    if view.environment.gitops.engine != "none" and len(view.environment.name) > longest:
        message = f"an environment that an engine applies has a name of at most {longest} characters"
        yield "gitops", message, "shorten the file's name"


def _endor_nodes(view: View) -> Iterator[Complaint]:
    kind = view.environment.kind
    if view.environment.demo.endor and kind and kind.workers < 2:
        message = "demo.endor keeps its pods on two nodes, since traffic inside a node is never encrypted"
        yield "demo.endor", message, "raise kind.workers to 2"


RULES: Final = (
    Rule("node-encryption", "error", _node_encryption),
    Rule("node-encryption", "error", _node_encryption_removed, since=22),
    Rule("node-encryption", "warning", _node_encryption_deprecated, since=21, below=22),
    Rule("strict-mode-ipsec", "error", strictmode.egress_ipsec, below=19),
    Rule("strict-mode-empty", "warning", strictmode.empty),
    Rule("strict-mode-unencrypted", "error", strictmode.unencrypted),
    Rule("chart-key", "error", strictmode.ingress_absent, below=19),
    Rule("strict-ingress", "error", strictmode.ingress, since=19),
    Rule("strict-ingress", "error", strictmode.ingress_native, since=19, below=20),
    Rule("strict-egress-cidr", "error", strictmode.cidr),
    Rule("ipsec-host-firewall", "error", _host_firewall),
    Rule("ipsec-cni-chaining", "error", _chaining),
    Rule("ipsec-kube-proxy-replacement", "error", _kube_proxy_replacement, below=16),
    Rule("ipsec-legacy-routing", "warning", _host_legacy_routing, since=19),
    Rule("ipsec-dns-proxy", "error", _dns_proxy),
    Rule("native-routing-cidr", "error", _native_routing),
    Rule("ipsec-ipv6-only", "error", _ipv6_only),
    Rule("gcm-256-panic", "error", _long_gcm_key),
    Rule("key-size", "error", _key_size),
    Rule("rotation-duration", "warning", _short_rotation),
    Rule("key-watcher", "warning", _key_watcher),
    Rule("secret-reference", "error", _secret_reference),
    Rule("extra-config", "error", _extra_config),
    Rule("cluster-in-values", "error", _cluster_in_values),
    Rule("hubble-tls", "warning", _hubble_tls),
    Rule("mesh-tls", "warning", _mesh_tls),
    Rule("engine-name", "error", _engine_name),
    Rule("demo-nodes", "warning", _endor_nodes),
)
