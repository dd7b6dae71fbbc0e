"""`keyturn engine`: what Flux or Argo CD needs first."""

from __future__ import annotations

import click

from generator.errors import InputError
from generator.talk import Talk, complete_environments

_FOR = click.argument("environment", metavar="[ENV]", required=False, shell_complete=complete_environments)


@click.group(no_args_is_help=False)
def engine() -> None:
    """Print what an engine needs first.

    Manifests for kubectl, without a key, that an engine needs before it can apply a tree.

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


def _print(talk: Talk, name: str, environment: str | None) -> None:
    from generator.app import engine as app

    try:
        root = talk.find_root()
    except InputError:
        if environment is not None or talk.root is not None:
            raise
        root = None
    click.echo(app.manifests(root, name, environment), nl=False)
