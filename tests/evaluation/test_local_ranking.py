"""Local ranking against brute force, and on latents for which it is known what is right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.errors import NonFiniteError
from sen_bench.evaluation import local_ranking
from sen_bench.evaluation.local_ranking import rank_in_episode
from sen_bench.evaluation.protocol import evaluate
from tests.support.plane import Collapsed, PlaneModel, Standing, WalkEpisodes


def _walks(episodes: int, frames: int) -> NDArray[np.int64]:
    """States of walks along four cells that often stand still or come back, `[N, T + 1, 1]`."""
    steps = np.random.default_rng(0).integers(-1, 2, (episodes, frames + 1, 1))
    walks: NDArray[np.int64] = np.clip(steps.cumsum(axis=1), -2, 1)
    return walks


def _repeats(states: NDArray[np.int64], step: int) -> Tensor:
    return torch.from_numpy((states == states[:, step, None]).all(axis=2))


def brute_force(predicted: NDArray[np.float64], states: NDArray[np.int64], step: int) -> list[float]:
    """The mean rank of the true frame of each episode that has another candidate, one at a time."""
    ranks = []
    for episode, guess in enumerate(predicted):
        true = states[episode, step]
        others = [state for state in states[episode] if (state != true).any()]
        distances = [float(np.linalg.norm(state - guess)) for state in others]
        own = float(np.linalg.norm(true - guess))
        if others:
            ranks.append(1 + sum(d < own for d in distances) + sum(d == own for d in distances) / 2)
    return ranks


@pytest.mark.parametrize("step", [1, 4, 7])
def test_ranks_are_those_of_brute_force(step: int) -> None:
    states = _walks(300, 7)
    states[:20] = states[:20, :1]  # these never move
    predicted = np.random.default_rng(1).integers(-2, 2, (300, 1)) / 2
    ranking = rank_in_episode(
        torch.from_numpy(predicted), torch.from_numpy(states), _repeats(states, step), step=step
    )
    expected = brute_force(predicted, states, step)
    assert ranking.ranks().tolist() == expected
    assert 0 < len(expected) < 300
    assert {rank % 1 for rank in expected} == {0, 0.5}
    assert ranking.hits_at(1) == pytest.approx(np.mean(np.equal(expected, 1)))
    assert ranking.mrr() == pytest.approx(np.mean(1 / np.array(expected)))


def test_perfect_predictions_are_first_however_often_states_repeat() -> None:
    states = _walks(300, 7)
    frames = torch.from_numpy(states)
    for step in (1, 7):
        ranking = rank_in_episode(frames[:, step], frames, _repeats(states, step), step=step)
        assert ranking.hits_at(1) == ranking.mrr() == 1


def test_predicting_no_change_hits_where_nothing_has_changed_and_nowhere_else() -> None:
    """It is at no distance from the first frame, which is the nearest unless the true state is the same."""
    states = _walks(300, 7)
    frames = torch.from_numpy(states)
    for step in (1, 4, 7):
        repeats = _repeats(states, step)
        ranking = rank_in_episode(frames[:, 0], frames, repeats, step=step)
        back = (states[:, 0] == states[:, step]).all(axis=1)
        ranked = (~repeats).any(dim=1).numpy()
        assert ranking.hits_at(1) == pytest.approx(back[ranked].mean())
        assert 0.1 < ranking.hits_at(1) < 0.5


def test_latents_that_do_not_change_in_an_episode_are_at_the_mean_rank() -> None:
    """As with headings only: every candidate is as near, so that c others give the rank 1 + c / 2."""
    states = _walks(300, 7)
    headings = torch.arange(300.0).view(300, 1, 1).expand(300, 8, 1)
    repeats = _repeats(states, 3)
    others = (~repeats).sum(dim=1)
    ranking = rank_in_episode(headings[:, 0], headings, repeats, step=3)
    assert ranking.ranks().tolist() == [1 + int(count) / 2 for count in others if count]
    assert ranking.hits_at(1) == 0


def test_one_counted_by_hand() -> None:
    frames = torch.tensor([[[0.0], [1.0], [2.0], [2.0], [4.0]]])
    none = torch.zeros(1, 5, dtype=torch.bool)
    ranking = rank_in_episode(torch.tensor([[1.6]]), frames, none, step=1)
    assert ranking.ranks().tolist() == [3.0]  # the two at 2 are nearer
    ranking = rank_in_episode(torch.tensor([[0.4]]), frames, none, step=1)
    assert ranking.ranks().tolist() == [2.0]  # the first frame is nearer
    ranking = rank_in_episode(torch.tensor([[1.6]]), frames, none, step=2)
    assert ranking.ranks().tolist() == [1.5]  # two are as near
    twice = torch.tensor([[False, False, True, True, False]])
    assert rank_in_episode(torch.tensor([[1.6]]), frames, twice, step=2).ranks().tolist() == [1.0]


@pytest.mark.parametrize(
    ("predicted", "repeats", "step", "message"),
    [
        ((3, 2), (3, 4), 0, "step 0 of 3 steps"),
        ((3, 2), (3, 4), 4, "step 4 of 3 steps"),
        ((3, 1), (3, 4), 1, "do not fit"),
        ((3, 2), (3, 5), 1, "do not fit"),
    ],
)
def test_what_does_not_fit_is_refused(
    predicted: tuple[int, ...], repeats: tuple[int, ...], step: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        rank_in_episode(
            torch.zeros(predicted), torch.zeros(3, 4, 2), torch.zeros(repeats, dtype=torch.bool), step=step
        )


def test_a_model_that_knows_the_world_is_perfect_and_one_that_stands_still_is_no_change() -> None:
    episodes = WalkEpisodes(80, distinct=False)
    states = episodes.states[False].numpy().astype(np.int64)
    moving, still = (evaluate(model, episodes, chunk=23) for model in (PlaneModel(), Standing()))
    for perfect, standing in zip(moving, still, strict=True):
        ranks = np.array(brute_force(states[:, 0].astype(float), states, perfect.horizon))
        assert perfect.local_hits_at_1 == perfect.local_mrr == 1
        for hits in (perfect.no_change_local_hits_at_1, standing.local_hits_at_1):
            assert hits == pytest.approx((ranks == 1).mean())
        for mrr in (perfect.no_change_local_mrr, standing.local_mrr):
            assert mrr == pytest.approx((1 / ranks).mean())
        assert standing.local_mrr < 1
        assert standing.local_hits_at_1 == (states[:, 0] == states[:, perfect.horizon]).all(axis=1).mean()


def test_collapsed_latents_are_at_chance() -> None:
    episodes = WalkEpisodes(99)
    for scores in evaluate(Collapsed(), episodes):
        others = (~episodes.repeats(slice(0, 99), scores.horizon)).sum(dim=1).double()
        assert scores.local_hits_at_1 == 0
        assert scores.local_mrr == pytest.approx(float((1 / (1 + others / 2)).mean()))


def test_only_the_first_episodes_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    episodes = WalkEpisodes(30, distinct=False)
    states = episodes.states[False].numpy().astype(np.int64)
    monkeypatch.setattr(local_ranking, "LOCAL_EPISODES", 7)
    (scores,) = evaluate(Standing(), episodes, horizons=(4,))
    assert episodes.asked_later == list(range(7))
    ranks = np.array(brute_force(states[:7, 0].astype(float), states[:7], 4))
    assert scores.local_mrr == pytest.approx((1 / ranks).mean())


def test_latents_that_are_not_finite_are_refused() -> None:
    class Breaking(PlaneModel):
        """Breaks at frames that no other score needs."""

        def encode(self, embedding: Tensor) -> Tensor:
            return embedding / 0 if len(embedding) == 20 else embedding

    with pytest.raises(NonFiniteError, match=r"true latents of the first episodes: "):
        evaluate(Breaking(), WalkEpisodes(8), horizons=(1,), chunk=20)


def test_without_another_state_there_is_nothing_to_rank() -> None:
    episodes = WalkEpisodes(8)
    episodes.states[False][:] = episodes.states[False][:, :1]
    (scores,) = evaluate(Standing(), episodes, horizons=(1,))
    assert math.isnan(scores.local_hits_at_1)
    assert math.isnan(scores.no_change_local_mrr)
