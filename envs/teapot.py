"""The 3D Teapot world: the Utah teapot is turned in space, seen by a fixed camera under a fixed light.

The state z and the action a are rotations; a step is z' = a z. Source: the paper's environment 3D Teapot;
what it leaves open is marked [ours].
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from sen_bench.envs.cones import turn_into_cone
from sen_bench.envs.teapot_scene import IMAGE_SIZE
from sen_bench.envs.world import Elements, Pixels, World
from sen_bench.errors import WorldError
from sen_bench.symmetry import SO3, SO3Representation, Symmetry, SymmetryError

if TYPE_CHECKING:
    from sen_bench.envs.teapot_renderer import TeapotRenderer

FloatArray = NDArray[np.float64]

SMALL_ACTION_NAMES = ("+x", "-x", "+y", "-y", "+z", "-z")
"""The axis and the sense of each small action."""

# The cosine and the sine of 2π/30, written out, because libraries differ in their last digit.
_COSINE, _SINE = 0.9781476007338057, 0.20791169081775934

_SO3 = SO3()


@functools.cache
def small_actions() -> FloatArray:
    """The six rotations by ±2π/30 about x, y and z, float64 [6, 3, 3], in the order of the names."""
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, _COSINE, -_SINE], [0.0, _SINE, _COSINE]])
    turns = []
    for axis in range(3):
        turn = np.roll(about_x, (axis, axis), axis=(0, 1))
        turns += [turn, turn.T]
    table = np.stack(turns)
    table.setflags(write=False)
    return table


@functools.cache
def teapot_symmetry() -> Symmetry[SO3, SO3Representation]:
    """SO(3), which acts by z → g z on states and by a → g a gᵀ on actions.

    Returns:
        A symmetry with the representations "rotation" (3), which acts on the columns of a state, and
        "action" (9), which acts on the entries of an action, row by row. Twins are drawn from all of SO(3).
    """
    return Symmetry(
        group=_SO3,
        representations={
            "rotation": SO3Representation(_SO3, "rotation", power=1),
            "action": SO3Representation(_SO3, "action", power=2),
        },
        description=(
            "SO(3): an element is a rotation g; a state z becomes g z ('rotation' on each column),"
            " an action a becomes g a g^T ('action' on its entries, row by row)"
        ),
    )


class RotationSpace(gymnasium.spaces.Box):
    """Rotations as matrices, float64 [3, 3], or a number of them at once, [count, 3, 3].

    Args:
        choices: [N, 3, 3], the rotations that samples are drawn from; None to draw uniformly from SO(3).
            Every rotation is in the space either way, because turning the world turns the actions too.
        seed: Seed of the samples.
        count: How many rotations at once, for environments side by side.
    """

    def __init__(
        self,
        choices: FloatArray | None = None,
        seed: int | np.random.Generator | None = None,
        count: int | None = None,
    ) -> None:
        super().__init__(-1.0, 1.0, (3, 3) if count is None else (count, 3, 3), np.float64, seed)
        self.choices = choices
        self.count = count

    def __repr__(self) -> str:
        drawn = "uniform" if self.choices is None else f"{len(self.choices)} choices"
        return f"RotationSpace({drawn})" if self.count is None else f"RotationSpace({drawn}, {self.count})"

    def __eq__(self, other: object) -> bool:
        """Whether another space has the same rotations, drawn in the same way."""
        if not isinstance(other, RotationSpace) or self.count != other.count:
            return False
        if self.choices is None or other.choices is None:
            return self.choices is other.choices
        return np.array_equal(self.choices, other.choices)

    __hash__ = None  # type: ignore[assignment]  # as of every space: it can be changed

    def sample(self, mask: Any = None, probability: Any = None) -> FloatArray:  # noqa: ANN401 — as gymnasium has it
        """A member of the space, float64 [3, 3] or [count, 3, 3].

        Raises:
            WorldError: A mask or probabilities are given, which have no meaning here.
        """
        if mask is not None or probability is not None:
            raise WorldError("rotations are sampled without a mask and without probabilities")
        drawn = [self._draw() for _ in range(1 if self.count is None else self.count)]
        return drawn[0] if self.count is None else np.stack(drawn)

    def _draw(self) -> FloatArray:
        """One rotation, float64 [3, 3]."""
        if self.choices is None:
            return _SO3.sample(self.np_random)
        return np.array(self.choices[self.np_random.integers(len(self.choices))])

    def contains(self, x: Any) -> bool:  # noqa: ANN401 — as gymnasium has it
        """Whether something is a rotation, or `count` of them."""
        try:
            return _SO3.check(x).shape == self.shape
        except (SymmetryError, TypeError, ValueError):
            return False


@batch_space.register(RotationSpace)
def _batch_of_rotations(space: RotationSpace, n: int = 1) -> RotationSpace:
    """The action space of environments side by side; Gymnasium would make a box of any matrices."""
    return RotationSpace(space.choices, seed=deepcopy(space.np_random), count=n)


class Teapot(World):
    """The Utah teapot, turned by its actions.

    Observations are uint8 [64, 64, 1]; states and actions are rotations, float64 [3, 3]. Column k of a state
    is where the teapot's axis k points in the world, whose x goes to the right of the picture, y away from
    the camera and z up; the teapot's own x is its spout and z its lid.

    Actions are float64, unlike other continuous actions: rounded to float32, a rotation would be orthonormal
    only to 1e-7.

    Args:
        actions: "small": an action is one of six, the rotations by ±2π/30 about x, y and z. "large": it is
            any rotation, uniformly. This says what is drawn; `step` takes any rotation in both cases.
        renderer: "raster", our own, whose pixels are equal on every machine; or "pybullet", pybullet's
            TinyRenderer.
        render_mode: See `World`.

    Raises:
        WorldError: The set of actions, the renderer or the render mode is unknown, or pybullet is not
            installed.
    """

    world_id: ClassVar[str] = "sen_bench/Teapot-v0"
    state_axes: ClassVar[tuple[str, ...]] = ("row", "column")
    action_axes: ClassVar[tuple[str, ...]] = ("row", "column")
    goal_unit: ClassVar[str] = "degrees"
    goal_tolerance: ClassVar[float] = 6.0
    slice_edges: ClassVar[tuple[float, ...]] = (45.0, 90.0, 135.0, 180.0)

    slice_cone: ClassVar[float] = 90.0
    """The angle from the identity, in degrees, that poses of the slice have at most [ours].

    The smallest one for which a rotation brings any two poses there, so that every transition is in the orbit
    of the slice. It leaves out 82 % of all poses.
    """

    def __init__(
        self,
        *,
        actions: Literal["small", "large"] = "large",
        renderer: Literal["raster", "pybullet"] = "raster",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        for name, value, known in (
            ("actions", actions, ("small", "large")),
            ("renderer", renderer, ("raster", "pybullet")),
        ):
            if value not in known:
                raise WorldError(f"{name} must be {' or '.join(map(repr, known))}, not {value!r}")
        self.actions = actions
        self.engine = renderer
        self.renderer = "exact" if renderer == "raster" else "backend"
        if renderer == "pybullet":
            _pybullet_renderer()
        self.observation_space = gymnasium.spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 1), np.uint8)
        self.action_space = RotationSpace(small_actions() if actions == "small" else None)

    @property
    def symmetry(self) -> Symmetry[SO3, SO3Representation]:
        """SO(3), see `teapot_symmetry`; images transform in no known way."""
        return teapot_symmetry()

    @property
    def options(self) -> dict[str, Any]:
        """{"actions": …, "renderer": …}."""
        return {"actions": self.actions, "renderer": self.engine}

    @property
    def state_names(self) -> Mapping[str, tuple[str, ...]]:
        """Rows are axes of the world, columns axes of the teapot."""
        return {
            "row": ("right", "away", "up"),
            "column": ("teapot's x (spout)", "teapot's y", "teapot's z (lid)"),
        }

    @property
    def action_names(self) -> tuple[str, ...]:
        """The nine entries of a rotation, row by row: ("xx", "xy", …)."""
        return tuple(row + column for row in "xyz" for column in "xyz")

    def sample_state(self, rng: np.random.Generator) -> FloatArray:
        """A rotation, float64 [3, 3], uniform over SO(3)."""
        return _SO3.sample(rng)

    def sample_action(self, rng: np.random.Generator, allowed: Sequence[int] | None = None) -> FloatArray:
        """One action, float64 [3, 3].

        Args:
            rng: Where the randomness comes from.
            allowed: The numbers of the small actions to draw from; None for all of them.

        Raises:
            WorldError: `allowed` is empty, names an action that does not exist, or limits large actions.
        """
        if self.actions == "large":
            if allowed is not None:
                raise WorldError("large actions are drawn from all rotations and cannot be limited to a list")
            return _SO3.sample(rng)
        choices = np.arange(len(SMALL_ACTION_NAMES)) if allowed is None else np.asarray(allowed)
        if choices.ndim != 1 or choices.size == 0:
            raise WorldError("allowed actions must be a list of at least one action")
        for choice in choices.tolist():
            if choice not in range(len(SMALL_ACTION_NAMES)):
                raise WorldError(f"action {choice} does not exist; small actions go from 0 to 5")
        return np.array(small_actions()[choices[rng.integers(choices.size)]])

    def step_states(self, states: NDArray[Any], actions: NDArray[Any]) -> FloatArray:
        """The next states a z, float64 [..., 3, 3]; leading axes of states and actions broadcast.

        Raises:
            WorldError: A state or an action is not a rotation.
        """
        # The deviation from orthonormality squares in every step, so it does not add up over an episode.
        return _SO3.nearest(_SO3.product(_rotations("an action", actions), _rotations("a state", states)))

    def render_states(self, states: NDArray[Any]) -> Pixels:
        """Draws states [..., 3, 3] as uint8 [..., 64, 64, 1].

        Raises:
            WorldError: A state is not a rotation.
        """
        drawn = _rasteriser() if self.engine == "raster" else _pybullet_renderer()
        return drawn.render(_rotations("a state", states))

    def transform_state(self, elements: Elements, states: NDArray[Any]) -> FloatArray:
        """The states g z, float64 [..., 3, 3]; leading axes of elements and states broadcast."""
        return _SO3.product(_rotations("a group element", elements), _rotations("a state", states))

    def transform_action(self, elements: Elements, actions: NDArray[Any]) -> FloatArray:
        """The actions g a gᵀ, float64 [..., 3, 3]; leading axes of elements and actions broadcast."""
        g = _rotations("a group element", elements)
        return _SO3.product(g, _rotations("an action", actions), _SO3.inverse(g))

    def goal_distance(self, states: NDArray[Any], goals: NDArray[Any]) -> FloatArray:
        """The angle of the rotation that is left to the goal, in degrees, float64 [...]."""
        apart = _rotations("a state", states) - _rotations("a goal", goals)
        # Not by the trace, which knows small angles to the square root of its rounding only.
        half = np.sqrt((apart * apart).sum(axis=(-2, -1)) / 8)
        return np.asarray(np.degrees(2 * np.arcsin(np.minimum(half, 1.0))))

    def sample_slice(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """A pose within `slice_cone` of the identity, uniform, and an action that leads to another one there.

        Large actions lead to a pose that is drawn like the first one. Small ones are drawn until they do.
        """
        start = self._pose_of_slice(rng)
        if self.actions == "large":
            return start, _SO3.product(self._pose_of_slice(rng), _SO3.inverse(start))
        while True:
            action = self.sample_action(rng)
            if self._in_cone(_SO3.product(action, start)):
                return start, action

    def _pose_of_slice(self, rng: np.random.Generator) -> FloatArray:
        while True:
            pose = _SO3.sample(rng)
            if self._in_cone(pose):
                return pose

    def _in_cone(self, pose: FloatArray) -> bool:
        return bool(np.trace(pose) >= 1 + 2 * np.cos(np.radians(self.slice_cone)))

    def slice_distance(self, states: NDArray[Any], actions: NDArray[Any]) -> FloatArray:
        """The angle of the rotation that brings both poses of a transition into the cone, float64 [...]."""
        ends = self.step_states(states, actions)
        starts = np.broadcast_to(_rotations("a state", states), ends.shape)
        return turn_into_cone(starts, ends, self.slice_cone)

    def negative_states(self, states: NDArray[Any]) -> FloatArray:
        """The six states one small action away, float64 [..., 6, 3, 3], whichever actions are drawn [ours].

        They are in the order of the small actions.
        """
        return self.step_states(states[..., None, :, :], small_actions())


@functools.cache
def _rasteriser() -> TeapotRenderer:
    from sen_bench.envs.teapot_renderer import TeapotRenderer  # noqa: PLC0415 — imports Numba

    return TeapotRenderer.shared()


def _pybullet_renderer() -> Any:  # noqa: ANN401 — imported only when asked for
    from sen_bench.envs.teapot_pybullet import PybulletRenderer  # noqa: PLC0415 — pybullet is optional

    return PybulletRenderer.shared()


def _rotations(what: str, matrices: Elements) -> FloatArray:
    """Rotations as float64 [..., 3, 3].

    Raises:
        WorldError: They are not rotations.
    """
    try:
        return _SO3.check(np.asarray(matrices))
    except SymmetryError as error:
        raise WorldError(f"not {what}: {error}") from error
