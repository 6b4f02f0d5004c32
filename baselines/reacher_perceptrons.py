"""Networks S and E of Reacher that see whole frames and whole maps at once, and learn motion [ours]."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from sen_bench.baselines.model import apply_in_full_precision
from sen_bench.baselines.reacher_networks import (
    LATENTS,
    MAPS,
    ConvolutionStack,
    OrdinaryTransition,
    SteerableTransition,
    channels_to_fields,
)
from sen_bench.symmetry import Group

COLOURS = 3
"""Channels of one frame."""

SHRINKING = 4
"""Pixels along a side of the squares that are averaged before the projection: 128 pixels become 32."""

COARSE_SIDE = 9
"""Pixels along a side of the maps that S makes, as many as are left of the paper's 33 after a layer of E."""

_FIRST_SCALE = 0.2
"""What the first weights of the last layer of E are multiplied by.

It keeps first latents from lying many margins of the loss apart, from where they would have to shrink first.
"""


def moved(images: Tensor, element: int) -> Tensor:
    """Maps or images `[..., H, W]`, moved by an element of D4.

    From 4 on, elements exchange up and down, which reflects (x, y) to (x, -y), and then all turn by quarters.
    """
    return torch.rot90(images.flip(-2) if element >= 4 else images, element % 4, (-2, -1))


class FrameEmbedding(nn.Module):
    """Images to maps: a fixed random projection of each frame, standardised, and a linear layer.

    Every frame is averaged over squares of pixels and projected by the same random matrix, which is not
    trained. Each number is brought to mean 0 and variance 1 over the batch, and the same linear layer makes
    maps of the numbers of each frame. So every map shows one frame, and S cannot remove motion, as training
    has convolutions over both frames do (docs/notes/reacher.md).

    For `full` the group moves images: the network is shown every frame moved by the inverse of each element,
    and its maps, moved back, are a D4-regular field. Moving the image by an element thus moves all maps and
    permutes them, whatever the network is, and for images of even sides too.

    Args:
        image_channels: Channels of all the frames that are seen at once.
        image_side: Pixels along a side of the image.
        numbers: How many numbers a frame is projected to.
        regular: Whether the maps are D4-regular fields.
    """

    def __init__(self, *, image_channels: int, image_side: int, numbers: int, regular: bool) -> None:
        super().__init__()
        self.frames = image_channels // COLOURS
        self.inverses = tuple(Group.dihedral(4).inverse.tolist()) if regular else None
        # Kept in checkpoints, as the layer behind it is of no use behind another one.
        projection = torch.randn(numbers, COLOURS * (image_side // SHRINKING) ** 2)
        self.register_buffer("projection", projection)
        self.standardise = nn.BatchNorm1d(numbers, affine=False)
        self.last = nn.Linear(numbers, MAPS // self.frames * COARSE_SIDE**2)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` to maps `[B, 8, 9, 9]`, or for regular fields `[B, 8, 8, 9, 9]`."""
        small = nn.functional.avg_pool2d(images, SHRINKING)
        if self.inverses is None:
            return self._maps(small)
        # In one batch, so that in training the norm takes all elements together and stays equivariant.
        seen = torch.cat([moved(small, inverse) for inverse in self.inverses])
        maps = self._maps(seen).chunk(len(self.inverses))
        return torch.stack([moved(each, element) for element, each in enumerate(maps)], dim=2)

    def _maps(self, small: Tensor) -> Tensor:
        """Shrunken images to maps `[B, 8, 9, 9]`, those of the first frame first."""
        # Not under autocast: bfloat16 would round pixels by as much as the arm changes them.
        with torch.autocast(small.device.type, enabled=False):
            frames = small.reshape(len(small) * self.frames, -1)
            numbers = self.standardise(nn.functional.linear(frames, self.get_buffer("projection")))
        maps = apply_in_full_precision(self.last, numbers)
        return maps.view(len(small), MAPS, COARSE_SIDE, COARSE_SIDE)


class OrdinaryPerceptron(nn.Module):
    """Maps to plain latents: three linear layers with ReLU between, initialised much as in `OrbitPerceptron`.

    Args:
        hidden: Width of the hidden layers.
        latents: Numbers in a latent, L.
    """

    def __init__(self, hidden: int, *, latents: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(MAPS * COARSE_SIDE**2, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.last = nn.Linear(hidden, latents)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.last.weight.mul_(_FIRST_SCALE)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[B, 8, 9, 9]` to latents `[B, L]`, at least float32."""
        return apply_in_full_precision(self.last, self.hidden(maps))


class OrbitPerceptron(nn.Module):
    """Maps to D4-regular latents: three linear layers that commute with D4, and ReLU between.

    The first is the same ordinary layer for every element, applied to the maps moved by its inverse; moving
    the maps permutes what comes out. So E of the paper's objects treats orbits of pixels. The others are
    linear maps of regular fields.

    Args:
        hidden: D4-regular fields of the hidden layers.
        regular: Whether the maps are D4-regular fields; otherwise they are trivial ones.
    """

    def __init__(self, hidden: int, *, regular: bool) -> None:
        super().__init__()
        # Imported here because importing e2cnn takes seconds, and `none` does without it.
        from sen_bench.baselines.steerable import D4, SteerableConvolution  # noqa: PLC0415

        self.regular = regular
        self.inverses = tuple(D4.inverse.tolist())
        self.fibres = tuple(map(tuple, D4.cayley.tolist()))
        channels = MAPS * D4.order if regular else MAPS
        self.first = nn.Linear(channels * COARSE_SIDE**2, hidden)
        self.layers = ConvolutionStack(
            [
                SteerableConvolution(
                    hidden, wide, in_regular=True, out_regular=True, group=D4, kernel_size=1, padding=0
                )
                for wide in (hidden, LATENTS)
            ],
            lambda: (nn.ReLU(inplace=True),),
        )
        with torch.no_grad():
            cast("SteerableConvolution", self.layers.last).weights.mul_(_FIRST_SCALE)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[B, 8, 9, 9]` or fields of maps `[B, 8, 8, 9, 9]` to latents `[B, 4, 8]`."""
        seen = torch.stack([self._moved_back(maps, element).flatten(1) for element in range(8)], dim=1)
        hidden = self.first(seen).relu().flatten(1)
        return channels_to_fields(self.layers(hidden[:, :, None, None]), LATENTS).flatten(2)

    def _moved_back(self, maps: Tensor, element: int) -> Tensor:
        """What the inverse of an element makes of maps: at j of a fibre arrives what was at element·j."""
        if self.regular:
            maps = maps[:, :, self.fibres[element]]
        return moved(maps, self.inverses[element])


def start_without_change(network: OrdinaryTransition | SteerableTransition) -> None:
    """Has a transition predict no change at first: sets its last layer to 0."""
    last = network.last if isinstance(network, OrdinaryTransition) else network.layers.last
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
