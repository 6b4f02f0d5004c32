"""The command that runs the benchmark: one task, or every task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import sen_bench.results
import sen_bench.sweep
from sen_bench.cli.leaderboard_table import format_table
from sen_bench.cli.options import Names, SettingsCommand, settings_options, training_options
from sen_bench.cli.run_commands import selection_of
from sen_bench.cli.sweeping import sweep_options
from sen_bench.errors import ConfigError
from sen_bench.system import Terminal
from sen_bench.tasks import reference_model, task_names

if TYPE_CHECKING:
    from sen_bench.cli.sweeping import Sweeping


@click.command("run", cls=SettingsCommand)
@click.argument("task", required=False)
@click.option("--all", "everything", is_flag=True, help="Every task, and every split to train on.")
@click.option("--tasks", type=Names(), metavar="TASK,...", help="These tasks, and every split to train on.")
@click.option(
    "--train-split",
    metavar="SPLIT",
    help="Split to train on.  [default: train; with --all or --tasks every one there is]",
)
@settings_options
@training_options
@sweep_options
@click.pass_context
def run_command(
    context: click.Context,
    /,
    task: str | None,
    tasks: tuple[str, ...] | None,
    how: Sweeping,
    *,
    everything: bool,
    quiet: bool,
    **settings: Any,  # noqa: ANN401 — the options of settings_options, and whether to compile
) -> None:
    """Generate what is missing, train, score, and write the leaderboard of TASK, or of all tasks.

    What is already done is not done again. To resume an interrupted run, give the same command again. A run
    that fails does not stop the others; it is named at the end, and the exit code is 1.

    \b
    Examples:
      sen-bench run 3d-blocks --preset smoke
      sen-bench run --all --preset smoke --jobs 2
      sen-bench run --all --preset paper --device cuda --jobs 4 --dry-run
      sen-bench run --tasks 2d-shapes,3d-blocks --models sen,none --train-split train-limited
      sen-bench run 3d-blocks --models sen,none --seeds 0-2 --preset paper --device cuda
      sen-bench run 3d-blocks --preset smoke --set training.epochs=8 --set models.sen.hidden=64
      sen-bench run --all --preset paper --device cuda --cluster tls://10.0.0.1:8786 \\
        --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem
      sen-bench run 3d-blocks --preset smoke --log-to tensorboard,wandb
    """
    terminal = Terminal(quiet=quiet)
    several = _several(task, tasks, everything=everything)
    if not several and settings["train_split"] is None:
        settings["train_split"] = "train"
    selection = selection_of(
        tasks or ((task,) if task else None),
        how.place(),
        anew=how.force,
        elsewhere=how.where is not None,
        **settings,
    )
    runs = sen_bench.sweep.select_runs(selection, terminal)
    carried = how.carry_out(runs, terminal)
    if carried is None:
        return
    results = selection.workspace.results
    if results.runs_csv.exists():
        table = sen_bench.results.leaderboard_records(results.refresh_leaderboard(reference_model))
        of_these = {run.task.name for run in runs}
        click.echo(format_table([row for row in table if row["task"] in of_these]))
    carried.end(context, terminal)


def _several(task: str | None, tasks: tuple[str, ...] | None, *, everything: bool) -> bool:
    """Whether it is a sweep over tasks.

    Raises:
        ConfigError: If the options do not say, or say twice, what to run.
    """
    several = everything or tasks is not None
    if task is not None and several:
        raise ConfigError(f"give either {task} or --all or --tasks, not both")
    if task is None and not several:
        raise ConfigError(f"name a task, or give --all or --tasks; tasks: {', '.join(task_names())}")
    return several
