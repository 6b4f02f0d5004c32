"""The 2D Shapes world: five coloured shapes on a 5 × 5 grid, seen from above.

The look is that of the public code of C-SWM (Kipf et al. 2020, `envs/block_pushing.py`), which the paper
adopts: cells of 10 pixels, filled by scikit-image. Its triangles and squares are 11 pixels wide and spill
into the next cell, so even here the picture of the turned world is not the turned picture.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.grid import GridWorld
from sen_bench.envs.stamps import CELL, SET1, SET1_NAMES, Stamps, draw_stamps
from sen_bench.envs.world import Pixels

SHAPES = ("circle", "triangle", "square")
"""Object i has the shape i modulo 3."""


class Shapes2D(GridWorld):
    """Circles, triangles and squares that are pushed over a grid.

    Observations are uint8 [10·n, 10·n, 3]; actions Discrete(4·O).

    Args:
        grid_size: n, the cells on a side; 5 in the paper.
        num_objects: O, the number of shapes, 1 to 6; 5 in the paper.
        render_mode: See `World`.

    Raises:
        WorldError: The size or the number of objects is impossible, or the render mode is unknown.
    """

    world_id: ClassVar[str] = "sen_bench/Shapes2D-v0"
    renderer: Literal["exact", "backend"] = "exact"
    title: ClassVar[str] = "2D Shapes"
    object_names: ClassVar[tuple[str, ...]] = tuple(
        f"{colour} {SHAPES[i % 3]}" for i, colour in enumerate(SET1_NAMES)
    )

    def __init__(self, *, grid_size: int = 5, num_objects: int = 5, render_mode: str | None = None) -> None:
        super().__init__(grid_size=grid_size, num_objects=num_objects, render_mode=render_mode)
        side = CELL * self.grid_size
        self.observation_space = gymnasium.spaces.Box(0, 255, (side, side, 3), np.uint8)

    def render_states(self, states: NDArray[Any]) -> Pixels:
        """Draws states [..., O, 2] as uint8 [..., 10·n, 10·n, 3].

        Raises:
            WorldError: Wrong shape or dtype, a position off the grid, or two shapes on one cell.
        """
        states = self.check_states(states)
        return draw_stamps(shape_stamps(), states, np.arange(self.num_objects), self.grid_size)


@functools.cache
def shape_stamps() -> Stamps:
    """The stamp of each object: the pixels that scikit-image fills, in one colour.

    In the coordinates of a cell, `disk` of radius 5 about (5, 5) fills what is nearer than 5, and `polygon`
    fills what is inside or on the edge of the triangle (0, 5), (10, 0), (10, 10) or of the square of side 10.
    """
    row, column = np.mgrid[0 : CELL + 1, 0 : CELL + 1]
    half = CELL // 2
    circle = (row - half) ** 2 + (column - half) ** 2 < half**2
    triangle = 2 * np.abs(column - half) <= row
    square = np.ones_like(circle)
    ink = np.stack([(circle, triangle, square)[i % 3] for i in range(len(SET1))])
    return Stamps(np.broadcast_to(SET1[:, None, None], (*ink.shape, 3)).copy(), ink)
