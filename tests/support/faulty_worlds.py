"""A sound little world, and one for each kind of fault that a world can have. None is registered here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs import World
from sen_bench.envs.teapot import Teapot
from sen_bench.envs.world import Elements, Pixels
from sen_bench.symmetry import Group, Representation, Symmetry

Array = NDArray[Any]
PLACES, SIDE = 4, 6
GROUP = Group.cyclic(PLACES)
_ACTION = Representation(GROUP, "action", permutation=np.tile([0, 1], (PLACES, 1)))
_PIXELS = Representation.quarter_turns(GROUP, "pixels", SIDE, np.arange(PLACES))
# The bead is drawn in these corners, counter-clockwise.
_CORNERS = np.array([[0, 5], [0, 0], [5, 0], [5, 5]])


class Ring(World):
    """A bead in one of the four corners of a picture; action 0 moves it back, 1 forward. C4 turns it."""

    world_id: ClassVar[str] = "sen_bench_tests/Ring-v0"
    renderer: Literal["exact", "backend"] = "exact"
    state_axes: ClassVar[tuple[str, ...]] = ("bead",)

    def __init__(self, *, shade: int = 255, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self.shade = shade
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 1), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)

    @property
    def symmetry(self) -> Symmetry:
        parts = {"place": Representation.regular(GROUP), "action": _ACTION, "pixels": _PIXELS}
        return Symmetry(GROUP, parts, (1, 2, 3), "pixels")

    @property
    def options(self) -> dict[str, Any]:
        return {"shade": self.shade}

    @property
    def state_names(self) -> Mapping[str, tuple[str, ...]]:
        return {"bead": ("place",)}

    @property
    def action_names(self) -> tuple[str, ...]:
        return ("back", "forward")

    def sample_state(self, rng: np.random.Generator) -> Array:
        return rng.integers(PLACES, size=1)

    def sample_action(self, rng: np.random.Generator, allowed: Sequence[int] | None = None) -> Array:
        return np.asarray(rng.choice([0, 1] if allowed is None else list(allowed)))

    def step_states(self, states: Array, actions: Array) -> Array:
        return np.asarray((states + 2 * actions[..., None] - 1) % PLACES)

    def render_states(self, states: Array) -> Pixels:
        corner = _CORNERS[states[..., 0]]
        row, column = np.mgrid[:SIDE, :SIDE]
        here = (row == corner[..., 0, None, None]) & (column == corner[..., 1, None, None])
        return np.where(here, np.uint8(self.shade), np.uint8(0))[..., None]

    def transform_state(self, elements: Elements, states: Array) -> Array:
        return np.asarray((states + np.asarray(elements)[..., None]) % PLACES)

    def transform_action(self, elements: Elements, actions: Array) -> Array:
        return np.broadcast_arrays(actions, elements)[0].copy()


class MoreNames(Ring):
    state_names = {"bead": ("place", "speed")}  # noqa: RUF012


class Large(Ring):
    def render_states(self, states: Array) -> Pixels:
        return np.repeat(super().render_states(states), 2, axis=-2)


class Restless(Ring):
    _count = itertools.count()

    def sample_state(self, rng: np.random.Generator) -> Array:
        del rng
        number = next(self._count)
        # Another place than eight draws ago, as many as the check compares with each other.
        return np.asarray([(number + number // 8) % PLACES])


class Overwriting(Ring):
    def step_states(self, states: Array, actions: Array) -> Array:
        states[...] = super().step_states(states, actions)
        return states.copy()


class Flickering(Ring):
    _count = itertools.count(1)

    def render_states(self, states: Array) -> Pixels:
        return np.asarray(super().render_states(states) // next(self._count)).astype(np.uint8)


class Sharing(Ring):
    _frames: ClassVar[dict[bytes, Pixels]] = {}

    def render_states(self, states: Array) -> Pixels:
        return self._frames.setdefault(
            np.asarray(states, np.int64).tobytes() + bytes(states.shape), super().render_states(states)
        )


class OneByOne(Ring):
    def render_states(self, states: Array) -> Pixels:
        frames = super().render_states(states)
        frames[...] = frames[(0,) * (states.ndim - 1)] if frames.size else 0
        return frames


class Uncounting(Ring):
    def transform_state(self, elements: Elements, states: Array) -> Array:
        return super().transform_state(np.asarray(elements) + 1, states)


class Squaring(Ring):
    """Turns by the square of what it should: every turn commutes with a step, but they are no group."""

    def transform_state(self, elements: Elements, states: Array) -> Array:
        return super().transform_state(np.asarray(elements) ** 2, states)


class Uneven(Ring):
    """Places differ: whoever is in place 2 stays there."""

    def step_states(self, states: Array, actions: Array) -> Array:
        states, moved = np.broadcast_arrays(states, super().step_states(states, actions))
        return np.where(states == 2, states, moved)


class Unturned(Ring):
    @property
    def symmetry(self) -> Symmetry:
        still = Representation(GROUP, "pixels", permutation=np.tile(np.arange(SIDE**2), (PLACES, 1)))
        return Symmetry(GROUP, {"pixels": still}, (1, 2, 3), "pixels")


class Forgetful(Ring):
    """A symmetry that is stored as another: the construction of a representation does not belong to it."""

    @property
    def symmetry(self) -> Symmetry:
        construction = {"kind": "quarter turns of an image", "size": 2, "turns": {"1": 0}}
        place = Representation(GROUP, "place", permutation=GROUP.cayley, construction=construction)
        return Symmetry(GROUP, {"place": place}, (1, 2, 3))


class Blind(Ring):
    def state_difference(self, one: Array, other: Array) -> Array:
        return np.zeros_like(one - other)


class FlatNegatives(Ring):
    def negative_states(self, states: Array) -> Array:
        return states


class Sliced(Ring):
    """With a slice: forward from one place, which others lead to by as many turns."""

    def sample_slice(self, rng: np.random.Generator) -> tuple[Array, Array]:  # noqa: ARG002 — there is one
        return np.zeros(1, np.int64), np.array(1)

    def slice_distance(self, states: Array, actions: Array) -> NDArray[np.float64]:
        turns = np.minimum(states[..., 0], 4 - states[..., 0])
        return np.where(actions == 1, 90.0 * turns, np.inf)


class Missing(Sliced):
    """Draws transitions beside its slice."""

    def sample_slice(self, rng: np.random.Generator) -> tuple[Array, Array]:
        return 1 + super().sample_slice(rng)[0], np.array(1)


class Narrow(Sliced):
    """Takes nothing but the slice for its orbit."""

    def slice_distance(self, states: Array, actions: Array) -> NDArray[np.float64]:
        distances = super().slice_distance(states, actions)
        return np.where(distances > 0, np.inf, distances)


class Optionless(Ring):
    options = {}  # noqa: RUF012


class Rooted(Ring):
    def __init__(self, *, shade: int = 255, render_mode: str | None = None) -> None:
        super().__init__(shade=shade, render_mode=render_mode)
        self.paint = lambda: shade


class Seedless(Ring):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        del seed
        return super().reset(seed=0, options=options)


class Rewarding(Ring):
    def step(self, action: Any) -> Any:
        seen, _, terminated, truncated, info = super().step(action)
        return seen, 1.0, terminated, truncated, info


class Strict(Ring):
    """Does not pass Gymnasium's checker, which resets with options of its own."""

    def reset(self, *, seed: int | None = None) -> Any:  # type: ignore[override]
        return super().reset(seed=seed)


class Undrawable(Ring):
    def render_states(self, states: Array) -> Pixels:
        raise KeyError("no such\nsprite", states.shape)


class Unborn(Ring):
    def sample_state(self, rng: np.random.Generator) -> Array:
        raise ZeroDivisionError(f"nothing to draw from {type(rng).__name__}")


class Stubborn(Teapot):
    """SO(3) turns its states, but leaves its actions as they are."""

    def transform_action(self, elements: Elements, actions: Array) -> NDArray[np.float64]:
        lead = np.broadcast_shapes(np.shape(elements)[:-2], actions.shape[:-2])
        return np.broadcast_to(actions, (*lead, 3, 3)).copy()
