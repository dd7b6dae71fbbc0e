"""The benchmark runs; what it measures is nobody's claim here."""

from __future__ import annotations

import subprocess
import sys

from kit import PROJECT


def test_benchmark_of_a_few_environments_prints_every_figure() -> None:
    words = ["--environments", "4", "--secrets", "2", "--runs", "1", "--nodes", "20", "--packets", "1000"]

    done = subprocess.run(
        [sys.executable, "tests/bench/render.py", *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    rows = [
        "from an empty tree",
        "a second run",
        "--check ",
        "--check c",
        "peak memory",
        "--help",
        "2 first Secrets",
        "one rotation",
        "4 rotations",
        "validate --index, one Secret",
        "validate --staged, one Secret",
        "pre-commit run",
        "validate --no-key",
        "validate, 4 Secrets",
        "validate --index, 1 of 200 files",
        "validate --staged, 1 of 200 files",
        "verify, 20 nodes",
        "peak memory of verify, 20 nodes",
        "capture, 1,000 packets, pcap ",
        "capture, 1,000 packets, pcapng",
        "capture, peak memory",
    ]
    assert [row for row in rows if f"\n{row}" not in done.stdout] == []
