"""The contrastive loss that every model is trained with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel
from sen_bench.data import Batch
from sen_bench.errors import ExtensionError


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

    Raises:
        ExtensionError: If the model gives tensors of other shapes or types than it should, or changes latents
            in place that the negative term is still to be computed from.
    """
    checked = CheckedModel(model)
    with torch.autocast(batch.observation.device.type, dtype=dtype, enabled=dtype != torch.float32):
        with stage("embed"):
            embedding = checked.embed(batch.observation)
            next_embedding = checked.embed(batch.next_observation)
        with stage("encode"):
            latent = checked.encode(embedding)
            changes = _changes(latent)
            next_latent = checked.encode(next_embedding)
        with stage("transition"):
            predicted = checked.transition(latent, batch.action)
    with stage("loss"):
        positive = checked.distance(predicted, next_latent).mean()
        if _changes(latent) != changes:
            raise ExtensionError(
                f"{type(model).__name__} changes latents in place after `encode` has returned them, most"
                " likely in `transition` (z += …, or a layer with inplace=True on its input); let it make new"
                " tensors, as the loss compares the latents as they were"
            )
        energy = checked.distance(latent, latent[permutation])
        negative = (hinge - energy).clamp(min=0).mean()
        return LossTerms(positive + negative, positive, negative, energy.mean())


def _changes(tensor: Tensor) -> int:
    """How often a tensor was changed in place, also through views of it, as autograd counts.

    Compiled code has no such count: 0 there. The training loop computes a loss uncompiled before it compiles.
    """
    uncounted = torch.compiler.is_compiling() or tensor.is_inference()
    return 0 if uncounted else tensor._version  # noqa: SLF001 — it has no other name
