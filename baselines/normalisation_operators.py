"""Batch normalisation on a CPU as operators of PyTorch, which counts of operators know."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sen_bench.baselines.loops import arithmetic, cpu_operator, in_parts, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROW: Final = 256
"""Numbers in a row of a loop at most, unless there are more channels."""


def normalise(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, *, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """`(x - mean) / sqrt(variance + eps) · weight + bias`, for x's own mean and variance.

    Args:
        x: Images on the CPU, of one of `loops.DTYPES`, best channels-last, `[B, k·C, H, W]`.
        weight: `[C]`.
        bias: `[C]`.
        eps: What is added to the variance.
        relu: Whether to replace negative results by 0.

    Returns:
        The images, channels-last; and mean and (biased) variance in float64, `[C]` each, which have no
        gradient.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    results: tuple[Tensor, Tensor, Tensor] = _Normalise.apply(  # type: ignore[no-untyped-call]
        x, weight, bias, eps, relu
    )
    return results


def _results_for(x: Tensor, weight: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for normalised images, means and variances."""
    mean, variance = (weight.new_empty(len(weight), dtype=torch.float64) for _ in range(2))
    return _empty_like(x), mean, variance


def _gradients_for(
    _gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, *_: object
) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for the gradients of images, weights and biases."""
    return _empty_like(x), torch.empty_like(weight), torch.empty_like(bias)


@cpu_operator(
    "sen_bench::normalise",
    "(Tensor x, Tensor weight, Tensor bias, float eps, bool relu) -> (Tensor, Tensor, Tensor)",
    _results_for,
)
def _forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    relu: bool,  # noqa: FBT001 — as in the schema
) -> tuple[Tensor, Tensor, Tensor]:
    from sen_bench.baselines import normalisation_kernels as kernels  # noqa: PLC0415 — it imports Numba

    y = _empty_like(x)
    pixels, results = _pixels(x, weight), _pixels(y, weight)
    total = _sums(pixels, len(weight), lambda part, *sums: kernels.sums(pixels[part], *sums))
    mean, squares = total * len(weight) / x.numel()
    # Rounding may leave less than nothing of the variance of a constant.
    variance = np.maximum(squares - mean**2, 0)
    shift, scale, offset = _terms(pixels, mean, _array(weight) / np.sqrt(variance + eps), _array(bias))
    least = _least(pixels, relu=relu)
    in_parts(pixels, lambda part: kernels.normalise(pixels[part], shift, scale, offset, least, results[part]))
    return y, torch.from_numpy(mean), torch.from_numpy(variance)


@cpu_operator(
    "sen_bench::normalise_backward",
    "(Tensor gradient, Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor variance, float eps,"
    " bool relu) -> (Tensor, Tensor, Tensor)",
    _gradients_for,
)
def _backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    relu: bool,  # noqa: FBT001
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, weight and bias."""
    from sen_bench.baselines import normalisation_kernels as kernels  # noqa: PLC0415

    grad_x = _empty_like(x)
    pixels, slopes, results = (_pixels(each, weight) for each in (x, gradient, grad_x))
    inverse = 1 / np.sqrt(_array(variance) + eps)
    factor = _array(weight) * inverse
    shift, scale, offset = _terms(pixels, _array(mean), factor, _array(bias))
    least = _least(pixels, relu=relu)

    def add(part: slice, *sums: NDArray[Any]) -> None:
        kernels.gradient_sums(pixels[part], slopes[part], shift, scale, offset, least, *sums)

    grad_bias, along = _sums(pixels, len(weight), add)
    grad_weight = along * inverse
    count = x.numel() / len(weight)
    tilt, constant = _terms(pixels, -factor * inverse * grad_weight / count, -factor * grad_bias / count)

    def write(part: slice) -> None:
        of_part = pixels[part], slopes[part]
        kernels.gradients(*of_part, shift, scale, offset, least, tilt, constant, results[part])

    in_parts(pixels, write)
    return grad_x, torch.from_numpy(grad_weight).to(weight.dtype), torch.from_numpy(grad_bias).to(bias.dtype)


class _Normalise(torch.autograd.Function):
    """The operators with their gradients.

    `torch.library.register_autograd` would take 40 µs more for both (one thread of a Xeon with AMX).
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        relu: bool,  # noqa: FBT001
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, mean, variance = _forward(x, weight, bias, eps, relu)
        ctx.mark_non_differentiable(mean, variance)
        ctx.eps, ctx.relu = eps, relu
        # Not the result, as its sign is that of what it is computed from.
        ctx.save_for_backward(x, weight, bias, mean, variance)
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:  # noqa: ANN401
        x, weight, bias, mean, variance = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        found = _backward(gradient.to(x.dtype), x, weight, bias, mean, variance, ctx.eps, ctx.relu)
        return *found, None, None


def _empty_like(x: Tensor) -> Tensor:
    """Memory for images of the same shape and type, channels-last."""
    return torch.empty_like(x, memory_format=torch.channels_last)


def _array(x: Tensor) -> NDArray[np.float64]:
    """A few numbers in float64."""
    return cast("NDArray[np.float64]", x.detach().double().numpy())


def _pixels(x: Tensor, weight: Tensor) -> NDArray[Any]:
    """Channels-last images `[B, k·C, H, W]` as a matrix `[-1, n·C]` in the same memory; bfloat16 as its bits.

    Loops over a row are vectorised, and slow for a few channels; so as many pixels form one as fit.
    """
    count = x.numel() // len(weight)
    together = next(n for n in range(max(1, _ROW // len(weight)), 0, -1) if count % n == 0)
    return numbers(x.permute(0, 2, 3, 1), -1, together * len(weight))


def _terms(pixels: NDArray[Any], *terms: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Numbers for each channel as rows of the pixels, in the type of the arithmetic."""
    times = pixels.shape[1] // len(terms[0])
    rows = np.empty((len(terms), times, len(terms[0])), arithmetic(pixels))
    rows[:] = np.array(terms)[:, np.newaxis]
    return tuple(rows.reshape(len(terms), -1))


def _least(pixels: NDArray[Any], *, relu: bool) -> np.floating[Any]:
    """The least result: 0 with a ReLU, otherwise -inf; in the type of the arithmetic, or loops are slow."""
    return arithmetic(pixels)(0 if relu else -math.inf)


def _sums(pixels: NDArray[Any], channels: int, add: Callable[..., None]) -> NDArray[np.float64]:
    """Two sums for each channel, `[2, C]`.

    Args:
        pixels: As `_pixels` gives them.
        channels: C.
        add: `add(part, zeros, zeros, total)` adds those of some rows, column by column, to a total.
    """

    def of_part(part: slice) -> NDArray[np.float64]:
        total = np.zeros((2, pixels.shape[1]))
        add(part, *total.astype(arithmetic(pixels)), total)
        return total

    total = np.sum(in_parts(pixels, of_part), axis=0)
    return cast("NDArray[np.float64]", total.reshape(2, -1, channels).sum(axis=1))
