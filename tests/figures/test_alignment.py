"""Planes and rotations are aligned with the true ones exactly, and by what the group allows only."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.figures.grids import cell_means, cell_vectors, object_plane
from sen_bench.figures.irreps import (
    align_plane,
    correlation_ratio,
    principal_components,
)
from sen_bench.figures.rotations import best_alignment, geodesic_distance, rotation_angle
from sen_bench.symmetry import SO3, Group, Representation


def test_turns_of_the_world_turn_the_vectors_of_cells() -> None:
    cells = np.stack(np.divmod(np.arange(25), 5), axis=-1)
    moved = np.stack([4 - cells[:, 1], cells[:, 0]], axis=-1)
    x, y = cell_vectors(cells, 5).T
    assert np.array_equal(cell_vectors(moved, 5), np.stack([-y, x], axis=-1))


def test_an_equivariant_map_of_cells_is_drawn_as_the_grid() -> None:
    """Two regular channels, one of which carries the cell's vector in its frequency 1; noise elsewhere."""
    rng = np.random.default_rng(3)
    cells = rng.integers(5, size=(200, 2))
    x, y = cell_vectors(cells, 5).T
    phase = 1.1
    vectors = (x + 1j * y) * np.exp(1j * phase)
    quarter = np.arange(4) * np.pi / 2
    wave = np.real(vectors[:, None] * np.exp(-1j * quarter))
    constant = rng.normal(size=(200, 1))
    latents = np.stack([wave + constant, np.tile(constant, 4)], axis=2)
    action = Representation.regular(Group.cyclic(4)).tensor_product(
        Representation.from_generators(Group.cyclic(4), "channel", {1: [0, 1]}, permutation=True)
    )
    drawn = object_plane(latents, cells, 5, action)
    assert np.allclose(drawn, math.sqrt(2) * cell_vectors(cells, 5))
    means = cell_means(drawn, cells, 5)
    assert np.allclose(means[0, 4], math.sqrt(2) * np.array([2, 2]))


def test_a_reflected_plane_is_put_right_without_a_group() -> None:
    cells = np.random.default_rng(4).integers(5, size=(300, 2))
    latents = cell_vectors(cells, 5) @ np.array([[0.0, 2.0], [2.0, 0.0]]) + 7
    drawn = object_plane(latents, cells, 5, None)
    expected = 2 * cell_vectors(cells, 5)
    assert np.allclose(drawn, expected - expected.mean(axis=0))


def test_a_plane_is_turned_but_not_reflected_under_a_group() -> None:
    targets = np.random.default_rng(5).normal(size=(20, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert np.allclose(align_plane(targets @ turn, targets, reflect=False), targets)
    reflected = align_plane(targets * [1, -1], targets, reflect=False)
    assert not np.allclose(reflected, targets, atol=0.1)
    assert np.allclose(align_plane(targets * [1, -1], targets, reflect=True), targets)


def test_principal_components_of_points_on_a_line_and_of_equal_points() -> None:
    line = np.array([[1.0, 2.0, 2.0]]) * np.array([[-3.0], [0.0], [3.0]])
    assert np.allclose(principal_components(line), [[-9, 0], [0, 0], [9, 0]])
    assert np.array_equal(principal_components(np.ones((4, 1))), np.zeros((4, 2)))


def test_correlation_ratio() -> None:
    angle = np.linspace(-np.pi, np.pi, 800)
    assert correlation_ratio(np.cos(angle), angle) > 0.95
    assert correlation_ratio(np.cos(7 * angle), np.random.default_rng(0).normal(size=800)) < 0.1
    assert correlation_ratio(np.ones(800), angle) == 0


def test_alignment_recovers_a_constant_rotation() -> None:
    rng = np.random.default_rng(6)
    true = np.stack([SO3().sample(rng) for _ in range(40)])
    constant = SO3().sample(rng)
    learned = true @ constant
    assert np.allclose(best_alignment(learned, true), constant)
    # With noise on every frame it stays a rotation near that.
    noise = np.stack([_turn(0.1 * rng.normal()) for _ in true])
    found = best_alignment(noise @ learned, true)
    assert np.allclose(found @ found.T, np.eye(3))
    assert np.linalg.det(found) == pytest.approx(1)
    assert geodesic_distance(found, constant) < 0.1


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, math.pi / 2, math.pi - 1e-7, math.pi])
def test_geodesic_distance_is_the_angle_between_rotations(angle: float) -> None:
    start = SO3().sample(np.random.default_rng(7))
    assert geodesic_distance(_turn(angle) @ start, start) == pytest.approx(angle, abs=1e-15, rel=1e-6)
    assert rotation_angle(_turn(angle)) == pytest.approx(angle, abs=1e-15)


def _turn(angle: float) -> NDArray[np.float64]:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
