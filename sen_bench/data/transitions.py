"""Datasets on a device: uint8 frames held there, batches gathered and normalised there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sen_bench.data.frames import _pixels, _stacked, load_frames
from sen_bench.store import Dataset


@dataclass(frozen=True)
class Batch:
    """Transitions as a model takes them.

    Attributes:
        observation: float32 ``[B, C, H, W]`` in [0, 1].
        action: ``[B, …]`` as stored.
        next_observation: float32 ``[B, C, H, W]``.
        negative: float32 ``[n, C, H, W]``, of each of the first n transitions what was observed at another
            time of its episode, where the loss wants that; otherwise None.
    """

    observation: Tensor
    action: Tensor
    next_observation: Tensor
    negative: Tensor | None = None


class TrainingData(Protocol):
    """Transitions to train on, an epoch at a time: all in memory, or streamed."""

    @property
    def device(self) -> torch.device:
        """Where batches are given."""

    @property
    def steps(self) -> int:
        """How many transitions an episode has."""

    def __len__(self) -> int:
        """How many transitions there are."""

    def order(self, generator: torch.Generator, *, following: torch.Generator | None = None) -> Tensor:
        """Draws the order of an epoch, which :meth:`batch` must follow from now on.

        Args:
            generator: The random generator it is drawn from.
            following: The generator that the next epoch will be drawn from, in the same state; None after the
                last.

        Returns:
            int64 ``[N]``, every transition once, on the device from which :meth:`batch` takes it without
            waiting.
        """

    def batch(self, index: Tensor) -> Batch:
        """Gathers transitions.

        Args:
            index: int64 ``[B]``, the next ones of the order.
        """

    def batch_with_negatives(self, index: Tensor, later: Tensor) -> Batch:
        """Gathers transitions, and other observations of the episodes of the first of them.

        Args:
            index: int64 ``[B]``, the next ones of the order.
            later: int64 ``[n]`` on the same device, n ≤ B; how many steps after the observation of a
                transition its negative was observed, or before it if less than 0.
        """


class Transitions:
    """Transitions that are held on a device.

    Args:
        observation: uint8 ``[N, T+S, H, W, C]``; a model is shown S frames at once, one in most worlds.
        action: ``[N, T, …]``.
        device: Where they are held.
    """

    def __init__(self, observation: Tensor, action: Tensor, device: torch.device) -> None:
        self._frames = observation.to(device)
        self._actions = action.to(device)

    @classmethod
    def from_dataset(cls, dataset: Dataset, device: torch.device) -> Transitions:
        """Loads a split into the memory of a device."""
        return cls(
            torch.from_numpy(dataset.load("observation")), torch.from_numpy(dataset.load("action")), device
        )

    @classmethod
    def drawn(cls, dataset: Dataset, device: torch.device, count: int, *, seed: int) -> Transitions:
        """Loads ``count`` transitions of a split, or all if there are fewer.

        Each becomes an episode of its own. The split is read block by block, so that only these are in
        memory.

        Args:
            dataset: The split.
            device: Where they are held.
            count: The most to load.
            seed: Decides which ones; the same on every device.

        Returns:
            The transitions, in the order of the split.
        """
        steps = dataset.horizon
        total = dataset.episodes * steps
        drawn = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:count].sort().values
        episode, step = (drawn // steps).numpy(), (drawn % steps).numpy()
        shown = 1 + dataset.frame_stack
        frames = load_frames(dataset, "observation", episode, step[:, None] + np.arange(shown))
        actions = dataset.load("action")[episode, step][:, None]
        return cls(torch.from_numpy(frames), torch.from_numpy(actions), device)

    def __len__(self) -> int:
        """How many transitions there are: episodes × steps."""
        return self._actions.shape[0] * self._actions.shape[1]

    @property
    def steps(self) -> int:
        """How many transitions an episode has."""
        return self._actions.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the transitions are."""
        return self._frames.device

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what a model is shown at once."""
        height, width, channels = self._frames.shape[2:]
        return height, width, channels * self._stack

    def order(self, generator: torch.Generator, *, following: torch.Generator | None = None) -> Tensor:
        """A random order of all transitions, int64 ``[N]`` on the device."""
        del following  # nothing has to be read ahead
        return torch.randperm(len(self), generator=generator).to(self.device)

    def batch(self, index: Tensor) -> Batch:
        """Gathers transitions.

        Args:
            index: int64 ``[B]``; transition ``episode * T + step``.
        """
        index = index.to(self.device)
        return Batch(
            self.observations(index),
            self._actions.flatten(0, 1)[index],
            self.observations(index, later=1),
        )

    def batch_with_negatives(self, index: Tensor, later: Tensor) -> Batch:
        """Gathers transitions, and other observations of the episodes of the first of them.

        Args:
            index: int64 ``[B]``, as for :meth:`batch`.
            later: int64 ``[n]``, as for :meth:`observations`.
        """
        return replace(self.batch(index), negative=self.observations(index[: len(later)], later=later))

    def observations(self, index: Tensor, *, later: int | Tensor = 0) -> Tensor:
        """What a model is shown before a transition, or some steps of its episode later.

        Args:
            index: int64 ``[B]``, as for :meth:`batch`.
            later: How many steps later; for each its own, int64 ``[B]``. Less than 0: earlier.

        Returns:
            float32 ``[B, C, H, W]`` in [0, 1].
        """
        index = index.to(self.device)
        if isinstance(later, Tensor):
            later = later.to(self.device)
        episode = torch.div(index, self.steps, rounding_mode="floor")
        first = index + self._stack * episode + later
        return _pixels(_stacked(self._frames.flatten(0, 1), first, self._stack))

    @property
    def _stack(self) -> int:
        """Each episode has as many frames more than steps as a model is shown at once."""
        return self._frames.shape[1] - self._actions.shape[1]
