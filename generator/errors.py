"""What stops keyturn.  What is wrong with the user's tree is data instead: see `findings`."""


class KeyturnError(Exception):
    """One lower-case line without a secret; the way out stands in `hint`.

    >>> str(InputError("no environment 'labb'", hint="did you mean 'lab'?"))
    "no environment 'labb'; did you mean 'lab'?"
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InputError(KeyturnError):
    """The user's words or files are wrong."""

    exit_code = 2


class ToolError(KeyturnError):
    """A program or the system that keyturn needs is missing or failed."""

    exit_code = 3


class UnansweredError(ToolError):
    """A program took longer than it may."""


class RefusedError(KeyturnError):
    """Going on would risk a cluster, a key or somebody's file."""

    exit_code = 3


class ManyRefusedError(RefusedError):
    """Several reasons at once, each with its own way out."""

    def __init__(self, reasons: list[RefusedError]) -> None:
        super().__init__("; ".join(reason.message for reason in reasons))
        self.reasons = reasons
