"""The published picture of 2D Shapes, drawn by scikit-image: the truth that the stamps are tested against.

The public code is C-SWM's (tkipf/c-swm, `envs/block_pushing.py`), which the paper takes the world from. It
calls `skimage.draw.circle`, which scikit-image has since renamed to `disk`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import skimage.draw
from numpy.typing import NDArray

# Annotated in parts only.
_draw: Any = skimage.draw


@functools.cache
def published_colours(count: int = 9) -> NDArray[np.float64]:
    """C-SWM's `get_colors`: `count` colours spread over matplotlib's Set1, float64 [count, 3] in [0, 1]."""
    colour_map = mpl.colormaps["Set1"]
    return np.array([colour_map(1.0 * i / count)[:3] for i in range(count)])


def draw_shapes(
    positions: Sequence[Sequence[int]] | NDArray[np.int64], grid_size: int = 5
) -> NDArray[np.uint8]:
    """The published observation of one state [O, 2], uint8 [10·n, 10·n, 3]."""
    side = 10 * grid_size
    image = np.zeros((side, side, 3), np.float32)
    colours = published_colours(max(9, len(positions)))
    for i, (row, column) in enumerate(positions):
        top, left = 10 * int(row), 10 * int(column)
        if i % 3 == 0:
            pixels = _draw.disk((top + 5, left + 5), 5, shape=image.shape)
        elif i % 3 == 1:
            pixels = _draw.polygon([top, top + 10, top + 10], [left + 5, left, left + 10], image.shape)
        else:
            rows, columns = [top, top + 10, top + 10, top], [left, left, left + 10, left + 10]
            pixels = _draw.polygon(rows, columns, image.shape)
        image[pixels] = colours[i]
    scaled = np.rint(image * 255)
    # The colours are whole 255ths: nothing is lost by storing bytes.
    assert np.abs(image * 255 - scaled).max() < 1e-4
    return scaled.astype(np.uint8)
