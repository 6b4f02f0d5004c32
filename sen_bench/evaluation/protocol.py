"""Scores a trained world model on the episodes of an evaluation split and their twins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel
from sen_bench.config import DEFAULT_HORIZONS
from sen_bench.errors import ConfigError, ExtensionError
from sen_bench.evaluation.frames import EvaluationFrames
from sen_bench.evaluation.horizon_scores import HorizonScores
from sen_bench.evaluation.local_ranking import later_latents, local_episodes, rank_in_episode
from sen_bench.evaluation.metrics import (
    DistanceInvarianceError,
    EquivarianceError,
    distance_invariance_error,
    element_keys,
    is_collapsed,
    latent_spread,
    random_order,
    rank_predictions,
    relative_error,
    rows_within,
    separation,
    twin_pairs,
)
from sen_bench.evaluation.rollouts import Rollouts
from sen_bench.evaluation.turns import TraversalScores, TurnedPairs, traversal_scores
from sen_bench.system import QUIET, Advance, Progress, free_memory, number_of, seeded, shown

_MIB = 1 << 20
_CPU_MEMORY, _GPU_MEMORY = 16 * _MIB, 4096 * _MIB


def default_memory(device: torch.device) -> int:
    """Bytes that evaluation uses on a device unless told otherwise, half of them for ranking [ours].

    16 MiB on a CPU, where larger blocks are slower; on a GPU, which needs large ones, 4 GiB, or half of
    what is free if that is less.
    """
    return _CPU_MEMORY if device.type == "cpu" else min(_GPU_MEMORY, free_memory(device) // 2)


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

    Every frame that is needed is embedded once, and all frames of the first episodes once more, for the local
    ranking. Where objects can be turned at will, frames of some are rendered for TH@1 and DIE. Latents are
    kept for all episodes, embeddings only for one chunk, so memory does not grow with the size of the maps.
    The scores depend on `chunk` only as far as the model's own arithmetic depends on the size of a batch.

    Args:
        model: On the device of `episodes`; scored in evaluation mode, and returned to its previous mode.
        episodes: The evaluation episodes and their twins.
        horizons: Numbers of steps to predict ahead, each at most `episodes.horizon`.
        chunk: Episodes that go through the model at a time.
        ranking_memory: Bytes for the distances compared at a time; no score depends on it.
        seed: The seed of the random pairs of DIE and of `separation`, and of what the model itself draws.
        autocast: Narrow type for the model's arithmetic (`torch.bfloat16`), or None for full precision.
        margin: The margin of the hinge, which is the scale of `separation`.
        progress: Is told how many episodes are done, how many for the local ranking, and what is turned.
        title: What the work is called where progress is shown.

    Returns:
        One entry per horizon, in the order of `horizons`.

    Raises:
        ConfigError: The episodes are shorter than a horizon, or too few to rank.
        ExtensionError: The model cannot take the episodes, or gives tensors of other shapes or types than it
            should.
        NonFiniteError: The model made a latent or an embedding that is NaN or infinite.
    """
    _check(episodes, horizons, chunk)
    elements = episodes.elements(slice(None))
    keys = element_keys(elements)
    order = random_order(keys, seed=seed)
    pairs = twin_pairs(keys, order)
    # Unlike the pairs of DIE, those of the separation may differ in the element of their twins.
    shuffled = random_order(torch.zeros_like(keys), seed=seed)
    checked = CheckedModel(model)
    original = Rollouts(checked, episodes, sorted(set(horizons)), twin=False)
    twin = Rollouts(checked, episodes, sorted(set(horizons)), twin=True)
    scores = []
    with scoring(model), seeded(seed, episodes.device):
        with progress.work(title, "episodes") as advance, precision_of(episodes.device, autocast):
            errors = _roll_out_all(model, original, twin, elements, keys, order, chunk=chunk, advance=advance)
        later = None
        if local_episodes(episodes):
            work = progress.work(f"{title}, local ranking", "episodes")
            with work as advance, precision_of(episodes.device, autocast):
                later = later_latents(model, episodes, chunk=chunk, advance=advance)
        turned, invariance_turned, traversals = None, math.nan, TraversalScores()
        if episodes.can_turn:
            turned = TurnedPairs(model, episodes, chunk=chunk, seed=seed)
            with precision_of(episodes.device, autocast):
                with progress.work(f"{title}, traversals", "traversals") as advance:
                    traversals = traversal_scores(model, episodes, chunk=chunk, advance=advance)
                with progress.work(f"{title}, distances after a turn", "pairs") as advance:
                    invariance_turned = turned.invariance_of_embedding(advance=advance)
        for horizon in horizons:
            true, predicted = original.checked(horizon)
            twin.checked(horizon)
            rows = rows_within(ranking_memory, len(true))
            ranking = rank_predictions(true, predicted, chunk=rows)
            no_change = rank_predictions(true, original.true[0], chunk=rows)
            local, local_no_change = (
                _local(episodes, latents, original.true[0], later, horizon)
                for latents in (predicted, original.true[0])
            )
            with precision_of(episodes.device, autocast):
                die_model_turned = turned.invariance_of_model(original, twin, horizon) if turned else math.nan
            apart = separation(checked.distance(true[shuffled], true[shuffled.roll(1)]), margin=margin)
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
                    hh_at_1=_share(original.hard.get(horizon)),
                    ee_embedding=errors.equivariance,
                    ee_latent=errors.latent_equivariance,
                    die_embedding=errors.invariance,
                    die_model=_die_of_model(original, twin, horizon, pairs),
                    relative_error=relative_error(predicted, true, original.true[0]),
                    latent_spread=latent_spread(true),
                    separation=apart,
                    collapsed=is_collapsed(apart),
                    no_change_hits_at_1=no_change.hits_at(1),
                    no_change_hits_at_5=no_change.hits_at(5),
                    no_change_hits_at_10=no_change.hits_at(10),
                    no_change_mrr=no_change.mrr(),
                    no_change_hh_at_1=_share(original.hard_no_change.get(horizon)),
                    local_hits_at_1=local[0],
                    local_mrr=local[1],
                    no_change_local_hits_at_1=local_no_change[0],
                    no_change_local_mrr=local_no_change[1],
                    hh_at_1_without_first=_share(original.hard_others.get(horizon)),
                    no_change_hh_at_1_without_first=_share(original.hard_others_no_change.get(horizon)),
                    th_at_1_yaw=traversals.yaw,
                    th_at_1_pitch=traversals.pitch,
                    th_at_1_roll=traversals.roll,
                    die_embedding_turned=invariance_turned,
                    die_model_turned=die_model_turned,
                    ee_embedding_undivided=errors.equivariance_undivided,
                    ee_latent_undivided=errors.latent_equivariance_undivided,
                )
            )
    return scores


def _share(hits: Tensor | None) -> float:
    """The share of hits; NaN where nothing could be hit."""
    return math.nan if hits is None else float(hits.nanmean())


def _local(
    episodes: EvaluationFrames, predicted: Tensor, first: Tensor, later: Tensor | None, horizon: int
) -> tuple[float, float]:
    """Local H@1 and MRR of predictions; NaN where there is nothing to rank."""
    if later is None:
        return math.nan, math.nan
    ranked = slice(0, len(later))
    frames = torch.cat([first[ranked].unsqueeze(1), later], dim=1)
    ranking = rank_in_episode(predicted[ranked], frames, episodes.repeats(ranked, horizon), step=horizon)
    return (ranking.hits_at(1), ranking.mrr()) if len(ranking.nearer) else (math.nan, math.nan)


class _Errors(NamedTuple):
    """What is measured on first observations and their twins, the same at every horizon."""

    equivariance: float
    equivariance_undivided: float
    latent_equivariance: float
    latent_equivariance_undivided: float
    invariance: float


def _check(episodes: EvaluationFrames, horizons: Sequence[int], chunk: int) -> None:
    if len(episodes) < 2:
        raise ConfigError(f"{len(episodes)} evaluation episode(s): ranking needs at least 2")
    if not horizons or min(horizons) < 1 or max(horizons) > episodes.horizon:
        raise ConfigError(
            f"evaluation horizons {', '.join(map(str, horizons)) or '(none)'}: the episodes have "
            f"{number_of(episodes.horizon, 'step')}, so each must be 1 to {episodes.horizon}"
        )
    if chunk < 1:
        raise ConfigError(f"evaluation chunk {chunk}: must be at least 1 episode")


@contextmanager
def _fitting(model: WorldModel, episodes: EvaluationFrames, index: Tensor) -> Iterator[None]:
    """Turns what a model raises that cannot take the episodes at all into an error that says what they are.

    Raises:
        ExtensionError: Instead of what PyTorch and models raise about shapes and types.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        frame = episodes.observations(index[:1], 0, twin=False)[0]
        action = episodes.actions(index[:1], twin=False)
        kind = f"{str(action.dtype).removeprefix('torch.')} {list(action.shape[2:])}"
        raise ExtensionError(
            f"{type(model).__name__} cannot take these episodes, with observations {list(frame.shape)} and"
            f" actions {kind}: {type(error).__name__}: {shown(error)}"
        ) from error


@contextmanager
def scoring(model: WorldModel) -> Iterator[None]:
    """Has a model in evaluation mode, without gradients, and then in its previous mode."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def precision_of(device: torch.device, narrow: torch.dtype | None) -> AbstractContextManager[object]:
    """Autocast for the passes through the model; nothing else is ever narrow."""
    return nullcontext() if narrow is None else torch.autocast(device.type, narrow)


def _roll_out_all(
    model: WorldModel,
    original: Rollouts,
    twin: Rollouts,
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
    equivariance, latent_equivariance = EquivarianceError(), EquivarianceError()
    invariance = DistanceInvarianceError()
    checked = CheckedModel(model)
    # The last episode of the chunk before: a pair of neighbours may straddle two chunks.
    last: tuple[Tensor, Tensor, Tensor] | None = None
    for begin in range(0, len(order), chunk):
        index = order[begin : begin + chunk]
        element, key = elements[index], keys[index]
        with _fitting(model, original.episodes, index) if begin == 0 else nullcontext():
            embedding, latent = original.add(index)
        of_twin, latent_of_twin = twin.add(index)
        # The group acts exactly: rounding in its action would be taken for an error of the model.
        with torch.autocast(embedding.device.type, enabled=False):
            # Copies, because what the model is given it may change in place.
            moved = checked.transform_embedding(element, embedding.clone())
            equivariance.update(embedding, moved, of_twin)
            if model.equivariant:
                moved = checked.transform_latent(element, latent.clone())
                latent_equivariance.update(latent, moved, latent_of_twin)
        invariance.update_reference(embedding)
        if last is not None:
            key, embedding, of_twin = (
                torch.cat([tail, x]) for tail, x in zip(last, (key, embedding, of_twin), strict=True)
            )
        first, second = twin_pairs(key, torch.arange(len(key), device=key.device))
        invariance.update(embedding[first], embedding[second], of_twin[first], of_twin[second])
        last = (key[-1:], embedding[-1:].clone(), of_twin[-1:].clone())
        advance(min(begin + chunk, len(order)), len(order))
    undivided, latent_undivided = equivariance.undivided(), latent_equivariance.undivided()
    return _Errors(
        equivariance.value() if model.ee_normalised else undivided,
        undivided,
        latent_equivariance.value() if model.ee_normalised else latent_undivided,
        latent_undivided,
        invariance.value(),
    )


def _die_of_model(original: Rollouts, twin: Rollouts, horizon: int, pairs: tuple[Tensor, Tensor]) -> float:
    """DIE of predictions against randomly paired true latents, by the mean norm of the first latents."""
    first, second = pairs
    return distance_invariance_error(
        original.predicted[horizon][first],
        original.true[horizon][second],
        twin.predicted[horizon][first],
        twin.true[horizon][second],
        reference=original.true[0],
    )
