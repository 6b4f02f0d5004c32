"""The compiled loop that draws grid worlds seen from straight above; see `sen_bench.envs.stamps`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.stamps import CELL
from sen_bench.system import compiled


@compiled
def draw(
    colours: NDArray[np.uint8],
    ink: NDArray[np.bool_],
    positions: NDArray[np.int64],
    kinds: NDArray[np.int64],
    size: int,
) -> NDArray[np.uint8]:
    """`stamps.draw_stamps` for positions [N, O, 2] and kinds [N, O]."""
    frames = np.zeros((positions.shape[0], size, size, 3), np.uint8)
    for frame in range(positions.shape[0]):
        for i in range(positions.shape[1]):
            kind = kinds[frame, i]
            top, left = CELL * positions[frame, i, 0], CELL * positions[frame, i, 1]
            for row in range(min(ink.shape[1], size - top)):
                for column in range(min(ink.shape[2], size - left)):
                    if ink[kind, row, column]:
                        for channel in range(3):
                            frames[frame, top + row, left + column, channel] = colours[
                                kind, row, column, channel
                            ]
    return frames
