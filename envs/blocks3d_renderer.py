"""Draws 3D Blocks bit for bit as the paper's public code does with matplotlib and PIL, over 100 times faster.

matplotlib draws the cubes one by one, in an order of depth that depends on the cell alone; for each face that
touches no other cube it blends first the fill and then the outline into the picture. The coverages of these
shapes are in `assets/blocks3d.npz`, taken from matplotlib itself by `tests/oracles/blocks3d_tables.py`. From
them, a sprite is computed for each cell and each set of touching neighbours; frames are sprites drawn back to
front with Agg's integer blend, then scaled down with PIL's integer weights. Since no floating-point number is
involved, the pixels are the same on every machine.

Source: public code of the paper (`sen/envs/block_pushing.py`), with the axis limits that the matplotlib of
its time gave it.
"""

from __future__ import annotations

import functools
import importlib.resources
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.blocks3d_kernels import TAPS, Resize, render, shrink_columns
from sen_bench.envs.blocks3d_scene import COLOURS, IMAGE_SIZE
from sen_bench.envs.blocks3d_sprites import build_sprites


class Blocks3DRenderer:
    """The tables of the renderer, ready to draw. Rendering releases the interpreter's lock.

    Args:
        tables: The arrays of the asset:
            `background` uint8 [240, 490, 3], the crop without cubes;
            `boxes` int16 [25, 6, 2, 4], per cell, face (up, right, down, left, top, bottom) and part (fill,
            outline) the top, left, height and width of its coverage;
            `covers` uint8, these coverages one after another;
            `face_order` uint8 [25, 6] and `cell_order` uint8 [25], in the order of drawing;
            `palette` uint8 [5, 6, 3], the shaded colour of each face;
            `column_starts`, `column_weights`, `row_starts`, `row_weights` int32 [50] and [50, taps], the
            resize in units of 2^-22.
    """

    def __init__(self, tables: Mapping[str, NDArray[Any]]) -> None:
        height, width = tables["background"].shape[:2]
        ink = np.zeros((len(COLOURS), 1, 3), np.uint8)
        self._palette = np.concatenate([tables["palette"], ink], axis=1)
        self._cell_order = tables["cell_order"]
        self._sprites = build_sprites(
            tables["boxes"], tables["covers"], tables["face_order"], self._palette, height
        )
        starts, weights = tables["row_starts"], tables["row_weights"]
        self._rows = Resize(starts, weights)
        columns = tables["column_starts"], tables["column_weights"]
        padding = TAPS - columns[1].shape[1]
        self._columns = Resize(columns[0], np.pad(columns[1], ((0, 0), (0, padding))))
        self._reach = _reach(self._sprites.extents, *columns)

        self._background = np.zeros((3, height, width + TAPS), np.uint8)
        self._background[:, :, :width] = tables["background"].transpose(2, 0, 1)
        self._shrunk_background = np.zeros((height + weights.shape[1], 3 * IMAGE_SIZE), np.uint8)
        everywhere = np.full(height, (1 << IMAGE_SIZE) - 1)
        shrink_columns(self._background, self._columns, everywhere, self._shrunk_background)

    @classmethod
    @functools.cache
    def shared(cls) -> Blocks3DRenderer:
        """The renderer with the committed tables; they are read once."""
        asset = importlib.resources.files("sen_bench.envs").joinpath("assets/blocks3d.npz")
        with np.load(io.BytesIO(asset.read_bytes()), allow_pickle=False) as tables:
            return cls(dict(tables))

    def render(self, states: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Draws states [..., O, 2], which must be valid placements of at most five cubes.

        Returns:
            uint8 [..., 50, 50, 3].
        """
        lead = states.shape[:-2]
        batch = np.ascontiguousarray(states.reshape(math.prod(lead), *states.shape[-2:]))
        frames = render(
            batch,
            self._background,
            self._shrunk_background,
            self._sprites,
            self._palette,
            self._cell_order,
            self._reach,
            self._rows,
            self._columns,
        )
        return frames.reshape(*lead, IMAGE_SIZE, IMAGE_SIZE, 3)


def _reach(
    extents: NDArray[np.int16], starts: NDArray[np.int32], weights: NDArray[np.int32]
) -> NDArray[np.int64]:
    """The outputs of the horizontal pass that look at a range of columns.

    Args:
        extents: int16 [..., 2], first and end column; no column where they are equal.
        starts: int32 [50], the first column each output looks at.
        weights: int32 [50, taps], the weights it gives to the columns from there on.

    Returns:
        int64 [...], bit o of which is set for output o.
    """
    # Weights inside a window may be zero where the filter crosses zero, so a window is everything that it
    # spans.
    ends = starts + weights.shape[1] - (weights[:, ::-1] != 0).argmax(axis=1)
    first, end = extents[..., 0, None], extents[..., 1, None]
    looks = (starts < end) & (first < ends) & (first < end)
    bits: NDArray[np.int64] = looks.astype(np.int64) << np.arange(len(starts))
    reach: NDArray[np.int64] = np.bitwise_or.reduce(bits, axis=-1)
    return reach
