"""The networks S, E and T of Reacher, ordinary and equivariant under D4."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sen_bench.baselines.convolutions import convolution
from sen_bench.baselines.model import apply_in_full_precision
from sen_bench.baselines.normalisation import BatchNorm, FieldBatchNorm, Layers

MAPS = 8
"""Fields of the embedding v: maps for `sen` and `none`, D4-regular fields for `full` (paper)."""

MAP_SIDE = 33
"""Pixels along a side of the embedding [ours]; 32 in the public code, see `EMBEDDING_SHAPES`."""

LATENTS = 4
"""Fields of the latent z: D4-regular ones for `sen` and `full`, plain numbers for `none` (paper)."""

TORQUES = 2
"""Numbers in an action."""


class ConvolutionShape(NamedTuple):
    """How a convolution walks over its input; see `convolutions.convolution`."""

    kernel_size: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1


EMBEDDING_SHAPES = (
    ConvolutionShape(stride=2, padding=2),
    *(ConvolutionShape(padding=dilation, dilation=dilation) for dilation in (2, 4, 8, 16, 32)),
    ConvolutionShape(stride=2),
)
"""The seven convolutions of S: from 128 pixels to 65, five times 65, and 33.

The paper's, but for one padding [ours]: the public code pads by 1 first, and has 64 and 32 pixels. Where a
3×3 kernel moves by 2 over an even side, one line is left over at one end, and a turn of the image is no more
a turn of the map. With 128 pixels that cannot be helped at the image; after it, sides are odd.
"""

ENCODER_SHAPES = (
    ConvolutionShape(stride=2, padding=2),
    ConvolutionShape(stride=2, padding=0),
    ConvolutionShape(),
    *3 * (ConvolutionShape(kernel_size=1, padding=0),),
)
"""The six convolutions of E, with max-pools after three: from 33 pixels to 18 and 9, 4 and 2, 2 and 1.

The paper's, but for two paddings [ours]: the public code pads both strided ones by 1, and goes from 32 pixels
to 16 and 8, 4 and 2, 2 and 1. They meet even sides, so that its E is not equivariant; ours is.
"""

ENCODER_POOLS = 3
"""How many convolutions of E, from the first on, have a max-pool after them."""


class ConvolutionStack(nn.Module):
    """Convolutions with something between them, computed channels-last, the last one at least in float32.

    Args:
        convolutions: The convolutions, in order.
        between: Makes what follows each of them but the last: norm and activation.
        pools: How many of them, from the first on, are also followed by a max-pool of 2×2 pixels.
    """

    def __init__(
        self, convolutions: Sequence[nn.Module], between: Callable[[], Sequence[nn.Module]], *, pools: int = 0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, layer in enumerate(convolutions[:-1]):
            layers += [layer, *between()]
            if index < pools:
                layers.append(nn.MaxPool2d(2))
        self.hidden = Layers(*layers)
        self.last = convolutions[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Maps `[B, C, H, W]` to `[B, C', H', W']`."""
        hidden = self.hidden(images.contiguous(memory_format=torch.channels_last))
        return apply_in_full_precision(self.last, hidden)


def ordinary_stack(
    widths: tuple[int, int, int], shapes: Sequence[ConvolutionShape], *, pools: int = 0
) -> ConvolutionStack:
    """Ordinary convolutions with BatchNorm and ReLU; weights Xavier-uniform, biases 0 (paper, section 3).

    Args:
        widths: Channels of the input, of the hidden layers, and of the output.
        shapes: The convolutions.
        pools: See `ConvolutionStack`.
    """
    return ConvolutionStack(
        [
            convolution(narrow, wide, **shape._asdict())
            for (narrow, wide), shape in zip(_pairs(widths, len(shapes)), shapes, strict=True)
        ],
        lambda: (BatchNorm(widths[1]), nn.ReLU(inplace=True)),
        pools=pools,
    )


def steerable_stack(
    widths: tuple[int, int, int], shapes: Sequence[ConvolutionShape], *, in_regular: bool, pools: int = 0
) -> ConvolutionStack:
    """Convolutions that commute with D4, with e2cnn's batch norm and ReLU, initialised as e2cnn does.

    Args:
        widths: Fields of the input, of the hidden layers, and of the output; all but the input are
            D4-regular.
        shapes: The convolutions.
        in_regular: Whether the fields of the input are regular; otherwise they are trivial.
        pools: See `ConvolutionStack`.
    """
    # Imported here because importing e2cnn takes seconds, and `none` does without it.
    from sen_bench.baselines.steerable import D4, SteerableConvolution  # noqa: PLC0415

    return ConvolutionStack(
        [
            SteerableConvolution(
                narrow,
                wide,
                in_regular=in_regular or index > 0,
                out_regular=True,
                group=D4,
                **shape._asdict(),
            )
            for index, ((narrow, wide), shape) in enumerate(
                zip(_pairs(widths, len(shapes)), shapes, strict=True)
            )
        ],
        lambda: (FieldBatchNorm(widths[1]), nn.ReLU()),
        pools=pools,
    )


def _pairs(widths: tuple[int, int, int], count: int) -> list[tuple[int, int]]:
    """The widths in and out of each convolution."""
    return list(itertools.pairwise([widths[0], *(count - 1) * [widths[1]], widths[2]]))


class OrdinaryTransition(nn.Module):
    """The change predicted by `none`: linear-ReLU-linear-LayerNorm-ReLU-linear (paper, section 3).

    Args:
        hidden: Width of the hidden layers.
        latents: Numbers in a latent, L.
    """

    def __init__(self, hidden: int, *, latents: int = LATENTS) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(latents + TORQUES, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(inplace=True),
        )
        self.last = nn.Linear(hidden, latents)

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """The change of latents `[B, L]` by torques `[B, 2]`, at least float32."""
        return apply_in_full_precision(self.last, self.hidden(torch.cat([latent, action], dim=1)))


class SteerableTransition(nn.Module):
    """The change predicted by `sen` and `full`: three D4-equivariant linear maps and ReLU (paper, section 3).

    Linear maps of fields are convolutions with one pixel. A torque a enters as the pair (a, -a), which the
    reflections exchange.

    Args:
        hidden: D4-regular fields of the hidden layers.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        from sen_bench.baselines.steerable import D4, SteerableConvolution  # noqa: PLC0415 — as above

        self.layers = ConvolutionStack(
            [
                SteerableConvolution(
                    narrow,
                    wide,
                    in_regular=True,
                    out_regular=True,
                    in_signs=signs,
                    group=D4,
                    kernel_size=1,
                    padding=0,
                )
                for narrow, wide, signs in (
                    (LATENTS, hidden, TORQUES),
                    (hidden, hidden, 0),
                    (hidden, LATENTS, 0),
                )
            ],
            lambda: (nn.ReLU(inplace=True),),
        )

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """The change of latents `[B, 4, 8]` by torques `[B, 2]`, at least float32."""
        channels = torch.cat([action, -action, fields_to_channels(latent)], dim=1)
        return channels_to_fields(self.layers(channels[:, :, None, None]), LATENTS).flatten(2)


def fields_to_channels(fields: Tensor) -> Tensor:
    """Regular fields `[B, F, |G|, ...]` to the channels of steerable layers, `[B, |G|·F, ...]`."""
    return fields.transpose(1, 2).flatten(1, 2)


def channels_to_fields(channels: Tensor, count: int) -> Tensor:
    """The inverse of `fields_to_channels`, for so many fields."""
    return channels.reshape(len(channels), -1, count, *channels.shape[2:]).transpose(1, 2)
