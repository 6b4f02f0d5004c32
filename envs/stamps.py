"""Draws grid worlds seen from straight above: one small picture is stamped for each object.

Cells are `CELL` pixels wide and the ground is black. Stamps are laid down in the order of the objects, later
ones over earlier ones, and are clipped at the border of the picture.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL = 10
"""Pixels along the side of a cell."""

SET1 = np.array(
    [(228, 26, 28), (55, 126, 184), (77, 175, 74), (152, 78, 163), (255, 127, 0), (255, 255, 51)],
    dtype=np.uint8,
)
"""uint8 [6, 3]: the first colours of ColorBrewer's Set1, which matplotlib has under that name."""

SET1_NAMES = ("red", "blue", "green", "purple", "orange", "yellow")


@dataclass(frozen=True)
class Stamps:
    """The pictures to stamp.

    Attributes:
        colours: uint8 [stamps, height, width, 3].
        ink: bool [stamps, height, width], which of these pixels are drawn.
    """

    colours: NDArray[np.uint8]
    ink: NDArray[np.bool_]


def draw_stamps(
    stamps: Stamps, positions: NDArray[np.int64], kinds: NDArray[np.int64], grid_size: int
) -> NDArray[np.uint8]:
    """Draws batches of frames.

    Args:
        stamps: The pictures.
        positions: int64 [..., O, 2], (row, column) of the cell in whose upper left corner a stamp begins.
        kinds: int64, broadcasts to [..., O]; which stamp to use.
        grid_size: The cells on a side.

    Returns:
        uint8 [..., 10·grid_size, 10·grid_size, 3].
    """
    lead, num_objects = positions.shape[:-2], positions.shape[-2]
    count = math.prod(lead)
    flat_kinds = np.broadcast_to(kinds, (*lead, num_objects)).reshape(count, num_objects)
    size = CELL * grid_size
    frames = _compiled_draw()(
        stamps.colours, stamps.ink, positions.reshape(count, num_objects, 2), flat_kinds, size
    )
    return frames.reshape(*lead, size, size, 3)


@functools.cache
def _compiled_draw() -> Callable[..., NDArray[np.uint8]]:
    from sen_bench.envs.stamps_kernels import draw  # noqa: PLC0415 — imports Numba

    return draw
