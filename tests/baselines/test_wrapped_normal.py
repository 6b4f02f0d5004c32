"""Normal distributions on SO(3): their density, their samples and their divergence, against quadrature."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from sen_bench.baselines.wrapped_normal import WIDEST, divergence_from_uniform, exponential, log_density

SCALES = [(0.1, 0.1, 0.1), (0.3, 0.2, 0.5), (0.9, 0.9, 0.9), (1.5, 0.6, 1.0), (WIDEST, WIDEST, WIDEST)]


class Quadrature(NamedTuple):
    """Rotation vectors in the ball of radius π, `[N, 3]`, and their weights under Haar's measure, `[N]`."""

    vectors: Tensor
    weights: Tensor


def quadrature(angles: int = 100, polar: int = 24) -> Quadrature:
    """Gauss–Legendre in the angle and in the height of the axis, evenly spaced around it."""

    def legendre(count: int, low: float, high: float) -> tuple[Tensor, Tensor]:
        nodes, weights = np.polynomial.legendre.leggauss(count)
        half = (high - low) / 2
        return torch.tensor(low + half * (nodes + 1)), torch.tensor(half * weights)

    angle, of_angle = legendre(angles, 0, math.pi)
    height, of_height = legendre(polar, -1, 1)
    turn = torch.arange(2 * polar, dtype=torch.float64) * math.pi / polar
    flat = (1 - height.square()).sqrt()
    axes = torch.stack(
        [flat[:, None] * turn.cos(), flat[:, None] * turn.sin(), height[:, None].expand(-1, len(turn))],
        dim=-1,
    )
    # Haar's measure: an angle t has the density (1 − cos t)/π, and axes are uniform.
    weights = torch.einsum("i,j->ij", of_angle * (1 - angle.cos()) / math.pi, of_height / 2)
    vectors = angle[:, None, None, None] * axes
    weights = (weights[..., None] / len(turn)).expand(vectors.shape[:-1])
    return Quadrature(vectors.reshape(-1, 3), weights.reshape(-1))


def _scale(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _normal(count: int) -> Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_the_exponential_is_that_of_matrices_and_of_scipy() -> None:
    vectors = _normal(50) * 3
    assert np.allclose(
        exponential(vectors).numpy(), Rotation.from_rotvec(vectors.numpy()).as_matrix(), atol=1e-13
    )
    tiny = torch.tensor([[0.0, 0.0, 0.0], [1e-9, 0.0, 0.0]], dtype=torch.float64)
    assert torch.allclose(exponential(tiny), torch.eye(3, dtype=torch.float64).expand(2, 3, 3), atol=1e-8)


def test_gradients_are_finite_at_no_rotation_at_all() -> None:
    vectors = torch.zeros(1, 3, requires_grad=True)
    scale = torch.full((1, 3), 0.1, requires_grad=True)
    total = exponential(vectors).sum() + log_density(vectors, scale).sum()
    torch.autograd.backward([total])
    for leaf in (vectors, scale):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("scale", SCALES)
def test_the_density_integrates_to_one(scale: tuple[float, float, float]) -> None:
    vectors, weights = quadrature()
    density = log_density(vectors, _scale(scale)).exp()
    assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
    # A wide one has an integrable pole at the identity, about which the quadrature knows nothing.
    assert float((weights * density).sum()) == pytest.approx(1, abs=2e-4 if scale[0] > 1 else 1e-6)


@pytest.mark.parametrize("turns", [-2, -1, 1])
def test_the_density_belongs_to_the_rotation_whatever_vector_names_it(turns: int) -> None:
    vectors = _normal(200)
    length = vectors.norm(dim=1, keepdim=True)
    other = vectors * (length + 2 * math.pi * turns) / length
    assert torch.allclose(exponential(other), exponential(vectors), atol=1e-12)
    scale = _scale((0.6, 0.9, 0.4))
    assert torch.allclose(log_density(other, scale), log_density(vectors, scale), atol=1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_samples_have_the_density(scale: tuple[float, float, float]) -> None:
    """All entries of a rotation and their squares: functions of degrees 1 and 2 that tell axes apart."""
    count = 100_000
    sample = exponential(_normal(count) * _scale(scale))
    vectors, weights = quadrature()
    density = weights * log_density(vectors, _scale(scale)).exp()
    points = exponential(vectors)
    for power in (1, 2):
        expected = torch.einsum("n,nij->ij", density, points**power)
        deviation = (sample**power).std(dim=0) / math.sqrt(count)
        assert ((sample**power).mean(dim=0) - expected).abs().le(5 * deviation + 5e-4).all()


@pytest.mark.parametrize("scale", SCALES)
def test_the_divergence_is_a_numerical_one(scale: tuple[float, float, float]) -> None:
    vectors, weights = quadrature()
    density = log_density(vectors, _scale(scale))
    expected = float((weights * density.exp() * density).sum())
    estimates = divergence_from_uniform(_normal(200_000) * _scale(scale), _scale(scale))
    error = float(estimates.std()) / math.sqrt(len(estimates))
    assert float(estimates.mean()) == pytest.approx(expected, abs=5 * error + 5e-4)
    assert error < 0.01


def test_narrow_ones_diverge_as_a_gaussian_does_and_the_widest_hardly_at_all() -> None:
    def divergence(scale: float) -> float:
        scales = torch.full((3,), scale, dtype=torch.float64)
        return float(divergence_from_uniform(_normal(100_000) * scales, scales).mean())

    volume = math.log(8 * math.pi**2)
    for scale in (0.01, 0.05):
        expected = volume - 1.5 * math.log(2 * math.pi * math.e) - 3 * math.log(scale)
        assert divergence(scale) == pytest.approx(expected, abs=0.02)
    assert divergence(WIDEST) < 0.1


def test_float32_agrees_with_float64() -> None:
    vectors, scale = _normal(1000) * 0.4, _scale((0.4, 0.4, 0.4))
    assert torch.allclose(
        log_density(vectors.float(), scale.float()).double(), log_density(vectors, scale), atol=1e-4
    )
