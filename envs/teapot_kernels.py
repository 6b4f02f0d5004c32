"""The compiled loop of the teapot renderer: triangles into a depth buffer.

Frames are the same bits on every machine. Rotations, vertices and normals come as multiples of powers of two
so coarse that every sum of products of them fits into the 53 bits of a float64: nothing is rounded there, in
whatever order or fused form a processor computes it. Only single divisions and multiplications are rounded,
and IEEE 754 prescribes those to the bit. From the projected vertices on, positions and barycentric
coordinates are integers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sen_bench.system import compiled

SUBSAMPLE = 16
"""Positions in a picture are whole multiples of this part of the distance between two samples."""

DEPTH_UNITS = 1 << 20
"""Reciprocal distances from the camera are whole multiples of 1 divided by this."""

SHADE_UNITS = 1 << 10
"""Cosines between normal and light are whole multiples of 1 divided by this."""


class Scene(NamedTuple):
    """What is drawn, and from where.

    Attributes:
        vertices: float64 [V, 3], multiples of 2^-20 in the unit ball.
        normals: float64 [V, 3], multiples of 2^-12, and of unit length up to that rounding.
        triangles: int32 [T, 3], counter-clockwise from the outside.
        light: float64 [3], multiples of 2^-10: the direction towards the light.
        distance: Of the camera from the centre of the ball, a multiple of 2^-20.
        focal: The focal length in half-widths of the picture.
        ambient: The gray of what faces away from the light.
        diffuse: What is added to it where the light falls perpendicularly.
    """

    vertices: NDArray[np.float64]
    normals: NDArray[np.float64]
    triangles: NDArray[np.int32]
    light: NDArray[np.float64]
    distance: float
    focal: float
    ambient: float
    diffuse: float


@compiled
def project(rotation: NDArray[np.float64], scene: Scene, width: int, projected: NDArray[np.int64]) -> None:
    """Puts the vertices where the camera sees them.

    The camera stands at (0, −distance, 0) and looks along +y, with +x to the right and +z up.

    Args:
        rotation: [3, 3], multiples of 2^-26.
        scene: What is drawn.
        width: Samples on a side of the picture.
        projected: [V, 4], where the results go: x from the left and y from the top in parts of a sample, of
            which the first has its centre at 0; the reciprocal distance; the cosine to the light.
    """
    half = width * (SUBSAMPLE / 2)
    offset = half - SUBSAMPLE / 2
    scale = half * scene.focal
    turned = np.empty(3)
    for v in range(len(scene.vertices)):
        cosine = 0.0
        for i in range(3):
            normal = 0.0
            turned[i] = 0.0
            for k in range(3):
                turned[i] += rotation[i, k] * scene.vertices[v, k]
                normal += rotation[i, k] * scene.normals[v, k]
            cosine += normal * scene.light[i]
        away = scene.distance + turned[1]
        projected[v, 0] = np.int64(np.floor(scale * turned[0] / away + offset + 0.5))
        projected[v, 1] = np.int64(np.floor(offset - scale * turned[2] / away + 0.5))
        projected[v, 2] = np.int64(np.floor(DEPTH_UNITS / away + 0.5))
        projected[v, 3] = np.int64(np.floor(SHADE_UNITS * cosine + 0.5))


@compiled
def fill(
    projected: NDArray[np.int64],
    scene: Scene,
    depths: NDArray[np.float64],
    shades: NDArray[np.int32],
) -> None:
    """Draws all triangles, from both sides, nearest on top.

    Args:
        projected: [V, 4], see `project`.
        scene: What is drawn.
        depths: [W, W], reciprocal distances of what has been drawn so far, 0 where there is nothing.
        shades: [W, W], its gray, in 1/16.
    """
    width = len(depths)
    for t in range(len(scene.triangles)):
        i, j, k = scene.triangles[t, 0], scene.triangles[t, 1], scene.triangles[t, 2]
        xi, yi, xj, yj = projected[i, 0], projected[i, 1], projected[j, 0], projected[j, 1]
        xk, yk = projected[k, 0], projected[k, 1]
        # Twice the area, positive where the corners are seen to go round counter-clockwise: from outside.
        area = (xk - xi) * (yj - yi) - (xj - xi) * (yk - yi)
        if area == 0:
            continue
        side = 1
        if area < 0:  # the inside is seen, whose normals are the opposite
            j, k, xj, yj, xk, yk = k, j, xk, yk, xj, yj
            area, side = -area, -1
        left = max((min(xi, xj, xk) + SUBSAMPLE - 1) // SUBSAMPLE, 0)
        right = min(max(xi, xj, xk) // SUBSAMPLE, width - 1)
        top = max((min(yi, yj, yk) + SUBSAMPLE - 1) // SUBSAMPLE, 0)
        bottom = min(max(yi, yj, yk) // SUBSAMPLE, width - 1)
        if left > right or top > bottom:
            continue
        # Barycentric coordinates times the area are affine: a value at the first sample, and steps.
        x, y = left * SUBSAMPLE, top * SUBSAMPLE
        wi = (xk - x) * (yj - y) - (xj - x) * (yk - y)
        wj = (xi - x) * (yk - y) - (xk - x) * (yi - y)
        wk = area - wi - wj
        ix, jx = (yk - yj) * SUBSAMPLE, (yi - yk) * SUBSAMPLE
        iy, jy = (xj - xk) * SUBSAMPLE, (xk - xi) * SUBSAMPLE
        kx, ky = -ix - jx, -iy - jy
        di, dj, dk = projected[i, 2], projected[j, 2], projected[k, 2]
        si, sj, sk = side * projected[i, 3], side * projected[j, 3], side * projected[k, 3]
        depth_x, shade_x = ix * di + jx * dj + kx * dk, ix * si + jx * sj + kx * sk
        one = 1.0 / area
        for row in range(top, bottom + 1):
            a, b, c = wi, wj, wk
            depth, shade = a * di + b * dj + c * dk, a * si + b * sj + c * sk
            for column in range(left, right + 1):
                if (a | b | c) >= 0:
                    near = np.float64(depth) * one
                    if near > depths[row, column]:
                        depths[row, column] = near
                        lit = max(np.float64(shade) * one, 0.0)
                        shades[row, column] = np.int32(scene.ambient * 16.0) + np.int32(
                            lit * (scene.diffuse * 16.0 / SHADE_UNITS)
                        )
                a += ix
                b += jx
                c += kx
                depth += depth_x
                shade += shade_x
            wi += iy
            wj += jy
            wk += ky


@compiled
def render(
    rotations: NDArray[np.float64], scene: Scene, samples: int, background: int, frames: NDArray[np.uint8]
) -> None:
    """Draws one frame for each rotation.

    Args:
        rotations: [N, 3, 3], multiples of 2^-26.
        scene: What is drawn.
        samples: Each pixel is the mean of samples × samples.
        background: The gray where there is nothing.
        frames: [N, H, H], where the results go.
    """
    size = frames.shape[1]
    width = size * samples
    projected = np.empty((len(scene.vertices), 4), np.int64)
    depths = np.empty((width, width))
    shades = np.empty((width, width), np.int32)
    count = samples * samples * 16
    for n in range(len(rotations)):
        depths[:] = 0
        shades[:] = background * 16
        project(rotations[n], scene, width, projected)
        fill(projected, scene, depths, shades)
        for row in range(size):
            for column in range(size):
                total = count // 2
                for i in range(samples):
                    for j in range(samples):
                        total += shades[row * samples + i, column * samples + j]
                frames[n, row, column] = total // count
