"""The contrastive loss that every model is trained with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor

from sen_bench.baselines import WorldModel
from sen_bench.data import Batch


class LossTerms(NamedTuple):
    """The loss of a batch and what it is made of; each a scalar tensor.

    Attributes:
        total: What is minimised: ``positive`` + ``negative``.
        positive: Mean energy between the predicted and the true next latent.
        negative: Mean amount by which the energy to a random other latent falls short of the margin.
        separation: Mean energy to a random other latent; 0 when all latents are equal.
    """

    total: Tensor
    positive: Tensor
    negative: Tensor
    separation: Tensor


LOSS_TERMS: Final = ("loss", *LossTerms._fields[1:])
"""The names of `LossTerms` in the metrics log."""


class LossFunction(Protocol):
    """`contrastive_loss`, as it is or compiled."""

    def __call__(
        self, model: WorldModel, batch: Batch, permutation: Tensor, *, hinge: float, dtype: torch.dtype
    ) -> LossTerms:
        """The loss of a batch."""


def _unwatched(_name: str) -> AbstractContextManager[None]:
    return nullcontext()


def contrastive_loss(
    model: WorldModel,
    batch: Batch,
    permutation: Tensor,
    *,
    hinge: float,
    dtype: torch.dtype,
    stage: Callable[[str], AbstractContextManager[object]] = _unwatched,
) -> LossTerms:
    """``mean d(z + T(z, a), z') + mean max(0, hinge − d(z, z̃))`` (Kipf et al. 2020, eq. 4; Park et al. 2022).

    The energies d are computed in the precision of the latents, which models keep at float32.

    Args:
        model: The model; observation and next observation are embedded in two passes, as in the public code,
            so that batch normalisation sees each by itself.
        batch: B transitions.
        permutation: int64 ``[B]``; the negative of sample i is the latent of sample ``permutation[i]``.
        hinge: The margin.
        dtype: ``torch.bfloat16`` runs the networks under autocast; ``torch.float32`` as they are.
        stage: Is told what is being computed, "embed", "encode", "transition" or "loss".
    """
    with torch.autocast(batch.observation.device.type, dtype=dtype, enabled=dtype != torch.float32):
        with stage("embed"):
            embedding, next_embedding = model.embed(batch.observation), model.embed(batch.next_observation)
        with stage("encode"):
            latent, next_latent = model.encode(embedding), model.encode(next_embedding)
        with stage("transition"):
            predicted = model.transition(latent, batch.action)
    with stage("loss"):
        positive = model.distance(predicted, next_latent).mean()
        energy = model.distance(latent, latent[permutation])
        negative = (hinge - energy).clamp(min=0).mean()
        return LossTerms(positive + negative, positive, negative, energy.mean())
