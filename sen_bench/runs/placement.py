"""Where the training data of a run is held: all of it in memory, or streamed through a part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import ByteSize

from sen_bench.envs import World
from sen_bench.errors import ConfigError
from sen_bench.generators import Recipe, leading_frames
from sen_bench.store import EpisodeBlocks
from sen_bench.system import free_memory

#: Memory that streamed data takes by default [ours]; a constant, because the order depends on it.
STREAMED_BYTES = 1 << 30

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Footprint:
    """How much memory a training split takes; all sizes in bytes.

    Attributes:
        blocks: How its episodes are divided into files.
        steps: Steps in an episode.
        frames: Size of the frames of an episode.
        actions: Size of its actions.
    """

    blocks: EpisodeBlocks
    steps: int
    frames: int
    actions: int

    @classmethod
    def of(cls, world: World, recipe: Recipe) -> Footprint:
        """What a dataset that is generated from a recipe takes, or will take.

        Raises:
            ConfigError: If an episode is too large to be stored.
        """
        space = world.observation_space
        frame = int(np.prod(space.shape or ())) * np.dtype(np.uint8).itemsize
        frames = (recipe.horizon + 1 + leading_frames(world)) * frame
        action = np.asarray(world.sample_action(np.random.default_rng(0)))
        return cls(
            EpisodeBlocks.for_episodes(recipe.episodes, frames),
            recipe.horizon,
            frames,
            recipe.horizon * action.nbytes,
        )

    @property
    def whole(self) -> int:
        """All frames and actions."""
        return self.blocks.episodes * (self.frames + self.actions)

    @property
    def smallest_stream(self) -> int:
        """What streaming takes at least: the actions, and two windows of a file each."""
        return self.blocks.episodes * self.actions + 2 * self._block

    @property
    def _block(self) -> int:
        """The frames of one file."""
        return min(self.blocks.per_shard, self.blocks.episodes) * self.frames

    def streamed(self, buffer: int) -> int:
        """What streaming takes with so many transitions in a window: the actions, and two windows."""
        episodes = min(-(-buffer // self.steps), self.blocks.episodes)
        return self.blocks.episodes * self.actions + 2 * episodes * self.frames

    def shuffle_buffer(self, memory: int) -> int:
        """Transitions in a window, where two windows and all actions are to fit into some memory."""
        files = (memory - self.blocks.episodes * self.actions) // 2 // self._block
        return max(1, files) * min(self.blocks.per_shard, self.blocks.episodes) * self.steps


@dataclass(frozen=True)
class Placement:
    """Where the training data of a run is held, and why.

    Attributes:
        shuffle_buffer: Transitions that are shuffled at a time if the data is streamed; None if all of it is
            in memory. See `TrainingConfig`.
        reason: The reason, as one line for a person to read.
    """

    shuffle_buffer: int | None
    reason: str

    @classmethod
    def within(cls, footprint: Footprint, memory: int) -> Placement:
        """All in memory if it fits into this many bytes, otherwise streamed through them.

        Raises:
            ConfigError: If they are too few to stream through.
        """
        size, limit = _text(footprint.whole), _text(memory)
        if footprint.whole <= memory:
            return cls(None, f"training data: all {size} in memory, as --data-memory {limit} allows")
        if memory < footprint.smallest_stream:
            raise ConfigError(
                f"--data-memory {limit} is too little to stream this training data through, which takes"
                f" {_text(footprint.smallest_stream)} at least (all of it: {size})"
            )
        return cls._streamed(footprint, memory, f"{size} are more than --data-memory {limit}")

    @classmethod
    def automatic(cls, footprint: Footprint, device: torch.device) -> Placement:
        """All in memory if that leaves half of what is free, on a GPU and on its host; otherwise streamed."""
        size = _text(footprint.whole)
        places = {"memory": _CPU} | ({} if device.type == "cpu" else {"GPU memory": device})
        free = {name: free_memory(place) for name, place in places.items()}
        name = min(free, key=lambda place: free[place])
        if footprint.whole <= free[name] // 2:
            return cls(None, f"training data: all {size} in memory, of which {_text(free[name])} are free")
        return cls._streamed(
            footprint, STREAMED_BYTES, f"{size} are more than half of the free {name}, {_text(free[name])}"
        )

    @classmethod
    def given(cls, shuffle_buffer: int | None, whose: str) -> Placement:
        """As decided elsewhere, by a preset or when the run was started."""
        if shuffle_buffer is None:
            return cls(None, f"training data: all in memory, as in {whose}")
        return cls(
            shuffle_buffer,
            f"training data: streamed, {shuffle_buffer:,} transitions shuffled at a time, as in {whose}",
        )

    @classmethod
    def _streamed(cls, footprint: Footprint, memory: int, why: str) -> Placement:
        buffer = footprint.shuffle_buffer(memory)
        return cls(
            buffer, f"training data: streamed, {buffer:,} transitions shuffled at a time, because its {why}"
        )


def _text(size: int) -> str:
    """Bytes in words: "1.5 GiB"."""
    return ByteSize(size).human_readable(separator=" ")
