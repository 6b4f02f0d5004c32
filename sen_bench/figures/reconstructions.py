"""What a decoder makes of latents, beside the frames they stand for."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sen_bench.figures.style import WIDTH, new_figure

Images = NDArray[np.float64]


def draw_reconstructions(columns: dict[str, Images], rows: Sequence[str], *, title: str) -> Figure:
    """Draws images in rows and columns.

    Args:
        columns: By heading, float64 ``[R, H, W, C]`` in [0, 1].
        rows: What the R rows are: the text to the left of each.
        title: What the run is, and what is not shown.
    """
    letters = max(len(line) for name in rows for line in name.split("\n"))
    # In inches: a picture with its margin, a letter of text, a line of text.
    cell, letter, line_height = 1.05, 0.065, 0.14
    width = min(WIDTH, cell * len(columns) + letter * letters)
    heads = [part for line in title.splitlines() for part in textwrap.wrap(line, int(width / letter))]
    figure = new_figure(cell * len(rows) + line_height * (len(heads) + 2), width=width)
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    for c, (heading, images) in enumerate(columns.items()):
        for r, name in enumerate(rows):
            axes, image = panels[r, c], images[r]
            axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if r == 0:
                axes.set_title(heading)
            if c == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle("\n".join(heads), fontsize=8)
    return figure
