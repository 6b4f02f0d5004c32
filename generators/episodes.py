"""Episodes of a recipe, any range of them at a time: states and actions first, pixels afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs import World
from sen_bench.errors import ConfigError, DatasetError
from sen_bench.generators.recipe import Recipe

# The random streams of an episode, by key. New kinds of randomness get new keys, so that old ones stay.
_WORLD_STREAM, _POLICY_STREAM, _TWIN_STREAM = range(3)

# States are rendered in batches: large enough to hide the overhead of a call, small enough to stop soon.
_RENDER_BATCH = 1024


@dataclass(frozen=True)
class EpisodeBatch:
    """Consecutive episodes, without their pixels.

    Args:
        seed: uint64 [episode], from which all of an episode's randomness follows.
        state: [episode, frame, …]: one frame more than steps, after the leading ones of `leading_frames`.
        action: [episode, horizon, …].
    """

    seed: NDArray[np.uint64]
    state: NDArray[Any]
    action: NDArray[Any]


def episode_seed(recipe: Recipe, episode: int) -> np.uint64:
    """The seed of one episode.

    It is the first 64-bit word of `SeedSequence(seed, spawn_key=(split, episode))`, with the first four bytes
    of the sha256 of the split's name as a number. So it depends only on these three.
    """
    split = int.from_bytes(hashlib.sha256(recipe.split.encode()).digest()[:4], "big")
    sequence = np.random.SeedSequence(recipe.seed, spawn_key=(split, episode))
    return np.uint64(sequence.generate_state(1, np.uint64)[0])


def _stream(seed: np.uint64, key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=(key,)))


def leading_frames(world: World) -> int:
    """How many frames an episode has before that of its first step, for a model that is shown several."""
    return world.frame_stack - 1


def roll_out(world: World, recipe: Recipe, start: int, stop: int) -> EpisodeBatch:
    """Draws the episodes from `start` up to `stop`, stepped side by side.

    Each draws its initial state and its actions from two streams of its own, so it does not depend on which
    other episodes are rolled out with it; transitions of a slice come from the first of the two. Its leading
    frames are those of the last steps of the warm-up; if that is too short, the state stands still before it.
    """
    seeds = np.array([episode_seed(recipe, episode) for episode in range(start, stop)], dtype=np.uint64)
    worlds = [_stream(seed, _WORLD_STREAM) for seed in seeds]
    policies = [_stream(seed, _POLICY_STREAM) for seed in seeds]
    steps = recipe.warmup + recipe.horizon
    choose = recipe.policy.load()
    if recipe.slice:
        drawn = [world.sample_slice(rng) for rng in worlds]
        first = np.stack([state for state, _ in drawn])
        actions = np.stack([np.asarray(action) for _, action in drawn])[:, None]
    else:
        first = np.stack([world.sample_state(rng) for rng in worlds])
        if choose is None:
            actions = np.stack([_draw_actions(world, recipe, rng) for rng in policies])
        else:
            example = np.asarray(world.sample_action(np.random.default_rng(0)))
            actions = np.empty((len(first), steps, *example.shape), example.dtype)
    states = np.empty((len(first), steps + 1, *first.shape[1:]), first.dtype)
    states[:, 0] = first
    for t in range(steps):
        if choose is not None:
            chosen = [choose(world, state, rng) for state, rng in zip(states[:, t], policies, strict=True)]
            actions[:, t] = _checked_actions(recipe, chosen, actions[:, t])
        states[:, t + 1] = world.step_states(states[:, t], actions[:, t])
    frames = np.maximum(np.arange(recipe.warmup - leading_frames(world), steps + 1), 0)
    return EpisodeBatch(seeds, states[:, frames], actions[:, recipe.warmup :])


def _draw_actions(world: World, recipe: Recipe, rng: np.random.Generator) -> NDArray[Any]:
    policy, steps = recipe.policy, recipe.warmup + recipe.horizon
    actions = np.stack([np.asarray(world.sample_action(rng, policy.allowed)) for _ in range(steps)])
    for entry in policy.absolute:
        actions[..., entry] = np.abs(actions[..., entry])
    return actions


def _checked_actions(recipe: Recipe, chosen: list[Any], like: NDArray[Any]) -> NDArray[Any]:
    """The actions chosen by the user's policy, as an array like those of the world.

    Raises:
        ConfigError: They have another shape, or numbers that do not fit.
    """
    actions = np.asarray(chosen)
    if actions.shape != like.shape or not np.can_cast(actions.dtype, like.dtype, "same_kind"):
        raise ConfigError(
            f"policy {recipe.policy.kind!r} gives actions of shape {actions.shape[1:]} and type"
            f" {actions.dtype}; this world's have shape {like.shape[1:]} and type {like.dtype}"
        )
    return actions


def draw_elements(world: World, seeds: NDArray[np.uint64]) -> NDArray[Any]:
    """The element of each episode's twin, int64 [episode] or, for SO(3), float64 [episode, 3, 3]."""
    symmetry = world.symmetry
    return np.stack([symmetry.draw_twin_element(_stream(seed, _TWIN_STREAM)) for seed in seeds])


def twin_of(world: World, episodes: EpisodeBatch, elements: NDArray[Any]) -> EpisodeBatch:
    """The same episodes after one group element each.

    Args:
        world: The world, whose dynamics commute with the group.
        episodes: The episodes.
        elements: [episode] or [episode, 3, 3].
    """
    each_step = elements[:, None]
    return EpisodeBatch(
        episodes.seed,
        world.transform_state(each_step, episodes.state),
        world.transform_action(each_step, episodes.action),
    )


def render(world: World, states: NDArray[Any], checkpoint: Callable[[], None]) -> NDArray[np.uint8]:
    """The observations of states [episode, time, …], each distinct state drawn once.

    Random walks stand still and come back: in 3D Blocks, a third of the frames of fifty long episodes repeat.

    Args:
        world: The world; its renderer is a pure function of the state.
        states: [episode, time, …].
        checkpoint: Called between batches; raises to stop.

    Returns:
        uint8 [episode, time, H, W, C].

    Raises:
        DatasetError: A state is not finite.
    """
    if states.dtype.kind == "f" and not np.isfinite(states).all():
        raise DatasetError("the world stepped into a state that is not finite")
    flat = np.ascontiguousarray(states).reshape(states.shape[0] * states.shape[1], -1)
    # Compared as raw bytes, not as numbers: every kind of state sorts as fast, and no two are confused.
    keys = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize))).ravel()
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    distinct = states.reshape(-1, *states.shape[2:])[firsts]
    frames: list[NDArray[np.uint8]] = []
    for begin in range(0, len(distinct), _RENDER_BATCH):
        checkpoint()
        frames.append(world.render_states(distinct[begin : begin + _RENDER_BATCH]))
    pixels = np.concatenate(frames)
    frames.clear()
    return pixels[inverse].reshape(*states.shape[:2], *pixels.shape[1:])
