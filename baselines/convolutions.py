"""The ordinary convolutional embedding network S: pixels to one map per object."""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import Tensor, nn

from sen_bench.baselines.model import full_precision


def convolution(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> nn.Conv2d:
    """A convolution with Xavier-uniform weights and biases 0 (paper, section 3).

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Side of the kernel; 3×3 with the default stride and padding keep height and width.
        stride: Pixels in per pixel out.
        padding: Zeros on every side.
        dilation: Pixels from one point of the kernel to the next.
    """
    layer = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(cast("Tensor", layer.bias))
    return layer


class ConvolutionalEmbedding(nn.Module):
    """Four 3×3 convolutions with BatchNorm and ReLU between and a sigmoid at the end (paper, section 3).

    Weights are Xavier-uniform and biases 0. The convolutions run channels-last, which on a CPU is half as
    fast again as channels-first, and the sigmoid in float32 at least.

    Args:
        image_channels: Channels of the observations.
        num_objects: Maps to give, one per object.
        channels: Width of the three hidden layers (paper: 32).
    """

    def __init__(self, *, image_channels: int, num_objects: int, channels: int) -> None:
        super().__init__()
        widths = [image_channels, channels, channels, channels]
        layers: list[nn.Module] = []
        for narrow, wide in itertools.pairwise(widths):
            layers += [convolution(narrow, wide), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, convolution(channels, num_objects))

    def forward(self, observation: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` to `[B, O, H, W]` in (0, 1)."""
        maps = self.layers(observation.contiguous(memory_format=torch.channels_last))
        return torch.sigmoid(full_precision(maps))
