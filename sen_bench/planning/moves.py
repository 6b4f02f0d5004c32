"""What an agent can do in a world, in coordinates in which a problem and its twin look the same.

A move is an action before the world was turned. In the twin of a problem, seen after the group element g,
the same move is the action g·a. So a plan is searched for in one and the same way, with the same order of the
moves and the same random numbers, and a tie is broken alike: an agent that is exactly equivariant takes in
the twin the transformed actions, and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs import RotationSpace, World
from sen_bench.errors import ConfigError

Move: TypeAlias = NDArray[Any]
"""Numbers of choices, int64 `[...]`, or coordinates, float64 `[..., k]`."""


class Moves(Protocol):
    """The moves of a world."""

    @property
    def count(self) -> int | None:
        """How many there are; None if they are continuous."""

    @property
    def width(self) -> int:
        """Coordinates of a continuous move; 0 if they are counted."""

    def draw(self, rng: np.random.Generator) -> Move:
        """A move, drawn as the world draws actions."""

    def clipped(self, moves: Move) -> Move:
        """The nearest moves that there are."""

    def actions(self, moves: Move, elements: NDArray[Any]) -> NDArray[Any]:
        """The actions of moves after group elements.

        Args:
            moves: `[N]` or `[N, k]`.
            elements: `[N]`, or `[N, 3, 3]` where the group is SO(3).
        """


@dataclass(frozen=True)
class Choices:
    """A list of actions, of which a move is the number.

    Attributes:
        world: The world.
        table: The actions, `[count, ...]`.
    """

    world: World
    table: NDArray[Any]
    width: ClassVar[int] = 0

    @property
    def count(self) -> int | None:
        """How many there are."""
        return len(self.table)

    def draw(self, rng: np.random.Generator) -> Move:
        """A number, each as likely."""
        return np.asarray(rng.integers(len(self.table)))

    def clipped(self, moves: Move) -> Move:
        """The moves themselves."""
        return moves

    def actions(self, moves: Move, elements: NDArray[Any]) -> NDArray[Any]:
        """See `Moves.actions`."""
        return np.asarray(self.world.transform_action(elements, self.table[moves]))


@dataclass(frozen=True)
class Boxed:
    """Actions of a box; a move has a coordinate for each entry, from -1 to 1."""

    world: World
    low: NDArray[Any]
    high: NDArray[Any]
    count: ClassVar[None] = None

    @property
    def width(self) -> int:
        """Entries of an action."""
        return int(self.low.size)

    def draw(self, rng: np.random.Generator) -> Move:
        """Uniform coordinates."""
        return rng.uniform(-1.0, 1.0, self.width)

    def clipped(self, moves: Move) -> Move:
        """Coordinates from -1 to 1."""
        return np.clip(moves, -1.0, 1.0)

    def actions(self, moves: Move, elements: NDArray[Any]) -> NDArray[Any]:
        """See `Moves.actions`."""
        share = (self.clipped(moves).reshape(-1, *self.low.shape) + 1) / 2
        actions = (self.low + share * (self.high - self.low)).astype(self.low.dtype)
        return np.asarray(self.world.transform_action(elements, np.clip(actions, self.low, self.high)))


@dataclass(frozen=True)
class Rotations:
    """All rotations; a move is a rotation vector: along the axis, and as long as the angle in radians."""

    world: World
    count: ClassVar[None] = None
    width: ClassVar[int] = 3

    def draw(self, rng: np.random.Generator) -> Move:
        """A rotation uniform over SO(3), whose angle has the density (1 - cos) / π."""
        angle = rng.uniform(0.0, math.pi)
        while rng.uniform(0.0, 2.0) > 1 - math.cos(angle):
            angle = rng.uniform(0.0, math.pi)
        axis = rng.standard_normal(3)
        return np.asarray(angle * axis / np.linalg.norm(axis))

    def clipped(self, moves: Move) -> Move:
        """The moves themselves: vectors longer than π are rotations too."""
        return moves

    def actions(self, moves: Move, elements: NDArray[Any]) -> NDArray[Any]:
        """See `Moves.actions`; by Rodrigues' formula."""
        angle = np.linalg.norm(moves, axis=-1)[..., None, None]
        x, y, z = np.moveaxis(moves / np.maximum(angle[..., 0], 1e-12), -1, 0)
        zero = np.zeros_like(x)
        cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
        turns = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
        return np.asarray(self.world.transform_action(elements, turns))


def moves_of(world: World) -> Moves:
    """What can be done in a world, by its space of actions.

    Raises:
        ConfigError: The space is of a kind in which nothing is planned.
    """
    space = world.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return Choices(world, int(space.start) + np.arange(int(space.n)))
    if isinstance(space, RotationSpace):
        return Rotations(world) if space.choices is None else Choices(world, space.choices)
    if isinstance(space, gymnasium.spaces.Box) and np.isfinite([space.low, space.high]).all():
        return Boxed(world, space.low, space.high)
    raise ConfigError(
        f"actions of {world.world_id} are of the space {space}; plans are made of discrete actions, of those"
        " of a bounded box, and of rotations"
    )
