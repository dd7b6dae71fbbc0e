"""The disk: what a snapshot sees, what is in the way, and writes that are whole or not there."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest
import rig

from generator import files, tree
from generator.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = b"# Rendered by keyturn from environments/lab.yaml; edits are overwritten\n"


def write(root: Path, path: str, data: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)


def change(path: str, after: bytes | None) -> tree.Change:
    return tree.Change("removed" if after is None else "updated", path, b"", after)


# Snapshot


def test_snapshot_tells_ours_from_theirs_and_follows_no_link(tmp_path: Path) -> None:
    write(tmp_path, "clusters/lab/ours.yaml", HEADER + b"a: 1\n")
    write(tmp_path, "clusters/lab/long.yaml", HEADER + b"x" * 100_000)
    write(tmp_path, "clusters/lab/deep/er/ours.yaml", HEADER.replace(b"lab", b"other-1"))
    write(tmp_path, "clusters/lab/crlf.yaml", HEADER.replace(b"\n", b"\r\n"))
    write(tmp_path, "clusters/lab/theirs.yaml", b"a: 1\n" + HEADER)
    write(tmp_path, "clusters/lab/empty", b"")
    write(tmp_path, "clusters/lab/binary", b"\xff\x00" * 200)
    write(tmp_path, "clusters/lab/no-newline", HEADER.strip())
    write(tmp_path, "clusters/lab/another-name", HEADER.replace(b"lab", b"../lab"))
    write(tmp_path, "clusters/lab/deep/.ours.yaml.keyturn-tmp", b"half")
    write(tmp_path, "clusters/lab/not-hidden.keyturn-tmp", b"half")
    write(tmp_path, "clusters/lab/secret.sops.yaml", HEADER)
    write(tmp_path, "clusters/other/ours.yaml", HEADER)
    (tmp_path / "clusters/lab/nothing").mkdir()
    (tmp_path / "clusters/lab/link").symlink_to("ours.yaml")
    (tmp_path / "clusters/lab/link-to-folder").symlink_to("../other")
    (tmp_path / "clusters/lab/link-to-nothing").symlink_to("nowhere")
    os.mkfifo(tmp_path / "clusters/lab/pipe")

    seen = files.snapshot(tmp_path, "clusters/lab")

    theirs = "theirs.yaml secret.sops.yaml empty binary no-newline another-name not-hidden.keyturn-tmp"
    never = "link link-to-folder link-to-nothing pipe"
    assert seen == files.Snapshot(
        ours={
            "clusters/lab/ours.yaml": HEADER + b"a: 1\n",
            "clusters/lab/long.yaml": HEADER + b"x" * 100_000,
            "clusters/lab/deep/er/ours.yaml": HEADER.replace(b"lab", b"other-1"),
            "clusters/lab/crlf.yaml": HEADER.replace(b"\n", b"\r\n"),
        },
        foreign={f"clusters/lab/{name}" for name in f"{theirs} {never}".split()},
        folders={"clusters", "clusters/lab", "clusters/lab/deep", "clusters/lab/deep/er", "clusters/lab/nothing"},
        leftovers=["clusters/lab/deep/.ours.yaml.keyturn-tmp"],
    )


def test_snapshot_of_what_is_not_there_is_empty(tmp_path: Path) -> None:
    assert files.snapshot(tmp_path, "clusters/lab") == files.Snapshot()


@pytest.mark.parametrize("name", ["clusters", "clusters/lab"])
def test_snapshot_stops_at_a_folder_that_is_a_link(tmp_path: Path, name: str) -> None:
    write(tmp_path, "elsewhere/lab/ours.yaml", HEADER)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(tmp_path / "elsewhere", target_is_directory=True)

    seen = files.snapshot(tmp_path, "clusters/lab")

    above = {"clusters"} if name == "clusters/lab" else set()
    assert seen == files.Snapshot(foreign={name}, folders=above)


@pytest.mark.parametrize(
    ("wanted", "blocked"),
    [
        (["clusters/lab/new.yaml", "clusters/lab/ours.yaml", "clusters/lab/folder/new.yaml"], []),
        (["clusters/lab/theirs.yaml"], ["clusters/lab/theirs.yaml"]),
        (["clusters/lab/folder"], ["clusters/lab/folder"]),
        (["clusters/lab/theirs.yaml/below/new.yaml"], ["clusters/lab/theirs.yaml"]),
        (["clusters/lab/ours.yaml/new.yaml"], ["clusters/lab/ours.yaml"]),
        (["clusters/lab/theirs.yaml/a", "clusters/lab/theirs.yaml/b"], ["clusters/lab/theirs.yaml"]),
        (["clusters/lab/folder", "clusters/lab/theirs.yaml"], ["clusters/lab/folder", "clusters/lab/theirs.yaml"]),
    ],
)
def test_what_is_in_the_way_is_what_is_not_ours_to_remove(wanted: list[str], blocked: list[str]) -> None:
    seen = files.Snapshot(
        ours={"clusters/lab/ours.yaml": b""},
        foreign={"clusters/lab/theirs.yaml"},
        folders={"clusters", "clusters/lab", "clusters/lab/folder"},
    )

    assert seen.in_the_way(wanted) == blocked


def test_folders_are_sorted_and_links_are_none(tmp_path: Path) -> None:
    for name in ("b", "a", "c/below"):
        (tmp_path / "clusters" / name).mkdir(parents=True)
    write(tmp_path, "clusters/file", b"")
    (tmp_path / "clusters/link").symlink_to("a")

    assert files.folders(tmp_path, "clusters") == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["nothing", "a file", "a link"])
def test_folders_of_what_is_no_folder_are_none(tmp_path: Path, kind: str) -> None:
    if kind == "a file":
        write(tmp_path, "clusters", b"")
    elif kind == "a link":
        (tmp_path / "elsewhere" / "lab").mkdir(parents=True)
        (tmp_path / "clusters").symlink_to("elsewhere")

    assert files.folders(tmp_path, "clusters") == []


# Reading


def test_read_stops_where_it_is_told(tmp_path: Path) -> None:
    write(tmp_path, "file", b"0123456789")

    assert (files.read(tmp_path, "file", 4), files.read(tmp_path, "file", 99)) == (b"0123", b"0123456789")


def test_read_of_nothing_is_none(tmp_path: Path) -> None:
    assert files.read(tmp_path, "file", 4) is None


@pytest.mark.parametrize("kind", ["a folder", "a link", "a pipe"])
def test_read_refuses_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    write(tmp_path, "target", b"x")
    if kind == "a folder":
        (tmp_path / "file").mkdir()
    elif kind == "a link":
        (tmp_path / "file").symlink_to("target")
    else:
        os.mkfifo(tmp_path / "file")

    with pytest.raises(RefusedError) as refused:
        files.read(tmp_path, "file", 4)

    assert str(refused.value) == "file is not a regular file; move it away"


# Writing


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_new_file_gets_its_mode_less_the_umask(tmp_path: Path, mask: int, expected: int) -> None:
    before = os.umask(mask)
    try:
        files.write(tmp_path / "a" / "b" / "file", b"data")
    finally:
        os.umask(before)

    file = tmp_path / "a" / "b" / "file"
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"data", expected)
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o444])
def test_replaced_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(mode)

    files.write(file, b"new")

    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", mode)


def test_reader_of_the_old_file_never_sees_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with file.open("rb") as stream:
        files.write(file, b"new and longer")

        assert (stream.read(), file.read_bytes()) == (b"old", b"new and longer")


def test_readers_meet_the_old_or_the_new_file_at_any_moment(tmp_path: Path) -> None:
    file = tmp_path / "file"
    contents = [b"a" * 70_000, b"b" * 60_000]
    file.write_bytes(contents[0])
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(file.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        files.write(file, contents[number % 2])
    done.set()
    reader.join()

    assert seen <= set(contents)


def test_write_that_fails_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(IsADirectoryError):
        files.write(tmp_path / "folder", b"data")

    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["folder"]


def test_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "victim", b"precious")
    (tmp_path / ".file.keyturn-tmp").symlink_to("victim")

    files.write(tmp_path / "file", b"data")

    assert ((tmp_path / "victim").read_bytes(), (tmp_path / "file").read_bytes()) == (b"precious", b"data")


def test_created_file_is_whole_and_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    mask = os.umask(0o022)
    try:
        files.create(folder / "file", b"data")
        files.create(folder / "private", b"data", 0o600)
    finally:
        os.umask(mask)

    found = {path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}
    assert found == {"file": (b"data", 0o644), "private": (b"data", 0o600)}


@pytest.mark.parametrize("kind", ["a file", "a link to nothing", "a folder"])
def test_create_never_replaces_what_is_there(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    if kind == "a file":
        (folder / "file").write_bytes(b"precious")
    elif kind == "a link to nothing":
        (folder / "file").symlink_to("nowhere")
    else:
        (folder / "file").mkdir()
    before = rig.standing(folder / "file")

    with pytest.raises(FileExistsError):
        files.create(folder / "file", b"data")

    assert rig.standing(folder / "file") == before
    assert [path.name for path in folder.iterdir()] == ["file"]


# Changes


def test_changes_are_made_and_nothing_else_is_touched(tmp_path: Path) -> None:
    for path in ("keep", "update", "remove"):
        write(tmp_path, f"clusters/lab/{path}", b"old")
    write(tmp_path, "clusters/lab/.update.keyturn-tmp", b"half")
    kept = rig.standing(tmp_path)["clusters/lab/keep"]

    files.apply(
        [
            change("clusters/lab/deep/new", b"new"),
            change("clusters/lab/remove", None),
            change("clusters/lab/update", b"new"),
        ],
        tmp_path,
        ["clusters/lab/.update.keyturn-tmp"],
    )

    found = {path: entry[3] for path, entry in rig.standing(tmp_path / "clusters").items() if entry[3]}
    assert found == {"lab/keep": b"old", "lab/update": b"new", "lab/deep/new": b"new"}
    assert rig.standing(tmp_path)["clusters/lab/keep"] == kept


def test_folders_that_a_removal_leaves_empty_go_but_never_clusters(tmp_path: Path) -> None:
    write(tmp_path, "clusters/lab/a/b/file", b"")

    files.apply([change("clusters/lab/a/b/file", None)], tmp_path)

    assert list((tmp_path / "clusters").iterdir()) == []


def test_folder_with_something_of_somebody_else_stays(tmp_path: Path) -> None:
    write(tmp_path, "clusters/lab/a/b/file", b"")
    write(tmp_path, "clusters/lab/a/theirs", b"")

    files.apply([change("clusters/lab/a/b/file", None)], tmp_path)

    assert [path.relative_to(tmp_path).as_posix() for path in sorted((tmp_path / "clusters").rglob("*"))] == [
        "clusters/lab",
        "clusters/lab/a",
        "clusters/lab/a/theirs",
    ]


def test_removal_of_what_is_gone_already_is_done(tmp_path: Path) -> None:
    (tmp_path / "clusters").mkdir()

    files.apply([change("clusters/lab/a/file", None)], tmp_path, ["clusters/lab/.file.keyturn-tmp"])

    assert list((tmp_path / "clusters").iterdir()) == []
