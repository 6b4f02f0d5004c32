"""The Rush Hour world: five cars on a 5 × 5 grid that are driven relative to where they head.

The paper describes the world in words, and its public code does not have it. Ours is 2D Shapes with a heading
for each object, drawn at reset and constant in an episode, and with a look of its own. Each car is drawn
inside its cell, and a car with another heading is the same picture turned. So here, unlike in the other grid
worlds, the picture of the turned world is the turned picture, to the bit.

Options give the look and the order of moves of the co-authors' research code (a public fork of C-SWM), and
one heading for all cars.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Final, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.grid import DIRECTIONS, GridWorld, IntArray, grid_symmetry
from sen_bench.envs.stamps import CELL, SET1, SET1_NAMES, Stamps, draw_stamps
from sen_bench.envs.world import Pixels
from sen_bench.errors import WorldError
from sen_bench.symmetry import Representation, Symmetry

MOVES = ("forward", "left", "back", "right")
"""Move m goes m quarter turns counter-clockwise from the heading."""

CLOCKWISE_MOVES = ("forward", "right", "back", "left")
"""The same for moves that are numbered clockwise."""

LARGEST_GRID = 10
"""Its representation on pixels, an index for each element and pixel, takes 40 MB."""

# A car that heads up: its colour (#) and white windscreens (o) on black. The pointed front and the windscreen
# tell the headings apart.
_CAR = (
    "....##....",
    "...####...",
    "..######..",
    ".##oooo##.",
    ".#oooooo#.",
    ".########.",
    ".########.",
    ".########.",
    ".########.",
    ".##....##.",
)


@functools.cache
def rush_hour_symmetry(grid_size: int, num_objects: int, *, pictures: bool = True) -> Symmetry:
    """The symmetry C_4 × S_O of Rush Hour; its elements, "cell", "object" and twins are `grid_symmetry`'s.

    One turn takes heading d to d - 1 modulo 4, which is "direction". Actions are relative to the heading, so
    turns leave them alone and "action" (4·O) only renames their objects. Turns act on the pictures by "pixel"
    ((10·n)²); renamings, which exchange colours, do not.

    Args:
        grid_size: n, the cells on a side.
        num_objects: O, the number of objects.
        pictures: Whether turns act on the pictures. Where cars spill over their cells they do not, and there
            is no "pixel".
    """
    plain = grid_symmetry(grid_size, num_objects)
    group, old = plain.group, plain.representations
    unmoved = Representation(group, "unmoved", permutation=np.tile(np.arange(4), (group.order, 1)))
    renamings = group.order // 4
    representations = {
        "direction": old["direction"],
        "object": old["object"],
        "action": old["object"].tensor_product(unmoved, "action"),
        "cell": old["cell"],
    }
    if pictures:
        quarters = np.arange(group.order) // renamings
        representations["pixel"] = Representation.quarter_turns(group, "pixel", CELL * grid_size, quarters)
    return Symmetry(
        group=group,
        representations=representations,
        twin_elements=plain.twin_elements,
        observation="pixel" if pictures else None,
        description=(
            f"C4 x S{num_objects}: element k*{renamings}+p turns the grid by k*90 degrees counter-clockwise,"
            " (r, c) -> (n-1-c, r) and heading d -> d-1 mod 4 for each turn, and renames the objects by the"
            " p-th permutation; actions 4*object+move, relative to the heading, are only renamed"
            + ("; the turns, p = 0, act on images by 'pixel'" if pictures else "")
        ),
    )


class RushHour(GridWorld):
    """Cars on a grid, each with a heading that it keeps.

    States are int64 [..., O, 3], (row, column, heading), the heading an index into `DIRECTIONS`. Observations
    are uint8 [10·n, 10·n, 3]; actions Discrete(4·O), `4 * object + move`, where the move is an index into
    `MOVES`, or into `CLOCKWISE_MOVES`.

    Args:
        grid_size: n, the cells on a side, at most 10.
        num_objects: O, the number of cars, 1 to 6.
        look: "cars"; or "triangles", plain ones of 11 × 11 pixels that reach one pixel beyond their cell to
            the right and below, so that the picture of the turned world is only nearly the turned picture.
        move_order: Which way moves are numbered from forward: "counter-clockwise" or "clockwise".
        headings: How they are drawn at reset: "own", each car's by itself, or "shared", one for all cars.
        render_mode: See `World`.

    Raises:
        WorldError: The size or the number of objects is impossible, or an option or the render mode unknown.
    """

    world_id: ClassVar[str] = "sen_bench/RushHour-v0"
    renderer: Literal["exact", "backend"] = "exact"
    title: ClassVar[str] = "Rush Hour"
    object_names: ClassVar[tuple[str, ...]] = tuple(f"{colour} car" for colour in SET1_NAMES)
    coordinate_names: ClassVar[tuple[str, ...]] = ("row", "column", "heading")
    move_names: ClassVar[tuple[str, ...]] = MOVES

    def __init__(
        self,
        *,
        grid_size: int = 5,
        num_objects: int = 5,
        look: str = "cars",
        move_order: str = "counter-clockwise",
        headings: str = "own",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(grid_size=grid_size, num_objects=num_objects, render_mode=render_mode)
        if grid_size > LARGEST_GRID:
            raise WorldError(f"Rush Hour has a grid of size 1 to {LARGEST_GRID}, not {grid_size}")
        self._variant = {"look": look, "move_order": move_order, "headings": headings}
        for name, value in self._variant.items():
            if value not in _CHOICES[name]:
                raise WorldError(f"{name} of Rush Hour is {' or '.join(_CHOICES[name])}, not {value!r}")
        side = CELL * self.grid_size
        self.observation_space = gymnasium.spaces.Box(0, 255, (side, side, 3), np.uint8)

    @property
    def symmetry(self) -> Symmetry:
        """C_4 × S_O, see `rush_hour_symmetry`; how turns act on images is known for cars, not triangles."""
        return rush_hour_symmetry(self.grid_size, self.num_objects, pictures=self._variant["look"] == "cars")

    @property
    def options(self) -> dict[str, Any]:
        """{"grid_size": …, "num_objects": …}, and those of the other options that are not the default."""
        chosen = {name: value for name, value in self._variant.items() if value != _CHOICES[name][0]}
        return {**super().options, **chosen}

    @property
    def action_names(self) -> tuple[str, ...]:
        """Car by car, what each action does: ("red car forward", "red car left", …)."""
        moves = CLOCKWISE_MOVES if self._clockwise else MOVES
        return tuple(f"{name} {move}" for name in self.object_names[: self.num_objects] for move in moves)

    @property
    def _clockwise(self) -> bool:
        return self._variant["move_order"] == "clockwise"

    def sample_state(self, rng: np.random.Generator) -> IntArray:
        """A placement without overlap and a heading for each car, or for all, int64 [O, 3], uniform."""
        positions = super().sample_state(rng)
        drawn = 1 if self._variant["headings"] == "shared" else self.num_objects
        headings = np.broadcast_to(rng.integers(len(DIRECTIONS), size=(drawn, 1)), (self.num_objects, 1))
        return np.concatenate([positions, headings], axis=1)

    def move_directions(self, states: IntArray, objects: IntArray, moves: IntArray) -> IntArray:
        """The direction of each move, int64 [...]: counted from the heading of the car that moves."""
        lead = np.broadcast_shapes(states.shape[:-2], objects.shape)
        headings = np.broadcast_to(states[..., 2], (*lead, self.num_objects))
        index = np.broadcast_to(objects, lead)[..., None]
        # Directions are numbered clockwise.
        turns = moves if self._clockwise else -moves
        return (np.take_along_axis(headings, index, axis=-1)[..., 0] + turns) % len(DIRECTIONS)

    def turn_objects(self, elements: IntArray, states: IntArray) -> IntArray:
        """The cars where they are in the turned world, heading as they do there, int64 [..., O, 3]."""
        headings = self.permutation("direction")[elements, states[..., 2]]
        return np.concatenate([super().turn_objects(elements, states), headings[..., None]], axis=-1)

    def check_states(self, states: NDArray[Any]) -> IntArray:
        """States as int64 [..., O, 3].

        Raises:
            WorldError: As in every grid world, or a heading that is not a direction.
        """
        checked = super().check_states(states)
        headings = checked[..., 2]
        wrong = headings[(headings < 0) | (headings >= len(DIRECTIONS))]
        if wrong.size:
            raise WorldError(f"heading {wrong[0]} does not exist; headings go from 0 to 3: {_HEADINGS}")
        return checked

    def render_states(self, states: NDArray[Any]) -> Pixels:
        """Draws states [..., O, 3] as uint8 [..., 10·n, 10·n, 3].

        Raises:
            WorldError: Wrong shape or dtype, a position off the grid, two cars on one cell, or a heading that
                is not a direction.
        """
        states = self.check_states(states)
        kinds = len(DIRECTIONS) * np.arange(self.num_objects) + states[..., 2]
        stamps = car_stamps() if self._variant["look"] == "cars" else triangle_stamps()
        return draw_stamps(stamps, states[..., :2], kinds, self.grid_size)


_HEADINGS = ", ".join(DIRECTIONS)

_CHOICES: Final = {
    "look": ("cars", "triangles"),
    "move_order": ("counter-clockwise", "clockwise"),
    "headings": ("own", "shared"),
}
"""What the options may be, the default first."""


@functools.cache
def car_stamps() -> Stamps:
    """The stamp of car i heading in direction d, at the index 4·i + d."""
    up = np.array([list(line) for line in _CAR])
    colours = []
    for paint in SET1:
        car = np.zeros((*up.shape, 3), np.uint8)
        car[up == "#"] = paint
        car[up == "o"] = 255
        # Directions are numbered clockwise, rot90 turns counter-clockwise.
        colours += [np.rot90(car, -direction) for direction in range(len(DIRECTIONS))]
    pictures = np.stack(colours)
    return Stamps(pictures, pictures.max(axis=-1) > 0)


@functools.cache
def triangle_stamps() -> Stamps:
    """The stamp of triangle i that points in direction d, at the index 4·i + d: that of 2D Shapes, turned."""
    row, column = np.mgrid[0 : CELL + 1, 0 : CELL + 1]
    up = 2 * np.abs(column - CELL // 2) <= row
    turned = np.stack([np.rot90(up, -direction) for direction in range(len(DIRECTIONS))])
    ink = np.concatenate(len(SET1) * [turned])
    colours = np.repeat(SET1, len(DIRECTIONS), axis=0)
    return Stamps(np.broadcast_to(colours[:, None, None], (*ink.shape, 3)).copy(), ink)
