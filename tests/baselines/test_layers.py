"""C4 layers: equal to their dense forms, and equivariant, for every element."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines import group_convolution
from sen_bench.baselines.group_convolution import c4_linear
from sen_bench.baselines.layers import C4Linear, fibre_stack, orbit_count, orbit_stack
from tests.oracles.dense_layers import dense_c4_linear, textbook_fibre_orbits, textbook_orbits

TURNS = (0, 1, 2, 3)


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(params=["circulant matrix", "frequencies", "planes"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the forms of a layer in turn, which here are all of one size."""
    monkeypatch.setattr(group_convolution, "is_small", lambda _: request.param == "circulant matrix")
    monkeypatch.setattr(group_convolution, "use_loops", lambda *_: request.param == "planes")


def _values_and_gradients(
    function: object, x: Tensor, weight: Tensor, bias: Tensor, probe: Tensor
) -> list[Tensor]:
    assert callable(function)
    leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
    y = function(*leaves)
    torch.autograd.backward([(y * probe).sum()])
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("leading", [(), (3,), (2, 5)], ids=str)
def test_every_form_is_the_dense_circulant_one_with_its_gradients(
    leading: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    x, probe = _random(*leading, 4, 6, dtype=dtype), _random(*leading, 4, 3, seed=1, dtype=dtype)
    weight, bias = _random(4, 3, 6, seed=2, dtype=dtype), _random(3, seed=3, dtype=dtype)
    ours = _values_and_gradients(c4_linear, x, weight, bias, probe)
    dense = _values_and_gradients(dense_c4_linear, x, weight, bias, probe)
    assert len(ours) == len(dense) == 4
    for a, b in zip(ours, dense, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("form")
def test_gradients_are_those_of_finite_differences() -> None:
    x, weight, bias = (
        tensor.requires_grad_() for tensor in (_random(2, 4, 3), _random(4, 2, 3, seed=1), _random(2, seed=2))
    )
    assert torch.autograd.gradcheck(c4_linear, (x, weight, bias))
    assert torch.autograd.gradcheck(c4_linear, (x, weight))


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("frozen", [0, 1, 2], ids=["x", "weight", "bias"])
def test_gradients_come_only_where_they_are_asked_for(frozen: int) -> None:
    leaves = [_random(2, 4, 3), _random(4, 2, 3, seed=1), _random(2, seed=2)]
    for index, leaf in enumerate(leaves):
        leaf.requires_grad_(index != frozen)
    torch.autograd.backward([c4_linear(*leaves).square().sum()])
    assert [leaf.grad is None for leaf in leaves] == [index == frozen for index in range(3)]


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("turns", TURNS)
def test_the_layer_commutes_with_rolling_the_group_axis(turns: int) -> None:
    layer = C4Linear(5, 3).double()
    x = _random(7, 4, 5)
    torch.testing.assert_close(layer(x.roll(-turns, -2)), layer(x).roll(-turns, -2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("turns", TURNS)
def test_layer_norm_over_channels_commutes_with_rolling_the_group_axis(turns: int) -> None:
    norm = nn.LayerNorm(5).double()
    nn.init.normal_(norm.weight)
    x = _random(7, 4, 5)
    torch.testing.assert_close(norm(x.roll(-turns, -2)), norm(x).roll(-turns, -2), rtol=0, atol=1e-12)


def test_parameters_are_those_of_the_dense_group_convolution_and_start_like_nn_linear() -> None:
    layer = C4Linear(30, 20)
    assert sum(p.numel() for p in layer.parameters()) == 4 * 30 * 20 + 20
    like = nn.Linear(4 * 30, 20)
    for ours, theirs in ((layer.weight, like.weight), (layer.bias, like.bias)):
        bound = (4 * 30) ** -0.5
        assert 0.8 * bound < ours.abs().max() <= bound
        assert 0.8 * bound < theirs.abs().max() <= bound
    assert layer.weight.std().item() == pytest.approx(like.weight.std().item(), rel=0.1)


def test_under_autocast_the_products_are_bfloat16_and_the_gradients_are_not() -> None:
    layer = C4Linear(16, 8)
    x = _random(32, 4, 16, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), layer(x), rtol=0.03, atol=0.03)
    torch.autograd.backward([y.float().square().sum()])
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6, 7, 50])
def test_orbits_are_those_found_pixel_by_pixel(side: int) -> None:
    maps = torch.arange(2.0 * side * side).view(2, side, side)
    stacked = orbit_stack(maps)
    assert stacked.shape == (2, 4, orbit_count(side))
    assert torch.equal(stacked, textbook_orbits(maps))


@pytest.mark.parametrize("side", [2, 3, 4, 5, 6, 7, 50])
def test_orbits_hold_every_pixel_once_and_an_odd_centre_four_times(side: int) -> None:
    pixels = orbit_stack(torch.arange(side * side).view(side, side)).flatten().tolist()
    expected = list(range(side * side))
    if side % 2:
        expected += 3 * [side * side // 2]
    assert sorted(pixels) == sorted(expected)


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 50])
def test_turning_the_map_rolls_the_fibre(side: int, turns: int) -> None:
    maps = _random(2, 5, side, side)
    turned = orbit_stack(torch.rot90(maps, turns, (-2, -1)))
    assert torch.equal(turned, orbit_stack(maps).roll(-turns, -2))


def test_orbits_do_not_depend_on_the_memory_format() -> None:
    maps = _random(2, 5, 6, 6)
    assert torch.equal(orbit_stack(maps.contiguous(memory_format=torch.channels_last)), orbit_stack(maps))


@pytest.mark.parametrize("side", [1, 2, 5])
def test_orbits_of_fibres_are_those_found_pixel_by_pixel_and_hold_each_pixel_once(side: int) -> None:
    maps = torch.arange(8.0 * side * side).view(2, 4, side, side)
    stacked = fibre_stack(maps)
    assert stacked.shape == (2, 4, side * side)
    assert torch.equal(stacked, textbook_fibre_orbits(maps))
    assert sorted(stacked.flatten().tolist()) == list(range(8 * side * side))


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("side", [1, 2, 5])
def test_turning_regular_maps_rolls_the_fibre(side: int, turns: int) -> None:
    maps = _random(2, 5, 4, side, side)
    turned = fibre_stack(torch.rot90(maps, turns, (-2, -1)).roll(-turns, -3))
    assert torch.equal(turned, fibre_stack(maps).roll(-turns, -2))
