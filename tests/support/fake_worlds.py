"""Worlds of a few lines, for tests of whatever is general: continuous, gray, not square, with matrices."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs import World, register_world
from sen_bench.envs.world import Elements, Pixels
from sen_bench.symmetry import Group, Representation, Symmetry

DRIFT = "tests.support.fake_worlds:sen_bench_tests/Drift-v0"
WIDE = "tests.support.fake_worlds:sen_bench_tests/Wide-v0"


class Drift(World):
    """A point of the line that drifts by its action; C2 negates both.

    Args:
        fails: "raise": drawing a state far out raises; "die": drawing in a worker process ends it.
    """

    world_id: ClassVar[str] = "sen_bench_tests/Drift-v0"
    renderer: Literal["exact", "backend"] = "backend"
    state_axes: ClassVar[tuple[str, ...]] = ("position",)
    action_axes: ClassVar[tuple[str, ...]] = ("push",)

    def __init__(self, *, fails: str = "", twins: bool = True, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self.fails = fails
        self.twins = twins
        self.observation_space = gymnasium.spaces.Box(0, 255, (6, 7, 1), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    @property
    def symmetry(self) -> Symmetry:
        group = Group.cyclic(2)
        return Symmetry(group, {"sign": Representation.sign(group)}, (1,) if self.twins else ())

    @property
    def options(self) -> dict[str, Any]:
        return {"fails": self.fails, "twins": self.twins}

    @property
    def state_names(self) -> Mapping[str, tuple[str, ...]]:
        return {"position": ("x",)}

    @property
    def action_names(self) -> tuple[str, ...]:
        return ("dx",)

    def sample_state(self, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.normal(size=1)

    def sample_action(
        self, rng: np.random.Generator, allowed: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        assert allowed is None
        return rng.uniform(-1, 1, size=1).astype(np.float32)

    def step_states(self, states: NDArray[Any], actions: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(states + actions, dtype=np.float64)

    def fail(self, states: NDArray[Any]) -> None:
        if self.fails == "raise" and (np.abs(states) > 2).any():
            raise RuntimeError("fell off the edge")
        if self.fails == "die" and multiprocessing.parent_process() is not None:
            os._exit(1)

    def render_states(self, states: NDArray[Any]) -> Pixels:
        self.fail(states)
        ramp = np.arange(42).reshape(6, 7, 1)
        return np.asarray((states[..., None, None] * 100 + ramp) % 256).astype(np.uint8)

    def transform_state(self, elements: Elements, states: NDArray[Any]) -> NDArray[Any]:
        return np.where(np.asarray(elements)[..., None] == 1, -states, states)

    def transform_action(self, elements: Elements, actions: NDArray[Any]) -> NDArray[Any]:
        return np.where(np.asarray(elements)[..., None] == 1, -actions, actions)


class Wide(Drift):
    """The same seen in frames so large that a few dozen episodes are many shards; drawn exactly."""

    world_id: ClassVar[str] = "sen_bench_tests/Wide-v0"
    renderer: Literal["exact", "backend"] = "exact"

    def __init__(self, *, fails: str = "", twins: bool = True, render_mode: str | None = None) -> None:
        super().__init__(fails=fails, twins=twins, render_mode=render_mode)
        self.observation_space = gymnasium.spaces.Box(0, 255, (100, 100, 1), np.uint8)

    def render_states(self, states: NDArray[Any]) -> Pixels:
        self.fail(states)
        # Integers, so that rounding is the same everywhere.
        shade = np.floor(np.asarray(states) * 100).astype(np.int64)[..., None, None]
        return np.asarray((shade + np.arange(10_000).reshape(100, 100, 1) // 7) % 256).astype(np.uint8)


register_world("sen_bench_tests/Drift-v0", "tests.support.fake_worlds:Drift")
register_world("sen_bench_tests/Wide-v0", "tests.support.fake_worlds:Wide")
