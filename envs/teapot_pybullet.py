"""Draws the teapot with pybullet's TinyRenderer: the same mesh, camera and light as `teapot_renderer`.

TinyRenderer runs on the processor and needs no display. It is an option for those who want frames as pybullet
makes them, and the oracle that the tests compare our own renderer with.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from sen_bench.errors import WorldError


class PybulletRenderer:
    """A connection to pybullet with the teapot in it. Frames come one at a time.

    Args:
        mesh: What is drawn.
        size: Pixels on a side.
        samples: Each pixel is the mean of samples × samples.

    Raises:
        WorldError: pybullet is not installed.
    """

    def __init__(self, mesh: Mesh, *, size: int = IMAGE_SIZE, samples: int = SAMPLES) -> None:
        self._bullet = _import_pybullet()
        self._client = self._bullet.connect(self._bullet.DIRECT)
        self._size, self._samples = size, samples
        # TinyRenderer leaves out what is seen from the inside, so the inside is a second surface.
        inside = mesh.triangles[:, ::-1] + len(mesh.vertices)
        shape = self._bullet.createVisualShape(
            self._bullet.GEOM_MESH,
            vertices=np.concatenate([mesh.vertices, mesh.vertices]).tolist(),
            indices=np.concatenate([mesh.triangles, inside]).ravel().tolist(),
            normals=np.concatenate([mesh.normals, -mesh.normals]).tolist(),
            rgbaColor=(1, 1, 1, 1),
            physicsClientId=self._client,
        )
        self._body = self._bullet.createMultiBody(baseVisualShapeIndex=shape, physicsClientId=self._client)
        self._view = self._bullet.computeViewMatrix((0, -DISTANCE, 0), (0, 0, 0), (0, 0, 1))
        angle = math.degrees(2 * math.atan(HALF_WIDTH))
        projection = self._bullet.computeProjectionMatrixFOV(angle, 1, DISTANCE - 1.5, DISTANCE + 1.5)
        # TinyRenderer looks at a corner of each of its pixels; moved by half of one, it looks at the middle.
        shift = 1 / (size * samples)
        self._projection = [*projection[:8], projection[8] + shift, projection[9] + shift, *projection[10:]]

    @classmethod
    @functools.cache
    def shared(cls) -> PybulletRenderer:
        """The renderer of the world; one connection per process."""
        return cls(Mesh.teapot())

    def render(self, rotations: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Draws the teapot turned by rotations [..., 3, 3], as uint8 [..., H, H, 1]."""
        lead, size, samples = rotations.shape[:-2], self._size, self._samples
        frames = np.empty((math.prod(lead), size, size, 1), np.uint8)
        for frame, rotation in zip(frames, rotations.reshape(-1, 3, 3), strict=True):
            fine = self._draw(rotation).reshape(size, samples, size, samples)
            frame[..., 0] = np.rint(fine.mean(axis=(1, 3)))
        return frames.reshape(*lead, size, size, 1)

    def _draw(self, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
        width = self._size * self._samples
        self._bullet.resetBasePositionAndOrientation(
            self._body, (0, 0, 0), _quaternion(rotation), physicsClientId=self._client
        )
        _, _, colours, _, bodies = self._bullet.getCameraImage(
            width,
            width,
            self._view,
            self._projection,
            lightDirection=[1000 * x for x in LIGHT],
            lightColor=(1, 1, 1),
            shadow=0,
            lightAmbientCoeff=AMBIENT / 255,
            lightDiffuseCoeff=DIFFUSE / 255,
            lightSpecularCoeff=0,
            renderer=self._bullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        gray = np.reshape(colours, (width, width, 4))[..., 0].astype(np.float64)
        return np.where(np.reshape(bodies, (width, width)) == self._body, gray, BACKGROUND)


def _quaternion(rotation: NDArray[np.float64]) -> list[float]:
    """A quaternion of a rotation matrix, the real part last, as in pybullet."""
    # The outer product of the quaternion (w, x, y, z) with itself, times four; its largest column is safe.
    (a, b, c), (d, e, f), (g, h, i) = rotation
    outer = np.array(
        [
            [1 + a + e + i, h - f, c - g, d - b],
            [h - f, 1 + a - e - i, b + d, c + g],
            [c - g, b + d, 1 - a + e - i, f + h],
            [d - b, c + g, f + h, 1 - a - e + i],
        ]
    )
    column = outer[outer.diagonal().argmax()]
    w, x, y, z = (column / np.sqrt(np.sum(column * column))).tolist()
    return [x, y, z, w]


def _import_pybullet() -> Any:  # noqa: ANN401 — pybullet has no types
    with _silent_stderr():
        try:
            import pybullet  # noqa: PLC0415 — optional
        except ImportError as error:
            raise WorldError(
                "the renderer 'pybullet' needs pybullet: pip install 'sen-bench[pybullet]' with Python 3.11"
                " (there are no wheels for later versions), or use the renderer 'raster'"
            ) from error
    return pybullet


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Silences file descriptor 2, to which pybullet writes a greeting past Python when it is imported."""
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
