"""Datasets on a device: uint8 frames held there whole, batches gathered and normalised there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.errors import DatasetError
from sen_bench.store import Dataset


def _pixels(frames: Tensor) -> Tensor:
    """Uint8 ``[B, H, W, C]`` to float32 ``[B, C, H, W]`` in [0, 1]; channels stay last in memory."""
    return frames.permute(0, 3, 1, 2).float().div_(255)


def _stacked(frames: Tensor, first: Tensor, stack: int) -> Tensor:
    """So many consecutive frames from each of the first ones on, oldest first along the channels.

    Args:
        frames: uint8 ``[N, H, W, C]``.
        first: int64 ``[B]``.
        stack: How many.

    Returns:
        uint8 ``[B, H, W, stack · C]``.
    """
    if stack == 1:
        return frames[first]
    return torch.cat([frames[first + later] for later in range(stack)], dim=-1)


def shown_frames(frames: NDArray[np.uint8]) -> Tensor:
    """What a model is shown at one time, from stored frames.

    Args:
        frames: uint8 ``[B, S, H, W, C]``: the S consecutive frames that are shown at once, oldest first.

    Returns:
        float32 ``[B, S · C, H, W]`` in [0, 1].
    """
    return _pixels(torch.from_numpy(np.concatenate(np.moveaxis(frames, 1, 0), axis=-1)))


@dataclass(frozen=True)
class Batch:
    """Transitions as a model takes them.

    Attributes:
        observation: float32 ``[B, C, H, W]`` in [0, 1].
        action: ``[B, …]`` as stored.
        next_observation: float32 ``[B, C, H, W]``.
    """

    observation: Tensor
    action: Tensor
    next_observation: Tensor


class Transitions:
    """The transitions of a training split, resident on a device.

    Args:
        observation: uint8 ``[N, T+S, H, W, C]``; a model is shown S frames at once, one in most worlds.
        action: ``[N, T, …]``.
        device: Where they are held from now on.
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

    def __len__(self) -> int:
        """How many transitions there are: episodes × steps."""
        return self._actions.shape[0] * self._actions.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the transitions are."""
        return self._frames.device

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what a model is shown at once."""
        height, width, channels = self._frames.shape[2:]
        return height, width, channels * self._stack

    def draw(self, count: int, *, seed: int) -> Tensor:
        """Draws so many transitions, or takes all where there are no more.

        Args:
            count: How many at most.
            seed: Decides which; the same on every device.

        Returns:
            Their indices, int64 ``[N]`` in ascending order, on the device.
        """
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return order[:count].sort().values.to(self.device)

    def batch(self, index: Tensor) -> Batch:
        """Gathers transitions.

        Args:
            index: int64 ``[B]`` on the same device; transition ``episode * T + step``.
        """
        return Batch(
            self.observations(index),
            self._actions.flatten(0, 1)[index],
            self.observations(index, later=1),
        )

    def observations(self, index: Tensor, *, later: int = 0) -> Tensor:
        """What a model is shown before a transition, or ``later`` = 1 step after that.

        Args:
            index: int64 ``[B]`` on the same device, as for :meth:`batch`.
            later: 0 or 1.

        Returns:
            float32 ``[B, C, H, W]`` in [0, 1].
        """
        episode = torch.div(index, self._actions.shape[1], rounding_mode="floor")
        first = index + self._stack * episode + later
        return _pixels(_stacked(self._frames.flatten(0, 1), first, self._stack))

    @property
    def _stack(self) -> int:
        """Each episode has as many frames more than steps as a model is shown at once."""
        return self._frames.shape[1] - self._actions.shape[1]


class Episodes:
    """The episodes of an evaluation split and their twins; frames go to the device as they are asked for.

    Args:
        dataset: A split that has a twin.
        device: Where the tensors that are asked for go.

    Raises:
        DatasetError: If the dataset has no twin, or negatives of a world that shows several frames at once.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        if not dataset.has_twin:
            raise DatasetError(f"{dataset.path} has no twin, which evaluation needs: use an eval split")
        self.device = device
        self._frames = {
            twin: torch.from_numpy(dataset.load(f"{prefix}observation")) for twin, prefix in _TWIN.items()
        }
        self._actions = {
            twin: torch.from_numpy(dataset.load(f"{prefix}action")).to(device)
            for twin, prefix in _TWIN.items()
        }
        self._elements = torch.from_numpy(dataset.load("twin/element")).to(device)
        self._negatives: Tensor | None = None
        if "negative/observation" in dataset.arrays:
            if dataset.frame_stack > 1:
                raise DatasetError(
                    f"{dataset.path} has negatives, which are single frames, but a model is shown"
                    f" {dataset.frame_stack} at once; they cannot be scored"
                )
            self._negatives = torch.from_numpy(dataset.load("negative/observation"))

    def __len__(self) -> int:
        """How many episodes there are."""
        return len(self._elements)

    @property
    def horizon(self) -> int:
        """How many steps an episode has."""
        return int(self._actions[False].shape[1])

    def observations(self, index: Tensor, frame: int, *, twin: bool) -> Tensor:
        """What a model is shown of some episodes at one time: one frame, or the last few.

        Args:
            index: Which episodes.
            frame: Which of the ``T+1`` times.
            twin: Whether to take the twins' frames.

        Returns:
            float32 ``[B, C, H, W]`` in [0, 1] on the device.
        """
        frames, episodes = self._frames[twin], index.to("cpu")
        stack = frames.shape[1] - self.horizon
        shown = torch.cat([frames[episodes, frame + later] for later in range(stack)], dim=-1)
        return _pixels(shown.to(self.device))

    def actions(self, index: Tensor, *, twin: bool) -> Tensor:
        """The actions of some episodes, ``[B, T, …]`` on the device."""
        return self._actions[twin][index]

    def elements(self, index: slice) -> Tensor:
        """The group elements that lead from the episodes to their twins, on the device.

        Returns:
            int64 ``[B]``, or float64 ``[B, 3, 3]`` where the group is SO(3).
        """
        return self._elements[index]

    @property
    def has_negatives(self) -> bool:
        """Whether there are hard negatives of every step."""
        return self._negatives is not None

    def negatives(self, index: Tensor, frame: int) -> Tensor:
        """Observations of the states near that of one time.

        Args:
            index: Which episodes.
            frame: Which time, 1 … T.

        Returns:
            float32 ``[B, K, C, H, W]`` in [0, 1] on the device.

        Raises:
            DatasetError: If the dataset has no negatives.
        """
        if self._negatives is None:
            raise DatasetError("this dataset has no hard negatives")
        frames = self._negatives[index.to("cpu"), frame - 1].to(self.device)
        pixels = _pixels(frames.flatten(0, 1))
        return pixels.view(*frames.shape[:2], *pixels.shape[1:])


_TWIN = {False: "", True: "twin/"}
