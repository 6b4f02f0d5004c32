"""Rotations of space as the outputs of networks: two vectors made orthonormal (Gram–Schmidt)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sen_bench.baselines.model import full_precision

DEGENERATE = 1e-4
"""Length, or sine of an angle, below which a direction counts as undefined [ours]."""


def gram_schmidt(vectors: Tensor) -> Tensor:
    """Rotations from pairs of vectors u and v (paper, 3D Teapot).

    The columns of the rotation are x = u/|u|, y along the part of v at right angles to x, and z = x × y. So
    it turns with the vectors: `gram_schmidt(g u, g v) = g gram_schmidt(u, v)`. It is computed at least in
    float32, even under autocast.

    Where u is shorter than `DEGENERATE`, or v is, or the sine of their angle is smaller, a direction is
    undefined, and an axis of the world stands in for the vector at fault [ours]: the result is still a
    rotation, and no gradient flows back to that vector. Elsewhere gradients are those of the formula, which
    grow as the inverse of a length or of the sine: large near such a place, and finite everywhere.

    Args:
        vectors: u and v as rows, `[..., 2, 3]`.

    Returns:
        Matrices with determinant 1, `[..., 3, 3]`.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        u, v = full_precision(vectors).unbind(-2)
        x = _direction(u, torch.eye(3, dtype=u.dtype, device=u.device)[0])
        # The axis furthest from x: at least 54 degrees away, so it can stand in for v.
        axis = nn.functional.one_hot(x.detach().abs().argmin(dim=-1), 3).to(x.dtype)
        v = _direction(v, axis)
        y = _direction(_without(v, x), _without(axis, x))
        # Once more: if v is close to x, rounding has left a share along x, which the scaling has enlarged.
        y = nn.functional.normalize(_without(y, x), dim=-1)
        return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def _direction(vector: Tensor, substitute: Tensor) -> Tensor:
    """The unit vectors along vectors `[..., 3]`, or along the substitute for those that are too short."""
    defined = torch.linalg.vector_norm(vector.detach(), dim=-1, keepdim=True) > DEGENERATE
    return nn.functional.normalize(torch.where(defined, vector, substitute), dim=-1)


def _without(vector: Tensor, unit: Tensor) -> Tensor:
    """The part of vectors `[..., 3]` at right angles to unit vectors."""
    return vector - (vector * unit).sum(dim=-1, keepdim=True) * unit
