"""Learned rotations beside true ones: the best constant alignment, and what is left of their difference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def best_alignment(learned: FloatArray, true: FloatArray) -> FloatArray:
    """The one rotation c for which ``true @ c`` is nearest to ``learned`` in the mean square.

    A map S of states z to rotations with S(g z) = g S(z) is S(z) = z S(1): the state times a constant, which
    nothing in the training fixes. So frames are compared only after it has been found (Kabsch 1976).

    Args:
        learned: float64 ``[N, 3, 3]``, rotations.
        true: float64 ``[N, 3, 3]``, rotations.

    Returns:
        float64 ``[3, 3]``.
    """
    left, _, right = np.linalg.svd(np.einsum("nki,nkj->ij", true, learned))
    return np.asarray(left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right)


def rotation_angle(rotations: FloatArray) -> FloatArray:
    """The angles of rotations ``[..., 3, 3]`` in radians, 0 to π; accurate even for the smallest."""
    skew = np.stack(
        [
            rotations[..., 2, 1] - rotations[..., 1, 2],
            rotations[..., 0, 2] - rotations[..., 2, 0],
            rotations[..., 1, 0] - rotations[..., 0, 1],
        ],
        axis=-1,
    )
    cosine = np.trace(rotations, axis1=-2, axis2=-1) - 1
    return np.asarray(np.arctan2(np.linalg.norm(skew, axis=-1), cosine))


def geodesic_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    """The angle of the rotation that takes b to a, in radians; batches ``[..., 3, 3]``."""
    return rotation_angle(a @ np.swapaxes(b, -1, -2))
