"""The figures of `keyturn capture`: how fast it reads a capture, and what memory it takes for one ten times as large.

The traffic is what a node sends where all is well, and one clear packet at the end: ESP, ESP in VXLAN, and TCP between
nodes.  Beside it stand `tcpdump -r FILE -w /dev/null` and tshark with the same words; neither decodes anything then.
"""

from __future__ import annotations

import random
import shutil
import statistics
import struct
from functools import partial
from typing import TYPE_CHECKING, Final

import pcaps
from bench import clock, fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.fleet import Fleet

LEAST: Final = 150_000  # packets a second
ALL: Final = 1_000_000
CALLERS: Final = (32_768, 61_000)  # Linux's ports for those who call


def rows(measured: Fleet, folder: Path, runs: int, count: int) -> list[list[str]]:
    """Return the rows about captures of `count` packets, in both forms; `folder` is an empty one."""
    folder.mkdir()
    small, older, newer = folder / "small.pcap", folder / "traffic.pcap", folder / "traffic.pcapng"
    _write(small, count // 10, pcaps.pcap(), _record)
    _write(older, count, pcaps.pcap(), _record)
    _write(newer, count, pcaps.pcapng(), pcaps.enhanced)
    lines = [
        *(_speed(measured, file, count, runs) for file in (older, newer)),
        _memory(measured, small, older, count, runs),
    ]
    for file in (small, older, newer):
        file.unlink()
    return lines


def _packets(drawn: random.Random) -> list[bytes]:
    """A hundred packets; a kernel draws the source port of VXLAN by flow, and that of TCP by connection."""
    in_vxlan = pcaps.vxlan(pcaps.between_pods(pcaps.esp(size=200), 50))
    return [
        *(pcaps.between_nodes(pcaps.esp(number=number, size=200), 50) for number in range(60)),
        *(pcaps.between_nodes(struct.pack(">H", drawn.randrange(*CALLERS)) + in_vxlan[2:]) for _ in range(30)),
        *(pcaps.between_nodes(pcaps.tcp(drawn.randrange(*CALLERS), 10_250), 6) for _ in range(10)),
    ]


def _record(packet: bytes) -> bytes:
    return pcaps.pcap(packet)[24:]


def _write(file: Path, count: int, head: bytes, framed: Callable[[bytes], bytes]) -> None:
    drawn = random.Random(count)  # noqa: S311 -- chance that a run can repeat
    hundreds = [b"".join(map(framed, _packets(drawn))) for _ in range(200)]
    with file.open("wb") as stream:
        stream.write(head)
        for number in range(count // 100):
            stream.write(hundreds[number % len(hundreds)])
        stream.write(framed(pcaps.between_pods()))


def _argv(measured: Fleet, file: Path) -> list[str | Path]:
    """The command, whose answer is a clear packet."""
    words = ("--env", measured.names[0], "--pod-cidr", "10.244.0.0/16", "--node-ip", pcaps.NODE)
    return [fleet.PROGRAM, "capture", file, *words]


def _speed(measured: Fleet, file: Path, count: int, runs: int) -> list[str]:
    run = partial(clock.run, cwd=measured.root, env=measured.env)
    tcpdump, tshark = shutil.which("tcpdump"), shutil.which("tshark")
    takes = [partial(run, _argv(measured, file), codes=(1,))]
    if tcpdump:
        takes.append(partial(run, [tcpdump, "-r", file, "-w", "/dev/null"]))
    if tshark:
        takes.append(partial(run, [tshark, "-n", "-r", file, "-w", "/dev/null"]))
    ours, *others = clock.interleaved(runs, *takes)
    target = f"{count / LEAST:.1f} s" if count == ALL else ""
    beside = f"{count / ours.median:,.0f} packets/s; tshark: {others[-1] if tshark else 'not here'}"
    what = f"capture, {count:,} packets, {file.suffix[1:]}"
    if not tcpdump:
        return [what, str(ours), target, "", "", f"{beside}; tcpdump: not here"]
    return clock.row(what, ours, target, others[0], f"tcpdump -w /dev/null; {beside}")


def _memory(measured: Fleet, small: Path, large: Path, count: int, runs: int) -> list[str]:
    least, ours = (statistics.median(_megabytes(measured, file) for _ in range(runs)) for file in (small, large))
    numbers = [
        f"{ours:.1f} MB",
        f"{least + 2:.0f} MB" if count == ALL else "",
        f"{least:.1f} MB",
        f"{ours / least:.2f}",
    ]
    return ["capture, peak memory", *numbers, f"capture of {count // 10:,} packets"]


def _megabytes(measured: Fleet, file: Path) -> float:
    shell = ["/bin/sh", "-c", '"$@"; [ $? = 1 ]', "sh"]  # the answer is no
    return clock.megabytes([*shell, *_argv(measured, file)], cwd=measured.root, env=measured.env)
