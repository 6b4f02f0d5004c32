"""The contrastive loss that every model is trained with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel, kernels_expanded_once
from sen_bench.config import LossForm
from sen_bench.data import Batch
from sen_bench.errors import ExtensionError


class LossTerms(NamedTuple):
    """The loss of a batch and what it is made of; each a scalar tensor.

    Attributes:
        total: What is minimised: ``positive`` + ``negative``.
        positive: Mean energy between the predicted and the true next latent; with a ``bystander_weight``, and
            that times the mean energy by which bystanders change.
        negative: Mean amount by which the energy to a negative falls short of its margin.
        separation: Mean energy of a latent to that of its negative; 0 when all latents are equal.
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
        self,
        model: WorldModel,
        batch: Batch,
        permutation: Tensor,
        *,
        hinge: float,
        dtype: torch.dtype,
        form: LossForm = "public",
        margin_other: float | None = None,
        per_object: bool = False,
        bystander_weight: float = 0.0,
    ) -> LossTerms:
        """The loss of a batch."""


def unwatched(_name: str) -> AbstractContextManager[None]:
    """Tells nobody which stage is under way."""
    return nullcontext()


def contrastive_loss(
    model: WorldModel,
    batch: Batch,
    permutation: Tensor,
    *,
    hinge: float,
    dtype: torch.dtype,
    form: LossForm = "public",
    margin_other: float | None = None,
    per_object: bool = False,
    bystander_weight: float = 0.0,
    stage: Callable[[str], AbstractContextManager[object]] = unwatched,
) -> LossTerms:
    """``mean d(z + T(z, a), z') + mean max(0, hinge − d(z, z̃))`` (Kipf et al. 2020, eq. 4; Park et al. 2022).

    The energies d are computed in the precision of the latents, which models keep at float32.

    Args:
        model: The model. Observation and next observation are embedded in two passes, as in the public code,
            so that batch normalisation sees each by itself. Where the batch brings negatives, all three are
            embedded in one: in a pass of their own, the statistics of the batch would tell them apart.
        batch: B transitions. If it brings n negatives, these are compared with its first n samples.
        permutation: int64 ``[B]``; the negative of any other sample i is the latent of sample
            ``permutation[i]``.
        hinge: The margin.
        dtype: ``torch.bfloat16`` runs the networks under autocast; ``torch.float32`` as they are. (The
            precision ``tf32`` is a setting of the process, `sen_bench.system.float32_products`.)
        form: "text" replaces d(z, z̃) by d(z + T(z, a), z̃), as the paper's text has it.
        margin_other: The margin of negatives that are other samples; None: ``hinge``.
        per_object: Whether other samples are to have that margin from the latent of each object
            (`WorldModel.object_distances`); their shortfall is then the mean over objects.
        bystander_weight: If not 0, this times ``mean d₋ₐ(z, z')`` is added to the positive term, where d₋ₐ is
            the energy of the objects that do not act (`WorldModel.bystander_distance`).
        stage: Is told what is being computed, "embed", "encode", "transition" or "loss".

    Raises:
        ExtensionError: If the model gives tensors of other shapes or types than it should, or changes latents
            in place that the negative term is still to be computed from.
    """
    checked = CheckedModel(model)
    # Compiled code computes nothing twice anyway.
    once = nullcontext() if torch.compiler.is_compiling() else kernels_expanded_once()
    narrow = torch.autocast(batch.observation.device.type, dtype=dtype, enabled=dtype != torch.float32)
    with once, narrow:
        latent, next_latent, drawn, changes = _latents(checked, batch, stage)
        with stage("transition"):
            predicted = checked.transition(latent, batch.action)
    with stage("loss"):
        positive = checked.distance(predicted, next_latent).mean()
        if bystander_weight:
            changed = checked.bystander_distance(latent, next_latent, batch.action)
            positive = positive + bystander_weight * changed.mean()
        if _changes(latent) != changes:
            raise ExtensionError(
                f"{type(model).__name__} changes latents in place after `encode` has returned them, most"
                " likely in `transition` (z += …, or a layer with inplace=True on its input); let it make new"
                " tensors, as the loss compares the latents as they were"
            )
        count = 0 if drawn is None else len(drawn)
        others = latent.index_select(0, permutation[count:])
        negatives = others if drawn is None else torch.cat([drawn, others])
        compared = latent if form == "public" else predicted
        energy = checked.distance(compared, negatives)
        margin = hinge if margin_other is None else margin_other
        if per_object:
            energies = checked.object_distances(compared[count:], others)
            shortfall = (margin - energies).clamp(min=0).mean(dim=1)
        else:
            shortfall = (margin - energy[count:]).clamp(min=0)
        if count:
            shortfall = torch.cat([(hinge - energy[:count]).clamp(min=0), shortfall])
        negative = shortfall.mean()
        separation = energy if form == "public" else checked.distance(latent, negatives)
        return LossTerms(positive + negative, positive, negative, separation.mean())


def _latents(
    model: CheckedModel, batch: Batch, stage: Callable[[str], AbstractContextManager[object]]
) -> tuple[Tensor, Tensor, Tensor | None, int]:
    """The latents of observations, next observations and negatives, and `_changes` of the first."""
    if batch.negative is None:
        with stage("embed"):
            embedding = model.embed(batch.observation)
            next_embedding = model.embed(batch.next_observation)
        with stage("encode"):
            latent = model.encode(embedding)
            changes = _changes(latent)
            return latent, model.encode(next_embedding), None, changes
    with stage("embed"):
        embedding = model.embed(torch.cat([batch.observation, batch.next_observation, batch.negative]))
    with stage("encode"):
        latents = model.encode(embedding)
        size = len(batch.observation)
        latent, next_latent, drawn = latents[:size], latents[size : 2 * size], latents[2 * size :]
        return latent, next_latent, drawn, _changes(latent)


def _changes(tensor: Tensor) -> int:
    """How often a tensor was changed in place, also through views of it, as autograd counts.

    Compiled code has no such count: 0 there. The training loop computes a loss uncompiled before it compiles.
    """
    uncounted = torch.compiler.is_compiling() or tensor.is_inference()
    return 0 if uncounted else tensor._version  # noqa: SLF001 — it has no other name
