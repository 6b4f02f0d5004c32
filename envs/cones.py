"""How far a rotation must turn two poses to bring both near the identity."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from sen_bench.symmetry import SO3

FloatArray = NDArray[np.float64]

_SLACK = 1e-9
"""By how much a cosine may be too small through rounding."""


def turn_into_cone(starts: FloatArray, ends: FloatArray, cone: float) -> FloatArray:
    """The smallest angle of a rotation g for which g·start and g·end are both near the identity.

    As unit quaternions p, these rotations are the points of the 3-sphere in two caps around the inverses of
    the poses. Where a cap is nearest to the identity, or else the rim of both, follows from dot products.

    Args:
        starts: Rotations, float64 [..., 3, 3].
        ends: As many.
        cone: The angle that both may have from the identity, in degrees, at most 90.

    Returns:
        Degrees, float64 [...]; 0 where nothing need be turned, and infinity where no rotation brings both
        there: poses more than twice the angle apart.
    """
    group = SO3()
    a = group.to_quaternion(group.inverse(starts))
    b = group.to_quaternion(group.inverse(ends))
    rim = np.cos(np.radians(cone) / 2)
    # A quaternion and its negative are one rotation. That of a can be chosen, the others then matter.
    best = [
        _nearest(a, of_b * b, of_identity, rim)
        for of_b, of_identity in itertools.product((1.0, -1.0), repeat=2)
    ]
    cosine = np.max(best, axis=0)
    return np.where(cosine == -np.inf, np.inf, np.degrees(2 * np.arccos(np.clip(cosine, -1.0, 1.0))))


def _nearest(a: FloatArray, b: FloatArray, sign: float, rim: float) -> FloatArray:
    """The largest u·p of unit quaternions p with a·p ≥ rim and b·p ≥ rim, for u = (sign, 0, 0, 0).

    Args:
        a: Unit quaternions, [..., 4].
        b: As many.
        sign: 1 or -1.
        rim: A cosine of at least 1/√2, so that caps are convex.

    Returns:
        float64 [...]; -infinity where there is no such p.
    """
    ua, ub, ab = sign * a[..., 0], sign * b[..., 0], (a * b).sum(axis=-1)
    rise = np.sqrt(1 - rim**2)
    least = rim - _SLACK

    def one_rim(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray]:
        """u·p and other·p of the p on the rim of one cap that is nearest to u: in the plane of both."""
        across = np.sqrt(np.maximum(1 - one**2, 0.0))
        # The other centre's share along the way from this centre to u.
        along = np.where(across > 0, (other - ab * one) / np.where(across > 0, across, 1.0), 0.0)
        return rim * one + rise * across, rim * ab + rise * along

    at_a, b_there = one_rim(ua, ub)
    at_b, a_there = one_rim(ub, ua)
    # On both rims p is (a + b)·rim / (1 + a·b), and what is left of length 1 across them, towards u.
    middle = rim / np.maximum(1 + ab, _SLACK)
    left = 1 - 2 * rim * middle
    between = np.where(1 - ab**2 > _SLACK, (ub - ab * ua) ** 2 / np.maximum(1 - ab**2, _SLACK), 0.0)
    across = np.maximum(1 - ua**2 - between, 0.0)
    both = middle * (ua + ub) + np.sqrt(np.maximum(left, 0.0) * across)
    return np.select(
        [
            (ua >= least) & (ub >= least),
            (ua < least) & (b_there >= least),
            (ub < least) & (a_there >= least),
            left >= -_SLACK,
        ],
        [np.ones_like(ua), at_a, at_b, both],
        -np.inf,
    )
