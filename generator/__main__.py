"""`python -m generator` is `keyturn`."""

from __future__ import annotations

import gc
import resource
import sys


def main() -> None:
    """Run the command line and exit; what nobody expected is a bug, told without its text, which may hold a secret."""
    gc.disable()  # a run is over before collecting pays: 1,000 environments take a tenth longer with it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold key material
    try:
        from generator import cli  # noqa: PLC0415 -- an import that fails is a bug too

        code = cli.run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001 -- the one place
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "nowhere"
        if sys.stderr is not None:
            sys.stderr.write(f"keyturn: bug: {type(error).__name__} at {place}; please report it\n")
        code = 4
    sys.exit(code)


if __name__ == "__main__":
    main()
