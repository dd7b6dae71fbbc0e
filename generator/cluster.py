"""What Cilium in a cluster has to show for an environment: its configuration, its rollout, its key, its nodes.  No I/O.

Sources: Cilium's chart for the names of objects; `CiliumNode.spec.encryption.key` is the id that a node uses, so that a
rotation is complete once every node shows the new one; the annotation holds the public half of a node's WireGuard key.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from generator import adoption, cilium
from generator.errors import InputError
from generator.evidence import Check, Question, counted, failing, items, name, number, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from generator.evidence import Answer, Answers, Object
    from generator.model import Environment
    from generator.secret import Told

CONFIG: Final = "cilium-config"
DAEMON_SET: Final = "cilium"
AGENT: Final = "cilium-agent"  # the container in it
PODS: Final = "k8s-app=cilium"  # the label of its pods
PUBLIC_KEY: Final = "network.cilium.io/wg-pub-key"
KEY_BYTES: Final = 32  # of a WireGuard key


def _node(one: Object) -> Object:
    """Keep of a CiliumNode what is judged: a thousand whole ones take some megabytes."""
    return {
        "name": name(one),
        "key": number(one, "spec", "encryption", "key"),
        "public": text(one, "metadata", "annotations", PUBLIC_KEY),
    }


def _named(one: Object) -> Object:
    return {"name": name(one)}


def questions(environment: Environment, *, secret: bool) -> dict[str, Question]:
    """Return what a cluster is asked; the Secret only where `secret` says so."""
    kind, namespace = environment.encryption.type, environment.cilium.namespace
    asked = {
        "config": Question("configmaps", CONFIG, namespace),
        "daemonset": Question("daemonsets.apps", DAEMON_SET, namespace),
    }
    if kind != "none":
        asked["ciliumnodes"] = Question("ciliumnodes.cilium.io", kept=_node)
    if kind == "wireguard":
        asked["nodes"] = Question("nodes", kept=_named)
    if kind == "ipsec" and secret:
        asked["secret"] = Question("secrets", cilium.SECRET_NAME, namespace)
    return asked


def checks(environment: Environment, told: Told | None, answers: Answers) -> Iterator[Check]:
    """Yield a check for everything that was asked; `told` is what git's Secret tells, None without IPsec."""
    yield from _config(environment, answers["config"])
    yield _rollout(answers["daemonset"])
    yield _version(environment, answers["daemonset"])
    if told is not None:
        if "secret" in answers:
            yield _secret(told, answers["secret"])
        yield _keys(told, answers["ciliumnodes"])
    if environment.encryption.type == "wireguard":
        yield from _public_keys(answers["ciliumnodes"], answers["nodes"])


def _config(environment: Environment, answer: Answer) -> Iterator[Check]:
    """Yield a check for every flag of encryption, and for whose cluster it is."""
    wanted = cilium.expected_config(environment)
    found = answer.objects[0] if answer.objects else None
    if found is None:
        seen = "" if answer.failed else f"there is no ConfigMap {CONFIG}"
        yield _unless(answer, CONFIG, seen, f"{len(wanted)} entries for type {environment.encryption.type}")
        return
    data = texts(found, "data")
    for key, value in {"cluster-name": environment.cluster_name, "cluster-id": str(environment.cluster.id)}.items():
        if key in data:
            yield Check(f"{CONFIG}/{key}", data[key] == value, data[key], value, answer.at)
    wrong = {one.name for one in cilium.contradictions(data, wanted)}
    for key, expected in wanted.items():
        shown = "absent or false" if expected is None else expected
        yield Check(f"{CONFIG}/{key}", key not in wrong, data.get(key, "not there"), shown, answer.at)


def _unless(answer: Answer, name: str, seen: str, expected: str, *, ok: bool = False) -> Check:
    """Return a check, which is not judged where its question could not be asked."""
    if answer.failed is not None:
        return Check(name, None, "could not be asked", expected, answer.at)
    return Check(name, ok, seen, expected, answer.at)


def _rollout(answer: Answer) -> Check:
    """Judge whether the DaemonSet is rolled out, as `kubectl rollout status` does, and runs anywhere at all."""
    expected = "every agent is of the newest revision, and available"
    if not answer.objects:
        return _unless(answer, "rollout", f"there is no DaemonSet {DAEMON_SET}", expected)
    found = answer.objects[0]
    wanted = number(found, "status", "desiredNumberScheduled")
    updated, available = number(found, "status", "updatedNumberScheduled"), number(found, "status", "numberAvailable")
    seen = f"of {counted(wanted, 'agent')} {updated:,} of the newest revision, {available:,} available"
    if number(found, "status", "observedGeneration") < number(found, "metadata", "generation"):
        return Check("rollout", ok=False, seen="a change that is not rolled out yet", expected=expected, at=answer.at)
    ok = wanted > 0 and updated >= wanted and available >= wanted
    return Check("rollout", ok, f"{counted(wanted, 'agent')}, each of them" if ok else seen, expected, answer.at)


_TAG: Final = re.compile(r"(?:[^@]*/)?[^/@:]+:(?P<tag>[^/@:]+)(?:@.*)?")  # of an image; a registry may have a port


def _version(environment: Environment, answer: Answer) -> Check:
    """Judge the agent's version by its image, whose tag the values may name."""
    named = {key: environment.cilium.values.get(f"image.{key}") for key in ("override", "tag")}
    override = _TAG.fullmatch(str(named["override"].value)) if named["override"] is not None else None
    wanted = environment.cilium.version if named["tag"] is None else str(named["tag"].value)
    wanted = override["tag"] if override is not None else wanted
    if not answer.objects:
        return _unless(answer, "version", f"there is no DaemonSet {DAEMON_SET}", wanted)
    containers = items(answer.objects[0], "spec", "template", "spec", "containers")
    image = next((text(one, "image") for one in containers if text(one, "name") == AGENT), "")
    match = _TAG.fullmatch(image)
    if match is None:
        ok, seen = (None, f"an image without a tag: {image}") if image else (False, f"no container {AGENT}")
        return Check("version", ok, seen, wanted, answer.at)
    tag = match["tag"]
    return Check("version", tag.removeprefix("v") == wanted.removeprefix("v"), tag, wanted, answer.at)


def left_out(told: Told, at: datetime) -> Check:
    """Return the check that says that the Secret is not read."""
    return Check("secret", None, "left out by --no-secret", _expected(told), at)


def _expected(told: Told) -> str:
    return f"id {told.key_id} and git's fingerprint"


def _secret(told: Told, answer: Answer) -> Check:
    """Compare the cluster's key with git's; of either nothing but the id is told."""
    expected = _expected(told)
    if not answer.objects:
        return _unless(answer, "secret", f"there is no Secret {cilium.SECRET_NAME}", expected)
    try:
        key = adoption.key(_line(answer.objects[0]))
    except InputError as error:
        return Check("secret", ok=False, seen=error.message, expected=expected, at=answer.at)
    same = key.fingerprint() == told.fingerprint
    seen = f"id {key.id} and {'the same' if same else 'another'} fingerprint"
    if same and key.algorithm != told.algorithm:  # the fingerprint is of the key, not of how much of a tag is sent
        seen += f", but an ICV of {key.algorithm.icv_bits} bits, not {told.algorithm.icv_bits}"
    seen += "" if key.per_tunnel else ", without + (per-tunnel keys)"
    return Check("secret", same and (key.id, key.algorithm) == (told.key_id, told.algorithm), seen, expected, answer.at)


def _line(one: Object) -> str:
    """Return what a live Secret holds as its key line.  It may be compared, and go nowhere else."""
    try:
        return base64.b64decode(text(one, "data", cilium.SECRET_KEY), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise InputError("the Secret holds no text") from None


def _keys(told: Told, answer: Answer) -> Check:
    """Judge whether every node uses git's key; which ones do not is what a rotation waits for."""
    title, expected = "ciliumnodes/key", f"every node shows key {told.key_id}"
    if not answer.objects:
        return _unless(answer, title, "there is no CiliumNode", expected)
    nodes = sorted(answer.objects, key=lambda one: str(one["name"]))
    behind = [f"{one['name']} ({_other(told, one['key'])})" for one in nodes if one["key"] != told.key_id]
    if not behind:
        return Check(
            title, ok=True, seen=f"{counted(len(nodes), 'node')}, each of them", expected=expected, at=answer.at
        )
    moved = f"{len(nodes) - len(behind):,} of {counted(len(nodes), 'node')}; not yet: "
    return failing(title, moved, expected, answer.at, behind)


def _other(told: Told, key: int) -> str:
    """Say which key a node uses that is not git's: one that no rotation comes from will not move by itself."""
    return str(key) + ("" if key == told.previous else ", another key") if key else "none"


def _public_keys(ciliumnodes: Answer, nodes: Answer) -> Iterator[Check]:
    """Yield whether every node has published a public key, and whether all are different."""
    title, expected = "ciliumnodes/public-key", "every node has a CiliumNode with a public key"
    unasked = next((one for one in (ciliumnodes, nodes) if one.failed is not None), None)
    if unasked is not None:
        yield _unless(unasked, title, "", expected)
        return
    public = {str(one["name"]): str(one["public"]) for one in ciliumnodes.objects}
    every = sorted({*public, *(str(one["name"]) for one in nodes.objects)})
    without = [f"{one} ({_lack(public.get(one))})" for one in every if _lack(public.get(one))]
    at = ciliumnodes.at
    if not every:
        yield Check(title, ok=False, seen="no node", expected=expected, at=at)
    elif without:
        seen = f"{len(every) - len(without):,} of {counted(len(every), 'node')}; not: "
        yield failing(title, seen, expected, at, without)
    else:
        yield Check(title, ok=True, seen=f"{counted(len(every), 'node')}, each of them", expected=expected, at=at)
    yield _different(public, ciliumnodes)


def _lack(public: str | None) -> str:
    """Say what a node lacks; nothing where its key is sound."""
    if not public:
        return "no CiliumNode" if public is None else "no key"
    try:
        return "" if len(base64.b64decode(public, validate=True)) == KEY_BYTES else "no WireGuard key"
    except binascii.Error:
        return "no WireGuard key"


def _different(public: dict[str, str], answer: Answer) -> Check:
    title, expected = "ciliumnodes/different", "no two nodes have the same public key"
    holders: defaultdict[str, list[str]] = defaultdict(list)
    for node, key in sorted(public.items()):
        if key:
            holders[key].append(node)
    same = [" and ".join(nodes) for nodes in holders.values() if len(nodes) > 1]
    if same:
        return failing(title, "the same key: ", expected, answer.at, same)
    return Check(
        title, ok=True, seen=f"{counted(len(holders), 'key')}, no two the same", expected=expected, at=answer.at
    )


def shown(environment: Environment, answers: Answers) -> dict[str, str] | None:
    """Return node -> what it shows of its encryption, a key id or a public key; None where it could not be asked."""
    answer = answers.get("ciliumnodes")
    if answer is None:
        return {}
    what = "key" if environment.encryption.type == "ipsec" else "public"
    return None if answer.failed else {str(one["name"]): str(one[what] or "") for one in answer.objects}
