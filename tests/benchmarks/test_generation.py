"""Speed of generating a dataset, beside that of rendering its frames alone."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from sen_bench.envs import make_world
from sen_bench.generators import Recipe, episode_arrays, generate
from sen_bench.generators.episodes import roll_out
from sen_bench.generators.shards import plan_shards
from sen_bench.store import create_store

RECIPE = Recipe(
    task="3d-blocks", split="train", world_id="sen_bench/Blocks3D-v0", episodes=50, horizon=100, seed=0
)
FRAMES = RECIPE.episodes * (RECIPE.horizon + 1)


@pytest.mark.gate
def test_generate(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Frames a second with everything: stepping, rendering, compressing, hashing, syncing."""
    world = make_world(RECIPE.world_id)
    world.render_states(world.sample_state(np.random.default_rng(0)))  # tables and compiled code
    numbers = itertools.count()
    rendering = []

    def prepare() -> tuple[tuple[Recipe, Path], dict[str, object]]:
        # In the same run, so that the ratio holds on a busy machine: each distinct state drawn once.
        states = roll_out(world, RECIPE, 0, RECIPE.episodes).state
        distinct = np.unique(states.reshape(-1, *states.shape[2:]), axis=0)
        begin = time.perf_counter()
        world.render_states(distinct)
        rendering.append(time.perf_counter() - begin)
        return (RECIPE, tmp_path / f"{next(numbers)}.zarr"), {}

    benchmark.pedantic(generate, setup=prepare, rounds=3)  # type: ignore[no-untyped-call]
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.min
        benchmark.extra_info["frames_per_second"] = FRAMES / seconds
        benchmark.extra_info["share_beside_rendering"] = 1 - min(rendering) / seconds


def test_safety(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """What the journal, syncing and hashing cost: generation with them, beside the same without.

    Without: the same shards drawn and written by zarr, and nothing else; no reading back, no digests, no
    journal, no manifest. Both alternate, so that a busy machine slows both.
    """
    # Long enough that what is done once for a dataset does not stand for what is done for every shard.
    recipe = replace(RECIPE, episodes=400 if benchmark.enabled else 4)
    numbers = itertools.count()
    without = []

    def bare() -> None:
        root = tmp_path / f"bare-{next(numbers)}"
        root.mkdir()
        world = make_world(recipe.world_id)
        planned = plan_shards(recipe, world)
        create_store(root, [*planned.arrays, *(spec for spec, _ in planned.annotations)])
        for spec, values in planned.annotations:
            write(root, spec.path, 0, values)
        for start, stop in planned.blocks.ranges():
            for path, values in episode_arrays(world, recipe, start, stop):
                write(root, path, start, values)

    def write(root: Path, path: str, start: int, values: NDArray[Any]) -> None:
        array = zarr.open_array(root / path, mode="r+").with_config({"write_empty_chunks": True})
        array[start : start + len(values)] = values

    def prepare() -> tuple[tuple[Recipe, Path], dict[str, object]]:
        begin = time.perf_counter()
        bare()
        without.append(time.perf_counter() - begin)
        return (recipe, tmp_path / f"{next(numbers)}.zarr"), {}

    bare()  # tables and compiled code
    benchmark.pedantic(generate, setup=prepare, rounds=5)  # type: ignore[no-untyped-call]
    if benchmark.stats is not None:
        benchmark.extra_info["time_beside_bare_writing"] = benchmark.stats.stats.median / statistics.median(
            without
        )
