"""The commands about tasks and datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import sen_bench.cluster
import sen_bench.config
import sen_bench.figures
import sen_bench.generators
import sen_bench.runs
import sen_bench.store
import sen_bench.system
from sen_bench.cli.describe import describe_dataset, describe_tasks, list_tasks
from sen_bench.cli.needs_text import describe_generation
from sen_bench.cli.options import cluster_options, quiet_option, store_argument, workers_option
from sen_bench.errors import ConfigError, ExtensionError, UnknownNameError
from sen_bench.system import Progress, Terminal
from sen_bench.tasks import DEFAULT_DATA_SEED, Task, get_task, task_names

if TYPE_CHECKING:
    from sen_bench.cluster import TlsFiles
    from sen_bench.config import SplitSize
    from sen_bench.generators import RunShards


@click.command("tasks")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tasks_command(*, as_json: bool) -> None:
    """List the tasks: their worlds, splits and models.

    \b
    Examples:
      sen-bench tasks
      sen-bench tasks --json | jq -r '.[].name'
    """
    click.echo(json.dumps(list_tasks(), indent=2) if as_json else describe_tasks())


@click.command("generate")
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("--all", "everything", is_flag=True, help="All tasks, instead of naming them.")
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
@cluster_options
@click.option("--force", is_flag=True, help="Move what is already there aside and generate again.")
@click.option("--dry-run", is_flag=True, help="Only say what it takes: disk, memory and time.")
@quiet_option
def generate_command(
    tasks: tuple[str, ...],
    splits: tuple[str, ...],
    episodes: int | None,
    horizon: int | None,
    seed: int,
    workers: int,
    out: Path,
    where: str | None,
    slurm: Path | None,
    tls: TlsFiles | None,
    *,
    everything: bool,
    force: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Generate the datasets of each TASK as Zarr stores.

    What that takes is said first, unless --quiet; nothing is begun that the disk cannot hold. Equal commands
    write equal bytes, whatever the number of workers. A dataset that already exists is left alone; one with
    other settings is an error, unless --force moves it aside. With --all, tasks that lack a requested split
    are skipped for it.

    \b
    Examples:
      sen-bench generate 3d-blocks
      sen-bench generate 2d-shapes 3d-blocks --split train-limited
      sen-bench generate --all --episodes 50 --horizon 20 --out /tmp/small
      sen-bench generate --all --dry-run
      sen-bench generate 3d-blocks --cluster tls://10.0.0.1:8786 \\
        --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem
      sen-bench generate --all --cluster slurm --cluster-options slurm.toml
    """
    if slurm is not None and where is None:
        raise ConfigError("--cluster-options needs --cluster slurm")
    terminal = Terminal(quiet=quiet)
    size = _split_size(episodes, horizon)
    chosen = _chosen_tasks(tasks, terminal, everything=everything)
    # Every recipe is built, and so checked, before the first dataset is written.
    recipes = [
        (task, task.recipe(split, size, seed=seed))
        for task, split in _chosen_splits(chosen, splits, terminal, skip=everything)
    ]
    places = [sen_bench.runs.dataset_path(out, task, recipe.split) for task, recipe in recipes]
    estimates = [
        sen_bench.generators.estimate_dataset(recipe, path)
        for path, (_, recipe) in zip(places, recipes, strict=True)
        if force or not path.exists()
    ]
    for line in describe_generation(estimates, None if where else workers):
        if dry_run:
            click.echo(line)
        elif not quiet:
            terminal.message(line)
    sen_bench.system.check_disk({out: sum(estimate.stored or 0 for estimate in estimates)})
    if dry_run:
        return
    with _runner(where, slurm, tls, terminal) as run:
        for path, (task, recipe) in zip(places, recipes, strict=True):
            result = sen_bench.generators.generate(
                recipe,
                path,
                workers=workers,
                run=run,
                force=force,
                progress=terminal,
                title=f"{task.name} {recipe.split}",
            )
            if result.moved_aside is not None:
                terminal.message(f"moved the old dataset to {result.moved_aside}")
            state = "written" if result.created else "already there, nothing to do"
            click.echo(f"{path}: {state}")


@contextmanager
def _runner(
    where: str | None, options: Path | None, tls: TlsFiles | None, progress: Progress
) -> Iterator[RunShards | None]:
    """What makes the shards; None: worker processes on this machine."""
    if where is None:
        yield None
        return
    with sen_bench.generators.on_cluster(
        where, sen_bench.cluster.SlurmOptions.read(options) if options else None, progress, tls=tls
    ) as run:
        yield run


def _chosen_tasks(names: tuple[str, ...], progress: Progress, *, everything: bool) -> list[Task]:
    """The tasks named, each once, or every task, then without broken ones of plugins, which are reported."""
    if everything == bool(names):
        raise ConfigError(
            "give either tasks or --all, not both"
            if names
            else f"name a task, or give --all; tasks: {', '.join(task_names())}"
        )
    if names:
        return [get_task(name) for name in dict.fromkeys(names)]
    tasks = []
    for name in task_names():
        try:
            tasks.append(get_task(name))
        except ExtensionError as error:
            progress.message(f"{name} is skipped: {error}")
    return tasks


def _chosen_splits(
    tasks: list[Task], names: tuple[str, ...], progress: Progress, *, skip: bool
) -> Iterator[tuple[Task, str]]:
    """The splits to generate of each task.

    Args:
        tasks: The tasks.
        names: Splits asked for; none: train and eval.
        progress: Is told what is skipped.
        skip: Whether a task that lacks a split is passed over; at least one task must have it.
    """
    wanted = list(dict.fromkeys(names)) or ["train", "eval"]
    known = dict.fromkeys(split for task in tasks for split in task.splits)
    for split in wanted:
        if skip and split not in known:
            raise UnknownNameError("split", split, known)
    for task in tasks:
        for split in wanted:
            if skip and split not in task.splits:
                progress.message(f"{task.name} has no split {split}: skipped")
            else:
                yield task, split


def _split_size(episodes: int | None, horizon: int | None) -> SplitSize:
    for name, value in (("--episodes", episodes), ("--horizon", horizon)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} must be at least 1, not {value}")
    return sen_bench.config.SplitSize(episodes=episodes, horizon=horizon)


@click.command("info")
@store_argument
@click.option("--json", "as_json", is_flag=True, help="Print all attributes as JSON.")
def info_command(store: Path | str, *, as_json: bool) -> None:
    """Describe the dataset STORE: its sizes, symmetry and provenance.

    \b
    Examples:
      sen-bench info data/3d-blocks/eval.zarr
      sen-bench info https://example.org/3d-blocks/eval.zarr
    """
    dataset = sen_bench.store.open_dataset(store, progress=Terminal())
    click.echo(json.dumps(dict(dataset.attributes), indent=2) if as_json else describe_dataset(dataset))


@click.command("view")
@store_argument
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
    store: Path | str, episodes: tuple[int, ...], frames: int, out: Path | None, *, twin: bool
) -> None:
    """Draw episodes of the dataset STORE, with their actions.

    \b
    Examples:
      sen-bench view data/3d-blocks/eval.zarr --twin
      sen-bench view data/3d-blocks/train.zarr --episode 7 --out seven.gif
    """
    dataset = sen_bench.store.open_dataset(store, progress=Terminal())
    path = out or Path(f"{dataset.task}-{dataset.split}.png")
    sen_bench.figures.save_view(
        dataset, episodes or tuple(range(min(3, dataset.episodes))), path, twin=twin, frames=frames
    )
    click.echo(str(path))
