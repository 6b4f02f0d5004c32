"""Normal distributions on SO(3): a Gaussian of rotation vectors, carried to rotations by the exponential map.

After Falorsi, de Haan, Davidson, De Cao, Weiler, Forré and Cohen, "Explorations in Homeomorphic Variational
Auto-Encoding" (2018), section 3. Densities are with respect to Haar's measure of total mass 1, for which the
uniform distribution has the density 1.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

WIDEST: Final = 2.0
"""The largest scale, in radians [ours]: such a distribution can hardly be told from the uniform one."""

_TURNS: Final = 3
# Lengths below it count as this: there the formulas are 0/0, and equal to their limits within rounding.
_SMALLEST: Final = 1e-6


def exponential(vectors: Tensor) -> Tensor:
    """The rotations about vectors by their lengths (Rodrigues' formula).

    Args:
        vectors: Rotation vectors v, `[..., 3]`, in radians.

    Returns:
        Matrices, `[..., 3, 3]`.
    """
    length = _length(vectors)[..., None, None]
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(row, dim=-1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    cross = torch.stack(rows, dim=-2)
    # sin(t)/t and (1 − cos(t))/t², which are smooth.
    first, second = torch.sinc(length / math.pi), torch.sinc(length / (2 * math.pi)).square() / 2
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + first * cross + second * (cross @ cross)


def log_density(vectors: Tensor, scale: Tensor) -> Tensor:
    """The logarithm of the density at exp(v), of the distribution of exp(w) with w normal about 0.

    Rotation vectors v and v (|v| + 2πk)/|v| are one rotation, for every whole number k, so the Gaussian's
    densities there are added up, each over the density of Haar's measure in rotation vectors,
    (2 − 2 cos t)/(8π² t²) at the length t. Terms with |k| above 3 are left out: up to the scale `WIDEST` they
    are negligible.

    The same is the density at m exp(v) of a distribution with the mean m.

    Args:
        vectors: Rotation vectors v, `[..., 3]`, of any length.
        scale: The Gaussian's standard deviations along the axes, `[..., 3]`, in radians.

    Returns:
        Natural logarithms, `[...]`.
    """
    length = _length(vectors)
    turns = torch.arange(-_TURNS, _TURNS + 1, dtype=vectors.dtype, device=vectors.device)
    # How much longer each of the vectors is; exactly 1 for k = 0, so that nothing cancels at short ones.
    stretch = 1 + 2 * math.pi * turns / length[..., None]
    square = (vectors / scale).square().sum(dim=-1)
    gaussian = -stretch.square() * square[..., None] / 2
    terms = gaussian + 2 * stretch.abs().clamp(min=_SMALLEST).log()
    # (2 − 2 cos t)/t², of the vector itself.
    haar = 2 * torch.sinc(length / (2 * math.pi)).abs().clamp(min=_SMALLEST).log()
    constant = math.log(8 * math.pi**2) - 1.5 * math.log(2 * math.pi)
    return torch.logsumexp(terms, dim=-1) - haar - scale.log().sum(dim=-1) + constant


def divergence_from_uniform(vectors: Tensor, scale: Tensor) -> Tensor:
    """An unbiased estimate of the Kullback–Leibler divergence KL(q ‖ uniform) from samples exp(v) of q.

    It is log q at the sample, with the part of it that is the Gaussian's log density replaced by its known
    mean, so that little is left to chance: of a narrow q hardly anything. Estimates that are never negative,
    as 1/q − 1 + log q, are of no use here: the mean of 1/q is 1 by what a narrow q hardly ever draws.

    Args:
        vectors: Draws v of the Gaussian, `[..., 3]`, in radians.
        scale: Its standard deviations along the axes, `[..., 3]`.

    Returns:
        Estimates in nats, `[...]`; single ones may be negative.
    """
    deviation = (vectors / scale).square().sum(dim=-1) - vectors.shape[-1]
    return log_density(vectors, scale) + deviation / 2


def _length(vectors: Tensor) -> Tensor:
    """The lengths of vectors `[..., 3]`, at least `_SMALLEST`."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return length.clamp(min=_SMALLEST)
