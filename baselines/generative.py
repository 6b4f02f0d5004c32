"""World models that are trained to generate what they observe, by a loss of their own."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor

from sen_bench.baselines.model import WorldModel


class Evidence(NamedTuple):
    """The evidence lower bound of images, with its sign changed, in its two parts; in nats.

    Attributes:
        reconstruction: −log p(x | z) at a sample z of the posterior, `[B]`; at least 0.
        divergence: KL(q(z | x) ‖ p(z)), or an estimate of it, `[B]`.
        latent: The latents that `embed` and `encode` give for the images, `[B, *latent_shape]`.
    """

    reconstruction: Tensor
    divergence: Tensor
    latent: Tensor


class GenerativeModel(WorldModel):
    """A world model that is trained by the evidence lower bound of images, not by the contrastive loss."""

    @abstractmethod
    def evidence(self, observation: Tensor) -> Evidence:
        """What is minimised, image by image; draws from PyTorch's global generators.

        Args:
            observation: Images, float `[B, C, H, W]` in [0, 1].
        """
