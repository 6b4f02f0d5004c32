"""The contract of a world: a Gymnasium environment that knows its symmetry and renders batches of states.

A world adds to `gymnasium.Env` pure, batched functions of states. They are what makes datasets
reproducible and fast: an episode can be stepped first and rendered later, its twin is the transformed
states rendered again, and a hard negative is any other state rendered.

States are plain arrays. One state has the axes `state_axes`; every function below also takes batches of
states, whose extra axes come first. The same holds for actions and `action_axes`.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.errors import WorldError
from sen_bench.symmetry import AnySymmetry, Group
from sen_bench.system import number_of

State: TypeAlias = NDArray[Any]
"""One state or a batch of them; the dtype is the world's."""

Action: TypeAlias = NDArray[Any]
"""One action or a batch of them: int64 (a single one has no axes), float32, or float64 for matrices."""

Elements: TypeAlias = int | NDArray[Any]
"""One group element, or an array of them that broadcasts with the leading axes of what it acts on.

An element is an integer for finite groups, and a matrix, float64 [3, 3], for SO(3).
"""

Pixels: TypeAlias = NDArray[np.uint8]


class World(gymnasium.Env[Pixels, Any], abc.ABC):
    """A Gymnasium environment with a known symmetry.

    A subclass sets the class variables, `observation_space` and `action_space`, and implements the
    abstract methods. `reset`, `step` and `render` follow from them: no episode ends by itself, there is no
    reward (0.0), and `info["state"]` is a copy of the ground truth.

    Args:
        render_mode: None, or "rgb_array" for `render` to return the current observation.

    Raises:
        WorldError: The render mode is unknown.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    world_id: ClassVar[str]
    """The id the world is registered with, version included: "sen_bench/Blocks3D-v0"."""

    renderer: Literal["exact", "backend"]
    """Whether equal states give equal pixels on every machine ("exact"), or on equal drivers ("backend")."""

    state_axes: ClassVar[tuple[str, ...]]
    """Names of the axes of one state."""

    action_axes: ClassVar[tuple[str, ...]] = ()
    """Names of the axes of one action; none where actions are discrete."""

    frame_stack: ClassVar[int] = 1
    """How many consecutive observations a model is shown at once: more than one where one tells no speed."""

    goal_unit: ClassVar[str] = ""
    """What `goal_distance` counts: "steps", "degrees". Where it is steps, no way to the goal takes fewer."""

    goal_tolerance: ClassVar[float] = 0.0
    """Up to which `goal_distance` a goal counts as reached, unless somebody says otherwise."""

    slice_edges: ClassVar[tuple[float, ...]] = ()
    """Distances from the slice, in degrees, up to which transitions are scored together, ascending.

    None of them: transitions at each distance are.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions that decide what this world does and looks like, beside those that all worlds use."""

    def __init__(self, *, render_mode: str | None = None) -> None:
        if render_mode not in {None, *self.metadata["render_modes"]}:
            known = " or ".join(repr(mode) for mode in self.metadata["render_modes"])
            raise WorldError(f"render_mode must be None or {known}, not {render_mode!r}")
        self.render_mode = render_mode
        self._state: State | None = None

    @property
    @abc.abstractmethod
    def symmetry(self) -> AnySymmetry:
        """The group, and its representations on states, actions and, where known, observations."""

    @property
    @abc.abstractmethod
    def options(self) -> dict[str, Any]:
        """The constructor's options, JSON-able: `make_world(world_id, **options)` rebuilds this world."""

    @property
    @abc.abstractmethod
    def state_names(self) -> Mapping[str, tuple[str, ...]]:
        """Axis of a state -> what its entries are, in order: {"coordinate": ("row", "column"), …}.

        Figures give an entry that repeats colours that do, if its name says so: "angle (rad, modulo 2 pi)",
        "place (modulo 8)".
        """

    @property
    @abc.abstractmethod
    def action_names(self) -> tuple[str, ...]:
        """What each discrete action does, or what each entry of a continuous action is."""

    @abc.abstractmethod
    def sample_state(self, rng: np.random.Generator) -> State:
        """Draws one state from the initial distribution."""

    @abc.abstractmethod
    def sample_action(self, rng: np.random.Generator, allowed: Sequence[int] | None = None) -> Action:
        """Draws one action uniformly.

        Args:
            rng: Where the randomness comes from.
            allowed: The discrete actions to draw from; None for all of them.

        Raises:
            WorldError: `allowed` is empty or names an action that does not exist.
        """

    @abc.abstractmethod
    def step_states(self, states: State, actions: Action) -> State:
        """The next states; pure. Leading axes of states and actions broadcast."""

    @abc.abstractmethod
    def render_states(self, states: State) -> Pixels:
        """The observations of states, uint8 [..., H, W, C]; pure."""

    @abc.abstractmethod
    def transform_state(self, elements: Elements, states: State) -> State:
        """g·s: the states seen after the group elements. Leading axes broadcast."""

    @abc.abstractmethod
    def transform_action(self, elements: Elements, actions: Action) -> Action:
        """g·a: `step(g·s, g·a) == g·step(s, a)`. Leading axes broadcast."""

    def negative_states(self, states: State) -> State:  # noqa: ARG002 — for those that have some
        """The hard negatives of states: states that a bad model confuses with them, and a good one does not.

        Returns:
            [..., K, …], K states beside each state; the same K for all.

        Raises:
            WorldError: This world has none; a subclass may define some.
        """
        raise WorldError(f"{self.world_id} has no hard negatives; ask for a dataset without negatives")

    def state_difference(self, one: State, other: State) -> NDArray[Any]:
        """One state minus another, entry by entry, angles modulo full turns. Leading axes broadcast."""
        return np.asarray(one - other)

    def goal_distance(self, states: State, goals: State) -> NDArray[np.float64]:  # noqa: ARG002 — as above
        """How far states are from goals, in `goal_unit`; unchanged by the group. Leading axes broadcast.

        Raises:
            WorldError: This world does not say; a subclass may.
        """
        raise WorldError(
            f"{self.world_id} does not say how far a state is from a goal; define its goal_distance to plan"
            " in it"
        )

    def sample_slice(self, rng: np.random.Generator) -> tuple[State, Action]:  # noqa: ARG002 — as above
        """Draws a transition from the slice: transitions that are few until the group moves them about.

        A model that has seen the slice alone is asked what it knows of its orbit, the transitions that an
        element of the group brings into it. The slice is the world's choice. The state after the step should
        show nothing that states of the slice do not, or the model sees more of the orbit than it should.

        Returns:
            The state and the action.

        Raises:
            WorldError: This world has no slice; a subclass may.
        """
        raise self._no_slice()

    def slice_distance(self, states: State, actions: Action) -> NDArray[np.float64]:  # noqa: ARG002 — as above
        """How far transitions are from the slice: the smallest angle of an element that brings them there.

        Returns:
            Degrees, float64 [...]; 0 in the slice, infinity for transitions that no element brings there.
            Leading axes of states and actions broadcast.

        Raises:
            WorldError: This world has no slice; a subclass may.
        """
        raise self._no_slice()

    def _no_slice(self) -> WorldError:
        return WorldError(
            f"{self.world_id} has no slice of its orbits; define its sample_slice and slice_distance to train"
            " on one"
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Pixels, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: Reseeds the world's generator; equal seeds give equal episodes.
            options: {"state": s} starts from s instead of a drawn state.

        Returns:
            The observation and {"state": ground truth}.

        Raises:
            WorldError: An unknown option, or a state that this world does not have.
        """
        super().reset(seed=seed)
        given = dict(options or {})
        start = given.pop("state", None)
        if given:
            raise WorldError(f"unknown reset option {next(iter(given))!r}; known: 'state'")
        state = self.sample_state(self.np_random) if start is None else np.array(start)
        if state.ndim != len(self.state_axes):
            raise WorldError(
                f"the state to reset to has {number_of(state.ndim, 'axis', 'axes')}; one state has"
                f" {len(self.state_axes)}"
                f" ({', '.join(self.state_axes)})"
            )
        observation = self.render_states(state)
        self._state = state
        return observation, {"state": state.copy()}

    def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Takes one action.

        Args:
            action: An element of `action_space`.

        Returns:
            Observation, reward (always 0), terminated and truncated (never) and {"state": ground truth}.

        Raises:
            WorldError: Before the first `reset`, or for an action outside `action_space`.
        """
        state, given = self._current_state(), np.asarray(action)
        if given.ndim != len(self.action_axes):
            raise WorldError(
                f"the action to take has {number_of(given.ndim, 'axis', 'axes')}; one action has"
                f" {len(self.action_axes)}"
                f" ({', '.join(self.action_axes) or 'a number'})"
            )
        self._state = self.step_states(state, given)
        return self.render_states(self._state), 0.0, False, False, {"state": self._state.copy()}

    def render(self) -> Pixels | None:
        """The current observation as RGB, [H, W, 3], with `render_mode="rgb_array"`; otherwise None.

        Raises:
            WorldError: Before the first `reset`.
        """
        if self.render_mode is None:
            return None
        frame = self.render_states(self._current_state())
        # Gymnasium asks for colour even where an observation is gray.
        return np.repeat(frame, 3, axis=-1) if frame.shape[-1] == 1 else frame

    def _current_state(self) -> State:
        if self._state is None:
            raise WorldError("the world has no state yet; call reset() first")
        return self._state


def checked_elements(elements: Elements, group: Group) -> NDArray[np.int64]:
    """Elements of a finite group as int64 [...].

    Raises:
        WorldError: Not integers, or not elements of the group.
    """
    array = np.asarray(elements)
    if array.size and array.dtype.kind not in "iu":
        raise WorldError(f"group elements must be integers, not {array.dtype}")
    if array.size and not (array.min() >= 0 and array.max() < group.order):
        wrong = array[(array < 0) | (array >= group.order)].flat[0]
        raise WorldError(f"group element {wrong} does not exist; elements go from 0 to {group.order - 1}")
    return array.astype(np.int64, copy=False)
