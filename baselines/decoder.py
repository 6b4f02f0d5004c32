"""The decoder of latents: what a trained model has kept of its observations, made visible."""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn

from sen_bench.baselines.model import full_precision
from sen_bench.errors import ConfigError

WIDTH = 64
"""Channels after the first upsampling [ours]; each further one has half as many, at least 16."""

_HIDDEN = 256
_FEWEST_CHANNELS = 16
_UPSAMPLINGS = 3


class Decoder(nn.Module):
    """Latents back to observations, an ordinary network whatever the group [ours].

    Two linear layers lead to 64 maps with an eighth of the image's sides (rounded up). Three times, pixels
    are repeated to double the size, followed by a 3×3 convolution, batch normalisation and ReLU; a last 3×3
    convolution ends it. What sticks out beyond the image is cut off. Repeating and then convolving leaves no
    checkerboard, which transposed convolutions do. It knows nothing of the group, so what it shows of a
    transformed latent was learned from latents of other frames.

    Args:
        latent_shape: Shape of one latent, without the batch axis.
        observation_shape: Height, width and channels of what a model is shown at once.
        width: Channels after the first upsampling.

    Raises:
        ConfigError: If the width is not positive.
    """

    def __init__(
        self, latent_shape: tuple[int, ...], observation_shape: tuple[int, int, int], *, width: int = WIDTH
    ) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"the width of a decoder must be at least 1, not {width}")
        self._height, self._width, channels = observation_shape
        rows, columns = (-(-side // 2**_UPSAMPLINGS) for side in observation_shape[:2])
        self.linear = nn.Sequential(
            nn.Linear(math.prod(latent_shape), _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, width * rows * columns),
            nn.ReLU(),
            nn.Unflatten(1, (rows, columns, width)),
        )
        layers: list[nn.Module] = []
        before = width
        for step in range(_UPSAMPLINGS):
            after = max(_FEWEST_CHANNELS, width >> step) if width > _FEWEST_CHANNELS else width
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            before = after
        self.convolutions = nn.Sequential(*layers, nn.Conv2d(before, channels, 3, padding=1))

    def logits(self, latent: Tensor) -> Tensor:
        """Latents `[B, *latent_shape]` to log-odds `[B, C, H, W]`: their sigmoid is the observation."""
        # Channels last in memory, which is fastest for convolutions on a CPU.
        maps = self.linear(full_precision(latent).flatten(1)).permute(0, 3, 1, 2)
        return cast("Tensor", self.convolutions(maps)[:, :, : self._height, : self._width])

    def forward(self, latent: Tensor) -> Tensor:
        """Latents `[B, *latent_shape]` to observations `[B, C, H, W]` in (0, 1)."""
        return self.logits(latent).sigmoid()
