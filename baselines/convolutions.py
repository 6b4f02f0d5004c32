"""The ordinary convolutional embedding networks S: pixels to maps."""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import Tensor, nn

from sen_bench.baselines.model import full_precision
from sen_bench.baselines.normalisation import BatchNorm, Layers
from sen_bench.baselines.products import Convolution


def convolution(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> Convolution:
    """A convolution with Xavier-uniform weights and biases 0 (paper, section 3).

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Side of the kernel; 3×3 with the default stride and padding keep height and width.
        stride: Pixels in per pixel out.
        padding: Zeros on every side.
        dilation: Pixels from one point of the kernel to the next.
    """
    layer = Convolution(
        in_channels, out_channels, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(cast("Tensor", layer.bias))
    return layer


class ConvolutionalEmbedding(nn.Module):
    """Four 3×3 convolutions with BatchNorm and ReLU between and a sigmoid at the end (paper, section 3).

    Weights are Xavier-uniform and biases 0. The convolutions run channels-last, which on a CPU is half as
    fast again as channels-first, and the sigmoid at least in float32.

    Args:
        image_channels: Channels of the observations.
        num_maps: Maps to produce, one per object.
        channels: Width of the three hidden layers (paper: 32).
    """

    def __init__(self, *, image_channels: int, num_maps: int, channels: int) -> None:
        super().__init__()
        widths = [image_channels, channels, channels, channels]
        layers: list[nn.Module] = []
        for narrow, wide in itertools.pairwise(widths):
            layers += [convolution(narrow, wide), BatchNorm(wide), nn.ReLU(inplace=True)]
        self.layers = Layers(*layers, convolution(channels, num_maps))

    def forward(self, observation: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` to `[B, num_maps, H, W]` in (0, 1)."""
        maps = self.layers(observation.contiguous(memory_format=torch.channels_last))
        return torch.sigmoid(full_precision(maps))


class PatchEmbedding(nn.Module):
    """One convolution per patch of the image, BatchNorm, ReLU, a 1×1 convolution, sigmoid (paper, section 3).

    This is C-SWM's small encoder (Kipf et al. 2020): where a cell of the world is a patch of the image, it
    gives one pixel per cell. It is initialised and computed as `ConvolutionalEmbedding` is.

    Args:
        image_channels: Channels of the observations.
        num_maps: Maps to produce.
        channels: Width of the hidden layer (paper: 32).
        patch: Side of a patch in pixels: kernel and stride of the first convolution (paper: 10).
    """

    def __init__(self, *, image_channels: int, num_maps: int, channels: int, patch: int) -> None:
        super().__init__()
        self.layers = Layers(
            convolution(image_channels, channels, kernel_size=patch, stride=patch, padding=0),
            BatchNorm(channels),
            nn.ReLU(inplace=True),
            convolution(channels, num_maps, kernel_size=1, padding=0),
        )

    def forward(self, observation: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` to `[B, num_maps, H/patch, W/patch]` in (0, 1)."""
        maps = self.layers(observation.contiguous(memory_format=torch.channels_last))
        return torch.sigmoid(full_precision(maps))
