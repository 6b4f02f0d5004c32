"""Scores a trained world model on the episodes of an evaluation split and their twins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sen_bench.baselines import WorldModel
from sen_bench.config import DEFAULT_HORIZONS
from sen_bench.errors import ConfigError
from sen_bench.evaluation.metrics import (
    DistanceInvarianceError,
    EquivarianceError,
    distance_invariance_error,
    element_keys,
    hard_hits,
    is_collapsed,
    latent_spread,
    random_order,
    rank_predictions,
    relative_error,
    require_finite,
    rows_within,
    separation,
    twin_pairs,
)
from sen_bench.system import QUIET, Advance, Progress, free_memory

_MIB = 1 << 20
_CPU_MEMORY, _GPU_MEMORY = 16 * _MIB, 4096 * _MIB


def default_memory(device: torch.device) -> int:
    """Bytes that evaluation uses on a device unless told otherwise, half of them for ranking [ours].

    16 MiB on a CPU, where larger blocks are slower; on a GPU, which needs large ones, 4 GiB, or half of
    what is free if that is less.
    """
    return _CPU_MEMORY if device.type == "cpu" else min(_GPU_MEMORY, free_memory(device) // 2)


class EvaluationFrames(Protocol):
    """The frames of evaluation episodes and of their twins: the same episodes after a group element.

    Every `index` is an int64 tensor of episode numbers on `device`.
    """

    @property
    def device(self) -> torch.device:
        """Where tensors are expected and returned."""

    @property
    def horizon(self) -> int:
        """Actions in an episode, T."""

    def __len__(self) -> int:
        """Number of episodes."""

    def observations(self, index: Tensor, frame: int, *, twin: bool) -> Tensor:
        """Frame 0 … T of some episodes, float32 `[B, C, H, W]` in [0, 1]."""

    def actions(self, index: Tensor, *, twin: bool) -> Tensor:
        """All actions of some episodes, `[B, T, ...]`."""

    def elements(self, index: slice) -> Tensor:
        """The group element g of each twin, int64 `[B]`, or float64 `[B, 3, 3]` where the group is SO(3)."""

    @property
    def has_negatives(self) -> bool:
        """Whether there are hard negatives of every step."""

    def negatives(self, index: Tensor, frame: int) -> Tensor:
        """Observations of the hard negatives of frame 1 … T, float32 `[B, K, C, H, W]` in [0, 1]."""


@dataclass(frozen=True, slots=True)
class HorizonScores:
    """The scores of one model at one horizon (science: §4); shares are in [0, 1].

    Attributes:
        horizon: Steps predicted ahead, p.
        episodes: How many episodes were ranked, N; chance is about k / N for H@k.
        hits_at_1: Share of true latents whose prediction ranks first; tied predictions share their mean rank.
        hits_at_5: The same for rank 5 or better.
        hits_at_10: The same for rank 10 or better.
        mrr: Mean reciprocal rank, from mean ranks over ties.
        hits_at_1_optimistic: H@1 by the public code's tie rule, which a collapsed encoder wins.
        mrr_optimistic: MRR by the public code's tie rule.
        hh_at_1: HH@1, share of predictions nearer to the true latent than to every hard negative; NaN where
            the episodes have none.
        ee_embedding: EE(S) on the first observations and their twins; the same at every horizon.
        ee_latent: EE(E∘S), the same for their latents; NaN where E and T are not equivariant.
        die_embedding: DIE(S) on random pairs of first observations; the same at every horizon. NaN where no
            two twins share their element, as for SO(3).
        die_model: DIE of p-step predictions against random true latents p steps ahead; NaN in the same case.
        relative_error: RMS error of those predictions, relative to that of predicting no change; NaN where no
            latent changes.
        latent_spread: RMS distance of the true latents p steps ahead from their mean.
        separation: Mean over random pairs of those latents of min(1, energy / margin).
        collapsed: Whether `separation` says that the encoder has collapsed.
    """

    horizon: int
    episodes: int
    hits_at_1: float
    hits_at_5: float
    hits_at_10: float
    mrr: float
    hits_at_1_optimistic: float
    mrr_optimistic: float
    hh_at_1: float
    ee_embedding: float
    ee_latent: float
    die_embedding: float
    die_model: float
    relative_error: float
    latent_spread: float
    separation: float
    collapsed: bool


def evaluate(
    model: WorldModel,
    episodes: EvaluationFrames,
    *,
    horizons: Sequence[int] = DEFAULT_HORIZONS,
    chunk: int = 256,
    ranking_memory: int = _CPU_MEMORY // 2,
    seed: int = 0,
    autocast: torch.dtype | None = None,
    margin: float = 1.0,
    progress: Progress = QUIET,
    title: str = "evaluate",
) -> list[HorizonScores]:
    """Scores a model at several horizons.

    Every frame that is needed is embedded once. Latents are kept for all episodes, embeddings only for one
    chunk, so memory does not grow with the size of the maps. The scores depend on `chunk` only as far as the
    model's own arithmetic depends on the size of a batch.

    Args:
        model: On the device of `episodes`; scored in evaluation mode, and returned to its previous mode.
        episodes: The evaluation episodes and their twins.
        horizons: Numbers of steps to predict ahead, each at most `episodes.horizon`.
        chunk: Episodes that go through the model at a time.
        ranking_memory: Bytes for the distances compared at a time; no score depends on it.
        seed: The seed of the random pairs of DIE and of `separation`.
        autocast: Narrow type for the model's arithmetic (`torch.bfloat16`), or None for full precision.
        margin: The margin of the hinge, which is the scale of `separation`.
        progress: Is told how many episodes are done.
        title: What the work is called where progress is shown.

    Returns:
        One entry per horizon, in the order of `horizons`.

    Raises:
        ConfigError: The episodes are shorter than a horizon, or too few to rank.
        NonFiniteError: The model made a latent or an embedding that is NaN or infinite.
    """
    _check(episodes, horizons, chunk)
    elements = episodes.elements(slice(None))
    keys = element_keys(elements)
    order = random_order(keys, seed=seed)
    pairs = twin_pairs(keys, order)
    # Unlike the pairs of DIE, those of the separation may differ in the element of their twins.
    shuffled = random_order(torch.zeros_like(keys), seed=seed)
    original = _Rollouts(model, episodes, sorted(set(horizons)), twin=False)
    twin = _Rollouts(model, episodes, sorted(set(horizons)), twin=True)
    scores = []
    with _scoring(model):
        with progress.work(title, "episodes") as advance, _precision(episodes.device, autocast):
            errors = _roll_out_all(model, original, twin, elements, keys, order, chunk=chunk, advance=advance)
        for horizon in horizons:
            true, predicted = original.checked(horizon)
            ranking = rank_predictions(true, predicted, chunk=rows_within(ranking_memory, len(true)))
            apart = separation(model.distance(true[shuffled], true[shuffled.roll(1)]), margin=margin)
            scores.append(
                HorizonScores(
                    horizon=horizon,
                    episodes=len(true),
                    hits_at_1=ranking.hits_at(1),
                    hits_at_5=ranking.hits_at(5),
                    hits_at_10=ranking.hits_at(10),
                    mrr=ranking.mrr(),
                    hits_at_1_optimistic=ranking.hits_at(1, "optimistic"),
                    mrr_optimistic=ranking.mrr("optimistic"),
                    hh_at_1=original.hard_hits_at_1(horizon),
                    ee_embedding=errors.equivariance,
                    ee_latent=errors.latent_equivariance,
                    die_embedding=errors.invariance,
                    die_model=_die_of_model(original, twin, horizon, pairs),
                    relative_error=relative_error(predicted, true, original.true[0]),
                    latent_spread=latent_spread(true),
                    separation=apart,
                    collapsed=is_collapsed(apart),
                )
            )
    return scores


class _Errors(NamedTuple):
    """What is measured on first observations and their twins, the same at every horizon."""

    equivariance: float
    latent_equivariance: float
    invariance: float


class _Rollouts:
    """Latents of all episodes, or of all their twins, filled chunk by chunk in any order.

    Attributes:
        true: Latents of the true frames by frame, 0 and the horizons, `[N, ...]` each.
        predicted: Latents predicted from frame 0 on by horizon, `[N, ...]` each.
        hard: Whether those predictions beat every hard negative by horizon, bool `[N]` each; empty for twins
            and if there are no negatives.
    """

    def __init__(
        self, model: WorldModel, episodes: EvaluationFrames, horizons: Sequence[int], *, twin: bool
    ) -> None:
        self._model = model
        self._episodes = episodes
        self._horizons = horizons
        self._twin = twin
        self._whose = " of the twins" if twin else ""
        self.true: dict[int, Tensor] = {}
        self.predicted: dict[int, Tensor] = {}
        self.hard: dict[int, Tensor] = {}

    def add(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rolls some episodes out and encodes their true frames at the horizons.

        Args:
            index: Which episodes, int64 `[B]`.

        Returns:
            The embeddings and the latents of their first observations, `[B, *embedding_shape]` and
            `[B, *latent_shape]`.

        Raises:
            NonFiniteError: One of those embeddings is NaN or infinite.
        """
        embedding = self._model.embed(self._episodes.observations(index, 0, twin=self._twin))
        require_finite(embedding, f"embeddings of first observations{self._whose}")
        actions = self._episodes.actions(index, twin=self._twin)
        latent = first = self._model.encode(embedding)
        self._keep(self.true, 0, index, latent)
        for step in range(1, self._horizons[-1] + 1):
            latent = self._model.transition(latent, actions[:, step - 1])
            if step in self._horizons:
                observation = self._episodes.observations(index, step, twin=self._twin)
                true = self._model.encode(self._model.embed(observation))
                self._keep(self.true, step, index, true)
                self._keep(self.predicted, step, index, latent)
                if self._episodes.has_negatives and not self._twin:
                    self._keep(self.hard, step, index, self._beats_negatives(index, step, latent, true))
        return embedding, first

    def _beats_negatives(self, index: Tensor, step: int, predicted: Tensor, true: Tensor) -> Tensor:
        """Whether predictions are nearer to the true latents than to those of the negatives, bool `[B]`."""
        observations = self._episodes.negatives(index, step)
        negatives = self._model.encode(self._model.embed(observations.flatten(0, 1)))
        return hard_hits(predicted, true, negatives.view(*observations.shape[:2], *negatives.shape[1:]))

    def hard_hits_at_1(self, horizon: int) -> float:
        """HH@1 at a horizon; NaN where there are no negatives."""
        return float(self.hard[horizon].double().mean()) if horizon in self.hard else math.nan

    def checked(self, horizon: int) -> tuple[Tensor, Tensor]:
        """True and predicted latents at a horizon, `[N, ...]` each.

        Raises:
            NonFiniteError: One of them is NaN or infinite.
        """
        true, predicted = self.true[horizon], self.predicted[horizon]
        steps = f"{horizon} step{'s' if horizon > 1 else ''}"
        require_finite(true, f"true latents{self._whose}, {steps}")
        require_finite(predicted, f"predicted latents{self._whose}, {steps}")
        return true, predicted

    def _keep(self, kept: dict[int, Tensor], frame: int, index: Tensor, latent: Tensor) -> None:
        if frame not in kept:
            kept[frame] = latent.new_empty(len(self._episodes), *latent.shape[1:])
        kept[frame][index] = latent


def _check(episodes: EvaluationFrames, horizons: Sequence[int], chunk: int) -> None:
    if len(episodes) < 2:
        raise ConfigError(f"{len(episodes)} evaluation episode(s): ranking needs at least 2")
    if not horizons or min(horizons) < 1 or max(horizons) > episodes.horizon:
        raise ConfigError(
            f"evaluation horizons {', '.join(map(str, horizons)) or '(none)'}: the episodes have "
            f"{episodes.horizon} steps, so each must be 1 to {episodes.horizon}"
        )
    if chunk < 1:
        raise ConfigError(f"evaluation chunk {chunk}: must be at least 1 episode")


@contextmanager
def _scoring(model: WorldModel) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def _precision(device: torch.device, narrow: torch.dtype | None) -> AbstractContextManager[object]:
    """Autocast for the passes through the model; nothing else is ever narrow."""
    return nullcontext() if narrow is None else torch.autocast(device.type, narrow)


def _roll_out_all(
    model: WorldModel,
    original: _Rollouts,
    twin: _Rollouts,
    elements: Tensor,
    keys: Tensor,
    order: Tensor,
    *,
    chunk: int,
    advance: Advance,
) -> _Errors:
    """Sends every episode and its twin through the model once, and measures EE and DIE(S) on the way.

    In this order the pairs of DIE(S) are neighbours, so no embedding is computed twice or kept for long.
    """
    equivariance, latent_equivariance = (EquivarianceError(normalised=model.ee_normalised) for _ in range(2))
    invariance = DistanceInvarianceError()
    # The last episode of the chunk before: a pair of neighbours may straddle two chunks.
    last: tuple[Tensor, Tensor, Tensor] | None = None
    for begin in range(0, len(order), chunk):
        index = order[begin : begin + chunk]
        element, key = elements[index], keys[index]
        embedding, latent = original.add(index)
        of_twin, latent_of_twin = twin.add(index)
        # The group acts exactly: rounding in its action would be taken for an error of the model.
        with torch.autocast(embedding.device.type, enabled=False):
            equivariance.update(embedding, model.transform_embedding(element, embedding), of_twin)
            if model.equivariant:
                latent_equivariance.update(latent, model.transform_latent(element, latent), latent_of_twin)
        invariance.update_reference(embedding)
        if last is not None:
            key, embedding, of_twin = (
                torch.cat([tail, x]) for tail, x in zip(last, (key, embedding, of_twin), strict=True)
            )
        first, second = twin_pairs(key, torch.arange(len(key), device=key.device))
        invariance.update(embedding[first], embedding[second], of_twin[first], of_twin[second])
        last = (key[-1:], embedding[-1:].clone(), of_twin[-1:].clone())
        advance(min(begin + chunk, len(order)), len(order))
    return _Errors(equivariance.value(), latent_equivariance.value(), invariance.value())


def _die_of_model(original: _Rollouts, twin: _Rollouts, horizon: int, pairs: tuple[Tensor, Tensor]) -> float:
    """DIE of predictions against randomly paired true latents, by the mean norm of the first latents."""
    true, predicted = original.checked(horizon)
    twin_true, twin_predicted = twin.checked(horizon)
    first, second = pairs
    return distance_invariance_error(
        predicted[first], true[second], twin_predicted[first], twin_true[second], reference=original.true[0]
    )
