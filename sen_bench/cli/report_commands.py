"""The command that makes the page of results."""

from __future__ import annotations

import functools
from pathlib import Path

import click

import sen_bench.report
from sen_bench.cli.options import quiet_option, results_option
from sen_bench.errors import SenBenchError
from sen_bench.system import Terminal, call_plugin
from sen_bench.tasks import task_names


@click.command("report")
@results_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page.  [default: index.html in the folder of results]",
)
@quiet_option
def report_command(results: Path, output: Path | None, *, quiet: bool) -> None:
    """Make the page of results: one HTML file that opens from disk and needs no network.

    It shows the leaderboard of each task beside the paper's numbers, charts, pictures of the worlds, and
    behind every number the runs it comes from. What was not run is shown as missing. docs/report.md says how
    to read it.

    \b
    Examples:
      sen-bench report
      sen-bench report --results results --output /tmp/page.html
    """
    tables = sen_bench.report.read_page_data(results)
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
    path = output or results / "index.html"
    sen_bench.report.write_page(sen_bench.report.build_page(tables, worlds), path)
    click.echo(str(path))
