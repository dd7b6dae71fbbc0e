"""The figures of `verify`: a cluster of thousands of nodes, beside the bare `kubectl get` of the same objects.

The cluster is the tests' API server, which sends what it has encoded before.  Its objects are as large as those of
clusters at work: some kilobytes each, most of which nobody asked for.  The floor is the same questions by kubectl
alone, all of them at once, as keyturn asks them.  For the peak memory of keyturn itself a script says what kubectl said
before, since kubectl's own is higher; that stands beside it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import apiserver
import clusters
import kit
from bench import clock, fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ALL: Final = 5_000
_ENVIRONMENT: Final = """cilium: {version: 1.16.0, values: {hubble: {enabled: false}}}
encryption: {type: wireguard}
gitops: {engine: none}
"""
_ASKED: Final = (
    ("nodes",),
    ("ciliumnodes.cilium.io",),
    ("configmaps", "cilium-config", "--namespace", "kube-system"),
    ("daemonsets.apps", "cilium", "--namespace", "kube-system"),
)
_REPLAY: Final = 'for word; do [ ! -f "$REPLAY/$word" ] || exec cat "$REPLAY/$word"; done\nexit 1\n'


def rows(measured: fleet.Fleet, folder: Path, runs: int, count: int) -> list[list[str]]:
    """Return the rows about a cluster of `count` nodes; `folder` is an empty one."""
    root, config = folder / "repo", folder / "config"
    (root / "environments").mkdir(parents=True)
    (root / "environments" / "lab.yaml").write_text(_ENVIRONMENT, "utf-8")
    env = {**measured.env, "PATH": f"{_kubectls(folder)}{os.pathsep}{measured.env['PATH']}"}
    words: clock.Command = [fleet.PROGRAM, "--quiet", "verify", "lab", "--no-exec", "--kubeconfig", config]
    with apiserver.serving(_cluster(count)) as server:
        server.kubeconfig(config)
        ours, bare = clock.interleaved(
            runs, lambda: clock.run(words, cwd=root, env=env), partial(_bare, config, root, env)
        )
        largest = clock.megabytes(_kubectl(config, "nodes"), cwd=root, env=env)
        env |= _replay(folder, config, env)
    own = statistics.median(clock.megabytes(words, cwd=root, env=env) for _ in range(runs))
    what, whole = f"verify, {count:,} nodes", count == ALL
    beside = f"the same kubectl get, all at once; beside it {ours.without(bare).median:.2f} s"
    memory = [f"{own:.0f} MB", "400 MB" if whole else "", f"{largest:.0f} MB", f"{own / largest:.2f}"]
    return [
        clock.row(what, ours, "floor + 3 s" if whole else "", bare, beside),
        [f"peak memory of {what}", *memory, "kubectl get nodes"],
    ]


def _kubectls(folder: Path) -> Path:
    """Return a folder that holds the kubectl of this environment."""
    (folder / "bin").mkdir()
    (folder / "bin" / "kubectl").symlink_to(kit.program("kubectl"))
    return folder / "bin"


def _kubectl(config: Path, *words: str) -> clock.Command:
    return [config.with_name("bin") / "kubectl", "--kubeconfig", config, "get", *words, "--output=json"]


def _bare(config: Path, root: Path, env: Mapping[str, str]) -> float:
    script = " & ".join(" ".join(map(str, _kubectl(config, *words))) for words in _ASKED)
    return clock.run(["sh", "-c", f"{script} & wait"], cwd=root, env=env)


def _replay(folder: Path, config: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Keep what kubectl says, and return the variables that let a script say it again."""
    said = folder / "said"
    said.mkdir()
    for words in _ASKED:
        done = subprocess.run(_kubectl(config, *words), env=env, capture_output=True, check=True)
        (said / words[0]).write_bytes(done.stdout)
    script = folder / "script" / "kubectl"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\n{_REPLAY}", "utf-8")
    script.chmod(0o755)
    return {"PATH": f"{script.parent}{os.pathsep}{env['PATH']}", "REPLAY": str(said)}


def _cluster(count: int) -> apiserver.Server:
    names = [f"ip-10-{number // 256}-{number % 256}-17.eu-central-1.compute.internal" for number in range(count)]
    public = [clusters.public(number) for number in range(count)]
    ciliumnodes = [_large(clusters.ciliumnode(name, public_key=key)) for name, key in zip(names, public, strict=True)]
    server = apiserver.Server([clusters.config("wireguard"), clusters.daemonset("1.16.0", count)])
    server.failing = {
        "nodes": _paged("NodeList", "v1", [_large(clusters.node(name)) for name in names]),
        "ciliumnodes": _paged("CiliumNodeList", "cilium.io/v2", ciliumnodes),
    }
    return server


def _large(one: dict[str, Any]) -> dict[str, Any]:
    """Return an object with as much beside what is asked for as real ones have: images, conditions, addresses."""
    images = [{"names": [f"registry.example.com/team/app-{n}@sha256:{n:064x}"], "sizeBytes": n} for n in range(30)]
    return one | {"status": {"images": images, "conditions": [{"type": f"Condition{n}"} for n in range(8)]}}


def _paged(kind: str, version: str, items: list[dict[str, Any]]) -> Callable[[apiserver.Handler, dict[str, str]], None]:
    """Return what answers with a list in pieces, each of which is encoded once."""
    kept: dict[tuple[str, ...], bytes] = {}

    def answer(handler: apiserver.Handler, query: dict[str, str]) -> None:
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 0)) or len(items)
        if (str(start), str(limit)) not in kept:
            rest = {"continue": str(start + limit)} if start + limit < len(items) else {}
            body = {"kind": kind, "apiVersion": version, "metadata": rest, "items": items[start : start + limit]}
            kept[str(start), str(limit)] = json.dumps(body).encode()
        handler.send(200, kept[str(start), str(limit)])

    return answer
