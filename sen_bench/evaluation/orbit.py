"""Scores of a model by how far transitions are from a slice of the orbit that it was trained on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel
from sen_bench.evaluation.frames import EvaluationFrames
from sen_bench.evaluation.metrics import Ranking, rank_predictions, relative_error, rows_within
from sen_bench.evaluation.protocol import precision_of, scoring
from sen_bench.evaluation.rollouts import Rollouts
from sen_bench.system import QUIET, Progress, seeded

IN_SLICE: Final = "in the slice"
BEYOND: Final = "beyond the orbit"


@dataclass(frozen=True)
class OrbitClass:
    """Transitions that are about equally far from a slice.

    Attributes:
        label: What it is called.
        low: Degrees to the slice, from here; NaN beyond the orbit.
        high: Degrees to the slice, up to here; NaN beyond the orbit.
        members: Which transitions are in it, bool ``[N]``.
    """

    label: str
    low: float
    high: float
    members: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OrbitScores:
    """What a model scores on some transitions, one step ahead; the scores are those of `HorizonScores`.

    Attributes:
        transitions: How many there are.
        hits_at_1: H@1, among the predictions of all transitions.
        mrr: MRR, likewise.
        hh_at_1: HH@1; NaN where there are no hard negatives.
        relative_error: RMS error of these predictions, relative to that of no change; NaN where none changes.
        no_change_hits_at_1: H@1 of predicting that nothing changes.
        no_change_mrr: MRR of predicting that nothing changes.
        no_change_hh_at_1: HH@1 of predicting that nothing changes.
    """

    transitions: int
    hits_at_1: float
    mrr: float
    hh_at_1: float
    relative_error: float
    no_change_hits_at_1: float
    no_change_mrr: float
    no_change_hh_at_1: float


def orbit_classes(distances: NDArray[np.float64], edges: Sequence[float] = ()) -> list[OrbitClass]:
    """Parts transitions by their distance from the slice; each is in one class, and no class is empty.

    Args:
        distances: Degrees, as `World.slice_distance` gives them, ``[N]``.
        edges: Up to which distances classes go, ascending; what is farther is one more class. Empty:
            each distance is a class.

    Returns:
        The nearest first: the slice, the classes of the orbit, and what lies beyond it.
    """
    near = np.isfinite(distances) & (distances > 0)
    found = [OrbitClass(IN_SLICE, 0.0, 0.0, distances == 0)]
    if edges:
        farthest = float(distances[near].max(initial=edges[-1]))
        for low, high in itertools.pairwise((0.0, *edges, *([farthest] if farthest > edges[-1] else []))):
            members = near & (low < distances) & (distances <= high)
            found.append(OrbitClass(f"{low:g} to {high:g} degrees", low, high, members))
    else:
        found += [
            OrbitClass(f"{distance:g} degrees", distance, distance, distances == distance)
            for distance in np.unique(distances[near]).tolist()
        ]
    found.append(OrbitClass(BEYOND, math.nan, math.nan, np.isinf(distances)))
    return [each for each in found if each.members.any()]


def score_orbit(
    model: WorldModel,
    episodes: EvaluationFrames,
    classes: Sequence[OrbitClass],
    *,
    chunk: int = 256,
    ranking_memory: int,
    seed: int = 0,
    autocast: torch.dtype | None = None,
    progress: Progress = QUIET,
    title: str = "score by class",
) -> list[OrbitScores]:
    """Scores predictions of the first step of all episodes, class by class.

    Args:
        model: On the device of `episodes`; scored in evaluation mode, and returned to its previous mode.
        episodes: The evaluation episodes.
        classes: Which of them are scored together.
        chunk: Episodes that go through the model at a time.
        ranking_memory: Bytes for the distances compared at a time; no score depends on it.
        seed: Of what the model itself draws.
        autocast: Narrow type for the model's arithmetic, or None for full precision.
        progress: Is told how many episodes are done.
        title: What the work is called where progress is shown.

    Returns:
        One entry a class, in their order.

    Raises:
        ExtensionError: The model gives tensors of other shapes or types than it should.
        NonFiniteError: The model made a latent or an embedding that is NaN or infinite.
    """
    rollouts = Rollouts(CheckedModel(model), episodes, [1], twin=False)
    with scoring(model), seeded(seed, episodes.device), progress.work(title, "episodes") as advance:
        with precision_of(episodes.device, autocast):
            for begin in range(0, len(episodes), chunk):
                end = min(begin + chunk, len(episodes))
                rollouts.add(torch.arange(begin, end, device=episodes.device))
                advance(end, len(episodes))
        true, predicted = rollouts.checked(1)
        rows = rows_within(ranking_memory, len(true))
        ranking = rank_predictions(true, predicted, chunk=rows)
        no_change = rank_predictions(true, rollouts.true[0], chunk=rows)
    scores = []
    for each in classes:
        members = torch.from_numpy(np.flatnonzero(each.members)).to(episodes.device)
        ranked, unmoved = (Ranking(r.nearer[members], r.tied[members]) for r in (ranking, no_change))
        scores.append(
            OrbitScores(
                transitions=len(members),
                hits_at_1=ranked.hits_at(1),
                mrr=ranked.mrr(),
                hh_at_1=_share(rollouts.hard.get(1), members),
                relative_error=relative_error(predicted[members], true[members], rollouts.true[0][members]),
                no_change_hits_at_1=unmoved.hits_at(1),
                no_change_mrr=unmoved.mrr(),
                no_change_hh_at_1=_share(rollouts.hard_no_change.get(1), members),
            )
        )
    return scores


def _share(hits: Tensor | None, members: Tensor) -> float:
    """The share of hits among some episodes; NaN where nothing could be hit."""
    return math.nan if hits is None else float(hits[members].nanmean())
