"""Problems: as far away as they say, the same for everybody, and their twins the same after an element."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

from sen_bench.envs import World, make_world
from sen_bench.errors import ConfigError, WorldError
from sen_bench.planning.moves import Boxed, Choices, Rotations, moves_of
from sen_bench.planning.problems import draw_problems, fewest_steps
from tests.support.fake_worlds import Drift

WORLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "2d-shapes": ("sen_bench/Shapes2D-v0", {}),
    "rush-hour": ("sen_bench/RushHour-v0", {}),
    "reacher": ("sen_bench/Reacher-v0", {}),
    "teapot-small": ("sen_bench/Teapot-v0", {"actions": "small"}),
    "teapot-large": ("sen_bench/Teapot-v0", {"actions": "large"}),
}


def _world(name: str) -> World:
    world_id, options = WORLDS[name]
    return make_world(world_id, **options)


def _true_distance(world: World, start: np.ndarray, goal: np.ndarray) -> int:
    """The steps of the shortest way, over all states that there are."""
    waiting, seen = deque([(start, 0)]), {start.tobytes()}
    while waiting:
        state, steps = waiting.popleft()
        if np.array_equal(state, goal):
            return steps
        for action in range(world.action_space.n):  # type: ignore[attr-defined]
            following = world.step_states(state, np.asarray(action))
            if following.tobytes() not in seen:
                seen.add(following.tobytes())
                waiting.append((following, steps + 1))
    raise AssertionError(goal)


@pytest.mark.parametrize("distance", [1, 3])
def test_no_way_is_shorter_in_a_grid_world(distance: int) -> None:
    world = make_world("sen_bench/Shapes2D-v0", grid_size=3, num_objects=2)
    problems, twins = draw_problems(world, moves_of(world), count=6, distance=distance, seed=0, tolerance=0.0)
    assert problems.optimum == distance
    for each in (problems, twins):
        for start, goal in zip(each.starts[:, -1], each.goals[:, -1], strict=True):
            assert _true_distance(world, start, goal) == distance


def test_the_shortest_way_into_a_tolerance_is_not_known_in_a_grid_world(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = make_world("sen_bench/Shapes2D-v0", grid_size=3, num_objects=2)
    problems, _ = draw_problems(world, moves_of(world), count=2, distance=3, seed=0, tolerance=1.0)
    assert problems.optimum is None
    monkeypatch.setattr("sen_bench.planning.problems._ATTEMPTS", 20)
    with pytest.raises(ConfigError, match="no goal 3 steps away, and farther than the tolerance of 3, was"):
        draw_problems(world, moves_of(world), count=1, distance=3, seed=0, tolerance=3.0)


def test_the_search_for_the_shortest_way_sees_what_is_in_the_way() -> None:
    world = make_world("sen_bench/Shapes2D-v0", grid_size=3, num_objects=2)
    moves = moves_of(world)
    assert isinstance(moves, Choices)
    # The second object stands between the first and its goal, and is to stay: around it, or out of the way.
    start, goal = np.array([[0, 0], [0, 1]]), np.array([[0, 2], [0, 1]])
    assert world.goal_distance(start, goal) == 2
    assert fewest_steps(world, moves, start, goal, limit=6, tolerance=0.0) == 4
    assert fewest_steps(world, moves, start, goal, limit=3, tolerance=0.0) is None
    assert _true_distance(world, start, goal) == 4


def test_no_sequence_of_fewer_small_turns_ends_near_the_goal() -> None:
    world = _world("teapot-small")
    moves = moves_of(world)
    assert isinstance(moves, Choices)
    problems, _ = draw_problems(world, moves, count=3, distance=3, seed=1, tolerance=6.0)
    for start, goal in zip(problems.starts[:, -1], problems.goals[:, -1], strict=True):
        ends = [start[None]]
        for _ in range(2):
            ends.append(world.step_states(ends[-1][:, None], moves.table).reshape(-1, 3, 3))
            assert world.goal_distance(ends[-1], goal).min() > 6.0
        assert world.goal_distance(world.step_states(ends[-1][:, None], moves.table), goal).min() < 1e-3


@pytest.mark.parametrize("name", list(WORLDS))
def test_twins_are_the_same_problems_after_an_element_other_than_the_identity(name: str) -> None:
    world = _world(name)
    problems, twins = draw_problems(
        world, moves_of(world), count=4, distance=2, seed=0, tolerance=world.goal_tolerance, warmup=1
    )
    assert problems.starts.shape[1] == world.frame_stack
    for mine, theirs in ((problems.starts, twins.starts), (problems.goals, twins.goals)):
        for number in range(4):
            moved = world.transform_state(twins.elements[number], mine[number])
            np.testing.assert_array_equal(theirs[number], moved)
            assert not np.allclose(moved, mine[number])
    assert (world.goal_distance(problems.starts[:, -1], problems.goals[:, -1]) > world.goal_tolerance).all()


def test_a_problem_depends_on_the_seed_and_its_number_only() -> None:
    world = _world("2d-shapes")
    few, many, other = (
        draw_problems(world, moves_of(world), count=count, distance=2, seed=seed, tolerance=0.0)[0]
        for count, seed in ((2, 0), (5, 0), (2, 1))
    )
    assert many.part(slice(2)).digest == few.digest
    assert few.digest not in {many.digest, other.digest}


def test_goals_that_are_too_far_away_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sen_bench.planning.problems._ATTEMPTS", 20)
    world = make_world("sen_bench/Shapes2D-v0", grid_size=2, num_objects=1)
    with pytest.raises(ConfigError, match=r"no goal 5 steps away, and .*, was found in 20 walks; choose"):
        draw_problems(world, moves_of(world), count=1, distance=5, seed=0, tolerance=0.0)


def test_worlds_that_do_not_say_how_far_a_goal_is_are_refused() -> None:
    world = Drift()
    with pytest.raises(WorldError, match="define its goal_distance to plan in it"):
        draw_problems(world, moves_of(world), count=1, distance=1, seed=0, tolerance=0.0)


@pytest.mark.parametrize("name", list(WORLDS))
def test_a_move_in_the_twin_is_the_transformed_action(name: str) -> None:
    world = _world(name)
    moves, rng = moves_of(world), np.random.default_rng(0)
    drawn = np.stack([moves.draw(rng) for _ in range(5)])
    problems, twins = draw_problems(world, moves, count=5, distance=3, seed=0, tolerance=world.goal_tolerance)
    plain = moves.actions(drawn, problems.elements)
    np.testing.assert_array_equal(
        moves.actions(drawn, twins.elements), world.transform_action(twins.elements, plain)
    )
    for action in plain:
        assert world.action_space.contains(action if action.ndim else int(action))


def test_rotation_vectors_are_rotations_about_them() -> None:
    world = _world("teapot-large")
    moves = moves_of(world)
    assert isinstance(moves, Rotations)
    turns = moves.actions(
        np.array([[0.0, 0.0, np.pi / 2], [0.0, 0.0, 0.0]]), np.repeat(np.eye(3)[None], 2, 0)
    )
    np.testing.assert_allclose(turns[0], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15)
    np.testing.assert_array_equal(turns[1], np.eye(3))
    rng = np.random.default_rng(0)
    angles = [np.linalg.norm(moves.draw(rng)) for _ in range(4000)]
    # Of uniform rotations; π/2 of uniform angles.
    assert np.mean(angles) == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.04)


def test_torques_outside_the_box_are_not_drawn_nor_taken() -> None:
    moves = moves_of(_world("reacher"))
    assert isinstance(moves, Boxed)
    np.testing.assert_array_equal(moves.clipped(np.array([[-3.0, 0.5]])), [[-1.0, 0.5]])
    np.testing.assert_array_equal(moves.actions(np.array([[-3.0, 0.5]]), np.array([0])), [[-1.0, 0.5]])
