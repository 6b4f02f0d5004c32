"""The group convolution over C4, in the Fourier basis of the group.

There it is block diagonal: two real maps (frequencies 0 and 2) and one complex one (frequency 1). With F the
real Fourier matrix of C4 and D its scale, y = Fᵀ Ŵ F x with Ŵ = D F w. So the gradient of x is Fᵀ Ŵᵀ F of
that of y: the same transforms forwards and backwards. Each form is written out as one function, because
autograd's own way through the transforms takes as long as the products.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sen_bench.baselines.fourier_operators import from_planes, to_planes
from sen_bench.baselines.loops import DTYPES, use_loops

SMALL_SIDE: Final = 8
"""Channels, in or out, up to which a layer is a product with its circulant matrix."""
SMALL_MATRIX: Final = 1024
"""Pairs of a channel in and one out up to which it is one."""


def c4_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Group convolution over C4: `y[g] = sum_h weight[(g - h) % 4] @ x[h] + bias`.

    Computed in the Fourier basis of the group, which takes 6 products of `out × in` where the dense circulant
    matrix takes 16, and on a CPU, uncompiled, 5, as three real products do for a complex one. What is so
    small that the transforms would take longer than they save is one product with the circulant matrix. Under
    `torch.autocast` the products are in its type; the weights are transformed in their own.

    Args:
        x: Features, `[..., 4, in]`.
        weight: One matrix per group element, `[4, out, in]`.
        bias: One number per output channel, the same for all group elements, `[out]`.

    Returns:
        Features `[..., 4, out]`.
    """
    dtype = type_of_products(x, weight)
    with no_autocast(x.device.type):
        if is_small(weight):
            form: type[torch.autograd.Function] = _AsMatrix
        else:
            form = _InPlanes if use_loops(x, weight) and dtype in DTYPES else _InFrequencies
        y: Tensor = form.apply(x, weight, bias, dtype)  # type: ignore[no-untyped-call]
    return y


def is_small(weight: Tensor) -> bool:
    """Whether a layer, of weights `[4, out, in]`, is done by its circulant matrix."""
    _, outputs, inputs = weight.shape
    return min(outputs, inputs) <= SMALL_SIDE or outputs * inputs <= SMALL_MATRIX


def type_of_products(x: Tensor, weight: Tensor) -> torch.dtype:
    """The type of the products of a layer: that of its weights, or that of `torch.autocast`."""
    device = x.device.type
    narrow = torch.is_autocast_enabled(device) and x.dtype != torch.float64
    return torch.get_autocast_dtype(device) if narrow else weight.dtype


def no_autocast(device: str) -> AbstractContextManager[object]:
    """A context without autocast, as the types of products are chosen here.

    What is not on is not turned off: that takes 5 µs, while the five products of a small layer take 9
    (160 × 16 by 16 × 16 numbers, on a Xeon with AMX).
    """
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def weight_to_planes(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """The planes of weights, with sign -1: `[4, out, in]` to `[5, out, in]` of some type."""
    return to_planes(weight.reshape(1, 4, -1), -1, dtype=dtype, scaled=True).view(5, *weight.shape[1:])


def gradient_of_weight(slopes: Tensor, planes: Tensor, dtype: torch.dtype) -> Tensor:
    """The gradient of weights, `[4, out, in]` of some type.

    Args:
        slopes: The planes of the gradient of a layer's result, with sign 1; `[5, N, out]`.
        planes: Those of its features, with sign -1; `[5, N, in]`.
        dtype: The type of the weights.
    """
    products = torch.bmm(slopes.mT, planes).view(5, 1, -1)
    gradient = from_planes(products, None, 1, leading=(), dtype=dtype, scaled=True)
    return gradient.view(4, slopes.shape[2], planes.shape[2])


class _AsMatrix(torch.autograd.Function):
    """`c4_linear` as one product with the circulant matrix, whose block (g, h) is `weight[(g - h) % 4]`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:  # noqa: ANN401
        _, outputs, inputs = weight.shape
        flipped = weight.flip(0)
        blocks = torch.stack([flipped.roll(g + 1, 0) for g in range(4)]).to(dtype)
        matrix = blocks.transpose(1, 2).reshape(4 * outputs, 4 * inputs)
        rows = x.reshape(-1, 4 * inputs).to(dtype)
        ctx.save_for_backward(rows, matrix)
        ctx.x_dtype, ctx.weight_dtype = x.dtype, weight.dtype
        offsets = None if bias is None else bias.to(dtype).repeat(4)
        if torch.compiler.is_compiling():
            return nn.functional.linear(rows, matrix, offsets).view(*x.shape[:-1], outputs)
        # Into memory of its own, as a view could not be changed in place.
        y = rows.new_empty((*x.shape[:-1], outputs))
        products = y.view(-1, 4 * outputs)
        if offsets is None:
            torch.mm(rows, matrix.T, out=products)
        else:
            torch.addmm(offsets, rows, matrix.T, out=products)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:  # noqa: ANN401
        rows, matrix = ctx.saved_tensors
        need_x, need_weight, need_bias, _ = ctx.needs_input_grad
        grad_x = grad_weight = grad_bias = None
        grad_y = gradients[0]
        outputs, inputs = (size // 4 for size in matrix.shape)
        with no_autocast(rows.device.type):
            slopes = grad_y.reshape(-1, 4 * outputs).to(rows.dtype)
            if need_x:
                grad_x = (slopes @ matrix).to(ctx.x_dtype).view(*grad_y.shape[:-1], inputs)
            if need_weight:
                blocks = (slopes.T @ rows).to(ctx.weight_dtype).view(4, outputs, 4, inputs).transpose(1, 2)
                turned = [block.roll(-1 - g, 0) for g, block in enumerate(blocks.unbind(0))]
                grad_weight = torch.stack(turned).sum(dim=0).flip(0)
            if need_bias:
                grad_bias = slopes.view(-1, outputs).sum(dim=0, dtype=ctx.weight_dtype)
        return grad_x, grad_weight, grad_bias, None


class _InPlanes(torch.autograd.Function):
    """`c4_linear` as five products of the same size, one for each plane of `fourier_operators.to_planes`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:  # noqa: ANN401
        planes = to_planes(x.reshape(-1, *x.shape[-2:]), -1, dtype=dtype)
        maps = weight_to_planes(weight, dtype)
        ctx.save_for_backward(planes, maps)
        ctx.x_dtype, ctx.weight_dtype = x.dtype, weight.dtype
        products = torch.bmm(planes, maps.mT)
        return from_planes(products, bias, -1, leading=x.shape[:-2], dtype=dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:  # noqa: ANN401
        planes, maps = ctx.saved_tensors
        need_x, need_weight, need_bias, _ = ctx.needs_input_grad
        grad_x = grad_weight = grad_bias = None
        with no_autocast("cpu"):
            grad_y = gradients[0]
            slopes = to_planes(grad_y.reshape(-1, *grad_y.shape[-2:]), 1, dtype=planes.dtype)
            if need_x:
                products = torch.bmm(slopes, maps)
                grad_x = from_planes(products, None, 1, leading=grad_y.shape[:-2], dtype=ctx.x_dtype)
            if need_weight:
                grad_weight = gradient_of_weight(slopes, planes, ctx.weight_dtype)
            if need_bias:
                grad_bias = slopes[0].sum(dim=0, dtype=ctx.weight_dtype)
        return grad_x, grad_weight, grad_bias, None


class _InFrequencies(torch.autograd.Function):
    """`c4_linear` with the products in `dtype`, one for each frequency: that of 1 is real, and twice as wide.

    Leading axes are merged inside, so that the result is no view, on which autograd would make a following
    `relu_` expensive.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:  # noqa: ANN401
        x_0, x_2, x_1 = _to_frequencies(x.reshape(-1, *x.shape[-2:]), dtype)
        w_0, w_2, w_1 = (part.to(dtype) for part in _weights_to_frequencies(weight))
        ctx.save_for_backward(x_0, x_2, x_1, w_0, w_2, w_1)
        ctx.x_dtype, ctx.weight_dtype = x.dtype, weight.dtype
        # The bias is invariant: it enters at frequency 0 only, from where it reaches all four places.
        y_0 = x_0 @ w_0.T if bias is None else torch.addmm(bias.to(dtype), x_0, w_0.T)
        return _from_frequencies(y_0, x_2 @ w_2.T, x_1 @ w_1.T, x.shape[:-2], dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:  # noqa: ANN401
        x_0, x_2, x_1, w_0, w_2, w_1 = ctx.saved_tensors
        need_x, need_weight, need_bias, _ = ctx.needs_input_grad
        grad_x = grad_weight = grad_bias = None
        with no_autocast(x_0.device.type):
            grad_y = gradients[0]
            y_0, y_2, y_1 = _to_frequencies(grad_y.reshape(-1, *grad_y.shape[-2:]), x_0.dtype)
            if need_x:
                parts = y_0 @ w_0, y_2 @ w_2, y_1 @ w_1
                grad_x = _from_frequencies(*parts, grad_y.shape[:-2], ctx.x_dtype)
            if need_weight:
                parts = y_0.T @ x_0, y_2.T @ x_2, y_1.T @ x_1
                grad_weight = _weights_from_frequencies(*(part.to(ctx.weight_dtype) for part in parts))
            if need_bias:
                grad_bias = y_0.sum(dim=0, dtype=ctx.weight_dtype)
        return grad_x, grad_weight, grad_bias, None


def _to_frequencies(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """F x: `[N, 4, C]` to frequencies 0 and 2, `[N, C]` each, and 1 (real and imaginary part), `[N, 2·C]`."""
    first, second = x[:, :2], x[:, 2:]
    sums = first + second
    even, odd = sums.unbind(1)
    return (even + odd).to(dtype), (even - odd).to(dtype), (first - second).flatten(1).to(dtype)


def _from_frequencies(
    f_0: Tensor, f_2: Tensor, f_1: Tensor, leading: torch.Size, dtype: torch.dtype
) -> Tensor:
    """Fᵀ f, the transpose of `_to_frequencies`, as `[*leading, 4, C]` of some type."""
    count, channels = f_0.shape
    if torch.compiler.is_compiling():
        # The compiler cannot trace `out=` into slices, and does not need it to write every number just once.
        pair = (*leading, 2, channels)
        sums, differences = torch.stack([f_0 + f_2, f_0 - f_2], dim=1).view(pair), f_1.view(pair)
        return torch.cat([sums + differences, sums - differences], dim=-2).to(dtype)
    sums = f_0.new_empty((count, 2, channels))
    torch.add(f_0, f_2, out=sums[:, 0])
    torch.sub(f_0, f_2, out=sums[:, 1])
    differences = f_1.view(count, 2, channels)
    y = f_0.new_empty((*leading, 4, channels))
    flat = y.view(count, 4, channels)
    torch.add(sums, differences, out=flat[:, :2])
    torch.sub(sums, differences, out=flat[:, 2:])
    return y.to(dtype)


def _weights_to_frequencies(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ŵ: `[4, out, in]` to frequencies 0 and 2, `[out, in]` each, and 1, `[2·out, 2·in]`."""
    w_0, w_1, w_2, w_3 = weight.unbind(0)
    even, odd = w_0 + w_2, w_1 + w_3
    real, imaginary = (w_0 - w_2) / 2, (w_1 - w_3) / 2
    complex_map = torch.cat([torch.cat([real, -imaginary], dim=1), torch.cat([imaginary, real], dim=1)])
    return (even + odd) / 4, (even - odd) / 4, complex_map


def _weights_from_frequencies(g_0: Tensor, g_2: Tensor, g_1: Tensor) -> Tensor:
    """The transpose of `_weights_to_frequencies`: gradients of Ŵ to gradients of w."""
    (real_real, real_imaginary), (imaginary_real, imaginary_imaginary) = (
        rows.chunk(2, dim=1) for rows in g_1.chunk(2, dim=0)
    )
    real = (real_real + imaginary_imaginary) / 2
    imaginary = (imaginary_real - real_imaginary) / 2
    even, odd = (g_0 + g_2) / 4, (g_0 - g_2) / 4
    return torch.stack([even + real, odd + imaginary, even - real, odd - imaginary])
