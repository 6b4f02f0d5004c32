"""Rush Hour: moves relative to the heading, and pictures that turn with the world."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.checks import check_world
from sen_bench.envs import make_world
from sen_bench.envs.rushhour import RushHour
from sen_bench.envs.shapes2d import Shapes2D
from sen_bench.errors import WorldError

SIZE = 5
# By heading, where each move leads: written out, not computed.
LEADS = {
    "up": {"forward": (-1, 0), "left": (0, -1), "back": (1, 0), "right": (0, 1)},
    "right": {"forward": (0, 1), "left": (-1, 0), "back": (0, -1), "right": (1, 0)},
    "down": {"forward": (1, 0), "left": (0, 1), "back": (-1, 0), "right": (0, -1)},
    "left": {"forward": (0, -1), "left": (1, 0), "back": (0, 1), "right": (-1, 0)},
}
HEADINGS, MOVES = ("up", "right", "down", "left"), ("forward", "left", "back", "right")

States = NDArray[np.int64]


def random_states(count: int, seed: int, **options: Any) -> States:
    world, rng = RushHour(**options), np.random.default_rng(seed)
    return np.stack([world.sample_state(rng) for _ in range(count)])


def moved_by_hand(state: States, action: int) -> list[list[int]]:
    cars = [[int(x) for x in car] for car in state]
    row, column, heading = cars[action // 4]
    step = LEADS[HEADINGS[heading]][MOVES[action % 4]]
    goal = [row + step[0], column + step[1]]
    if 0 <= goal[0] < SIZE and 0 <= goal[1] < SIZE and goal not in [car[:2] for car in cars]:
        cars[action // 4] = [*goal, heading]
    return cars


class TestDynamics:
    def test_steps_equal_a_plain_loop(self) -> None:
        world, states = RushHour(), random_states(300, seed=0)
        actions = np.random.default_rng(1).integers(20, size=300)
        expected = [moved_by_hand(state, int(action)) for state, action in zip(states, actions, strict=True)]
        before = states.copy()
        np.testing.assert_array_equal(world.step_states(states, actions), expected)
        np.testing.assert_array_equal(states, before)

    def test_every_action_from_every_state_broadcasts(self) -> None:
        world, states = RushHour(), random_states(6, seed=2)
        after = world.step_states(states[:, None], np.arange(20))
        expected = [[moved_by_hand(state, action) for action in range(20)] for state in states]
        np.testing.assert_array_equal(after, expected)

    def test_actions_say_what_they_do(self) -> None:
        world = RushHour()
        assert world.action_names[:5] == ("red car forward", "red car left", "red car back", "red car right",
                                          "blue car forward")  # fmt: skip
        assert world.state_names["coordinate"] == ("row", "column", "heading")

    def test_headings_are_uniform_and_stay_for_an_episode(self) -> None:
        states = random_states(4000, seed=3)
        counts = np.stack([np.bincount(states[:, i, 2], minlength=4) for i in range(5)])
        assert (np.abs(counts - 1000) < 110).all()  # four standard deviations
        world, rng = RushHour(), np.random.default_rng(4)
        state = start = states[0]
        for _ in range(100):
            state = world.step_states(state, world.sample_action(rng))
        np.testing.assert_array_equal(state[:, 2], start[:, 2])
        assert (state[:, :2] != start[:, :2]).any()


class TestSymmetry:
    @pytest.mark.parametrize("num_objects", [1, 2, 5])
    def test_the_world_is_equivariant_under_every_element(self, num_objects: int) -> None:
        world = RushHour(num_objects=num_objects)
        states = random_states(8, seed=5, num_objects=num_objects)[:, None]
        elements = np.arange(world.symmetry.group.order)[:, None, None]
        actions = np.arange(4 * num_objects)
        one_way = world.step_states(
            world.transform_state(elements, states), world.transform_action(elements, actions)
        )
        other_way = world.transform_state(elements, world.step_states(states, actions))
        np.testing.assert_array_equal(one_way, other_way)
        assert (world.step_states(states, actions) != states).any()
        assert (one_way != one_way[:1]).any()

    def test_a_turn_turns_positions_and_headings_and_leaves_actions(self) -> None:
        world, state = RushHour(), random_states(1, seed=6)[0]
        turn = world.symmetry.twin_elements[0]
        turned = world.transform_state(turn, state)
        row, column, heading = state.T
        np.testing.assert_array_equal(turned, np.stack([4 - column, row, (heading - 1) % 4], axis=1))
        np.testing.assert_array_equal(world.transform_action(turn, np.arange(20)), np.arange(20))

    def test_a_renaming_renames_cars_and_actions(self) -> None:
        world, state = RushHour(num_objects=3), random_states(1, seed=7, num_objects=3)[0]
        permutation = world.permutation("object")
        actions = np.arange(12)
        for p in range(6):
            np.testing.assert_array_equal(world.transform_state(p, state)[permutation[p]], state)
            np.testing.assert_array_equal(
                world.transform_action(p, actions), 4 * permutation[p][actions // 4] + actions % 4
            )

    def test_transformations_are_a_group_action(self) -> None:
        world, state = RushHour(num_objects=3), random_states(1, seed=8, num_objects=3)[0]
        group = world.symmetry.group
        a, b = np.arange(group.order)[:, None], np.arange(group.order)
        np.testing.assert_array_equal(
            world.transform_state(group.cayley, state),
            world.transform_state(a, world.transform_state(b, state)),
        )
        assert len(np.unique(world.transform_state(b, state), axis=0)) == group.order


class TestPictures:
    @pytest.mark.parametrize(("grid_size", "num_objects"), [(5, 5), (2, 3), (7, 4)])
    def test_the_picture_of_the_turned_world_is_the_turned_picture(
        self, grid_size: int, num_objects: int
    ) -> None:
        world = RushHour(grid_size=grid_size, num_objects=num_objects)
        states = random_states(60, seed=9, grid_size=grid_size, num_objects=num_objects)
        frames = world.render_states(states)
        for k, turn in enumerate((0, *world.symmetry.twin_elements)):
            turned = world.render_states(world.transform_state(turn, states))
            np.testing.assert_array_equal(turned, np.rot90(frames, k, axes=(1, 2)))
            assert k == 0 or not np.array_equal(turned, frames)

    def test_the_representation_on_pixels_is_the_rotation_of_images(self) -> None:
        symmetry = RushHour().symmetry
        assert symmetry.observation == "pixel"
        image = np.random.default_rng(0).integers(256, size=(50, 50, 3))
        for k, turn in enumerate((0, *symmetry.twin_elements)):
            turned = symmetry.representations["pixel"].apply(turn, image.reshape(2500, 3), axis=0)
            np.testing.assert_array_equal(turned.reshape(50, 50, 3), np.rot90(image, k))

    def test_a_renaming_is_not_claimed_to_act_on_pixels(self) -> None:
        """It exchanges colours, so no element with one is among those that `observation` speaks of."""
        world, state = RushHour(), random_states(1, seed=10)[0]
        renamings = [g for g in range(480) if g % 120]
        assert not set(renamings) & set(world.symmetry.twin_elements)
        frame = world.render_states(state)
        for g in renamings[:5]:
            moved = world.symmetry.representations["pixel"].apply(g, frame.reshape(2500, 3), axis=0)
            assert not np.array_equal(
                moved.reshape(50, 50, 3), world.render_states(world.transform_state(g, state))
            )

    def test_a_car_stays_in_its_cell(self) -> None:
        world = RushHour(num_objects=1)
        for row, column, heading in itertools.product(range(5), range(5), range(4)):
            frame = world.render_states(np.array([[row, column, heading]]))
            cell = frame[10 * row : 10 * row + 10, 10 * column : 10 * column + 10]
            assert np.count_nonzero(frame) == np.count_nonzero(cell) > 0

    def test_every_car_and_heading_can_be_told_apart(self) -> None:
        """Five cars times four headings on one cell: every two differ widely, in many pixels."""
        world = RushHour()
        corners = [[0, 0], [0, 4], [4, 0], [4, 4]]
        cells = {}
        for car, heading in itertools.product(range(5), range(4)):
            others = [[*corner, 0] for corner in corners]
            state = np.array([*others[:car], [2, 2, heading], *others[car:]])
            cells[car, heading] = world.render_states(state)[20:30, 20:30].astype(int)
        for (one, a), (other, b) in itertools.combinations(cells.items(), 2):
            clearly = (np.abs(a - b).max(axis=-1) > 50).sum()
            # Another car differs wherever it is painted; another heading where front, glass and back were.
            assert clearly >= (50 if one[0] != other[0] else 20), (one, other, clearly)
            assert np.abs(a - b).mean() > 15, (one, other)


class TestOptions:
    def test_moves_are_numbered_clockwise_where_asked_for(self) -> None:
        """Directions are (heading + move) mod 4, in the order up, right, down, left."""
        world, ours = RushHour(move_order="clockwise"), RushHour()
        states = random_states(50, seed=11)[:, None]
        after = world.step_states(states, np.arange(20))
        for move, same in enumerate((0, 3, 2, 1)):
            theirs = ours.step_states(states, np.arange(same, 20, 4))
            np.testing.assert_array_equal(after[:, move::4], theirs)
        state = np.array([[2, 2, 1], [0, 0, 0], [0, 4, 0], [4, 0, 0], [4, 4, 0]])
        offsets = [(int(r) - 2, int(c) - 2) for r, c in world.step_states(state, np.arange(4))[:, 0, :2]]
        assert offsets == [(0, 1), (1, 0), (0, -1), (-1, 0)]  # from heading right: right, down, left, up
        assert world.action_names[:4] == ("red car forward", "red car right", "red car back", "red car left")

    def test_triangles_are_those_of_2d_shapes_turned_and_spill_over_by_one_pixel(self) -> None:
        world = RushHour(look="triangles", num_objects=1)
        shapes = Shapes2D(num_objects=2)  # the second is a triangle
        up = shapes.render_states(np.array([[0, 0], [2, 2]]))[20:31, 20:31].any(axis=-1)
        assert up.sum() == 61
        for heading in range(4):
            frame = world.render_states(np.array([[2, 2, heading]]))
            assert np.array_equal(frame[20:31, 20:31].any(axis=-1), np.rot90(up, -heading))
            assert np.count_nonzero(frame.any(axis=-1)) == 61
            assert {tuple(colour) for colour in frame[frame.any(axis=-1)]} == {(228, 26, 28)}

    def test_pictures_of_triangles_turn_only_nearly(self) -> None:
        world = RushHour(look="triangles")
        assert world.symmetry.observation is None
        assert "pixel" not in world.symmetry.representations
        states = random_states(40, seed=12)
        turned = world.render_states(world.transform_state(120, states))
        differing = (turned != np.rot90(world.render_states(states), 1, axes=(1, 2))).any(axis=-1).mean()
        assert 0.01 < differing < 0.1

    def test_headings_can_be_one_for_all(self) -> None:
        states = random_states(4000, seed=13, headings="shared")
        assert (states[:, :, 2] == states[:, :1, 2]).all()
        assert (np.abs(np.bincount(states[:, 0, 2]) - 1000) < 110).all()  # four standard deviations

    @pytest.mark.parametrize(
        "options", [{"look": "triangles", "move_order": "clockwise"}, {"headings": "shared"}], ids=str
    )
    def test_worlds_with_options_keep_the_contract(self, options: dict[str, Any]) -> None:
        world = RushHour(num_objects=3, **options)
        assert world.options == {"grid_size": 5, "num_objects": 3, **options}
        report = check_world(world)
        assert report.passed, str(report)

    def test_the_default_options_are_not_among_those_that_datasets_name(self) -> None:
        default: dict[str, Any] = {"look": "cars", "move_order": "counter-clockwise", "headings": "own"}
        assert RushHour(**default).options == RushHour().options == {"grid_size": 5, "num_objects": 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"look": "lorries"}, "look of Rush Hour is cars or triangles, not 'lorries'"),
        ({"move_order": 1}, "move_order of Rush Hour is counter-clockwise or clockwise, not 1"),
        ({"headings": "none"}, "headings of Rush Hour is own or shared, not 'none'"),
        ({"grid_size": 11}, "Rush Hour has a grid of size 1 to 10, not 11"),
        ({"num_objects": 7}, "Rush Hour has 1 to 6 objects, not 7"),
        ({"grid_size": 2}, "5 objects do not fit on 4 cells"),
    ],
)
def test_sizes_that_are_not_possible_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(WorldError, match=message) as caught:
        make_world("sen_bench/RushHour-v0", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([[0, 0, 4], [1, 1, 0]], "heading 4 does not exist; headings go from 0 to 3: up, right, down, left"),
        ([[0, 0, 0], [1, 1, -1]], "heading -1 does not exist"),
        ([[0, 0, 0], [0, 0, 1]], r"two objects stand on \(0, 0\)"),
        ([[0, 0, 0], [0, 5, 1]], r"\(0, 5\) is off the grid"),
        ([[0, 0], [0, 1]], r"the shape \[\.\.\., 2, 3\], not \[2, 2\]"),
    ],
)
def test_states_that_do_not_exist_are_refused(state: list[list[int]], message: str) -> None:
    world = RushHour(num_objects=2)
    for act in (
        world.render_states,
        lambda s: world.step_states(s, np.array(0)),
        lambda s: world.transform_state(0, s),
    ):
        with pytest.raises(WorldError, match=message) as caught:
            act(np.array(state))
        assert "\n" not in str(caught.value)
