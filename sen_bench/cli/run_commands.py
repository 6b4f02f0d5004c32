"""The commands about models: training, scoring, result tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sen_bench.cli.console import Terminal
from sen_bench.cli.leaderboard_table import format_table
from sen_bench.cli.options import (
    results_option,
    run_options,
    training_options,
    workers_option,
)
from sen_bench.config import load_preset
from sen_bench.device import prepare_device, resolve_device
from sen_bench.leaderboard import aggregate, read_runs
from sen_bench.sweep import Folders, Run
from sen_bench.tasks import get_task


def _runs(
    task: str,
    models: tuple[str, ...],
    seeds: tuple[int, ...],
    preset: str,
    train_split: str,
    device: str,
    data: Path,
    runs: Path,
    results: Path,
    **changes: str | None,
) -> list[Run]:
    """The runs that the options select, checked before any work begins."""
    chosen = get_task(task)
    # First, because no preset says anything about a task without models.
    selected = chosen.check_models(list(models))
    loaded = load_preset(preset)
    of_task = loaded.for_task(task)
    training = of_task.training.model_copy(update={k: v for k, v in changes.items() if v is not None})
    of_task = of_task.model_copy(update={"training": training})
    folders = Folders(data, runs, results)
    where = resolve_device(device)
    prepare_device(where)
    return [
        Run(chosen, loaded, chosen.run_config(model, train_split, of_task), seed, folders, where)
        for model in selected
        for seed in seeds
    ]


@click.command("run")
@run_options
@training_options
@workers_option
def run_command(workers: int, tensorboard: bool, force: bool, quiet: bool, **selection: Any) -> None:  # noqa: ANN401, FBT001
    """Generate what is missing, train, score, and write the leaderboard of TASK.

    What is done already is not done again; an interrupted run goes on where it stopped.

    \b
    Examples:
      sen-bench run 3d-blocks --preset smoke
      sen-bench run 3d-blocks --model sen --model none --seeds 0-2 --preset paper --device cuda
    """
    runs = _runs(**selection)
    terminal = Terminal(quiet=quiet)
    for number, run in enumerate(runs, start=1):
        new = run.complete(terminal, workers=workers, tensorboard=tensorboard, force=force)
        state = "done" if new else f"already in {run.folders.runs_csv}"
        terminal.message(f"[{number}/{len(runs)}] {run.name}: {state}")
    _print_leaderboard(runs[0].folders, runs[0].task.name)


@click.command("train")
@run_options
@training_options
def train_command(tensorboard: bool, force: bool, quiet: bool, **selection: Any) -> None:  # noqa: ANN401, FBT001
    """Train models on datasets that are there already; give the same command again to go on."""
    terminal = Terminal(quiet=quiet)
    for run in _runs(**selection):
        result = run.train(terminal, tensorboard=tensorboard, force=force)
        state = ", COLLAPSED" if result.collapsed else ""
        click.echo(f"{run.folder}: {result.epochs} epochs, {result.seconds:.0f} s{state}")


@click.command("evaluate")
@run_options
def evaluate_command(quiet: bool, **selection: Any) -> None:  # noqa: ANN401, FBT001
    """Score trained models and put them into the result tables."""
    terminal = Terminal(quiet=quiet)
    runs = _runs(**selection)
    for run in runs:
        run.record(run.evaluate(terminal))
    _print_leaderboard(runs[0].folders, runs[0].task.name)


@click.command("leaderboard")
@results_option
@click.option("--task", help="Show only this task.")
@click.option("--iqm", is_flag=True, help="Interquartile means and their 95 % intervals, not mean ± std.")
def leaderboard_command(results: Path, task: str | None, iqm: bool) -> None:  # noqa: FBT001
    """Print the leaderboard: means over seeds of everything in runs.csv.

    \b
    Examples:
      sen-bench leaderboard --task 3d-blocks
      sen-bench leaderboard --iqm
    """
    _print_leaderboard(Folders(Path(), Path(), results), task, iqm=iqm)


def _print_leaderboard(folders: Folders, task: str | None, *, iqm: bool = False) -> None:
    table = aggregate(read_runs(folders.runs_csv))
    if task is not None:
        table = table[table["task"] == get_task(task).name]
    click.echo(format_table(table, iqm=iqm))
