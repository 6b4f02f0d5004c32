"""Latents are taken apart by the irreducible representations of the group that acts on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sen_bench.baselines.objects import build_object_model
from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.figures.irreps import (
    components,
    irreps,
    point_group,
)
from sen_bench.figures.latents import latent_action, object_actions
from sen_bench.figures.planes import first_components
from sen_bench.symmetry import Group, Representation
from tests.support.representations import copies

CPU = torch.device("cpu")
GROUPS = [*(Group.cyclic(n) for n in range(1, 7)), *(Group.dihedral(n) for n in range(1, 7))]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.name))
def test_irreps_are_all_the_irreducible_representations(group: Group) -> None:
    found = irreps(group)
    characters = np.stack([np.trace(irrep.matrices, axis1=1, axis2=2) for irrep in found])
    for irrep in found:
        Representation(group, irrep.name, matrices=irrep.matrices)  # checks that it is a homomorphism
    gram = characters @ characters.T / group.order
    # Over the reals, a plane of a cyclic group is two complex lines, hence the 2.
    norms = [2.0 if irrep.dim == 2 and group.name.startswith("C") else 1.0 for irrep in found]
    assert np.allclose(gram, np.diag(norms), atol=1e-12)
    # The regular representation holds every irreducible one as often as it has dimensions over its field.
    assert sum(irrep.dim**2 / norm for irrep, norm in zip(found, norms, strict=True)) == group.order
    assert len({irrep.name for irrep in found}) == len(found)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.name))
def test_the_group_acts_on_components_by_their_irrep_and_nothing_is_lost(group: Group) -> None:
    action = copies(Representation.regular(group), 3)
    points = np.random.default_rng(0).normal(size=(50, action.dim))
    square = np.zeros(len(points))
    for irrep in irreps(group):
        shares = []
        for part in components(points, action, irrep):
            assert np.allclose(part.basis.T @ part.basis, np.eye(irrep.dim), atol=1e-12)
            for g in range(group.order):
                moved = action.apply(g, points) @ part.basis
                assert np.allclose(moved, points @ part.basis @ irrep.matrices[g].T, atol=1e-12)
            square += ((points @ part.basis) ** 2).sum(axis=1)
            shares.append((part.coordinates**2).sum())
        assert shares == sorted(shares, reverse=True)
    assert np.allclose(square, (points**2).sum(axis=1))


def test_frequency_one_of_a_regular_latent_is_that_of_the_fourier_transform() -> None:
    group = Group.cyclic(4)
    points = np.random.default_rng(1).normal(size=(20, 4))
    plane = next(irrep for irrep in irreps(group) if irrep.dim == 2)
    (part,) = components(points, Representation.regular(group), plane)
    fourier = np.fft.fft(points, axis=1)[:, 1] / math.sqrt(2)
    assert np.allclose(np.hypot(*part.coordinates.T), np.abs(fourier))
    turned = part.coordinates[:, 0] + 1j * part.coordinates[:, 1]
    # The same number up to one fixed phase and the sense of the transform.
    assert np.allclose(turned / turned[0], np.conj(fourier / fourier[0]))


def test_the_components_of_d4_regular_latents_by_hand() -> None:
    """Of one regular channel: four lines, whose characters are known, and two planes."""
    group = Group.dihedral(4)
    points = np.random.default_rng(2).normal(size=(30, 8))
    parts = first_components(points, Representation.regular(group))
    assert [part.irrep.name for part in parts] == ["E", "E", "A1", "A2", "B1", "B2"]
    signs = {"A1": [1] * 8, "A2": [1] * 4 + [-1] * 4, "B1": [1, -1] * 4, "B2": [1, -1] * 2 + [-1, 1] * 2}
    centre = points.mean(axis=0)
    for part in parts[2:]:
        shift = centre if part.irrep.name == "A1" else 0
        expected = (points - shift) @ np.array(signs[part.irrep.name]) / math.sqrt(8)
        assert np.allclose(np.abs(part.coordinates[:, 0]), np.abs(expected))


def test_point_groups_of_worlds() -> None:
    world = point_group(Blocks3D().symmetry.group)
    assert world is not None
    assert (world.group.name, world.elements.tolist()) == ("C4", [0, 120, 240, 360])
    same = point_group(Group.dihedral(4))
    assert same is not None
    assert same.elements.tolist() == list(range(8))
    assert point_group(Group.symmetric(3)) is None


def test_the_action_on_latents_is_read_off_the_model() -> None:
    symmetry = Blocks3D().symmetry
    model = build_object_model(
        "sen", symmetry=symmetry, observation_shape=(6, 6, 3), embedding_channels=2, hidden=4
    )
    points = point_group(symmetry.group)
    assert points is not None
    matrices = latent_action(model, points, CPU)
    latent = torch.randn(1, 5, 4, 2, dtype=torch.float64)
    for matrix, g in zip(matrices, points.elements, strict=True):
        moved = model.transform_latent(torch.tensor([g]), latent)
        assert np.allclose(matrix @ latent.flatten().numpy(), moved.flatten().numpy())
    for action in object_actions(matrices, 5, points):
        assert action.dim == 8
        # It rolls the fibre of four, whatever the channel.
        assert np.array_equal(np.abs(action.matrix).sum(axis=2), np.ones((4, 8)))
