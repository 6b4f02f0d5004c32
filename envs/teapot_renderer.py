"""Draws the teapot in gray: perspective, one light far away, a depth buffer, supersampled."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.teapot_kernels import Scene, render
from sen_bench.envs.teapot_mesh import Mesh
from sen_bench.envs.teapot_scene import (
    AMBIENT,
    BACKGROUND,
    DIFFUSE,
    DISTANCE,
    HALF_WIDTH,
    IMAGE_SIZE,
    LIGHT,
    SAMPLES,
)


class TeapotRenderer:
    """The mesh and the camera, ready to draw. Rendering releases the interpreter's lock.

    Args:
        mesh: What is drawn.
        size: Pixels on a side.
        samples: Each pixel is the mean of samples × samples.
    """

    def __init__(self, mesh: Mesh, *, size: int = IMAGE_SIZE, samples: int = SAMPLES) -> None:
        self._scene = Scene(
            vertices=_multiples(mesh.vertices, 20),
            normals=_multiples(mesh.normals, 12),
            triangles=mesh.triangles,
            light=_multiples(np.array(LIGHT), 10),
            distance=DISTANCE,
            focal=1 / HALF_WIDTH,
            ambient=AMBIENT,
            diffuse=DIFFUSE,
        )
        self._size = size
        self._samples = samples

    @classmethod
    @functools.cache
    def shared(cls) -> TeapotRenderer:
        """The renderer of the world."""
        return cls(Mesh.teapot())

    def render(self, rotations: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Draws the teapot turned by matrices [..., 3, 3], which must be rotations.

        Returns:
            uint8 [..., H, H, 1].
        """
        lead = rotations.shape[:-2]
        frames = np.empty((math.prod(lead), self._size, self._size), np.uint8)
        turns = _multiples(rotations.reshape(len(frames), 3, 3), 26)
        render(turns, self._scene, self._samples, BACKGROUND, frames)
        return frames.reshape(*lead, self._size, self._size, 1)


def _multiples(numbers: NDArray[np.float64], places: int) -> NDArray[np.float64]:
    """Numbers rounded to whole multiples of 2^-places."""
    unit = float(1 << places)
    return np.asarray(np.ascontiguousarray(np.floor(numbers * unit + 0.5) / unit))
