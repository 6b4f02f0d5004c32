"""Traversals, and distances after a turn: against brute force, and on models whose scores are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.envs.teapot import small_actions
from sen_bench.errors import NonFiniteError
from sen_bench.evaluation import turns as traversals
from sen_bench.evaluation.horizon_scores import HorizonScores
from sen_bench.evaluation.metrics import random_order
from sen_bench.evaluation.protocol import evaluate
from sen_bench.evaluation.turns import STEPS, TURN_AXES, hits_of_traversal, turns
from tests.support.turning import TurnEpisodes, TurnModel


class Backwards(TurnModel):
    """Takes the group to act the other way round."""

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        return super().transform_latent(elements.mT, latent)


class Still(TurnModel):
    """Takes the group not to act at all."""

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:  # noqa: ARG002
        return latent.clone()


class Collapsed(TurnModel):
    """Sees the same in every picture."""

    def embed(self, observation: Tensor) -> Tensor:
        return torch.eye(3).expand(len(observation), 3, 3)

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:  # noqa: ARG002
        return latent.clone()


class Bent(TurnModel):
    """Sees something that turns in no known way."""

    def embed(self, observation: Tensor) -> Tensor:
        return observation[:, 0] ** 2 + observation[:, 0, [1, 2, 0]]


class Ordinary(TurnModel):
    """Has no group action on latents, and a transition that turns `times` as far as it should."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._equivariant = False
        self._times = times

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        power: Tensor = torch.linalg.matrix_power(action, self._times)
        return power.to(latent.dtype) @ latent

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        raise NotImplementedError


def _half_turn() -> Tensor:
    """About the axis to the right, that of pitch."""
    return torch.diag(torch.tensor([1.0, -1.0, -1.0]))


def _scores(model: TurnModel, episodes: TurnEpisodes | None = None, **options: Any) -> HorizonScores:
    (scores,) = evaluate(model, episodes or TurnEpisodes(12), horizons=(1,), **options)
    return scores


def _shares(scores: HorizonScores) -> list[float]:
    """TH@1 about the axes of yaw, pitch and roll, as hits out of 30."""
    return [30 * share for share in (scores.th_at_1_yaw, scores.th_at_1_pitch, scores.th_at_1_roll)]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (TurnModel, [30, 30, 30]),
        (Still, [1, 1, 1]),  # right before the first step only
        (Backwards, [2, 2, 2]),  # and after half a turn
        (Collapsed, [0, 0, 0]),  # all are ties
        # Seen after a half turn c, it moves by c g c^-1: g about the axis of c, and g^-1 about the others.
        (lambda: TurnModel(_half_turn()), [2, 30, 2]),
        (lambda: Ordinary(1), [30, 30, 30]),
        (lambda: Ordinary(0), [1, 1, 1]),
        (lambda: Ordinary(2), [1, 1, 1]),
        (lambda: Ordinary(16), [15, 15, 15]),  # 16 k = k modulo 30 for every second k
    ],
)
def test_hits_of_traversals_are_those_known(make: Callable[[], TurnModel], expected: list[float]) -> None:
    assert _shares(_scores(make())) == pytest.approx(expected)


@pytest.mark.parametrize("chunk", [1, 31, 70, 400])
def test_hits_of_traversals_are_those_of_brute_force(chunk: int) -> None:
    episodes = TurnEpisodes(9)
    states = episodes.states[False][:, 0].numpy()

    def seen(state: NDArray[np.float64]) -> NDArray[np.float32]:
        picture = state.astype(np.float32)
        return picture**2 + picture[[1, 2, 0]]

    expected = []
    for axis in TURN_AXES:
        step, hits = small_actions()[2 * axis], []
        for state in states:
            powers = [np.linalg.matrix_power(step, k) for k in range(30)]
            true = [seen(power @ state).astype(float) for power in powers]
            for k, power in enumerate(powers):
                moved = power.astype(np.float32) @ seen(state)
                hits.append(np.argmin([np.linalg.norm(moved - other) for other in true]) == k)
        expected.append(30 * np.mean(hits))
    assert _shares(_scores(Bent(), episodes, chunk=chunk)) == pytest.approx(expected)
    assert all(1 <= share < 15 for share in expected)


@given(
    st.integers(1, 5).flatmap(
        lambda count: st.tuples(
            *(hnp.arrays(np.float64, (count, 2), elements=st.integers(-2, 2)) for _ in range(2))
        )
    )
)
@settings(max_examples=100, deadline=None)
def test_ties_of_a_traversal_are_misses(latents: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    moved, turned = latents
    apart = ((moved[:, None] - turned[None]) ** 2).sum(axis=2)
    expected = [all(row[k] < other for j, other in enumerate(row) if j != k) for k, row in enumerate(apart)]
    assert hits_of_traversal(torch.from_numpy(moved), torch.from_numpy(turned)).tolist() == expected


def test_turns_are_powers_of_the_small_actions() -> None:
    for axis in range(3):
        powers = np.stack([np.linalg.matrix_power(small_actions()[2 * axis], k) for k in range(STEPS)])
        np.testing.assert_allclose(turns(axis).numpy(), powers, atol=1e-14)


def test_only_the_first_episodes_are_traversed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traversals, "TRAVERSED", 4)
    one_step = turns(2)[1]

    class Noting(TurnEpisodes):
        traversed: list[int]

        def turned(self, index: Tensor, frame: int, elements: Tensor) -> Tensor:
            self.traversed += index[(elements == one_step).all(dim=(1, 2))].tolist()
            return super().turned(index, frame, elements)

    episodes = Noting(12)
    episodes.traversed = []
    _scores(Bent(), episodes, chunk=STEPS)
    assert episodes.traversed == list(range(4))


def test_a_transition_of_other_actions_than_rotations_is_not_traversed() -> None:
    class Joints(TurnEpisodes):
        def actions(self, index: Tensor, *, twin: bool) -> Tensor:
            return super().actions(index, twin=twin)[..., 0]

    class Unmoved(Ordinary):
        def transition(self, latent: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002
            return latent.clone()

    assert all(map(math.isnan, _shares(_scores(Unmoved(0), Joints(8)))))


def test_latents_of_turned_objects_that_are_not_finite_are_refused() -> None:
    class Breaking(TurnModel):
        def embed(self, observation: Tensor) -> Tensor:
            embedding = super().embed(observation)
            return embedding / 0 if len(embedding) == STEPS else embedding

    with pytest.raises(NonFiniteError, match=r"latents of turned objects: "):
        _scores(Breaking(), chunk=STEPS)


def test_distances_of_rotations_are_the_same_after_a_turn() -> None:
    """Those of embeddings also where they are seen after a turn, which is no equivariant embedding."""
    perfect, off = _scores(TurnModel()), _scores(TurnModel(_half_turn()))
    assert perfect.die_embedding_turned == pytest.approx(0, abs=1e-6)
    assert perfect.die_model_turned == pytest.approx(0, abs=1e-6)
    assert off.die_embedding_turned == pytest.approx(0, abs=1e-6)
    assert off.die_model_turned > 0.1


@pytest.mark.parametrize("chunk", [5, 64])
def test_distances_after_a_turn_are_those_of_brute_force(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both episodes of a pair are seen after the rotation of the first one's twin."""
    monkeypatch.setattr(traversals, "TURNED_PAIRS", 11)
    episodes = TurnEpisodes(14)
    states, elements = episodes.states[False].numpy(), episodes.elements(slice(None)).numpy()
    actions = {twin: episodes.actions(torch.arange(14), twin=twin)[:, 0].numpy() for twin in (False, True)}

    def seen(state: NDArray[np.float64]) -> NDArray[np.float64]:
        return state**2 + state[[1, 2, 0]]

    order = random_order(torch.zeros(14, dtype=torch.int64), seed=3).tolist()
    of_embedding, of_model, norms = [], [], []
    for i, j in zip(order[:11], (order[1:] + order[:1])[:11], strict=True):
        g, norm = elements[i], np.linalg.norm
        before, after = seen(states[i, 0]), seen(g @ states[i, 0])
        norms.append(norm(before))
        of_embedding.append(abs(norm(before - seen(states[j, 0])) - norm(after - seen(g @ states[j, 0]))))
        ahead, ahead_after = actions[False][i] @ before, actions[True][i] @ after
        of_model.append(abs(norm(ahead - seen(states[j, 1])) - norm(ahead_after - seen(g @ states[j, 1]))))
    scores = _scores(Bent(), episodes, chunk=chunk, seed=3)
    every = np.mean([np.linalg.norm(seen(state)) for state in states[:, 0]])
    assert scores.die_embedding_turned == pytest.approx(np.mean(of_embedding) / np.mean(norms), rel=1e-5)
    assert scores.die_model_turned == pytest.approx(np.mean(of_model) / every, rel=1e-5)
    assert scores.die_embedding_turned > 0.05
