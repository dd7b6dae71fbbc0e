"""The one key of a mesh, with the real sops and age: who gets it, from whom, and what forbids it."""

from __future__ import annotations

import base64
import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import rig
import sealed
import yaml
from kit import IPSEC, WIREGUARD, Ran, Repo

from generator.app import keymaking, recipients
from generator.app import render as app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

A, B, C = (sealed.path(name) for name in "abc")


@pytest.fixture
def mesh(repo: Repo, home: Path) -> Repo:
    return sealed.mesh(repo, home)


TOGETHER = "keyturn: {} is rendered too: the members of a mesh get their first key together\n"


# The first key


@pytest.mark.parametrize(("named", "together"), [("", ""), ("b", "ac"), ("ca", "b")], ids=["all", "one", "two"])
def test_first_render_gives_every_member_one_key_under_a_data_key_of_its_own(
    mesh: Repo, named: str, together: str
) -> None:
    ran = rig.command(mesh.root, "-q", "render", *named)

    assert ran == Ran(0, "", "".join(map(TOGETHER.format, together)))
    assert len({sealed.opened(mesh, name) for name in "abc"}) == 1
    secrets = [sealed.read(mesh, name) for name in "abc"]
    assert len({secret["stringData"]["keys"] for secret in secrets}) == 3
    assert len({secret["sops"]["age"][0]["enc"] for secret in secrets}) == 3
    assert len({str(secret["metadata"]["annotations"]) for secret in secrets}) == 1


def test_members_that_were_not_named_are_told_in_json_too(mesh: Repo) -> None:
    ran = rig.command(mesh.root, "render", "b", "--output", "json")

    names = re.findall(r'"name": "(\w+)"', ran.out)
    assert (ran.code, names, ran.err) == (0, ["a", "b", "c"], TOGETHER.format("a") + TOGETHER.format("c"))


@pytest.mark.parametrize("named", ["", "b"])
def test_second_render_changes_nothing(mesh: Repo, home: Path, named: str) -> None:
    rig.command(mesh.root, "render")
    before = sealed.standing(mesh)
    sealed.shut(home)

    ran = rig.command(mesh.root, "-q", "render", *named)

    assert (ran, sealed.standing(mesh)) == (Ran(0, "", ""), before)


@pytest.mark.parametrize("named", ["", "b"])
def test_check_names_every_secret_and_makes_none(mesh: Repo, home: Path, named: str) -> None:
    sealed.shut(home)
    before = sealed.standing(mesh)

    ran = rig.command(mesh.root, "render", "--check", *named)

    assert (ran.code, re.findall("created (.*/secrets/.*sops.*)", ran.out)) == (1, [A, B, C])
    assert ran.err == "".join(map(TOGETHER.format, "ac" if named else ""))
    assert sealed.standing(mesh) == before


def test_first_key_needs_no_private_key(mesh: Repo, home: Path) -> None:
    sealed.shut(home)

    assert rig.command(mesh.root, "-q", "render") == Ran(0, "", "")


def test_each_mesh_has_a_key_of_its_own_and_so_has_a_cluster_outside(mesh: Repo) -> None:
    mesh.environment("d", sealed.member(1, "staging"))
    mesh.environment("e", sealed.member(2, "staging"))
    for name in "fg":
        mesh.environment(name, f"{IPSEC}gitops: {{engine: none}}\n")

    rig.command(mesh.root, "render")

    keys = [yaml.safe_load(sealed.opened(mesh, name))["stringData"]["keys"] for name in "abcdefg"]
    assert [keys.index(key) for key in keys] == [0, 0, 0, 3, 3, 5, 6]


def test_mesh_with_wireguard_has_no_secret(repo: Repo) -> None:
    for number, name in enumerate("ab", start=1):
        repo.environment(name, f"{WIREGUARD}cluster: {{mesh: prod, id: {number}}}\n")

    ran = rig.command(repo.root, "-q", "render", "a")

    assert (ran, (repo.root / "clusters/b").exists()) == (Ran(0, "", ""), False)
    assert [path for path in repo.files() if "secrets" in path or "sops" in path] == []


def test_broken_file_outside_the_mesh_does_not_stop_a_member(mesh: Repo) -> None:
    mesh.environment("stranger", "cilium: [\n")

    assert rig.command(mesh.root, "-q", "render", "a").code == 0


def rules(**recipient: str) -> str:
    """A `.sops.yaml` with a rule for each environment."""
    return "creation_rules:\n" + "".join(
        f"  - path_regex: ^clusters/{name}/\n    encrypted_regex: ^(data|stringData)$\n    age: {public}\n"
        for name, public in recipient.items()
    )


def test_members_may_have_recipients_of_their_own(mesh: Repo, home: Path) -> None:
    public = {name: rig.identity(rig.keyring(home)) for name in "abc"}
    mesh.write(".sops.yaml", rules(**public))

    rig.command(mesh.root, "render")

    assert len({sealed.opened(mesh, name) for name in "abc"}) == 1
    assert {name: sealed.read(mesh, name)["sops"]["age"][0]["recipient"] for name in "abc"} == public


def counter() -> keymaking.Options:
    """Chance that counts on with each key, so that keys tell the order they were made in."""
    count = itertools.count()
    newcomer = recipients.Newcomer(lambda _: False, lambda _: None)
    return keymaking.Options(newcomer, token_bytes=lambda size: bytes([next(count)]) * size, now=lambda: sealed.CREATED)


def test_many_at_a_time_make_what_one_after_the_other_makes(mesh: Repo, tmp_path: Path) -> None:
    mesh.environment("d", sealed.member(1, "staging"))
    mesh.environment("e", sealed.member(2, "staging"))
    mesh.environment("f", f"{IPSEC}gitops: {{engine: none}}\n")
    other = Repo(tmp_path / "other")
    for path, data in mesh.files().items():
        other.write(path, data)

    trees = []
    for repo, jobs in ((mesh, 1), (other, 8)):
        app.render(repo.root, app.Options(replace(counter(), jobs=jobs)))
        secrets = {sealed.path(name): sealed.opened(repo, name).encode() for name in "abcdef"}
        trees.append(repo.files() | secrets)

    assert trees[0] == trees[1]
    assert len(set(map(trees[0].get, map(sealed.path, "abcdef")))) == 3


# A member that joins


HELD = {
    "a first key": sealed.clear(sealed.key()),
    "a key that followed": sealed.clear(sealed.key(4), previous=3),
    "the highest id": sealed.clear(sealed.key(15), previous=14),
    "the id that follows it": sealed.clear(sealed.key(1), previous=15),
    "one key for all tunnels": sealed.clear(sealed.key(4, per_tunnel=False), previous=3),
    "CBC": sealed.clear(sealed.key(4, "cbc-aes-sha256"), previous=3),
}


def encoded(text: str) -> str:
    """The same Secret with its key under `data`, as `kubectl get` shows it."""
    head, _, line = text.partition('stringData:\n  keys: "')
    return f"{head}data:\n  keys: {base64.b64encode(line.strip()[:-1].encode()).decode()}\n"


@pytest.mark.parametrize("form", [str, encoded], ids=["stringData", "data"])
@pytest.mark.parametrize("text", HELD.values(), ids=HELD)
def test_member_that_joins_gets_key_and_annotations(mesh: Repo, text: str, form: Callable[[str], str]) -> None:
    algorithm = "algorithm: cbc-aes-sha256" if "cbc(aes)" in text else ""
    for number, name in enumerate("abc", start=1):
        mesh.environment(name, sealed.member(number, more=algorithm))
    held = sealed.seal(mesh, "b", form(text)).read_bytes()

    ran = rig.command(mesh.root, "-q", "render", "c")

    assert (ran, yaml.safe_load(sealed.opened(mesh, "c"))) == (Ran(0, "", ""), yaml.safe_load(text))
    assert ((mesh.root / B).read_bytes(), (mesh.root / A).exists()) == (held, False)


def test_member_that_joins_with_a_key_of_another_algorithm_is_told_of_it(mesh: Repo) -> None:
    sealed.seal(mesh, "a", sealed.clear(sealed.key(4, "cbc-aes-sha256")))

    told, strict = rig.command(mesh.root, "render", "b"), rig.command(mesh.root, "render", "--strict", "c")

    line = f"{A}: warning: the Secret holds hmac(sha256) cbc(aes) with 128 bits, not rfc4106(gcm(aes)) with 128 bits; "
    assert (told.code, told.err.startswith(line)) == (0, True)
    assert (strict.code, strict.err.startswith(line), (mesh.root / "clusters/c").exists()) == (2, True, False)


def test_all_that_join_at_once_get_it(mesh: Repo) -> None:
    text = sealed.clear(sealed.key(4), previous=3)
    sealed.seal(mesh, "b", text)

    ran = rig.command(mesh.root, "-q", "render")

    assert ran == Ran(0, "", "")
    assert [yaml.safe_load(sealed.opened(mesh, name)) for name in "abc"] == [yaml.safe_load(text)] * 3


def test_joined_secret_stands_in_the_namespace_of_its_own_cilium(mesh: Repo) -> None:
    text = sealed.clear(sealed.key(4), previous=3)
    sealed.seal(mesh, "a", text)
    mesh.environment("b", sealed.member(2).replace("version:", "namespace: cilium, version:"))

    rig.command(mesh.root, "render", "b")

    expected = text.replace("namespace: kube-system", "namespace: cilium")
    assert yaml.safe_load(sealed.opened(mesh, "b")) == yaml.safe_load(expected)


@pytest.mark.parametrize("named", ["", "c"])
def test_key_comes_from_the_first_member_that_can_be_decrypted(
    mesh: Repo, home: Path, tmp_path: Path, named: str
) -> None:
    mine = rig.identity(rig.keyring(home))
    mesh.write(".sops.yaml", rules(a=rig.identity(tmp_path / "strangers.txt"), b=mine, c=mine))
    text = sealed.clear(sealed.key(4), previous=3)
    sealed.seal(mesh, "a", text)
    sealed.seal(mesh, "b", text)

    ran = rig.command(mesh.root, "-q", "render", *named)

    assert (ran, yaml.safe_load(sealed.opened(mesh, "c"))) == (Ran(0, "", ""), yaml.safe_load(text))


@pytest.mark.parametrize("named", ["", "b"])
def test_without_a_private_key_the_command_is_named_that_turns_the_whole_mesh(
    mesh: Repo, home: Path, named: str
) -> None:
    (mesh.root / "environments/c.yaml").unlink()
    sealed.seal(mesh, "a", sealed.clear(sealed.key(4), previous=3))
    sealed.shut(home)

    line = sealed.refused(mesh, *named)

    reason = f"b joins the mesh prod, and no private key at hand reads its key in {A}"
    assert line == f"{reason}; render where there is one, or keyturn rotate a, which gives the whole mesh a new key"


@pytest.mark.parametrize("named", ["", "b"])
def test_check_of_a_member_that_joins_needs_no_private_key(mesh: Repo, home: Path, named: str) -> None:
    (mesh.root / "environments/c.yaml").unlink()
    rig.command(mesh.root, "render")
    (mesh.root / B).unlink()
    sealed.shut(home)
    before = sealed.standing(mesh)

    ran = rig.command(mesh.root, "render", "--check", *named)

    told = "keyturn: b gets the key of its mesh, and reading it takes a private key\n"
    assert (ran.code, re.findall("created (.*)", ran.out), ran.err) == (1, [B], told)
    assert sealed.standing(mesh) == before


def test_member_that_holds_the_key_is_rendered_without_those_that_will_join(mesh: Repo, home: Path) -> None:
    sealed.seal(mesh, "a", sealed.clear(sealed.key()))
    sealed.shut(home)

    ran = rig.command(mesh.root, "-q", "render", "a")

    assert (ran, sorted(path.name for path in (mesh.root / "clusters").iterdir())) == (Ran(0, "", ""), ["a"])
