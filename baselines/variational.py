"""The homeomorphic variational auto-encoder of 3D Teapot: latents are rotations (Falorsi et al. 2018)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sen_bench.baselines.decoder import Decoder
from sen_bench.baselines.generative import Evidence, GenerativeModel
from sen_bench.baselines.harmonic_action import HarmonicAction
from sen_bench.baselines.model import apply_in_full_precision, full_precision
from sen_bench.baselines.teapot import MatrixProduct, RotationEmbedding, RotationModel, check_teapot_sizes
from sen_bench.baselines.wrapped_normal import WIDEST, divergence_from_uniform, exponential

if TYPE_CHECKING:
    from sen_bench.symmetry import AnySymmetry

DEGREE, COPIES = 3, 10
"""The highest degree of the content that latents act on, and its vectors of each degree [ours]."""

NARROWEST: Final = 1e-3
"""The smallest scale, in radians [ours]; a pixel of the teapot moves by far less."""

_FIRST_SCALE: Final = 0.1


class RotationDecoder(nn.Module):
    """Rotations to images: they act on a learned content, which an ordinary network decodes.

    Args:
        observation_shape: Height, width and channels of an observation.
        channels: Channels after the first upsampling of the `Decoder`.
    """

    def __init__(self, observation_shape: tuple[int, int, int], *, channels: int) -> None:
        super().__init__()
        self.action = HarmonicAction(degree=DEGREE, copies=COPIES)
        self.network = Decoder((self.action.width,), observation_shape, width=channels)

    def logits(self, rotation: Tensor) -> Tensor:
        """Rotations `[B, 3, 3]` to log-odds `[B, C, H, W]`: their sigmoid is the observation."""
        with torch.autocast(rotation.device.type, enabled=False):
            features = self.action(rotation)
        return self.network.logits(features)


class VariationalRotationModel(RotationModel, GenerativeModel):
    """A variational auto-encoder with rotations as latents, used as a world model.

    The posterior of an image is the distribution of μ exp(v) with the rotation μ that S gives and a Gaussian
    rotation vector v, whose standard deviations a second head gives. The prior is uniform (Haar's measure),
    and pixels are Bernoulli. It learns from images alone, as by Falorsi et al.: no action, and nothing that
    the group does to the world, enters the loss. As a world model its latent is μ, and its transition the
    product a z, which supposes that latents turn as the object does.

    Args:
        embedding: S, which gives the means, and the features for the scales.
        decoder: Rotations to images.
    """

    def __init__(self, embedding: RotationEmbedding, decoder: RotationDecoder) -> None:
        super().__init__(embedding, MatrixProduct(), equivariant=True)
        self.spread = nn.Linear(embedding.last.in_features, 3)
        nn.init.constant_(self.spread.bias, math.log(_FIRST_SCALE / (WIDEST - _FIRST_SCALE)))
        self.decoder = decoder

    def posterior(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Images `[B, C, H, W]` to the means `[B, 3, 3]` and scales `[B, 3]`, in radians, of latents."""
        embedding = cast("RotationEmbedding", self.embedding)
        features = embedding.features(observation)
        scale = WIDEST * apply_in_full_precision(self.spread, features).sigmoid()
        return embedding.rotations(features), scale.clamp(min=NARROWEST)

    def evidence(self, observation: Tensor) -> Evidence:
        """The bound's two terms, with one sample of each posterior; see `GenerativeModel.evidence`."""
        mean, scale = self.posterior(observation)
        with torch.autocast(mean.device.type, enabled=False):
            vectors = scale * torch.randn_like(scale)
            sample = mean @ exponential(vectors)
            divergence = divergence_from_uniform(vectors, scale)
        logits = full_precision(self.decoder.logits(sample))
        pixels = functional.binary_cross_entropy_with_logits(
            logits, observation.to(logits.dtype), reduction="none"
        )
        return Evidence(pixels.flatten(1).sum(dim=1), divergence, mean)


def build_teapot_vae(
    *,
    symmetry: AnySymmetry,
    observation_shape: tuple[int, int, int],
    embedding_channels: int = 16,
    decoder_channels: int = 16,
) -> VariationalRotationModel:
    """Makes the homeomorphic VAE with randomly initialised weights.

    Sizes are ours: S is that of the other models of 3D Teapot, and the decoder that of `sen-bench decode`, on
    content of degrees up to 3. It has 669,754 parameters, 311,697 of them in the decoder.

    Args:
        symmetry: The symmetry of the world, SO(3).
        observation_shape: Height, width and channels of an observation.
        embedding_channels: Channels of the first convolution of S; the other widths are multiples of it.
        decoder_channels: Channels of the decoder after its first upsampling.

    Returns:
        The model, in training mode.

    Raises:
        ConfigError: The symmetry is not SO(3), the images are not square, or a width is not positive.
    """
    check_teapot_sizes(
        symmetry,
        observation_shape,
        embedding_channels=embedding_channels,
        decoder_channels=decoder_channels,
    )
    side, _, image_channels = observation_shape
    embedding = RotationEmbedding(image_channels=image_channels, side=side, channels=embedding_channels)
    return VariationalRotationModel(embedding, RotationDecoder(observation_shape, channels=decoder_channels))
