"""What generating a dataset takes, before it begins: disk, memory and time, where that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sen_bench.envs import World, make_world
from sen_bench.generators.episodes import leading_frames
from sen_bench.generators.recipe import Recipe
from sen_bench.generators.staging import staging_folder
from sen_bench.store import EpisodeBlocks


@dataclass(frozen=True)
class _Measured:
    """What a frame of a world takes, in the datasets of record.

    Attributes:
        first: Bytes on disk of the first frame of an episode, with its state and action.
        further: Bytes of each other one; frames of an episode are alike, and compress well beside each other.
        seconds: Seconds of one core of the Intel Xeon that docs/datasets.md has times of.
    """

    first: int
    further: int
    seconds: float


_MEASURED: Final = {
    "sen_bench/Shapes2D-v0": _Measured(172, 61, 5e-5),
    "sen_bench/Blocks3D-v0": _Measured(1266, 350, 1.7e-4),
    "sen_bench/RushHour-v0": _Measured(305, 51, 4.5e-5),
    "sen_bench/Reacher-v0": _Measured(642, 642, 1.4e-3),
    "sen_bench/Teapot-v0": _Measured(1053, 1053, 3.9e-4),
}
_SIZES_UNCHANGED: Final = {"actions"}
"""Options of worlds by which frames do not become larger or smaller."""

_ANNOTATION_BYTES: Final = 1_000_000
"""Bytes of a dataset beside its episodes: the symmetry, and the list of its files."""

_START_SECONDS: Final = 4.0
"""Seconds until the workers of a dataset draw, whatever their number."""

_PROCESS_BYTES: Final = 270_000_000
"""Bytes of a process before it draws anything: Python, NumPy, Numba, Zarr."""

_SHARD_COPIES: Final = 3
"""How often a worker holds the frames of its shard, in which twins come one after the other [measured]."""


@dataclass(frozen=True)
class DatasetEstimate:
    """What generating a dataset takes, about.

    Attributes:
        path: Where it will be.
        frames: Its observations, those of twins and negatives included.
        largest: Bytes of all its frames before they are compressed.
        stored: Bytes on disk that are still to be written; None: its world was not measured.
        core_seconds: Seconds of one core; None: its world was not measured.
        shard: Bytes of memory for the shard that a worker makes.
    """

    path: Path
    frames: int
    largest: int
    stored: int | None
    core_seconds: float | None
    shard: int

    def seconds(self, workers: int) -> float | None:
        """How long it takes with so many worker processes, each on a core of its own; None: unknown."""
        return None if self.core_seconds is None else _START_SECONDS + self.core_seconds / workers

    def memory(self, workers: int) -> int:
        """Bytes of memory that so many workers take; beside several there is the process that waits."""
        processes = workers + 1 if workers > 1 else 1
        return processes * _PROCESS_BYTES + workers * self.shard


def estimate_dataset(recipe: Recipe, path: Path) -> DatasetEstimate:
    """What generating a dataset takes. Nothing is drawn or written.

    Args:
        recipe: What is to be generated.
        path: The dataset's folder. What an earlier attempt left beside it need not be written again.

    Raises:
        ConfigError: An episode is too large to be stored.
        WorldError: The world cannot be made.
    """
    world = make_world(recipe.world_id, **recipe.world_options)
    frame = int(np.prod(world.observation_space.shape or ()))
    per_episode = recipe.horizon + 1 + leading_frames(world)
    views = 2 if recipe.twin else 1
    negatives = recipe.horizon * _negatives(world) if recipe.negatives else 0
    frames = recipe.episodes * (views * per_episode + negatives)
    blocks = EpisodeBlocks.for_episodes(recipe.episodes, per_episode * frame)
    shard = min(blocks.per_shard, recipe.episodes) * (per_episode + negatives) * frame
    measured = _MEASURED.get(recipe.world_id) if set(recipe.world_options) <= _SIZES_UNCHANGED else None
    stored = seconds = None
    if measured is not None:
        # No frame is like a negative before it: each counts as a first one.
        first = recipe.episodes * (views + negatives)
        whole = first * measured.first + (frames - first) * measured.further + _ANNOTATION_BYTES
        stored, seconds = max(0, whole - _size(staging_folder(path))), frames * measured.seconds
    return DatasetEstimate(path, frames, frames * frame, stored, seconds, _SHARD_COPIES * shard)


def _negatives(world: World) -> int:
    """How many hard negatives a state has."""
    return len(world.negative_states(world.sample_state(np.random.default_rng(0))))


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; 0 if there is none."""
    return sum(_length(path) for path in folder.rglob("*"))


def _length(path: Path) -> int:
    """Bytes of a file; 0 for anything else, or if another process has just removed it."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
