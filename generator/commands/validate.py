"""`keyturn validate`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.talk import Talk, say, show

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from generator.app.charting import Charts
    from generator.app.scope import Options
    from generator.verdicts import Validated


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.option("--index", is_flag=True, help="Read files from git's index, as a commit would have them.")
@click.option(
    "--deleted", is_flag=True, help="With --index: also at what the commit takes away; without PATH at that alone."
)
@click.option("--staged", is_flag=True, help="Look at what is staged.")
@click.option("--against", metavar="REV", help="Compare with a branch: the merge gate.")
@click.option(
    "--chart", type=click.Path(exists=True, path_type=Path), help="Render Cilium's chart: a .tgz, or a folder."
)
@click.option("--pull-chart", is_flag=True, help="The same, by the chart that each environment names.")
@click.option("--drift", is_flag=True, help="See only whether clusters/ is what the environments render.")
@click.option("--no-key", is_flag=True, help="Leave private keys alone: decrypt nothing.")
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Run N sops at a time; default: the processors.")
@click.option(
    "--output",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="How to answer.",
)
@click.pass_context
def validate(  # noqa: PLR0913 -- one a flag
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    output: str,
    against: str | None,
    chart: Path | None,
    jobs: int | None,
    *,
    index: bool,
    deleted: bool,
    staged: bool,
    pull_chart: bool,
    drift: bool,
    no_key: bool,
    strict: bool,
) -> None:
    """Find what is wrong with a tree, or with some files.

    Without PATH every file that git tracks, as it stands in the work tree.  No private key is needed; where one is at
    hand, every Secret is opened and compared with what it tells.  Exit code 1 where there is an error.
    """
    from generator.app import scope
    from generator.app import validate as app

    wanted = scope.Options(paths, index, staged, drift, deleted)
    _refuse(ctx, wanted, chart, pull_chart=pull_chart)
    talk: Talk = ctx.obj
    root, has_environments = talk.find_tree()
    if not has_environments and not talk.quiet:
        say("no environments/ here: the rules for any file are used, and none about environments")
    charts = _charts(chart) if chart is not None or pull_chart else None
    options = app.Options(wanted, lambda: datetime.now(UTC), against, charts, no_key, jobs or os.cpu_count() or 1)
    done = app.validate(root, options)
    _answer(talk, root, done, output)
    if any(strict or one.level == "error" for one in done.findings):
        ctx.exit(1)


def _refuse(ctx: click.Context, wanted: Options, chart: Path | None, *, pull_chart: bool) -> None:
    """Raise UsageError where words contradict each other."""
    if chart is not None and pull_chart:
        raise click.UsageError("--chart and --pull-chart both say which chart", ctx)
    if wanted.index and wanted.staged:
        raise click.UsageError("--index reads the paths that are given, --staged those that are staged: say one", ctx)
    if wanted.drift and (wanted.paths or wanted.staged):
        raise click.UsageError("--drift looks at the whole tree, and takes neither PATH nor --staged", ctx)
    if wanted.deleted and (wanted.drift or not wanted.index):
        raise click.UsageError("--deleted goes with --index, and with neither --staged nor --drift", ctx)


def _charts(chart: Path | None) -> Callable[[], contextlib.AbstractContextManager[Charts]]:
    from generator import places
    from generator.app.charting import Charts

    if chart is not None:
        return lambda: Charts.given(chart, say)
    return lambda: Charts.pulled(places.cache(os.environ) / "charts", say)


def _answer(talk: Talk, root: Path, done: Validated, output: str) -> None:
    from generator import __version__, git, verdicts

    place = git.place(root) or ""
    if output == "text":
        for finding in done.findings:
            show(str(finding))
        for line in verdicts.exceptions(done):
            show(line)
    elif output == "github":
        for line in verdicts.github(done, place):
            click.echo(line)
    else:
        from generator import report

        answer = verdicts.as_json(done) if output == "json" else verdicts.sarif(done, place, __version__)
        click.echo(report.as_json(answer))
    if not talk.quiet:
        for note in done.notes:
            say(note)
        say(verdicts.closing(done))
