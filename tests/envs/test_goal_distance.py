"""How far a state is from a goal: nothing from itself, and the same wherever the world is turned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sen_bench.envs import make_world
from sen_bench.envs.rushhour import RushHour
from sen_bench.envs.teapot import small_actions
from sen_bench.symmetry import SO3

WORLDS: list[tuple[str, dict[str, Any]]] = [
    ("sen_bench/Shapes2D-v0", {}),
    ("sen_bench/Blocks3D-v0", {}),
    ("sen_bench/RushHour-v0", {"headings": "shared"}),
    ("sen_bench/Reacher-v0", {}),
    ("sen_bench/Teapot-v0", {}),
]


@pytest.mark.parametrize(("world_id", "options"), WORLDS, ids=[name for name, _ in WORLDS])
def test_it_is_symmetric_invariant_and_0_at_the_goal_only(world_id: str, options: dict[str, Any]) -> None:
    world, rng = make_world(world_id, **options), np.random.default_rng(0)
    first = world.sample_state(rng)
    states = np.stack([first, *(world.step_states(first, world.sample_action(rng)) for _ in range(9))])
    far = world.goal_distance(states[:, None], states)
    assert far.shape == (10, 10)
    np.testing.assert_allclose(far, far.T, atol=1e-9)
    np.testing.assert_allclose(np.diag(far), 0, atol=1e-9)
    assert far.max() > 0
    group = world.symmetry.group
    for _ in range(4):
        element = group.sample(rng) if isinstance(group, SO3) else np.asarray(rng.integers(group.order))
        moved = world.transform_state(element, states)
        np.testing.assert_allclose(world.goal_distance(moved[:, None], moved), far, atol=1e-6)


def test_it_is_in_the_unit_that_it_says() -> None:
    shapes, teapot, reacher = (make_world(WORLDS[number][0]) for number in (0, 4, 3))
    start = np.array([[0, 0], [4, 4], [1, 1], [2, 2], [3, 3]])
    goal = np.array([[4, 0], [4, 4], [1, 1], [2, 3], [3, 3]])
    assert (shapes.goal_unit, float(shapes.goal_distance(start, goal))) == ("steps", 5.0)
    assert teapot.goal_unit == "degrees"
    np.testing.assert_allclose(teapot.goal_distance(np.eye(3), small_actions()), 12.0)
    assert float(teapot.goal_distance(np.eye(3), np.diag([1.0, -1.0, -1.0]))) == pytest.approx(180)
    assert reacher.goal_unit == "radians"
    arm = np.array([3.1, 0.2, 5.0, 0.0, 0.2, 0.2])
    moved = np.array([-3.1, 0.1, 0.0, 0.0, 0.2, 0.2])
    assert float(reacher.goal_distance(arm, moved)) == pytest.approx(0.1)


def test_no_move_brings_a_car_to_another_heading() -> None:
    world = RushHour(num_objects=1)
    assert float(world.goal_distance(np.array([[0, 0, 1]]), np.array([[0, 0, 2]]))) == np.inf
