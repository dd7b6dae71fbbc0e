"""`keyturn completion`."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from generator.talk import PROGRAM


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print completion for bash, zsh or fish.

    The script completes commands, options and the names of environments.

    bash: eval "$(keyturn completion bash)" in ~/.bashrc; zsh likewise in ~/.zshrc, after compinit;
    fish: keyturn completion fish > ~/.config/fish/completions/keyturn.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 -- Click has all three
    script = kind(ctx.find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    click.echo(ShellComplete.source(script))  # bash's own would run bash first, to look at its version
