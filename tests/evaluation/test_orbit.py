"""Scores by the distance from a slice: which transitions are together, and what models score there."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.evaluation.orbit import OrbitClass, OrbitScores, orbit_classes, score_orbit
from sen_bench.evaluation.protocol import evaluate
from tests.support.plane import PlaneModel, Skewed, WalkEpisodes, rotate

BYTES = 1 << 20


def _members(classes: list[OrbitClass]) -> dict[str, list[int]]:
    return {each.label: np.flatnonzero(each.members).tolist() for each in classes}


def test_each_distance_is_a_class_of_its_own() -> None:
    classes = orbit_classes(np.array([90.0, 0.0, np.inf, 180.0, 90.0]))
    assert _members(classes) == {
        "in the slice": [1],
        "90 degrees": [0, 4],
        "180 degrees": [3],
        "beyond the orbit": [2],
    }
    assert [(each.low, each.high) for each in classes[:3]] == [(0, 0), (90, 90), (180, 180)]
    assert math.isnan(classes[3].low)
    assert math.isnan(classes[3].high)


def test_distances_between_edges_are_together_and_empty_classes_left_out() -> None:
    classes = orbit_classes(np.array([0.1, 45.0, 45.1, 180.0, 181.0]), (45, 90, 135, 180))
    assert _members(classes) == {
        "0 to 45 degrees": [0, 1],
        "45 to 90 degrees": [2],
        "135 to 180 degrees": [3],
        "180 to 181 degrees": [4],
    }
    assert [(each.low, each.high) for each in classes] == [(0, 45), (45, 90), (135, 180), (180, 181)]


class Orbits(WalkEpisodes):
    """Some walks, and the same after one, two and three quarter turns."""

    def __init__(self, walks: int, *, distinct: bool = False) -> None:
        super().__init__(walks, distinct=distinct)
        turns = torch.arange(4).repeat_interleave(walks)
        self._elements = torch.zeros_like(turns)
        self.states = {False: rotate(turns, self.states[False].repeat(4, 1, 1))}
        self._actions = {False: rotate(turns, self._actions[False].repeat(4, 1, 1))}
        # A quarter turn back is as far as one forward.
        self.classes = orbit_classes(90.0 * np.array([0, 1, 2, 1])[turns.numpy()])


class Timid(PlaneModel):
    """Goes half of each way: wrong, and exactly equivariant."""

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent + action / 2


class Upright(PlaneModel):
    """Goes ways along one axis only: right on some elements of the group."""

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent + action * torch.tensor([0.0, 1.0])


def _scores(model: PlaneModel, episodes: Orbits) -> list[OrbitScores]:
    return score_orbit(model, episodes, episodes.classes, ranking_memory=BYTES)


def test_perfect_latents_are_perfect_in_every_class() -> None:
    for scores in _scores(PlaneModel(), Orbits(40, distinct=True)):
        assert (scores.mrr, scores.relative_error) == (1.0, 0.0)
        assert scores.hits_at_1 == 1.0


def test_an_equivariant_model_that_errs_does_so_equally_on_the_whole_orbit() -> None:
    classes = [asdict(scores) for scores in _scores(Timid(), Orbits(40))]
    assert [scores.pop("transitions") for scores in classes] == [40, 80, 40]
    assert classes[0]["relative_error"] == 0.5
    assert 0 < classes[0]["hits_at_1"] < 1
    assert 0 < classes[0]["no_change_mrr"] < classes[0]["mrr"]
    for other in classes[1:]:
        assert other == pytest.approx(classes[0], rel=1e-12, nan_ok=True)


def test_a_model_that_knows_one_part_is_worse_on_another() -> None:
    here, quarter, half = _scores(Upright(), Orbits(41))
    assert here.relative_error == pytest.approx(half.relative_error)
    assert quarter.relative_error != pytest.approx(here.relative_error, rel=1e-3)


def test_the_classes_together_score_what_evaluation_scores() -> None:
    episodes = WalkEpisodes(60, distinct=False, has_negatives=True)
    (whole,) = evaluate(Skewed(), episodes, horizons=(1,))
    classes = orbit_classes(np.array([0.0, 90.0, np.inf] * 20))
    for chunk in (7, 60):
        parts = score_orbit(Skewed(), episodes, classes, chunk=chunk, ranking_memory=BYTES)
        for name in (
            "hits_at_1",
            "mrr",
            "hh_at_1",
            "no_change_hits_at_1",
            "no_change_mrr",
            "no_change_hh_at_1",
        ):
            mean = np.mean([getattr(scores, name) for scores in parts])
            assert mean == pytest.approx(getattr(whole, name)), name
    (everything,) = score_orbit(Skewed(), episodes, orbit_classes(np.zeros(60)), ranking_memory=BYTES)
    assert everything.relative_error == pytest.approx(whole.relative_error)


def test_a_model_is_left_in_the_mode_it_was_in() -> None:
    model = PlaneModel().train()
    _scores(model, Orbits(3))
    assert model.training
    assert model.modes == {(False, True)}
