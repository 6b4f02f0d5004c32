"""Stored frames as a model is shown them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.store import Dataset


def _pixels(frames: Tensor) -> Tensor:
    """Uint8 ``[B, H, W, C]`` to float32 ``[B, C, H, W]`` in [0, 1]; channels stay last in memory."""
    return frames.permute(0, 3, 1, 2).float().div_(255)


def _stacked(frames: Tensor, first: Tensor, stack: int) -> Tensor:
    """`stack` consecutive frames starting at each first one, oldest first along the channels.

    Args:
        frames: uint8 ``[N, H, W, C]``.
        first: int64 ``[B]``.
        stack: How many.

    Returns:
        uint8 ``[B, H, W, stack · C]``.
    """
    # Not frames[first], which copies number by number and takes several times as long on a CPU.
    if stack == 1:
        return frames.index_select(0, first)
    return torch.cat([frames.index_select(0, first + later) for later in range(stack)], dim=-1)


def shown_frames(frames: NDArray[np.uint8]) -> Tensor:
    """What a model is shown at one time, from stored frames.

    Args:
        frames: uint8 ``[B, S, H, W, C]``: the S consecutive frames that are shown at once, oldest first.

    Returns:
        float32 ``[B, S · C, H, W]`` in [0, 1].
    """
    return _pixels(torch.from_numpy(np.concatenate(np.moveaxis(frames, 1, 0), axis=-1)))


def load_frames(
    dataset: Dataset, name: str, episode: NDArray[np.int64], frame: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Some frames of some episodes; the rest is read too, but is never in memory all at once.

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
    """What a model is shown first in each of the first ``count`` episodes, or in all if there are fewer.

    Returns:
        ``[N, S, H, W, C]``, S frames being shown at once.

    Raises:
        DatasetError: There is no such array, or a file of it is gone or damaged.
    """
    episodes = np.arange(min(count, dataset.episodes))
    frames = np.broadcast_to(np.arange(dataset.frame_stack), (len(episodes), dataset.frame_stack))
    return load_frames(dataset, name, episodes, frames)
