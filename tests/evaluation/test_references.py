"""What exact latents score, against brute force on stored states and values known by counting."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sen_bench.config import SplitSize
from sen_bench.errors import ConfigError
from sen_bench.evaluation.references import ReferenceScores, reference_scores
from sen_bench.generators import Recipe, generate
from sen_bench.store import Dataset, open_dataset
from sen_bench.tasks.registry import get_task
from tests.paths import ROOT
from tests.support.fake_worlds import WIDE

EPISODES = 60


def _dataset(task: str, folder: Path) -> Dataset:
    return generate(get_task(task).recipe("eval", SplitSize(episodes=EPISODES)), folder / "eval.zarr").dataset


def _by_reference(scores: list[ReferenceScores], horizon: int) -> dict[str, ReferenceScores]:
    return {each.reference: each for each in scores if each.horizon == horizon}


def _ranks(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean ranks of the own predictions among all, by whole numbers that are compared exactly."""
    apart = ((true[:, None] - predicted[None]) ** 2).reshape(len(true), len(true), -1).sum(axis=2)
    own = apart.diagonal()[:, None]
    ranks: NDArray[np.float64] = 1 + (apart < own).sum(1) + ((apart == own).sum(1) - 1) / 2
    return ranks


@pytest.mark.parametrize("task", ["2d-shapes", "rush-hour"])
def test_scores_of_grid_worlds_are_those_of_brute_force(task: str, tmp_path: Path) -> None:
    dataset = _dataset(task, tmp_path)
    states = dataset.load("state").astype(float)
    if task == "rush-hour":
        headings = 10 * np.eye(4)[dataset.load("state")[..., 2]]
        states = np.concatenate([states[..., :2], headings], axis=-1)
    scores = reference_scores(dataset)
    assert [each.horizon for each in scores] == [1] * 3 + [5] * 3 + [10] * 3
    for horizon in (1, 5, 10):
        found = _by_reference(scores, horizon)
        for name, predicted in (("no-change", states[:, 0]), ("perfect", states[:, horizon])):
            ranks = _ranks(states[:, horizon], predicted)
            mine = found[name]
            for k, hits in ((1, mine.hits_at_1), (5, mine.hits_at_5), (10, mine.hits_at_10)):
                assert hits == pytest.approx((ranks <= k).mean())
            assert mine.mrr == pytest.approx((1 / ranks).mean())
            assert math.isnan(mine.hh_at_1)
            assert math.isnan(mine.hh_at_1_without_first)
            assert math.isnan(mine.th_at_1_yaw)
        assert found["perfect"].local_hits_at_1 == found["perfect"].local_mrr == 1
        _check_local(found, states, horizon)


def _check_local(found: dict[str, ReferenceScores], states: NDArray[np.float64], step: int) -> None:
    """Chance and no change of the local ranking, an episode at a time."""
    ranks, guesses, reciprocals = [], [], []
    for episode in states.reshape(*states.shape[:2], -1):
        others = [state for state in episode if (state != episode[step]).any()]
        if others:
            apart = [((state - episode[0]) ** 2).sum() for state in others]
            own = ((episode[step] - episode[0]) ** 2).sum()
            ranks.append(1 + sum(a < own for a in apart) + sum(a == own for a in apart) / 2)
            count = len(others) + 1
            guesses.append(1 / count)
            reciprocals.append(sum(1 / rank for rank in range(1, count + 1)) / count)
    assert found["no-change"].local_hits_at_1 == pytest.approx(np.mean(np.equal(ranks, 1)))
    unchanged = (states[:, 0] == states[:, step]).reshape(len(states), -1).all(axis=1)
    assert found["no-change"].local_hits_at_1 == pytest.approx(unchanged.mean())
    assert found["no-change"].local_mrr == pytest.approx(np.mean(1 / np.array(ranks)))
    assert found["chance"].local_hits_at_1 == pytest.approx(np.mean(guesses))
    assert found["chance"].local_mrr == pytest.approx(np.mean(reciprocals))


def test_chance_is_that_of_a_random_order(tmp_path: Path) -> None:
    chance = _by_reference(reference_scores(_dataset("2d-shapes", tmp_path)), 10)["chance"]
    assert (chance.hits_at_1, chance.hits_at_5, chance.hits_at_10) == (1 / 60, 5 / 60, 10 / 60)
    assert chance.mrr == pytest.approx(np.mean(1 / np.arange(1, EPISODES + 1)))
    assert math.isnan(chance.hh_at_1)


def test_no_change_of_small_turns_never_beats_the_negatives_of_which_one_is_the_first_state() -> None:
    teapot = open_dataset(ROOT / "tests" / "golden" / "format-1" / "teapot-small" / "eval.zarr")
    found = _by_reference(reference_scores(teapot), 1)
    assert found["no-change"].hh_at_1 == 0
    assert found["perfect"].hh_at_1 == found["perfect"].hits_at_1 == 1
    assert found["no-change"].hh_at_1_without_first == found["perfect"].hh_at_1_without_first == 1
    assert all(math.isnan(each.local_mrr) for each in found.values())  # episodes of one step
    for name, share in (("chance", 1 / 30), ("no-change", 1 / 30), ("perfect", 1)):
        each = found[name]
        assert each.th_at_1_yaw == each.th_at_1_pitch == each.th_at_1_roll == pytest.approx(share)


def test_reacher_is_scored_at_the_last_of_the_frames_that_are_shown_at_once() -> None:
    reacher = open_dataset(ROOT / "tests" / "golden" / "format-1" / "reacher" / "eval.zarr")
    angles = reacher.load("state")[:, 1:, :2]
    latents = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)
    found = _by_reference(reference_scores(reacher), 1)
    assert found["no-change"].mrr == pytest.approx((1 / _ranks(latents[:, 1], latents[:, 0])).mean())


def test_worlds_without_exact_latents_are_refused(tmp_path: Path) -> None:
    recipe = Recipe(task="drift", split="eval", world_id=WIDE, episodes=9, horizon=4, seed=3, twin=True)
    with pytest.raises(ConfigError, match=r"no exact latents are known of .*Wide-v0; references are made of"):
        reference_scores(generate(recipe, tmp_path / "eval.zarr").dataset)
