"""Convolutions in the form that suits a device: as one product of matrices, or with padded channels."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

KERNEL_PER_OUTPUT = 1000
"""From so many weights per position of the output on, a convolution on a CPU is done as a product.

Measured forward and backward on one thread of a Xeon with AMX, kernels of 3×3 with 8 to 1448 channels: from
1,000 weights per position on a product takes a tenth to nine tenths of the time of PyTorch's convolution,
below it as long or longer (docs/notes/training-speed.md). A convolution rearranges its weights at every
call, most of its work where they are many and positions few; a product rearranges its input, made nine
times as large.
"""


def convolve(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """The function of `torch.nn.functional.conv2d`, to rounding, by whichever way is faster.

    Args:
        x: Images, `[B, C, H, W]`, best channels-last.
        kernel: `[C', C, k, k]`, best channels-last.
        bias: `[C']`.
        stride: Pixels in per pixel out.
        padding: Zeros on every side.
        dilation: Pixels from one point of the kernel to the next.

    Returns:
        `[B, C', H', W']`.
    """
    reach = dilation * (kernel.shape[-1] - 1) + 1
    height, width = ((side + 2 * padding - reach) // stride + 1 for side in x.shape[2:])
    if _want_patches(x, kernel, stride=stride, padding=padding, dilation=dilation):
        windows = _patches(x, height, width, stride)
    elif x.is_cpu and kernel.numel() >= KERNEL_PER_OUTPUT * len(x) * height * width:
        windows = _windows(x, height, width, reach=reach, stride=stride, padding=padding, dilation=dilation)
    else:
        way = _convolve_by_eights if _want_eights(x, kernel) else nn.functional.conv2d
        return way(x, kernel, bias, stride=stride, padding=padding, dilation=dilation)
    matrix = kernel.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).flatten(1)
    return nn.functional.linear(windows, matrix, bias).permute(0, 3, 1, 2)


def _want_patches(x: Tensor, kernel: Tensor, *, stride: int, padding: int, dilation: int) -> bool:
    """Whether a convolution is to be a product of the patches that its kernel sees, side by side.

    On a CPU in bfloat16, where patches do not overlap: they are the image in another order, and PyTorch's
    convolution takes four times as long for the gradient of so large a kernel. In float32 it takes as long.
    """
    side_by_side = kernel.shape[-1] == stride > 1 and (padding, dilation) == (0, 1)
    return side_by_side and x.is_cpu and _computed_in(x) == torch.bfloat16


def _patches(x: Tensor, height: int, width: int, side: int) -> Tensor:
    """Patches of an image side by side, `[B, height, width, side² · C]`, in the type of products."""
    batch, channels = x.shape[:2]
    whole = x.permute(0, 2, 3, 1)[:, : height * side, : width * side]
    patches = whole.reshape(batch, height, side, width, side, channels).transpose(2, 3)
    return patches.to(_computed_in(x)).flatten(3)


def _windows(
    x: Tensor, height: int, width: int, *, reach: int, stride: int, padding: int, dilation: int
) -> Tensor:
    """What the kernel sees at each position, `[B, height, width, k² · C]`, in the type of products."""
    # The type now, rather than when it is nine times as large.
    last = x.to(_computed_in(x)).permute(0, 2, 3, 1)
    padded = nn.functional.pad(last, (0, 0, *4 * (padding,)))
    rows, columns = (stride * (side - 1) + 1 for side in (height, width))
    return torch.cat(
        [
            padded[:, down : down + rows : stride, right : right + columns : stride]
            for down, right in itertools.product(range(0, reach, dilation), repeat=2)
        ],
        dim=-1,
    )


def _computed_in(x: Tensor) -> torch.dtype:
    """The type in which products of a tensor are computed: that of autocast, which leaves float64 alone."""
    device = x.device.type
    narrow = torch.is_autocast_enabled(device) and x.dtype != torch.float64
    return torch.get_autocast_dtype(device) if narrow else x.dtype


def _want_eights(x: Tensor, kernel: Tensor) -> bool:
    """Whether a convolution is to be padded to multiples of eight channels.

    On a GPU in a type of 16 bits: the tensor cores take channels-last images by 16 bytes.
    """
    if not x.is_cuda or all(channels % 8 == 0 for channels in kernel.shape[:2]):
        return False
    return _computed_in(x).itemsize == 2


def _convolve_by_eights(
    x: Tensor, kernel: Tensor, bias: Tensor | None, *, stride: int, padding: int, dilation: int
) -> Tensor:
    """`torch.nn.functional.conv2d` with zeros for the channels that are missing to multiples of eight."""
    # The type now, rather than when there are more channels.
    x = x.to(_computed_in(x))
    out, into = kernel.shape[:2]
    more_out, more_in = -out % 8, -into % 8
    x = nn.functional.pad(x.permute(0, 2, 3, 1), (0, more_in)).permute(0, 3, 1, 2)
    kernel = nn.functional.pad(kernel, (0, 0, 0, 0, 0, more_in, 0, more_out))
    bias = None if bias is None else nn.functional.pad(bias, (0, more_out))
    y = nn.functional.conv2d(x, kernel, bias, stride=stride, padding=padding, dilation=dilation)
    return y[:, :out] if more_out else y


class Convolution(nn.Conv2d):
    """A convolution with a square kernel and zeros around the image, computed by `convolve`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 — as torch names it
        """Maps `[B, C, H, W]` to `[B, C', H', W']`."""
        return convolve(
            input,
            self.weight,
            self.bias,
            stride=self.stride[0],
            padding=int(self.padding[0]),
            dilation=self.dilation[0],
        )
