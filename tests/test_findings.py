"""Every rule and every refusal, as its user meets it: a folder of files in, the words on stderr out.

A folder of `golden/findings/` is a workspace. Its `expected.txt` is a transcript: the command, the exit code, stderr.
A new folder needs no transcript: `pytest --update-golden` writes one, for `keyturn render --check`.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
from typing import TYPE_CHECKING

import kit
import pytest
from kit import HERE, PROJECT, Ran, Repo, charts

from generator import cli, workspace
from generator.combinations import RULES
from generator.worktree import WorkTree
from generator.yamlio import MAX_BYTES, MAX_DEPTH, MAX_NODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOLDER = HERE / "golden" / "findings"
CASES = sorted(folder.name for folder in FOLDER.iterdir())
TRANSCRIPTS = {file.parent.name: file.read_text("utf-8") for file in FOLDER.glob("*/expected.txt")}
REFUSED = sorted(name for name, text in TRANSCRIPTS.items() if text.splitlines()[1:2] in (["exit 2"], ["exit 3"]))

CHECK = "keyturn render --check"
CHARTS = ("1.15.19", "1.16.0", "1.16.19", "1.17.18", "1.18.12", "1.19.6", "1.20.0")
FINDING = re.compile(r".+: (?:error|warning): .+ \[([a-z0-9-]+)\]")

NONE = "cilium: {version: 1.16.0}\nencryption: {type: none}\ngitops: {engine: none}\n"


def run(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """Run keyturn in this process; the root's own path reads ROOT."""
    code = cli.run(["--root", str(root), *arguments])
    out, err = capsys.readouterr()
    return Ran(code, out, err.replace(str(root), "ROOT"))


def files(repo: Repo) -> dict[str, bytes]:
    """Every file but the lock, which outside git lies at the root."""
    return {path: data for path, data in repo.files().items() if path != ".keyturn.lock"}


@pytest.fixture
def workspace_of(repo: Repo) -> Callable[[str], Repo]:
    """Return a function that copies a case to the disk.

    What this repository's own hook would take for a secret stands under another name, or is put together here.
    """

    def copy(case: str) -> Repo:
        shutil.copytree(
            FOLDER / case, repo.root, ignore=shutil.ignore_patterns("expected.txt"), dirs_exist_ok=True, symlinks=True
        )
        for file in repo.root.rglob("*.golden"):
            file.with_suffix("").write_text(file.read_text("utf-8").partition("\n")[2], "utf-8")
            file.unlink()
        for file in (repo.root / "environments").glob("*.yaml"):
            if file.is_file() and b"@40" in (data := file.read_bytes()):
                file.write_bytes(data.replace(b"@40 hexadecimal digits@", bytes(range(20)).hex().encode()))
        return repo

    return copy


@pytest.mark.parametrize("case", CASES)
def test_case_is_told_in_these_words(
    case: str,
    workspace_of: Callable[[str], Repo],
    capsys: pytest.CaptureFixture[str],
    golden: Callable[[Path, str], None],
) -> None:
    command = TRANSCRIPTS.get(case, f"$ {CHECK}").splitlines()[0].removeprefix("$ ")
    repo = workspace_of(case)

    ran = run(repo.root, capsys, *command.split()[1:])

    golden(FOLDER / case / "expected.txt", f"$ {command}\nexit {ran.code}\n{ran.err}")


@pytest.mark.parametrize("case", REFUSED)
def test_refused_render_writes_nothing(
    case: str, workspace_of: Callable[[str], Repo], capsys: pytest.CaptureFixture[str]
) -> None:
    command = TRANSCRIPTS[case].splitlines()[0].removeprefix("$ ").replace(" --check", "")
    repo = workspace_of(case)
    before = files(repo)

    ran = run(repo.root, capsys, *command.split()[1:])

    assert (files(repo), ran.out) == (before, "")


def test_program_tells_what_the_library_tells(workspace_of: Callable[[str], Repo]) -> None:
    repo = workspace_of("several-environments")

    ran = repo.run("render", "--check")

    assert f"$ {CHECK}\nexit {ran.code}\n{ran.err}" == TRANSCRIPTS["several-environments"]


def test_findings_come_sorted_by_place() -> None:
    places = [
        (path, int(line or 0), int(column or 0))
        for line_ in TRANSCRIPTS["several-environments"].splitlines()[2:]
        for path, line, column in re.findall(r"^([^:]+):(?:(\d+):(\d+):)? (?:error|warning)", line_)
    ]

    assert places == sorted(places)


BLAMED_ELSEWHERE = {  # the findings are on a group, on defaults, or on a stray file
    "defaults-extend",
    "extends-cycle",
    "inherited-error",
    "stray-file",
    "stray-template",
    "unused-group-error",
}


def test_every_environment_of_a_case_is_told_about() -> None:
    silent = [
        f"{case}/{file.name}"
        for case, text in TRANSCRIPTS.items()
        if FINDING.search(text) and case not in BLAMED_ELSEWHERE
        for file in (FOLDER / case / "environments").glob("*.yaml")
        if file.stem not in ("defaults", "good")
        if f"environments/{file.name}" not in text and f"clusters/{file.stem}/" not in text
    ]

    assert silent == []


def rules_of_the_source() -> set[str]:
    """The name of every rule that a call in generator/ can pass to a finding."""
    found: set[str] = set()
    for file in sorted((PROJECT / "generator").rglob("*.py")):
        for argument in _rule_arguments(ast.parse(file.read_text("utf-8"))):
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                found.add(argument.value)
            else:  # a rule that is handed on
                assert re.fullmatch(r"(\w+\.)?rule(\.name)?", ast.unparse(argument)), f"{file}: {ast.unparse(argument)}"
    return found


RULE_AT = {
    "Finding": 3,
    "UnreadableError": 0,
    "view.finding": 1,
    "finding": 1,
}  # which argument; of a node's, the first


def _rule_arguments(module: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            at = RULE_AT.get(name, 0 if name.endswith(".finding") else None)
            if at is not None and len(node.args) > at:
                yield node.args[at]
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "rule")
        elif isinstance(node, ast.FunctionDef):
            named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            yield from (default for argument, default in named if argument.arg == "rule" and default)


BYTES = {
    "NUL": (b"a: b\nc: \0\n", "2:4: error: the file holds the control character NUL; take it out", "control-character"),
    "escape": (
        b"a: \x1b[0m\n",
        "1:4: error: the file holds the control character U+001B; take it out",
        "control-character",
    ),
    "C1 control": (
        b"a: \xc2\x9b\n",
        "1:4: error: the file holds the control character U+009B; take it out",
        "control-character",
    ),
    "Latin-1": (b"a: b\n# f\xfcr\n", "2:4: error: the file is not UTF-8; save it as UTF-8", "not-utf8"),
    "UTF-16": ("a: b\n".encode("utf-16"), "1:1: error: the file is not UTF-8; save it as UTF-8", "not-utf8"),
    "surrogate": (b"a: \xed\xa0\x80\n", "1:4: error: the file is not UTF-8; save it as UTF-8", "not-utf8"),
    "one byte over 1 MiB": (
        b"#" * (MAX_BYTES + 1),
        " error: the file is larger than 1 MiB; split it into groups",
        "file-size",
    ),
    "100,001 nodes": (
        b"[" + b"x," * MAX_NODES + b"]\n",
        f"1:{2 * MAX_NODES}: error: more than 100,000 nodes; aliases count as often as they are used",
        "nodes",
    ),
    "65 levels of lists": (
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        f"1:{MAX_DEPTH + 1}: error: more than 64 levels; flatten it",
        "depth",
    ),
    "65 levels of mappings": (
        b"".join(b"%sa:\n" % (b" " * level) for level in range(MAX_DEPTH)) + b" " * MAX_DEPTH + b"a: b\n",
        f"{MAX_DEPTH + 1}:{MAX_DEPTH + 1}: error: more than 64 levels; flatten it",
        "depth",
    ),
    "65 levels by an alias": (
        b"- &deep " + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"\n- [*deep]\n",
        "2:4: error: more than 64 levels; flatten it",
        "depth",
    ),
    "100 kB of brackets": (b"[" * 100_000, f"1:{MAX_DEPTH + 1}: error: more than 64 levels; flatten it", "depth"),
}


@pytest.mark.parametrize("what", BYTES)
def test_bytes_are_refused_with_their_place(what: str, repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    data, place_and_message, rule = BYTES[what]
    repo.write("environments/lab.yaml", data)

    ran = run(repo.root, capsys, "render", "--check")

    assert ran == Ran(2, "", f"environments/lab.yaml:{place_and_message} [{rule}]\n")


def deep(levels: int) -> str:
    """An environment whose deepest list is on that level; `cilium` and `values` are the first two below the root."""
    brackets = levels - 3
    return NONE.replace("1.16.0", f"1.16.0, values: {{deep: {'[' * brackets}{']' * brackets}}}")


FITTING = {
    "exactly 1 MiB": NONE.encode() + b"#" * (MAX_BYTES - len(NONE)),
    "64 levels": deep(MAX_DEPTH).encode(),
    "a byte order mark": b"\xef\xbb\xbf" + NONE.encode(),
    "CRLF": NONE.replace("\n", "\r\n").encode(),
    "no final newline": NONE.rstrip().encode(),
    "a document's marks": b"---\n" + NONE.encode() + b"...\n",
    "a %YAML 1.2 directive": b"%YAML 1.2\n---\n" + NONE.encode(),
    "an alias": NONE.replace("1.16.0", "1.16.0, values: {a: &a {x: 1}, b: *a}").encode(),
    "an address in a flow mapping": NONE.replace(
        "1.16.0", "1.16.0, chart: {repository: https://helm.cilium.io, name: cilium}"
    ).encode(),
    "a colon and a question mark in a flow list": NONE.replace(
        "1.16.0", "1.16.0, values: {a: [fd00::1, 10:20, what?, x?y]}"
    ).encode(),
    "a merge key's text in a value": NONE.replace("1.16.0", "1.16.0, values: {a: '<<'}").encode(),
    "other writing": NONE.replace("1.16.0", "1.16.0, values: {a: \u96f2, b: \U0001f41d}").encode(),
}


@pytest.mark.parametrize("what", FITTING)
def test_bytes_that_fit_are_taken(what: str, repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("environments/lab.yaml", FITTING[what])

    ran = run(repo.root, capsys, "-q", "render", "--check")

    assert ran == Ran(1, "", "")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("nowhere")], ids=["pipe", "dangling link"])
def test_environment_that_is_no_file_is_not_waited_for(
    make: Callable[[Path], None], repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.environment("good", NONE)
    make(repo.root / "environments" / "lab.yaml")

    ran = run(repo.root, capsys, "render", "--check")

    assert ran == Ran(2, "", "environments/lab.yaml: error: is no regular file; write it here [stray-file]\n")


def test_root_without_environments_is_the_users_mistake(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("README.md", "nothing here\n")

    ran = run(repo.root, capsys, "render", "--check")

    message = "keyturn: error: no environments/ in ROOT; --root names the folder that holds it\n"
    assert ran == Ran(2, "", message)


def test_template_that_is_not_utf8_is_refused_by_name(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.environment("lab", NONE)
    repo.write("templates/bootstrap.sh.j2", b"# f\xfcr\n")

    ran = run(repo.root, capsys, "render", "--check")

    assert ran == Ran(2, "", "keyturn: error: templates/bootstrap.sh.j2: the file is not UTF-8\n")


def test_password_in_an_address_is_not_repeated(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    chart = "1.16.0, chart: {repository: 'https://me:opensesame@helm.example.com'}"
    git = "none, repository: 'https://me:opensesame@git.example.com/clusters.git'"
    repo.environment("lab", NONE.replace("1.16.0", chart).replace("engine: none", f"engine: {git}"))

    ran = run(repo.root, capsys, "render", "--check")

    assert (ran.code, "opensesame" in ran.err) == (2, False)


WARNING = """\
environments/lab.yaml:1:9: warning: hubble.tls.auto.method helm makes new certificates at every rendering; \
set it to cronJob or certmanager, or turn Hubble off [hubble-tls]
"""
WARNED = "cilium: {version: 1.16.0}\nencryption: {type: wireguard}\n"


def test_warning_does_not_stop_render(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.environment("lab", WARNED)

    first = run(repo.root, capsys, "-q", "render")
    second = run(repo.root, capsys, "-q", "render", "--check")

    assert (first, second) == (Ran(0, "", WARNING), Ran(0, "", WARNING))


def test_strict_makes_a_warning_an_error(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.environment("lab", WARNED)
    before = files(repo)

    ran = run(repo.root, capsys, "render", "--strict")

    assert (ran, files(repo)) == (Ran(2, "", f"{WARNING}keyturn: error: --strict takes warnings for errors\n"), before)


def test_path_that_is_not_the_folder_in_git_is_a_warning(repo: Repo) -> None:
    repo.init()
    inside = Repo(repo.root / "deep" / "fleet")
    inside.environment("lab", f"{kit.WIREGUARD}gitops: {{path: fleet}}\n")
    inside.environment("right", f"{kit.WIREGUARD}gitops: {{path: deep/fleet}}\n")

    findings = workspace.load(WorkTree(inside.root)).findings

    assert [(finding.path, finding.level, finding.message) for finding in findings] == [
        (
            "environments/lab.yaml",
            "warning",
            "gitops.path is 'fleet', and this folder is 'deep/fleet' in its git repository",
        )
    ]


def test_strict_lets_a_clean_environment_through(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.environment("lab", NONE)

    ran = run(repo.root, capsys, "-q", "render", "--strict")

    assert ran == Ran(0, "", "")


def test_naming_one_environment_leaves_the_others_errors_out(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.environment("good", NONE)
    repo.environment("bad", "zebra: 1\n")
    repo.write("environments/groups/unused.yaml", "a: 1\na: 2\n")

    ran = run(repo.root, capsys, "-q", "render", "--check", "good")

    assert ran == Ran(1, "", "")


def near(version: str, encryption: str, values: str = "", gitops: str = "{engine: none}", more: str = "") -> str:
    """An environment in four lines; the values are the inside of a flow mapping."""
    return (
        f"cilium: {{version: {version}, values: {{{values}}}}}\nencryption: {{{encryption}}}\ngitops: {gitops}\n{more}"
    )


IPSEC, WIREGUARD = "type: ipsec", "type: wireguard"
EGRESS = "strictMode: {egress: {cidr: 10.244.0.0/16, allowRemoteNodeIdentities: true}}"
LISTED = "strictMode: {egress: {cidr: 10.244.0.0/16}}"
INGRESS = "strictMode: {ingress: true}"
NATIVE = "routingMode: native, ipv4NativeRoutingCIDR: 10.0.0.0/8"
REPLACED = "kubeProxyReplacement: true, bpf: {masquerade: true}"
GCM_256 = "type: ipsec, ipsec: {algorithm: rfc4106-gcm-aes, keySize: 256}"
FLUX = "{engine: flux}"
ARGOCD = "{engine: argocd, repository: 'https://git.example.com/platform/clusters.git'}"


def mesh_tls(auto: str) -> str:
    return f"hubble: {{enabled: false}}, clustermesh: {{useAPIServer: true, apiserver: {{tls: {{auto: {auto}}}}}}}"


NEAR_MISSES = {
    "node-encryption": {
        "WireGuard": near("1.16.0", f"{WIREGUARD}, nodeEncryption: true"),
        "WireGuard on the newest": near("1.20.0", f"{WIREGUARD}, nodeEncryption: true"),
        "said to be off": near("1.16.0", f"{IPSEC}, nodeEncryption: false"),
    },
    "strict-mode-ipsec": {
        "WireGuard": near("1.18.12", f"{WIREGUARD}, {EGRESS}"),
        "IPsec on 1.19": near("1.19.0", f"{IPSEC}, {EGRESS}"),
        "IPsec on 1.20": near("1.20.0", f"{IPSEC}, {EGRESS}"),
        "null": near("1.16.0", f"{IPSEC}, strictMode: null"),
    },
    "strict-mode-unencrypted": {"null": near("1.16.0", "type: none, strictMode: null")},
    "strict-mode-empty": {"egress": near("1.16.0", f"{WIREGUARD}, {EGRESS}")},
    "strict-ingress": {
        "tunnel on 1.19": near("1.19.6", f"{WIREGUARD}, {INGRESS}"),
        "tunnel by name on 1.19": near("1.19.6", f"{WIREGUARD}, {INGRESS}", "routingMode: tunnel"),
        "native on 1.20": near("1.20.0", f"{WIREGUARD}, {INGRESS}", NATIVE),
        "off on 1.18": near("1.18.12", f"{WIREGUARD}, {EGRESS[:-1]}, ingress: false}}"),
    },
    "strict-egress-cidr": {
        "native": near("1.16.0", f"{WIREGUARD}, {LISTED}", NATIVE),
        "native, node outside": near("1.16.0", f"{WIREGUARD}, {LISTED}", f"{NATIVE}, k8sServiceHost: 192.0.2.7"),
        "native, node by name": near("1.16.0", f"{WIREGUARD}, {LISTED}", f"{NATIVE}, k8sServiceHost: api.example.com"),
        "everything": near(
            "1.16.0", f"{WIREGUARD}, strictMode: {{egress: {{cidr: 0.0.0.0/0, allowRemoteNodeIdentities: true}}}}"
        ),
        "one address": near(
            "1.16.0", f"{WIREGUARD}, strictMode: {{egress: {{cidr: 10.244.0.7/32, allowRemoteNodeIdentities: true}}}}"
        ),
        "on 1.15": near("1.15.0", f"{WIREGUARD}, {EGRESS}"),
    },
    "ipsec-host-firewall": {
        "WireGuard": near("1.16.0", WIREGUARD, "hostFirewall: {enabled: true}"),
        "off": near("1.16.0", IPSEC, "hostFirewall: {enabled: false}"),
    },
    "ipsec-cni-chaining": {
        "WireGuard": near("1.16.0", WIREGUARD, "cni: {chainingMode: aws-cni}"),
        "none": near("1.16.0", IPSEC, "cni: {chainingMode: none}"),
        "no target": near("1.16.0", IPSEC, "cni: {chainingMode: ~, chainingTarget: ''}"),
    },
    "ipsec-kube-proxy-replacement": {
        "1.16": near("1.16.0", IPSEC, "kubeProxyReplacement: true"),
        "off": near("1.15.19", IPSEC, "kubeProxyReplacement: false"),
        "off as text": near("1.15.19", IPSEC, "kubeProxyReplacement: 'false'"),
        "old word for off": near("1.15.19", IPSEC, "kubeProxyReplacement: disabled"),
        "WireGuard": near("1.15.19", WIREGUARD, "kubeProxyReplacement: true"),
    },
    "ipsec-legacy-routing": {
        "1.18": near("1.18.12", IPSEC, REPLACED),
        "WireGuard": near("1.19.6", WIREGUARD, REPLACED),
        "legacy": near("1.19.6", IPSEC, "kubeProxyReplacement: true, bpf: {masquerade: true, hostLegacyRouting: true}"),
        "kube-proxy": near("1.19.6", IPSEC, "bpf: {masquerade: true}"),
        "iptables": near("1.19.6", IPSEC, "kubeProxyReplacement: true"),
    },
    "ipsec-dns-proxy": {
        "WireGuard": near("1.16.0", WIREGUARD, "dnsProxy: {enableTransparentMode: false}"),
        "no l7Proxy": near("1.16.0", IPSEC, "l7Proxy: false, dnsProxy: {enableTransparentMode: false}"),
        "on": near("1.16.0", IPSEC, "dnsProxy: {enableTransparentMode: true}"),
        "chart's default": near("1.16.0", IPSEC, "l7Proxy: true"),
    },
    "native-routing-cidr": {
        "with its CIDR": near("1.16.0", IPSEC, NATIVE),
        "ip-masq-agent": near("1.16.0", IPSEC, "routingMode: native, ipMasqAgent: {enabled: true}"),
        "IPAM eni": near("1.16.0", WIREGUARD, "routingMode: native, ipam: {mode: eni}"),
        "eni.enabled": near("1.16.0", WIREGUARD, "routingMode: native, eni: {enabled: true}"),
        "IPAM azure": near("1.16.0", WIREGUARD, "routingMode: native, ipam: {mode: azure}"),
        "IPAM alibabacloud": near("1.16.0", WIREGUARD, "routingMode: native, ipam: {mode: alibabacloud}"),
        "no masquerading": near("1.16.0", IPSEC, "routingMode: native, enableIPv4Masquerade: false"),
        "no IPv4": near("1.16.0", WIREGUARD, "routingMode: native, ipv4: {enabled: false}, ipv6: {enabled: true}"),
        "tunnel": near("1.16.0", IPSEC, "routingMode: tunnel"),
        "chart's default": near("1.16.0", IPSEC, "routingMode: ''"),
    },
    "ipsec-ipv6-only": {
        "dual stack": near("1.16.0", IPSEC, "ipv6: {enabled: true}"),
        "WireGuard": near("1.16.0", WIREGUARD, "ipv4: {enabled: false}, ipv6: {enabled: true}"),
    },
    "gcm-256-panic": {
        "1.15.7": near("1.15.7", GCM_256),
        "1.15.10": near("1.15.10", GCM_256),
        "1.16.0-rc.0": near("1.16.0-rc.0", GCM_256),
        "AES-192": near("1.15.0", GCM_256.replace("256", "192")),
        "WireGuard": near("1.15.0", GCM_256.replace("type: ipsec", WIREGUARD)),
    },
    "key-size": {
        "128 said": near("1.16.0", "type: ipsec, ipsec: {algorithm: cbc-aes-sha512, keySize: 128}"),
        "WireGuard": near("1.16.0", f"{WIREGUARD}, ipsec: {{algorithm: cbc-aes-sha512, keySize: 256}}"),
    },
    "rotation-duration": {
        "5m": near("1.16.0", "type: ipsec, ipsec: {keyRotationDuration: 5m}"),
        "300s": near("1.16.0", "type: ipsec, ipsec: {keyRotationDuration: 300s}"),
        "1h30m": near("1.16.0", "type: ipsec, ipsec: {keyRotationDuration: 1h30m}"),
        "WireGuard": near("1.16.0", f"{WIREGUARD}, ipsec: {{keyRotationDuration: 1s}}"),
    },
    "key-watcher": {
        "on": near("1.16.0", IPSEC, "extraConfig: {enable-ipsec-key-watcher: 'true'}"),
        "WireGuard": near("1.16.0", WIREGUARD, "extraConfig: {enable-ipsec-key-watcher: 'false'}"),
    },
    "extra-config": {"another key": near("1.16.0", IPSEC, "extraConfig: {bpf-lb-acceleration: native}")},
    "cluster-name": {
        "default with id 0": near("1.16.0", IPSEC, more="cluster: {name: default, id: 0}\n"),
        "32 characters": near("1.16.0", IPSEC, more=f"cluster: {{name: {'c' * 32}, id: 255}}\n"),
    },
    "destination": {
        "name alone": near("1.16.0", IPSEC, gitops="{engine: none, argocd: {destination: {name: lab}}}"),
    },
    "hubble-tls": {
        "cronJob": near("1.16.0", IPSEC, "hubble: {tls: {auto: {method: cronJob}}}", FLUX),
        "certmanager": near("1.16.0", IPSEC, "hubble: {tls: {auto: {method: certmanager}}}", FLUX),
        "no Hubble": near("1.16.0", IPSEC, "hubble: {enabled: false}", FLUX),
        "no TLS": near("1.16.0", IPSEC, "hubble: {tls: {enabled: false}}", FLUX),
        "own certificates": near("1.16.0", IPSEC, "hubble: {tls: {auto: {enabled: false}}}", FLUX),
        "cronJob with Argo CD": near("1.17.18", IPSEC, "hubble: {tls: {auto: {method: cronJob}}}", ARGOCD),
        "no engine": near("1.16.0", IPSEC),
    },
    "mesh-tls": {
        "cronJob": near("1.20.0", IPSEC, mesh_tls("{method: cronJob}"), FLUX),
        "certmanager": near("1.20.0", IPSEC, mesh_tls("{method: certmanager}"), ARGOCD),
        "own certificates": near("1.20.0", IPSEC, mesh_tls("{enabled: false}"), FLUX),
        "no API server": near("1.20.0", IPSEC, "hubble: {enabled: false}", FLUX),
        "no engine": near("1.20.0", IPSEC, mesh_tls("{}")),
    },
    "engine-name": {
        "no engine": near("1.16.0", IPSEC),
        "a short name for Flux": near("1.16.0", IPSEC, "hubble: {enabled: false}", FLUX),
        "a short name for Argo CD": near("1.16.0", IPSEC, "hubble: {enabled: false}", ARGOCD),
    },
    "demo-nodes": {
        "two workers": near("1.16.0", IPSEC, more="demo: {endor: true}\nkind: {workers: 2}\n"),
        "no kind": near("1.16.0", IPSEC, more="demo: {endor: true}\n"),
    },
    "ping-workers": {
        "two workers": near("1.16.0", IPSEC, more="demo: {ping: true}\nkind: {workers: 2}\n"),
        "no kind": near("1.16.0", IPSEC, more="demo: {ping: true}\n"),
    },
    "cilium-version": {"oldest": near("1.15.0", IPSEC), "pre-release": near("1.15.0-rc.1", IPSEC)},
    "newer-cilium": {"newest": near("1.20.99", IPSEC)},
    "encryption-block": {"as a value's own key": near("1.16.0", IPSEC, "envoy: {encryption: true}")},
}


@pytest.mark.parametrize(("rule", "miss"), [(rule, miss) for rule, misses in NEAR_MISSES.items() for miss in misses])
def test_near_miss_is_no_finding(rule: str, miss: str, repo: Repo) -> None:
    repo.environment("lab", NEAR_MISSES[rule][miss])

    assert workspace.load(WorkTree(repo.root)).findings == []


def test_every_rule_has_a_near_miss() -> None:
    without = {"chart-key", "secret-reference", "cluster-in-values"}  # about what may not stand there at all

    assert {rule.name for rule in RULES} - without <= NEAR_MISSES.keys()


@pytest.mark.parametrize("chart", CHARTS)
def test_no_key_of_a_chart_is_taken_for_a_misspelt_encryption(chart: str, repo: Repo) -> None:
    keys = re.findall(r"(?m)^([A-Za-z0-9]+):", (charts() / chart / "values.yaml").read_text("utf-8"))
    values = ", ".join(f"{key}: {{}}" for key in keys if key not in ("encryption", "cluster"))
    repo.environment("lab", near(chart, IPSEC, values))

    assert workspace.load(WorkTree(repo.root)).findings == []
