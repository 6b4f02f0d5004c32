"""Latents that are copies of C4's standard and regular representations, and how layers see them.

A latent of s standard and r regular copies is 2·s + 4·r numbers: first the components of s vectors of the
plane along up and along right, `[2, s]`, then regular features `[4, r]`. A rotation by +90 degrees takes a
vector (a, b) to (b, -a), and rolls regular features by -1.

The vector (a, b) is also the regular feature (a, b, -a, -b)/√2: so the standard representation lies in the
regular one, at frequency 1, with the same distances. Layers on regular features therefore serve for both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SCALE = math.sqrt(0.5)


def to_regular(latents: Tensor, *, standard: int) -> Tensor:
    """Latents as regular features, an isometry that commutes with turns.

    Args:
        latents: `[..., 2·s + 4·r]`.
        standard: s.

    Returns:
        `[..., 4, s + r]`.
    """
    lead, rest = latents.shape[:-1], latents.shape[-1] - 2 * standard
    vectors = latents[..., : 2 * standard].reshape(*lead, 2, standard) * _SCALE
    regular = latents[..., 2 * standard :].reshape(*lead, 4, rest // 4)
    return torch.cat([torch.cat([vectors, -vectors], dim=-2), regular], dim=-1)


def from_regular(features: Tensor, *, standard: int) -> Tensor:
    """The transpose of `to_regular`: of the first s channels, what is at frequency 1; of the others, all.

    Args:
        features: Regular features, `[..., 4, s + r]`.
        standard: s.

    Returns:
        Latents `[..., 2·s + 4·r]`.
    """
    first, regular = features[..., :standard], features[..., standard:]
    vectors = (first[..., :2, :] - first[..., 2:, :]) * _SCALE
    return torch.cat([vectors.flatten(-2), regular.flatten(-2)], dim=-1)


def signed(latents: Tensor, *, standard: int) -> Tensor:
    """Latents with the negatives of their vectors behind these: `[..., 4·s + 4·r]`, which turns permute."""
    vectors, regular = latents[..., : 2 * standard], latents[..., 2 * standard :]
    return torch.cat([vectors, -vectors, regular], dim=-1)


def turn_table(*, standard: int, regular: int) -> Tensor:
    """The place in `signed` latents that each number of a latent comes from: int64 `[turns, 2·s + 4·r]`."""
    quarters = torch.arange(4)[:, None, None]
    vectors = (torch.arange(2)[:, None] + quarters) % 4 * standard + torch.arange(standard)
    fibres = (torch.arange(4)[:, None] + quarters) % 4 * regular + torch.arange(regular)
    return torch.cat([vectors.flatten(1), 4 * standard + fibres.flatten(1)], dim=1)
