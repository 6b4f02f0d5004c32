"""The 3D Blocks world: five coloured cubes on a 5 × 5 grid, seen by a perspective camera.

Pixels are those of the paper's public code, which draws each frame with matplotlib; see
`sen_bench.envs.blocks3d_renderer` for how they are reproduced exactly.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.blocks3d_scene import COLOURS, GRID_SIZE, IMAGE_SIZE
from sen_bench.envs.grid import GridWorld
from sen_bench.envs.world import Pixels
from sen_bench.errors import WorldError

if TYPE_CHECKING:
    from sen_bench.envs.blocks3d_renderer import Blocks3DRenderer


class Blocks3D(GridWorld):
    """Cubes in purple, green, orange, blue and brown that are pushed over a 5 × 5 grid.

    Observations are uint8 [50, 50, 3]; actions Discrete(4·O).

    Args:
        grid_size: The cells on a side; the renderer has tables for 5.
        num_objects: The number of cubes, 1 to 5; with fewer than five the last colours are left out.
        render_mode: See `World`.

    Raises:
        WorldError: The size or the number of objects is another, or the render mode is unknown.
    """

    world_id: ClassVar[str] = "sen_bench/Blocks3D-v0"
    renderer: Literal["exact", "backend"] = "exact"
    title: ClassVar[str] = "3D Blocks"
    object_names: ClassVar[tuple[str, ...]] = COLOURS

    def __init__(
        self, *, grid_size: int = GRID_SIZE, num_objects: int = len(COLOURS), render_mode: str | None = None
    ) -> None:
        super().__init__(grid_size=grid_size, num_objects=num_objects, render_mode=render_mode)
        if grid_size != GRID_SIZE:
            raise WorldError(f"3D Blocks can be drawn on a grid of size {GRID_SIZE} only, not {grid_size}")
        self.observation_space = gymnasium.spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)

    def render_states(self, states: NDArray[Any]) -> Pixels:
        """Draws states [..., O, 2] as uint8 [..., 50, 50, 3].

        Raises:
            WorldError: Wrong shape or dtype, a position off the grid, or two cubes on one cell.
        """
        return _renderer().render(self.check_states(states))


@functools.cache
def _renderer() -> Blocks3DRenderer:
    from sen_bench.envs.blocks3d_renderer import Blocks3DRenderer  # noqa: PLC0415 — imports Numba

    return Blocks3DRenderer.shared()
