"""The states, actions and group elements on which a world is checked, and how messages name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs import World
from sen_bench.symmetry import Group, action_label, element_label

#: How many random elements of SO(3) are tried.
ROTATIONS = 100
# Steps of the walks that lead to states: initial states may be special, such as an arm at rest.
_WALK = 8


class FaultError(Exception):
    """A world does not do what it must; the message says what it does instead."""


class NotApplicableError(Exception):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True)
class WorldSamples:
    """A world and what it is checked on. The arrays are read-only; worlds are given copies.

    Attributes:
        world: The world.
        states: ``[N, …]``: states on random walks from initial states.
        actions: ``[N, …]``.
        elements: ``[G]`` or ``[G, 3, 3]``: every element of a finite group, or random ones of SO(3).
        tolerance: Largest difference of floating-point numbers that counts as none, as a share of the largest
            entry compared, if that is above 1. Integers must be equal.
    """

    world: World
    states: NDArray[Any]
    actions: NDArray[Any]
    elements: NDArray[Any]
    tolerance: float

    @classmethod
    def draw(cls, world: World, count: int, *, seed: int, tolerance: float) -> WorldSamples:
        """Draws N = `count` states and actions one at a time, so that batches need not work yet."""
        rng = np.random.default_rng(seed)
        states = []
        for number in range(count):
            state = world.sample_state(rng)
            for _ in range(number % _WALK):
                state = world.step_states(state.copy(), world.sample_action(rng))
            states.append(np.array(state))
        actions = [np.array(world.sample_action(rng)) for _ in range(count)]
        group = world.symmetry.group
        elements = (
            np.arange(group.order)
            if isinstance(group, Group)
            else np.stack([group.sample(rng) for _ in range(ROTATIONS)])
        )
        samples = cls(world, np.stack(states), np.stack(actions), elements, tolerance)
        for array in (samples.states, samples.actions, samples.elements):
            array.setflags(write=False)
        return samples

    def state(self, number: int) -> str:
        """The name of a state in messages: "state 3 [0 1]"."""
        return f"state {number} {_short(self.states[number])}"

    def action(self, number: int) -> str:
        """The name of an action in messages, its own if it has one."""
        return f"action {action_label(self.world.action_names, self.actions[number])}"

    def element(self, number: int) -> str:
        """The name of an element in messages: "element 3 (r^3)"."""
        label = element_label(self.world.symmetry.group, self.elements[number])
        return f"element {number} ({label})" if self.elements.ndim == 1 else f"the rotation by {label}"

    def state_gap(self, one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
        """How far states ``[N, …]`` are apart, ``[N]``; 0 where that is no more than rounding."""
        if one.shape != other.shape:
            raise FaultError(f"states have the shape {list(one.shape)}, and should have {list(other.shape)}")
        return self._gap(self.world.state_difference(one.copy(), other.copy()), other)

    def action_gap(self, one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
        """How far actions ``[N, …]`` are apart, ``[N]``; 0 where that is no more than rounding."""
        if one.shape != other.shape:
            raise FaultError(f"actions have the shape {list(one.shape)}, and should have {list(other.shape)}")
        # Whole numbers as such: those without a sign would wrap around.
        return self._gap(np.asarray(one, np.float64) - np.asarray(other, np.float64), other)

    def _gap(self, difference: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
        gaps = np.abs(np.asarray(difference, np.float64)).reshape(len(values), -1).max(axis=1, initial=0.0)
        if values.dtype.kind == "f":
            scale = np.abs(values).reshape(len(values), -1).max(axis=1, initial=1.0)
            gaps = np.where(gaps <= self.tolerance * scale, 0.0, gaps)
        return np.asarray(np.where(np.isnan(gaps), np.inf, gaps))


def _short(values: NDArray[Any]) -> str:
    """Numbers in one line, the middle of many left out."""
    text = np.array2string(values, precision=3, threshold=20, edgeitems=2, max_line_width=10_000)
    return " ".join(text.split())
