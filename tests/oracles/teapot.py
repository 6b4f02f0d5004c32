"""The teapot by other means: patches by de Casteljau's construction, pictures by casting a ray a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sen_bench.envs.teapot_mesh import Mesh
from sen_bench.envs.teapot_scene import AMBIENT, BACKGROUND, DIFFUSE, DISTANCE, HALF_WIDTH, LIGHT

FloatArray = NDArray[np.float64]


def bezier_point(patch: FloatArray, s: float, t: float) -> FloatArray:
    """The point [3] of a patch [4, 4, 3] by repeated interpolation, s from row to row, t along each."""

    def casteljau(points: FloatArray, at: float) -> FloatArray:
        while len(points) > 1:
            points = (1 - at) * points[:-1] + at * points[1:]
        return np.asarray(points[0])

    return casteljau(np.stack([casteljau(row, t) for row in patch]), s)


def cast_rays(mesh: Mesh, rotation: FloatArray, size: int) -> FloatArray:
    """The gray of every pixel, float64 [H, H], along one ray through its middle.

    Every triangle is intersected with every ray (Möller and Trumbore), in the frame of the teapot. The shade
    is interpolated over the triangle as it lies in the scene, where the renderer does so in the picture.
    """
    middles = ((np.arange(size) + 0.5) / size * 2 - 1) * HALF_WIDTH
    right, up = np.meshgrid(middles, -middles)
    rays = np.stack([right, np.ones_like(right), up], axis=-1).reshape(-1, 3) @ rotation
    camera = np.array([0.0, -DISTANCE, 0.0]) @ rotation
    cosines = mesh.normals @ (np.array(LIGHT) @ rotation)

    corners = mesh.vertices[mesh.triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    gray, nearest = np.full(size * size, float(BACKGROUND)), np.full(size * size, np.inf)
    for corner, edge, other, cosine in zip(
        corners[:, 0], first, second, cosines[mesh.triangles], strict=True
    ):
        normal = np.cross(edge, other)
        facing = -rays @ normal  # positive where the outside is seen
        with np.errstate(divide="ignore", invalid="ignore"):
            away = ((camera - corner) @ normal) / facing
            across = np.cross(rays, camera - corner)
            u, v = -(across @ other) / facing, (across @ edge) / facing
            hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (away < nearest)
        shade = cosine[0] + u[hit] * (cosine[1] - cosine[0]) + v[hit] * (cosine[2] - cosine[0])
        shade *= np.sign(facing[hit])
        gray[hit] = AMBIENT + DIFFUSE * np.maximum(shade, 0)
        nearest[hit] = away[hit]
    return gray.reshape(size, size)
