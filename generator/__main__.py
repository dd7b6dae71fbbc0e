"""`python -m generator` is `keyturn`."""

from __future__ import annotations

import gc
import resource
import signal
import sys


def main() -> None:
    """Run the command line and exit; what nobody expected is a bug, told without its text, which may hold a secret."""
    gc.disable()  # a run is over before collecting pays: 1,000 environments take a tenth longer with it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold key material
    ended: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: _interrupt(number, ended))
    try:
        from generator import cli  # noqa: PLC0415 -- an import that fails is a bug too

        code = cli.run(sys.argv[1:])
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- the one place
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "nowhere"
        if sys.stderr is not None:
            sys.stderr.write(f"keyturn: bug: {type(error).__name__} at {place}; please report it\n")
        code = 4
    sys.exit(128 + ended[0] if ended and code == _INTERRUPTED else code)


_INTERRUPTED = 130


def _interrupt(number: int, ended: list[int]) -> None:
    """End what runs, so that nothing is waited for and everything is put away."""
    from generator import process  # noqa: PLC0415 -- only now

    ended.append(number)
    process.stop()
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
