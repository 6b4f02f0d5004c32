"""The Reacher world: an arm of two links in a plane, moved by torques, seen by a perspective camera.

Physics and scene are those of Gymnasium's Reacher-v5, a MuJoCo model, with the goal fixed as in the paper.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs import reacher_physics
from sen_bench.envs.reacher_gl import MujocoRenderer
from sen_bench.envs.reacher_scene import IMAGE_SIZE
from sen_bench.envs.world import Elements, Pixels, World, checked_elements
from sen_bench.errors import WorldError
from sen_bench.symmetry import Group, Representation, Symmetry

if TYPE_CHECKING:
    from sen_bench.envs.reacher_renderer import ReacherRenderer

GOAL = (0.2, 0.2)
"""Metres; where the paper fixes the goal."""

_GOAL_REACH = 0.27
_LARGEST_ANGLE = 2 * math.pi
_LARGEST_VELOCITY = 1000.0

FloatArray = NDArray[np.float64]


@functools.cache
def reacher_symmetry() -> Symmetry:
    """The symmetry D_4 of the Reacher world: quarter turns and reflections about the arm's base.

    Element k is k counter-clockwise quarter turns of the table, seen from above, and element 4 + k the
    reflection (x, y) -> (x, -y) before them. A turn adds a right angle to joint 0 and turns the goal; a
    reflection negates the angles, velocities and torques of both joints and reflects the goal.

    Returns:
        A symmetry with the representations
            "plane" (2): the goal, and the direction (cos, sin) of the first link;
            "sign" (1): joint 1's angle, each velocity, each torque;
            "action" (2): the torques;
            "state" (7): a state with joint 0's angle a as (cos a, sin a).
    """
    group = Group.dihedral(4)
    plane = Representation.standard(group)
    plane = Representation(group, "plane", matrices=plane.matrices)
    sign = Representation.sign(group)
    action = sign.direct_sum(sign, "action")
    state = plane.direct_sum(sign).direct_sum(action).direct_sum(plane, "state")
    return Symmetry(
        group=group,
        representations={"plane": plane, "sign": sign, "action": action, "state": state},
        twin_elements=tuple(range(1, group.order)),
        description=(
            "D4 about the arm's base: element k < 4 turns the plane by k*90 degrees counter-clockwise, which"
            " adds k*pi/2 to joint 0 (modulo 2 pi) and turns the goal; element 4+k reflects (x, y) -> (x, -y)"
            " before, which negates both joint angles, both velocities and both torques and reflects the"
            " goal; 'action' acts on actions, 'state' on (cos angle 0, sin angle 0, angle 1, velocity 0,"
            " velocity 1, goal x, goal y)"
        ),
    )


class Reacher(World):
    """An arm of two links of 10 cm that is to reach a goal; a step is 0.02 s.

    Observations are uint8 [128, 128, 3], of which a model sees the last two. Actions are float32 [2] in
    [-1, 1]: the torques of both joints, in 200 N·m. A state is float64 [6]:

    | entry | is |
    |---|---|
    | 0 | angle of joint 0, at the base, in radians, in [-π, π) |
    | 1 | angle of joint 1, at the elbow, relative to the first link; limited to ±3 by a soft stop |
    | 2, 3 | their velocities in radians a second |
    | 4, 5 | x and y of the goal in metres |

    Args:
        renderer: "raycast", our own, which needs no OpenGL; or "mujoco", MuJoCo's pixels by OpenGL.
        render_mode: See `World`.

    Raises:
        WorldError: The renderer or the render mode is unknown.
    """

    world_id: ClassVar[str] = "sen_bench/Reacher-v0"
    state_axes: ClassVar[tuple[str, ...]] = ("entry",)
    action_axes: ClassVar[tuple[str, ...]] = ("joint",)
    frame_stack: ClassVar[int] = 2
    goal_unit: ClassVar[str] = "radians"
    goal_tolerance: ClassVar[float] = 0.1
    libraries: ClassVar[tuple[str, ...]] = ("mujoco",)

    def __init__(
        self, *, renderer: Literal["raycast", "mujoco"] = "raycast", render_mode: str | None = None
    ) -> None:
        super().__init__(render_mode=render_mode)
        if renderer not in {"raycast", "mujoco"}:
            raise WorldError(f"renderer must be 'raycast' or 'mujoco', not {renderer!r}")
        self.observation_space = gymnasium.spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.renderer = "exact" if renderer == "raycast" else "backend"
        self._opengl = MujocoRenderer() if renderer == "mujoco" else None

    @property
    def symmetry(self) -> Symmetry:
        """D_4, see `reacher_symmetry`; images transform in no known way."""
        return reacher_symmetry()

    @property
    def options(self) -> dict[str, Any]:
        """{"renderer": …}."""
        return {"renderer": "raycast" if self._opengl is None else "mujoco"}

    @property
    def state_names(self) -> Mapping[str, tuple[str, ...]]:
        """The entries of a state, in order, with their units."""
        return {
            "entry": (
                "angle 0 (rad, modulo 2 pi)",
                "angle 1 (rad)",
                "velocity 0 (rad/s)",
                "velocity 1 (rad/s)",
                "goal x (m)",
                "goal y (m)",
            )
        }

    @property
    def action_names(self) -> tuple[str, ...]:
        """The entries of an action, in order."""
        return ("torque 0", "torque 1")

    def sample_state(self, rng: np.random.Generator) -> FloatArray:
        """A state as Gymnasium resets to, float64 [6], except for the goal: nearly straight, nearly at rest.

        Angles are uniform within 0.1, velocities within 0.005 of zero. As many numbers are drawn as in
        Gymnasium, so that equal generators give equal states.
        """
        position = rng.uniform(-0.1, 0.1, 4) + reacher_physics.initial_position()
        velocity = rng.uniform(-0.005, 0.005, 4)
        return self._normal(np.concatenate([position[:2], velocity[:2], GOAL]))

    def sample_action(
        self, rng: np.random.Generator, allowed: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Two torques, float32 [2], uniform in [-1, 1].

        Raises:
            WorldError: Actions are to be drawn from a list; these are continuous.
        """
        if allowed is not None:
            raise WorldError(
                "Reacher's actions are continuous; they cannot be drawn from a list of allowed ones"
            )
        return rng.uniform(-1.0, 1.0, 2).astype(np.float32)

    def step_states(self, states: NDArray[Any], actions: NDArray[Any]) -> FloatArray:
        """The next states, float64 [..., 6]; leading axes of states and actions broadcast.

        Raises:
            WorldError: A state or action that this world does not have.
        """
        states, actions = self.check_states(states), self.check_actions(actions)
        lead = np.broadcast_shapes(states.shape[:-1], actions.shape[:-1])
        flat = np.broadcast_to(states, (*lead, 6)).reshape(math.prod(lead), 6)
        torques = np.broadcast_to(actions, (*lead, 2)).reshape(math.prod(lead), 2)
        return self._normal(reacher_physics.step(flat, torques.astype(np.float64)).reshape(*lead, 6))

    def render_states(self, states: NDArray[Any]) -> Pixels:
        """Draws states [..., 6] as uint8 [..., 128, 128, 3].

        Raises:
            WorldError: A state that this world does not have, or renderer "mujoco" without OpenGL.
        """
        states = self.check_states(states)
        return _raycaster().render(states) if self._opengl is None else self._opengl.render(states)

    def transform_state(self, elements: Elements, states: NDArray[Any]) -> FloatArray:
        """g·s: turns and reflects arm and goal. Leading axes of elements and states broadcast."""
        states = self.check_states(states)
        elements = checked_elements(elements, self.symmetry.group)
        sign = np.where(elements < 4, 1.0, -1.0)[..., None]
        lead = np.broadcast_shapes(states.shape[:-1], elements.shape)
        moved = np.empty((*lead, 6))
        moved[..., :4] = sign * states[..., :4]
        moved[..., 0] += elements % 4 * (math.pi / 2)
        plane = self.symmetry.representations["plane"].matrix[elements]
        # Entries of these matrices are 0 and ±1, so nothing is rounded.
        moved[..., 4:] = (plane @ states[..., 4:, None])[..., 0]
        return self._normal(moved)

    def transform_action(self, elements: Elements, actions: NDArray[Any]) -> NDArray[np.float32]:
        """g·a, float32 [..., 2]; leading axes of elements and actions broadcast."""
        elements = checked_elements(elements, self.symmetry.group)
        sign = np.where(elements < 4, 1.0, -1.0).astype(np.float32)[..., None]
        return np.asarray(sign * self.check_actions(actions))

    def state_difference(self, one: NDArray[Any], other: NDArray[Any]) -> FloatArray:
        """One state minus another, entry by entry; joint 0's angle modulo 2π, nearest to zero."""
        return self._normal(np.subtract(one, other, dtype=np.float64))

    def goal_distance(self, states: NDArray[Any], goals: NDArray[Any]) -> FloatArray:
        """The larger of the two joints' angles to those of the goal state, in radians, float64 [...].

        The goal that a state itself has, in the plane, is another matter: here it is a state to be in.
        """
        apart = self.state_difference(self.check_states(states), self.check_states(goals))
        return np.asarray(np.abs(apart[..., :2]).max(axis=-1))

    def check_states(self, states: NDArray[Any]) -> FloatArray:
        """States as float64 [..., 6].

        Raises:
            WorldError: Wrong shape or dtype, a number that is not finite, or one out of reach.
        """
        array = np.asarray(states)
        if array.dtype.kind not in "fiu":
            raise WorldError(f"states must be numbers, not {array.dtype}")
        if array.ndim < 1 or array.shape[-1] != 6:
            raise WorldError(f"states must have the shape [..., 6], not {list(array.shape)}")
        array = array.astype(np.float64, copy=False)
        if not np.isfinite(array).all():
            raise WorldError("states must be finite")
        bounds = (
            _LARGEST_ANGLE,
            _LARGEST_ANGLE,
            _LARGEST_VELOCITY,
            _LARGEST_VELOCITY,
            _GOAL_REACH,
            _GOAL_REACH,
        )
        beyond = np.abs(array) > bounds
        if beyond.any():
            entry = int(np.argmax(beyond.reshape(-1, 6).any(axis=0)))
            name = self.state_names["entry"][entry]
            value = array[beyond[..., entry], entry].flat[0]
            raise WorldError(f"{name} must be within ±{bounds[entry]:g}, not {value:g}")
        return array

    def check_actions(self, actions: NDArray[Any] | Sequence[float]) -> NDArray[np.float32]:
        """Actions as float32 [..., 2].

        Raises:
            WorldError: Wrong shape or dtype, or a torque that is not in [-1, 1].
        """
        array = np.asarray(actions)
        if array.dtype.kind not in "fiu":
            raise WorldError(f"actions must be numbers, not {array.dtype}")
        if array.ndim < 1 or array.shape[-1] != 2:
            raise WorldError(f"actions must have the shape [..., 2], not {list(array.shape)}")
        within = np.abs(array) <= 1
        if not within.all():
            raise WorldError(f"torques must be from -1 to 1, not {array[~within].flat[0]:g}")
        return array.astype(np.float32, copy=False)

    def close(self) -> None:
        """Frees the OpenGL context, if there is one."""
        if self._opengl is not None:
            self._opengl.close()

    @staticmethod
    def _normal(states: FloatArray) -> FloatArray:
        """The same states with joint 0's angle in [-π, π); one that is already there is left untouched."""
        angle = states[..., 0]
        normal = states.copy()
        normal[..., 0] -= 2 * math.pi * np.floor((angle + math.pi) / (2 * math.pi))
        return normal


@functools.cache
def _raycaster() -> ReacherRenderer:
    from sen_bench.envs.reacher_renderer import ReacherRenderer  # noqa: PLC0415 — imports Numba

    return ReacherRenderer.shared()
