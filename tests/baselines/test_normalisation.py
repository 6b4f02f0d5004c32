"""Batch normalisation by our own sums: PyTorch's, but nearer to exact."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines import loops
from sen_bench.baselines.normalisation import BatchNorm, FieldBatchNorm, Layers
from sen_bench.baselines.normalisation_operators import normalise


def _images(*shape: int, mean: float = 0.0, std: float = 1.0, seed: int = 0) -> Tensor:
    x = mean + std * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.contiguous(memory_format=torch.channels_last)


def _norm(channels: int) -> BatchNorm:
    norm = BatchNorm(channels).double()
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    return norm


def _theirs(norm: BatchNorm) -> nn.BatchNorm2d:
    theirs = nn.BatchNorm2d(norm.num_features).double()
    theirs.load_state_dict(norm.state_dict())
    return theirs


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def _copies_as_pixels(x: Tensor, channels: int) -> Tensor:
    """`[B, k·C, H, W]` to `[B, C, k·H, W]`."""
    return x.reshape(len(x), -1, channels, *x.shape[2:]).transpose(1, 2).flatten(2, 3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("copies", [1, 4])
@pytest.mark.parametrize("sides", [(5, 3), (1, 1)], ids=str)
def test_it_is_pytorchs_with_its_gradients_and_running_statistics(
    sides: tuple[int, int],
    copies: int,
    training: bool,  # noqa: FBT001
) -> None:
    ours = _norm(6)
    theirs = _theirs(ours)
    probe = _images(7, copies * 6, *sides, seed=1)
    results = []
    for norm in (ours.train(training), theirs.train(training)):
        x = _images(7, copies * 6, *sides, mean=2).requires_grad_()
        y = norm(x) if norm is ours else norm(_copies_as_pixels(x, 6))
        weights = probe if norm is ours else _copies_as_pixels(probe, 6)
        torch.autograd.backward([(y * weights).sum()])
        shown = _copies_as_pixels(y, 6) if norm is ours else y
        results.append([shown, x.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    norm = _norm(3)
    x = _images(3, 6, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(norm, (x,))


@pytest.mark.parametrize("frozen", ["x", "weight", "bias"])
def test_gradients_come_only_where_they_are_asked_for(frozen: str) -> None:
    norm, x = _norm(3), _images(3, 3, 2, 3).requires_grad_()
    leaves = {"x": x, "weight": norm.weight, "bias": norm.bias}
    leaves[frozen].requires_grad = False
    torch.autograd.backward([norm(x).square().sum()])
    assert [name for name, leaf in leaves.items() if leaf.grad is None] == [frozen]


def test_means_and_variances_have_no_gradient() -> None:
    x = _images(3, 3, 2, 3).requires_grad_()
    weight, bias = torch.ones(3).double(), torch.zeros(3).double()
    y, mean, variance = normalise(x, weight, bias, 1e-5, relu=False)
    assert (y.requires_grad, mean.requires_grad, variance.requires_grad) == (True, False, False)


def test_of_a_nearly_constant_channel_it_keeps_the_digits_that_float32_has() -> None:
    """Such are the channels that see a background.

    PyTorch's own sums are off by 1e-3 here with one thread, and by less the more threads share them.
    """
    exact = _images(16, 8, 64, 64, mean=1, std=1e-3)
    x = exact.float()
    norm = BatchNorm(8)
    expected = copy.deepcopy(norm).double()(x.double())
    torch.testing.assert_close(norm(x), expected.float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_following_relu_in_place_and_autocast_are_as_with_pytorchs(dtype: torch.dtype) -> None:
    x = _images(4, 3, 5, 5).to(dtype)
    layers = nn.Sequential(BatchNorm(3), nn.ReLU(inplace=True))
    theirs = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())
    y, expected = layers(x), theirs(x)
    assert y.dtype == expected.dtype
    torch.testing.assert_close(y, expected)


def test_in_bfloat16_statistics_and_gradients_are_those_of_float64() -> None:
    """Only what is stored is rounded: results and gradients of images, to the nearest bfloat16."""
    # Nearly constant, as what sees a background; and many pixels, whose sum would lose digits.
    x = _images(16, 8, 64, 64, mean=1, std=2e-2).bfloat16()
    probe = _images(16, 8, 64, 64, seed=1).bfloat16()
    norm = BatchNorm(8)
    nn.init.uniform_(norm.weight, 0.5, 1)
    exact = _theirs(norm.double())
    norm = norm.float()
    leaves = [x.clone().requires_grad_(), x.double().requires_grad_()]
    layers = Layers(norm, nn.ReLU())(leaves[0]), exact(leaves[1]).relu()
    for y, gradient in zip(layers, (probe, probe.double()), strict=True):
        y.backward(gradient)
    for name, statistic in exact.named_buffers():
        torch.testing.assert_close(
            norm.get_buffer(name).double(), statistic.double(), rtol=1e-6, atol=0, msg=name
        )
    assert layers[0].dtype == torch.bfloat16
    torch.testing.assert_close(layers[0].double(), layers[1], rtol=2**-8, atol=1e-5)
    for ours, theirs in ((norm.weight, exact.weight), (norm.bias, exact.bias)):
        torch.testing.assert_close(_gradient(ours).double(), _gradient(theirs), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(_gradient(leaves[0]).double(), _gradient(leaves[1]), rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("copies", [1, 4])
def test_a_relu_in_the_same_passes_is_one_after_them(dtype: torch.dtype, copies: int) -> None:
    x = _images(5, copies * 6, 7, 3).to(dtype)
    norm: nn.Module = BatchNorm(6) if copies == 1 else FieldBatchNorm(6)
    results = []
    for layers in (Layers(norm, nn.ReLU(), nn.Identity()), nn.Sequential(norm, nn.ReLU(), nn.Identity())):
        leaf = x.clone().requires_grad_()
        y = layers.to(torch.float64 if dtype == torch.float64 else torch.float32)(leaf)
        y.backward(torch.ones_like(y) + y.detach())
        assert (y == 0).any()
        results.append([y, leaf.grad, *(_gradient(parameter).clone() for parameter in norm.parameters())])
        norm.zero_grad()
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_what_is_not_a_number_stays_so() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = _images(4, 3, 5, 5).to(dtype)
        x[0, 1, 2, 2] = torch.nan
        y = BatchNorm(3)(x, relu=True)
        assert y.isnan().any(dim=(0, 2, 3)).tolist() == [False, True, False]


def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "THREADS_WORTH", 64)
    x, probe = _images(9, 6, 7, 5), _images(9, 6, 7, 5, seed=1)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        norm, leaf = BatchNorm(6).double(), x.clone().requires_grad_()
        y = norm(leaf, relu=True)
        y.backward(probe)
        results.append([y, leaf.grad, norm.weight.grad, norm.bias.grad, norm.running_var])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert any(thread.name.startswith("sen-bench-loops") for thread in threading.enumerate())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_they_are_well_formed_operators(dtype: torch.dtype) -> None:
    """Their schemas and their forms for fake tensors are what PyTorch expects of them."""
    x, gradient = (
        _images(3, 8, 4, 5).to(dtype).contiguous(memory_format=torch.channels_last) for _ in range(2)
    )
    weight, bias = torch.ones(4), torch.zeros(4)
    statistics = torch.zeros(4).double(), torch.ones(4).double()
    operators = torch.ops.sen_bench
    for operator, arguments in (
        (operators.normalise, (x, weight, bias, 1e-5, True)),
        (operators.normalise_backward, (gradient, x, weight, bias, *statistics, 1e-5, True)),
    ):
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


def test_a_single_value_per_channel_is_refused_as_by_pytorch() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        BatchNorm(3)(torch.ones(1, 3, 1, 1))


def test_a_graph_of_either_type_survives_a_later_pass_of_the_other() -> None:
    norm, x = BatchNorm(3), _images(4, 3, 5, 5).float()
    narrow = norm(x.bfloat16().requires_grad_())
    wide = norm(x.clone().requires_grad_())
    torch.autograd.backward([narrow.float().sum() + wide.sum()])
    assert norm.num_batches_tracked == 2
