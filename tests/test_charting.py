"""Environments against charts: real ones' values and schemas, and a small one of our own that Helm renders."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kit import HERE, PROJECT, Repo
from kit import charts as real_charts

from generator import model, workspace
from generator.app.charting import Charts
from generator.chartfiles import MAX_BYTES, MAX_MEMBERS, Cache
from generator.errors import InputError, ToolError
from generator.helm import Reference
from generator.worktree import WorkTree
from generator.yamlio import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from generator.model import Environment

CHART = HERE / "charts" / "cilium"
REAL = ("1.15.19", "1.16.0", "1.16.19", "1.17.18", "1.18.12", "1.19.6", "1.20.0")
WAYS = ["library", *(["program"] if shutil.which("helm") else [])]

LAB = """\
cilium:
  version: 1.16.0
  values:
    hubble:
      enabled: false
encryption:
  type: ipsec
"""


def environment(text: str = LAB) -> Environment:
    node, found = read(text.encode(), "environments/lab.yaml")
    assert node is not None
    parsed, problems = model.parse(node, "lab")
    assert found + problems == []
    assert parsed is not None
    return parsed


def with_values(*lines: str) -> Environment:
    """The environment with more lines under cilium.values, from line 6 on."""
    more = "".join(f"    {line}\n" for line in lines)
    return environment(LAB.replace("encryption:", f"{more}encryption:"))


def silent(line: str) -> None:
    pytest.fail(f"it says {line!r}")


def told(charts: Charts, environment: Environment) -> list[str]:
    return [str(finding) for finding in charts.check(environment)]


@pytest.fixture(scope="module", params=WAYS)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Charts]:
    """Our own chart, rendered in each of the ways that are to be had here."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "library":
            patch.setenv("PATH", str(tmp_path_factory.mktemp("bin")))
        with Charts.given(CHART, silent) as charts:
            assert list(charts.check(environment())) == []  # it has found Helm now
            yield charts


# ---- real charts: what keyturn writes, and the samples

WIREGUARD = "type: wireguard"
OURS = {
    "ipsec": ("type: ipsec", 15),
    "ipsec with durations": ("type: ipsec, ipsec: {keyRotationDuration: 1h30m}", 15),
    "wireguard": (WIREGUARD, 15),
    "none": ("type: none", 15),
    "node encryption": (f"{WIREGUARD}, nodeEncryption: true", 15),
    "strict egress": (f"{WIREGUARD}, strictMode: {{egress: {{cidr: 10.0.0.0/8}}}}", 15),
    "strict ingress": (f"{WIREGUARD}, strictMode: {{ingress: true}}", 19),
}


@pytest.fixture(scope="module")
def real() -> Iterator[Callable[[str], Charts]]:
    """Return a function that gives a real chart's values and schema, each read once."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(
            lambda version: stack.enter_context(Charts.given(real_charts() / version, lambda _: None))
        )


TAKEN = [(version, case) for version in REAL for case, (_, since) in OURS.items() if int(version[2:4]) >= since]


@pytest.mark.parametrize(("version", "case"), TAKEN)
def test_real_chart_takes_what_keyturn_writes(version: str, case: str, real: Callable[[str], Charts]) -> None:
    encryption = OURS[case][0]
    lab = environment(f"cilium: {{version: {version}}}\nencryption: {{{encryption}}}\n")

    assert list(real(version).check(lab)) == []


@pytest.mark.parametrize("name", sorted(file.stem for file in (PROJECT / "environments").glob("*-*.yaml")))
def test_real_chart_takes_the_samples(name: str, real: Callable[[str], Charts]) -> None:
    space = workspace.load(WorkTree(PROJECT), [name])

    (sample,) = space.environments
    assert list(real(sample.cilium.version).check(sample)) == []


@pytest.mark.parametrize("version", REAL)
def test_typo_in_real_values_is_found_at_its_place(version: str, real: Callable[[str], Charts]) -> None:
    values = "hubble: {enabeld: true}\n    kubeProxyReplacment: true"
    lab = environment(f"cilium:\n  version: {version}\n  values:\n    {values}\nencryption: {{type: ipsec}}\n")

    assert told(real(version), lab) == [
        "environments/lab.yaml:4:14: error: the chart knows no hubble.enabeld; did you mean enabled? [chart-value]",
        (
            "environments/lab.yaml:5:5: error: the chart knows no kubeProxyReplacment; "
            "did you mean kubeProxyReplacement? [chart-value]"
        ),
    ]


@pytest.mark.parametrize("version", [version for version in REAL if version != "1.15.19"])
def test_wrong_type_in_real_values_is_found_at_its_place(version: str, real: Callable[[str], Charts]) -> None:
    values = "hubble: {relay: {enabled: 'true'}}\n    operator: {replicas: two}"
    lab = environment(f"cilium:\n  version: {version}\n  values:\n    {values}\nencryption: {{type: ipsec}}\n")

    assert told(real(version), lab) == [
        (
            "environments/lab.yaml:4:31: error: hubble.relay.enabled: expected boolean, not 'true'; "
            "write true, without quotes [chart-schema]"
        ),
        "environments/lab.yaml:5:26: error: operator.replicas: expected integer, not 'two' [chart-schema]",
    ]


def test_chart_without_templates_is_told_once(tmp_path: Path) -> None:
    said: list[str] = []
    shutil.copy(CHART / "values.yaml", tmp_path)

    with Charts.given(tmp_path, said.append) as charts:
        assert [list(charts.check(environment())) for _ in range(2)] == [[], []]

    assert said == [f"{tmp_path} has no Chart.yaml: its values and schema are used, nothing is rendered"]


def test_chart_yaml_alone_proves_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    shutil.copy(CHART / "Chart.yaml", tmp_path)

    with Charts.given(tmp_path, said.append) as charts:
        assert list(charts.check(with_values("anything: {at: all}"))) == []

    assert said == [f"{tmp_path} has no templates: its values and schema are used, nothing is rendered"]


# ---- what the rendering proves

STRICT = "strictMode: {egress: {cidr: 10.0.0.0/8, allowRemoteNodeIdentities: true}}"


@pytest.mark.parametrize(
    "encryption",
    [
        "type: ipsec",
        "type: ipsec\n  ipsec: {keyRotationDuration: 90m}",
        WIREGUARD,
        f"{WIREGUARD}\n  nodeEncryption: true",
        f"{WIREGUARD}\n  {STRICT}",
        "type: none",
    ],
)
def test_rendering_proves_the_intent(encryption: str, small: Charts) -> None:
    assert told(small, environment(LAB.replace("type: ipsec", encryption))) == []


@pytest.mark.parametrize(
    ("encryption", "entry", "finding"),
    [
        (
            "type: ipsec",
            "enable-ipsec: 'false'",
            "9:9: error: cilium-config says enable-ipsec: false, and the environment asks for true",
        ),
        (
            "type: ipsec",
            "enable-wireguard: 'true'",
            "9:9: error: cilium-config says enable-wireguard: true, and the environment does not ask for it",
        ),
        (
            "type: none",
            "enable-ipsec: 'true'",
            "9:9: error: cilium-config says enable-ipsec: true, and the environment does not ask for it",
        ),
        (
            "type: ipsec",
            "ipsec-key-file: /etc/0123456789abcdef",
            (
                "9:3: error: cilium-config says ipsec-key-file: /etc/[redacted], "
                "and the environment asks for /etc/ipsec/keys"
            ),
        ),
        (
            "{type: ipsec, ipsec: {keyRotationDuration: 10m}}",
            "ipsec-key-rotation-duration: 5m0s",
            "8:56: error: cilium-config says ipsec-key-rotation-duration: 5m0s, and the environment asks for 10m",
        ),
        (
            "{type: wireguard, nodeEncryption: true}",
            "encrypt-node: 'false'",
            "8:47: error: cilium-config says encrypt-node: false, and the environment asks for true",
        ),
        (
            f"{{type: wireguard, {STRICT}}}",
            "encryption-strict-mode-cidr: 10.0.0.0/9",
            (
                "8:43: error: cilium-config says encryption-strict-mode-cidr: 10.0.0.0/9, "
                "and the environment asks for 10.0.0.0/8"
            ),
        ),
    ],
)
def test_rendering_that_says_otherwise_is_found(encryption: str, entry: str, finding: str, small: Charts) -> None:
    said = f"encryption: {encryption}" if encryption.startswith("{") else f"encryption:\n  {encryption}"
    text = LAB.replace("encryption:\n  type: ipsec", f"    extraConfig:\n      {entry}\n{said}")

    hint = "see what this chart makes of encryption"
    assert told(small, environment(text)) == [f"environments/lab.yaml:{finding}; {hint} [chart-intent]"]


def test_duration_written_otherwise_is_the_same(small: Charts) -> None:
    assert told(small, with_values("extraConfig: {ipsec-key-rotation-duration: 5m0s}")) == []


def test_chart_that_encrypts_nothing_is_found(tmp_path: Path) -> None:
    chart = shutil.copytree(CHART, tmp_path / "chart")
    config = chart / "templates" / "config.yaml"
    config.write_text(config.read_text("utf-8").replace("if $encryption.enabled", "if $encryption.enabld"), "utf-8")

    with Charts.given(chart, silent) as charts:
        found = told(charts, environment())

    hint = "see what this chart makes of encryption"
    names = {
        "enable-ipsec": ("7:9", "true"),
        "ipsec-key-file": ("7:3", "/etc/ipsec/keys"),
        "enable-ipsec-key-watcher": ("7:3", "true"),
        "ipsec-key-rotation-duration": ("7:3", "5m"),
    }
    assert found == [
        f"environments/lab.yaml:{place}: error: cilium-config has no {name}, and the environment asks for {wanted}; "
        f"{hint} [chart-intent]"
        for name, (place, wanted) in names.items()
    ]


def test_chart_without_cilium_config_proves_nothing(small: Charts) -> None:
    assert told(small, with_values("agent: false")) == [
        (
            "environments/lab.yaml:4:5: error: the chart renders no ConfigMap cilium-config; "
            "is that Cilium's chart, with the agent in it? [chart-intent]"
        )
    ]


def test_certificates_of_helm_s_own_differ_at_every_rendering(small: Charts) -> None:
    hint = "set hubble.tls.auto.method to cronJob or certmanager, or turn Hubble off"
    what = "cilium/templates/hubble-certificate.yaml differs at every rendering"

    assert told(small, environment(LAB.replace("false", "true"))) == [
        f"environments/lab.yaml:5:7: error: {what}; {hint} [chart-differs]"
    ]
    assert told(small, environment(LAB.replace("enabled: false", "tls: {auto: {method: cronJob}}"))) == []


def test_certificates_of_the_mesh_have_a_setting_of_their_own(small: Charts) -> None:
    lab = with_values("clustermesh: {useAPIServer: true, apiserver: {tls: {auto: {method: helm}}}}")

    what = "cilium/templates/clustermesh-certificate.yaml differs at every rendering"
    hint = "set clustermesh.apiserver.tls.auto.method to cronJob or certmanager"
    assert told(small, lab) == [f"environments/lab.yaml:6:72: error: {what}; {hint} [chart-differs]"]


def test_chart_s_own_words_are_told_where_it_fails(small: Charts) -> None:
    lab = environment(LAB.replace("enabled: false", "ui: {enabled: true}"))

    words = "execution error at (cilium/templates/checks.yaml:2:3): the Hubble UI needs hubble.relay.enabled=true"
    assert told(small, lab) == [f"environments/lab.yaml:4:5: error: the chart does not render: {words} [chart-fails]"]


def test_monitors_render_though_no_cluster_tells_that_it_has_them(small: Charts) -> None:
    assert told(small, with_values("prometheus: {serviceMonitor: {enabled: true}}")) == []


def test_values_that_do_not_fit_are_not_rendered_too(small: Charts) -> None:
    lab = with_values("tunnelProtocol: vxlna", "hubbel: {ui: {enabled: true}}", "debug: {a: 1}")

    assert told(small, lab) == [
        "environments/lab.yaml:8:12: error: debug: expected boolean, not a mapping [chart-schema]",
        (
            "environments/lab.yaml:6:21: error: tunnelProtocol: expected '', vxlan or geneve, not 'vxlna'; "
            "did you mean vxlan? [chart-schema]"
        ),
        "environments/lab.yaml:7:5: error: the chart knows no hubbel; did you mean hubble? [chart-value]",
    ]


def test_value_that_is_missing_is_told_of_the_nearest_one_written(small: Charts) -> None:
    assert told(small, with_values("devices: [eth0, 1]")) == [
        "environments/lab.yaml:6:21: error: devices[1]: expected string, not 1; quote it [chart-schema]"
    ]
    assert told(small, environment(LAB.replace("enabled: false", "relay: null"))) == [
        "environments/lab.yaml:5:7: error: hubble: 'relay' is a required property [chart-schema]"
    ]
    assert told(small, environment(LAB.replace("    hubble:\n      enabled: false", "    hubble: null"))) == [
        "environments/lab.yaml:4:5: error: values: 'hubble' is a required property [chart-schema]"
    ]


def test_value_of_a_group_is_found_in_the_group(repo: Repo, small: Charts) -> None:
    repo.write("environments/groups/base.yaml", "cilium: {values: {hubble: {enabled: false}, debgu: true}}\n")
    for name in ("a", "b"):
        repo.environment(name, "extends: [base]\ncilium: {version: 1.16.0}\nencryption: {type: wireguard}\n")

    found = {finding for one in workspace.load(WorkTree(repo.root)).environments for finding in small.check(one)}

    assert [str(finding) for finding in found] == [
        "environments/groups/base.yaml:1:45: error: the chart knows no debgu; did you mean debug? [chart-value]"
    ]


def test_chart_that_lacks_what_keyturn_writes_is_told_of_what_it_comes_from(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path, dirs_exist_ok=True)
    values = (CHART / "values.yaml").read_text("utf-8")
    (tmp_path / "values.yaml").write_text(
        values.replace("    keyWatcher: true\n", "").replace("  id: 0\n", ""), "utf-8"
    )
    schema = {"properties": {"cluster": {"properties": {"name": {"enum": ["one", "two"]}}}}}
    (tmp_path / "values.schema.json").write_text(json.dumps(schema), "utf-8")

    with Charts.given(tmp_path, silent) as charts:
        found = told(charts, environment(LAB + "cluster: {id: 1}\n"))

    assert found == [
        "environments/lab.yaml:8:10: error: cluster.name: expected one or two, not 'lab' [chart-schema]",
        "environments/lab.yaml:8:11: error: the chart knows no cluster.id; known here: name [chart-value]",
        (
            "environments/lab.yaml:6:1: error: the chart knows no encryption.ipsec.keyWatcher; "
            "known here: encryptedOverlay, interface, keyFile, keyRotationDuration, mountPath, secretName [chart-value]"
        ),
    ]


def test_chart_inside_the_chart_has_values_of_its_own(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path, dirs_exist_ok=True)
    chart = (CHART / "Chart.yaml").read_text("utf-8")
    inside = "dependencies:\n  - {name: one, version: 1.0.0}\n  - {name: x, alias: two, version: 1.0.0}\n  - {}\n"
    (tmp_path / "Chart.yaml").write_text(chart + inside, "utf-8")
    shutil.rmtree(tmp_path / "templates")

    with Charts.given(tmp_path, lambda _: None) as charts:
        assert told(charts, with_values("one: {a: 1}", "two: {b: 1}", "tags: {c: true}", "x: {}")) == [
            (
                "environments/lab.yaml:9:5: error: the chart knows no x; known here: agent, cluster, clustermesh, "
                "debug, devices, encryption and 10 more [chart-value]"
            )
        ]


def test_schema_that_refers_to_the_network_reaches_nobody(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path, dirs_exist_ok=True)
    with served(tmp_path) as (address, asked):
        schema = {"properties": {"hubble": {"$ref": f"{address}/values.yaml"}, "x": {"$ref": f"{address}/x.json"}}}
        (tmp_path / "values.schema.json").write_text(json.dumps(schema), "utf-8")
        (tmp_path / "charts" / "a").mkdir(parents=True)
        shutil.copy(tmp_path / "values.schema.json", tmp_path / "charts" / "a")
        (tmp_path / "charts" / "a" / "Chart.yaml").write_text("apiVersion: v2\nname: a\nversion: 1.0.0\n", "utf-8")

        with Charts.given(tmp_path, silent) as charts:
            found = told(charts, environment())
        (tmp_path / "values.schema.json").write_text(json.dumps({"properties": {"z": schema}}), "utf-8")
        with Charts.given(tmp_path, silent) as charts:
            found += told(charts, environment())

    name = f"{tmp_path}/values.schema.json"
    assert found == [
        (
            f"environments/lab.yaml:4:5: error: {name} cannot be followed: {address}/values.yaml; "
            "a schema has to stand alone [chart-schema]"
        )
    ]
    assert asked == []


# ---- which version it is of


@pytest.mark.parametrize(
    ("version", "findings"),
    [
        ("1.16.0", ["7:9 chart-intent"]),
        ("1.16.7", ["2:12 chart-version", "7:9 chart-intent"]),
        ("0.1.0", ["2:12 chart-version", "7:9 chart-intent"]),
        ("1.17.0", ["2:12 chart-version"]),
    ],
)
def test_chart_of_another_minor_checks_nothing(version: str, findings: list[str], tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path, dirs_exist_ok=True)
    (tmp_path / "Chart.yaml").write_text(f"apiVersion: v2\nname: cilium\nversion: {version}\n", "utf-8")
    lab = environment(LAB.replace("encryption:\n", "    extraConfig: {enable-ipsec: 'false'}\nencryption:\n"))

    with Charts.given(tmp_path, silent) as charts:
        found = list(charts.check(lab))

    assert [f"{one.line - (one.line > 6)}:{one.column} {one.rule}" for one in found] == findings


def test_version_of_the_chart_is_told_with_what_comes_of_it(tmp_path: Path) -> None:
    for version, word in (("1.16.7", "checked against it all the same"), ("1.17.0", "not checked against it")):
        (tmp_path / "Chart.yaml").write_text(f"apiVersion: v2\nname: cilium\nversion: {version}\n", "utf-8")
        with Charts.given(tmp_path, lambda _: None) as charts:
            assert told(charts, environment()) == [
                (
                    f"environments/lab.yaml:2:12: warning: Cilium 1.16.0 is not the chart's version, which is "
                    f"{version}, and is {word}; give the chart of that version, or --pull-chart [chart-version]"
                )
            ]


# ---- folders and archives


def packed(folder: Path, name: str = "cilium") -> bytes:
    """A chart's folder as `helm package` would pack it, always to the same bytes."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                member = tarfile.TarInfo(f"{name}/{file.relative_to(folder).as_posix()}")
                member.size = file.stat().st_size
                archive.addfile(member, io.BytesIO(file.read_bytes()))
    return out.getvalue()


def test_archive_is_a_chart_too(tmp_path: Path) -> None:
    (tmp_path / "cilium-1.16.0.tgz").write_bytes(packed(CHART))

    with Charts.given(tmp_path / "cilium-1.16.0.tgz", silent) as charts:
        assert told(charts, environment(LAB.replace("false", "true"))) == [
            (
                "environments/lab.yaml:5:7: error: cilium/templates/hubble-certificate.yaml differs at every "
                "rendering; set hubble.tls.auto.method to cronJob or certmanager, or turn Hubble off [chart-differs]"
            )
        ]


def test_archive_without_templates_is_told_of(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "only").mkdir()
    shutil.copy(CHART / "values.yaml", tmp_path / "only")
    (tmp_path / "a.tgz").write_bytes(packed(tmp_path / "only"))

    with Charts.given(tmp_path / "a.tgz", said.append) as charts:
        assert list(charts.check(environment())) == []

    assert said == [f"{tmp_path}/a.tgz has no Chart.yaml: its values and schema are used, nothing is rendered"]


def test_nothing_is_left_of_an_archive_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tgz").write_bytes(packed(CHART))
    (tmp_path / "bad.tgz").write_bytes(b"no archive")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    with Charts.given(tmp_path / "a.tgz", silent):
        (folder,) = (tmp_path / "tmp").iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(InputError), Charts.given(tmp_path / "bad.tgz", silent):
        pass

    assert list((tmp_path / "tmp").iterdir()) == []


Member = tuple[str, bytes, int]  # name, type, size
FILE, LINK, HARD, DEVICE, FOLDER = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
NOT_INSIDE = "which is no file inside it"
TOO_MUCH = f"holds more than {MAX_MEMBERS:,} files, or more than 64 MiB"
HOSTILE: dict[str, tuple[list[Member], str]] = {
    "absolute name": ([("/tmp/x", FILE, 1)], f"holds '/tmp/x', {NOT_INSIDE}"),  # noqa: S108 -- never written
    "name that leads out": ([("cilium/../../x", FILE, 1)], f"holds 'cilium/../../x', {NOT_INSIDE}"),
    "backslashes": ([("cilium\\..\\x", FILE, 1)], f"holds 'cilium\\\\..\\\\x', {NOT_INSIDE}"),
    "empty name": ([("", FILE, 1)], f"holds '', {NOT_INSIDE}"),
    "symbolic link": ([("cilium/x", LINK, 0)], f"holds 'cilium/x', {NOT_INSIDE}"),
    "hard link": ([("cilium/x", HARD, 0)], f"holds 'cilium/x', {NOT_INSIDE}"),
    "device": ([("cilium/x", DEVICE, 0)], f"holds 'cilium/x', {NOT_INSIDE}"),
    "several folders": ([("a/x", FILE, 1), ("b/x", FILE, 1)], "is no chart: it holds no folder, or several"),
    "no folder": ([("values.yaml", FILE, 1)], "is no chart: it holds no folder, or several"),
    "nothing": ([("cilium", FOLDER, 0)], "is no chart: it holds no folder, or several"),
    "file that is a folder": ([("c/x", FILE, 1), ("c/x/y", FILE, 1)], "is no chart: it holds no folder, or several"),
    "no chart": ([("cilium/x", FILE, 1)], "is no chart: it has neither Chart.yaml nor values.yaml"),
    "more than 64 MiB": ([("cilium/x", FILE, MAX_BYTES + 1)], TOO_MUCH),
    "10,001 members": ([("cilium/x", FILE, 0)], TOO_MUCH),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archive_is_refused_and_writes_nothing(case: str, tmp_path: Path) -> None:
    members, why = HOSTILE[case]
    blocks = []
    for name, kind, size in members:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.linkname = kind, size, "../../../etc/hostname"
        blocks.append(member.tobuf() + bytes(512 if size else 0))
    data = b"".join(blocks) * (MAX_MEMBERS + 1 if case.endswith("members") else 1)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(data, 1))

    with pytest.raises(InputError) as refused, Charts.given(tmp_path / "a.tgz", silent):
        pass

    assert refused.value.message == f"{tmp_path}/a.tgz {why}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tgz", "home"]


# The name of the next member, which is the name of the next: Python's own reader goes a level deeper for each.
LONG_NAME = tarfile.TarInfo("x" * 200).tobuf(tarfile.GNU_FORMAT)[:1024]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        gzip.compress(b"no archive either", mtime=0),
        packed(CHART)[:-20],
        packed(CHART)[:200] + b"damaged" + packed(CHART)[207:],
        gzip.compress(LONG_NAME * 2_000, mtime=0),
    ],
)
def test_what_is_no_archive_is_no_chart(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(data)

    with pytest.raises(InputError) as refused, Charts.given(tmp_path / "a.tgz", silent):
        pass

    assert refused.value.message.startswith(f"{tmp_path}/a.tgz is no chart: ")
    assert refused.value.hint == "give a chart's folder, or its .tgz"


def test_archive_that_grows_without_end_is_cut_off(tmp_path: Path) -> None:
    block = gzip.compress(bytes(1 << 22))
    (tmp_path / "a.tgz").write_bytes(block * 1000)  # 4 GiB

    with pytest.raises(InputError, match="is no chart"), Charts.given(tmp_path / "a.tgz", silent):
        pass


def test_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.tgz").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)

    with pytest.raises(InputError, match=r"a\.tgz is no chart: it has more than 64 MiB"):
        Charts.given(tmp_path / "a.tgz", silent).__enter__()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, " is no chart: it has neither Chart.yaml nor values.yaml"),
        ({"values.yaml": "a: [\n"}, "/values.yaml:2: not YAML: "),
        ({"values.yaml": "- a\n"}, "/values.yaml: no mapping"),
        ({"values.yaml": "a: !!binary 0\n"}, "/values.yaml:1: YAML tags are not read"),
        ({"values.yaml": "#" * ((1 << 20) + 1)}, "/values.yaml:0: the file is larger than 1 MiB"),
        ({"Chart.yaml": "a: b: c\n"}, "/Chart.yaml:1: not YAML: "),
        ({"values.yaml": "", "values.schema.json": "{"}, "/values.schema.json is no JSON Schema"),
        ({"values.yaml": "", "values.schema.json": "[" * 100_000}, "/values.schema.json is no JSON Schema"),
        ({"values.yaml": "", "values.schema.json": "5"}, "/values.schema.json is no JSON Schema"),
        ({"values.yaml": "", "values.schema.json": '{"type": 5}'}, "/values.schema.json is no JSON Schema, at type"),
    ],
)
def test_folder_that_is_no_chart_is_refused(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")

    with pytest.raises(InputError) as refused, Charts.given(tmp_path, silent):
        pass

    assert refused.value.message.startswith(f"{tmp_path}{message}")
    assert refused.value.hint


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that nobody can read, also root")
def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").symlink_to("/proc/self/mem")

    with pytest.raises(InputError) as refused, Charts.given(tmp_path, silent):
        pass

    assert str(refused.value) == f"{tmp_path}/values.yaml cannot be read: Input/output error"


def test_key_that_stands_twice_in_a_chart_is_its_own_business(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text((CHART / "values.yaml").read_text("utf-8") + "agent: false\n", "utf-8")

    with Charts.given(tmp_path, lambda _: None) as charts:
        assert told(charts, environment()) == []


def test_chart_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused, Charts.given(tmp_path / "none", silent):
        pass

    assert str(refused.value) == (
        f"{tmp_path}/none is no chart: there is no such file; give a chart's folder, or its .tgz"
    )


def test_link_to_nowhere_in_a_chart_is_told(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path, dirs_exist_ok=True)
    (tmp_path / "README.md").symlink_to("nowhere")

    with pytest.raises(InputError) as refused, Charts.given(tmp_path, silent):
        pass

    assert refused.value.message == f"{tmp_path} cannot be read: see what its links lead to"


# ---- charts that are pulled


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on the loopback; give its address, and what was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, *_: object) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "library":
        monkeypatch.setenv("PATH", str(tmp_path))
    return str(request.param)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A HelmRepository with our chart in it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    publish(folder, packed(CHART))
    return folder


def publish(folder: Path, data: bytes) -> None:
    (folder / "cilium-1.16.0.tgz").write_bytes(data)
    entry = {
        "apiVersion": "v2",
        "name": "cilium",
        "version": "1.16.0",
        "digest": hashlib.sha256(data).hexdigest(),
        "urls": ["cilium-1.16.0.tgz"],
    }
    index = {"apiVersion": "v1", "entries": {"cilium": [entry]}, "generated": "2026-01-01T00:00:00Z"}
    (folder / "index.yaml").write_text(json.dumps(index), "utf-8")


def from_repository(address: str, *more: str) -> Environment:
    return (
        with_values(*more)
        if not address
        else environment(LAB.replace("  values:", f"  chart: {{repository: '{address}'}}\n  values:"))
    )


PULLED = ["/index.yaml", "/cilium-1.16.0.tgz"]


def test_chart_is_pulled_once_and_then_taken_from_the_cache(way: str, repository: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cache = tmp_path / "cache"
    with served(repository) as (address, asked):
        lab = from_repository(address)
        with Charts.pulled(cache, said.append) as charts:
            first = [told(charts, lab), told(charts, lab)]
        with Charts.pulled(cache, silent) as charts:
            second = told(charts, lab)

    digest = hashlib.sha256(packed(CHART)).hexdigest()
    (ref,) = (cache / "refs").iterdir()
    assert (first, second, asked) == ([[], []], [], PULLED)
    assert said == [f"pulling cilium 1.16.0 from {address}"]
    assert sorted(path.name for path in cache.iterdir()) == [f"{digest}.tgz", "refs"]
    assert json.loads(ref.read_bytes()) == {
        "repository": address,
        "name": "cilium",
        "version": "1.16.0",
        "digest": digest,
    }
    assert ref.name.startswith("cilium-1.16.0-")
    assert way in WAYS


DAMAGE: dict[str, Callable[[Path, Path], object]] = {
    "archive changed": lambda _, archive: archive.write_bytes(archive.read_bytes()[:-1]),
    "archive gone": lambda _, archive: archive.unlink(),
    "entry cut off": lambda ref, _: ref.write_bytes(ref.read_bytes()[:20]),
    "entry of something else": lambda ref, _: ref.write_text("[]", "utf-8"),
    "entry without a digest": lambda ref, _: ref.write_text("{}", "utf-8"),
    "entry that leads out": lambda ref, _: ref.write_bytes(ref.read_bytes().replace(b'"digest": "', b'"digest": "../')),
    "entry of another version": lambda ref, _: ref.write_bytes(ref.read_bytes().replace(b"1.16.0", b"1.16.1")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_cache_is_not_believed(damage: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    reference = Reference("https://helm.example.com", "cilium", "1.16.0")
    cache.keep(reference, b"archive")
    assert cache.get(reference) == b"archive"
    (ref,) = (cache.folder / "refs").iterdir()
    (archive,) = cache.folder.glob("*.tgz")

    DAMAGE[damage](ref, archive)

    assert cache.get(reference) is None


@pytest.mark.parametrize("other", [("https://helm.example.com/a", "cilium"), ("https://helm.example.com", "other")])
def test_cache_keeps_charts_apart(other: tuple[str, str], tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.keep(Reference("https://helm.example.com", "cilium", "1.16.0"), b"archive")

    assert cache.get(Reference(*other, "1.16.0")) is None


def test_damaged_archive_is_pulled_again(repository: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with served(repository) as (address, asked):
        for _ in range(2):
            with Charts.pulled(cache, lambda _: None) as charts:
                assert told(charts, from_repository(address)) == []
            (archive,) = cache.glob("*.tgz")
            archive.write_bytes(b"damaged")

    assert asked == 2 * PULLED


def test_each_version_has_a_chart_of_its_own(repository: Path, tmp_path: Path) -> None:
    with served(repository) as (address, _):
        lab = from_repository(address)
        newer = environment(LAB.replace("1.16.0\n", f"1.16.1\n  chart: {{repository: '{address}'}}\n"))
        with Charts.pulled(tmp_path / "cache", lambda _: None) as charts:
            assert told(charts, lab) == []
            with pytest.raises(ToolError) as failed:
                told(charts, newer)

    why = f'chart "cilium" version "1.16.1" not found in {address} repository'
    assert str(failed.value) == (
        f"helm did not pull cilium 1.16.1 from {address}: {why}; see cilium.chart and cilium.version, or say --chart"
    )


def test_pulled_file_that_is_no_chart_is_refused(repository: Path, tmp_path: Path) -> None:
    publish(repository, b"no archive")

    with (
        served(repository) as (address, _),
        Charts.pulled(tmp_path / "cache", lambda _: None) as charts,
        pytest.raises(InputError) as refused,
    ):
        told(charts, from_repository(address))

    assert refused.value.message == f"cilium 1.16.0 from {address} is no chart: not a .tgz"
