"""Steerable convolutions of C4 and D4: they commute with every element, and start as e2cnn's do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.steerable import C4, D4, SteerableConvolution
from sen_bench.errors import ConfigError
from sen_bench.symmetry import Group
from tests.oracles.e2cnn_networks import field_type


def _transformed(x: Tensor, g: int, group: Group, *, regular: bool) -> Tensor:
    """The group's action on fields `[B, channels, H, W]`: moves the maps and permutes the fibre."""
    # Element 4 + k of D4 reflects (x, y) to (x, -y) before k quarter turns.
    moved = torch.rot90(x.flip(-2) if g >= 4 else x, g % 4, (-2, -1))
    if not regular:
        return moved
    fibre = torch.tensor(group.cayley[group.inverse[g]])
    fields = moved.reshape(len(moved), group.order, -1, *moved.shape[2:])
    return fields.index_select(1, fibre).flatten(1, 2)


@pytest.mark.parametrize("group", [C4, D4], ids=lambda group: group.name)
@pytest.mark.parametrize(("in_regular", "out_regular"), [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize(
    ("side", "walk"),
    [
        (9, {}),
        (8, {"kernel_size": 4, "stride": 2, "padding": 0}),
        (8, {"kernel_size": 1, "padding": 0}),
        (9, {"dilation": 4, "padding": 4}),
        (9, {"stride": 2}),
        (9, {"stride": 2, "padding": 2}),
        (10, {"kernel_size": 5, "stride": 5, "padding": 0}),
    ],
    ids=str,
)
def test_convolutions_commute_with_every_element(
    group: Group,
    in_regular: bool,  # noqa: FBT001
    out_regular: bool,  # noqa: FBT001
    side: int,
    walk: dict[str, int],
) -> None:
    torch.manual_seed(0)
    layer = SteerableConvolution(
        2, 3, in_regular=in_regular, out_regular=out_regular, group=group, **walk
    ).double()
    nn.init.uniform_(layer.bias)
    x = torch.rand(1, 2 * (group.order if in_regular else 1), side, side, dtype=torch.float64)
    y = layer(x)
    for g in range(group.order):
        moved = layer(_transformed(x, g, group, regular=in_regular))
        torch.testing.assert_close(moved, _transformed(y, g, group, regular=out_regular), rtol=0, atol=1e-11)
        assert g == 0 or (moved - y).abs().max() > 1e-3


@pytest.mark.parametrize(("in_regular", "out_regular"), [(False, True), (True, True), (True, False)])
def test_kernels_without_means_are_the_nearest_of_the_layer(in_regular: bool, out_regular: bool) -> None:  # noqa: FBT001
    """Uniform images give the bias alone; weights move along what makes means, and no further."""
    torch.manual_seed(0)
    layer = SteerableConvolution(
        2, 3, in_regular=in_regular, out_regular=out_regular, kernel_size=6, stride=6, padding=0
    ).double()
    x = torch.rand(5, 8 if in_regular else 2, 1, 1, dtype=torch.float64).expand(-1, -1, 6, 6)
    before = layer.weights.detach().clone()
    assert layer(x).var(dim=0).max() > 1e-6
    layer.remove_means()
    assert layer(x).abs().max() < 1e-12
    after = layer.weights.detach().clone()
    means = layer.basis.mean(dim=(-2, -1)).flatten(1)
    change = (before - after).view(6, -1)
    assert torch.linalg.matrix_rank(means) < means.shape[0]
    kept = torch.linalg.svd(means.T).Vh[int(torch.linalg.matrix_rank(means)) :]
    assert (change @ kept.T).abs().max() < 1e-12
    assert after.norm() > 0.5 * before.norm()
    y = layer(torch.rand(1, x.shape[1], 6, 6, dtype=torch.float64))
    assert y.abs().max() > 1e-2


def test_a_stride_of_2_over_an_even_side_does_not_commute_with_turns() -> None:
    torch.manual_seed(0)
    layer = SteerableConvolution(2, 2, in_regular=False, out_regular=False, stride=2).double()
    x = torch.rand(1, 2, 8, 8, dtype=torch.float64)
    moved, expected = layer(torch.rot90(x, 1, (-2, -1))), torch.rot90(layer(x), 1, (-2, -1))
    assert (moved - expected).norm() > 0.1 * expected.norm()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("reflects", [0, 1])
def test_pairs_of_signs_are_exchanged_by_reflections_and_kept_by_turns(turns: int, reflects: int) -> None:
    torch.manual_seed(0)
    layer = SteerableConvolution(
        2, 3, in_regular=True, out_regular=True, in_signs=2, group=D4, kernel_size=1, padding=0
    ).double()
    g, sign = 4 * reflects + turns, -1 if reflects else 1
    action = torch.rand(1, 2, 1, 1, dtype=torch.float64)
    fields = torch.rand(1, 16, 1, 1, dtype=torch.float64)
    y = layer(torch.cat([action, -action, fields], dim=1))
    moved = torch.cat([sign * action, -sign * action, _transformed(fields, g, D4, regular=True)], dim=1)
    torch.testing.assert_close(layer(moved), _transformed(y, g, D4, regular=True), rtol=0, atol=1e-12)
    other = layer(torch.cat([-action, action, fields], dim=1))
    assert (other - y).abs().max() > 1e-3


def test_elements_of_d4_have_the_same_numbers_in_e2cnn() -> None:
    space = e2cnn_compat.gspaces.FlipRot2dOnR2(4, axis=0.0)
    theirs = space.fibergroup
    for a, one in enumerate(theirs.elements):
        for b, other in enumerate(theirs.elements):
            assert theirs.elements[D4.cayley[a, b]] == theirs.combine(one, other)
    image = torch.rand(1, 1, 5, 5)
    colours = e2cnn_compat.nn.FieldType(space, [space.trivial_repr])
    for g, element in enumerate(theirs.elements):
        with e2cnn_compat.silenced():
            moved = e2cnn_compat.nn.GeometricTensor(image, colours).transform(element).tensor
        torch.testing.assert_close(moved, _transformed(image, g, D4, regular=False))


@pytest.mark.parametrize("signs", [0, 2])
@pytest.mark.parametrize("walk", [{}, {"kernel_size": 1, "padding": 0}, {"dilation": 4}], ids=str)
def test_initial_weights_are_e2cnns(signs: int, walk: dict[str, int]) -> None:
    in_type, out_type = field_type(3, regular=True, signs=signs), field_type(4, regular=True)
    with e2cnn_compat.silenced():
        theirs = e2cnn_compat.nn.R2Conv(
            in_type, out_type, walk.get("kernel_size", 3), dilation=walk.get("dilation", 1)
        )
        torch.manual_seed(0)
        expected = torch.empty(len(theirs.weights), dtype=torch.float64)
        e2cnn_compat.nn.init.generalized_he_init(expected, theirs.basisexpansion)
    torch.manual_seed(0)
    ours = SteerableConvolution(3, 4, in_regular=True, out_regular=True, in_signs=signs, group=D4, **walk)
    torch.testing.assert_close(ours.weights, expected.float(), rtol=1e-6, atol=0)
    assert not ours.bias.any()


def test_groups_that_do_not_act_on_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="need a group C_n or D_n, not S3"):
        SteerableConvolution(1, 1, in_regular=True, out_regular=True, group=Group.symmetric(3))
    with pytest.raises(ConfigError, match="need a group with reflections, not C4"):
        SteerableConvolution(1, 1, in_regular=True, out_regular=True, in_signs=1)
