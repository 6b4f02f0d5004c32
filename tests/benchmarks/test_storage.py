"""Speed of the dataset format alone: a split of frames written, read, and loaded onto a device."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from sen_bench.data.transitions import Transitions
from sen_bench.envs import make_world
from sen_bench.generators import Recipe
from sen_bench.generators.episodes import roll_out
from sen_bench.store import Dataset, EpisodeBlocks, open_dataset
from tests.support.toy_dataset import write_dataset

RECIPE = Recipe(
    task="3d-blocks", split="train", world_id="sen_bench/Blocks3D-v0", episodes=50, horizon=100, seed=0
)

Arrays = dict[str, tuple[tuple[str, ...], NDArray[Any]]]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """Frames as they are stored, because random pixels would not compress; with their actions."""
    world = make_world(RECIPE.world_id)
    walk = roll_out(world, RECIPE, 0, RECIPE.episodes)
    return {
        "observation": (("frame", "height", "width", "channel"), world.render_states(walk.state)),
        "action": (("step",), walk.action),
        "state": (("frame", "object", "coordinate"), walk.state),
    }


def write(root: Path, arrays: Arrays) -> None:
    frames = arrays["observation"][1]
    write_dataset(root, arrays, EpisodeBlocks.for_episodes(len(frames), frames[0].nbytes))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, arrays: Arrays) -> Dataset:
    root = tmp_path_factory.mktemp("storage") / "train.zarr"
    write(root, arrays)
    return open_dataset(root)


def record_speed(benchmark: BenchmarkFixture, frames: NDArray[Any]) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["megabytes_per_second"] = frames.nbytes / benchmark.stats.stats.min / 1e6


@pytest.mark.gate
def test_write_split(benchmark: BenchmarkFixture, tmp_path: Path, arrays: Arrays) -> None:
    """Compressing, reading back, hashing, syncing."""
    numbers = itertools.count()
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        write, setup=lambda: ((tmp_path / f"{next(numbers)}.zarr", arrays), {}), rounds=5
    )
    record_speed(benchmark, arrays["observation"][1])


@pytest.mark.gate
def test_read_split(benchmark: BenchmarkFixture, dataset: Dataset, arrays: Arrays) -> None:
    values = benchmark(dataset.load, "observation")
    np.testing.assert_array_equal(values, arrays["observation"][1])
    record_speed(benchmark, values)


def test_read_split_by_plain_zarr(benchmark: BenchmarkFixture, dataset: Dataset, arrays: Arrays) -> None:
    """The same by zarr's own pipeline, the oracle of ours."""
    values = np.asarray(benchmark(lambda: dataset.array("observation")[...]))
    np.testing.assert_array_equal(values, arrays["observation"][1])
    record_speed(benchmark, values)


@pytest.mark.gate
def test_load_into_memory(benchmark: BenchmarkFixture, dataset: Dataset, arrays: Arrays) -> None:
    """From the disk to where training draws batches from, one batch of 1,024 included."""
    index = torch.arange(1024)

    def load() -> Transitions:
        transitions = Transitions.from_dataset(dataset, torch.device("cpu"))
        transitions.batch(index)
        return transitions

    assert len(benchmark(load)) == RECIPE.episodes * RECIPE.horizon
    record_speed(benchmark, arrays["observation"][1])
