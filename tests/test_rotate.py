"""What a rotation is: the next key in one file, in a commit that tells, from public keys and the base alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import rig
import sealed
import turned
import yaml
from alone import init
from kit import IPSEC, WIREGUARD, Ran, Repo

from generator import keys, secret
from generator.proposal import Trailer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BRANCH = "keyturn/rotate-lab-2"
SECRET = sealed.path("lab")
GCM = keys.algorithm("rfc4106-gcm-aes", 128)


@pytest.fixture
def lab(repo: Repo, home: Path) -> Repo:
    return turned.rendered(repo, home, "lab")


def test_rotation_of_a_new_repository_is_one_commit_that_changes_the_secret_alone(repo: Repo) -> None:
    init(repo.root)
    assert rig.command(repo.root, "render", "--new-identity").code == 0
    base = turned.commit(repo)
    before, old = turned.private(repo), turned.key(repo, "HEAD", "lab-ipsec")

    ran = turned.rotate(repo, "lab-ipsec")

    branch = "keyturn/rotate-lab-ipsec-2"
    new, made = turned.key(repo, branch, "lab-ipsec"), turned.tip(repo, branch)
    assert ran == Ran(
        0,
        f"lab-ipsec: IPsec key 1 -> 2 on {branch} at {made[:12]}\n",
        f"keyturn: from main; look at it with git show {branch}; next: keyturn rotate lab-ipsec --pr\n",
    )
    assert (turned.branches(repo), turned.tip(repo, f"{branch}^")) == ([branch], base)
    assert turned.diff(repo, branch) == [f"M\t{sealed.path('lab-ipsec')}"]
    assert (turned.private(repo), repo.git("status", "--porcelain")) == (before, "")
    assert (old.id, new.id, new.algorithm, new.material == old.material) == (1, 2, GCM, False)


def test_secret_opens_as_what_keyturn_writes_and_tells_of_the_new_key_and_the_id_before(lab: Repo) -> None:
    start = turned.now()

    turned.rotate(lab, "lab")

    key, found = turned.key(lab, BRANCH, "lab"), turned.told(lab, BRANCH, "lab")
    created = turned.time(found.pop("created"))
    assert start <= created <= turned.now()
    written = secret.document(secret.Issue(key, created, 1), "kube-system")
    assert yaml.safe_load(turned.clear(lab, BRANCH, "lab")) == yaml.safe_load(written)
    assert found == {
        "key-id": "2",
        "algorithm": "rfc4106(gcm(aes))",
        "key-bits": "128",
        "icv-bits": "128",
        "fingerprint": key.fingerprint(),
        "previous-key-id": "1",
    }


def test_fifteen_rotations_come_back_to_id_one_with_fifteen_new_keys(lab: Repo) -> None:
    found = []
    for _ in range(15):
        (made,) = turned.answer(lab, "lab")["rotations"]
        found.append((made["previous_id"], made["key_id"], made["branch"], made["fingerprint"]))
        turned.merge(lab, made["branch"])

    told = turned.told(lab, "main", "lab")
    steps = [(number, number % 15 + 1, f"keyturn/rotate-lab-{number % 15 + 1}") for number in range(1, 16)]
    assert [one[:3] for one in found] == steps
    assert len({one[3] for one in found}) == 15
    assert (told["key-id"], told["previous-key-id"], turned.key(lab, "main", "lab").id) == ("1", "15", 1)


ALGORITHMS = {
    "AES-128": GCM,
    "AES-192": keys.algorithm("rfc4106-gcm-aes", 192),
    "AES-256": keys.algorithm("rfc4106-gcm-aes", 256),
    "ICV of 96 bits": replace(GCM, icv_bits=96),
    "SHA-256": keys.algorithm("cbc-aes-sha256", 128),
    "SHA-512": keys.algorithm("cbc-aes-sha512", 128),
}


@pytest.mark.parametrize("private", [True, False], ids=["private key", "public keys"])
@pytest.mark.parametrize("used", ALGORITHMS.values(), ids=ALGORITHMS)
def test_algorithm_and_every_length_are_kept(repo: Repo, home: Path, used: keys.Algorithm, *, private: bool) -> None:
    name = {"": "rfc4106-gcm-aes", "hmac(sha256)": "cbc-aes-sha256"}.get(used.auth, "cbc-aes-sha512")
    rig.lab(repo, home, IPSEC.replace("ipsec}", f"ipsec, ipsec: {{algorithm: {name}}}}}"))
    old = keys.Key(7, used, bytes(range(used.length)))
    turned.hold(repo, "lab", old, previous=6)
    turned.commit(repo)
    if not private:
        rig.keyring(home).rename(home / "kept")

    ran = turned.rotate(repo, "lab")

    if not private:
        (home / "kept").rename(rig.keyring(home))
    new = turned.key(repo, "keyturn/rotate-lab-8", "lab")
    assert (ran.code, new.id, new.algorithm, len(new.material)) == (0, 8, used, used.length)
    cut = used.auth_bits // 8
    assert cut == 0 or new.material[:cut] != old.material[:cut]
    assert new.material[cut:] != old.material[cut:]


def test_length_of_the_secret_is_kept_where_the_environment_says_another(lab: Repo) -> None:
    lab.environment("lab", IPSEC.replace("ipsec}", "ipsec, ipsec: {keySize: 256}}"))
    turned.commit(lab)

    turned.rotate(lab, "lab")

    assert turned.key(lab, BRANCH, "lab").algorithm == GCM


def test_first_rotation_of_an_adopted_key_adds_the_plus(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    turned.hold(repo, "lab", sealed.key(3, per_tunnel=False))
    turned.commit(repo)

    turned.rotate(repo, "lab")

    new = turned.key(repo, "keyturn/rotate-lab-4", "lab")
    assert (turned.key(repo, "main", "lab").per_tunnel, new.id, new.per_tunnel) == (False, 4, True)


# The words of the commit


def trailer(repo: Repo, branch: str = BRANCH) -> str:
    print_ = turned.key(repo, branch, "lab").fingerprint()
    return f"Keyturn-Environment: lab\nKeyturn-Key-Id: 2\nKeyturn-Fingerprint: {print_}\n"


def test_message_says_how_old_the_key_was(repo: Repo, home: Path) -> None:
    rig.lab(repo, home, IPSEC.replace("ipsec}", "ipsec, ipsec: {maxKeyAge: 30d}}"))
    turned.hold(repo, "lab", sealed.key(1), old=40 * turned.DAY)
    turned.commit(repo)

    turned.rotate(repo, "lab")

    made = turned.told(repo, "main", "lab")["created"][:10]
    why = f"The key is 40 days old (made {made}); maxKeyAge is 30d."
    assert turned.message(repo, BRANCH) == f"lab: rotate IPsec key 1 -> 2\n\n{why}\n\n{trailer(repo)}"


def test_message_says_the_reason_instead(lab: Repo) -> None:
    turned.rotate(lab, "lab", "--reason", "  a laptop was lost, größer  ")

    expected = f"lab: rotate IPsec key 1 -> 2\n\na laptop was lost, größer\n\n{trailer(lab)}"
    assert turned.message(lab, BRANCH) == expected


def test_git_reads_the_trailers(lab: Repo) -> None:
    turned.rotate(lab, "lab", "--reason", "Signed-off-by: nobody")

    assert lab.git("log", "-1", "--format=%(trailers:only)", BRANCH).strip() == trailer(lab).strip()
    assert turned.trailers(lab, BRANCH) == [Trailer("lab", 2, turned.key(lab, BRANCH, "lab").fingerprint())]


# From the base alone


def foreign(repo: Repo) -> None:
    repo.write(".sops.yaml", rig.config(rig.identity(repo.root.parent / "stranger")))


DIRT: dict[str, Callable[[Repo], object]] = {
    "other recipients": foreign,
    "no configuration": lambda repo: (repo.root / ".sops.yaml").unlink(),
    "another type": lambda repo: repo.environment("lab", WIREGUARD),
    "an environment that is wrong": lambda repo: repo.environment("lab", "nonsense: ["),
    "no environment": lambda repo: (repo.root / "environments/lab.yaml").unlink(),
    "defaults that are wrong": lambda repo: repo.write("environments/defaults.yaml", "nonsense: 1\n"),
    "another Secret": lambda repo: turned.hold(repo, "lab", sealed.key(9)),
    "no Secret": lambda repo: (repo.root / SECRET).unlink(),
    "a Secret that is text": lambda repo: repo.write(SECRET, "nonsense: [\n"),
}


@pytest.mark.parametrize("spoil", DIRT.values(), ids=DIRT)
def test_nothing_is_read_from_the_work_tree_or_the_index(lab: Repo, spoil: Callable[[Repo], object]) -> None:
    readers = turned.recipients(lab, "main", "lab")
    spoil(lab)
    lab.git("add", "-A")
    before = turned.private(lab)

    ran = turned.rotate(lab, "lab")

    assert (ran.code, turned.private(lab)) == (0, before)
    assert (turned.told(lab, BRANCH, "lab")["key-id"], turned.recipients(lab, BRANCH, "lab")) == ("2", readers)
    assert turned.diff(lab, BRANCH) == [f"M\t{SECRET}"]


def test_environment_that_is_not_committed_is_not_there(lab: Repo) -> None:
    lab.environment("other")

    assert turned.refused(lab, "other", code=2) == "no environment 'other' in main; there is lab"


# With public keys, and with a private one


def test_public_keys_are_enough(lab: Repo, home: Path) -> None:
    kept = rig.keyring(home).read_bytes()
    sealed.shut(home)

    ran = turned.rotate(lab, "lab")

    rig.keyring(home).write_bytes(kept)
    assert (ran.code, turned.key(lab, BRANCH, "lab").id) == (0, 2)


def test_new_recipients_get_the_new_key_without_any_private_key(lab: Repo, home: Path) -> None:
    old = turned.recipients(lab, "main", "lab")
    sealed.shut(home)
    new = [rig.identity(home / "new" / name) for name in ("one", "two")]
    lab.write(".sops.yaml", rig.config(*new))
    turned.commit(lab)

    ran = turned.rotate(lab, "lab")

    rig.identity(rig.keyring(home))
    rig.keyring(home).write_bytes((home / "new" / "two").read_bytes())
    assert (ran.code, turned.recipients(lab, BRANCH, "lab"), set(old) & set(new)) == (0, new, set())
    assert turned.key(lab, BRANCH, "lab").id == 2


# Another size

CILIUM = IPSEC.partition("\n")[0]
BLOCK = f"{CILIUM}\n# how\nencryption:\n    type: ipsec  # keep\n    ipsec:\n        keySize: 128   # AES\n"
FLOW = IPSEC.replace("ipsec}", "ipsec, ipsec: {keySize: 128, maxKeyAge: 30d}}  # all")
NO_SIZE = BLOCK.replace("keySize: 128   # AES", "maxKeyAge: 30d")
NO_BLOCK = BLOCK.partition("    ipsec:")[0]
GROUP = "encryption:\n  ipsec:\n    keySize: 128\n"
SIZES = {
    "block": (BLOCK, BLOCK.replace("128", "256")),
    "flow": (FLOW, FLOW.replace("128", "256")),
    "block without a size": (NO_SIZE, f"{NO_SIZE}        keySize: 256\n"),
    "block without ipsec": (NO_BLOCK, f"{NO_BLOCK}    ipsec:\n      keySize: 256\n"),
    "flow without ipsec": (IPSEC, IPSEC.replace("{type: ipsec", "{ipsec: {keySize: 256}, type: ipsec")),
    "CRLF": (BLOCK.replace("\n", "\r\n"), BLOCK.replace("128", "256").replace("\n", "\r\n")),
    "inherited": (f"extends: [big]\n{NO_SIZE}", f"extends: [big]\n{NO_SIZE}        keySize: 256\n"),
    "all inherited": ("extends: [big]\n", f"extends: [big]\n{GROUP.replace('128', '256')}"),
}


@pytest.mark.parametrize(("before", "after"), SIZES.values(), ids=SIZES)
def test_other_size_makes_that_key_and_changes_nothing_else_of_the_environment_file(
    repo: Repo, home: Path, before: str, after: str
) -> None:
    repo.write("environments/groups/big.yaml", f"{CILIUM}\n{GROUP}  type: ipsec\n")
    turned.rendered(repo, home, "lab", text=before)

    ran = turned.rotate(repo, "lab", "--key-size", "256")

    key = turned.key(repo, BRANCH, "lab")
    assert (ran.code, key.id, key.algorithm, len(key.material)) == (0, 2, replace(GCM, key_bits=256), 36)
    assert turned.diff(repo, BRANCH) == [f"M\t{SECRET}", "M\tenvironments/lab.yaml"]
    assert turned.text(repo, BRANCH, "environments/lab.yaml") == after


@pytest.mark.parametrize(("wanted", "asked"), [(256, 256), (128, 128), (256, 192)])
def test_environment_that_says_the_size_already_is_left_as_it_is(lab: Repo, wanted: int, asked: int) -> None:
    lab.environment("lab", IPSEC.replace("ipsec}", f"ipsec, ipsec: {{keySize: {wanted}}}}}"))
    turned.commit(lab)

    turned.rotate(lab, "lab", "--key-size", str(asked))

    changed = [] if wanted == asked else ["M\tenvironments/lab.yaml"]
    assert turned.key(lab, BRANCH, "lab").algorithm.key_bits == asked
    assert turned.diff(lab, BRANCH) == [f"M\t{SECRET}", *changed]


def test_other_size_keeps_the_icv(repo: Repo, home: Path) -> None:
    rig.lab(repo, home)
    turned.hold(repo, "lab", keys.Key(1, replace(GCM, icv_bits=96), bytes(20)))
    turned.commit(repo)

    turned.rotate(repo, "lab", "--key-size", "192")

    assert turned.key(repo, BRANCH, "lab").algorithm == replace(GCM, key_bits=192, icv_bits=96)


# Answers


def test_json_is_as_documented(lab: Repo) -> None:
    base = turned.tip(lab, "main")

    found = turned.answer(lab, "lab")

    assert found == {
        "base": base,
        "rotations": [
            {
                "environments": ["lab"],
                "mesh": None,
                "previous_id": 1,
                "key_id": 2,
                "previous_fingerprint": turned.told(lab, "main", "lab")["fingerprint"],
                "fingerprint": turned.told(lab, BRANCH, "lab")["fingerprint"],
                "created": turned.told(lab, BRANCH, "lab")["created"],
                "branch": BRANCH,
                "commit": turned.tip(lab, BRANCH),
                "pull_request": None,
            }
        ],
        "skipped": [],
    }


def test_quiet_leaves_out_what_was_done(lab: Repo) -> None:
    ran = rig.command(lab.root, "-q", "rotate", "lab")

    assert (ran.code, ran.out, turned.branches(lab)) == (0, "", [BRANCH])


def test_branch_gets_the_name_that_was_asked_for(lab: Repo) -> None:
    found = turned.answer(lab, "lab", "--branch", "night/shift")

    assert found["rotations"][0]["branch"] == "night/shift"
    assert turned.told(lab, "night/shift", "lab")["key-id"] == "2"
    assert turned.branches(lab) == []


def test_dry_run_tells_the_plan_and_changes_nothing_at_all(lab: Repo) -> None:
    (reader,) = turned.recipients(lab, "main", "lab")
    before = rig.standing(lab.root)

    ran = turned.rotate(lab, "lab", "--dry-run", "--reason", "spring")
    after = rig.standing(lab.root)

    plan = [
        "lab: rotate IPsec key 1 -> 2",
        "  why: spring",
        "  key: rfc4106(gcm(aes)) with 128 bits",
        f"  writes {SECRET}",
        f"  lab is for age {reader}",
        f"branch {BRANCH}, from main at {turned.tip(lab, 'main')[:12]}",
    ]
    note = "keyturn: a dry run: nothing was written, and the key is thrown away\n"
    assert (ran, after) == (Ran(0, "\n".join(plan) + "\n", note), before)


def test_dry_run_answers_with_no_key_that_nobody_will_have(lab: Repo) -> None:
    before = rig.standing(lab.root)

    found = turned.answer(lab, "lab", "--dry-run")

    (made,) = found["rotations"]
    assert rig.standing(lab.root) == before
    assert (made["key_id"], made["branch"]) == (2, BRANCH)
    assert [made[name] for name in ("fingerprint", "created", "commit", "pull_request")] == [None] * 4
