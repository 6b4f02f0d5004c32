"""Whole episodes on a device, chunk by chunk, as evaluation reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.data.frames import _pixels, load_frames
from sen_bench.envs import World, import_world
from sen_bench.errors import DatasetError
from sen_bench.store import Dataset


class Episodes:
    """The episodes of an evaluation split and their twins, as far as they are asked for.

    Args:
        dataset: A split that has a twin.
        device: Where the tensors that are asked for go.
        times: Which of the ``T+1`` times will be asked for; None: all of them. Other frames are not kept.
        memory: Bytes of frames that may be on the device; more stay on the host and are copied batch by
            batch. None: any number.

    Raises:
        DatasetError: If the dataset has no twin or is not whole, or has negatives of a world that shows
            several frames at once.
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
        self._dataset = dataset
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
        self._states: NDArray[Any] | None = None
        self._like_first: dict[int, Tensor] = {}
        self._world: World | None = None

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

    def later_observations(self, index: slice) -> Tensor:
        """What a model is shown of some episodes at the times 1 … T; it is read anew each time.

        Args:
            index: Which episodes, from `start` to `stop`.

        Returns:
            float32 ``[B, T, C, H, W]`` in [0, 1] on the device.

        Raises:
            DatasetError: If a file of the dataset is gone or damaged.
        """
        frames = torch.from_numpy(self._dataset.read("observation", index.start, index.stop))
        later = [frames[:, 1 + after : 1 + after + self.horizon] for after in range(self._stack)]
        shown = torch.cat(later, dim=-1).flatten(0, 1)
        pixels = _pixels(self._on_device(shown))
        return pixels.view(len(frames), self.horizon, *pixels.shape[1:])

    def repeats(self, index: slice, frame: int) -> Tensor:
        """Which of the times 0 … T have the same stored state as one of them.

        Args:
            index: Which episodes, from `start` to `stop`.
            frame: That time.

        Returns:
            bool ``[B, T + 1]`` on the device; it is true at that time itself.

        Raises:
            DatasetError: If a file of the dataset is gone or damaged.
        """
        # Where several frames are shown at once, a time has the state of the last of them.
        states = self._dataset.read("state", index.start, index.stop)[:, self._stack - 1 :]
        same = (states == states[:, frame, None]).reshape(*states.shape[:2], -1).all(axis=-1)
        return torch.from_numpy(same).to(self.device)

    def actions(self, index: Tensor, *, twin: bool) -> Tensor:
        """The actions of some episodes, ``[B, T, …]`` on the device."""
        return self._actions[twin][index]

    def elements(self, index: slice) -> Tensor:
        """The group elements that lead from the episodes to their twins, on the device.

        Returns:
            int64 ``[B]``, or float64 ``[B, 3, 3]`` if the group is SO(3).
        """
        return self._elements[index]

    @property
    def has_negatives(self) -> bool:
        """Whether there are hard negatives of every step."""
        return self._negatives is not None

    def negatives(self, index: Tensor, frame: int) -> Tensor:
        """Observations of the hard negatives of one time.

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

    def negatives_like_first(self, index: Tensor, frame: int) -> Tensor:
        """Which hard negatives of one time have the stored state of time 0 again.

        Args:
            index: Which episodes.
            frame: Which time, 1 … T.

        Returns:
            bool ``[B, K]`` on the device.

        Raises:
            DatasetError: If the dataset has no states of hard negatives, or a file is gone or damaged.
        """
        if frame not in self._like_first:
            same = torch.from_numpy(self._dataset.negatives_like_first(frame))
            self._like_first[frame] = same.to(self.device)
        return self._like_first[frame][index]

    @property
    def can_turn(self) -> bool:
        """Whether the group is SO(3) and its elements can be shown anew with the very same pixels."""
        return self._elements.ndim > 1 and self._dataset.renderer == "exact"

    def turned(self, index: Tensor, frame: int, elements: Tensor) -> Tensor:
        """What a model is shown of some episodes at one time after group elements, rendered anew.

        Args:
            index: Which episodes.
            frame: Which of the ``T+1`` times.
            elements: Rotations, float64 ``[B, 3, 3]``.

        Returns:
            float32 ``[B, C, H, W]`` in [0, 1] on the device.

        Raises:
            DatasetError: If a file of the dataset is gone or damaged.
            SenBenchError: If the world of the dataset cannot be made here.
        """
        if self._world is None:
            self._world = import_world(self._dataset.world_id, **self._dataset.world_options)
        if self._states is None:
            self._states = self._dataset.load("state")
        states = self._states[index.cpu().numpy(), frame : frame + self._stack]
        moved = self._world.transform_state(elements.cpu().numpy()[:, None], states)
        frames = torch.from_numpy(self._world.render_states(moved))
        return _pixels(self._on_device(torch.cat(frames.unbind(dim=1), dim=-1)))

    def _on_device(self, frames: Tensor) -> Tensor:
        """Gathered frames on the device; for a GPU, through memory that it copies without the CPU."""
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
