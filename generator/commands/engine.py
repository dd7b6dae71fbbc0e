"""`keyturn engine`: what Flux or Argo CD needs first, and what `keyturn verify` needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from generator.errors import InputError
from generator.talk import Talk, complete_environments

if TYPE_CHECKING:
    from pathlib import Path

_FOR = click.argument("environment", metavar="[ENV]", required=False, shell_complete=complete_environments)


@click.group(no_args_is_help=False)
def engine() -> None:
    """Print what an engine needs first, or verify.

    Manifests for kubectl, without a key: what an engine needs before it can apply a tree, and what verify may read.

    With ENV the names are the ones that this environment uses, else the defaults.
    """


@engine.command()
@_FOR
@click.pass_obj
def argocd(talk: Talk, environment: str | None) -> None:
    """Print what Argo CD needs first.

    The health check that sync waves wait by, and a patch that brings KSOPS to the repo-server.
    """
    _print(talk, "argocd", environment)


@engine.command()
@_FOR
@click.pass_obj
def flux(talk: Talk, environment: str | None) -> None:
    """Print what Flux needs first.

    The shape of the Secret that decrypts, and how to fill it.
    """
    _print(talk, "flux", environment)


@engine.command()
@_FOR
@click.option("--no-secret", is_flag=True, help="Without the right to read the Secret.")
@click.option("--no-exec", is_flag=True, help="Without the right to exec into the agents.")
@click.option("--hub", is_flag=True, help="The Role for Argo CD's own cluster, where that is another one.")
@click.pass_obj
def rbac(talk: Talk, environment: str | None, *, no_secret: bool, no_exec: bool, hub: bool) -> None:
    """Print what `keyturn verify` needs.

    Roles that let a group read what it asks for, and nothing else; --no-secret and --no-exec are those of verify.
    """
    from generator.app import engine as app

    click.echo(
        app.rbac(_root(talk, environment), environment, secret=not no_secret, agents=not no_exec, hub=hub), nl=False
    )


def _print(talk: Talk, name: str, environment: str | None) -> None:
    from generator.app import engine as app

    click.echo(app.manifests(_root(talk, environment), name, environment), nl=False)


def _root(talk: Talk, environment: str | None) -> Path | None:
    """Return the root; None where there is none, and none is needed."""
    try:
        return talk.find_root()
    except InputError:
        if environment is not None or talk.root is not None:
            raise
        return None
