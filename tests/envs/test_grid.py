"""Grid dynamics against a loop in plain Python, placements, and the group that acts on them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.envs import make_world
from sen_bench.envs.grid import GridWorld, grid_symmetry, move_objects
from sen_bench.errors import WorldError

SIZE = 5
STEPS = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}


def moved_by_hand(state: NDArray[np.int64], action: int) -> list[list[int]]:
    positions = [tuple(int(x) for x in position) for position in state]
    which, direction = action // 4, list(STEPS)[action % 4]
    goal = (positions[which][0] + STEPS[direction][0], positions[which][1] + STEPS[direction][1])
    if 0 <= goal[0] < SIZE and 0 <= goal[1] < SIZE and goal not in positions:
        positions[which] = goal
    return [list(position) for position in positions]


def blocks(num_objects: int = 5) -> GridWorld:
    world = make_world("sen_bench/Blocks3D-v0", num_objects=num_objects)
    assert isinstance(world, GridWorld)
    return world


@pytest.mark.parametrize("num_objects", [1, 2, 5])
def test_steps_equal_a_plain_loop(num_objects: int) -> None:
    world, rng = blocks(num_objects), np.random.default_rng(3)
    states = np.stack([world.sample_state(rng) for _ in range(300)])
    actions = np.stack([world.sample_action(rng) for _ in range(300)])
    before = states.copy()
    expected = [moved_by_hand(state, int(action)) for state, action in zip(states, actions, strict=True)]
    np.testing.assert_array_equal(world.step_states(states, actions), expected)
    np.testing.assert_array_equal(states, before)
    for state, action, after in zip(states[:20], actions[:20], expected[:20], strict=True):
        np.testing.assert_array_equal(world.step_states(state, action), after)


def test_every_action_from_one_state_broadcasts() -> None:
    world = blocks()
    state = np.array([[0, 0], [0, 1], [4, 4], [2, 2], [3, 2]])
    after = world.step_states(state, np.arange(20))
    assert after.shape == (20, 5, 2)
    np.testing.assert_array_equal(after, [moved_by_hand(state, action) for action in range(20)])


def test_walls_and_neighbours_block() -> None:
    state = np.array([[0, 0], [0, 1]])
    objects, directions = np.array([0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 3])
    after = move_objects(state, objects, directions, SIZE)
    np.testing.assert_array_equal(after[[0, 1, 3, 4]], np.broadcast_to(state, (4, 2, 2)))
    np.testing.assert_array_equal(after[2], [[1, 0], [0, 1]])


def test_placements_are_uniform_and_do_not_overlap() -> None:
    world, rng = blocks(), np.random.default_rng(0)
    states = np.stack([world.sample_state(rng) for _ in range(20_000)])
    cells = states[..., 0] * SIZE + states[..., 1]
    assert (np.diff(np.sort(cells, axis=1), axis=1) > 0).all()
    expected = len(cells) / 25
    for column in cells.T:
        chi2 = ((np.bincount(column, minlength=25) - expected) ** 2 / expected).sum()
        assert chi2 < 60  # 24 degrees of freedom: p = 6e-5
    # Ordered pairs of the first two objects, too, all equally often.
    pairs = np.bincount(cells[:, 0] * 25 + cells[:, 1], minlength=625)
    assert (pairs.reshape(25, 25).diagonal() == 0).all()
    assert ((pairs[pairs > 0] - len(cells) / 600) ** 2 / (len(cells) / 600)).sum() < 750


def test_actions_are_uniform_over_those_allowed() -> None:
    world, rng = blocks(), np.random.default_rng(0)
    everything = np.bincount([int(world.sample_action(rng)) for _ in range(8000)], minlength=20)
    assert everything.min() > 300
    allowed = [action for action in range(20) if action % 4 != 3]
    some = np.bincount([int(world.sample_action(rng, allowed)) for _ in range(6000)], minlength=20)
    assert (some[3::4] == 0).all()
    assert some[allowed].min() > 300
    for wrong in ([], [20], [-1]):
        with pytest.raises(WorldError, match="action"):
            world.sample_action(rng, wrong)


@pytest.mark.parametrize("num_objects", [1, 3, 5])
def test_a_quarter_turn_is_the_rotation_of_maps(num_objects: int) -> None:
    symmetry = grid_symmetry(SIZE, num_objects)
    representations = symmetry.representations
    # The first twin element is a quarter turn that renames no object.
    turn = symmetry.twin_elements[0]
    image = np.arange(25)
    turned = representations["cell"].apply(turn, image).reshape(5, 5)
    np.testing.assert_array_equal(turned, np.rot90(image.reshape(5, 5)))
    cell, direction = (representations[name].permutation for name in ("cell", "direction"))
    assert cell is not None
    assert direction is not None
    for row, column in np.ndindex(SIZE, SIZE):
        assert cell[turn, 5 * row + column] == 5 * (4 - column) + row
    np.testing.assert_array_equal(direction[turn], [3, 0, 1, 2])
    np.testing.assert_array_equal(
        representations["object"].apply(turn, np.arange(num_objects)), range(num_objects)
    )
    assert len(set(symmetry.twin_elements)) == 3
    assert symmetry.observation is None


@pytest.mark.parametrize("num_objects", [1, 2, 3, 5])
def test_the_world_is_equivariant_under_every_element(num_objects: int) -> None:
    """step(g·s, g·a) == g·step(s, a) for all of C4 × S_O, several states and every action each."""
    world, rng = blocks(num_objects), np.random.default_rng(1)
    elements = np.arange(world.symmetry.group.order)[:, None, None]
    states = np.stack([world.sample_state(rng) for _ in range(12)])[:, None]
    actions = np.arange(4 * num_objects)
    one_way = world.step_states(
        world.transform_state(elements, states), world.transform_action(elements, actions)
    )
    other_way = world.transform_state(elements, world.step_states(states, actions))
    assert one_way.shape == (len(elements), 12, 4 * num_objects, num_objects, 2)
    np.testing.assert_array_equal(one_way, other_way)
    # Not because nothing moves, or nothing turns.
    assert (world.step_states(states, actions) != states).any()
    assert (one_way != one_way[:1]).any()


def test_transformations_are_a_faithful_group_action() -> None:
    world, rng = blocks(3), np.random.default_rng(2)
    group = world.symmetry.group
    a, b = np.arange(group.order)[:, None], np.arange(group.order)
    state, action = world.sample_state(rng), np.arange(12)
    np.testing.assert_array_equal(
        world.transform_state(group.cayley, state), world.transform_state(a, world.transform_state(b, state))
    )
    np.testing.assert_array_equal(
        world.transform_action(group.cayley[..., None], action),
        world.transform_action(a[..., None], world.transform_action(b[:, None], action)),
    )
    np.testing.assert_array_equal(world.transform_state(0, state), state)
    np.testing.assert_array_equal(world.transform_action(0, action), action)
    assert len(np.unique(world.transform_action(b[:, None], action), axis=0)) == group.order


def test_batches_transform_as_their_members_do() -> None:
    world, rng = blocks(), np.random.default_rng(4)
    states = np.stack([world.sample_state(rng) for _ in range(30)])
    actions = np.stack([world.sample_action(rng) for _ in range(30)])
    elements = rng.integers(world.symmetry.group.order, size=30)
    together = world.transform_state(elements, states), world.transform_action(elements, actions)
    for i, g in enumerate(elements):
        np.testing.assert_array_equal(together[0][i], world.transform_state(int(g), states[i]))
        np.testing.assert_array_equal(together[1][i], world.transform_action(int(g), actions[i]))


def test_renaming_moves_the_objects() -> None:
    """(rho(g) s)[perm[i]] = s[i]: object i becomes object perm[i], where it stands."""
    world = blocks(3)
    permutation = world.symmetry.representations["object"].permutation
    assert permutation is not None
    state = np.array([[0, 0], [1, 3], [4, 2]])
    for p in range(6):
        np.testing.assert_array_equal(world.transform_state(p, state)[permutation[p]], state)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (np.zeros((3, 2)), "integers, not float64"),
        (np.zeros((2, 2), np.int64), r"\[\.\.\., 3, 2\], not \[2, 2\]"),
        (np.zeros(6, np.int64), "not \\[6\\]"),
        (np.array([[0, 0], [1, 1], [5, 0]]), r"\(5, 0\) is off the grid; .* 0 to 4"),
        (np.array([[[0, 0], [1, -1], [2, 2]]]), r"\(1, -1\) is off the grid"),
        (np.array([[0, 0], [2, 1], [2, 1]]), r"two objects stand on \(2, 1\)"),
    ],
)
def test_states_that_do_not_exist_are_refused(states: NDArray[np.int64], message: str) -> None:
    world = blocks(3)
    for act in (
        world.render_states,
        lambda s: world.step_states(s, np.array(0)),
        lambda s: world.transform_state(0, s),
    ):
        with pytest.raises(WorldError, match=message) as caught:
            act(states)
        assert "\n" not in str(caught.value)


def test_actions_and_elements_that_do_not_exist_are_refused() -> None:
    world = blocks(3)
    state = world.sample_state(np.random.default_rng(0))
    for action in (12, -1):
        with pytest.raises(WorldError, match=f"action {action} does not exist; actions go from 0 to 11"):
            world.step_states(state, np.array(action))
    with pytest.raises(WorldError, match="actions must be integers"):
        world.step_states(state, np.array(1.0))
    for element in (24, -1):
        with pytest.raises(WorldError, match=f"group element {element} does not exist"):
            world.transform_state(element, state)
