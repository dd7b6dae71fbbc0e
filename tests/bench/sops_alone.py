"""The floor below Secrets: as many `sops encrypt` as keyturn runs, as many at a time, and nothing else.

    sops_alone.py PROGRAM CONFIG COUNT JOBS [SECRET]

The clear text comes on stdin; the ciphertext is thrown away.  With SECRET that is decrypted before each, as a rotation
does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ENCRYPTED = "^(data|stringData)$"


def main() -> None:
    program, config, count, jobs, *old = sys.argv[1:]
    clear = sys.stdin.buffer.read()
    read = {file: Path(file).read_bytes() for file in old}
    env = {**os.environ, "SOPS_DISABLE_VERSION_CHECK": "true"}

    def encrypt(number: int) -> None:
        for file in old:
            command = [program, "decrypt", "--input-type", "yaml", "--output-type", "yaml"]
            subprocess.run(command, cwd=Path(config).parent, env=env, input=read[file], capture_output=True, check=True)
        name = f"clusters/c{number:04}/secrets/cilium-ipsec-keys.sops.yaml"
        command = [program, "--config", config, "encrypt", "--encrypted-regex", ENCRYPTED]
        command += ["--input-type", "yaml", "--output-type", "yaml", "--filename-override", name]
        subprocess.run(command, cwd=Path(config).parent, env=env, input=clear, capture_output=True, check=True)

    with ThreadPoolExecutor(int(jobs)) as pool:
        for _ in pool.map(encrypt, range(int(count))):
            pass


if __name__ == "__main__":
    main()
