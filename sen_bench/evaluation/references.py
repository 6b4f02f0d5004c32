"""What exact latents score: guessing, predicting that nothing changes, and predicting perfectly.

These need no model: the latents are made of the stored states. They say what a score is worth before any
model is trained. [ours]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.config import DEFAULT_HORIZONS
from sen_bench.errors import ConfigError, DatasetError
from sen_bench.evaluation.local_ranking import LOCAL_EPISODES, rank_in_episode
from sen_bench.evaluation.metrics import hard_hits, rank_predictions
from sen_bench.evaluation.turns import (
    STEPS,
    TRAVERSED,
    TURN_AXES,
    TraversalScores,
    hits_of_traversal,
    turns,
)
from sen_bench.store import Dataset

ReferenceName: TypeAlias = Literal["chance", "no-change", "perfect"]
"""Who predicts: nobody (candidates in random order), no change of exact latents, or the truth itself."""


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """What a reference scores at one horizon; the scores are those of `HorizonScores` of the same names.

    Attributes:
        reference: Which one.
        horizon: Steps ahead.
        latents: What the latents are made of, in words.
        hits_at_1: H@1.
        hits_at_5: H@5.
        hits_at_10: H@10.
        mrr: MRR.
        hh_at_1: HH@1; NaN without hard negatives, and of chance.
        local_hits_at_1: Local H@1; NaN where an episode has no other states.
        local_mrr: Local MRR; NaN likewise.
        hh_at_1_without_first: HH@1 without the first state among the negatives; NaN like HH@1.
        th_at_1_yaw: TH@1 about the vertical axis; NaN where the latents are not rotations.
        th_at_1_pitch: TH@1 about the axis to the right.
        th_at_1_roll: TH@1 about the line of sight.
    """

    reference: ReferenceName
    horizon: int
    latents: str
    hits_at_1: float
    hits_at_5: float
    hits_at_10: float
    mrr: float
    hh_at_1: float
    local_hits_at_1: float
    local_mrr: float
    hh_at_1_without_first: float
    th_at_1_yaw: float
    th_at_1_pitch: float
    th_at_1_roll: float


@dataclass(frozen=True)
class _Latents:
    """Exact latents of a world.

    Attributes:
        words: What they are made of.
        of: From states ``[N, ...]`` to latents ``[N, ...]``, float64.
    """

    words: str
    of: Callable[[NDArray[Any]], NDArray[np.float64]]


def _cells(states: NDArray[Any]) -> NDArray[np.float64]:
    """Row and column of each object, ``[N, O, 2]``."""
    return states[..., :2].astype(np.float64)


def _cells_and_headings(states: NDArray[Any]) -> NDArray[np.float64]:
    """Row and column of each object, and its heading as ten times a unit vector, ``[N, O, 6]``."""
    return np.concatenate([_cells(states), 10 * np.eye(4)[states[..., 2]]], axis=-1)


def _directions(states: NDArray[Any]) -> NDArray[np.float64]:
    """Cosines and sines of both joint angles, ``[N, 4]``."""
    angles = states[..., :2]
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)


def _as_stored(states: NDArray[Any]) -> NDArray[np.float64]:
    """The states themselves."""
    return states.astype(np.float64)


_LATENTS: Final[Mapping[str, _Latents]] = {
    "sen_bench/Shapes2D-v0": _Latents("cells", _cells),
    "sen_bench/Blocks3D-v0": _Latents("cells", _cells),
    "sen_bench/RushHour-v0": _Latents("cells and 10 × one-hot headings", _cells_and_headings),
    "sen_bench/Reacher-v0": _Latents("cosines and sines of both angles", _directions),
    "sen_bench/Teapot-v0": _Latents("rotations", _as_stored),
}


def reference_scores(dataset: Dataset, horizons: Sequence[int] = DEFAULT_HORIZONS) -> list[ReferenceScores]:
    """Scores the references of an evaluation split.

    Args:
        dataset: The split.
        horizons: Steps to predict ahead; those beyond the episodes' end are left out.

    Returns:
        Three entries a horizon: chance, no change, perfect.

    Raises:
        ConfigError: No exact latents are known of the world, or there are fewer than two episodes.
        DatasetError: A file of the dataset is gone or damaged, or there are hard negatives without a state.
    """
    if dataset.world_id not in _LATENTS:
        raise ConfigError(
            f"no exact latents are known of {dataset.world_id}; references are made of {', '.join(_LATENTS)}"
        )
    if dataset.episodes < 2:
        raise ConfigError(f"{dataset.place} has {dataset.episodes} episode(s): ranking needs at least 2")
    exact = _LATENTS[dataset.world_id]
    states = dataset.load("state")[:, dataset.frame_stack - 1 :]
    turning = exact is _LATENTS["sen_bench/Teapot-v0"]
    found = []
    for horizon in (horizon for horizon in horizons if horizon <= dataset.horizon):
        first, true = (torch.from_numpy(exact.of(states[:, frame])) for frame in (0, horizon))
        ranked = states[:LOCAL_EPISODES] if dataset.horizon > 1 else states[:0]
        repeats = _repeats(ranked, horizon)
        frames = torch.from_numpy(exact.of(ranked))
        negatives = _negatives(dataset, exact, horizon)
        found.append(_chance(len(states), repeats, horizon, exact.words, turning=turning))
        predictions: tuple[tuple[ReferenceName, Tensor], ...] = (("no-change", first), ("perfect", true))
        for reference, predicted in predictions:
            ranking = rank_predictions(true, predicted)
            local = rank_in_episode(predicted[: len(frames)], frames, repeats, step=horizon)
            has_others = len(local.nearer) > 0
            hard, hard_others = _hard_shares(predicted, true, negatives)
            traversed = (
                _traversed(states[:, 0], moving=reference == "perfect") if turning else TraversalScores()
            )
            found.append(
                ReferenceScores(
                    reference=reference,
                    horizon=horizon,
                    latents=exact.words,
                    hits_at_1=ranking.hits_at(1),
                    hits_at_5=ranking.hits_at(5),
                    hits_at_10=ranking.hits_at(10),
                    mrr=ranking.mrr(),
                    hh_at_1=hard,
                    local_hits_at_1=local.hits_at(1) if has_others else math.nan,
                    local_mrr=local.mrr() if has_others else math.nan,
                    hh_at_1_without_first=hard_others,
                    th_at_1_yaw=traversed.yaw,
                    th_at_1_pitch=traversed.pitch,
                    th_at_1_roll=traversed.roll,
                )
            )
    return found


def _repeats(states: NDArray[Any], step: int) -> Tensor:
    """Which of the times 0 … T have the same state as one of them, bool ``[N, T + 1]``."""
    same = states == states[:, step, None]
    return torch.from_numpy(same.all(axis=tuple(range(2, states.ndim))))


class _Negatives(NamedTuple):
    """The latents of hard negatives, ``[N, K, ...]``, and which have the first state again, ``[N, K]``."""

    latents: Tensor
    like_first: Tensor


def _negatives(dataset: Dataset, exact: _Latents, step: int) -> _Negatives | None:
    """The hard negatives of a step; None where there are none."""
    if "negative/observation" not in dataset.arrays:
        return None
    if "negative/state" not in dataset.arrays:
        raise DatasetError(f"{dataset.place} has no states of its hard negatives")
    return _Negatives(
        torch.from_numpy(exact.of(dataset.load("negative/state")[:, step - 1])),
        torch.from_numpy(dataset.negatives_like_first(step)),
    )


def _hard_shares(predicted: Tensor, true: Tensor, negatives: _Negatives | None) -> tuple[float, float]:
    """HH@1, and HH@1 without the first state among the negatives."""
    if negatives is None:
        return math.nan, math.nan
    hits, others = (
        hard_hits(predicted, true, negatives.latents, left_out=left_out)
        for left_out in (None, negatives.like_first)
    )
    return float(hits.mean()), float(others.nanmean())


def _traversed(first: NDArray[Any], *, moving: bool) -> TraversalScores:
    """TH@1 of rotations as latents, ``[N, 3, 3]``, that are moved as they should be, or not at all."""
    latents = torch.from_numpy(first[:TRAVERSED].astype(np.float64))
    shares = []
    for axis in TURN_AXES:
        turned = turns(axis) @ latents.unsqueeze(1)
        hits = [hits_of_traversal(each if moving else each[:1].expand_as(each), each) for each in turned]
        shares.append(float(torch.cat(hits).double().mean()))
    return TraversalScores(*shares)


def _chance(episodes: int, repeats: Tensor, step: int, words: str, *, turning: bool) -> ReferenceScores:
    """What candidates in random order score: a rank is then uniform from 1 to their number."""
    traversed = 1 / STEPS if turning else math.nan
    others = ~repeats
    others[:, step] = False
    counts = [1 + int(count) for count in others.sum(dim=1) if count]
    means = [_mean_reciprocal(count) for count in counts]
    return ReferenceScores(
        reference="chance",
        horizon=step,
        latents=words,
        hits_at_1=1 / episodes,
        hits_at_5=min(1.0, 5 / episodes),
        hits_at_10=min(1.0, 10 / episodes),
        mrr=_mean_reciprocal(episodes),
        hh_at_1=math.nan,
        local_hits_at_1=float(np.mean([1 / count for count in counts])) if counts else math.nan,
        local_mrr=float(np.mean(means)) if counts else math.nan,
        hh_at_1_without_first=math.nan,
        th_at_1_yaw=traversed,
        th_at_1_pitch=traversed,
        th_at_1_roll=traversed,
    )


def _mean_reciprocal(count: int) -> float:
    """The mean of 1 / rank over the ranks 1 to `count`."""
    return math.fsum(1 / rank for rank in range(1, count + 1)) / count
