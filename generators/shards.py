"""One task of a generation: all arrays of one range of episodes, written as whole shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sen_bench._version import __version__
from sen_bench.envs import World, make_world
from sen_bench.errors import ConfigError
from sen_bench.generators.episodes import draw_elements, leading_frames, render, roll_out, twin_of
from sen_bench.generators.recipe import GENERATOR_VERSION, Recipe
from sen_bench.store import ArraySpec, EpisodeBlocks, Receipt, symmetry_arrays, sync_rows, write_rows

# The libraries that decide what is drawn, stepped, rendered and stored.
_LIBRARIES = ("numpy", "numba", "gymnasium", "zarr", "numcodecs")


@dataclass(frozen=True)
class ShardPlan:
    """What a recipe amounts to: the arrays and their blocks.

    Args:
        blocks: The ranges of episodes, one task each.
        arrays: Every array that has a row per episode.
        annotations: The arrays of the symmetry, with their contents.
        attributes: What the root of the dataset says about itself.
        inexact: Paths of the arrays that may differ between machines for equal recipes.
    """

    blocks: EpisodeBlocks
    arrays: tuple[ArraySpec, ...]
    annotations: tuple[tuple[ArraySpec, NDArray[Any]], ...]
    attributes: Mapping[str, Any]
    inexact: tuple[str, ...]

    @property
    def frames(self) -> int:
        """How many observations the dataset has, those of twins and negatives included."""
        return sum(math.prod(spec.shape[:-3]) for spec in self.arrays if _is_observation(spec))


def plan_shards(recipe: Recipe, world: World) -> ShardPlan:
    """Works out the arrays of a recipe and their shards from one state and one action.

    Raises:
        ConfigError: The world has no twins, its actions lack an entry that the policy is to make absolute, or
            an episode is too large to be stored.
        WorldError: The world has no negatives, or lacks an action that the policy allows.
    """
    if recipe.twin and not world.symmetry.has_twins:
        raise ConfigError(f"{recipe.world_id} has no group element to draw twins from; ask for no twin")
    layout = _Layout.of(recipe, world)
    arrays = [*layout.trajectory("", ""), layout.seed()]
    if recipe.twin:
        arrays += [*layout.trajectory("twin/", " after the episode's group element"), layout.element()]
    if recipe.negatives:
        arrays += layout.negatives()
    return ShardPlan(
        layout.blocks,
        tuple(arrays),
        tuple(symmetry_arrays(world.symmetry)),
        _attributes(recipe, world),
        inexact=tuple(s.path for s in arrays if _is_observation(s)) if world.renderer == "backend" else (),
    )


@dataclass(frozen=True)
class _Layout:
    """The shape, type and meaning of each array of a dataset.

    Args:
        world: The world.
        steps: Steps of an episode.
        state: A state of the world, from which the shapes follow.
        action: An action.
        frame: What the state looks like, uint8 ``[H, W, C]``.
        blocks: The ranges of episodes that the arrays are cut into.
    """

    world: World
    steps: int
    state: NDArray[Any]
    action: NDArray[Any]
    frame: NDArray[np.uint8]
    blocks: EpisodeBlocks

    @classmethod
    def of(cls, recipe: Recipe, world: World) -> Self:
        """The layout that a recipe asks for.

        Raises:
            ConfigError: Actions lack an entry that the policy is to make absolute, or an episode is too large
                to be stored.
            WorldError: The world lacks an action that the policy allows.
        """
        rng = np.random.default_rng(0)
        state = world.sample_state(rng)
        action = np.asarray(world.sample_action(rng, recipe.policy.allowed))
        for entry in recipe.policy.absolute:
            if action.ndim != 1 or entry >= len(action):
                raise ConfigError(f"an action of {recipe.world_id} has no entry {entry} to make absolute")
        frame = world.render_states(state)
        frames = recipe.horizon + 1 + leading_frames(world)
        blocks = EpisodeBlocks.for_episodes(recipe.episodes, frames * frame.nbytes)
        return cls(world, recipe.horizon, state, action, frame, blocks)

    @property
    def _state_entries(self) -> str:
        """What the entries of a state mean."""
        return "; ".join(f"{axis}: {', '.join(names)}" for axis, names in self.world.state_names.items())

    def trajectory(self, folder: str, whose: str) -> tuple[ArraySpec, ...]:
        """What is seen, done and true in each episode.

        Args:
            folder: Where the arrays are: "", "twin/".
            whose: What they are of, as the end of a phrase.
        """
        leading = leading_frames(self.world)
        frames = self.steps + 1 + leading
        return (
            self.blocks.array(
                f"{folder}observation",
                (frames, *self.frame.shape),
                self.frame.dtype.name,
                ("frame", "height", "width", "channel"),
                f"what is seen{whose}: {_frame(leading)} before and {_frame(leading + 1)} after step t",
            ),
            self.blocks.array(
                f"{folder}action",
                (self.steps, *self.action.shape),
                self.action.dtype.name,
                ("step", *self.world.action_axes),
                f"action of each step{whose}; {', '.join(self.world.action_names)}",
            ),
            self.blocks.array(
                f"{folder}state",
                (frames, *self.state.shape),
                self.state.dtype.name,
                ("frame", *self.world.state_axes),
                f"ground truth of each frame{whose}; {self._state_entries}",
            ),
        )

    def seed(self) -> ArraySpec:
        """The seed of each episode."""
        meaning = "seed from which all randomness of the episode follows"
        return self.blocks.array("seed", (), "uint64", (), meaning)

    def element(self) -> ArraySpec:
        """The group element of each episode's twin."""
        group = self.world.symmetry.group
        return self.blocks.array(
            "twin/element",
            group.element_shape,
            group.element_dtype,
            group.element_axes,
            "group element of the episode's twin",
        )

    def negatives(self) -> tuple[ArraySpec, ...]:
        """The hard negatives of each step.

        Raises:
            WorldError: The world has none.
        """
        negatives = self.world.negative_states(self.state)
        return (
            self.blocks.array(
                "negative/observation",
                (self.steps, len(negatives), *self.frame.shape),
                self.frame.dtype.name,
                ("step", "negative", "height", "width", "channel"),
                "what is seen in each of negative/state",
            ),
            self.blocks.array(
                "negative/state",
                (self.steps, *negatives.shape),
                negatives.dtype.name,
                ("step", "negative", *self.world.state_axes),
                "hard negatives: states near the one after each step, which is frame t + 1;"
                f" {self._state_entries}",
            ),
        )


def _is_observation(spec: ArraySpec) -> bool:
    return spec.path.rpartition("/")[2] == "observation"


def library_versions(world: World) -> dict[str, str]:
    """The version of every distribution that decides what is drawn, stepped, rendered and stored."""
    return {name: metadata.version(name) for name in (*_LIBRARIES, *world.libraries)}


def _attributes(recipe: Recipe, world: World) -> dict[str, Any]:
    """Root attributes. Nothing here may differ between two runs on one machine: no time, host or path."""
    return {
        "task": recipe.task,
        "split": recipe.split,
        "world_id": world.world_id,
        "world_options": world.options,
        "renderer": world.renderer,
        "frame_stack": world.frame_stack,
        "recipe": recipe.to_json(),
        "recipe_digest": recipe.digest,
        "generator_version": GENERATOR_VERSION,
        "library_versions": {"sen-bench": __version__, **library_versions(world)},
        "symmetry": world.symmetry.to_json(),
    }


def _frame(later: int) -> str:
    return f"frame t + {later}" if later else "frame t"


def episode_arrays(
    world: World, recipe: Recipe, start: int, stop: int, checkpoint: Callable[[], None] = lambda: None
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Path and values of every array, for the episodes from `start` up to `stop`.

    Args:
        world: The recipe's world.
        recipe: What to generate.
        start: The first episode.
        stop: The one after the last.
        checkpoint: Called from time to time; raises to stop.
    """
    episodes = roll_out(world, recipe, start, stop)
    yield "seed", episodes.seed
    yield "state", episodes.state
    yield "action", episodes.action
    yield "observation", render(world, episodes.state, checkpoint)
    if recipe.twin:
        elements = draw_elements(world, episodes.seed)
        twin = twin_of(world, episodes, elements)
        yield "twin/element", elements
        yield "twin/state", twin.state
        yield "twin/action", twin.action
        yield "twin/observation", render(world, twin.state, checkpoint)
    if recipe.negatives:
        negatives = world.negative_states(episodes.state[:, -recipe.horizon :])
        # To `render`, the negatives of an episode are one long series of states.
        series = negatives.reshape(len(negatives), -1, *episodes.state.shape[2:])
        pixels = render(world, series, checkpoint)
        yield "negative/state", negatives
        yield "negative/observation", pixels.reshape(*negatives.shape[:3], *pixels.shape[2:])


class ShardMaker:
    """Makes shards of one dataset; a worker keeps it from one task to the next.

    Args:
        root: The store, with the metadata of its arrays.
        recipe: What to generate.
        checkpoint: Called from time to time; raises to stop.
    """

    def __init__(self, root: Path, recipe: Recipe, checkpoint: Callable[[], None]) -> None:
        self._root = root
        self._recipe = recipe
        self._checkpoint = checkpoint
        self._world = make_world(recipe.world_id, **recipe.world_options)

    def make(self, start: int, stop: int) -> list[Receipt]:
        """Writes the episodes from `start` up to `stop` to disk, one whole shard of every array."""
        receipts = []
        for path, values in episode_arrays(self._world, self._recipe, start, stop, self._checkpoint):
            self._checkpoint()
            receipts.append(write_rows(self._root, path, start, values))
        sync_rows(self._root, receipts)
        return receipts
