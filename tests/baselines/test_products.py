"""Convolutions done as products: the numbers of PyTorch's convolution, and chosen where meant to be."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from sen_bench.baselines import products
from sen_bench.baselines.products import KERNEL_PER_OUTPUT, Convolution, convolve


def both(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    **geometry: int,
) -> list[list[Tensor]]:
    """Result and gradients as a product and as a convolution, float64."""
    results = []
    for threshold in (0, 10**9):
        torch.manual_seed(0)
        sizes = (shape, kernel_shape, kernel_shape[:1])
        x, kernel, bias = (torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes)
        with monkeypatch.context() as patch:
            patch.setattr("sen_bench.baselines.products.KERNEL_PER_OUTPUT", threshold)
            result = convolve(x, kernel, bias, **geometry)
        results.append([result, *torch.autograd.grad(result.square().sum(), (x, kernel, bias))])
    return results


@pytest.mark.parametrize(
    ("side", "size", "stride", "padding", "dilation"),
    [
        case
        for case in itertools.product((2, 5, 9), (1, 3), (1, 2), (0, 1, 2), (1, 2))
        if case[0] + 2 * case[3] >= case[4] * (case[1] - 1) + 1
    ],
)
def test_a_product_is_the_convolution(
    monkeypatch: pytest.MonkeyPatch, side: int, size: int, stride: int, padding: int, dilation: int
) -> None:
    product, convolution = both(
        monkeypatch,
        (3, 4, side, side + 1),
        (5, 4, size, size),
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    for mine, theirs in zip(product, convolution, strict=True):
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def products_seen(layer: nn.Module, x: Tensor) -> bool:
    """Whether a layer multiplies matrices, by what the profiler sees."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        layer(x)
    names = {event.key for event in profile.key_averages()}
    assert ("aten::conv2d" in names) != ("aten::linear" in names)
    return "aten::linear" in names


def test_a_product_is_chosen_where_weights_outnumber_positions() -> None:
    layer = Convolution(16, 64, 3, padding=1)
    most = layer.weight.numel() // KERNEL_PER_OUTPUT
    assert products_seen(layer, torch.zeros(most, 16, 1, 1))
    assert not products_seen(layer, torch.zeros(most + 1, 16, 1, 1))
    # A stride leaves fewer positions.
    assert not products_seen(layer, torch.zeros(1, 16, 3, 4))
    assert products_seen(Convolution(16, 64, 3, padding=1, stride=2), torch.zeros(1, 16, 3, 4))


def test_under_autocast_it_is_as_narrow_as_a_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Convolution(8, 16, 3, padding=1)
    x = torch.randn(2, 8, 4, 4)
    with torch.autocast("cpu", torch.bfloat16), monkeypatch.context() as patch:
        theirs = layer(x)
        patch.setattr("sen_bench.baselines.products.KERNEL_PER_OUTPUT", 0)
        mine = layer(x)
    assert mine.dtype == theirs.dtype == torch.bfloat16
    assert mine.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(mine, theirs, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("height", "width"), [(6, 9), (8, 7)], ids=str)
def test_patches_side_by_side_are_the_convolution(
    monkeypatch: pytest.MonkeyPatch,
    height: int,
    width: int,
    biased: bool,  # noqa: FBT001
) -> None:
    """In float64, also where the last pixels belong to no patch."""
    torch.manual_seed(0)
    shapes = ((2, 4, height, width), (5, 4, 3, 3), *([(5,)] if biased else []))
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    x, kernel = leaves[:2]
    bias = leaves[2] if biased else None
    monkeypatch.setattr(products, "_want_patches", lambda *_, **__: True)
    found = convolve(x, kernel, bias, stride=3)
    expected = nn.functional.conv2d(x, kernel, bias, stride=3)
    assert found.is_contiguous(memory_format=torch.channels_last)
    slopes = torch.randn_like(expected)
    for mine, theirs in zip(
        (found, *torch.autograd.grad(found, leaves, slopes)),
        (expected, *torch.autograd.grad(expected, leaves, slopes)),
        strict=True,
    ):
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_patches_are_a_product_in_bfloat16_on_a_cpu_where_they_do_not_overlap() -> None:
    layer, x = Convolution(3, 8, 5, stride=5), torch.rand(4, 3, 20, 20)
    assert not products_seen(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert products_seen(layer, x)
        for stride, padding, dilation in ((4, 0, 1), (5, 1, 1), (5, 0, 2)):
            other = Convolution(3, 8, 5, stride=stride, padding=padding, dilation=dilation)
            assert not products_seen(other, x)
        assert not products_seen(layer.double(), x.double())  # which autocast leaves as it is


def test_patches_in_bfloat16_are_as_near_as_a_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Result and gradients, against those in float64 of the same narrow numbers."""
    torch.manual_seed(0)
    x = torch.rand(8, 3, 20, 20).bfloat16()
    kernel, bias = torch.randn(8, 3, 5, 5).bfloat16(), torch.randn(8).bfloat16()
    errors = {}
    for wanted in (True, False):
        monkeypatch.setattr(products, "_want_patches", lambda *_, wanted=wanted, **__: wanted)
        of_type = []
        for dtype in (torch.bfloat16, torch.float64):
            leaves = [each.to(dtype).requires_grad_() for each in (x, kernel, bias)]
            result = convolve(*leaves, stride=5)
            of_type.append([result, *torch.autograd.grad(result, leaves, torch.ones_like(result))])
        pairs = zip(*of_type, strict=True)
        errors[wanted] = [(near.double() - exact).abs().max() / exact.abs().max() for near, exact in pairs]
    for patches, convolution in zip(errors[True], errors[False], strict=True):
        assert patches <= max(2 * convolution, 2**-8)


def test_without_bias() -> None:
    x, kernel = torch.randn(1, 3, 2, 2), torch.randn(400, 3, 3, 3)
    assert kernel.numel() > KERNEL_PER_OUTPUT * 4
    torch.testing.assert_close(
        convolve(x, kernel, None, padding=1), nn.functional.conv2d(x, kernel, padding=1)
    )


@pytest.mark.parametrize("channels", [(3, 32), (32, 5), (5, 3), (8, 16)], ids=str)
@pytest.mark.parametrize("biased", [True, False])
def test_channels_padded_to_eights_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
    channels: tuple[int, int],
    biased: bool,  # noqa: FBT001
) -> None:
    """As on a GPU in bfloat16, here in float64 on a CPU."""
    into, out = channels
    torch.manual_seed(0)
    x = torch.randn(2, into, 5, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    kernel, bias = torch.randn(out, into, 3, 3, dtype=torch.float64), torch.randn(out, dtype=torch.float64)
    leaves = [each.requires_grad_() for each in ([x, kernel, bias] if biased else [x, kernel])]
    seen = []
    convolution = nn.functional.conv2d

    def watched(
        x: Tensor, kernel: Tensor, bias: Tensor | None, *, stride: int, padding: int, dilation: int
    ) -> Tensor:
        seen.append((*kernel.shape[:2], x.is_contiguous(memory_format=torch.channels_last)))
        return convolution(x, kernel, bias, stride=stride, padding=padding, dilation=dilation)

    monkeypatch.setattr(nn.functional, "conv2d", watched)
    results = []
    for wanted in (True, False):
        monkeypatch.setattr(products, "_want_eights", lambda *_, wanted=wanted: wanted)
        result = convolve(x, kernel, bias if biased else None, stride=2, padding=2, dilation=2)
        results.append([result, *torch.autograd.grad(result.square().sum(), leaves)])
    assert seen == [(-(-out // 8) * 8, -(-into // 8) * 8, True), (out, into, True)]
    for padded, plain in zip(*results, strict=True):
        assert padded.shape == plain.shape
        torch.testing.assert_close(padded, plain, rtol=1e-12, atol=1e-12)


def test_padding_under_autocast_is_of_images_that_are_narrow_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = Convolution(3, 5, 3)
    x = torch.rand(2, 3, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        plain = layer(x)
        monkeypatch.setattr(products, "_want_eights", lambda *_: True)
        padded = layer(x)
    assert padded.dtype == plain.dtype == torch.bfloat16
    torch.testing.assert_close(padded, plain, rtol=2**-7, atol=2**-8)


def test_channels_are_padded_on_a_gpu_in_types_of_16_bits_where_some_are_missing() -> None:
    with FakeTensorMode():
        images = {device: torch.empty(1, 3, 8, 8, device=device) for device in ("cpu", "cuda")}
        odd, even = torch.empty(16, 3, 3, 3), torch.empty(16, 8, 3, 3)
        wanted = products._want_eights
        assert not wanted(images["cuda"], odd)
        assert wanted(images["cuda"].bfloat16(), odd)
        assert not wanted(images["cuda"].bfloat16(), even)
        assert not wanted(images["cpu"].bfloat16(), odd)
