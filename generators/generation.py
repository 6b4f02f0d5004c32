"""Generating a dataset: beside its target, by many workers, and moved into place when it is whole."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sen_bench.envs import make_world
from sen_bench.errors import ConfigError, DatasetError
from sen_bench.generators.lock import alone, holder_file
from sen_bench.generators.recipe import GENERATOR_VERSION, Recipe, differences
from sen_bench.generators.shards import plan_shards
from sen_bench.generators.staging import Attempt, Staging, staging_folder
from sen_bench.generators.workers import RunShards, run_shards
from sen_bench.store import Dataset, open_dataset
from sen_bench.system import Advance, Progress, as_progress, number_of, plain_values

_WAY_OUT: Final = "choose another place, or have it moved aside with force"


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


@plain_values
def generate(
    recipe: Recipe,
    target: Path | str,
    *,
    workers: int = 1,
    run: RunShards | None = None,
    force: bool = False,
    wait: bool = False,
    progress: Progress | bool = True,
    title: str | None = None,
) -> GenerationResult:
    """Generates a dataset, unless an equal one is already there.

    The bytes written do not depend on the number of workers. Until the dataset is whole it lies in a hidden
    folder beside the target. What is finished there survives failures, Ctrl-C and a killed process: the same
    call goes on with it.

    Args:
        recipe: What to generate.
        target: The dataset's folder, "…/train.zarr".
        workers: Worker processes. Each imports the main module, which must therefore be importable.
        run: What makes the shards, instead of worker processes on this machine.
        force: Generate in any case, and move what lies at the target aside, to "train.zarr.old-1"; an
            unfinished dataset of another recipe is moved aside too.
        wait: If another process is generating it, wait for that and use its result.
        progress: Is told how many observations are done, and that a generation goes on where it stopped, or
            waits. True shows it on stderr, False shows nothing.
        title: What the work is called where progress is shown; None: after its task and split.

    Raises:
        DatasetError: Something else lies at the target or is unfinished beside it, another process is
            generating it and this one is not to wait, or it cannot be written.
        ConfigError: The recipe or the number of workers is impossible.
        WorldError: The world does not have these options or actions.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    progress = as_progress(progress)
    target = Path(target).absolute()
    world = make_world(recipe.world_id, **recipe.world_options)
    staging = Staging(target, plan_shards(recipe, world))
    run = run or functools.partial(run_shards, workers=workers)
    with _one_line_errors(target):
        # Reading needs no lock, which some file systems do not have, and no right to write.
        left_behind = staging.folder.exists() or holder_file(target).exists()
        unfinished = left_behind and os.access(target.parent, os.W_OK)
        if not force and target.exists() and not unfinished:
            return GenerationResult(target, created=False, dataset=equal_dataset(target, recipe))
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(target, waiting=progress if wait else None):
            if staging.settle():
                return GenerationResult(target, created=True, dataset=open_dataset(target))
            if not force and target.exists():
                return GenerationResult(target, created=False, dataset=equal_dataset(target, recipe))
            if force and (aside := staging.move_aside_if_other()):
                progress.message(f"moved an unfinished dataset with other settings to {aside}")
            attempt = staging.open()
            if attempt.shards:
                total = len(attempt.shards) + len(attempt.missing)
                progress.message(f"resuming: {len(attempt.shards)} of {number_of(total, 'shard')} are there")
            with progress.work(title or f"generate {recipe.task} {recipe.split}", "frames") as advance:
                _fill(attempt, recipe, run, advance)
            moved_aside = staging.put_into_place(attempt)
            return GenerationResult(
                target, created=True, dataset=open_dataset(target), moved_aside=moved_aside
            )


def _fill(attempt: Attempt, recipe: Recipe, run: RunShards, advance: Advance) -> None:
    """Makes the shards that are missing, and notes each as it is done."""
    total = attempt.planned.frames
    per_episode = total // recipe.episodes
    done = attempt.finished_episodes * per_episode
    advance(done, total)
    if not attempt.missing:  # stopped after the last shard, before the dataset was put into place
        return
    # Closed before anything else happens, so that no worker writes when nobody is listening any more.
    with closing(run(attempt.root, recipe, attempt.missing)) as shards:
        for (start, stop), receipts in shards:
            attempt.add((start, stop), receipts)
            done += (stop - start) * per_episode
            advance(done, total)


def equal_dataset(target: Path, recipe: Recipe, *, way_out: str = _WAY_OUT) -> Dataset:
    """The dataset at the target.

    Args:
        target: Its folder.
        recipe: What it must have been generated from.
        way_out: What to do if it was not, as the end of a sentence.

    Raises:
        DatasetError: It is not whole, or of another recipe or generator.
    """
    try:
        dataset = open_dataset(target)
    except DatasetError as error:
        raise DatasetError(f"{error}; {way_out}") from error
    found = [
        f"{name} {theirs} instead of {ours}"
        for name, theirs, ours in differences(
            {**dataset.recipe, "generator version": dataset.generator_version},
            {**recipe.to_json(), "generator version": GENERATOR_VERSION},
        )
    ]
    if found:
        raise DatasetError(f"{target} is another dataset, with {', '.join(found)}; {way_out}")
    return dataset


def check_unfinished(target: Path, recipe: Recipe, *, way_out: str = _WAY_OUT) -> None:
    """Refuses an unfinished dataset that is not what would be generated; nothing is written.

    Args:
        target: The folder of the dataset that is to be finished, absolute.
        recipe: What it is to be generated from.
        way_out: What to do if what is unfinished is something else, as the end of a sentence.

    Raises:
        DatasetError: It is of another recipe, generator or library.
    """
    if staging_folder(target).exists():
        world = make_world(recipe.world_id, **recipe.world_options)
        Staging(target, plan_shards(recipe, world)).check(way_out)


@contextmanager
def _one_line_errors(target: Path) -> Iterator[None]:
    """Turns what the file system says into an error of one line.

    Raises:
        DatasetError: Instead of any OSError.
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
