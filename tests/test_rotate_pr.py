"""`rotate --pr`: a branch that is pushed, and one request for it, whoever runs it and however often."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import forges
import pytest
import rig
import sealed
import turned
from forges import BRANCH, FIRST, Forge

if TYPE_CHECKING:
    from pathlib import Path

    from kit import Repo

TITLE = "lab: rotate IPsec key 2 -> 3"
TOOLS = pytest.mark.parametrize("tool", ["gh", "glab"])
VERB = {"gh": "gh pr", "glab": "glab mr"}
EDIT = {"gh": "gh pr edit", "glab": "glab mr update"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forges.prepared(tmp_path_factory)


@pytest.fixture
def forge(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forge:
    return forges.start(prepared, tmp_path / "forge", monkeypatch)


def errors(text: str) -> list[str]:
    return re.findall("(?m)^keyturn: error: (.*)$", text)


def stuck(forge: Forge, *arguments: str) -> str:
    """See that a rotation of `lab` makes its branch and no request, and ends with 3; return its one error."""
    ran = forge.rotate("lab", "--pr", *arguments)
    (line,) = errors(ran.err)
    assert (ran.code, turned.branches(forge.repo)) == (3, [BRANCH])
    assert re.fullmatch(rf"lab: IPsec key 2 -> 3 on {BRANCH} at [0-9a-f]{{12}}\n", ran.out)
    return line


# The request


@TOOLS
def test_rotation_is_pushed_and_requested_with_a_table_for_the_reviewer(forge: Forge, tool: str) -> None:
    forges.at(forge, tool)

    (done,) = forge.asked("lab", "--reason", "Every quarter.")["rotations"]

    (made,) = forge.requests()
    assert (made["branch"], made["target"], made["title"]) == (BRANCH, "main", TITLE)
    before, after = (turned.told(forge.repo, revision, "lab") for revision in ("main", BRANCH))
    who = turned.recipients(forge.repo, BRANCH, "lab")[0]
    cells = ["lab", "", "2 -> 3", "rfc4106(gcm(aes)), AES-128", f"`{before['fingerprint']}`"]
    cells += [f"`{after['fingerprint']}`", "400 days", f"`age: {who}`"]
    why, head, rule, row, checks = re.split(r"\n\n(?=\|)|(?<=\|)\n(?=\|)|\n\nTo check:\n\n", made["body"])
    assert (why, row, len(head.split("|")), len(rule.split("|"))) == (
        "Every quarter.",
        f"| {' | '.join(cells)} |",
        10,
        10,
    )
    assert [line[:6] for line in checks.splitlines()] == ["- [ ] "] * 5
    assert (done["pull_request"], done["commit"], forge.there()) == (
        FIRST[tool],
        turned.tip(forge.repo, BRANCH),
        {BRANCH: turned.tip(forge.repo, BRANCH)},
    )


def test_github_gets_the_body_on_stdin(forge: Forge) -> None:
    forges.at(forge, "gh")

    forge.asked("lab")

    (_, nothing), (words, body) = forge.calls
    named = ["--base", "main", "--head", BRANCH, "--title", TITLE, "--body-file", "-"]
    assert (nothing, words) == ("", ["gh", "pr", "create", "--repo", "acme/clusters", *named])
    assert body == forge.requests()[0]["body"]


@TOOLS
def test_key_is_in_no_word_that_a_tool_is_given(forge: Forge, home: Path, prepared: Path, tool: str) -> None:
    forges.at(forge, tool)
    rig.keyring(home).parent.mkdir(parents=True)
    rig.keyring(home).write_bytes((prepared / "keys.txt").read_bytes())

    ran = forge.rotate("lab", "--pr", "--output", "json")

    material = turned.key(forge.repo, BRANCH, "lab").material.hex()
    told = repr(forge.calls) + ran.out + ran.err
    assert (ran.code, len(forge.calls), [material[at : at + 12] in told for at in range(28)]) == (0, 2, [False] * 28)


@TOOLS
def test_second_run_makes_no_key_and_updates_the_request(forge: Forge, tool: str) -> None:
    forges.at(forge, tool)
    first = forge.asked("lab")
    forge.change(1, title="words of a person", body="")
    body = forge.calls[1][1] or forge.calls[1][0][-2]

    again = forge.asked("lab")

    (made,) = forge.requests()
    assert (again, made["title"], made["body"]) == (first, TITLE, body)
    assert forge.verbs == [f"{VERB[tool]} list", f"{VERB[tool]} create", f"{VERB[tool]} list", EDIT[tool]]


@TOOLS
def test_branch_that_was_not_pushed_is_pushed_and_requested(forge: Forge, tool: str) -> None:
    forges.at(forge, tool)
    forge.rotate("lab", "--reason", "Bob left.")
    commit = turned.tip(forge.repo, BRANCH)

    ran = forge.rotate("lab", "--pr")

    told = f"lab: IPsec key 2 -> 3 on {BRANCH} at {commit[:12]}, {FIRST[tool]}\n"
    assert (ran.code, ran.out, ran.err) == (0, told, f"keyturn: {BRANCH} waits already: no new key\n")
    assert (forge.there(), forge.requests()[0]["title"]) == ({BRANCH: commit}, TITLE)
    assert forge.requests()[0]["body"].startswith("Bob left.\n\n| environment |")


def test_commits_that_a_reviewer_added_stay_and_the_request_is_found(forge: Forge) -> None:
    forges.at(forge, "gh")
    forge.asked("lab")
    other = forge.clone("reviewer")
    other.git("switch", "-q", BRANCH)
    other.git("commit", "-q", "--allow-empty", "-m", "looked at it")
    other.git("push", "-q", "origin", BRANCH)

    again = forge.rotate("lab", "--pr")

    assert (again.code, errors(again.err), forge.there()) == (0, [], {BRANCH: turned.tip(other, BRANCH)})


def test_mesh_is_one_request_with_a_row_for_each_member(forge: Forge) -> None:
    forges.at(forge, "gh")

    (done,) = forge.asked("b")["rotations"]

    (made,) = forge.requests()
    rows = [line.split(" | ")[:3] for line in made["body"].splitlines() if re.match(r"\| [ab] ", line)]
    assert (made["title"], rows) == (
        "mesh prod: rotate IPsec key 15 -> 1",
        [["| a", "prod", "15 -> 1"], ["| b", "prod", "15 -> 1"]],
    )
    assert (made["branch"], done["pull_request"]) == ("keyturn/rotate-mesh-prod-1", FIRST["gh"])


def test_together_is_one_request_for_all(forge: Forge) -> None:
    forges.at(forge, "gh")

    done = forge.asked("--due", "--together")["rotations"]

    (made,) = forge.requests()
    rows = re.findall(r"(?m)^\| (\w+) \|  \| 2 -> 3 ", made["body"])
    assert (made["title"], made["branch"], rows) == (
        "together: rotate the IPsec keys of 3 environments",
        "keyturn/rotate-together",
        ["lab", "one", "two"],
    )
    assert [one["pull_request"] for one in done] == [FIRST["gh"]] * 3


@pytest.mark.parametrize("more", [(), ("two",)], ids=["nothing more", "one more"])
def test_together_twice_keeps_one_request_that_shows_all(forge: Forge, more: tuple[str, ...]) -> None:
    forges.at(forge, "gh")
    forge.asked("lab", "one", "--together")

    forge.asked("lab", "one", *more, "--together")

    (made,) = forge.requests()
    rows = re.findall(r"(?m)^\| (\w+) \|  \| 2 -> 3 ", made["body"])
    tip = turned.tip(forge.repo, "keyturn/rotate-together")
    assert (forge.there(), sorted(rows)) == ({"keyturn/rotate-together": tip}, ["lab", "one", *more])


def test_dry_run_asks_nobody_and_pushes_nothing(forge: Forge) -> None:
    forges.at(forge, "gh")

    ran = forge.rotate("lab", "--pr", "--dry-run")

    assert (ran.code, forge.calls, forge.there(), turned.branches(forge.repo)) == (0, [], {}, [])


# Requests of before


@TOOLS
@pytest.mark.parametrize("waits", [True, False], ids=["of the rotation that waits", "of one that was dropped"])
def test_closed_request_is_a_persons_word_and_stays_closed(forge: Forge, tool: str, *, waits: bool) -> None:
    forges.at(forge, tool)
    forge.put("closed")
    if waits:
        forge.rotate("lab")

    ran = forge.rotate("lab", "--pr")

    drop = f"git branch -D {BRANCH}, then " if waits else ""
    hint = f"reopen it; or, for another key: {drop}rotate with another --branch"
    assert (ran.code, errors(ran.err)) == (3, [f"{FIRST[tool]} was closed by a person; {hint}"])
    assert (forge.there(), turned.branches(forge.repo)) == ({}, [BRANCH] if waits else [])
    assert (forge.verbs, [one["state"] for one in forge.requests()]) == ([f"{VERB[tool]} list"], ["closed"])


def test_closed_request_is_a_persons_word_in_any_time_zone(forge: Forge) -> None:
    forges.at(forge, "glab")
    made = turned.now() - turned.DAY + 10 * turned.MINUTE - 11 * 60 * turned.MINUTE
    turned.hold(forge.repo, "lab", sealed.key(2), previous=1, old=turned.DAY)
    turned.commit(forge.repo, ago=turned.DAY)
    forge.repo.git("push", "-q", "origin", "main")
    forge.put("closed", created=f"{made:%Y-%m-%dT%H:%M:%S}.000-11:00")

    assert "was closed by a person" in forge.rotate("lab", "--pr").err


FORMER = {
    "merged": ("gh", {"state": "merged"}),
    "merged there": ("glab", {"state": "merged"}),
    "closed before the old key was made": ("gh", {"state": "closed", "ago": forges.OLD + turned.DAY}),
    "a fork's, open": ("gh", {"state": "open", "fork": True}),
    "a fork's, open there": ("glab", {"state": "open", "fork": True}),
    "a fork's, closed there": ("glab", {"state": "closed", "fork": True}),
}


@pytest.mark.parametrize(("tool", "what"), FORMER.values(), ids=FORMER)
def test_request_of_another_round_or_of_a_fork_does_not_matter(forge: Forge, tool: str, what: dict[str, Any]) -> None:
    forges.at(forge, tool)
    forge.put(**what)
    before = forge.requests()[0]

    (done,) = forge.asked("lab")["rotations"]

    assert done["pull_request"] == re.sub("1$", "2", FIRST[tool])
    assert (forge.requests()[0], [one["state"] for one in forge.requests()]) == (before, [what["state"], "open"])


def test_due_twice_makes_no_second_request(forge: Forge) -> None:
    forges.at(forge, "gh")
    forge.asked("--due")
    there, requests = forge.there(), forge.requests()

    again = forge.asked("--due")

    waits = [{"environment": n, "reason": f"its rotation waits on keyturn/rotate-{n}-3"} for n in ("lab", "one", "two")]
    assert (again["rotations"], again["skipped"]) == ([], waits)
    assert (forge.there(), forge.requests(), sorted(there)) == (
        there,
        requests,
        [f"keyturn/rotate-{name}-3" for name in ("lab", "one", "two")],
    )


def test_runner_with_a_fresh_clone_each_time_makes_no_second_request(forge: Forge) -> None:
    forges.at(forge, "gh")
    first, second = forge.clone("first"), forge.clone("second")
    turned.answer(first, "--due", "--pr")
    there = forge.there()

    again = turned.rotate(second, "--due", "--pr")

    waits = [f"{name}: skipped, its rotation waits on origin/keyturn/rotate-{name}-3" for name in ("lab", "one", "two")]
    assert (again.code, again.out.splitlines(), forge.there(), len(forge.requests())) == (0, waits, there, 3)


# Not too many at a time


def test_no_more_requests_than_the_limit_are_open_at_a_time(forge: Forge) -> None:
    forges.at(forge, "gh")
    waits = "waits for the next run: no more than --limit 2"

    first = forge.asked("--due", "--limit", "2")
    second = forge.asked("--due", "--limit", "2")
    forge.merged("keyturn/rotate-lab-3", ago=turned.DAY)
    third = forge.asked("--due", "--limit", "2")

    branches = [[one["branch"] for one in run["rotations"]] for run in (first, second, third)]
    assert branches == [["keyturn/rotate-lab-3", "keyturn/rotate-one-3"], [], ["keyturn/rotate-two-3"]]
    assert first["skipped"] == [{"environment": "two", "reason": waits}]
    assert second["skipped"][-1] == {"environment": "two", "reason": waits}
    assert [one["branch"] for one in forge.requests()] == [f"keyturn/rotate-{name}-3" for name in ("lab", "one", "two")]


def test_requests_of_others_count_too(forge: Forge) -> None:
    forges.at(forge, "gh")
    turned.answer(forge.clone("other"), "new", "lab", "--pr")

    done = forge.asked("--due", "--limit", "3")

    assert [one["environments"] for one in done["rotations"]] == [["one"]]
    assert [one["environment"] for one in done["skipped"]] == ["lab", "two"]


def test_branch_that_nobody_pushed_is_no_open_request(forge: Forge) -> None:
    forges.at(forge, "gh")
    forge.rotate("new")

    done = forge.asked("--due", "--limit", "1")

    assert [one["environments"] for one in done["rotations"]] == [["lab"]]


# Tools that are not there, or fail


@pytest.mark.parametrize("url", [forges.GITEA, forges.GITHUB])
def test_gitea_gets_the_branch_and_a_person_the_page(forge: Forge, url: str) -> None:
    forge.address(url)
    forge.tool("gh")

    ran = forge.rotate("lab", "--pr", "--output", "json", *(["--forge", "gitea"] if url == forges.GITHUB else []))

    page = f"{url.removesuffix('.git')}/compare/main...{BRANCH}"
    assert (ran.code, ran.err, forge.calls) == (0, f"keyturn: {BRANCH} is pushed; open {page}\n", [])
    assert (forge.there(), '"pull_request": null' in ran.out) == ({BRANCH: turned.tip(forge.repo, BRANCH)}, True)


@pytest.mark.parametrize(
    ("says", "url"), [(forges.SAYS_WHERE, "https://gitlab.example.com/g/p/-/merge_requests/7"), ("", None)]
)
def test_gitlab_without_its_tool_gets_push_options(forge: Forge, says: str, url: str | None) -> None:
    forge.address(forges.GITLAB)
    forges.takes_options(forge, says)

    (done,) = forge.asked("lab", "--reason", "Bob left.\n\nAnd took\nhis key.")["rotations"]

    assert (done["pull_request"], forges.options(forge)) == (
        url,
        [
            "merge_request.create",
            "merge_request.target=main",
            f"merge_request.title={TITLE}",
            "merge_request.description=Bob left.",
        ],
    )


def test_github_without_its_tool_leaves_the_branch_and_says_the_command(forge: Forge) -> None:
    forge.address(forges.GITHUB)

    line = stuck(forge)

    asked = f"gh pr create --repo acme/clusters --base main --head {BRANCH} --title '{TITLE}' --body ''"
    hint = f"{BRANCH} is pushed and stays: {asked}"
    assert line == f"gh is not to be found, and it opens requests there; {hint}"
    assert forge.there() == {BRANCH: turned.tip(forge.repo, BRANCH)}


def test_no_remote_leaves_the_branch_and_says_the_commands(forge: Forge) -> None:
    forge.repo.git("remote", "remove", "origin")

    hint = f"git remote add origin URL, git push origin {BRANCH}, and open a request for it"
    assert stuck(forge) == f"there is no remote to push {BRANCH} to; {hint}"


REFUSED = {
    "on the other side": ("bare", "echo 'error: nobody pushes here' >&2\nexit 1\n", "nobody pushes here"),
    "on this side": ("clone", "cat >../hooked\necho 'error: not on a Friday' >&2\nexit 1\n", "not on a Friday"),
}


@pytest.mark.parametrize(("where", "body", "why"), REFUSED.values(), ids=REFUSED)
def test_hook_that_refuses_leaves_the_branch_and_the_next_run_goes_on(
    forge: Forge, where: str, body: str, why: str
) -> None:
    forges.at(forge, "gh")
    repo, name = (forge.bare, "pre-receive") if where == "bare" else (forge.repo, "pre-push")
    forge.hook(repo, name, body)

    line, there, verbs = stuck(forge), forge.there(), forge.verbs
    forge.hook(repo, name, "exit 0\n")
    (done,) = forge.asked("lab")["rotations"]

    stays = f"origin did not take {BRANCH}: {why}; the branch stays: git push origin {BRANCH}, then "
    assert (line.startswith(stays), there, verbs) == (True, {}, ["gh pr list"]), line
    assert (done["pull_request"], forge.there()) == (FIRST["gh"], {BRANCH: done["commit"]})


def test_hook_before_a_push_sees_what_is_pushed(forge: Forge) -> None:
    forge.hook(forge.repo, "pre-push", "cat >../hooked\n")

    forge.rotate("lab", "--pr")

    pushed = (forge.folder / "hooked").read_text("utf-8").split()[1:3]
    assert pushed == [turned.tip(forge.repo, BRANCH), f"refs/heads/{BRANCH}"]


@pytest.mark.parametrize(("tool", "verb"), [("gh", "list"), ("gh", "create"), ("glab", "create")])
def test_tool_that_fails_is_told_and_the_next_run_goes_on(forge: Forge, tool: str, verb: str) -> None:
    forges.at(forge, tool)
    forge.broken(f"{VERB[tool]} {verb}")

    line, there = stuck(forge), forge.there()
    commit = turned.tip(forge.repo, BRANCH)
    forge.broken("")
    (done,) = forge.asked("lab")["rotations"]

    assert line.partition(";")[0] == f"{VERB[tool]} {verb} failed: HTTP 502: Bad gateway"
    assert (there, forge.there()) == ({} if verb == "list" else {BRANCH: commit}, {BRANCH: commit})
    assert (done["commit"], done["pull_request"]) == (commit, FIRST[tool])


def test_tool_that_fails_at_all_is_told_for_each_and_leaves_every_branch(forge: Forge) -> None:
    forges.at(forge, "gh")
    forge.broken("gh pr list")

    ran = forge.rotate("--due", "--pr")

    branches = [f"keyturn/rotate-{name}-3" for name in ("lab", "one", "two")]
    assert (ran.code, len(errors(ran.err)), turned.branches(forge.repo), forge.there()) == (3, 3, branches, {})


# Branches of others


@pytest.mark.parametrize("stale", ["moved", "merged", "squashed"])
def test_leftover_branch_on_the_remote_is_replaced(forge: Forge, stale: str) -> None:
    forges.at(forge, "gh")
    forge.asked("lab")
    if stale != "moved":
        forge.merged(BRANCH, ago=turned.DAY, squash=stale == "squashed")
        forge.change(1, state="merged")
    forge.moved()
    forge.repo.git("branch", "-D", BRANCH)

    (done,) = forge.asked("lab")["rotations"]

    tip = turned.tip(forge.repo, BRANCH)
    assert (forge.there(), turned.told(forge.repo, BRANCH, "lab")["fingerprint"]) == (
        {BRANCH: tip},
        done["fingerprint"],
    )
    assert done["pull_request"] == (FIRST["gh"] if stale == "moved" else re.sub("1$", "2", FIRST["gh"]))


def theirs(forge: Forge) -> Repo:
    """Another person's clone, with a commit of theirs on the branch that a rotation of `lab` would take."""
    other = forge.forward(forge.clone("other"))
    there = BRANCH in forge.there()
    other.git("switch", "-q", "-C", BRANCH, f"origin/{BRANCH}" if there else "main")
    other.git("commit", "-q", "--allow-empty", "-m", "theirs")
    return other


STALE = pytest.mark.parametrize("stale", [True, False], ids=["on a stale rotation", "on the base"])


@STALE
def test_commit_that_comes_meanwhile_is_never_overwritten(forge: Forge, *, stale: bool) -> None:
    forges.at(forge, "gh")
    if stale:
        forge.asked("lab")
        forge.moved()
    other = theirs(forge)
    forge.meanwhile(f"cd {other.root} && git push -q origin {BRANCH}\n")

    line = stuck(forge)

    assert line.startswith(f"origin did not take {BRANCH}: ")
    assert forge.there() == {BRANCH: turned.tip(other, BRANCH)}


@STALE
def test_commit_of_somebody_else_is_seen_before_a_key_is_made_and_the_way_out_works(
    forge: Forge, *, stale: bool
) -> None:
    forges.at(forge, "gh")
    if stale:
        forge.asked("lab")
        forge.moved()
    other = theirs(forge)
    other.git("push", "-q", "origin", BRANCH)

    ran = forge.rotate("lab", "--pr")

    (line,) = errors(ran.err)
    reason = f"origin/{BRANCH} holds what cannot be merged any more, and commits of somebody else"
    way = f"git push origin --delete {BRANCH}"
    assert line == f"{reason}; {way} drops it, or another name by --branch"
    assert (ran.code, forge.there()) == (3, {BRANCH: turned.tip(other, BRANCH)})
    forge.repo.git(*way.split()[1:])
    assert forge.rotate("lab", "--pr").code == 0


def test_second_of_two_people_at_once_is_told(forge: Forge) -> None:
    forges.at(forge, "gh")
    other = forge.clone("other")
    turned.rotate(other, "lab")
    forge.meanwhile(f"cd {other.root} && git push -q origin {BRANCH}\n")

    line = stuck(forge)

    assert line.startswith(f"origin did not take {BRANCH}: ")
    assert forge.there() == {BRANCH: turned.tip(other, BRANCH)}


def test_second_of_two_people_one_after_the_other_gets_the_first_ones_request(forge: Forge) -> None:
    forges.at(forge, "gh")
    other = forge.clone("other")
    (done,) = turned.answer(other, "lab", "--pr")["rotations"]

    again = forge.rotate("lab", "--pr")

    told = f"lab: IPsec key 2 -> 3 on {BRANCH} at {done['commit'][:12]}, {FIRST['gh']}\n"
    assert (again.code, again.out, turned.branches(forge.repo)) == (0, told, [])
    assert again.err == f"keyturn: origin/{BRANCH} waits already: no new key\n"


# What may not be told, and what is told as it is

WEB = "https://{}127.0.0.1:1/acme/clusters.git"


@pytest.mark.parametrize("who", ["me:t0pgear@", "t0pgear@", "oauth2:t0p%40gear@"])
@pytest.mark.parametrize("which", ["url", "pushurl"])
def test_password_of_a_remote_is_never_shown(forge: Forge, who: str, which: str) -> None:
    forge.repo.git("config", f"remote.origin.{which}", WEB.format(who))

    ran = rig.command(forge.repo.root, "-v", "rotate", "lab", "--pr")

    assert (ran.code, len(errors(ran.err))) == (3, 1)
    assert re.findall("t0p|gear|oauth2|me:", (ran.out + ran.err).replace(str(forge.folder), "")) == []


@pytest.mark.parametrize("reason", ["a\x01b", "tab\tand\x1b[31mcolour", "Ünïcode ☃"])
def test_reason_with_any_character_is_found_again(forge: Forge, reason: str) -> None:
    forges.at(forge, "gh")
    forge.rotate("lab", "--reason", reason)

    (done,) = forge.asked("lab")["rotations"]

    assert (done["pull_request"], forge.requests()[0]["body"].partition("\n\n")[0]) == (FIRST["gh"], reason)
