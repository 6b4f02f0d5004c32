"""Statistics of a score over runs: mean, standard deviation, interquartile mean and its bootstrap interval.

Pure functions of numbers; nothing here knows a model or a table. Sums are taken of differences to the lowest
score, so that equal scores have exactly their own value as mean and 0 as deviation: two models whose scores
are all 0.1 must not differ by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL: Final = 0.95
"""Nominal level of intervals."""

RESAMPLES: Final = 10_000
"""Bootstrap resamples of an interval [ours]: the share beyond each of its ends is 2.5 ± 0.16 %."""

FEWEST_RUNS: Final = 3
"""Runs below which there is no interval [ours]: resamples of two runs have only three different means, so
that the two scores themselves would be its ends at any level; with one run there is nothing to resample."""

_TRIMMED: Final = 0.25

Relation: TypeAlias = Literal["better", "worse", "overlap"]
"""How an interval lies relative to another one."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval with its ends; both are NaN if there is none.

    Attributes:
        low: The lower end.
        high: The upper end.
    """

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is one."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def relation(self, reference: Interval, *, higher_is_better: bool) -> Relation | None:
        """How this interval lies relative to a reference.

        Args:
            reference: The interval of the model to compare with.
            higher_is_better: Whether a higher score is better, as for hits; errors are better when lower.

        Returns:
            "better" or "worse" if the two are apart, "overlap" if they share at least an end, None if one of
            them is unknown.
        """
        if not (self.known and reference.known):
            return None
        if self.low <= reference.high and reference.low <= self.high:
            return "overlap"
        return "better" if (self.low > reference.high) == higher_is_better else "worse"


UNKNOWN: Final = Interval(math.nan, math.nan)
"""No interval."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What several runs of one model on one task scored.

    Attributes:
        runs: How many runs, n.
        mean: Their mean.
        std: Their standard deviation with n - 1; NaN for one run.
        iqm: Their interquartile mean.
        interval: The 95 % interval of `iqm`, unknown for fewer than `FEWEST_RUNS`.
    """

    runs: int
    mean: float
    std: float
    iqm: float
    interval: Interval


def summarise(scores: ArrayLike) -> Summary:
    """Summarises the scores of several runs of one model on one task.

    Args:
        scores: A score for each run, `[n]`, in any order; NaN where it is undefined.

    Returns:
        The statistics; all are NaN if a score is undefined.

    Raises:
        ValueError: There is no score.
    """
    ordered = _ordered(scores)
    if np.isnan(ordered).any():
        return Summary(len(ordered), math.nan, math.nan, math.nan, UNKNOWN)
    above = ordered - ordered[0]
    return Summary(
        runs=len(ordered),
        mean=float(ordered[0] + above.mean()),
        std=float(above.std(ddof=1)) if len(ordered) > 1 else math.nan,
        iqm=interquartile_mean(ordered),
        interval=iqm_interval([ordered]),
    )


def interquartile_mean(scores: ArrayLike) -> float:
    """The mean of the middle half of scores (Agarwal et al. 2021), as rliable computes it.

    Of n sorted scores, the ⌊n / 4⌋ lowest and as many highest are left out; of fewer than four none, so
    that it is the mean. Of 5 the middle 3 are kept, of 8 the middle 4.

    Args:
        scores: `[n]`, in any order.

    Returns:
        The mean; NaN if a score is NaN.

    Raises:
        ValueError: There is no score.
    """
    ordered = _ordered(scores)
    return math.nan if np.isnan(ordered).any() else float(_middle_means(ordered[np.newaxis])[0])


def iqm_interval(
    strata: Sequence[ArrayLike], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The interval of the interquartile mean of all scores, by the stratified percentile bootstrap.

    Of each stratum as many scores as it has are drawn with replacement; the interquartile means of such
    resamples have the ends of the interval as their quantiles. It does not depend on the order of scores, and
    equal scores have an equal interval.

    Args:
        strata: The scores of each task, `[n]` each; a single task is a single stratum.
        level: Share of the resamples within the interval.
        resamples: How many resamples.
        seed: Seed of their random numbers.

    Returns:
        The interval; unknown if a stratum has fewer than `FEWEST_RUNS` scores or one that is NaN.

    Raises:
        ValueError: There is no stratum, or one without a score.
    """
    ordered = [_ordered(scores) for scores in strata]
    if not ordered:
        raise ValueError("there is nothing to resample")
    if any(len(scores) < FEWEST_RUNS or np.isnan(scores).any() for scores in ordered):
        return UNKNOWN
    if len(ordered) == 1:
        (scores,) = ordered
        rows, drawn = _resamples_of_one(len(scores), resamples, seed)
        means = _middle_means(scores[rows])[drawn]
    else:
        generator = np.random.default_rng(seed)
        parts = [scores[_draw(generator, len(scores), resamples)] for scores in ordered]
        means = _middle_means(np.sort(np.concatenate(parts, axis=1), axis=1))
    outside = (1 - level) / 2
    low, high = np.quantile(means, [outside, 1 - outside])
    return Interval(float(low), float(high))


def _draw(generator: np.random.Generator, count: int, resamples: int) -> NDArray[np.int64]:
    """Indices of scores drawn with replacement, ``[resamples, count]``."""
    return generator.integers(count, size=(resamples, count))


@lru_cache(maxsize=32)
def _resamples_of_one(count: int, resamples: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The resamples of a single stratum of sorted scores, kept because every row of a table needs them.

    Returns:
        The different resamples as ascending indices, `[D, count]` (three scores have but 10), and which of
        them each resample is, `[resamples]`.
    """
    drawn = np.sort(_draw(np.random.default_rng(seed), count, resamples), axis=1)
    rows, which = np.unique(drawn, axis=0, return_inverse=True)
    return rows, which.reshape(-1)


def _ordered(scores: ArrayLike) -> NDArray[np.float64]:
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    if not len(ordered):
        raise ValueError("there is no score")
    return ordered


def _middle_means(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """The interquartile mean of each row of sorted scores, `[R, n]` to `[R]`."""
    count = ordered.shape[1]
    cut = int(_TRIMMED * count)
    middle = ordered[:, cut : count - cut]
    lowest: NDArray[np.float64] = middle[:, :1]
    means: NDArray[np.float64] = (lowest + (middle - lowest).mean(axis=1, keepdims=True))[:, 0]
    return means
