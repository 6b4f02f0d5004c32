"""Problems: from a start, be in the goal."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs import World
from sen_bench.errors import ConfigError
from sen_bench.planning.moves import Choices, Moves, Rotations
from sen_bench.symmetry import SO3
from sen_bench.system import QUIET, Progress, number_of

_ATTEMPTS: Final = 2000
"""How often a goal is drawn for one start before it is given up."""


@dataclass(frozen=True)
class Problems:
    """Starts and goals, as long as a model is shown several frames at once with the states before them.

    Attributes:
        starts: `[N, frames, ...]`, the last states up to the start, oldest first.
        goals: `[N, frames, ...]`, likewise up to the goal.
        elements: The group element that the problem is seen after: `[N]`, or `[N, 3, 3]` for SO(3).
        optimum: Steps of the shortest way, the same for all; None if it is not known.
    """

    starts: NDArray[Any]
    goals: NDArray[Any]
    elements: NDArray[Any]
    optimum: int | None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.starts)

    @property
    def digest(self) -> str:
        """``sha256:`` and the digest of starts, goals and elements."""
        hashed = hashlib.sha256()
        for array in (self.starts, self.goals, self.elements):
            hashed.update(repr((array.dtype.str, array.shape)).encode())
            hashed.update(np.ascontiguousarray(array).tobytes())
        return f"sha256:{hashed.hexdigest()}"

    def part(self, index: slice) -> Problems:
        """Some of them."""
        return Problems(self.starts[index], self.goals[index], self.elements[index], self.optimum)


def draw_problems(
    world: World,
    moves: Moves,
    *,
    count: int,
    distance: int,
    seed: int,
    tolerance: float,
    warmup: int = 0,
    progress: Progress = QUIET,
) -> tuple[Problems, Problems]:
    """Draws problems, and the twin of each: the same problem after a group element.

    A start is drawn as the world draws states. The goal is the state after `distance` moves drawn at random,
    drawn anew until no way is shorter, where that can be known: where the world's `goal_distance` counts
    steps, the walk has to be as long as it says; where moves are counted otherwise, all shorter sequences are
    tried. Where moves are continuous the goal only has to be farther away than the tolerance, and what the
    shortest way is remains unknown; but for rotations, all of which are actions: one step. It is unknown too
    where goals count as reached some steps before they are.

    Args:
        world: The world.
        moves: What can be done in it.
        count: How many problems.
        distance: Steps from start to goal.
        seed: The seed; problem i depends on it and on i only.
        tolerance: At which distance a goal counts as reached.
        warmup: Moves before the start.
        progress: Is told how many are drawn.

    Returns:
        The problems, and their twins.

    Raises:
        ConfigError: Goals so far away are not found.
        WorldError: The world does not say how far a state is from a goal.
    """
    frames = world.frame_stack
    starts, goals, elements = [], [], []
    with progress.work("draw problems", "problems") as advance:
        for number in range(count):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, number)))
            start = _walk(world, moves, world.sample_state(rng)[None], warmup + frames - 1, rng)
            way = _way_to_goal(world, moves, start[-1:], distance, tolerance, rng)
            starts.append(start[-frames:])
            goals.append(np.concatenate([start, way[1:]])[-frames:])
            elements.append(_element(world, rng))
            advance(number + 1, count)
    drawn, last, turns = np.stack(starts), np.stack(goals), np.stack(elements)
    nearby = world.goal_unit == "steps" and tolerance > 0
    known = 1 if isinstance(moves, Rotations) else None if moves.count is None or nearby else distance
    original = Problems(drawn, last, identities(world, count), known)
    twin_starts, twin_goals = (world.transform_state(turns[:, None], states) for states in (drawn, last))
    return original, Problems(twin_starts, twin_goals, turns, known)


def identities(world: World, count: int) -> NDArray[Any]:
    """The identity, as often as asked for: int64 `[count]`, or float64 `[count, 3, 3]` for SO(3)."""
    group = world.symmetry.group
    if isinstance(group, SO3):
        return np.repeat(group.identity[None], count, axis=0)
    return np.zeros(count, np.int64)


def _element(world: World, rng: np.random.Generator) -> NDArray[Any]:
    """The element of a twin, as for datasets: one of those that twins are drawn from."""
    group = world.symmetry.group
    if isinstance(group, SO3):
        return group.sample(rng)
    return np.asarray(rng.choice(np.asarray(world.symmetry.twin_elements, np.int64)))


def _way_to_goal(
    world: World,
    moves: Moves,
    start: NDArray[Any],
    distance: int,
    tolerance: float,
    rng: np.random.Generator,
) -> NDArray[Any]:
    """A walk from a start `[1, ...]` that ends as far away as it is meant to, `[1 + distance, ...]`.

    Raises:
        ConfigError: None was found.
    """
    for _ in range(_ATTEMPTS):
        way = _walk(world, moves, start, distance, rng)
        if _is_far(world, moves, start[0], way[-1], distance, tolerance):
            return way
    raise ConfigError(
        f"{world.world_id}: no goal {number_of(distance, 'step')} away, and farther than the tolerance of"
        f" {tolerance:g},"
        f" was found in {_ATTEMPTS} walks; choose another distance or tolerance"
    )


def _walk(
    world: World, moves: Moves, states: NDArray[Any], steps: int, rng: np.random.Generator
) -> NDArray[Any]:
    """A state `[1, ...]` and those after random moves, `[1 + steps, ...]`."""
    plain = identities(world, 1)
    way = [states]
    for _ in range(steps):
        action = moves.actions(moves.draw(rng)[None], plain)
        way.append(world.step_states(way[-1], action))
    return np.concatenate(way)


def _is_far(
    world: World, moves: Moves, start: NDArray[Any], goal: NDArray[Any], distance: int, tolerance: float
) -> bool:
    """Whether a goal at the end of a walk of so many steps is as far away as it is meant to be."""
    apart = float(world.goal_distance(start, goal))
    if apart <= tolerance:
        return False
    if world.goal_unit == "steps":
        return apart == distance
    return (
        not isinstance(moves, Choices)
        or fewest_steps(world, moves, start, goal, limit=distance - 1, tolerance=tolerance) is None
    )


def fewest_steps(
    world: World, moves: Choices, start: NDArray[Any], goal: NDArray[Any], *, limit: int, tolerance: float
) -> int | None:
    """The steps of the shortest way to a goal, by breadth-first search over all sequences of moves.

    Args:
        world: The world.
        moves: What can be done in it.
        start: A state.
        goal: The goal.
        limit: The longest way to look for.
        tolerance: At which distance a goal counts as reached.

    Returns:
        The steps; None if no way is that short.
    """
    reached, seen = start[None], {_key(start)}
    for steps in range(limit + 1):
        apart = world.goal_distance(reached, goal)
        if float(apart.min()) <= tolerance:
            return steps
        if world.goal_unit == "steps":
            reached = reached[apart <= limit - steps]
        if steps == limit or not len(reached):
            break
        numbers = np.tile(np.arange(len(moves.table)), len(reached))
        actions = moves.actions(numbers, identities(world, len(numbers)))
        following = world.step_states(np.repeat(reached, len(moves.table), axis=0), actions)
        fresh = []
        for state in following:
            if _key(state) not in seen:
                seen.add(_key(state))
                fresh.append(state)
        reached = np.stack(fresh) if fresh else following[:0]
    return None


def _key(state: NDArray[Any]) -> bytes:
    """What equal states have in common, rounding left aside."""
    # Adding 0 makes one of the two zeros of the other.
    return state.tobytes() if state.dtype.kind in "iu" else (np.round(state, 6) + 0.0).tobytes()


def least_width(distance: int) -> int:
    """The most states on shortest ways that are equally far: a beam as wide loses none of a grid world's."""
    return math.comb(distance, distance // 2)
