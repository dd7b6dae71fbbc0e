"""`keyturn adopt`: a running cluster's key goes into the tree as it is, and on its way stands nowhere in clear."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rig
import screen
import sealed
import turned
import yaml
from kit import IPSEC, PROJECT, WIREGUARD, Ran, Repo

from generator import keys, secret

CAME = "2025-11-02T10:11:12Z"  # into the cluster
KEY = sealed.key(3, start=0x3A)  # whose bytes are printable, and in no word
LINE = KEY.line()
PLAIN = replace(KEY, per_tunnel=False)
SECRET = sealed.path("lab")
MATERIAL = (KEY.material.hex(), KEY.material.hex().upper(), KEY.material.decode())
TRACES = [*MATERIAL, *(base64.b64encode(text.encode()).decode() for text in (LINE, *MATERIAL))]


def manifest(line: str = LINE, **changes: Any) -> dict[str, Any]:
    """Return what `kubectl get secret` shows of a Secret that was applied."""
    data = {"keys": base64.b64encode(line.encode()).decode()}
    applied = {"apiVersion": "v1", "data": data, "kind": "Secret", "metadata": {"name": "cilium-ipsec-keys"}}
    metadata = {
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied) + "\n"},
        "creationTimestamp": CAME,
        "managedFields": [
            {"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:keys": {}}}}
        ],
        "name": "cilium-ipsec-keys",
        "namespace": "kube-system",
        "resourceVersion": "715",
        "uid": "0b6c3f7e-7d1c-4e0a-8a43-1f0e5d3c2b1a",
    }
    return {"apiVersion": "v1", "data": data, "kind": "Secret", "metadata": metadata, "type": "Opaque", **changes}


def named(**changes: Any) -> dict[str, Any]:
    """Return the manifest with other metadata; None takes a member away."""
    metadata = manifest()["metadata"] | changes
    return manifest(metadata={name: value for name, value in metadata.items() if value is not None})


def as_yaml(what: object) -> str:
    return yaml.safe_dump(what, width=80)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("made")
        patch.setenv("HOME", str(turned.person(folder / "home")))
        patch.setenv("PYTHONPATH", str(PROJECT))
        repo = Repo(folder / "repo")
        repo.root.mkdir()
        rig.lab(repo, folder / "home", f"{IPSEC}gitops: {{engine: none}}\n")
        turned.commit(repo)
        return folder


@pytest.fixture
def lab(made: Path, tmp_path: Path, home: Path) -> Repo:
    """A repository with an environment that has no Secret yet, and the identity in HOME."""
    shutil.copytree(made / "home/.config", home / ".config")
    return Repo(Path(shutil.copytree(made / "repo", tmp_path / "lab")))


def adopt(repo: Repo, what: object, *arguments: str, name: str = "lab") -> Ran:
    """Adopt from a file that stands outside the repository: text, or an object as kubectl prints it."""
    file = repo.root.parent / "given"
    data = what if isinstance(what, bytes) else (what if isinstance(what, str) else as_yaml(what)).encode()
    file.write_bytes(data)
    ran = rig.command(repo.root, "adopt", name, "--from", str(file), *arguments)
    file.unlink()
    return ran


def refused(repo: Repo, what: object, *, name: str = "lab", code: int = 2) -> str:
    """See that nothing is adopted or told of the key; return the one line that says why."""
    before = sealed.standing(repo)
    ran = adopt(repo, what, name=name)
    assert (ran.code, ran.out, sealed.standing(repo)) == (code, "", before), ran.err
    assert not {piece for text in TRACES for piece in cut(text) if piece in ran.err}
    (line,) = ran.err.splitlines()
    return line.removeprefix("keyturn: error: ")


def cut(text: str) -> set[str]:
    """Every six characters in a row."""
    return {text[at : at + 6] for at in range(len(text) - 5)}


def issued(key: keys.Key) -> dict[str, Any]:
    """What the adopted Secret is to hold, as YAML reads it."""
    created = datetime.strptime(CAME, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    found: dict[str, Any] = yaml.safe_load(secret.document(secret.Issue(key, created), "kube-system"))
    return found


def opened(repo: Repo, name: str = "lab") -> Any:
    return yaml.safe_load(sealed.opened(repo, name))


DONE = f"created {SECRET}\nlab: IPsec key 3, {KEY.fingerprint()}\n"
NEXT = "keyturn: its age counts from 2025-11-02; next: keyturn render, and commit\n"
BARE = "the key line has no +, and keeps none until the first rotation of lab"

# What kubectl prints

PRINTED = {
    "YAML": as_yaml(manifest()),
    "JSON": json.dumps(manifest(), indent=4) + "\n",
    "JSON on one line": json.dumps(manifest()),
    "a list of one": json.dumps({"apiVersion": "v1", "items": [manifest()], "kind": "List", "metadata": {}}, indent=4),
    "a list of one in YAML": as_yaml({"apiVersion": "v1", "items": [manifest()], "kind": "List"}),
    "CRLF": as_yaml(manifest()).replace("\n", "\r\n"),
    "stringData": as_yaml({**manifest(), "data": None, "stringData": {"keys": LINE}}),
    "other data beside it": as_yaml(manifest(data=manifest()["data"] | {"more": "QQ=="})),
}


@pytest.mark.parametrize("text", PRINTED.values(), ids=PRINTED)
def test_secret_is_taken_in_every_form_that_kubectl_prints(lab: Repo, text: str) -> None:
    before = lab.files()

    ran = adopt(lab, text)

    assert ran == Ran(0, DONE, NEXT)
    assert opened(lab) == issued(KEY)
    assert {path for path in lab.files() if lab.files()[path] != before.get(path)} == {SECRET}


@pytest.mark.parametrize("arguments", [(), ("--from", "-")])
def test_secret_comes_on_stdin(lab: Repo, arguments: tuple[str, ...]) -> None:
    ran = lab.run("adopt", "lab", *arguments, stdin=PRINTED["YAML"])

    assert (ran, opened(lab)) == (Ran(0, DONE, NEXT), issued(KEY))


def test_json_tells_what_was_taken(lab: Repo) -> None:
    ran = adopt(lab, manifest(PLAIN.line()), "--output", "json")

    told = {
        "environment": "lab",
        "created": [SECRET],
        "key_id": 3,
        "fingerprint": KEY.fingerprint(),
        "warnings": [BARE],
    }
    assert (ran.code, json.loads(ran.out)) == (0, told)


def test_quiet_run_warns_and_says_no_more(lab: Repo) -> None:
    (lab.root.parent / "given").write_text(as_yaml(manifest(PLAIN.line())), "utf-8")

    ran = rig.command(lab.root, "-q", "adopt", "lab", "--from", str(lab.root.parent / "given"))

    assert (ran.code, ran.out, ran.err.splitlines()[0]) == (0, "", f"keyturn: warning: {BARE}")


@pytest.mark.parametrize("created", [None, "soon", "2999-01-01T00:00:00Z"])
def test_secret_that_does_not_tell_its_age_is_as_old_as_its_adoption(lab: Repo, created: str | None) -> None:
    start = turned.now()

    assert adopt(lab, named(creationTimestamp=created)).code == 0

    stamp = sealed.read(lab, "lab")["metadata"]["annotations"]["keyturn/created"]
    assert start <= turned.time(stamp) <= turned.now()


# The key line


def used(bits: int, icv: int) -> keys.Algorithm:
    return replace(keys.algorithm("rfc4106-gcm-aes", bits), icv_bits=icv)


ALGORITHMS = {
    **{f"GCM {bits} ICV {icv}": (f"keySize: {bits}", used(bits, icv)) for bits in keys.GCM_BITS for icv in (96, 128)},
    **{name: (f"algorithm: {name}", keys.algorithm(name, 128)) for name in ("cbc-aes-sha256", "cbc-aes-sha512")},
}


@pytest.mark.parametrize(("text", "algorithm"), ALGORITHMS.values(), ids=ALGORITHMS)
@pytest.mark.parametrize("per_tunnel", [False, True])
def test_key_of_every_algorithm_stays_what_it_is_and_turns_into_one_like_it(
    lab: Repo, text: str, algorithm: keys.Algorithm, *, per_tunnel: bool
) -> None:
    lab.environment("lab", IPSEC.replace("ipsec}", f"ipsec, ipsec: {{{text}}}}}") + "gitops: {engine: none}\n")
    key = keys.Key(15, algorithm, bytes(range(algorithm.length)), per_tunnel)
    bare = "" if per_tunnel else f"keyturn: warning: {BARE}\n"

    ran = adopt(lab, manifest(key.line()))
    held = opened(lab)
    turned.commit(lab)
    turned.rotate(lab, "lab")

    new = turned.key(lab, "keyturn/rotate-lab-1", "lab")
    assert (ran.code, ran.err, held) == (0, bare + NEXT, issued(key))
    assert (new.id, new.algorithm, new.per_tunnel, new.material == key.material) == (1, algorithm, True, False)


AS_AGENTS_READ = {
    "newline at the end": f"{LINE}\n",
    "CRLF at the end": f"{LINE}\r\n",
    "0x": LINE.replace(MATERIAL[0], f"0x{MATERIAL[0]}"),
    "upper case": LINE.replace(MATERIAL[0], MATERIAL[1]),
}


@pytest.mark.parametrize("line", AS_AGENTS_READ.values(), ids=AS_AGENTS_READ)
def test_line_that_agents_take_is_written_as_every_reader_takes_it(lab: Repo, line: str) -> None:
    assert adopt(lab, manifest(line)) == Ran(0, DONE, NEXT)

    assert opened(lab)["stringData"] == {"keys": LINE}


LEAVE = "agents use the last: leave that one alone in the cluster's Secret, then adopt"
SOUND = "put a sound key into the cluster first"
UNSOUND = {
    "two lines": (f"{LINE}\n{LINE}", f"the Secret has 2 lines, and one is wanted; {LEAVE}"),
    "two lines of two keys": (f"2+ {LINE[3:]}\n{LINE}\n", f"the Secret has 2 lines, and one is wanted; {LEAVE}"),
    "nothing": ("", "the Secret has no key line, and one is wanted"),
    "a byte is missing": (LINE.replace("3a", ""), f"has a key of 19 bytes; {keys.GCM} takes 20, 28, 36"),
    "a digit is missing": (LINE.replace("3a", "3"), "has a key that is not hexadecimal bytes"),
    "id 0": (f"0{LINE[1:]}", "does not begin with a key id, 1..15"),
    "id 16": (f"16{LINE[1:]}", "does not begin with a key id, 1..15"),
    "id -1": (f"-1 {LINE[3:]}", "does not begin with a key id, 1..15"),
    "ICV 64": (LINE.replace(" 128", " 64"), "has an ICV that is not 96 or 128 bits: the kernel takes no other"),
    "ICV 256": (LINE.replace(" 128", " 256"), "has an ICV that is not 96 or 128 bits: the kernel takes no other"),
    "no ICV": (LINE.replace(" 128", ""), f"has 3 words, where agents take 4 ({keys.GCM}) or 5 (with cbc(aes))"),
    "another algorithm": (LINE.replace("gcm", "ccm"), f"names an algorithm that is not {keys.GCM}"),
    "key without a name": (f"3+ {MATERIAL[0]} {keys.GCM} 128", f"names an algorithm that is not {keys.GCM}"),
    "two blanks": (LINE.replace(" ", "  "), "has blanks where none belong"),
    "a blank at the end": (f"{LINE} ", "has blanks where none belong"),
}


@pytest.mark.parametrize(("line", "reason"), UNSOUND.values(), ids=UNSOUND)
def test_key_line_that_is_not_sound_is_told_without_a_word_of_it(lab: Repo, line: str, reason: str) -> None:
    said = refused(lab, manifest(line))

    assert said.removesuffix(f"; {LEAVE}").removesuffix(f"; {SOUND}").removeprefix(
        "the key line "
    ) == reason.removesuffix(f"; {LEAVE}")


# What is no such Secret

HINT = "kubectl -n kube-system get secret cilium-ipsec-keys -o yaml | keyturn adopt lab"
NOTHING = "what was given is no Secret in YAML or JSON"
NOT_IT = "what was given is not the Secret: its"
UNFIT: dict[str, tuple[object, str]] = {
    "empty": ("", NOTHING),
    "blank": (" \n\n", NOTHING),
    "a bare key line": (LINE, NOTHING),
    "a bare key line of CBC": (sealed.key(3, "cbc-aes-sha256").line() + "\n", NOTHING),
    "base64 alone": (manifest()["data"]["keys"], NOTHING),
    "a list": ([manifest()], NOTHING),
    "binary": (bytes(range(256)) + KEY.material, NOTHING),
    "NUL": (b"\0" * 64, NOTHING),
    "not YAML": (f"data: {{keys: {LINE}\n: [", NOTHING),
    "two documents": (f"{as_yaml(manifest())}---\n{as_yaml(manifest())}", NOTHING),
    "too long": (as_yaml(manifest()) + f"# {MATERIAL[0]}\n" * 40_000, NOTHING),
    "another name": (named(name="cilium-ipsec"), f"{NOT_IT} metadata.name is not cilium-ipsec-keys"),
    "no name": (named(name=None), f"{NOT_IT} metadata.name is not cilium-ipsec-keys"),
    "another namespace": (named(namespace="cilium"), f"{NOT_IT} metadata.namespace is not kube-system"),
    "no namespace": (named(namespace=None), f"{NOT_IT} metadata.namespace is not kube-system"),
    "kubectl's complaint": ("Error from server (NotFound): no secrets\n", f"{NOT_IT} kind is not Secret"),
    "another kind": (manifest(kind="ConfigMap"), f"{NOT_IT} kind is not Secret"),
    "an empty list": ({"kind": "List", "items": []}, "what was given is a list of 0 objects"),
    "two Secrets": ({"kind": "List", "items": [manifest()] * 2}, "what was given is a list of 2 objects"),
    "no data": (manifest(data=None), "the Secret has no text under the data key 'keys'"),
    "another data key": (manifest(data={"key": "QQ=="}), "the Secret has no text under the data key 'keys'"),
    "data in clear": (manifest(data={"keys": LINE}), "the Secret has no text under the data key 'keys'"),
    "data that is no text": (manifest(data={"keys": "//79"}), "the Secret has no text under the data key 'keys'"),
}


@pytest.mark.parametrize(("what", "reason"), UNFIT.values(), ids=UNFIT)
def test_what_is_not_the_secret_is_refused_with_the_command_that_prints_it(
    lab: Repo, what: object, reason: str
) -> None:
    said = refused(lab, what)

    assert re.sub(r" \(line \d+\)", "", said) == f"{reason}; {HINT}"


def test_secret_out_of_git_is_refused_since_sops_encrypted_it(lab: Repo) -> None:
    sealed.seal(lab, "other", sealed.clear(KEY))

    said = refused(lab, lab.read(sealed.path("other")))

    assert said == f"what was given is encrypted by sops, and what the cluster holds is wanted; {HINT}"


def test_nobody_is_kept_waiting_at_a_terminal(lab: Repo) -> None:
    seen = screen.Terminal(lab.root, screen.keyturn("adopt", "lab"), screen.NONE).end()

    assert (seen.code, "there is no Secret on stdin: pipe what kubectl prints" in screen.plain(seen.sent)) == (2, True)


# Where it does not belong


def test_environment_without_ipsec_takes_no_key(lab: Repo) -> None:
    lab.environment("lab", WIREGUARD)

    said = "lab does not use IPsec: encryption.type is wireguard; say type: ipsec in environments/lab.yaml"
    assert refused(lab, manifest(), code=3) == said


def test_unknown_environment_is_refused_with_the_nearest_one(lab: Repo) -> None:
    assert refused(lab, manifest(), name="lap") == "no environment 'lap'; did you mean lab?"


def test_without_recipients_nothing_is_adopted(lab: Repo) -> None:
    (lab.root / ".sops.yaml").unlink()

    said = refused(lab, manifest(), code=3)

    assert said.startswith("no .sops.yaml says for whom the Secret is encrypted; ")


@pytest.mark.parametrize("key", [True, False], ids=["with a private key", "without"])
def test_same_key_again_leaves_the_secret_as_it_stands(lab: Repo, home: Path, *, key: bool) -> None:
    adopt(lab, manifest())
    before = sealed.standing(lab)
    if not key:
        sealed.shut(home)

    ran = adopt(lab, manifest())

    unknown = "no private key at hand reads the tree's key, so it is not known whether it has a + like the cluster's"
    said = "" if key else f"keyturn: warning: {unknown}\n"
    assert (ran, sealed.standing(lab)) == (Ran(0, "lab: the tree holds key 3 already\n", said), before)


def test_same_key_with_another_plus_is_never_overwritten(lab: Repo) -> None:
    adopt(lab, manifest())

    said = refused(lab, manifest(replace(KEY, per_tunnel=not KEY.per_tunnel).line()), code=3)

    reason = f"{SECRET} holds that key with another +, which would change every derived key"
    assert said == f"{reason}; rm {SECRET}, then adopt again"


@pytest.mark.parametrize("other", [replace(KEY, id=4), sealed.key(3, start=0x11)], ids=["id", "material"])
def test_another_key_is_never_overwritten(lab: Repo, other: keys.Key) -> None:
    sealed.seal(lab, "lab", sealed.clear(other))

    said = refused(lab, manifest(), code=3)

    way = f"if the cluster never had that one: rm {SECRET}, then adopt again"
    assert said == f"{SECRET} is there already, and holds another key; {way}"


@pytest.mark.parametrize("text", [": [\n", "", sealed.clear(KEY)], ids=["no YAML", "empty", "in clear"])
def test_file_that_does_not_tell_its_key_is_never_overwritten(lab: Repo, text: str) -> None:
    lab.write(SECRET, text)

    assert refused(lab, manifest(), code=3).startswith(f"{SECRET} is there already, and holds another key; ")


def test_member_of_a_mesh_takes_the_key_of_the_others_alone(lab: Repo) -> None:
    for number, name in enumerate("ab", start=1):
        lab.environment(name, sealed.member(number))
    sealed.seal(lab, "a", sealed.clear(KEY))
    other = sealed.key(3, start=0x11)

    said = refused(lab, manifest(other.line()), name="b", code=3)
    ran = adopt(lab, manifest(), name="b")

    holds = f"b holds {other.fingerprint()} with id 3, a {KEY.fingerprint()} with id 3"
    assert re.match(re.escape(f"the mesh prod shares one key, and {holds}; "), said.replace("a holds", "b holds"))
    assert (ran.code, opened(lab, "b")) == (0, issued(KEY))


ALGORITHM = "the Secret holds rfc4106(gcm(aes)) with 128 bits, not rfc4106(gcm(aes)) with 256 bits"
BIG = IPSEC.replace("ipsec}", "ipsec, ipsec: {keySize: 256}}") + "gitops: {engine: none}\n"


def test_key_of_another_algorithm_is_a_warning_and_for_a_protected_environment_an_error(lab: Repo) -> None:
    lab.environment("lab", f"protected: true\n{BIG}")
    said = refused(lab, manifest())
    lab.environment("lab", BIG)

    ran = adopt(lab, manifest())

    assert said.startswith(f"{SECRET}: error: {ALGORITHM}; ")
    assert (ran.code, ran.err.startswith(f"keyturn: warning: {ALGORITHM}; "), opened(lab)) == (0, True, issued(KEY))


# What comes of it


def test_adopted_key_is_what_render_takes_and_rotate_turns(lab: Repo) -> None:
    adopt(lab, manifest(PLAIN.line()))
    before = lab.read(SECRET)

    rendered = rig.command(lab.root, "-q", "render", "--strict")
    turned.commit(lab)
    ran = turned.rotate(lab, "lab")

    old, new = turned.key(lab, "main", "lab"), turned.key(lab, "keyturn/rotate-lab-4", "lab")
    assert (rendered, ran.code, lab.read(SECRET)) == (Ran(0, "", ""), 0, before)
    assert (old, new.id, new.per_tunnel) == (PLAIN, 4, True)


def test_key_stands_in_no_system_call_but_on_the_pipes_from_kubectl_and_to_sops(lab: Repo, tmp_path: Path) -> None:
    log, given = tmp_path / "strace.log", as_yaml(manifest())
    with (tmp_path / "out").open("w") as out:  # a file, so that what goes into a pipe goes to sops
        done = subprocess.run(
            [
                *(rig.strace(), "-f", "-qq", "-yy", "-v", "-s", "65536", "-e", "signal=none", "-o", str(log)),
                *(sys.executable, "-m", "generator", "-v", "adopt", "lab"),
            ],
            cwd=lab.root,
            input=given.encode(),
            stdout=out,
            stderr=out,
            check=False,
        )

    seen = [line for line in rig.whole_calls(log.read_text("utf-8", "replace")) if any(one in line for one in TRACES)]
    where = {re.sub(r"^\d+ +(\w+)\(\d+<(\w+):.*", r"\1 \2", line) for line in seen}
    held = {path.name for path in tmp_path.rglob("*") if path.is_file() and holds(path.read_bytes())}
    assert (done.returncode, where, held) == (0, {"read pipe", "write pipe"}, {"strace.log"})
    assert opened(lab) == issued(KEY)


def holds(data: bytes) -> bool:
    return any(one.encode() in data for one in TRACES)
