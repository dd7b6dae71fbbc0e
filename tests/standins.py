"""Programs that stand in for a cluster: they note how they were called, and answer from files."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import rig
import turned
from kit import Ran, Repo

FOUND = {Path(path).resolve(): shell for shell in ("bash", "dash", "sh") if (path := shutil.which(shell))}
SHELLS = sorted(FOUND.values())  # each program once: sh is mostly one of the others

# Notes its name, arguments and environment, and what comes in where it is told to read; answers from files.
NOTE = """
call=$CALLS/$(ls "$CALLS" | wc -l)
case " $* " in *" -f - "*) input=$(cat; echo .); call=$CALLS/$(ls "$CALLS" | wc -l) ;; esac
mkdir "$call"
printf '%s\\n' "${0##*/}" "$@" > "$call/argv"
[ -z "${input+x}" ] || printf %s "${input%.}" > "$call/stdin"
env > "$call/env"
"""
KUBECTL = (
    NOTE
    + """
case "$*" in
  *"get configmap cilium-config"*) cat "$ANSWERS/cluster" ;;
  *"get secret cilium-ipsec-keys"*"-o name"*) sed 's|.*|secret/cilium-ipsec-keys|' "$ANSWERS/fingerprint" ;;
  *"get secret cilium-ipsec-keys"*jsonpath*) cat "$ANSWERS/fingerprint" ;;
  *"get secret sops-age"*) cat "$ANSWERS/sops-age" ;;
  *"get customresourcedefinition"*) [ ! -f "$ANSWERS/no-argocd" ] || { cat "$ANSWERS/no-argocd" >&2; exit 1; } ;;
  *"create namespace"*) echo "namespace: $5" ;;
  *"create secret"*) echo "secret: $7" ;;
esac
"""
)
KIND = NOTE + '[ "$*" != "get clusters" ] || cat "$ANSWERS/kind"\n'
FAIL = NOTE + "echo no >&2\nexit 9\n"
PROGRAMS = {"kubectl": KUBECTL, "helm": NOTE, "kind": KIND, "flux": NOTE}


@dataclass
class Call:
    """One call of a program: its words, and what it was given to read."""

    argv: list[str]
    stdin: str | None
    env: str


@dataclass
class Bench:
    """A rendered workspace and the programs that stand in for a cluster."""

    repo: Repo
    folder: Path
    env: dict[str, str]

    def answer(self, name: str, text: str) -> None:
        (self.folder / "answers" / name).write_text(text, "utf-8")

    def program(self, name: str, body: str | None) -> None:
        if body is None:
            (self.folder / "bin" / name).unlink()
        else:
            rig.script(self.folder / "bin", name, body)

    def without(self, name: str) -> Ran:
        """Run the script where a program is on no PATH; what every system has is there."""
        tools = self.folder / "tools"
        if (self.folder / "bin" / name).exists():
            self.program(name, None)
        for tool in {"cat", "dirname", "env", "grep", "git", "ls", "mkdir", "sed", "sh", "uname", "wc"} - {name}:
            (tools / tool).symlink_to(shutil.which(tool) or tool)
        return self.run(shell=str(tools / "sh"), PATH=f"{self.folder / 'bin'}:{tools}")

    def render(self, text: str) -> None:
        self.repo.environment("lab", text)
        assert rig.command(self.repo.root, "render").code == 0
        self.repo.git("add", "-A")

    def run(self, *arguments: str, shell: str = "sh", at: tuple[str, str] = ("", ""), **variables: str) -> Ran:
        """Run the script; `at` is the folder to be in, from the workspace, and the script as seen from there."""
        done = subprocess.run(
            [shell, at[1] or str(self.repo.root / "clusters/lab/bootstrap.sh"), *arguments],
            cwd=self.repo.root / at[0],
            env=self.env | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def forget(self) -> None:
        shutil.rmtree(self.folder / "calls")
        (self.folder / "calls").mkdir()

    @property
    def calls(self) -> list[Call]:
        return [
            Call(
                (call / "argv").read_text("utf-8").splitlines(),
                (call / "stdin").read_text("utf-8") if (call / "stdin").exists() else None,
                (call / "env").read_text("utf-8"),
            )
            for call in sorted((self.folder / "calls").iterdir(), key=lambda path: int(path.name))
        ]

    @property
    def words(self) -> list[str]:
        return [" ".join(call.argv) for call in self.calls]


def bench(repo: Repo, home: Path, folder: Path, text: str) -> Bench:
    """Return a workspace with environment `lab`, rendered and known to git, and no cluster anywhere."""
    for name in ("answers", "calls", "tools"):
        (folder / name).mkdir()
    (folder / "tools" / "sops").symlink_to(rig.real_sops(repo.root))
    env = {
        "PATH": f"{folder / 'bin'}:{folder / 'tools'}:/usr/bin:/bin",
        "HOME": str(home),
        "CALLS": str(folder / "calls"),
        "ANSWERS": str(folder / "answers"),
        "SOPS_DISABLE_VERSION_CHECK": "true",
    }
    made = Bench(repo, folder, env)
    for name, body in PROGRAMS.items():
        made.program(name, body)
    for name in ("cluster", "fingerprint", "sops-age", "kind"):
        made.answer(name, "")

    def make() -> None:
        rig.lab(repo, home, text)
        made.render(text)

    turned.once(repo, home, ("bench", text), make)
    return made


def flag(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]
