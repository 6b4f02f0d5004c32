"""What must hold of a world as an environment: names, spaces, randomness, options, episodes, Gymnasium."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from sen_bench.checks.world_samples import FaultError, WorldSamples
from sen_bench.envs import WORLDS, World, make_world
from sen_bench.errors import WorldError
from sen_bench.symmetry import Symmetry
from sen_bench.system import number_of

# Seeds of which two at least must give different episodes.
_SEEDS = range(5, 13)


def _fresh(world: World, **options: Any) -> World:  # noqa: ANN401 — the world's own
    """Another instance of a world, which has not been reset yet."""
    return type(world)(**world.options, **options)


def check_names(samples: WorldSamples) -> str:
    """The names of axes, entries and actions fit the arrays."""
    world, state, action = samples.world, samples.states[0], samples.actions[0]
    if world.renderer not in {"exact", "backend"}:
        raise FaultError(f"renderer is {world.renderer!r}; it must be 'exact' or 'backend'")
    if world.frame_stack < 1:
        raise FaultError(f"frame_stack is {world.frame_stack}; it must be at least 1")
    for what, array, axes in (("state", state, world.state_axes), ("action", action, world.action_axes)):
        if array.ndim != len(axes):
            raise FaultError(
                f"one {what} has {number_of(array.ndim, 'axis', 'axes')}, but {what}_axes names"
                f" {len(axes)}: {axes}"
            )
    for axis, names in world.state_names.items():
        if axis not in world.state_axes:
            raise FaultError(f"state_names speaks of an axis {axis!r}, which state_axes does not have")
        length = state.shape[world.state_axes.index(axis)]
        if len(names) != length:
            raise FaultError(
                f"state_names has {number_of(len(names), 'name')} for axis {axis!r}, which has {length}"
                " entries"
            )
    discrete = isinstance(world.action_space, gymnasium.spaces.Discrete)
    count = (
        int(world.action_space.n)
        if isinstance(world.action_space, gymnasium.spaces.Discrete)
        else action.size
    )
    if len(set(world.action_names)) != count or len(world.action_names) != count:
        unit = "actions" if discrete else "entries of an action"
        raise FaultError(
            f"action_names are {len(set(world.action_names))} different names for {count} {unit}"
        )
    return "names fit the arrays"


def check_spaces(samples: WorldSamples) -> str:
    """Frames and actions are members of their spaces, even after group elements; dtypes and shapes stay."""
    world = samples.world
    frames = world.render_states(samples.states.copy())
    for number, frame in enumerate(frames):
        if frame.dtype != np.uint8 or not world.observation_space.contains(frame):
            raise FaultError(
                f"the frame of {samples.state(number)}, {frame.dtype} {list(frame.shape)}, is not in"
                f" observation_space {world.observation_space}"
            )
    for number, action in enumerate(samples.actions):
        if action.dtype != world.action_space.dtype or not world.action_space.contains(action):
            raise FaultError(
                f"sample_action draws {action.dtype} {list(action.shape)}, {samples.action(number)}, which is"
                f" not in action_space {world.action_space}"
            )
    for number, element in enumerate(samples.elements):
        moved = world.transform_action(element, samples.actions.copy())
        if moved.dtype != samples.actions.dtype or not all(map(world.action_space.contains, moved)):
            raise FaultError(
                f"transform_action takes an action out of action_space {world.action_space}, by"
                f" {samples.element(number)}: {moved.dtype} {list(moved.shape[1:])}"
            )
    for name, states in (
        ("step_states", world.step_states(samples.states.copy(), samples.actions.copy())),
        ("transform_state", world.transform_state(samples.elements[-1], samples.states.copy())),
    ):
        if states.dtype != samples.states.dtype or states.shape != samples.states.shape:
            raise FaultError(
                f"{name} turns states of {samples.states.dtype} {list(samples.states.shape[1:])} into"
                f" {states.dtype} {list(states.shape[1:])}"
            )
    return "frames and actions are members of their spaces"


def check_sampling(samples: WorldSamples) -> str:
    """All randomness comes from the generator given; only allowed actions are drawn."""
    world = samples.world
    for name, draw in (("sample_state", world.sample_state), ("sample_action", world.sample_action)):
        one, other = ([draw(np.random.default_rng(seed)) for seed in _SEEDS] for _ in range(2))
        if not np.array_equal(one, other):
            raise FaultError(f"{name} draws different values from equal generators")
    if isinstance(world.action_space, gymnasium.spaces.Discrete):
        last = int(world.action_space.n) - 1
        rng = np.random.default_rng(0)
        if any(int(world.sample_action(rng, (last,))) != last for _ in _SEEDS):
            raise FaultError(f"sample_action draws others than the allowed action, {last}")
    return "equal generators draw equal states and actions"


def check_seeds(samples: WorldSamples) -> str:
    """Equal seeds give equal episodes; not all seeds give the same."""
    world = _fresh(samples.world)

    def episode(seed: int) -> list[NDArray[Any]]:
        frames = [world.reset(seed=seed)[0]]
        return frames + [world.step(action.copy())[0] for action in samples.actions]

    episodes = [episode(seed) for seed in _SEEDS]
    for seed, once in zip(_SEEDS, episodes, strict=True):
        if not np.array_equal(once, episode(seed)):
            raise FaultError(f"two episodes from reset(seed={seed}) with equal actions differ")
    if all(np.array_equal(episodes[0], other) for other in episodes):
        raise FaultError(f"reset gives the same episode for all seeds from {_SEEDS[0]} to {_SEEDS[-1]}")
    return "equal seeds give equal episodes"


def check_episodes(samples: WorldSamples) -> str:
    """`reset`, `step` and `render` agree with the functions of states."""
    world = _fresh(samples.world, render_mode="rgb_array")
    for call in (lambda: world.step(samples.actions[0]), world.render):
        try:
            call()
        except WorldError:
            continue
        raise FaultError("step or render before the first reset is not refused by a WorldError")
    state = samples.states[-1]
    observation, info = world.reset(options={"state": state.copy()})
    if not np.array_equal(info["state"], state):
        raise FaultError('reset(options={"state": s}) does not start from s')
    if not np.array_equal(observation, world.render_states(state.copy())):
        raise FaultError("the observation of reset is not what render_states draws of its state")
    info["state"][...] = 0
    action = samples.actions[-1]
    seen, reward, terminated, truncated, after = world.step(action.copy())
    if not np.array_equal(after["state"], world.step_states(state.copy(), action.copy())):
        raise FaultError('step does not do what step_states does, or info["state"] of reset is no copy')
    if not np.array_equal(seen, world.render_states(after["state"].copy())):
        raise FaultError("the observation of step is not what render_states draws of its state")
    if (reward, terminated, truncated) != (0.0, False, False):
        raise FaultError("step gives a reward or ends the episode; worlds have neither")
    colour = world.render()
    if colour is None or colour.shape != (*seen.shape[:2], 3) or not (colour == seen).all():
        raise FaultError("render does not give the observation as RGB, [H, W, 3]")
    return "reset, step and render agree with the functions of states"


def check_options(samples: WorldSamples) -> str:
    """The options rebuild the world, even after a round trip through JSON."""
    world = samples.world
    if world.world_id not in WORLDS:
        home = f"{type(world).__module__}:{type(world).__qualname__}"
        raise FaultError(
            f"{world.world_id!r} is not registered, so no dataset of it can be generated; call"
            f" register_world({world.world_id!r}, {home!r}) in its module"
        )
    try:
        text = json.dumps(world.options, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise FaultError(f"options are not JSON-able: {error}") from error
    again = make_world(world.world_id, **json.loads(text))
    if type(again) is not type(world):
        raise FaultError(f"{world.world_id!r} is registered as another class, {WORLDS[world.world_id]}")
    if again.options != world.options:
        raise FaultError(f"make_world with the options {text} has the options {again.options}")
    if again.symmetry != world.symmetry or not _same(samples, again):
        raise FaultError(f"make_world with the options {text} gives a world that behaves differently")
    return f"make_world({world.world_id!r}, **options) rebuilds the world"


def check_symmetry(samples: WorldSamples) -> str:
    """The symmetry survives JSON, in which datasets store it."""
    symmetry = samples.world.symmetry
    again = Symmetry.from_json(json.loads(json.dumps(symmetry.to_json())))
    if (again.group, dict(again.representations), again.twin_elements) != (
        symmetry.group,
        dict(symmetry.representations),
        symmetry.twin_elements,
    ):
        raise FaultError("the symmetry is another after to_json and from_json")
    twins = "twins" if symmetry.has_twins else "no twins"
    return f"{symmetry.group.name}, {len(symmetry.representations)} representations, {twins}"


def check_pickling(samples: WorldSamples) -> str:
    """A copy sent to another process does the same."""
    try:
        again = pickle.loads(pickle.dumps(samples.world))  # noqa: S301 — our own bytes
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise FaultError(f"it cannot be sent to another process: {error}") from error
    if not _same(samples, again):
        raise FaultError("a pickled copy behaves differently")
    return "a pickled copy does the same"


def check_gymnasium(samples: WorldSamples) -> str:
    """Gymnasium's own checker accepts it without a warning."""
    world = samples.world
    registered = world.world_id in WORLDS
    if registered:
        environment = gymnasium.make(
            world.world_id, render_mode="rgb_array", disable_env_checker=True, **copy.deepcopy(world.options)
        ).unwrapped
    else:
        environment = _fresh(world, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(environment, skip_render_check=not registered, skip_close_check=not registered)
    environment.close()
    return "gymnasium.utils.env_checker.check_env accepts it"


def _same(samples: WorldSamples, other: World) -> bool:
    """Whether another world steps and draws the samples in the same way."""
    states, actions = samples.states, samples.actions
    return np.array_equal(
        other.step_states(states.copy(), actions.copy()),
        samples.world.step_states(states.copy(), actions.copy()),
    ) and np.array_equal(other.render_states(states.copy()), samples.world.render_states(states.copy()))
