"""The command that puts result tables together."""

from __future__ import annotations

from pathlib import Path

import click

import sen_bench.results
from sen_bench.cli.options import results_option
from sen_bench.system import shown
from sen_bench.tasks import reference_model


@click.command("merge")
@click.argument(
    "sources", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(file_okay=False, path_type=Path)
)
@results_option
@click.option("--replace", is_flag=True, help="Where results differ, take those of FOLDER.")
def merge_command(sources: tuple[Path, ...], results: Path, *, replace: bool) -> None:
    """Add the runs in other folders of result tables, such as those of another machine.

    Takes the rows of runs.csv and the learning curves of curves.csv, and rewrites leaderboard.csv. A result
    that is already there, of the same run, horizon, data and settings, is left as it is; if the two differ,
    nothing is written unless --replace is given.

    \b
    Examples:
      sen-bench merge from-the-cluster/results
      sen-bench merge machine-1 machine-2 --results both
    """
    merged = sen_bench.results.merge_results(sources, results, reference_model, replace=replace)
    for what, names in (("added", merged.added), ("replaced", merged.replaced)):
        for name in names:
            click.echo(f"{what} {shown(name)}", err=True)
    click.echo(
        f"{results}: runs added: {len(merged.added)}, replaced: {len(merged.replaced)},"
        f" there already: {len(merged.same)}"
    )
