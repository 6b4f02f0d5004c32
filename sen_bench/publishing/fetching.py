"""Datasets from behind URLs, put where runs look for them."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from sen_bench.checks import verify
from sen_bench.config import Preset, load_preset, preset_names
from sen_bench.errors import ConfigError, DatasetError, UnknownNameError
from sen_bench.generators import GENERATOR_VERSION, Recipe, alone, differences, equal_dataset
from sen_bench.runs import RunData, dataset_path
from sen_bench.store import Dataset, is_url, open_dataset
from sen_bench.system import QUIET, Progress, move_aside, sync
from sen_bench.tasks import Task, get_task, task_names


@dataclass(frozen=True)
class FetchResult:
    """What `fetch` did.

    Attributes:
        path: The dataset.
        created: Whether it was put there now; False: it was there already.
        moved_aside: Where what was there before is now.
    """

    path: Path
    created: bool
    moved_aside: Path | None = None


def fetch(
    url: str,
    data: Path,
    *,
    preset: Preset | None = None,
    regenerate: int = 0,
    force: bool = False,
    progress: Progress = QUIET,
) -> FetchResult:
    """Puts a dataset from behind a URL where runs look for it: at ``data/TASK/SPLIT.zarr``.

    Before it is put there it is verified as `verify` does. Until then it lies in a hidden folder beside its
    place, where an interrupted call is resumed by the same call.

    Args:
        url: The dataset: "hf://datasets/…", "https://…", or another that fsspec understands.
        data: The folder of all datasets.
        preset: Whose sizes it must have; it is then put into the folder of the preset. None: the paper's.
        regenerate: How many random episodes are generated again and compared: a manifest proves that a
            dataset is as its publisher wrote it, and this that it is what its recipe says.
        force: Move another dataset that lies in its place aside.
        progress: Is told what is fetched and checked.

    Raises:
        ConfigError: It is no URL, or the preset says nothing about the task.
        UnknownNameError: Its task is not known here, or has no such split.
        DatasetError: It cannot be reached, is not what its manifest says, or is not of the task's recipe; or
            another dataset lies in its place.
    """
    if not is_url(url):
        raise ConfigError(f"{url!r} is no URL; write hf://datasets/OWNER/NAME/PATH or https://…")
    remote = open_dataset(url, progress=progress)
    # Not "module:task", which a stranger's dataset could have us import and call.
    if remote.task not in task_names():
        raise UnknownNameError("task", remote.task, task_names())
    task = get_task(remote.task)
    recipe, path = _place(task, remote.split, preset, data)
    _check_recipe(remote, recipe, task, url)
    path = path.absolute()
    if not force and _is_there(path, recipe, remote):
        return FetchResult(path, created=False)
    draft = path.with_name(f".{path.name}.fetched")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path):
            if not force and _is_there(path, recipe, remote):  # another process was faster
                return FetchResult(path, created=False)
            remote.download(draft)
            verify(draft, regenerate=regenerate, progress=progress)
            aside = move_aside(path) if path.exists() else None
            draft.rename(path)
            sync(path.parent)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DatasetError(f"{path} cannot be written: {error.strerror or error}") from error
    return FetchResult(path, created=True, moved_aside=aside)


def _place(task: Task, split: str, preset: Preset | None, data: Path) -> tuple[Recipe, Path]:
    """What a split must be generated from, and where it belongs."""
    if preset is None:
        return task.recipe(split), dataset_path(data, task, split)
    of_preset = RunData(task, preset, data)
    return of_preset.recipe(split), of_preset.path(split)


def _is_there(path: Path, recipe: Recipe, remote: Dataset) -> bool:
    """Whether a dataset is in its place already.

    Raises:
        DatasetError: Another one is.
    """
    if not path.exists():
        return False
    there = equal_dataset(path, recipe, way_out="move it aside with --force, or fetch into another --data")
    if there.content_digest == remote.content_digest:
        return True
    raise DatasetError(
        f"{path} has other contents than {remote.place}, though both name the same recipe; `sen-bench verify"
        " --regenerate 20` tells which is wrong, and --force moves the one that is here aside"
    )


def _check_recipe(remote: Dataset, recipe: Recipe, task: Task, url: str) -> None:
    """Makes sure that a dataset is what a task asks for, before all of it is fetched.

    Raises:
        DatasetError: It is not; the message says in what, and which preset asks for it.
    """
    theirs = {**remote.recipe, "generator version": remote.generator_version}
    found = [
        f"{name} {a} instead of {b}"
        for name, a, b in differences(theirs, {**recipe.to_json(), "generator version": GENERATOR_VERSION})
    ]
    if not found:
        return
    asking = [name for name in preset_names() if _asks_for(remote, task, name)]
    hint = f"; give --preset {asking[0]}" if asking else ""
    raise DatasetError(f"{url} is not what task {task.name!r} asks for: it has {', '.join(found)}{hint}")


def _asks_for(remote: Dataset, task: Task, preset: str) -> bool:
    """Whether a preset asks for just this dataset."""
    loaded = load_preset(preset)
    if task.name not in loaded.tasks:
        return False
    size = loaded.for_task(task.name).data.get(remote.split)
    return size is not None and task.recipe(remote.split, size).digest == remote.recipe_digest
