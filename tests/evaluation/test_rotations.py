"""Scores where the group is SO(3)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.evaluation.protocol import evaluate
from sen_bench.symmetry import SO3


class TurnEpisodes:
    """Rotations seen as the 3×3 image of their matrix; one step; twins by random rotations."""

    device = torch.device("cpu")
    horizon = 1
    has_negatives = False

    def __init__(self, episodes: int) -> None:
        draw = SO3().sample
        rng = np.random.default_rng(0)
        states, actions, elements = (
            torch.from_numpy(np.stack([draw(rng) for _ in range(episodes)])) for _ in range(3)
        )
        self._elements = elements
        self._actions = {False: actions, True: elements @ actions @ elements.mT}
        self.states = {
            twin: torch.stack([first, self._actions[twin] @ first], dim=1)
            for twin, first in ((False, states), (True, elements @ states))
        }

    def __len__(self) -> int:
        return len(self._elements)

    def observations(self, index: Tensor, frame: int, *, twin: bool) -> Tensor:
        return self.states[twin][index, frame].unsqueeze(1).float()

    def actions(self, index: Tensor, *, twin: bool) -> Tensor:
        return self._actions[twin][index].unsqueeze(1)

    def elements(self, index: slice) -> Tensor:
        return self._elements[index]

    def later_observations(self, index: slice) -> Tensor:
        raise NotImplementedError  # of one step, there is nothing to rank locally

    def repeats(self, index: slice, frame: int) -> Tensor:
        raise NotImplementedError

    def negatives(self, index: Tensor, frame: int) -> Tensor:
        raise NotImplementedError


class TurnModel(WorldModel):
    """Sees the rotation as it is, or misses it by a constant turn of its own on the left."""

    ee_normalised = False

    def __init__(self, turn: Tensor | None = None) -> None:
        super().__init__(embedding_shape=(3, 3), latent_shape=(3, 3), equivariant=True)
        self._turn = torch.eye(3) if turn is None else turn.float()

    def embed(self, observation: Tensor) -> Tensor:
        return self._turn @ observation[:, 0]

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return action.to(latent.dtype) @ latent

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().sum(dim=(1, 2))

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        return elements.to(embedding.dtype) @ embedding

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        return self.transform_embedding(elements, latent)


def test_rotations_are_scored_by_their_plain_distance_and_have_no_pairs() -> None:
    """No two twins share a rotation, so DIE is undefined; EE is not divided by the norm of a rotation."""
    episodes = TurnEpisodes(40)
    (scores,) = evaluate(TurnModel(), episodes, horizons=(1,), chunk=7)
    assert scores.hits_at_1 == scores.mrr == 1
    assert math.isnan(scores.local_hits_at_1)
    assert math.isnan(scores.no_change_local_mrr)
    assert scores.ee_embedding == pytest.approx(0, abs=1e-6)
    assert math.isnan(scores.die_embedding)
    assert math.isnan(scores.die_model)

    turn = torch.from_numpy(SO3().sample(np.random.default_rng(1)))
    seen = {twin: (turn @ states[:, 0]).numpy() for twin, states in episodes.states.items()}
    apart = episodes.elements(slice(None)).numpy() @ seen[False] - seen[True]
    expected = np.linalg.norm(apart, axis=(1, 2)).mean()
    (scores,) = evaluate(TurnModel(turn), episodes, horizons=(1,), chunk=7)
    assert scores.ee_embedding == pytest.approx(expected, rel=1e-6)
    assert scores.ee_latent == scores.ee_embedding
    assert expected > 1
