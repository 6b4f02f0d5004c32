"""The Utah teapot as triangles: Newell's patches, tessellated, with the normals of the patches themselves."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Into how many pieces an edge of a patch is cut. [ours]
SEGMENTS = 6

_PATCHES = 32


@dataclass(frozen=True)
class Mesh:
    """Triangles in the unit ball around the origin.

    Args:
        vertices: float64 [V, 3].
        normals: float64 [V, 3], of unit length, pointing outwards.
        triangles: int32 [T, 3], counter-clockwise when seen from outside.
    """

    vertices: FloatArray
    normals: FloatArray
    triangles: NDArray[np.int32]

    @classmethod
    @functools.cache
    def teapot(cls, segments: int = SEGMENTS) -> Mesh:
        """The teapot with its lid up along +z and its spout towards +x.

        It is computed by sums, products, quotients and square roots of single numbers in a fixed order, so
        that its numbers are equal on every machine.

        Args:
            segments: Into how many pieces an edge of a patch is cut.
        """
        points, normals = _evaluate(control_points(), np.arange(segments + 1) / segments)
        # Both triangles of every square of parameters.
        corner = np.arange(segments * (segments + 1)).reshape(segments, -1)[:, :-1].ravel()
        right, below = corner + 1, corner + segments + 1
        patch = np.concatenate([np.stack([corner, right, below], 1), np.stack([right, below + 1, below], 1)])
        count = (segments + 1) ** 2
        triangles = (patch + count * np.arange(_PATCHES)[:, None, None]).reshape(-1, 3)
        vertices = points.reshape(-1, 3)
        # At the tips of lid and bottom a whole edge of a patch is one point, and some triangles are empty.
        edges = vertices[triangles] - vertices[np.roll(triangles, 1, axis=1)]
        whole = (edges != 0).any(axis=2).all(axis=1)
        centre = (vertices.max(axis=0) + vertices.min(axis=0)) / 2
        vertices = vertices - centre
        radius = np.sqrt(_dot(vertices, vertices).max())
        return cls(vertices / radius, normals.reshape(-1, 3), triangles[whole].astype(np.int32))


@functools.cache
def control_points() -> FloatArray:
    """Newell's control points patch by patch, float64 [32, 4, 4, 3]."""
    asset = importlib.resources.files("sen_bench.envs").joinpath("assets/teapot.txt")
    lines = [line for line in asset.read_text("utf-8").splitlines() if not line.startswith("#")]
    patches = np.array([line.split() for line in lines[:_PATCHES]], dtype=np.int64)
    points = np.array([line.split() for line in lines[_PATCHES:]], dtype=np.float64)
    return points[patches].reshape(_PATCHES, 4, 4, 3)


def _evaluate(patches: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points and outward unit normals, both [P, n, n, 3], of patches at all pairs of n parameters."""
    one = 1 - at
    value = np.stack([one * one * one, 3 * at * one * one, 3 * at * at * one, at * at * at])
    slope = 3 * np.stack([-one * one, one * one - 2 * at * one, 2 * at * one - at * at, at * at])
    along_v = _blend(patches.swapaxes(1, 2), value), _blend(patches.swapaxes(1, 2), slope)

    def surface(v: FloatArray, weights: FloatArray) -> FloatArray:
        return _blend(v.swapaxes(1, 2), weights)

    points = surface(along_v[0], value)
    down, across = surface(along_v[0], slope), surface(along_v[1], value)
    # Where an edge is one point, `across` is zero there, and its change on the way down takes its place.
    tip = (np.abs(across) < 1e-9).all(axis=3, keepdims=True)
    across = np.where(tip, surface(along_v[1], slope), across)
    # In this order they point to the outside in all 32 patches; a test makes sure.
    normals = np.cross(across, down)
    return points, normals / np.sqrt(_dot(normals, normals))[..., None]


def _blend(columns: FloatArray, weights: FloatArray) -> FloatArray:
    """Sums over the four control points of axis 1: [P, 4, m, 3] and [4, n] to [P, n, m, 3]."""
    terms = [columns[:, k, None] * weights[k][:, None, None] for k in range(4)]
    return np.asarray(terms[0] + terms[1] + terms[2] + terms[3])


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2])
