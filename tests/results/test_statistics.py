"""Statistics over runs agree with enumeration, scipy and rliable, and promise no more than they know."""

from __future__ import annotations

import itertools
import math
from random import Random
from typing import TypeAlias

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_bench.results.statistics import (
    FEWEST_RUNS,
    UNKNOWN,
    Interval,
    Relation,
    interquartile_mean,
    iqm_interval,
    summarise,
)

Strata: TypeAlias = list[list[float]]

SCORES = st.lists(st.floats(0, 1), min_size=FEWEST_RUNS, max_size=12)

# Interquartile mean and 95 % interval, computed once by rliable 1.2.0 (arch 7.2.0, NumPy 2.4.6) with 50,000
# resamples and RandomState(0). It is no test dependency: it brings arch, statsmodels and seaborn along, and
# cannot be imported beside pandas 3.
RLIABLE: list[tuple[Strata, float, tuple[float, float]]] = [
    ([[0.91, 0.87, 0.95]], 0.91, (0.87, 0.95)),
    ([[0.2, 0.9, 0.85, 0.88, 0.99]], 0.8766666666666666, (0.41666667, 0.96)),
    (
        [[0.31, 0.52, 0.48, 0.97, 0.66, 0.71, 0.12, 0.59, 0.83, 0.45]],
        0.5683333333333332,
        (0.405, 0.72666667),
    ),
    (
        [[0.91, 0.87, 0.95, 0.60], [0.2, 0.9, 0.85, 0.88], [0.5, 0.55, 0.45, 0.1]],
        0.7083333333333334,
        (0.51333333, 0.82333333),
    ),
]


@pytest.mark.parametrize(("strata", "mean", "ends"), RLIABLE)
def test_interquartile_mean_and_interval_are_those_of_rliable(
    strata: Strata, mean: float, ends: tuple[float, float]
) -> None:
    assert interquartile_mean([score for scores in strata for score in scores]) == pytest.approx(mean)
    interval = iqm_interval(strata)
    # Both draw resamples, each its own: ends differ in the third digit, as those of two seeds of either do.
    assert (interval.low, interval.high) == pytest.approx(ends, abs=0.004)


@pytest.mark.parametrize(
    "strata",
    [
        [[0.3, 0.1, 0.8]],
        [[0.1, 0.2, 0.4, 0.8]],
        [[0.2, 0.9, 0.85, 0.88, 0.99]],
        [[0.1, 0.5, 0.6], [0.7, 0.75, 0.9]],
    ],
)
def test_interval_lies_where_the_enumeration_of_all_resamples_says(strata: Strata) -> None:
    resamples = itertools.product(*(itertools.product(scores, repeat=len(scores)) for scores in strata))
    exact = sorted(float(scipy.stats.trim_mean(np.concatenate(resample), 0.25)) for resample in resamples)
    interval = iqm_interval(strata)
    # Four standard errors of a share of 2.5 % among 10,000 resamples are 0.6 %.
    for end, share in ((interval.low, 0.025), (interval.high, 0.975)):
        low, high = np.quantile(exact, [share - 0.00625, share + 0.00625], method="inverted_cdf")
        assert low - 1e-12 <= end <= high + 1e-12


def test_strata_are_resampled_each_by_itself() -> None:
    apart = iqm_interval([[0.0] * 4, [1.0] * 4])
    assert (apart.low, apart.high) == (0.5, 0.5)
    together = iqm_interval([[0.0] * 4 + [1.0] * 4])
    assert (together.low, together.high) == (0.0, 1.0)


@settings(deadline=None)
@given(SCORES)
def test_interquartile_mean_is_the_trimmed_mean_of_scipy(scores: list[float]) -> None:
    assert interquartile_mean(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25), abs=1e-12)


@settings(deadline=None)
@given(SCORES)
def test_mean_and_standard_deviation_are_those_of_numpy(scores: list[float]) -> None:
    summary = summarise(scores)
    assert summary.runs == len(scores)
    assert summary.mean == pytest.approx(np.mean(scores), abs=1e-12)
    assert summary.std == pytest.approx(np.std(scores, ddof=1), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(SCORES, st.randoms())
def test_interval_does_not_depend_on_the_order_of_runs(scores: list[float], random: Random) -> None:
    shuffled = list(scores)
    random.shuffle(shuffled)
    assert summarise(shuffled) == summarise(scores)


@settings(max_examples=30, deadline=None)
@given(SCORES)
def test_interval_lies_within_the_scores_and_around_their_middle(scores: list[float]) -> None:
    interval = summarise(scores).interval
    assert min(scores) <= interval.low <= interval.high <= max(scores) + 1e-12


@settings(max_examples=30, deadline=None)
@given(SCORES, st.floats(0.1, 100), st.floats(-10, 10))
def test_interval_moves_with_the_scores(scores: list[float], scale: float, shift: float) -> None:
    before = iqm_interval([scores])
    after = iqm_interval([[scale * score + shift for score in scores]])
    assert after.low == pytest.approx(scale * before.low + shift, abs=1e-9)
    assert after.high == pytest.approx(scale * before.high + shift, abs=1e-9)


def test_interval_depends_on_its_seed_alone() -> None:
    scores = RLIABLE[2][0]
    assert iqm_interval(scores) == iqm_interval(scores)
    assert iqm_interval(scores, resamples=100) != iqm_interval(scores, resamples=100, seed=1)


def test_lower_level_gives_a_narrower_interval() -> None:
    wide, narrow = (iqm_interval(RLIABLE[2][0], level=level) for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("runs", [3, 4, 7, 10])
def test_equal_scores_have_their_value_as_interval_to_the_last_bit(runs: int) -> None:
    summary = summarise([0.1] * runs)
    assert (summary.mean, summary.std, summary.iqm) == (0.1, 0, 0.1)
    assert summary.interval == Interval(0.1, 0.1)


@pytest.mark.parametrize("scores", [[0.5], [0.4, 0.6]])
def test_fewer_than_three_runs_have_no_interval(scores: list[float]) -> None:
    summary = summarise(scores)
    assert (summary.mean, summary.iqm) == (0.5, 0.5)
    assert math.isnan(summary.std) == (len(scores) == 1)
    assert not summary.interval.known
    assert not iqm_interval([[0.1, 0.2, 0.3], scores]).known


def test_undefined_score_makes_all_undefined() -> None:
    summary = summarise([0.1, math.nan, 0.3, 0.4])
    assert all(map(math.isnan, (summary.mean, summary.std, summary.iqm)))
    assert not summary.interval.known
    assert math.isnan(interquartile_mean([0.1, math.nan]))


def test_no_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="there is no score"):
        summarise([])
    with pytest.raises(ValueError, match="nothing to resample"):
        iqm_interval([])


@pytest.mark.parametrize(
    ("mine", "reference", "if_higher", "if_lower"),
    [
        (Interval(0.6, 0.7), Interval(0.1, 0.5), "better", "worse"),
        (Interval(0.1, 0.5), Interval(0.6, 0.7), "worse", "better"),
        (Interval(0.1, 0.5), Interval(0.5, 0.7), "overlap", "overlap"),
        (Interval(0.5, 0.7), Interval(0.1, 0.5), "overlap", "overlap"),
        (Interval(0.2, 0.3), Interval(0.1, 0.5), "overlap", "overlap"),
        (Interval(0.1, 0.5), Interval(0.2, 0.3), "overlap", "overlap"),
        (UNKNOWN, Interval(0.1, 0.5), None, None),
        (Interval(0.1, 0.5), UNKNOWN, None, None),
    ],
)
def test_intervals_are_apart_if_they_share_nothing(
    mine: Interval, reference: Interval, if_higher: Relation | None, if_lower: Relation | None
) -> None:
    assert mine.relation(reference, higher_is_better=True) == if_higher
    assert mine.relation(reference, higher_is_better=False) == if_lower
