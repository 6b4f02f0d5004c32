"""Layers that commute with the rotations of the plane by quarter turns (the group C4).

A C4-regular feature is a tensor `[..., 4, C]`: axis -2 is the group axis, indexed by direction (up, right,
down, left), and a rotation by +90 degrees rolls it by -1. Everything here is real arithmetic: it runs in
float64, float32 and under autocast.
"""

from __future__ import annotations

import math
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sen_bench.baselines import fourier_operators
from sen_bench.baselines.loops import DTYPES, use_loops

LOOPS_FROM: Final = 2**18
"""Numbers from which on compiled loops do the transforms on a CPU; for fewer, calling them takes longer than
PyTorch's additions. On one thread of a Xeon with AMX, 40,960 numbers in float32 took 138 µs in place of 49,
and 655,360 took 539 in place of 650."""


def c4_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Group convolution over C4: `y[g] = sum_h weight[(g - h) % 4] @ x[h] + bias`.

    Computed in the Fourier basis of the group, where it is block diagonal: two real maps (frequencies 0 and
    2) and one complex map (frequency 1, as a real one of twice the width). That takes 6 products of
    `out × in` where the dense circulant matrix takes 16. The transforms are additions, on a CPU in one pass
    if they are large; their scale is folded into the weights. Under `torch.autocast` the products are in its
    type; the weights are transformed in their own.

    Args:
        x: Features, `[..., 4, in]`.
        weight: One matrix per group element, `[4, out, in]`.
        bias: One number per output channel, the same for all group elements, `[out]`.

    Returns:
        Features `[..., 4, out]`.
    """
    device = x.device.type
    narrow = torch.is_autocast_enabled(device) and x.dtype != torch.float64
    dtype = torch.get_autocast_dtype(device) if narrow else weight.dtype
    with torch.autocast(device, enabled=False):
        y: Tensor = _C4Linear.apply(x, weight, bias, dtype)  # type: ignore[no-untyped-call]
    return y


class _C4Linear(torch.autograd.Function):
    """`c4_linear` with the products in `dtype`.

    With F the real Fourier matrix of C4 and D its scale, y = Fᵀ Ŵ F x with Ŵ = D F w block diagonal. So the
    gradient of x is Fᵀ Ŵᵀ F of that of y: the same transforms forwards and backwards. Written out as one
    function because autograd's own way through the additions takes as long as the products. Leading axes are
    merged inside, so that the result is no view, on which autograd would make a following `relu_` expensive.
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
        with torch.autocast(x_0.device.type, enabled=False):
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


def _by_loops(x: Tensor, size: int, dtype: torch.dtype) -> bool:
    """Whether compiled loops transform features of so many numbers, from the type of `x` to another."""
    # The size last: compiled code would be held to sizes that it is asked for.
    return use_loops(x) and dtype in DTYPES and size >= LOOPS_FROM


def _to_frequencies(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """F x: `[N, 4, C]` to frequencies 0 and 2, `[N, C]` each, and 1 (real and imaginary part), `[N, 2·C]`."""
    if _by_loops(x, x.numel(), dtype):
        return cast("tuple[Tensor, Tensor, Tensor]", fourier_operators.to_frequencies(x, dtype))
    first, second = x[:, :2], x[:, 2:]
    sums = first + second
    even, odd = sums.unbind(1)
    return (even + odd).to(dtype), (even - odd).to(dtype), (first - second).flatten(1).to(dtype)


def _from_frequencies(
    f_0: Tensor, f_2: Tensor, f_1: Tensor, leading: torch.Size, dtype: torch.dtype
) -> Tensor:
    """Fᵀ f, the transpose of `_to_frequencies`, as `[*leading, 4, C]` of some type."""
    if _by_loops(f_0, 4 * f_0.numel(), dtype):
        return cast("Tensor", fourier_operators.from_frequencies(f_0, f_2, f_1, leading, dtype))
    return _from_frequencies_in_steps(f_0, f_2, f_1, leading).to(dtype)


def _from_frequencies_in_steps(f_0: Tensor, f_2: Tensor, f_1: Tensor, leading: torch.Size) -> Tensor:
    """`_from_frequencies` by PyTorch's additions, in the type of the frequencies."""
    count, channels = f_0.shape
    if torch.compiler.is_compiling():
        # The compiler cannot trace `out=` into slices, and does not need it to write every number just once.
        pair = (*leading, 2, channels)
        sums, differences = torch.stack([f_0 + f_2, f_0 - f_2], dim=1).view(pair), f_1.view(pair)
        return torch.cat([sums + differences, sums - differences], dim=-2)
    sums = f_0.new_empty((count, 2, channels))
    torch.add(f_0, f_2, out=sums[:, 0])
    torch.sub(f_0, f_2, out=sums[:, 1])
    differences = f_1.view(count, 2, channels)
    y = f_0.new_empty((*leading, 4, channels))
    flat = y.view(count, 4, channels)
    torch.add(sums, differences, out=flat[:, :2])
    torch.sub(sums, differences, out=flat[:, 2:])
    return y


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


class C4Linear(nn.Module):
    """The C4-equivariant linear layer on regular features, `[..., 4, in]` to `[..., 4, out]`.

    Its parameters are those of the dense group convolution: `4·in·out` weights and `out` biases, initialised
    as `nn.Linear` does, uniform within 1/sqrt(fan_in), with fan_in = 4·in.

    Args:
        in_channels: Regular channels in.
        out_channels: Regular channels out.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.weight = nn.Parameter(torch.empty(4, out_channels, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights and biases, uniform within 1/sqrt(4·in)."""
        bound = 1 / math.sqrt(4 * self.in_channels)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[..., 4, in]` to `[..., 4, out]`; see `c4_linear`."""
        return c4_linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The channels in and out, for `repr`."""
        return f"{self.in_channels}, {self.out_channels}"


def orbit_stack(maps: Tensor) -> Tensor:
    """Cuts square maps into the orbits of their pixels under quarter turns (paper, section 3).

    An even side n gives the n²/4 pixels of the upper left quadrant. An odd one gives the centre, repeated
    along the group axis, and the (n²-1)/4 pixels of an upper left block of (n-1)/2 rows and (n+1)/2 columns.
    Fibre g holds these pixels of the map turned g times, so `torch.rot90(maps, 1, (-2, -1))` rolls the group
    axis by -1.

    Args:
        maps: Square maps, `[..., n, n]`.

    Returns:
        Orbits, `[..., 4, orbits]`.
    """
    side = maps.shape[-1]
    rows, columns = side // 2, (side + 1) // 2
    # The block that g turns bring to the upper left: cut out first, only a quarter of the map is turned.
    blocks = (
        maps[..., :rows, :columns],
        maps[..., :columns, side - rows :],
        maps[..., side - rows :, side - columns :],
        maps[..., side - columns :, :rows],
    )
    turned = [torch.rot90(block, turns, (-2, -1)).flatten(-2) for turns, block in enumerate(blocks)]
    orbits = torch.stack(turned, dim=-2)
    if rows == columns:
        return orbits
    centre = maps[..., rows, rows, None, None].expand(*maps.shape[:-2], 4, 1)
    return torch.cat([centre, orbits], dim=-1)


def orbit_count(side: int) -> int:
    """How many orbits `orbit_stack` gives for maps of this side."""
    return (side * side + 3) // 4


def fibre_stack(maps: Tensor) -> Tensor:
    """Lines up C4-regular maps along the orbits of their pixels under quarter turns.

    A turn moves every pixel of such maps to another fibre, so all n² orbits are free. Fibre g holds the
    pixels of the maps turned g times that have come to the first map: the g-th map, turned. So turning the
    maps and rolling them by -1 along their group axis, the action on regular maps, rolls the group axis of
    the orbits by -1.

    Args:
        maps: Square maps with their group axis, `[..., 4, n, n]`.

    Returns:
        Orbits, `[..., 4, n²]`.
    """
    turned = [torch.rot90(fibre, turns, (-2, -1)) for turns, fibre in enumerate(maps.unbind(-3))]
    return torch.stack(turned, dim=-3).flatten(-2)
