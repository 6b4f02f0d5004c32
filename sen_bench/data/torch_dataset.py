"""A dataset for PyTorch's `DataLoader`, for training loops of your own."""

from __future__ import annotations

import operator
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import torch.utils.data
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.config import parse_memory
from sen_bench.errors import ConfigError, DatasetError
from sen_bench.store import Dataset, open_dataset
from sen_bench.system import number_of, plain_values

_DEFAULT_MEMORY = 256 * 2**20


class Transition(NamedTuple):
    """One transition as a model takes it; from a `DataLoader`, a batch of them, whose axis comes first.

    Attributes:
        observation: float32 ``[C, H, W]`` in [0, 1]; if the world stacks frames, the oldest come first.
        action: As it is stored: int64 ``[]``, float32 ``[A]``, or float64 ``[3, 3]``.
        next_observation: float32 ``[C, H, W]``.
    """

    observation: Tensor
    action: Tensor
    next_observation: Tensor


class TwinTransition(NamedTuple):
    """One transition, and the same seen after a group element.

    Attributes:
        observation: As in `Transition`.
        action: As in `Transition`.
        next_observation: As in `Transition`.
        twin: The transition of the transformed world.
        element: The group element that leads to it: int64 ``[]``, or float64 ``[3, 3]`` for SO(3).
    """

    observation: Tensor
    action: Tensor
    next_observation: Tensor
    twin: Transition
    element: Tensor


class TransitionDataset(torch.utils.data.Dataset[Transition | TwinTransition]):
    """The transitions of a split as a map-style PyTorch dataset, read from disk as they are asked for.

    Transition ``episode * T + step`` leads from step to step + 1 of an episode of T steps. Works with
    `torch.utils.data.DataLoader` and any number of workers, forked or spawned: each process opens the store
    for itself, so processes share no reader. (`sen_bench.data.Transitions`, which holds a split on a device,
    is faster if the split fits there.)

    Frames are stored in chunks of about 1 MB, and a chunk is always decoded whole. The latest ones are kept,
    up to `memory` in every process; a batch decodes none twice. A second of one core gives, in random order,
    about 1100 transitions of 3D Blocks (episodes of 100 steps, one a chunk) while every chunk has to be
    decoded, and 13,000 once all are kept; of Reacher 1000 and 3200.

    Args:
        dataset: A dataset that is open, or the folder or URL of one.
        twin: Whether to give the twins too: items are then `TwinTransition`, otherwise `Transition`.
        memory: Decoded frames that each process keeps, in bytes or as "256MiB". One chunk is kept in any
            case.

    Raises:
        DatasetError: There is no such dataset, it is not whole, or it has no twins and they are asked for.
        ConfigError: The memory is not a positive amount, or an argument is of another type.

    Examples:
        >>> transitions = TransitionDataset("data/3d-blocks/train.zarr")          # doctest: +SKIP
        >>> loader = torch.utils.data.DataLoader(transitions, 64, shuffle=True, num_workers=2)
        ...                                                                       # doctest: +SKIP
        >>> for observation, action, next_observation in loader: ...              # doctest: +SKIP
    """

    @plain_values
    def __init__(
        self, dataset: Dataset | Path | str, *, twin: bool = False, memory: int | str = _DEFAULT_MEMORY
    ) -> None:
        kept = parse_memory(memory)
        if kept is None:
            kept = _DEFAULT_MEMORY
        if kept < 1:
            raise ConfigError(f"memory must be a positive number of bytes, not {memory!r}")
        opened = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
        if twin and not opened.has_twin:
            raise DatasetError(f"{opened.place} has no twins; use an eval split, or leave out twin=True")
        self.twin = twin
        self.memory = kept
        self.episodes = opened.episodes
        self.horizon = opened.horizon
        self._place = opened.place
        self._content_digest = opened.content_digest
        self._reader: _Reader | None = _Reader(opened, twin=twin, memory=kept)

    def __repr__(self) -> str:
        twins = " with twins" if self.twin else ""
        return f"TransitionDataset({self._place}, {number_of(len(self), 'transition')}{twins})"

    def __len__(self) -> int:
        """How many transitions there are: episodes × steps."""
        return self.episodes * self.horizon

    def __getitem__(self, index: SupportsIndex) -> Transition | TwinTransition:
        """One transition.

        Args:
            index: ``episode * T + step``. A negative one counts from the end, as in a list.

        Raises:
            IndexError: There is no such transition.
            TypeError: It is not a whole number; slices are not taken.
            DatasetError: A file is gone or damaged, or another dataset lies in its place now.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Transition | TwinTransition]:
        """Several transitions, which is what `DataLoader` asks for; each chunk is decoded at most once.

        Args:
            indices: As for one.

        Raises:
            IndexError: There is no such transition.
            DatasetError: A file is gone or damaged, or another dataset lies in its place now.
        """
        numbers = [self._checked(index) for index in indices]
        reader = self._opened()
        # In the order in which they are stored, so that each chunk is decoded once even if only one is kept.
        found = {number: reader.transition(*divmod(number, self.horizon)) for number in sorted(set(numbers))}
        return [found[number] for number in numbers]

    def __getstate__(self) -> dict[str, Any]:
        """Everything except what is open, which belongs to this process."""
        return {**self.__dict__, "_reader": None}

    def _checked(self, index: SupportsIndex) -> int:
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(
                f"a transition is chosen by one whole number, not {index!r}; for several use"
                " torch.utils.data.Subset(transitions, range(start, stop))"
            ) from None
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no transition {number}; they go from 0 to {len(self) - 1}")
        return number % len(self)

    def _opened(self) -> _Reader:
        """The reader of this process.

        Raises:
            DatasetError: The dataset cannot be opened, or is another one now.
        """
        if self._reader is None or self._reader.process != os.getpid():
            dataset = open_dataset(self._place)
            if dataset.content_digest != self._content_digest:
                raise DatasetError(f"{self._place} is another dataset than when it was opened; open it again")
            self._reader = _Reader(dataset, twin=self.twin, memory=self.memory)
        return self._reader


class _Reader:
    """What one process reads with: the open store, its small arrays, and the latest chunks of frames."""

    def __init__(self, dataset: Dataset, *, twin: bool, memory: int) -> None:
        self.process = os.getpid()
        self._stack = dataset.frame_stack
        prefixes = ("", "twin/") if twin else ("",)
        self._frames = {prefix: _Frames(dataset, f"{prefix}observation") for prefix in prefixes}
        self._actions = {prefix: torch.from_numpy(dataset.load(f"{prefix}action")) for prefix in prefixes}
        self._elements = torch.from_numpy(dataset.load("twin/element")) if twin else None
        for frames in self._frames.values():
            frames.memory = memory // len(prefixes)

    def transition(self, episode: int, step: int) -> Transition | TwinTransition:
        """A transition, with its twin where there are twins."""
        original = self._one("", episode, step)
        if self._elements is None:
            return original
        # A copy: tensors that share memory would be sent whole to another process.
        return TwinTransition(*original, self._one("twin/", episode, step), self._elements[episode].clone())

    def _one(self, prefix: str, episode: int, step: int) -> Transition:
        frames = self._frames[prefix].of_episode(episode)
        observation, following = (
            torch.from_numpy(_as_shown(frames[step + later : step + later + self._stack])) for later in (0, 1)
        )
        return Transition(observation, self._actions[prefix][episode, step].clone(), following)


def _as_shown(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Frames ``[S, H, W, C]`` as a model takes them, ``[S · C, H, W]`` in [0, 1].

    NumPy does it: for so little work, PyTorch's threads would wait for one another longer than they work, and
    those of several workers for the same cores.
    """
    stack, height, width, channels = frames.shape
    shown = np.empty((stack, channels, height, width), np.float32)
    np.divide(np.moveaxis(frames, -1, 1), np.float32(255), out=shown)
    return shown.reshape(stack * channels, height, width)


class _Frames:
    """An array of frames that keeps the chunks used last decoded.

    Args:
        dataset: The dataset.
        name: The array: "observation", "twin/observation".
    """

    def __init__(self, dataset: Dataset, name: str) -> None:
        self.memory = 0
        self._dataset, self._name = dataset, name
        self._rows = int(dataset.array(name).chunks[0])
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._bytes = 0

    def of_episode(self, episode: int) -> NDArray[np.uint8]:
        """The frames of one episode, ``[T+S, H, W, C]``.

        Raises:
            DatasetError: The file is gone or damaged.
        """
        number, row = divmod(episode, self._rows)
        if number in self._kept:
            self._kept.move_to_end(number)
        else:
            chunk = self._dataset.read(self._name, number * self._rows, (number + 1) * self._rows)
            self._kept[number] = chunk
            self._bytes += chunk.nbytes
            while self._bytes > self.memory and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= dropped.nbytes
        frames: NDArray[np.uint8] = self._kept[number][row]
        return frames
