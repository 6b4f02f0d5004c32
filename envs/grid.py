"""Worlds of objects that move one cell at a time on a square grid, and the symmetry C_4 × S_O they share.

States are int64 [..., O, K]: the (row, column) of every object, and whatever else a world records about it.
Action `4 * object + move` moves one object one cell; a move off the grid or into an occupied cell does
nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.world import Elements, World, checked_elements
from sen_bench.errors import WorldError
from sen_bench.symmetry import Group, Representation, Symmetry
from sen_bench.system import number_of

DIRECTIONS = ("up", "right", "down", "left")

OFFSETS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)], dtype=np.int64)
"""int64 [4, 2]: the change of (row, column) in each direction, in the order of the public code."""

_UP = DIRECTIONS.index("up")

IntArray = NDArray[np.int64]


@functools.cache
def grid_symmetry(grid_size: int, num_objects: int) -> Symmetry:
    """The symmetry C_4 × S_O of a grid world: quarter turns of the grid times renamings of the objects.

    Element `k * O! + p` is k counter-clockwise quarter turns and the p-th permutation of the objects. One
    turn takes the cell (r, c) to (n - 1 - c, r) and direction d to d - 1 modulo 4.

    Args:
        grid_size: n, the cells on a side.
        num_objects: O, the number of objects.

    Returns:
        A symmetry with the permutation representations "direction" (4), "object" (O), "action" (4·O) and
        "cell" (n², index r·n + c). Twins are drawn from the three rotations that rename no object.
    """
    turns, renamings = Group.cyclic(4), Group.symmetric(num_objects)
    group = Group.product(turns, renamings)
    turn_of, renaming_of = np.divmod(np.arange(group.order), renamings.order)

    directions = (np.arange(4) - np.arange(4)[:, None]) % 4
    cells = np.arange(grid_size**2).reshape(grid_size, grid_size)
    # rot90 brings to each cell the number of the cell that moves there: the inverse of "where i goes".
    turned = np.stack([np.argsort(np.rot90(cells, k).ravel()) for k in range(4)])

    direction = Representation(turns, "direction", permutation=directions).pullback(group, turn_of)
    cell = Representation(turns, "cell", permutation=turned).pullback(group, turn_of)
    obj = Representation.standard(renamings).pullback(group, renaming_of, "object")
    return Symmetry(
        group=group,
        representations={
            "direction": direction,
            "object": obj,
            "action": obj.tensor_product(direction, "action"),
            "cell": cell,
        },
        twin_elements=tuple(k * renamings.order for k in (1, 2, 3)),
        description=(
            f"C4 x S{num_objects}: element k*{renamings.order}+p turns the grid by k*90 degrees"
            " counter-clockwise, (r, c) -> (n-1-c, r) for each turn, and renames the objects by the p-th"
            " permutation; actions 4*object+direction transform by 'object' x 'direction'"
        ),
    )


def move_objects(states: IntArray, objects: IntArray, directions: IntArray, grid_size: int) -> IntArray:
    """Moves one object of each state by one cell, unless that is off the grid or occupied.

    Args:
        states: int64 [..., O, K], row and column first; the other coordinates stay as they are.
        objects: int64 [...], which object moves; broadcasts with the leading axes of `states`.
        directions: int64 [...], an index into `OFFSETS`; broadcasts in the same way.
        grid_size: The cells on a side.

    Returns:
        int64 [..., O, K], new memory.
    """
    objects, directions = np.broadcast_arrays(objects, directions)
    lead = np.broadcast_shapes(states.shape[:-2], objects.shape)
    moved = np.broadcast_to(states, lead + states.shape[-2:]).copy()
    positions = moved[..., :2]
    index = np.broadcast_to(objects, lead)[..., None, None]
    here = np.take_along_axis(positions, index, axis=-2)
    goal = here + OFFSETS[directions][..., None, :]
    # The moving object itself never stands on its goal, so it need not be left out of the comparison.
    blocked = (positions == goal).all(-1).any(-1) | ((goal < 0) | (goal >= grid_size)).any((-2, -1))
    np.put_along_axis(positions, index, np.where(blocked[..., None, None], here, goal), axis=-2)
    return moved


@functools.cache
def turns_into_domain(grid_size: int) -> IntArray:
    """Counter-clockwise quarter turns that bring each cell into a fundamental domain of C_4, int64 [n, n].

    The domain is the rows above the middle, without the middle one, and the columns left of it, with the
    middle one if there is one. Its four turns are all cells, each once, but for the centre of an odd grid,
    which has -1: 6 · 4 + 1 of 5 × 5 cells.
    """
    domain = np.zeros((grid_size, grid_size), dtype=np.bool_)
    domain[: grid_size // 2, : (grid_size + 1) // 2] = True
    turns = np.full(domain.shape, -1, dtype=np.int64)
    for k in range(4):
        turns[np.rot90(domain, -k)] = k
    turns.setflags(write=False)
    return turns


class GridWorld(World):
    """A world of distinct objects on a square grid; a subclass renders it.

    Args:
        grid_size: The cells on a side.
        num_objects: The number of objects.
        render_mode: See `World`.

    Raises:
        WorldError: The size is not a positive integer, or there are more objects than cells or than looks.
    """

    state_axes: ClassVar[tuple[str, ...]] = ("object", "coordinate")

    title: ClassVar[str]
    """What the world is called in the paper."""

    object_names: ClassVar[tuple[str, ...]]
    """What the objects look like, in order; a world has no more objects than these."""

    coordinate_names: ClassVar[tuple[str, ...]] = ("row", "column")
    """What a state says of an object: its row, counted from the top, its column, and what a world adds."""

    goal_unit: ClassVar[str] = "steps"

    move_names: ClassVar[tuple[str, ...]] = DIRECTIONS
    """What an object can do, in the order of the actions."""

    def __init__(self, *, grid_size: int = 5, num_objects: int = 5, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        _check_positive("grid_size", grid_size)
        _check_positive("num_objects", num_objects)
        if num_objects > grid_size**2:
            raise WorldError(
                f"{number_of(num_objects, 'object')} do not fit on {number_of(grid_size**2, 'cell')}"
            )
        if num_objects > len(self.object_names):
            raise WorldError(f"{self.title} has 1 to {len(self.object_names)} objects, not {num_objects}")
        self.grid_size = int(grid_size)
        self.num_objects = int(num_objects)
        self.action_space = gymnasium.spaces.Discrete(4 * self.num_objects)

    @property
    def symmetry(self) -> Symmetry:
        """C_4 × S_O, see `grid_symmetry`; unless a world says otherwise, images transform in no known way."""
        return grid_symmetry(self.grid_size, self.num_objects)

    @property
    def options(self) -> dict[str, Any]:
        """{"grid_size": …, "num_objects": …}."""
        return {"grid_size": self.grid_size, "num_objects": self.num_objects}

    @property
    def state_names(self) -> Mapping[str, tuple[str, ...]]:
        """The objects' looks, and `coordinate_names`."""
        return {"object": self.object_names[: self.num_objects], "coordinate": self.coordinate_names}

    @property
    def action_names(self) -> tuple[str, ...]:
        """Object by object, what each action does: ("purple up", "purple right", …)."""
        return tuple(
            f"{name} {move}" for name in self.object_names[: self.num_objects] for move in self.move_names
        )

    def sample_state(self, rng: np.random.Generator) -> IntArray:
        """A placement without overlap, int64 [O, K], uniform over all of them."""
        cells = rng.choice(self.grid_size**2, size=self.num_objects, replace=False)
        return np.stack(np.divmod(cells, self.grid_size), axis=-1)

    def sample_action(self, rng: np.random.Generator, allowed: Sequence[int] | None = None) -> IntArray:
        """One action, int64 [], uniform over all actions or over `allowed`.

        Raises:
            WorldError: `allowed` is empty or names an action that does not exist.
        """
        if allowed is None:
            return np.asarray(rng.integers(4 * self.num_objects), dtype=np.int64)
        choices = self.check_actions(allowed)
        if choices.ndim != 1 or choices.size == 0:
            raise WorldError("allowed actions must be a list of at least one action")
        return np.asarray(choices[rng.integers(choices.size)])

    def step_states(self, states: NDArray[Any], actions: NDArray[Any]) -> IntArray:
        """The next states, int64 [..., O, K]; leading axes of states and actions broadcast.

        Raises:
            WorldError: A state or an action that this world does not have.
        """
        objects, moves = np.divmod(self.check_actions(actions), 4)
        states = self.check_states(states)
        return move_objects(states, objects, self.move_directions(states, objects, moves), self.grid_size)

    def goal_distance(self, states: NDArray[Any], goals: NDArray[Any]) -> NDArray[np.float64]:
        """The moves to the goal if no object were in another's way, float64 [...].

        Infinite where objects differ in what no move changes, such as their heading.
        """
        apart = np.abs(self.check_states(states) - self.check_states(goals))
        moves = apart[..., :2].sum(axis=(-2, -1)).astype(np.float64)
        return np.where(apart[..., 2:].any(axis=(-2, -1)), np.inf, moves)

    def sample_slice(self, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """A placement turned into the domain of `turns_into_domain`, and one object that goes up, uniform.

        The first object that is not in the centre lies in the domain. So does the first one after the step:
        going up leads out of the domain nowhere, and from the centre into it. The elements that bring
        transitions into the slice are turns, which rename no object.
        """
        state = self.sample_state(rng)
        turns = max(int(self._turns(state)), 0)
        state = self.transform_state(turns * (self.symmetry.group.order // 4), state)
        moved = rng.integers(self.num_objects)
        directions = self.move_directions(state, np.full(4, moved), np.arange(4))
        return state, np.asarray(4 * moved + int(np.argmin(directions != _UP)), dtype=np.int64)

    def slice_distance(self, states: NDArray[Any], actions: NDArray[Any]) -> NDArray[np.float64]:
        """0, 90 or 180 degrees, the turn that brings transitions into the slice, float64 [...].

        Infinite where the turn of the placement is another one than that of the move.
        """
        objects, moves = np.divmod(self.check_actions(actions), 4)
        states = self.check_states(states)
        # A turn takes direction d to d - 1 modulo 4, and up is 0.
        of_moves = self.move_directions(states, objects, moves)
        of_states = self._turns(states)
        degrees = 90.0 * np.minimum(of_moves, 4 - of_moves)
        return np.where((of_states == of_moves) | (of_states < 0), degrees, np.inf)

    def _turns(self, states: IntArray) -> IntArray:
        """Quarter turns that bring placements into the domain, int64 [...]; -1 if all of them do.

        The first object decides that is not in the centre. With several objects there is one.
        """
        of_objects = turns_into_domain(self.grid_size)[states[..., 0], states[..., 1]]
        first = np.argmax(of_objects >= 0, axis=-1)
        return np.asarray(np.take_along_axis(of_objects, first[..., None], axis=-1)[..., 0])

    def move_directions(self, states: IntArray, objects: IntArray, moves: IntArray) -> IntArray:  # noqa: ARG002
        """The direction in which a move takes an object, int64 [...]: here, the move itself.

        Args:
            states: int64 [..., O, K].
            objects: int64 [...], which object moves; broadcasts with the leading axes of `states`.
            moves: int64 [...], an index into `move_names`; of the shape of `objects`.
        """
        return moves

    def transform_state(self, elements: Elements, states: NDArray[Any]) -> IntArray:
        """g·s: turns the objects and renames them. Leading axes of elements and states broadcast."""
        elements = self.check_elements(elements)
        turned = self.turn_objects(elements[..., None], self.check_states(states))
        # The object called j afterwards is the one that the inverse sends j to.
        source = self.permutation("object")[self.symmetry.group.inverse[elements]]
        index = np.broadcast_to(source[..., None], turned.shape)
        return np.take_along_axis(turned, index, axis=-2)

    def turn_objects(self, elements: IntArray, states: IntArray) -> IntArray:
        """The objects where they are in the turned world, under their old names, int64 [..., O, K].

        Args:
            elements: int64 [..., 1], or another shape that broadcasts with that of the objects.
            states: int64 [..., O, K].
        """
        n = self.grid_size
        turned = self.permutation("cell")[elements, states[..., 0] * n + states[..., 1]]
        return np.stack(np.divmod(turned, n), axis=-1)

    def transform_action(self, elements: Elements, actions: NDArray[Any]) -> IntArray:
        """g·a, int64 [...]; leading axes of elements and actions broadcast."""
        actions = self.check_actions(actions)
        return np.asarray(self.permutation("action")[self.check_elements(elements), actions])

    def check_states(self, states: NDArray[Any]) -> IntArray:
        """States as int64 [..., O, K].

        Raises:
            WorldError: Wrong shape or dtype, a position off the grid, or two objects on one cell.
        """
        array = np.asarray(states)
        if array.dtype.kind not in "iu":
            raise WorldError(f"states must be integers, not {array.dtype}")
        one = (self.num_objects, len(self.coordinate_names))
        if array.ndim < 2 or array.shape[-2:] != one:
            raise WorldError(f"states must have the shape [..., {one[0]}, {one[1]}], not {list(array.shape)}")
        positions = array[..., :2]
        outside = (positions < 0) | (positions >= self.grid_size)
        if outside.any():
            row, column = positions[outside.any(-1)][0]
            raise WorldError(
                f"position ({row}, {column}) is off the grid; rows and columns go from 0 to"
                f" {self.grid_size - 1}"
            )
        # Widened first: a cell's number may not fit the type of its row.
        states = array.astype(np.int64, copy=False)
        cells = np.sort(states[..., 0] * self.grid_size + states[..., 1], axis=-1)
        repeated = cells[..., 1:][cells[..., 1:] == cells[..., :-1]]
        if repeated.size:
            row, column = divmod(int(repeated[0]), self.grid_size)
            raise WorldError(f"two objects stand on ({row}, {column}); a cell holds at most one")
        return states

    def check_actions(self, actions: NDArray[Any] | Sequence[int]) -> IntArray:
        """Actions as int64 [...].

        Raises:
            WorldError: Not integers, or not actions of this world.
        """
        array = np.asarray(actions)
        if array.size and array.dtype.kind not in "iu":
            raise WorldError(f"actions must be integers, not {array.dtype}")
        if array.size and not (array.min() >= 0 and array.max() < 4 * self.num_objects):
            wrong = array[(array < 0) | (array >= 4 * self.num_objects)].flat[0]
            raise WorldError(
                f"action {wrong} does not exist; actions go from 0 to {4 * self.num_objects - 1}"
            )
        return array.astype(np.int64, copy=False)

    def check_elements(self, elements: Elements) -> IntArray:
        """Group elements as int64 [...].

        Raises:
            WorldError: Not integers, or not elements of the group.
        """
        return checked_elements(elements, self.symmetry.group)

    def permutation(self, name: str) -> IntArray:
        """Where each element sends each index of a representation, int64 [element, index]."""
        table = self.symmetry.representations[name].permutation
        if table is None:
            raise TypeError(f"{name} does not permute")
        return table


def _check_positive(name: str, value: object) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise WorldError(f"{name} must be a positive integer, not {value!r}")
