"""The scores of models that are known exactly: what each score says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.evaluation.metrics import random_order, twin_pairs
from sen_bench.evaluation.protocol import evaluate
from tests.support.plane import Collapsed, PlaneModel, Skewed, Standing, WalkEpisodes, rotate


def test_perfect_model_scores_perfectly() -> None:
    for scores in evaluate(PlaneModel(), WalkEpisodes(50), chunk=7):
        assert scores.episodes == 50
        assert scores.hits_at_1 == scores.hits_at_5 == scores.hits_at_10 == scores.mrr == 1
        assert scores.hits_at_1_optimistic == scores.mrr_optimistic == 1
        assert scores.ee_embedding == scores.ee_latent == 0
        assert scores.die_embedding == pytest.approx(0, abs=1e-7)
        assert scores.die_model == pytest.approx(0, abs=1e-7)
        assert scores.relative_error == 0
        assert scores.separation == 1
        assert not scores.collapsed


def test_collapsed_model_is_at_chance_and_named_so() -> None:
    for scores in evaluate(Collapsed(), WalkEpisodes(99)):
        assert scores.hits_at_1 == scores.hits_at_5 == scores.hits_at_10 == 0
        assert scores.mrr == pytest.approx(1 / 50)
        assert scores.hits_at_1_optimistic == scores.mrr_optimistic == 1
        assert scores.latent_spread == pytest.approx(0, abs=1e-12)
        assert scores.separation == 0
        assert math.isnan(scores.relative_error)
        assert scores.collapsed


def test_scores_of_each_horizon_are_those_of_its_own_frames() -> None:
    """Against numpy on the true walks: the standing model's prediction is the first frame."""
    episodes = WalkEpisodes(80, distinct=False)
    states = episodes.states[False].numpy()
    for scores in evaluate(Standing(), episodes, horizons=(3, 1, 10), chunk=9):
        distances = ((states[:, None, scores.horizon] - states[None, :, 0]) ** 2).sum(-1)
        own = distances.diagonal()[:, None]
        ranks = 1 + (distances < own).sum(1) + ((distances == own).sum(1) - 1) / 2
        assert scores.hits_at_5 == pytest.approx((ranks <= 5).mean())
        assert scores.hits_at_10 == pytest.approx((ranks <= 10).mean())
        assert scores.mrr == pytest.approx((1 / ranks).mean())
        spread = states[:, scores.horizon] - states[:, scores.horizon].mean(0)
        assert scores.latent_spread == pytest.approx(math.sqrt((spread**2).sum(1).mean()), rel=1e-6)


def test_no_change_scores_what_a_model_of_the_same_latents_that_stands_still_scores() -> None:
    episodes = WalkEpisodes(80, distinct=False, has_negatives=True)
    names = ("hits_at_1", "hits_at_5", "hits_at_10", "mrr", "hh_at_1")
    moving, standing = (evaluate(model, episodes, chunk=9) for model in (PlaneModel(), Standing()))
    for scores, still in zip(moving, standing, strict=True):
        no_change = [getattr(scores, f"no_change_{name}") for name in names]
        assert no_change == [getattr(still, name) for name in names]
        assert no_change == [getattr(still, f"no_change_{name}") for name in names]
        assert scores.mrr > scores.no_change_mrr > 0
    assert all(math.isnan(s.no_change_hh_at_1) for s in evaluate(PlaneModel(), WalkEpisodes(8)))


def test_no_change_of_collapsed_latents_is_at_chance() -> None:
    for scores in evaluate(Collapsed(), WalkEpisodes(99)):
        assert scores.no_change_hits_at_10 == 0
        assert scores.no_change_mrr == pytest.approx(1 / 50)


def test_relative_error_is_one_for_standing_still_and_half_for_half_the_way() -> None:
    class Halfway(PlaneModel):
        """Moves half as far as it should."""

        def transition(self, latent: Tensor, action: Tensor) -> Tensor:
            return latent + (super().transition(latent, action) - latent) / 2

    episodes = WalkEpisodes(80, distinct=False)
    for model, expected in ((Standing(), 1.0), (Halfway(), 0.5), (PlaneModel(), 0.0)):
        for scores in evaluate(model, episodes, chunk=9):
            assert scores.relative_error == pytest.approx(expected, abs=1e-6)


def test_every_action_enters_the_prediction_in_its_turn() -> None:
    """A perfect model of walks that meet is wrong nowhere: others rank as near only where they really are."""
    episodes = WalkEpisodes(400, distinct=False)
    for scores in evaluate(PlaneModel(), episodes, chunk=64):
        states = episodes.states[False][:, scores.horizon]
        ranks = 1 + ((states[:, None] == states[None]).all(dim=2).sum(dim=1).double() - 1) / 2
        assert ranks.max() > 1
        assert scores.mrr == pytest.approx(float((1 / ranks).mean()), rel=1e-12)
        assert scores.hits_at_1 == pytest.approx(float((ranks == 1).double().mean()), rel=1e-12)
        assert scores.mrr_optimistic == 1


def test_horizons_come_back_in_the_order_asked_for() -> None:
    assert [s.horizon for s in evaluate(PlaneModel(), WalkEpisodes(4), horizons=(5, 1, 5))] == [5, 1, 5]


def test_embedding_errors_equal_their_definition() -> None:
    episodes = WalkEpisodes(60, distinct=False)
    first, twin = episodes.states[False][:, 0].double(), episodes.states[True][:, 0].double()
    skew = torch.tensor([0.5, 1.0], dtype=torch.float64)
    elements = episodes.elements(slice(None))
    norm = (first * skew).norm(dim=1).mean()
    ee = (rotate(elements, (first * skew).float()) - twin * skew).norm(dim=1).mean() / norm
    i, j = twin_pairs(elements, random_order(elements, seed=3))
    die = (((first[i] - first[j]) * skew).norm(dim=1) - ((twin[i] - twin[j]) * skew).norm(dim=1)).abs().mean()
    for scores in evaluate(Skewed(), episodes, seed=3, chunk=11):
        assert scores.ee_embedding == pytest.approx(float(ee), rel=1e-6)
        assert scores.ee_latent == scores.ee_embedding  # its E is the identity
        assert scores.ee_embedding > 0.1
        assert scores.die_embedding == pytest.approx(float(die / norm), rel=1e-6)


def test_latent_error_is_that_of_the_latents() -> None:
    """An encoder that keeps one coordinate only is not equivariant, though its embedding is."""

    class Forgetful(PlaneModel):
        def encode(self, embedding: Tensor) -> Tensor:
            return embedding * torch.tensor([1.0, 0.0])

    episodes = WalkEpisodes(60, distinct=False)
    first, twin = (episodes.states[t][:, 0].numpy().astype(float) * [1, 0] for t in (False, True))
    turned = rotate(episodes.elements(slice(None)), torch.from_numpy(first).float()).numpy()
    expected = np.linalg.norm(turned - twin, axis=1).mean() / np.linalg.norm(first, axis=1).mean()
    for scores in evaluate(Forgetful(), episodes, chunk=13):
        assert scores.ee_embedding == 0
        assert scores.ee_latent == pytest.approx(expected, rel=1e-6)
        assert scores.ee_latent > 0.5


def test_model_whose_latents_the_group_does_not_act_on_has_no_latent_error() -> None:
    class Plain(PlaneModel):
        def __init__(self) -> None:
            super().__init__()
            self._equivariant = False

    (scores,) = evaluate(Plain(), WalkEpisodes(8), horizons=(1,))
    assert scores.ee_embedding == 0
    assert math.isnan(scores.ee_latent)


def test_hard_negatives_are_those_of_the_predicted_frame() -> None:
    """Against numpy: standing still is right where the walk is nearer to its start than its neighbours."""
    episodes = WalkEpisodes(200, distinct=False, has_negatives=True)
    states = episodes.states[False].numpy()
    seen = set()
    for scores in evaluate(Standing(), episodes, horizons=(3, 1), chunk=9):
        true, predicted = states[:, scores.horizon], states[:, 0]
        own = np.linalg.norm(predicted - true, axis=1)
        others = np.linalg.norm(predicted[:, None] - (true[:, None] + np.eye(2)), axis=2)
        assert scores.hh_at_1 == pytest.approx((own[:, None] < others).all(axis=1).mean())
        assert 0 < scores.hh_at_1 < 1
        seen.add(scores.hh_at_1)
    assert len(seen) == 2
    (perfect,) = evaluate(PlaneModel(), episodes, horizons=(4,))
    assert perfect.hh_at_1 == 1
    (collapsed,) = evaluate(Collapsed(), episodes, horizons=(4,))
    assert collapsed.hh_at_1 == 0


def test_hard_negatives_that_are_the_first_state_again_are_left_out_of_a_score_beside() -> None:
    """Against numpy, an episode at a time; standing still never beats its own first state."""
    episodes = WalkEpisodes(200, distinct=False, has_negatives=True)
    states = episodes.states[False].numpy()
    (scores,) = evaluate(Standing(), episodes, horizons=(1,), chunk=9)
    hits, differ = [], 0
    for first, true in zip(states[:, 0], states[:, 1], strict=True):
        near = [neighbour for neighbour in true + np.eye(2) if (neighbour != first).any()]
        differ += len(near) < 2
        own = np.linalg.norm(first - true)
        hits.append(all(own < np.linalg.norm(first - neighbour) for neighbour in near))
    assert differ > 5
    assert scores.hh_at_1_without_first == pytest.approx(np.mean(hits))
    assert scores.hh_at_1_without_first > scores.hh_at_1
    assert scores.no_change_hh_at_1_without_first == scores.hh_at_1_without_first
    (perfect,) = evaluate(PlaneModel(), episodes, horizons=(1,))
    assert perfect.hh_at_1_without_first == 1
    assert perfect.no_change_hh_at_1_without_first == scores.hh_at_1_without_first
    (collapsed,) = evaluate(Collapsed(), episodes, horizons=(1,))
    assert collapsed.hh_at_1_without_first == 0


def test_episodes_without_negatives_have_no_hard_hits() -> None:
    (scores,) = evaluate(PlaneModel(), WalkEpisodes(8), horizons=(1,))
    assert math.isnan(scores.hh_at_1)
    assert math.isnan(scores.hh_at_1_without_first)


def test_equivariance_errors_are_there_without_division_too() -> None:
    episodes = WalkEpisodes(60, distinct=False)
    (scores,) = evaluate(Skewed(), episodes, horizons=(1,), chunk=13)
    skew = torch.tensor([0.5, 1.0])
    original, twin = (episodes.states[t][:, 0] * skew for t in (False, True))
    apart = (rotate(episodes.elements(slice(None)), original) - twin).norm(dim=1).mean()
    assert scores.ee_embedding_undivided == scores.ee_latent_undivided == pytest.approx(float(apart))
    assert scores.ee_embedding == pytest.approx(float(apart / original.norm(dim=1).mean()))


def test_model_error_pairs_a_prediction_with_another_true_latent_of_the_same_horizon() -> None:
    episodes = WalkEpisodes(60, distinct=False)
    skew = torch.tensor([0.5, 1.0], dtype=torch.float64)
    original, twin = (episodes.states[t].double() * skew for t in (False, True))
    i, j = twin_pairs(episodes.elements(slice(None)), random_order(episodes.elements(slice(None)), seed=5))

    class SkewedStanding(Skewed, Standing):
        pass

    for scores in evaluate(SkewedStanding(), episodes, seed=5, chunk=60):
        p = scores.horizon
        apart = (original[i, 0] - original[j, p]).norm(dim=1) - (twin[i, 0] - twin[j, p]).norm(dim=1)
        expected = apart.abs().mean() / original[:, 0].norm(dim=1).mean()
        assert scores.die_model == pytest.approx(float(expected), rel=1e-6)


def test_equivariant_but_wrong_model_has_no_invariance_error() -> None:
    """DIE pairs are seen after the same element; pairs of different elements would differ."""
    episodes = WalkEpisodes(60, distinct=False)
    for scores in evaluate(Standing(), episodes):
        assert scores.die_embedding == pytest.approx(0, abs=1e-7)
        assert scores.die_model == pytest.approx(0, abs=1e-7)
