"""A few states of a world, with an action each, as a model is shown them; models are checked on these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.envs import World
from sen_bench.generators import Recipe, roll_out


@dataclass(frozen=True)
class Samples:
    """States with an action each.

    Attributes:
        world: Their world.
        states: ``[N, S, …]``, the S consecutive states of which a model is shown the frames at once.
        actions: ``[N, …]``, taken in the last of them.
    """

    world: World
    states: NDArray[Any]
    actions: NDArray[Any]

    @classmethod
    def draw(cls, world: World, count: int, *, warmup: int = 0, seed: int = 0) -> Samples:
        """Draws states that the world can be in.

        Args:
            world: The world.
            count: How many, N.
            warmup: Random steps taken from an initial state.
            seed: The seed of all draws.

        Raises:
            ConfigError: A number is impossible.
        """
        recipe = Recipe(
            task="samples",
            split="samples",
            world_id=world.world_id,
            episodes=count,
            horizon=1,
            warmup=warmup,
            seed=seed,
        )
        episodes = roll_out(world, recipe, 0, recipe.episodes)
        return cls(world, episodes.state[:, : world.frame_stack], episodes.action[:, 0])

    def __len__(self) -> int:
        """How many there are, N."""
        return len(self.states)

    def transformed(self, element: NDArray[Any]) -> Samples:
        """The same after one group element, int64 ``[]`` or float64 ``[3, 3]``."""
        return Samples(
            self.world,
            self.world.transform_state(element, self.states),
            self.world.transform_action(element, self.actions),
        )

    def observation(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """What a model is shown, ``[N, S·C, H, W]`` in [0, 1], the oldest frame first."""
        frames = self.world.render_states(self.states)
        count, stack, height, width, channels = frames.shape
        shown = np.moveaxis(frames, -1, 2).reshape(count, stack * channels, height, width)
        return torch.from_numpy(shown).to(dtype) / 255

    def action(self) -> Tensor:
        """The actions as a model takes them, ``[N, …]``."""
        return torch.from_numpy(np.array(self.actions))
