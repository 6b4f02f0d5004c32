"""The study of the orbit: what models know of the group when they have seen a slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sen_bench.results
import sen_bench.runs
import sen_bench.sweep
import sen_bench.system
from sen_bench.cli.options import SettingsCommand
from sen_bench.cli.run_commands import selection_of
from sen_bench.cli.study_figures import draw_orbit_study
from sen_bench.cli.study_options import metric_of, metric_option, study_options, task_option
from sen_bench.errors import ConfigError
from sen_bench.figures import DEFAULT_FORMATS
from sen_bench.system import Terminal
from sen_bench.tasks import get_task, reference_model

if TYPE_CHECKING:
    from sen_bench.cli.sweeping import Sweeping
    from sen_bench.figures import Format
    from sen_bench.runs import Run


@click.command("orbit", cls=SettingsCommand)
@task_option
@metric_option
@study_options
@click.pass_context
def orbit_command(
    context: click.Context,
    /,
    task: str,
    metric_name: str | None,
    formats: tuple[Format, ...],
    how: Sweeping,
    *,
    quiet: bool,
    results: Path,
    **settings: Any,  # noqa: ANN401 — the other options of settings_options, and whether to compile
) -> None:
    """Find out what models know of a group of which they saw a slice: score them by the distance from it.

    Every model is trained on the split train-slice, whose transitions the group turns into others: grid
    worlds with the first object in one quarter of the board and the direction up only, 3D Teapot with poses
    within a quarter turn of the identity. It is scored one step ahead on the whole split eval, by the angle
    of the smallest turn that would bring a transition into the slice. Give three seeds at least to get
    intervals.

    Everything is written to studies/orbit in the folder of result tables: the table and the figure, named for
    task and preset, and the tables of the runs behind them. What is already done is not done again; to resume
    an interrupted study, give the same command again. docs/studies.md shows how to read it.

    With --cluster the workers train and score the runs, and this machine scores them by class, on its CPU,
    from the checkpoints in the folder of runs that all machines share.

    \b
    Examples:
      sen-bench study orbit --task 2d-shapes --preset smoke --models sen,none
      sen-bench study orbit --task 2d-shapes --seeds 0-2 --dry-run
      sen-bench study orbit --task teapot-large --seeds 0-2 --device cuda --jobs 4
      sen-bench study orbit --task 3d-blocks --seeds 0-2 --set models.sen.hidden=64
    """
    terminal = Terminal(quiet=quiet)
    chosen = get_task(task)
    metric = metric_of(metric_name, sen_bench.results.ORBIT_SCORES, chosen)
    folder = sen_bench.results.ResultsFolder(results).study_folder("orbit")
    selection = selection_of(
        (chosen.name,),
        how.place(),
        anew=how.force,
        elsewhere=how.where is not None,
        results=folder,
        train_split=None,
        **settings,
    )
    runs = sen_bench.sweep.select_slice(selection, terminal)
    _check_scored_here(runs[0], how)
    carried = how.carry_out(runs, terminal)
    if carried is None:
        return
    if how.where is not None:  # this machine need not have what the workers have
        runs = [replace(run, device=sen_bench.system.resolve_device("cpu")) for run in runs]
    scored = [row for run in runs for row in sen_bench.runs.score_classes(run, terminal, again=how.force)]
    if scored:
        name = f"{chosen.name.replace(':', '-')}-{scored[0].preset}"
        rows = sen_bench.results.orbit_rows(scored, first=reference_model(chosen.name))
        sen_bench.results.write_study(folder / f"{name}.csv", rows, sen_bench.results.OrbitRow)
        click.echo(str(folder / f"{name}.csv"))
        for path in draw_orbit_study(rows, chosen, folder / name, formats or DEFAULT_FORMATS, metric=metric):
            click.echo(str(path))
    carried.end(context, terminal)


def _check_scored_here(run: Run, how: Sweeping) -> None:
    """Refuses arithmetic that this machine cannot do after the workers of a cluster have trained.

    Raises:
        ConfigError: If it is such.
    """
    if how.where is not None and run.config.training.precision == "tf32":
        raise ConfigError(
            "--precision tf32 with --cluster: scores by class are computed on the CPU of this machine, which"
            " has no TensorFloat32; use --precision float32 or bfloat16, or leave --cluster out where the GPU"
            " is"
        )
