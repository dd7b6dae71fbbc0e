"""The floor below Secrets: as many sops as keyturn runs, as many at a time, and nothing else.

    sops_alone.py encrypt|decrypt|turn PROGRAM CONFIG COUNT JOBS [SECRET]

What is encrypted comes in clear on stdin, what is decrypted is SECRET, and what sops answers is thrown away.  A turn
decrypts and encrypts, as a rotation does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ENCRYPTED = "^(data|stringData)$"


def main() -> None:
    mode, program, config, count, jobs, *old = sys.argv[1:]
    clear = sys.stdin.buffer.read()
    sealed = Path(old[0]).read_bytes() if old else b""
    env = {**os.environ, "SOPS_DISABLE_VERSION_CHECK": "true"}

    def run(words: list[str], given: bytes) -> None:
        argv = [program, *words, "--input-type", "yaml", "--output-type", "yaml"]
        subprocess.run(argv, cwd=Path(config).parent, env=env, input=given, capture_output=True, check=True)

    def once(number: int) -> None:
        if mode != "encrypt":
            run(["decrypt"], sealed)
        if mode != "decrypt":
            name = f"clusters/c{number:04}/secrets/cilium-ipsec-keys.sops.yaml"
            run(["--config", config, "encrypt", "--encrypted-regex", ENCRYPTED, "--filename-override", name], clear)

    with ThreadPoolExecutor(int(jobs)) as pool:
        for _ in pool.map(once, range(int(count))):
            pass


if __name__ == "__main__":
    main()
