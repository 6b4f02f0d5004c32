"""Frames a second of the renderers, beside those they are tested against in the same run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.envs.grid import GridWorld
from sen_bench.envs.reacher import Reacher
from sen_bench.envs.reacher_gl import MujocoRenderer
from sen_bench.envs.rushhour import RushHour
from sen_bench.envs.shapes2d import Shapes2D
from sen_bench.envs.teapot import Teapot
from sen_bench.errors import WorldError
from tests.oracles.blocks3d import draw_blocks
from tests.oracles.shapes2d import draw_shapes

FRAMES = 2000


def distinct_states(count: int, world: GridWorld | None = None) -> NDArray[np.int64]:
    world, rng = world or Blocks3D(), np.random.default_rng(0)
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


@pytest.mark.gate
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


@pytest.mark.gate
def test_blocks3d_step_states(benchmark: Any) -> None:
    world, states = Blocks3D(), distinct_states(FRAMES)
    actions = np.random.default_rng(1).integers(20, size=FRAMES)
    benchmark(world.step_states, states, actions)


@pytest.mark.gate
def test_shapes2d_distinct_states(benchmark: Any) -> None:
    world = Shapes2D()
    states = distinct_states(FRAMES, world)
    world.render_states(states[:1])
    frames = benchmark(world.render_states, states)
    assert frames.shape == (FRAMES, 50, 50, 3)
    record(benchmark, FRAMES)
    if benchmark.stats is not None:
        sample = states[:100]
        draw_shapes(sample[0])
        start = time.perf_counter()
        for state in sample:
            draw_shapes(state)
        oracle = (time.perf_counter() - start) / len(sample)
        ratio = oracle * FRAMES / benchmark.stats.stats.median
        benchmark.extra_info["times_faster_than_scikit_image"] = ratio


def test_shapes2d_scikit_image_oracle(benchmark: Any) -> None:
    states = distinct_states(100, Shapes2D())
    draw_shapes(states[0])
    benchmark(lambda: [draw_shapes(state) for state in states])
    record(benchmark, len(states))


@pytest.mark.gate
def test_rushhour_distinct_states(benchmark: Any) -> None:
    world = RushHour()
    states = distinct_states(FRAMES, world)
    world.render_states(states[:1])
    benchmark(world.render_states, states)
    record(benchmark, FRAMES)


@pytest.mark.gate
def test_teapot(benchmark: Any) -> None:
    world, rng = Teapot(), np.random.default_rng(0)
    states = np.stack([world.sample_state(rng) for _ in range(FRAMES)])
    world.render_states(states[:1])
    frames = benchmark(world.render_states, states)
    assert frames.shape == (FRAMES, 64, 64, 1)
    record(benchmark, FRAMES)
    if benchmark.stats is not None:
        pytest.importorskip("pybullet", reason="the oracle needs pybullet: pip install 'sen-bench[pybullet]'")
        oracle = Teapot(renderer="pybullet")
        oracle.render_states(states[:1])
        start = time.perf_counter()
        oracle.render_states(states[:100])
        seconds = (time.perf_counter() - start) / 100
        benchmark.extra_info["times_faster_than_pybullet"] = seconds * FRAMES / benchmark.stats.stats.median


def reacher_states(count: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    goals = np.full((count, 2), 0.2)
    return np.concatenate([rng.uniform(-3, 3, (count, 2)), np.zeros((count, 2)), goals], axis=1)


@pytest.mark.gate
def test_reacher(benchmark: Any) -> None:
    world, states = Reacher(), reacher_states(200)
    world.render_states(states[:1])
    benchmark(world.render_states, states)
    record(benchmark, len(states))
    if benchmark.stats is not None:
        opengl = MujocoRenderer()
        try:
            opengl.render(states[:1])
        except WorldError as error:
            benchmark.extra_info["mujoco"] = str(error)
            return
        start = time.perf_counter()
        opengl.render(states[:20])
        oracle = (time.perf_counter() - start) / 20
        opengl.close()
        benchmark.extra_info["times_faster_than_mujoco"] = oracle * len(states) / benchmark.stats.stats.median


@pytest.mark.gate
def test_reacher_step_states(benchmark: Any) -> None:
    world, states = Reacher(), reacher_states(200)
    actions = np.random.default_rng(1).uniform(-1, 1, (200, 2))
    benchmark(world.step_states, states, actions)
    if benchmark.stats is not None:
        benchmark.extra_info["steps_per_second"] = len(states) / benchmark.stats.stats.median
