"""2D Shapes is drawn pixel for pixel as the public code draws it with scikit-image."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.envs import make_world
from sen_bench.envs.shapes2d import Shapes2D
from sen_bench.envs.stamps import SET1
from sen_bench.errors import WorldError
from tests.oracles.shapes2d import draw_shapes, published_colours

States = NDArray[np.int64]


def random_states(count: int, seed: int, **options: Any) -> States:
    world, rng = Shapes2D(**options), np.random.default_rng(seed)
    return np.stack([world.sample_state(rng) for _ in range(count)])


def assert_drawn_as_published(states: States, grid_size: int = 5) -> None:
    frames = Shapes2D(grid_size=grid_size, num_objects=states.shape[-2]).render_states(states)
    for state, frame in zip(states, frames, strict=True):
        np.testing.assert_array_equal(frame, draw_shapes(state, grid_size), err_msg=f"state {state.tolist()}")


def test_random_states_equal_scikit_image() -> None:
    assert_drawn_as_published(random_states(300, seed=0))


def test_every_pair_of_touching_shapes_equals_scikit_image() -> None:
    """The 11th row and column lie over the neighbour, or under it, by the order of the objects."""
    corners = ([0, 0], [0, 4], [4, 0], [4, 4])
    states = []
    for one, other in itertools.permutations(range(5), 2):
        for offset in ((0, 1), (1, 0), (1, 1), (1, -1)):
            state: list[Any] = [None] * 5
            state[one], state[other] = [2, 2], [2 + offset[0], 2 + offset[1]]
            rest = iter(corners)
            states.append([position or next(rest) for position in state])
    assert_drawn_as_published(np.array(states))


def test_every_shape_on_every_cell_is_clipped_as_published() -> None:
    """Each object once on each cell, those at the lower and right border included."""
    for i, cell in itertools.product(range(5), np.ndindex(5, 5)):
        others = [position for position in np.ndindex(5, 5) if position != cell][: 5 - 1]
        state = np.array([*others[:i], cell, *others[i:]])
        assert_drawn_as_published(state[None])


@pytest.mark.parametrize(("grid_size", "num_objects"), [(1, 1), (2, 4), (4, 3), (7, 6), (5, 6)])
def test_other_sizes_equal_scikit_image(grid_size: int, num_objects: int) -> None:
    states = random_states(10, seed=1, grid_size=grid_size, num_objects=num_objects)
    assert_drawn_as_published(states, grid_size)
    frames = Shapes2D(grid_size=grid_size, num_objects=num_objects).render_states(states)
    assert frames.shape == (10, 10 * grid_size, 10 * grid_size, 3)


def test_the_colours_are_matplotlibs() -> None:
    np.testing.assert_array_equal(SET1, np.rint(255 * published_colours()[: len(SET1)]))


def test_squares_spill_into_the_next_cell() -> None:
    """Why the picture of the turned world is not the turned picture."""
    world = Shapes2D()
    state = np.array([[0, 0], [0, 4], [2, 2], [4, 0], [4, 4]])
    frame = world.render_states(state)
    green = (frame == SET1[2]).all(-1)
    assert green.sum() == 11 * 11
    assert green[20:31, 20:31].all()
    turn = world.symmetry.twin_elements[0]
    turned = world.render_states(world.transform_state(turn, state))
    assert not np.array_equal(turned, np.rot90(frame))
    assert world.symmetry.observation is None


def test_every_object_is_seen_in_a_colour_of_its_own() -> None:
    frames = Shapes2D().render_states(random_states(200, seed=2))
    for colour in SET1[:5]:
        # At least half of a circle remains where neighbours spill over two of its sides.
        assert ((frames == colour).all(-1).sum((1, 2)) > 40).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_objects": 7}, "2D Shapes has 1 to 6 objects, not 7"),
        ({"grid_size": 2}, "5 objects do not fit on 4 cells"),
        ({"grid_size": 0}, "grid_size must be a positive integer, not 0"),
        ({"num_objects": 0}, "num_objects must be a positive integer, not 0"),
    ],
)
def test_sizes_that_are_not_possible_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(WorldError, match=message) as caught:
        make_world("sen_bench/Shapes2D-v0", **options)
    assert "\n" not in str(caught.value)
