"""The published picture of 3D Blocks, drawn by matplotlib and scaled down by PIL: slow, and the truth.

The paper's public code (jypark0/sen, `sen/envs/block_pushing.py`) calls `Axes3D.voxels` and takes the axis
limits as they come. Since matplotlib 3.9 those follow the blocks, so here they are set to what they were
when the paper was written; with them every version from 3.4 on draws the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from numpy.typing import NDArray
from PIL import Image

GRID_SIZE = 5
COLOURS = ("purple", "green", "orange", "blue", "brown")
CROP_ROWS, CROP_COLUMNS = slice(215, 455), slice(80, 570)
IMAGE_SIZE = 50


def blocks_figure(
    positions: Sequence[Sequence[int]] | NDArray[np.int64], colour_names: Sequence[str] = COLOURS
) -> Figure:
    """The scene with one cube at each (row, column), in the colours' order, as a 640 × 480 figure."""
    filled = np.zeros((GRID_SIZE,) * 3, dtype=bool)
    colours = np.empty(filled.shape, dtype=object)
    for (row, column), colour in zip(positions, colour_names, strict=False):
        filled[row, column, 0] = True
        colours[row, column, 0] = colour
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    FigureCanvasAgg(figure)
    axes = Axes3D(figure)
    figure.add_axes(axes)
    axes.zaxis.set_pane_color((0.5, 0.5, 0.5, 1.0))
    axes.xaxis.set_pane_color((1.0, 1.0, 1.0, 1.0))
    axes.yaxis.set_pane_color((1.0, 1.0, 1.0, 1.0))
    axes.zaxis.line.set_linewidth(0.0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_zticks([])
    axes.voxels(filled, facecolors=colours, edgecolor="k")
    # Five cells plus a margin of 5 % in the plane, and matplotlib's own 1/48 of the range all around.
    axes.set_xlim(-0.25, 5.25, view_margin=1 / 48)
    axes.set_ylim(-0.25, 5.25, view_margin=1 / 48)
    axes.set_zlim(0.0, 5.0, view_margin=1 / 48)
    return figure


def new_renderer() -> RendererAgg:
    """A transparent canvas of 640 × 480 pixels."""
    make: Any = RendererAgg
    renderer: RendererAgg = make(640, 480, 100)
    return renderer


def canvas(renderer: Any) -> NDArray[np.uint8]:
    """What has been drawn, uint8 [480, 640, 4]."""
    return np.array(renderer.buffer_rgba())


def crop(figure: Figure) -> NDArray[np.uint8]:
    """The figure's pixels in the published crop, uint8 [240, 490, 3]."""
    renderer = new_renderer()
    figure.draw(renderer)
    return np.ascontiguousarray(canvas(renderer)[CROP_ROWS, CROP_COLUMNS, :3])


def shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """PIL's Lanczos resize to uint8 [50, 50, 3]."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def draw_blocks(positions: Sequence[Sequence[int]] | NDArray[np.int64]) -> NDArray[np.uint8]:
    """The published observation of one state, uint8 [50, 50, 3]."""
    return shrink(crop(blocks_figure(positions)))
