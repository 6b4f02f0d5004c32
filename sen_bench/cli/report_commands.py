"""The command that makes the page of results."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

import sen_bench.figures
import sen_bench.report
from sen_bench.cli.options import quiet_option, results_option
from sen_bench.errors import SenBenchError
from sen_bench.figures import CHART_FORMATS, FORMATS
from sen_bench.system import Terminal, call_plugin, check_output
from sen_bench.tasks import task_names

if TYPE_CHECKING:
    from sen_bench.figures import Format


@click.command("report")
@results_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page.  [default: index.html in the folder of results]",
)
@click.option(
    "--charts",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Also write each chart of the page into a file of its own there, for a paper or slides.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="Format of the charts; repeat for several.  [default: svg and pdf]",
)
@quiet_option
def report_command(
    results: Path, output: Path | None, charts: Path | None, formats: tuple[Format, ...], *, quiet: bool
) -> None:
    """Make the page of results: one HTML file that opens from disk and needs no network.

    It shows the leaderboard of each task beside the paper's numbers, charts, pictures of the worlds, and
    behind every number the runs it comes from. What was not run is shown as missing. Where there are tables
    of `sen-bench study` and `sen-bench plan`, it also shows what symmetry is worth. docs/report.md says how
    to read it.

    \b
    Examples:
      sen-bench report
      sen-bench report --results results --output /tmp/page.html
      sen-bench report --charts paper/figures --format pdf
    """
    if formats and charts is None:
        raise click.UsageError("--format is that of charts; say where they go with --charts FOLDER")
    path = output or results / "index.html"
    tables = sen_bench.report.read_page_data(results)
    sen_bench.report.check_page(path)
    if charts is not None:
        check_output(charts, folder=True)
    worlds = []
    terminal, tasks = Terminal(quiet=quiet), sen_bench.report.usable_tasks()
    for name in task_names():
        if name not in {task.name for task in tasks}:
            terminal.message(f"{name} is left out: it cannot be used; `sen-bench tasks` says why")
    with terminal.work("draw worlds", "tasks") as advance:
        for number, task in enumerate(tasks, start=1):
            try:
                worlds.append(
                    call_plugin(f"drawing {task.name}", functools.partial(sen_bench.report.draw_world, task))
                )
            except SenBenchError as error:
                terminal.message(f"no picture of {task.name}: {error}")
            advance(number, len(tasks))
    page = sen_bench.report.build_page(tables, worlds)
    sen_bench.report.write_page(page, path)
    click.echo(str(path))
    if charts is not None:
        for drawn in sen_bench.figures.draw_charts(page, charts, formats or CHART_FORMATS, terminal):
            click.echo(str(drawn))
