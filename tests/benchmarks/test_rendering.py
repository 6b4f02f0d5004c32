"""Frames a second of the 3D Blocks renderer, beside matplotlib's in the same run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.blocks3d import Blocks3D
from tests.oracles.blocks3d import draw_blocks

FRAMES = 2000


def distinct_states(count: int) -> NDArray[np.int64]:
    world, rng = Blocks3D(), np.random.default_rng(0)
    return np.stack([world.sample_state(rng) for _ in range(count)])


def walk_states(count: int) -> NDArray[np.int64]:
    """An episode under the uniform policy, where about a third of the moves change nothing."""
    world, rng = Blocks3D(), np.random.default_rng(0)
    states = [world.sample_state(rng)]
    for _ in range(count - 1):
        states.append(world.step_states(states[-1], world.sample_action(rng)))
    return np.stack(states)


def record(benchmark: Any, frames: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["frames_per_second"] = frames / benchmark.stats.stats.median


def test_blocks3d_distinct_states(benchmark: Any) -> None:
    world, states = Blocks3D(), distinct_states(FRAMES)
    world.render_states(states[:1])
    frames = benchmark(world.render_states, states)
    assert frames.shape == (FRAMES, 50, 50, 3)
    record(benchmark, FRAMES)
    if benchmark.stats is not None:
        sample = states[:20]
        start = time.perf_counter()
        for state in sample:
            draw_blocks(state)
        oracle = (time.perf_counter() - start) / len(sample)
        benchmark.extra_info["times_faster_than_matplotlib"] = oracle * FRAMES / benchmark.stats.stats.median


def test_blocks3d_random_walk(benchmark: Any) -> None:
    world, states = Blocks3D(), walk_states(FRAMES)
    world.render_states(states[:1])
    benchmark(world.render_states, states)
    record(benchmark, FRAMES)


def test_blocks3d_matplotlib_oracle(benchmark: Any) -> None:
    states = distinct_states(10)
    draw_blocks(states[0])
    benchmark.pedantic(lambda: [draw_blocks(state) for state in states], rounds=3)
    record(benchmark, len(states))


def test_blocks3d_step_states(benchmark: Any) -> None:
    world, states = Blocks3D(), distinct_states(FRAMES)
    actions = np.random.default_rng(1).integers(20, size=FRAMES)
    benchmark(world.step_states, states, actions)
