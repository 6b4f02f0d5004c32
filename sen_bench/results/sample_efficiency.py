"""How much data models need: the table of a study that trains them on nested parts of a split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from sen_bench.results.csv_tables import Count, Digest, Ratio, TextIfAny, empty_is_none
from sen_bench.results.scores import METRICS, SHOWN, Metric
from sen_bench.results.statistics import Interval
from sen_bench.results.study_tables import (
    Collapsed,
    ConfigDigest,
    EvalDigest,
    Iqm,
    IqmHigh,
    IqmLow,
    Mean,
    MetricName,
    Runs,
    Std,
    StudyRow,
    score_statistics,
)

RIVAL: Final = "none"
"""The model whose need for data the others are measured by in studies."""

Bound = Literal["at least", "at most"]
"""What a ratio is where the rival's scores do not enclose the score that is sought."""


class EfficiencyRow(StudyRow):
    """A score of a model on one part of the data: the one definition of the columns, in their order."""

    fraction: Annotated[float, Field(gt=0, le=1)] = Field(description="Share of the episodes asked for")
    episodes: Count = Field(description="Episodes trained on, the first ones of the split")
    transitions: Count = Field(description="Transitions trained on")
    epochs: Count = Field(description="Passes over them")
    steps: Count = Field(description="Steps of the optimiser: about the same for every part")
    horizon: Annotated[int, Field(ge=1)] = Field(description="Steps predicted ahead")
    metric: MetricName
    runs: Runs
    collapsed: Collapsed
    mean: Mean
    std: Std
    iqm: Iqm
    iqm_low: IqmLow
    iqm_high: IqmHigh
    rival: TextIfAny = Field(description="The model that data is counted in; empty in its own rows")
    times_data: Ratio = Field(
        description="How many times as many transitions the rival needs for the same `iqm`, between the parts"
        " on a logarithmic scale; empty in its own rows"
    )
    times_data_bound: Annotated[Bound | None, BeforeValidator(empty_is_none)] = Field(
        description="`at least` where the rival does not get there with all data, `at most` where it does"
        " with the smallest part; empty where it was measured"
    )
    times_data_low: Ratio = Field(
        description="The same for the lower end of the interval against the upper one of the rival's"
    )
    times_data_high: Ratio = Field(
        description="The same for the upper end of the interval against the lower one of the rival's"
    )
    train_dataset_digest: Digest = Field(description="Content digest of the part")
    eval_dataset_digest: EvalDigest
    config_digest: ConfigDigest = None


@dataclass(frozen=True)
class StudiedPart:
    """The runs of one model on one part of the data.

    Attributes:
        fraction: The share of the episodes that was asked for.
        episodes: Episodes trained on.
        transitions: Transitions trained on.
        epochs: Passes over them.
        steps: Steps of the optimiser.
        preset: The preset of the whole split, with settings beside it.
        runs: The rows of its runs in the table of runs, of all seeds and horizons; at least one.
    """

    fraction: float
    episodes: int
    transitions: int
    epochs: int
    steps: int
    preset: str
    runs: Sequence[Mapping[str, Any]]

    @property
    def model(self) -> str:
        """The model."""
        return str(self.runs[0]["model"])

    @property
    def horizons(self) -> list[int]:
        """The horizons at which it was scored."""
        return sorted({int(run["horizon"]) for run in self.runs})


def efficiency_rows(parts: Sequence[StudiedPart], *, rival: str | None) -> list[EfficiencyRow]:
    """The table of a study: a row for each model, part, horizon and score.

    Args:
        parts: The parts of all models.
        rival: The model whose need for data the others are measured by; None: that is not asked.

    Returns:
        The rows, without scores that are undefined for all runs.
    """
    rows = []
    for part in sorted(parts, key=lambda part: (part.model, part.transitions)):
        for horizon in part.horizons:
            for metric in SHOWN:
                row = _row(part, horizon, metric)
                if not math.isnan(row.mean):
                    rows.append(row)
    if rival is None:
        return rows
    theirs: dict[tuple[int, str], list[EfficiencyRow]] = {}
    for row in rows:
        if row.model == rival:
            theirs.setdefault((row.horizon, row.metric), []).append(row)
    return [
        row if row.model == rival else _against(row, theirs.get((row.horizon, row.metric), []), rival)
        for row in rows
    ]


def _row(part: StudiedPart, horizon: int, metric: Metric) -> EfficiencyRow:
    """A row that is not compared yet."""
    runs = [run for run in part.runs if run["horizon"] == horizon]
    first = runs[0]
    return EfficiencyRow(
        task=first["task"],
        train_split=first["train_split"],
        preset=part.preset,
        model=part.model,
        fraction=part.fraction,
        episodes=part.episodes,
        transitions=part.transitions,
        epochs=part.epochs,
        steps=part.steps,
        horizon=horizon,
        metric=metric.name,
        **score_statistics([run[metric.name] for run in runs]),
        collapsed=sum(bool(run["collapsed"]) for run in runs),
        rival=None,
        times_data=math.nan,
        times_data_bound=None,
        times_data_low=math.nan,
        times_data_high=math.nan,
        train_dataset_digest=first["train_dataset_digest"],
        eval_dataset_digest=first["eval_dataset_digest"],
        config_digest=first["config_digest"],
    )


_METRIC: Final = {metric.name: metric for metric in METRICS}


def _against(row: EfficiencyRow, theirs: Sequence[EfficiencyRow], rival: str) -> EfficiencyRow:
    """A row with how many times its data the rival needs, by the rival's rows of the same score."""
    if not theirs:
        return row
    sign = 1 if _METRIC[row.metric].higher_is_better else -1
    counts = [other.transitions for other in theirs]
    needed, bound = data_needed(counts, [sign * other.iqm for other in theirs], sign * row.iqm)
    times = {"times_data": needed / row.transitions}
    # The rival needs least where it is as good as may be, and most where it is as bad as may be.
    ours, others = _interval(row, sign), [_interval(other, sign) for other in theirs]
    if ours.known and all(interval.known for interval in others):
        for name, target, scores in (
            ("times_data_low", ours.low, [interval.high for interval in others]),
            ("times_data_high", ours.high, [interval.low for interval in others]),
        ):
            times[name] = data_needed(counts, scores, target)[0] / row.transitions
    return row.model_copy(update={**times, "times_data_bound": bound, "rival": rival})


def _interval(row: EfficiencyRow, sign: int) -> Interval:
    """The interval of a row, mirrored where lower scores are better."""
    if sign > 0:
        return Interval(row.iqm_low, row.iqm_high)
    return Interval(-row.iqm_high, -row.iqm_low)


def data_needed(
    transitions: Sequence[int], scores: Sequence[float], target: float
) -> tuple[float, Bound | None]:
    """How many transitions a score needs, from scores at some numbers of them; higher ones are better.

    Args:
        transitions: Numbers of transitions, ascending; at least one.
        scores: What was scored with each.
        target: The score.

    Returns:
        Where the scores first reach it, linear between neighbours in the logarithm of the transitions, and
        None. If the first one is as good already, its number and "at most"; if none is, the last number and
        "at least".
    """
    if scores[0] >= target:
        return float(transitions[0]), None if scores[0] == target else "at most"
    for k in range(1, len(scores)):
        below, above = scores[k - 1], scores[k]
        if above >= target:
            share = (target - below) / (above - below)
            ends = math.log(transitions[k - 1]), math.log(transitions[k])
            return math.exp(ends[0] + share * (ends[1] - ends[0])), None
    return float(transitions[-1]), "at least"
