"""The command that puts result tables together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import sen_bench.results
from sen_bench.cli.options import results_option
from sen_bench.cli.study_figures import draw_data_study, draw_orbit_study
from sen_bench.errors import ResultsError, SenBenchError
from sen_bench.figures import DEFAULT_FORMATS, FORMATS
from sen_bench.system import shown
from sen_bench.tasks import get_task, reference_model

if TYPE_CHECKING:
    from sen_bench.results import Merged, RenewedStudy


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

    Studies come along: the rows behind them, in studies/data and studies/orbit, are merged by the same rules.
    Their tables are then computed anew from all these rows, and their figures drawn anew, as by the commands
    of studies: with every model and part of the data that one of the tables has, and all seeds. No data and
    no checkpoints are needed.

    \b
    Examples:
      sen-bench merge from-the-cluster/results
      sen-bench merge machine-1 machine-2 --results both
    """
    merged = sen_bench.results.merge_results(sources, results, reference_model, replace=replace)
    if any(sen_bench.results.ResultsFolder(source).runs_csv.exists() for source in sources):
        _tell(merged, results)
    for kind, part in merged.studies.items():
        _tell(part, sen_bench.results.ResultsFolder(results).study_folder(kind))
    for study in merged.renewed:
        if study.efficiency or study.orbit:
            click.echo(str(study.table))
            _draw(study, [results, *sources])
        for remark in study.remarks:
            click.echo(f"{study.table}: {remark}", err=True)


def _tell(merged: Merged, folder: Path) -> None:
    """Says what became of the runs in a folder of tables."""
    for what, names in (("added", merged.added), ("replaced", merged.replaced)):
        for name in names:
            click.echo(f"{what} {shown(name)}", err=True)
    click.echo(
        f"{folder}: runs added: {len(merged.added)}, replaced: {len(merged.replaced)},"
        f" there already: {len(merged.same)}"
    )


def _draw(study: RenewedStudy, folders: Sequence[Path]) -> None:
    """Draws the figure of a study in the formats that it has in one of the folders."""
    path = study.table.with_name(study.table.name.removesuffix(".csv"))
    beside = [sen_bench.results.ResultsFolder(folder).study_folder(study.kind) for folder in folders]
    there = [kind for kind in FORMATS if any((each / f"{path.name}.{kind}").exists() for each in beside)]
    formats = there or DEFAULT_FORMATS
    try:
        task = get_task((*study.efficiency, *study.orbit)[0].task)
        if study.kind == "data":
            drawn = draw_data_study(study.efficiency, task, path, formats)
        else:
            drawn = draw_orbit_study(study.orbit, task, path, formats)
    except ResultsError:
        raise
    except SenBenchError as error:  # such as a task that is not installed here
        click.echo(f"{study.table}: its figure is not drawn anew: {error}", err=True)
        return
    for file in drawn:
        click.echo(str(file))
