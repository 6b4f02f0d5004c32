"""The loss of generative models: the evidence lower bound of what they observe, with its sign changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel, GenerativeModel, WorldModel
from sen_bench.config import TrainingConfig
from sen_bench.data import Batch
from sen_bench.errors import ExtensionError
from sen_bench.training.loss import LossTerms, contrastive_loss, unwatched


def evidence_loss(
    model: GenerativeModel,
    batch: Batch,
    permutation: Tensor,
    *,
    dtype: torch.dtype,
    stage: Callable[[str], AbstractContextManager[object]] = unwatched,
) -> LossTerms:
    """``mean −log p(x | z) + mean KL(q(z | x) ‖ p(z))``, over the first observations of transitions.

    Their next observations are images of the same kind, and their actions are nothing that it could use.

    Args:
        model: The model.
        batch: B transitions.
        permutation: int64 ``[B]``; the separation compares the latent of sample i with that of sample
            ``permutation[i]``.
        dtype: ``torch.bfloat16`` runs the networks under autocast; ``torch.float32`` as they are.
        stage: Is told what is being computed, "forward" or "loss".

    Returns:
        The terms, in nats, under the names of the contrastive ones: ``positive`` is the reconstruction, and
        ``negative`` the divergence, as 0 where an estimate of it is less.

    Raises:
        ExtensionError: If the model gives tensors of other shapes than it should.
    """
    with (
        torch.autocast(batch.observation.device.type, dtype=dtype, enabled=dtype != torch.float32),
        stage("forward"),
    ):
        reconstruction, divergence, latent = model.evidence(batch.observation)
    with stage("loss"):
        count = len(batch.observation)
        for name, term in (("reconstruction", reconstruction), ("divergence", divergence)):
            if term.shape != (count,):
                raise ExtensionError(
                    f"{type(model).__name__}.evidence gives a {name} of the shape {list(term.shape)}; for"
                    f" this batch it must be [{count}]"
                )
        separation = CheckedModel(model).distance(latent.detach(), latent.detach()[permutation]).mean()
        positive, negative = reconstruction.mean(), divergence.mean()
        return LossTerms(positive + negative, positive, negative.clamp(min=0), separation)


def loss_of(model: WorldModel, batch: Batch, permutation: Tensor, *, dtype: torch.dtype) -> LossTerms:
    """The loss that a model is trained by, where the settings do not change it.

    Args:
        model: The model: a generative one has a loss of its own, others the contrastive one.
        batch: B transitions.
        permutation: int64 ``[B]``, which other sample each is compared with.
        dtype: As for both.

    Raises:
        ExtensionError: If the model gives tensors of other shapes or types than it should.
    """
    if isinstance(model, GenerativeModel):
        return evidence_loss(model, batch, permutation, dtype=dtype)
    return contrastive_loss(model, batch, permutation, hinge=TrainingConfig().hinge, dtype=dtype)
