"""Datasets on a device: uint8 frames held there, batches gathered and normalised there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

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


class TrainingData(Protocol):
    """Transitions to train on, an epoch at a time: all in memory, or streamed."""

    @property
    def device(self) -> torch.device:
        """Where batches are given."""

    def __len__(self) -> int:
        """How many transitions there are."""

    def order(self, generator: torch.Generator, *, following: torch.Generator | None = None) -> Tensor:
        """Draws the order of an epoch, in which :meth:`batch` is to be asked for from now on.

        Args:
            generator: What it is drawn from.
            following: What that of the next epoch will be drawn from, in the same state; None after the last.

        Returns:
            int64 ``[N]``, every transition once, where :meth:`batch` takes it from without waiting.
        """

    def batch(self, index: Tensor) -> Batch:
        """Gathers transitions.

        Args:
            index: int64 ``[B]``, the next ones of the order.
        """


class Transitions:
    """Transitions that are resident on a device.

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

    @classmethod
    def drawn(cls, dataset: Dataset, device: torch.device, count: int, *, seed: int) -> Transitions:
        """Loads so many transitions of a split, or all where there are no more.

        Each becomes an episode of its own. The split is read block by block, so that no more than these are
        in memory.

        Args:
            dataset: The split.
            device: Where they are held.
            count: How many at most.
            seed: Decides which; the same on every device.

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

    def observations(self, index: Tensor, *, later: int = 0) -> Tensor:
        """What a model is shown before a transition, or ``later`` = 1 step after that.

        Args:
            index: int64 ``[B]``, as for :meth:`batch`.
            later: 0 or 1.

        Returns:
            float32 ``[B, C, H, W]`` in [0, 1].
        """
        index = index.to(self.device)
        episode = torch.div(index, self._actions.shape[1], rounding_mode="floor")
        first = index + self._stack * episode + later
        return _pixels(_stacked(self._frames.flatten(0, 1), first, self._stack))

    @property
    def _stack(self) -> int:
        """Each episode has as many frames more than steps as a model is shown at once."""
        return self._frames.shape[1] - self._actions.shape[1]


def load_frames(
    dataset: Dataset, name: str, episode: NDArray[np.int64], frame: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Some frames of some episodes; the rest is read, but never in memory all at once.

    Args:
        dataset: The split.
        name: An array of frames, "observation", "twin/observation".
        episode: int64 ``[N]``, which episodes, in ascending order.
        frame: int64 ``[N, F]``, which frames of each.

    Returns:
        ``[N, F, …]``.

    Raises:
        DatasetError: There is no such array, or a file of it is gone or damaged.
    """
    array, rows = dataset.array(name), dataset.block_rows(name)
    frames = np.empty((*frame.shape, *array.shape[2:]), np.uint8)
    block = np.empty((rows, *array.shape[1:]), np.uint8)
    first = np.searchsorted(episode, np.arange(0, dataset.episodes + rows, rows))
    for number, (begin, end) in enumerate(pairwise(first)):
        if begin < end:
            here = block[: min(rows, dataset.episodes - number * rows)]
            dataset.read_block(name, number, here)
            chosen = slice(begin, end)
            frames[chosen] = here[episode[chosen, None] - number * rows, frame[chosen]]
    return frames


def first_frames(dataset: Dataset, name: str, count: int) -> NDArray[np.uint8]:
    """What a model is shown first of each of the first ``count`` episodes, or of all where there are fewer.

    Returns:
        ``[N, S, H, W, C]``, S frames being shown at once.

    Raises:
        DatasetError: There is no such array, or a file of it is gone or damaged.
    """
    episodes = np.arange(min(count, dataset.episodes))
    frames = np.broadcast_to(np.arange(dataset.frame_stack), (len(episodes), dataset.frame_stack))
    return load_frames(dataset, name, episodes, frames)


class Episodes:
    """The episodes of an evaluation split and their twins, as far as they are shown.

    Args:
        dataset: A split that has a twin.
        device: Where the tensors that are asked for go.
        times: Which of the ``T+1`` times are asked for; None: all of them. Other frames are not kept.
        memory: Bytes of frames that may be on the device; more stay on the host and are copied batch by
            batch. None: any number.

    Raises:
        DatasetError: If the dataset has no twin, or negatives of a world that shows several frames at once;
            or is not whole.
    """

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        times: Sequence[int] | None = None,
        memory: int | None = None,
    ) -> None:
        if not dataset.has_twin:
            raise DatasetError(f"{dataset.path} has no twin, which evaluation needs: use an eval split")
        with_negatives = "negative/observation" in dataset.arrays
        if with_negatives and dataset.frame_stack > 1:
            raise DatasetError(
                f"{dataset.path} has negatives, which are single frames, but a model is shown"
                f" {dataset.frame_stack} at once; they cannot be scored"
            )
        self.device = device
        self._stack = dataset.frame_stack
        times = range(dataset.horizon + 1) if times is None else sorted(set(times))
        shown = sorted({time + later for time in times for later in range(self._stack)})
        steps = [time - 1 for time in times if time > 0]
        self._place_of_frame = {frame: place for place, frame in enumerate(shown)}
        self._place_of_step = {step: place for place, step in enumerate(steps)}
        self._frames = {
            twin: _all_episodes(dataset, f"{prefix}observation", shown) for twin, prefix in _TWIN.items()
        }
        self._negatives = _all_episodes(dataset, "negative/observation", steps) if with_negatives else None
        held = [*self._frames.values(), *([] if self._negatives is None else [self._negatives])]
        if memory is None or sum(frames.nbytes for frames in held) <= memory:
            self._frames = {twin: frames.to(device) for twin, frames in self._frames.items()}
            self._negatives = None if self._negatives is None else self._negatives.to(device)
        self._actions = {
            twin: torch.from_numpy(dataset.load(f"{prefix}action")).to(device)
            for twin, prefix in _TWIN.items()
        }
        self._elements = torch.from_numpy(dataset.load("twin/element")).to(device)

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
        frames = self._frames[twin]
        episodes = index.to(frames.device)
        places = [self._place_of_frame[frame + later] for later in range(self._stack)]
        return _pixels(self._on_device(torch.cat([frames[episodes, place] for place in places], dim=-1)))

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
        episodes = index.to(self._negatives.device)
        frames = self._on_device(self._negatives[episodes, self._place_of_step[frame - 1]])
        pixels = _pixels(frames.flatten(0, 1))
        return pixels.view(*frames.shape[:2], *pixels.shape[1:])

    def _on_device(self, frames: Tensor) -> Tensor:
        """Gathered frames on the device; on the way to a GPU, from memory that it copies without the CPU."""
        if frames.device == self.device:
            return frames
        return frames.pin_memory().to(self.device, non_blocking=True)


_TWIN = {False: "", True: "twin/"}


def _all_episodes(dataset: Dataset, name: str, frames: Sequence[int]) -> Tensor:
    """Some frames of every episode."""
    episodes = np.arange(dataset.episodes)
    return torch.from_numpy(
        load_frames(dataset, name, episodes, np.tile(np.asarray(frames, np.int64), (len(episodes), 1)))
    )
