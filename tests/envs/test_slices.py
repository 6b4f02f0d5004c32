"""Slices of worlds: what is in them, and how far transitions are from them, against a search of the group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.envs import World, make_world
from sen_bench.envs.cones import turn_into_cone
from sen_bench.envs.grid import GridWorld, turns_into_domain
from sen_bench.envs.teapot import Teapot
from sen_bench.errors import WorldError
from sen_bench.symmetry import SO3
from tests.support.fake_worlds import Drift

GRIDS = [
    ("sen_bench/Shapes2D-v0", {}),
    ("sen_bench/Shapes2D-v0", {"grid_size": 4, "num_objects": 3}),
    ("sen_bench/Shapes2D-v0", {"grid_size": 3, "num_objects": 1}),
    ("sen_bench/Blocks3D-v0", {}),
    ("sen_bench/RushHour-v0", {}),
    ("sen_bench/RushHour-v0", {"move_order": "clockwise"}),
]
TEAPOTS = [("sen_bench/Teapot-v0", {"actions": "small"}), ("sen_bench/Teapot-v0", {"actions": "large"})]
WORLDS = [*GRIDS, *TEAPOTS]


def _slice(world: World, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(0)
    drawn = [world.sample_slice(rng) for _ in range(count)]
    return np.stack([state for state, _ in drawn]), np.stack([action for _, action in drawn])


def _any(world: World, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(1)
    states = np.stack([world.sample_state(rng) for _ in range(count)])
    return states, np.stack([world.sample_action(rng) for _ in range(count)])


@pytest.mark.parametrize(("world_id", "options"), WORLDS)
def test_what_is_drawn_lies_in_the_slice_and_comes_from_the_generator(
    world_id: str, options: dict[str, Any]
) -> None:
    world = make_world(world_id, **options)
    states, actions = _slice(world, 100)
    assert (world.slice_distance(states, actions) == 0).all()
    again, too = _slice(world, 100)
    assert np.array_equal(states, again)
    assert np.array_equal(actions, too)


@pytest.mark.parametrize("size", range(1, 8))
def test_four_turns_of_the_domain_are_the_grid(size: int) -> None:
    turns = turns_into_domain(size)
    count, odd = size**2 // 4, size % 2
    assert [(turns == k).sum() for k in range(-1, 4)] == [odd, count, count, count, count]
    if odd:
        assert turns[size // 2, size // 2] == -1
    assert np.array_equal(np.argwhere(turns == 0), np.argwhere(np.ones((size // 2, (size + 1) // 2))))


@pytest.mark.parametrize(("world_id", "options"), GRIDS)
def test_distances_on_grids_are_those_of_a_search_of_the_turns(
    world_id: str, options: dict[str, Any]
) -> None:
    world = make_world(world_id, **options)
    assert isinstance(world, GridWorld)
    states, actions = _any(world, 300)
    renamings = world.symmetry.group.order // 4
    nearest = np.full(len(states), np.inf)
    middle = (world.grid_size - 1) / 2
    for turns in (0, 1, 2, 3):
        element = turns * renamings
        moved, done = world.transform_state(element, states), world.transform_action(element, actions)
        # In words: the first object off the centre is in the upper left, and the move goes up.
        off = (moved[..., :2] != middle).any(-1)
        row, column = np.take_along_axis(moved[..., :2], off.argmax(1)[:, None, None], axis=1)[:, 0].T
        placed = ((row < middle) & (column <= middle)) | ~off.any(1)
        directions = world.move_directions(moved, done // 4, done % 4)
        inside = placed & (directions == 0)
        nearest = np.where(inside, np.minimum(nearest, 90 * min(turns, 4 - turns)), nearest)
    found = world.slice_distance(states, actions)
    assert np.array_equal(found, nearest)
    if world.num_objects > 1:
        assert set(found) == {0, 90, 180, np.inf}


@pytest.mark.parametrize(("world_id", "options"), WORLDS)
def test_what_the_slice_is_turned_into_is_as_far_as_it_was_turned(
    world_id: str, options: dict[str, Any]
) -> None:
    world = make_world(world_id, **options)
    states, actions = _slice(world, 60)
    for number in range(4):
        if isinstance(world, GridWorld):
            element: Any = number * (world.symmetry.group.order // 4)
            angle: Any = 90 * min(number, 4 - number)
        else:
            element = world.symmetry.draw_twin_element(np.random.default_rng(number))
            angle = world.goal_distance(element, np.eye(3))
        found = world.slice_distance(
            world.transform_state(element, states), world.transform_action(element, actions)
        )
        # A rotation of the cone itself may take less to get back into it.
        assert (found == angle).all() if isinstance(world, GridWorld) else (found <= angle + 1e-6).all()


@pytest.mark.parametrize(("world_id", "options"), GRIDS)
def test_what_follows_shows_no_more_than_the_slice(world_id: str, options: dict[str, Any]) -> None:
    world = make_world(world_id, **options)
    states, actions = _slice(world, 300)
    assert (world.slice_distance(world.step_states(states, actions), actions) < np.inf).all()
    first = world.step_states(states, actions)[:, 0, :2]
    assert {tuple(cell) for cell in first.tolist()} <= {tuple(cell) for cell in _domain(world)}


def _domain(world: World) -> list[list[int]]:
    assert isinstance(world, GridWorld)
    turns = turns_into_domain(world.grid_size)
    return [cell for kind in (0, -1) for cell in np.argwhere(turns == kind).tolist()]


@pytest.mark.parametrize(("world_id", "options"), TEAPOTS)
def test_both_poses_are_in_the_cone_and_fill_it(world_id: str, options: dict[str, Any]) -> None:
    world = make_world(world_id, **options)
    states, actions = _slice(world, 400)
    ends = world.step_states(states, actions)
    for poses in (states, ends):
        angles = world.goal_distance(poses, np.eye(3))
        assert angles.max() <= Teapot.slice_cone + 1e-6
        # Of poses within a quarter turn, those within half of it are few: (x - sin x) of both angles.
        share = (np.pi / 4 - np.sqrt(0.5)) / (np.pi / 2 - 1)
        assert abs((angles <= 45).mean() - share) < 0.06


def _search(starts: NDArray[Any], ends: NDArray[Any], cone: float, rng: np.random.Generator) -> Any:
    """The smallest angle among many rotations that bring both there, by ever finer random steps."""
    group = SO3()
    world = make_world("sen_bench/Teapot-v0")
    found = np.full(len(starts), np.inf)
    best = np.tile(np.eye(3), (len(starts), 1, 1))
    for size in (1.0, 1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01):
        quaternions = rng.normal(size=(1500, 4))
        if size < 1:
            quaternions = np.array([1, 0, 0, 0]) + size * quaternions
        quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
        tried = group.product(group.from_quaternion(quaternions), best[:, None])
        inside = np.ones(tried.shape[:2], bool)
        for poses in (starts, ends):
            inside &= np.trace(group.product(tried, poses[:, None]), axis1=-2, axis2=-1) >= 1 + 2 * np.cos(
                np.radians(cone)
            )
        angles = np.where(inside, world.goal_distance(tried, np.eye(3)), np.inf)
        nearest = angles.argmin(axis=1)
        improved = angles[np.arange(len(starts)), nearest] < found
        found = np.where(improved, angles[np.arange(len(starts)), nearest], found)
        best = np.where(improved[:, None, None], tried[np.arange(len(starts)), nearest], best)
    return found


@pytest.mark.parametrize("cone", [90.0, 60.0])
def test_turns_into_a_cone_are_those_of_a_search_of_rotations(cone: float) -> None:
    group, rng = SO3(), np.random.default_rng(3)
    starts = np.stack([group.sample(rng) for _ in range(24)])
    # Ends near and far, and a pose that stays where it is.
    ends = np.stack([group.sample(rng) for _ in range(24)])
    ends[::3] = group.product(ends[::3], starts[::3])
    ends[0] = starts[0]
    found = turn_into_cone(starts, ends, cone)
    searched = _search(starts, ends, cone, rng)
    apart = make_world("sen_bench/Teapot-v0").goal_distance(starts, ends)
    assert np.array_equal(np.isinf(found), apart > 2 * cone)
    near = np.isfinite(searched)
    # No rotation that was tried does with less, and some do with hardly more.
    assert (found[near] <= searched[near] + 1e-6).all()
    assert (searched[near] - found[near] < 3).mean() > 0.9
    assert near.sum() >= np.isfinite(found).sum() - 2


@pytest.mark.parametrize(("world_id", "options"), TEAPOTS)
def test_every_transition_of_the_teapot_is_in_the_orbit(world_id: str, options: dict[str, Any]) -> None:
    world = make_world(world_id, **options)
    distances = world.slice_distance(*_any(world, 400))
    assert np.isfinite(distances).all()
    assert distances.max() > 60


def test_a_world_without_a_slice_says_so() -> None:
    world = Drift()
    with pytest.raises(WorldError, match="has no slice of its orbits; define its sample_slice"):
        world.sample_slice(np.random.default_rng(0))
    with pytest.raises(WorldError, match="and slice_distance to train on one"):
        world.slice_distance(np.zeros(1), np.zeros(1))
