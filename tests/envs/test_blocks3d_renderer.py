"""3D Blocks is drawn bit for bit as matplotlib and PIL draw it."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.envs import make_world
from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.envs.blocks3d_kernels import blend_pixel
from sen_bench.envs.blocks3d_sprites import blend
from sen_bench.errors import WorldError
from tests.oracles.blocks3d import draw_blocks
from tests.oracles.blocks3d_tables import ASSET, build_tables, encode_tables

States = NDArray[np.int64]


def random_states(count: int, num_objects: int, seed: int) -> States:
    world, rng = Blocks3D(num_objects=num_objects), np.random.default_rng(seed)
    return np.stack([world.sample_state(rng) for _ in range(count)])


def clusters(seed: int) -> States:
    """Shapes of five touching cubes (cross, rows, corners) all over the grid, in random colours."""
    shapes = (
        [(0, 1), (1, 0), (1, 1), (1, 2), (2, 1)],
        [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)],
        [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)],
        [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)],
        [(0, 2), (1, 1), (2, 0), (1, 3), (2, 2)],
        [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)],
    )
    rng = np.random.default_rng(seed)
    states: list[NDArray[Any]] = []
    for shape in shapes:
        cells = np.array(shape)
        room = 4 - cells.max(axis=0)
        shifts = ((0, 0), (room[0], room[1]), (room[0] // 2, room[1]))
        states.extend((cells + shift)[rng.permutation(5)] for shift in shifts)
    return np.array(states)


def assert_drawn_as_published(states: States) -> None:
    frames = Blocks3D(num_objects=states.shape[-2]).render_states(states)
    for state, frame in zip(states, frames, strict=True):
        np.testing.assert_array_equal(frame, draw_blocks(state), err_msg=f"state {state.tolist()}")


def test_random_states_equal_matplotlib() -> None:
    assert_drawn_as_published(random_states(40, 5, seed=0))


def test_touching_and_occluding_cubes_equal_matplotlib() -> None:
    assert_drawn_as_published(clusters(seed=0))


@pytest.mark.parametrize("num_objects", [1, 2, 3, 4])
def test_fewer_cubes_equal_matplotlib(num_objects: int) -> None:
    assert_drawn_as_published(random_states(8, num_objects, seed=num_objects))


def test_a_cube_on_every_cell_equals_matplotlib() -> None:
    assert_drawn_as_published(np.array(list(itertools.product(range(5), repeat=2)))[:, None])


@pytest.mark.slow
def test_many_states_equal_matplotlib() -> None:
    assert_drawn_as_published(random_states(200, 5, seed=99))


@pytest.mark.slow
def test_every_sprite_equals_matplotlib() -> None:
    """Each cell with each set of its neighbours occupied: all the sprites there are."""
    offsets = ((-1, 0), (0, 1), (1, 0), (0, -1))
    for row, column, count in itertools.product(range(5), range(5), range(5)):
        states = [
            [(row, column), *((row + r, column + c) for r, c in chosen)]
            for chosen in itertools.combinations(offsets, count)
            if all(0 <= row + r < 5 and 0 <= column + c < 5 for r, c in chosen)
        ]
        if states:
            assert_drawn_as_published(np.array(states))


def test_the_committed_tables_are_what_matplotlib_gives() -> None:
    tables = build_tables()
    with np.load(ASSET, allow_pickle=False) as committed:
        assert sorted(committed) == sorted(tables)
        for name, table in tables.items():
            assert committed[name].dtype == table.dtype
            np.testing.assert_array_equal(committed[name], table, err_msg=name)
    assert encode_tables(tables) == encode_tables(dict(reversed(tables.items())))


def test_the_blend_needs_no_division() -> None:
    """The kernel multiplies by reciprocals: equal to the division for every pixel, colour and coverage."""
    below, colour = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    scalar: Any = getattr(blend_pixel, "py_func", blend_pixel)
    for cover in range(255):
        fast = scalar(below, colour, cover)
        np.testing.assert_array_equal(fast, blend(below, colour, np.array(cover)))
    np.testing.assert_array_equal(blend(below, colour, np.array(255)), colour)
    np.testing.assert_array_equal(blend(below, colour, np.array(0)), below)


def test_a_frame_does_not_depend_on_the_frames_before_it() -> None:
    world = Blocks3D()
    states = random_states(50, 5, seed=5)
    # With repetitions, which are copied, and in another order.
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(50), 3))
    order[10:14] = order[10]
    frames = world.render_states(states)
    np.testing.assert_array_equal(world.render_states(states[order]), frames[order])


def test_threads_do_not_disturb_each_other() -> None:
    world, states = Blocks3D(), random_states(400, 5, seed=6)
    frames = world.render_states(states)
    with ThreadPoolExecutor(4) as pool:
        for part, drawn in enumerate(pool.map(world.render_states, states.reshape(8, 50, 5, 2))):
            np.testing.assert_array_equal(drawn, frames[50 * part : 50 * part + 50])


def test_cubes_of_all_colours_are_seen_and_no_cube_is_drawn_twice() -> None:
    """A frame has no mark of an object that is left out: the floor shows through."""
    five = np.array([[0, 0], [0, 4], [4, 0], [4, 4], [2, 2]])
    frames = [Blocks3D(num_objects=n).render_states(five[:n]).astype(int) for n in (1, 2, 3, 4, 5)]
    for before, after in itertools.pairwise(frames):
        assert np.abs(after - before).max() > 60


def test_the_picture_is_not_rotated_by_a_rotation_of_the_world() -> None:
    """The reason for all this: the group acts on pixels in no simple way."""
    world = Blocks3D()
    state = random_states(1, 5, seed=11)[0]
    turn = world.symmetry.twin_elements[0]
    turned = world.render_states(world.transform_state(turn, state))
    np.testing.assert_array_equal(turned, draw_blocks(world.transform_state(turn, state)))
    assert not np.array_equal(turned, np.rot90(world.render_states(state)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid_size": 6}, "grid of size 5 only, not 6"),
        ({"grid_size": 0}, "grid_size must be a positive integer, not 0"),
        ({"num_objects": 6}, "1 to 5 objects, not 6"),
        ({"num_objects": 26}, "26 objects do not fit on 25 cells"),
        ({"num_objects": 0}, "num_objects must be a positive integer"),
        ({"num_objects": 2.0}, "num_objects must be a positive integer, not 2.0"),
        ({"num_objects": True}, "num_objects must be a positive integer, not True"),
    ],
)
def test_sizes_without_tables_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(WorldError, match=message) as caught:
        make_world("sen_bench/Blocks3D-v0", **options)
    assert "\n" not in str(caught.value)
