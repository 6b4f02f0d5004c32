"""Rotations, seen as they are, and models of them whose scores are known exactly."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
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

    def negatives_like_first(self, index: Tensor, frame: int) -> Tensor:
        raise NotImplementedError

    can_turn = True

    def turned(self, index: Tensor, frame: int, elements: Tensor) -> Tensor:
        return (elements @ self.states[False][index, frame]).unsqueeze(1).float()


class TurnModel(WorldModel):
    """Sees the rotation as it is, or misses it by a constant turn of its own on the left.

    Subclasses spoil one part each.
    """

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
