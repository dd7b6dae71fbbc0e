"""Run a program and print the peak memory of its largest process in bytes: `peak.py PROGRAM [ARGUMENT...]`.

A program of its own, and a small one, because Linux counts the memory of whoever starts a process as that process's.
"""

import os
import sys

NOWHERE = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
UNIT = 1 if sys.platform == "darwin" else 1 << 10

process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[NOWHERE])
_, status, usage = os.wait4(process, 0)
print(usage.ru_maxrss * UNIT)  # noqa: T201 -- its answer
sys.exit(os.waitstatus_to_exitcode(status) != 0)
