"""Generating a dataset: beside its target, by many workers, and into place when it is whole."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from sen_bench.envs import make_world
from sen_bench.errors import ConfigError, DatasetError
from sen_bench.files import sync
from sen_bench.generators.recipe import GENERATOR_VERSION, Recipe
from sen_bench.generators.shards import Plan, plan
from sen_bench.generators.workers import run_shards
from sen_bench.store import (
    Dataset,
    create_store,
    finish_store,
    open_dataset,
    write_rows,
)


@dataclass(frozen=True)
class GenerationResult:
    """What `generate` did.

    Args:
        path: The dataset.
        created: Whether it was generated now; False: an equal one was already there.
        dataset: The dataset, opened.
        moved_aside: Where the dataset that was there before is now.
    """

    path: Path
    created: bool
    dataset: Dataset
    moved_aside: Path | None = None


def generate(
    recipe: Recipe,
    target: Path,
    *,
    workers: int = 1,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> GenerationResult:
    """Generates a dataset, unless an equal one is already there.

    The bytes written do not depend on the number of workers. Until the dataset is whole it lies in a hidden
    folder beside the target, which a failure removes.

    Args:
        recipe: What to generate.
        target: The dataset's folder, "…/train.zarr".
        workers: Worker processes. Each imports the main module, which must therefore be importable.
        force: Generate in any case, and move what lies at the target aside, to "train.zarr.old-1".
        progress: Called with the observations done and their total.

    Raises:
        DatasetError: Something else lies at the target, another process is generating it, or it cannot be
            written.
        ConfigError: The recipe or the number of workers is impossible.
        WorldError: The world does not have these options or actions.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    target = Path(target).absolute()
    world = make_world(recipe.world_id, **recipe.world_options)
    planned = plan(recipe, world)
    with _one_line_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if not force and target.exists():
                return GenerationResult(target, created=False, dataset=_equal_dataset(target, recipe))
            staging = target.with_name(f".{target.name}.partial")
            # What a killed process left behind; nobody works in it, for we hold the lock.
            shutil.rmtree(staging, ignore_errors=True)
            try:
                staging.mkdir()
                _fill(staging, recipe, planned, workers, progress or (lambda _done, _total: None))
                moved_aside = _move_aside(target) if target.exists() else None
                staging.rename(target)
                sync(target.parent)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            return GenerationResult(
                target, created=True, dataset=open_dataset(target), moved_aside=moved_aside
            )


def _fill(
    staging: Path, recipe: Recipe, planned: Plan, workers: int, progress: Callable[[int, int], None]
) -> None:
    """Writes a whole dataset into an empty folder."""
    create_store(staging, [*planned.arrays, *(spec for spec, _ in planned.annotations)])
    receipts = [write_rows(staging, spec.path, 0, values) for spec, values in planned.annotations]
    done, total = 0, planned.frames
    progress(done, total)
    # Closed before anything else happens, so that no worker writes into a folder that is being removed.
    with closing(run_shards(staging, recipe, list(planned.blocks.ranges()), workers)) as shards:
        for (start, stop), shard in shards:
            receipts += shard
            done += (stop - start) * total // recipe.episodes
            progress(done, total)
    finish_store(staging, planned.attributes, receipts)


def _equal_dataset(target: Path, recipe: Recipe) -> Dataset:
    """The dataset at the target.

    Raises:
        DatasetError: It is not whole, or of another recipe or generator.
    """
    way_out = "choose another place, or have it moved aside with force"
    try:
        dataset = open_dataset(target)
    except DatasetError as error:
        raise DatasetError(f"{error}; {way_out}") from error
    differences = [
        f"{name} {theirs} instead of {ours}"
        for name, theirs, ours in _differences(
            {**dataset.recipe, "generator version": dataset.generator_version},
            {**recipe.to_json(), "generator version": GENERATOR_VERSION},
        )
    ]
    if differences:
        raise DatasetError(f"{target} is another dataset, with {', '.join(differences)}; {way_out}")
    return dataset


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The entries that differ between two JSON objects: name, one value, the other."""
    for name in sorted(theirs.keys() | ours.keys()):
        left, right = theirs.get(name), ours.get(name)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            yield from ((f"{name}.{inner}", a, b) for inner, a, b in _differences(left, right))
        elif left != right:
            yield name, repr(left), repr(right)


def _move_aside(target: Path) -> Path:
    """Renames what lies at the target to the first free "….old-N"."""
    number = 1
    while (aside := target.with_name(f"{target.name}.old-{number}")).exists():
        number += 1
    return target.rename(aside)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Holds the lock of a target; the system gives it back when we die.

    Raises:
        DatasetError: Another process holds it.
    """
    lock = filelock.FileLock(target.with_name(f".{target.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise DatasetError(f"another process is generating {target}; wait until it is done") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _one_line_errors(target: Path) -> Iterator[None]:
    """Turns what the file system says into an error of one line.

    Raises:
        DatasetError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DatasetError(
                f"the disk is full: {target} could not be written; make space and try again"
            ) from error
        reason = error.strerror or str(error)
        raise DatasetError(f"{target} could not be written: {reason}") from error
