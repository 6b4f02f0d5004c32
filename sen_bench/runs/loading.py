"""The dataset of a task and a split, as the command line lays datasets out, generated where it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from sen_bench.config import Preset, SplitSize, load_preset
from sen_bench.errors import ConfigError, first_problem
from sen_bench.generators import equal_dataset, generate
from sen_bench.runs.datasets import RunData
from sen_bench.runs.workspace import dataset_path
from sen_bench.store import Dataset
from sen_bench.system import Progress, plain_values
from sen_bench.tasks import DEFAULT_DATA_SEED, Task, get_task

_WAY_OUT: Final = "choose another data folder, or sb.load(..., force=True) to move it aside"


@plain_values
def load(
    task: Task | str,
    split: str,
    *,
    preset: Preset | Path | str | None = None,
    data: Path | str = "data",
    episodes: int | None = None,
    horizon: int | None = None,
    seed: int = DEFAULT_DATA_SEED,
    workers: int = 1,
    force: bool = False,
    progress: Progress | bool = True,
) -> Dataset:
    """Opens a dataset of a task, and generates it first if it is missing.

    It lies where the command line puts it: at ``data/TASK/SPLIT.zarr``, as after ``sen-bench generate``, or,
    for a preset with its own sizes, at ``data/PRESET/TASK/SPLIT.zarr``, as after ``sen-bench run``.

    Args:
        task: A task or its name: "3d-blocks".
        split: "train", "eval", or another that the task has.
        preset: Whose sizes to take: "smoke", "cpu", or a TOML file. None: the paper's.
        data: The folder of all datasets.
        episodes: How many episodes, instead of the paper's number.
        horizon: Steps in an episode, instead of the paper's.
        seed: The seed of the data.
        workers: Processes that generate it. With more than one, the calling script must be importable, with
            its work below ``if __name__ == "__main__":``.
        force: Generate it in any case, and move what lies there aside, to "eval.zarr.old-1".
        progress: True shows on stderr how a generation goes, False shows nothing.

    Raises:
        UnknownNameError: There is no such task, split or preset.
        ConfigError: A number is impossible, both sizes and a preset are given, or the preset says nothing
            about the task.
        DatasetError: Another dataset lies there, or it is broken or cannot be written.

    Examples:
        >>> load("3d-blocks", "eval", preset="smoke")  # doctest: +SKIP
        Dataset(3d-blocks/eval, 200 episodes of 10 steps)
    """
    chosen = task if isinstance(task, Task) else get_task(task)
    if preset is None:
        try:
            size = SplitSize(episodes=episodes, horizon=horizon)
        except ValidationError as error:
            raise ConfigError(first_problem(error)) from error
        recipe = chosen.recipe(split, size, seed=seed)
        path = dataset_path(Path(data), chosen, split)
    else:
        if episodes is not None or horizon is not None:
            raise ConfigError("a preset says how many episodes and steps; leave out episodes and horizon")
        loaded = preset if isinstance(preset, Preset) else load_preset(str(preset))
        run_data = RunData(chosen, loaded, Path(data))
        recipe = chosen.recipe(split, loaded.for_task(chosen.name).data.get(split), seed=seed)
        path = run_data.path(split)
    if path.exists() and not force:
        equal_dataset(path.absolute(), recipe, way_out=_WAY_OUT)
    return generate(recipe, path, workers=workers, force=force, wait=True, progress=progress).dataset
