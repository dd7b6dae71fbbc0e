"""The floor below first Secrets: as many `sops encrypt` as keyturn runs, as many at a time, and nothing else.

    sops_alone.py PROGRAM CONFIG COUNT JOBS

The clear text comes on stdin; the ciphertext is thrown away.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ENCRYPTED = "^(data|stringData)$"


def main() -> None:
    program, config, count, jobs = sys.argv[1:]
    clear = sys.stdin.buffer.read()
    env = {**os.environ, "SOPS_DISABLE_VERSION_CHECK": "true"}

    def encrypt(number: int) -> None:
        name = f"clusters/c{number:04}/secrets/cilium-ipsec-keys.sops.yaml"
        command = [program, "--config", config, "encrypt", "--encrypted-regex", ENCRYPTED]
        command += ["--input-type", "yaml", "--output-type", "yaml", "--filename-override", name]
        subprocess.run(command, cwd=Path(config).parent, env=env, input=clear, capture_output=True, check=True)

    with ThreadPoolExecutor(int(jobs)) as pool:
        for _ in pool.map(encrypt, range(int(count))):
            pass


if __name__ == "__main__":
    main()
