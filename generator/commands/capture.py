"""`keyturn capture`."""

from __future__ import annotations

import click

from generator.talk import OUTPUT, Talk, complete_environments, say, show


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, allow_dash=True))
@click.option(
    "--env", "environment", required=True, metavar="ENV", shell_complete=complete_environments, help="Whose traffic."
)
@click.option("--pod-cidr", "pods", multiple=True, metavar="C", help="A network of pods; default: the environment's.")
@click.option(
    "--node-cidr", "nodes", multiple=True, metavar="C", help="A network of nodes, where pods' networks hold it."
)
@click.option("--node-ip", "own", multiple=True, metavar="IP", help="An address of the node that captured.")
@OUTPUT
@click.pass_context
def capture(  # noqa: PLR0913 -- one a flag
    ctx: click.Context,
    /,
    files: tuple[str, ...],
    environment: str,
    *,
    pods: tuple[str, ...],
    nodes: tuple[str, ...],
    own: tuple[str, ...],
    output: str,
) -> None:
    """Tell from captures whether traffic between nodes is encrypted.

    FILE is pcap or pcapng, as tcpdump -i any -w writes it on a node; - is stdin.  Only what leaves the node counts,
    since decrypted packets reappear where they arrive: tcpdump -i any keeps the direction, else --node-ip tells it.

    Exit code 0 where there is encrypted traffic and none of pods in clear; 1 where there is not; 3 where a capture
    cannot tell.
    """
    from generator import captured, remarks, report
    from generator.app import capture as app

    talk: Talk = ctx.obj
    if files.count("-") > 1:
        raise click.UsageError("stdin is read once", ctx)
    expected = app.expected(talk.find_root(), environment, app.Options(pods, nodes, own))
    answers = []
    for file in files:
        answer = app.capture(file, expected)
        answers.append(answer)
        if output == "text":
            for line in captured.lines(answer):
                show(line)
        for note in remarks.notes(answer):
            say(f"{answer.file}: {note}")
    if output == "json":
        click.echo(report.as_json(captured.as_json(answers, expected)))
    verdicts = {answer.verdict for answer in answers}
    if verdicts & {"clear", "nothing"}:
        ctx.exit(1)
    if "undecided" in verdicts:
        ctx.exit(3)
