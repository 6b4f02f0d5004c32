"""The scores against brute force and cases computed by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from sen_bench.errors import NonFiniteError
from sen_bench.evaluation.metrics import (
    DistanceInvarianceError,
    EquivarianceError,
    Ties,
    distance_invariance_error,
    element_keys,
    equivariance_error,
    hard_hits,
    is_collapsed,
    latent_spread,
    random_order,
    rank_predictions,
    relative_error,
    require_finite,
    separation,
    twin_pairs,
)

# Few values on few axes: most draws have equal latents and equal distances.
_GRID_LATENTS = st.tuples(st.integers(1, 12), st.integers(1, 3)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=st.integers(-2, 2)),
        hnp.arrays(np.float64, shape, elements=st.integers(-2, 2)),
    )
)


def brute_force_ranks(true: np.ndarray, predicted: np.ndarray, ties: Ties) -> list[Fraction]:
    """Exact ranks of integer latents: squared distances are integers, and a rank is counted out."""
    ranks = []
    for row, target in enumerate(true.astype(int)):
        distances = [int(((candidate - target) ** 2).sum()) for candidate in predicted.astype(int)]
        if ties == "optimistic":
            # The public code's rule: the true pair is put first, then all are sorted stably.
            ordered = sorted([(distances[row], "own"), *((d, "any") for d in distances)], key=lambda x: x[0])
            ranks.append(Fraction(1 + [name for _, name in ordered].index("own")))
        else:
            places = [place for place, d in enumerate(sorted(distances), 1) if d == distances[row]]
            ranks.append(Fraction(sum(places), len(places)))
    return ranks


@given(
    _GRID_LATENTS, st.sampled_from(("mean", "optimistic")), st.sampled_from((torch.float32, torch.float64))
)
@settings(max_examples=200, deadline=None)
def test_ranks_equal_brute_force_with_ties(
    latents: tuple[np.ndarray, np.ndarray], ties: Ties, dtype: torch.dtype
) -> None:
    true, predicted = latents
    expected = brute_force_ranks(true, predicted, ties)
    ranking = rank_predictions(
        torch.from_numpy(true).to(dtype), torch.from_numpy(predicted).to(dtype), chunk=5
    )
    assert ranking.ranks(ties).tolist() == [float(rank) for rank in expected]
    for k in (1, 5, 10):
        assert ranking.hits_at(k, ties) == pytest.approx(sum(r <= k for r in expected) / len(expected))
    assert ranking.mrr(ties) == pytest.approx(float(sum(1 / r for r in expected) / len(expected)))


def test_ranking_is_of_predictions_for_each_true_latent_and_not_the_reverse() -> None:
    true, predicted = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.9], [3.0]])
    # From 1 the prediction for 0 is nearer than its own, 3. (From 0.9, in reverse, 1 is nearer than 0.)
    assert rank_predictions(true, predicted).ranks().tolist() == [1, 2]


@pytest.mark.parametrize("scale", [0.0, 1e-30, 0.1, 1e30])
@pytest.mark.parametrize("size", [2, 3, 300])
def test_collapsed_encoder_scores_no_better_than_chance(size: int, scale: float) -> None:
    latents = scale * torch.randn(1, 5, 4, 2, generator=torch.Generator().manual_seed(1)).expand(
        size, 5, 4, 2
    )
    ranking = rank_predictions(latents, latents.clone(), chunk=7)
    assert ranking.ranks().tolist() == [(size + 1) / 2] * size
    assert ranking.hits_at(1) == 0
    assert ranking.mrr() == pytest.approx(2 / (size + 1))
    assert ranking.hits_at(1, "optimistic") == 1
    assert ranking.mrr("optimistic") == 1


def test_collapsed_truth_is_all_ties_also_far_from_the_predictions() -> None:
    """Where |a|² - 2ab + |b|² would leave rounding noise instead of ties."""
    generator = torch.Generator().manual_seed(2)
    predicted = (1000 * torch.randn(1, 40, generator=generator)).expand(500, 40).contiguous()
    true = torch.randn(500, 40, generator=generator)
    assert set(rank_predictions(true, predicted, chunk=64).ranks().tolist()) == {501 / 2}


def test_equal_latents_tie_wherever_they_stand() -> None:
    generator = torch.Generator().manual_seed(3)
    distinct = torch.randn(40, 37, generator=generator)
    copies = torch.arange(400) % 40
    # Each true latent has its ten equal predictions nearest, its own among them.
    ranking = rank_predictions(distinct[copies], distinct[copies] + 1e-4, chunk=33)
    assert ranking.tied.tolist() == [9] * 400
    assert ranking.ranks().tolist() == [5.5] * 400


def test_latents_far_from_zero_keep_their_small_distances() -> None:
    """Where |a|² - 2ab + |b|² would cancel to noise, also in float64."""
    generator = torch.Generator().manual_seed(8)
    latents = 1e6 + 1e-3 * torch.randn(200, 40, generator=generator, dtype=torch.float64)
    ranking = rank_predictions(latents, latents.clone(), chunk=64)
    assert ranking.nearer.tolist() == ranking.tied.tolist() == [0] * 200
    twice = torch.cat([latents, latents])
    ranking = rank_predictions(twice, twice.clone(), chunk=64)
    assert ranking.nearer.tolist() == [0] * 400
    assert ranking.tied.tolist() == [1] * 400


def test_half_rank_beyond_k_is_a_miss() -> None:
    # Two predictions share the first two places: rank 1.5 is no hit at 1.
    ranking = rank_predictions(torch.zeros(3, 1), torch.tensor([[1.0], [1.0], [2.0]]))
    assert ranking.ranks().tolist() == [1.5, 1.5, 3]
    assert ranking.hits_at(1) == 0
    assert ranking.hits_at(5) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ranking_does_not_depend_on_the_chunk(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    true = torch.randn(101, 5, 4, 2, generator=generator).to(dtype)
    predicted = true + 0.5 * torch.randn(101, 5, 4, 2, generator=generator).to(dtype)
    predicted[50:60] = predicted[0]
    whole = rank_predictions(true, predicted, chunk=101)
    for chunk in (1, 7, 100, 1000):
        part = rank_predictions(true, predicted, chunk=chunk)
        assert torch.equal(part.nearer, whole.nearer)
        assert torch.equal(part.tied, whole.tied)


def test_huge_latents_do_not_overflow_into_ties() -> None:
    true = 1e30 * torch.tensor([[1.0], [2.0], [3.0]])
    assert rank_predictions(true, true.flip(0)).ranks().tolist() == [3, 1, 3]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_latents_are_refused_by_name_and_number(value: float) -> None:
    latents = torch.zeros(10, 2, 2)
    latents[3, 1, 0] = value
    latents[7] = value
    message = r"^predicted latents, 10 steps: 2 of 10 episodes not finite$"
    with pytest.raises(NonFiniteError, match=message):
        require_finite(latents, "predicted latents, 10 steps")
    with pytest.raises(NonFiniteError, match="predicted latents: 2 of 10"):
        rank_predictions(torch.zeros(10, 2, 2), latents)
    with pytest.raises(NonFiniteError, match="true latents: 2 of 10"):
        rank_predictions(latents, torch.zeros(10, 2, 2))


@pytest.mark.parametrize(("true", "predicted"), [((3, 2), (4, 2)), ((0, 2), (0, 2)), ((3,), (3,))])
def test_what_cannot_be_ranked_is_refused(true: tuple[int, ...], predicted: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be ranked"):
        rank_predictions(torch.zeros(true), torch.zeros(predicted))


def test_equivariance_error_of_a_case_by_hand() -> None:
    original = torch.tensor([[[3.0, 4.0]], [[0.0, 5.0]], [[0.0, 0.0]]])
    transformed = torch.tensor([[[4.0, 3.0]], [[5.0, 0.0]], [[0.0, 0.0]]])
    twin = torch.tensor([[[4.0, 3.0]], [[2.0, 4.0]], [[0.0, 1.0]]])
    # Errors 0, 5, 1 and norms 5, 5, 0: (6 / 3) / (10 / 3).
    assert equivariance_error(original, transformed, twin) == pytest.approx(0.6, abs=1e-15)
    assert equivariance_error(original, transformed, transformed) == 0


def test_distance_invariance_error_of_a_case_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    ga, gb = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [0.0, -1.0]])
    # |5 - 2| and |0 - 1|, by mean norm (6 + 8) / 2.
    reference = torch.tensor([[6.0, 0.0], [0.0, 8.0]])
    assert distance_invariance_error(a, b, ga, gb, reference=reference) == pytest.approx(2 / 7, abs=1e-15)
    assert distance_invariance_error(a, b, b, a, reference=reference) == 0


@pytest.mark.parametrize("chunk", [1, 3, 20, 50])
def test_streamed_errors_equal_those_of_all_episodes(chunk: int) -> None:
    generator = torch.Generator().manual_seed(5)
    a, b, c, d = torch.randn(4, 50, 5, 6, 6, generator=generator).unbind()
    equivariance, invariance = EquivarianceError(), DistanceInvarianceError()
    for start in range(0, 50, chunk):
        part = slice(start, start + chunk)
        equivariance.update(a[part], b[part], c[part])
        invariance.update(a[part], b[part], c[part], d[part])
        invariance.update_reference(d[part])
    assert equivariance.value() == pytest.approx(equivariance_error(a, b, c), rel=1e-14)
    assert invariance.value() == pytest.approx(distance_invariance_error(a, b, c, d, reference=d), rel=1e-14)


def test_errors_are_undefined_without_episodes_or_norm() -> None:
    zero = torch.zeros(4, 3)
    assert math.isnan(EquivarianceError().value())
    assert math.isnan(DistanceInvarianceError().value())
    assert math.isnan(equivariance_error(zero, zero, zero + 1))
    assert math.isnan(distance_invariance_error(zero, zero, zero, zero, reference=zero))
    assert math.isnan(distance_invariance_error(zero[:0], zero[:0], zero[:0], zero[:0], reference=zero + 1))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 5))
@settings(deadline=None)
def test_pairs_share_their_group_element_and_link_all_episodes_of_it(values: list[int], seed: int) -> None:
    elements = torch.tensor(values)
    order = random_order(elements, seed=seed)
    assert sorted(order.tolist()) == list(range(len(values)))
    first, second = twin_pairs(elements, order)
    assert torch.equal(elements[first], elements[second])
    assert len(first) == len(values) - len(set(values))
    assert len(set(first.tolist())) == len(first) == len(set(second.tolist()))
    assert not any(i == j for i, j in zip(first.tolist(), second.tolist(), strict=True))


def test_order_is_random_within_an_element_and_repeats_with_its_seed() -> None:
    elements = torch.arange(300) % 3
    order = random_order(elements, seed=1)
    assert torch.equal(order, random_order(elements, seed=1))
    assert not torch.equal(order, random_order(elements, seed=2))
    ones = order[elements[order] == 1]
    assert ones.tolist() != sorted(ones.tolist())


def _energy(a: Tensor, b: Tensor) -> Tensor:
    """The energy of object latents `[B, O, D]` with σ = 0.5: 2 · squared distance, mean over objects."""
    return 2 * (a - b).square().sum(dim=2).mean(dim=1)


def test_relative_error_of_latents_equals_its_definition() -> None:
    generator = np.random.default_rng(4)
    predicted, true, first = generator.normal(size=(3, 30, 5, 2))
    expected = math.sqrt(((predicted - true) ** 2).sum() / ((first - true) ** 2).sum())
    assert relative_error(*map(torch.from_numpy, (predicted, true, first))) == pytest.approx(expected)
    assert math.isnan(relative_error(*map(torch.from_numpy, (predicted, true, true))))


def test_latent_spread_of_a_case_by_hand() -> None:
    # From the mean (2, 1): (-2, -1), (0, 1), (2, 0), squared 5, 1, 4.
    latents = torch.tensor([[0.0, 0.0], [2.0, 2.0], [4.0, 1.0]])
    assert latent_spread(latents) == pytest.approx(math.sqrt(10 / 3), rel=1e-12)
    assert latent_spread(torch.full((7, 5, 4, 2), 0.1)) == pytest.approx(0, abs=1e-12)


def test_separation_is_what_the_hinge_saves() -> None:
    energies = torch.tensor([0.0, 0.5, 1.0, 100.0])
    hinge_term = (1 - energies).clamp(min=0).mean()
    assert separation(energies) == pytest.approx(1 - float(hinge_term)) == pytest.approx(2.5 / 4)
    assert separation(energies, margin=2.0) == pytest.approx((0 + 0.25 + 0.5 + 1) / 4)


@pytest.mark.parametrize(("noise", "collapsed"), [(0.0, True), (1e-3, True), (0.3, False), (3.0, False)])
def test_collapse_is_seen_by_the_scale_of_the_hinge(noise: float, collapsed: bool) -> None:  # noqa: FBT001
    generator = torch.Generator().manual_seed(6)
    latents = 50 + noise * torch.randn(200, 5, 4, generator=generator)
    assert is_collapsed(separation(_energy(latents, latents.roll(1, 0)))) is collapsed


def test_one_far_outlier_does_not_hide_a_collapse() -> None:
    latents = torch.zeros(1000, 5, 4)
    latents[0] = 1e3
    assert is_collapsed(separation(_energy(latents, latents.roll(1, 0))))


_HARD_LATENTS = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4)).flatmap(
    lambda sizes: st.tuples(
        hnp.arrays(np.float64, sizes[:2], elements=st.integers(-2, 2)),
        hnp.arrays(np.float64, sizes[:2], elements=st.integers(-2, 2)),
        hnp.arrays(np.float64, (sizes[0], sizes[2], sizes[1]), elements=st.integers(-2, 2)),
    )
)


@given(_HARD_LATENTS)
@settings(max_examples=200, deadline=None)
def test_hard_hits_equal_brute_force_with_ties(latents: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    predicted, true, negatives = latents

    def apart(one: np.ndarray, other: np.ndarray) -> int:
        return sum((int(a) - int(b)) ** 2 for a, b in zip(one, other, strict=True))

    expected = [
        all(apart(p, t) < apart(p, negative) for negative in near)
        for p, t, near in zip(predicted, true, negatives, strict=True)
    ]
    assert hard_hits(*map(torch.from_numpy, latents)).tolist() == expected


def test_hard_negatives_that_are_left_out_are_not_compared_with() -> None:
    true = torch.tensor([[0.0], [0.0], [0.0]])
    negatives = torch.tensor([[[1.0], [5.0]], [[5.0], [1.0]], [[1.0], [1.0]]])
    predicted = torch.tensor([[1.0], [1.0], [0.0]])
    left_out = torch.tensor([[True, False], [True, False], [True, True]])
    assert hard_hits(predicted, true, negatives).tolist() == [0, 0, 1]
    hits = hard_hits(predicted, true, negatives, left_out=left_out).tolist()
    assert hits[:2] == [1, 0]
    assert math.isnan(hits[2])


def test_hard_hits_refuse_what_does_not_fit() -> None:
    latents, negatives = torch.zeros(4, 3, 3), torch.zeros(4, 6, 3, 3)
    assert hard_hits(latents, latents, negatives + 1).all()
    with pytest.raises(ValueError, match="do not fit"):
        hard_hits(latents, latents, negatives[:, :, :2])
    with pytest.raises(ValueError, match="do not fit"):
        hard_hits(latents, latents, negatives[:3])
    with pytest.raises(ValueError, match="no negatives"):
        hard_hits(latents, latents, negatives[:, :0])
    with pytest.raises(NonFiniteError, match="negative latents"):
        hard_hits(latents, latents, negatives / 0)


def test_element_keys_are_equal_where_the_elements_are() -> None:
    assert element_keys(torch.tensor([3, 1, 3])).tolist() == [3, 1, 3]
    one, other = torch.eye(3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64)
    first, second, third = element_keys(torch.stack([one, other, one])).tolist()
    assert first == third != second


def test_equivariance_error_is_there_undivided_too() -> None:
    x, twin = torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 2.0]])
    error = EquivarianceError()
    assert math.isnan(error.undivided())
    error.update(x, x, twin)
    assert error.undivided() == 2
    assert error.value() == equivariance_error(x, x, twin) == pytest.approx(2 / 5)
    error.update(x, x, x)
    assert error.undivided() == 1
