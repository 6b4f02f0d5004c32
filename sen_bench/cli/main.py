"""The commands: results go to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sen_bench import __version__
from sen_bench.cli.console import Terminal
from sen_bench.cli.describe import describe_dataset, describe_tasks
from sen_bench.cli.options import (
    quiet_option,
    results_option,
    run_options,
    training_options,
    workers_option,
)
from sen_bench.config import SplitSize, load_preset
from sen_bench.device import prepare_device, resolve_device
from sen_bench.errors import ConfigError, SenBenchError, UnknownNameError
from sen_bench.generators import generate
from sen_bench.leaderboard import aggregate, format_table, read_runs
from sen_bench.store import open_dataset
from sen_bench.sweep import Folders, Run, dataset_path
from sen_bench.tasks import DEFAULT_DATA_SEED, Task, get_task, task_names
from sen_bench.view import save_view

#: Exit codes: a mistake of the user's; interrupted by Ctrl-C (as shells have it).
EXIT_MISTAKE, EXIT_INTERRUPTED = 2, 130


class _Group(click.Group):
    """Ends users' mistakes in one line."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 — as click declares it
        try:
            return super().invoke(ctx)
        except SenBenchError as error:
            click.echo(f"error: {error}", err=True)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            click.echo("error: the disk is full; make space and give the same command again", err=True)
        except KeyboardInterrupt:
            click.echo("interrupted; the same command does only what is not finished yet", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        return ctx.exit(EXIT_MISTAKE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sen-bench")
def main() -> None:
    """Datasets with known symmetries, and a benchmark of world models on them.

    \b
    See everything work in a few minutes, from data to leaderboard:
      sen-bench run 3d-blocks --preset smoke
    Generate the paper's datasets:
      sen-bench generate --all
    Train and score the paper's three models on a GPU:
      sen-bench run 3d-blocks --preset paper --seeds 0-2 --device cuda
    """


@main.command("tasks")
def tasks_command() -> None:
    """List the tasks: their worlds, splits and models."""
    click.echo(describe_tasks())


@main.command("generate")
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("--all", "everything", is_flag=True, help="Every task there is, in place of naming them.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="SPLIT",
    help="Split; repeat for several.  [default: train, eval]",
)
@click.option("--episodes", type=int, help="Episodes of each split.  [default: the paper's]")
@click.option("--horizon", type=int, help="Steps of each episode.  [default: the paper's]")
@click.option("--seed", type=int, default=DEFAULT_DATA_SEED, show_default=True, help="Seed of the data.")
@workers_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="data",
    show_default=True,
    help="Folder in which TASK/SPLIT.zarr is written.",
)
@click.option("--force", is_flag=True, help="Move what is already there aside and generate anew.")
@quiet_option
def generate_command(
    tasks: tuple[str, ...],
    splits: tuple[str, ...],
    episodes: int | None,
    horizon: int | None,
    seed: int,
    workers: int,
    out: Path,
    *,
    everything: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Generate the datasets of each TASK as Zarr stores.

    Equal commands write equal bytes, whatever the number of workers. A dataset that is already there is left
    alone; one with other settings is refused, unless --force moves it aside. With --all, a task that lacks a
    split asked for is left out of it.

    \b
    Examples:
      sen-bench generate 3d-blocks
      sen-bench generate 2d-shapes 3d-blocks --split train-limited
      sen-bench generate --all --episodes 50 --horizon 20 --out /tmp/small
    """
    terminal = Terminal(quiet=quiet)
    size = _split_size(episodes, horizon)
    chosen = _chosen_tasks(tasks, everything=everything)
    # Every recipe is made, and so checked, before the first dataset is written.
    recipes = [
        (task, task.recipe(split, size, seed=seed))
        for task, split in _chosen_splits(chosen, splits, terminal, skip=everything)
    ]
    for task, recipe in recipes:
        path = dataset_path(out, task, recipe.split)
        with terminal.task(f"{task.name} {recipe.split}", "frames") as advance:
            result = generate(recipe, path, workers=workers, force=force, progress=advance)
        if result.moved_aside is not None:
            terminal.message(f"moved the old dataset to {result.moved_aside}")
        state = "written" if result.created else "already there, nothing to do"
        click.echo(f"{path}: {state}")


def _chosen_tasks(names: tuple[str, ...], *, everything: bool) -> list[Task]:
    """The tasks named, each once, or every task."""
    if everything == bool(names):
        raise ConfigError(
            "give either tasks or --all, not both"
            if names
            else f"name a task, or give --all; tasks: {', '.join(task_names())}"
        )
    return [get_task(name) for name in (task_names() if everything else dict.fromkeys(names))]


def _chosen_splits(
    tasks: list[Task], names: tuple[str, ...], terminal: Terminal, *, skip: bool
) -> Iterator[tuple[Task, str]]:
    """The splits to generate of each task.

    Args:
        tasks: The tasks.
        names: Splits asked for; none: train and eval.
        terminal: Is told what is skipped.
        skip: Whether a task that lacks a split is passed over; at least one must have it all the same.
    """
    wanted = list(dict.fromkeys(names)) or ["train", "eval"]
    known = dict.fromkeys(split for task in tasks for split in task.splits)
    for split in wanted:
        if skip and split not in known:
            raise UnknownNameError("split", split, known)
    for task in tasks:
        for split in wanted:
            if skip and split not in task.splits:
                terminal.message(f"{task.name} has no split {split}: skipped")
            else:
                yield task, split


def _split_size(episodes: int | None, horizon: int | None) -> SplitSize:
    for name, value in (("--episodes", episodes), ("--horizon", horizon)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} must be at least 1, not {value}")
    return SplitSize(episodes=episodes, horizon=horizon)


@main.command("info")
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print all attributes as JSON.")
def info_command(store: Path, *, as_json: bool) -> None:
    """Describe the dataset STORE: its sizes, symmetry and provenance."""
    dataset = open_dataset(store)
    click.echo(json.dumps(dict(dataset.attributes), indent=2) if as_json else describe_dataset(dataset))


@main.command("view")
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--episode", "episodes", type=int, multiple=True, help="Episode; repeat for several.  [default: 0, 1, 2]"
)
@click.option("--twin", is_flag=True, help="Draw each episode's twin below it.")
@click.option(
    "--frames", type=click.IntRange(min=1), default=8, show_default=True, help="Frames on a contact sheet."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .png (contact sheet) or a .gif (animation).  [default: TASK-SPLIT.png]",
)
def view_command(
    store: Path, episodes: tuple[int, ...], frames: int, out: Path | None, *, twin: bool
) -> None:
    """Draw episodes of the dataset STORE, with their actions.

    \b
    Examples:
      sen-bench view data/3d-blocks/eval.zarr --twin
      sen-bench view data/3d-blocks/train.zarr --episode 7 --out seven.gif
    """
    dataset = open_dataset(store)
    path = out or Path(f"{dataset.task}-{dataset.split}.png")
    save_view(dataset, episodes or tuple(range(min(3, dataset.episodes))), path, twin=twin, frames=frames)
    click.echo(str(path))


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


@main.command("run")
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


@main.command("train")
@run_options
@training_options
def train_command(tensorboard: bool, force: bool, quiet: bool, **selection: Any) -> None:  # noqa: ANN401, FBT001
    """Train models on datasets that are there already; give the same command again to go on."""
    terminal = Terminal(quiet=quiet)
    for run in _runs(**selection):
        result = run.train(terminal, tensorboard=tensorboard, force=force)
        state = ", COLLAPSED" if result.collapsed else ""
        click.echo(f"{run.folder}: {result.epochs} epochs, {result.seconds:.0f} s{state}")


@main.command("evaluate")
@run_options
def evaluate_command(quiet: bool, **selection: Any) -> None:  # noqa: ANN401, FBT001
    """Score trained models and put them into the result tables."""
    terminal = Terminal(quiet=quiet)
    runs = _runs(**selection)
    for run in runs:
        run.record(run.evaluate(terminal))
    _print_leaderboard(runs[0].folders, runs[0].task.name)


@main.command("leaderboard")
@results_option
@click.option("--task", help="Show only this task.")
def leaderboard_command(results: Path, task: str | None) -> None:
    """Print the leaderboard: means over seeds of everything in runs.csv."""
    _print_leaderboard(Folders(Path(), Path(), results), task)


def _print_leaderboard(folders: Folders, task: str | None) -> None:
    table = aggregate(read_runs(folders.runs_csv))
    if task is not None:
        table = table[table["task"] == get_task(task).name]
    click.echo(format_table(table))
