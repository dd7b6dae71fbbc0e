"""Where a remote's address leads, which forge that is, and how a person opens a request there."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import rig
import turned

from generator import forge
from generator.errors import ToolError
from generator.forge import Address, GitHub, GitLab, Other, Request, Text

if TYPE_CHECKING:
    from pathlib import Path

TEXT = Text("keyturn/rotate-lab-2", "main", "lab: rotate IPsec key 1 -> 2", "Every quarter.\n\n| a | b |\n")

GITHUB = Address("github.com", "acme/clusters")
NESTED = Address("gitlab.example.com", "platform/network/clusters")
ON_THE_WEB = {
    "https://github.com/acme/clusters.git": GITHUB,
    "https://github.com/acme/clusters": GITHUB,
    "https://github.com/acme/clusters/": GITHUB,
    "https://github.com/acme/clusters.git/": GITHUB,
    "http://git.example.com/acme/clusters.git": Address("git.example.com", "acme/clusters"),
    "https://git.example.com:8443/acme/clusters.git": Address("git.example.com:8443", "acme/clusters"),
    "https://me@github.com/acme/clusters.git": GITHUB,
    "https://oauth2:glpat-x%40y@gitlab.example.com/platform/network/clusters.git": NESTED,
    "https://gitlab.example.com/platform/network/clusters.git": NESTED,
    "https://github.com/acme/clusters.github.io": Address("github.com", "acme/clusters.github.io"),
    "ssh://git@github.com/acme/clusters.git": GITHUB,
    "ssh://github.com/acme/clusters": GITHUB,
    "ssh://git@gitlab.example.com:2222/platform/network/clusters.git": NESTED,
    "git://git.example.com/acme/clusters.git": Address("git.example.com", "acme/clusters"),
    "git://git.example.com:9418/acme/clusters.git": Address("git.example.com", "acme/clusters"),
    "git@github.com:acme/clusters.git": GITHUB,
    "git@github.com:acme/clusters": GITHUB,
    "git@github.com:acme/clusters/": GITHUB,
    "git@github.com:/acme/clusters.git": GITHUB,
    "github.com:acme/clusters.git": GITHUB,
    "git@gitlab.example.com:platform/network/clusters.git": NESTED,
    "localhost:acme/clusters.git": Address("localhost", "acme/clusters"),
    "git@gitlab:platform/clusters.git": Address("gitlab", "platform/clusters"),
    "ssh://git@[2001:db8::1]:2222/acme/clusters.git": Address("[2001:db8::1]", "acme/clusters"),
}


@pytest.mark.parametrize(("url", "where"), ON_THE_WEB.items(), ids=ON_THE_WEB)
def test_every_form_of_an_address_leads_to_its_host_and_path(url: str, where: Address) -> None:
    assert forge.address(url) == where


FOLDERS = [
    "/srv/git/clusters.git",
    "../clusters.git",
    "./clusters.git",
    "clusters",
    "file:///srv/git/clusters.git",
    "/srv/git.example.com:8080/clusters.git",
    "./git.example.com:acme/clusters.git",
    "",
]


@pytest.mark.parametrize("url", FOLDERS)
def test_folder_leads_nowhere_on_the_web(url: str) -> None:
    assert forge.address(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://me:s3cret@git.example.com/a/b",
        "https://me:s3@cret@git.example.com/a/b",
        "https://s3cret@git.example.com/a/b",
        "ssh://s3cret@git.example.com/a/b",
    ],
)
def test_address_forgets_who_logs_in(url: str) -> None:
    assert str(forge.address(url)) == "https://git.example.com/a/b"


FOUND = {
    "GitHub": ("https://github.com/acme/clusters.git", GitHub),
    "a GitHub of one's own": ("https://github.example.com/acme/clusters.git", GitHub),
    "GitHub in capitals": ("git@GitHub.com:acme/clusters.git", GitHub),
    "GitLab": ("https://gitlab.com/g/p.git", GitLab),
    "a GitLab of one's own": ("git@gitlab.example.com:g/p.git", GitLab),
    "Gitea": ("https://gitea.example.com/acme/clusters.git", Other),
    "any other": ("https://git.example.com/acme/clusters.git", Other),
    "a path that says github": ("https://git.example.com/github/clusters.git", Other),
    "a folder": ("/srv/github.com/clusters.git", Other),
}


@pytest.mark.parametrize(("url", "kind"), FOUND.values(), ids=FOUND)
def test_forge_is_found_by_the_host_alone(tmp_path: Path, url: str, kind: type[forge.Forge]) -> None:
    found = forge.find(tmp_path, [url], None)

    assert (type(found), found.where) == (kind, forge.address(url))


@pytest.mark.parametrize(("named", "kind"), [("github", GitHub), ("gitlab", GitLab), ("gitea", Other)])
def test_forge_that_is_named_goes_before_the_host(tmp_path: Path, named: str, kind: type[forge.Forge]) -> None:
    found = forge.find(tmp_path, ["https://github.com/acme/clusters.git"], named)

    assert (type(found), found.where) == (kind, GITHUB)


@pytest.mark.parametrize(
    "urls", [["/mirror/clusters", "git@github.com:acme/clusters"], ["x.io:a/b", "git@github.com:acme/clusters"]]
)
def test_forge_is_found_by_whichever_address_tells_it(tmp_path: Path, urls: list[str]) -> None:
    found = forge.find(tmp_path, urls, None)

    assert (type(found), found.where) == (GitHub, GITHUB)


def test_remote_without_an_address_leaves_the_repository_to_the_tool(tmp_path: Path) -> None:
    found = forge.find(tmp_path, ["/srv/git/clusters.git"], "github")

    words = ["gh", "pr", "create", "--base", "main", "--head", TEXT.branch, "--title", TEXT.title, "--body", ""]
    assert (found.where, shlex.split(found.by_hand(TEXT))) == (None, words)


# By hand


def test_person_is_given_a_command_for_github_that_a_shell_takes(tmp_path: Path) -> None:
    found = forge.find(tmp_path, ["git@github.example.com:acme/clusters.git"], None)

    words = ["--base", "main", "--head", TEXT.branch, "--title", TEXT.title, "--body", ""]
    asked = ["gh", "pr", "create", "--repo", "github.example.com/acme/clusters", *words]
    assert shlex.split(found.by_hand(TEXT)) == asked


def test_person_is_given_the_page_of_gitlab_with_both_branches(tmp_path: Path) -> None:
    found = forge.find(tmp_path, ["ssh://git@gitlab.example.com:2222/platform/network/clusters.git"], None)

    said, _, url = found.by_hand(Text("keyturn/a&b", "rele#ase", "t", "b")).partition(" ")

    page, query = urlsplit(url), parse_qs(urlsplit(url).query)
    assert (said, f"{page.scheme}://{page.netloc}{page.path}", page.fragment, query) == (
        "open",
        "https://gitlab.example.com/platform/network/clusters/-/merge_requests/new",
        "",
        {"merge_request[source_branch]": ["keyturn/a&b"], "merge_request[target_branch]": ["rele#ase"]},
    )


def test_person_is_given_the_page_of_gitea(tmp_path: Path) -> None:
    found = forge.find(tmp_path, ["https://git.example.com:3000/acme/clusters.git"], None)

    assert found.by_hand(TEXT) == "open https://git.example.com:3000/acme/clusters/compare/main...keyturn/rotate-lab-2"


def test_person_is_told_both_branches_where_there_is_no_address(tmp_path: Path) -> None:
    found = forge.find(tmp_path, ["/srv/git/clusters.git"], None)

    assert found.by_hand(TEXT) == "open a request for keyturn/rotate-lab-2 to main"


# Push options


def test_push_options_take_the_first_words_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    body = "The key is old,\n  and\tsomebody left.\nReally.\n\n| a | b |\n|---|---|\n"

    options = forge.find(tmp_path, ["https://gitlab.com/g/p"], None).options(Text("b", "main", "lab: 1 -> 2", body))

    assert options == [
        "merge_request.create",
        "merge_request.target=main",
        "merge_request.title=lab: 1 -> 2",
        "merge_request.description=The key is old, and somebody left. Really.",
    ]


@pytest.mark.parametrize("end", ["\v", "\f", "\x85", "\u2028", "\r", "\r\n"])
def test_push_options_have_no_line_end_of_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    options = forge.find(tmp_path, ["https://gitlab.com/g/p"], None).options(Text("b", "main", "t", f"one{end}two"))

    assert options[-1] == "merge_request.description=one two"


def test_gitlab_with_its_tool_gets_no_push_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.script(tmp_path, "glab", "exit 0\n")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert forge.find(tmp_path, ["https://gitlab.com/g/p"], None).options(TEXT) == []


@pytest.mark.parametrize("url", ["https://github.com/acme/clusters", "https://git.example.com/acme/clusters"])
def test_no_other_forge_gets_push_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert forge.find(tmp_path, [url], None).options(TEXT) == []


SAID = {
    "remote: View merge request for x:\nremote:   https://gitlab.com/g/p/-/merge_requests/7\nremote:\n": (
        "https://gitlab.com/g/p/-/merge_requests/7"
    ),
    "remote:   https://gitlab.com/g/p/merge_requests/7        \n": "https://gitlab.com/g/p/merge_requests/7",
    "remote: To create a merge request for x, visit:\n"
    "remote:   https://gitlab.com/g/p/-/merge_requests/new?merge_request%5Bsource_branch%5D=x\n": None,
    "To gitlab.com:g/p.git\n * [new branch] x -> x\n": None,
}


@pytest.mark.parametrize(("said", "url"), SAID.items())
def test_request_of_a_push_is_the_one_that_gitlab_shows(tmp_path: Path, said: str, url: str | None) -> None:
    assert forge.find(tmp_path, ["https://gitlab.com/g/p"], None).opened(said) == url


# What the tools answer


def answering(folder: Path, patch: pytest.MonkeyPatch, tool: str, body: str) -> forge.Forge:
    rig.script(folder / "bin", tool, body)
    patch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    return forge.find(folder, [f"https://git{'hub' if tool == 'gh' else 'lab'}.com/g/p"], None)


@pytest.mark.parametrize(("tool", "verb"), [("gh", "pr"), ("glab", "mr")])
@pytest.mark.parametrize("body", ["echo '{}'\n", "echo 'not JSON'\n", "echo '[1]'\n", "printf '\\377\\376'\n"])
def test_answer_that_is_no_list_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, verb: str, body: str
) -> None:
    there = answering(tmp_path, monkeypatch, tool, body)

    with pytest.raises(ToolError) as failed:
        there.requests("x")
    assert str(failed.value) == f"{tool} {verb} list did not answer with a list"


@pytest.mark.parametrize("tool", ["gh", "glab"])
def test_new_request_may_be_without_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    there = answering(tmp_path, monkeypatch, tool, "echo made it\n")

    assert there.create(TEXT) is None


@pytest.mark.parametrize("who", ["me:ghp_abc", "ghp_abc", "me:gh@p_abc"])
def test_failure_is_told_on_one_line_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    body = f"echo 'HTTP 401' >&2\necho 'for https://{who}@github.com/g/p' >&2\nexit 1\n"
    there = answering(tmp_path, monkeypatch, "gh", body)

    with pytest.raises(ToolError) as failed:
        there.requests("x")
    assert (
        re.sub(r"(\[redacted\]@?)+", "*", str(failed.value))
        == "gh pr list failed: HTTP 401 for https://*github.com/g/p"
    )


def test_failure_without_a_word_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = answering(tmp_path, monkeypatch, "glab", "exit 7\n")

    with pytest.raises(ToolError) as failed:
        there.update(Request("4", "https://x", is_open=True, is_merged=False, created=turned.now()), TEXT)
    assert str(failed.value) == "glab mr update failed: it says nothing"


@pytest.mark.parametrize("body", ["exec sleep 5\n", "sleep 5\n"], ids=["itself", "a program that it runs"])
def test_tool_that_hangs_is_ended_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    there = answering(tmp_path, monkeypatch, "gh", body)
    monkeypatch.setattr(forge, "_SECONDS", 0.2)

    with pytest.raises(ToolError) as failed:
        there.requests("x")
    assert str(failed.value) == "gh did not answer within 0.2 s"
