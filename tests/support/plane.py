"""Walks in the plane and models of them whose scores are known exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sen_bench.baselines.model import WorldModel
from sen_bench.evaluation.horizon_scores import HorizonScores

STEPS = 10


class WalkEpisodes:
    """Random walks in the plane, seen as the 1×1 image of their two coordinates; twins by quarter turns.

    Coordinates are whole numbers, so that every distance of equal points is exactly equal. The negatives of a
    point, where they are asked for, are its neighbours to the right and above.
    """

    device = torch.device("cpu")
    horizon = STEPS

    def __init__(
        self, episodes: int, *, seed: int = 0, distinct: bool = True, has_negatives: bool = False
    ) -> None:
        self.has_negatives = has_negatives
        rng = np.random.default_rng(seed)
        steps = torch.from_numpy(rng.integers(-3, 4, (episodes, STEPS, 2))).float()
        start = torch.from_numpy(rng.integers(-3, 4, (episodes, 1, 2))).float()
        if distinct:
            # Far apart from each other: no two episodes meet, and the prediction for one is nearest to it.
            start[:, 0, 0] += 1000 * torch.arange(episodes)
        self._elements = torch.from_numpy(rng.integers(1, 4, episodes))
        states = torch.cat([start, start + steps.cumsum(1)], dim=1)
        self.states = {False: states, True: rotate(self._elements, states)}
        self._actions = {False: steps, True: rotate(self._elements, steps)}
        self.asked: list[tuple[int, bool, int]] = []
        self.asked_later: list[int] = []

    def __len__(self) -> int:
        return len(self._elements)

    def observations(self, index: slice | Tensor, frame: int, *, twin: bool) -> Tensor:
        states = self.states[twin][index, frame]
        self.asked.extend((int(i), twin, frame) for i in torch.arange(len(self))[index])
        return states[:, :, None, None]

    def later_observations(self, index: slice) -> Tensor:
        self.asked_later.extend(range(index.start, index.stop))
        return self.states[False][index, 1:, :, None, None]

    def repeats(self, index: slice, frame: int) -> Tensor:
        states = self.states[False][index]
        return (states == states[:, frame, None]).all(dim=2)

    def actions(self, index: slice | Tensor, *, twin: bool) -> Tensor:
        return self._actions[twin][index]

    def elements(self, index: slice | Tensor) -> Tensor:
        return self._elements[index]

    def negatives(self, index: Tensor, frame: int) -> Tensor:
        near = self.states[False][index, frame].unsqueeze(1) + torch.eye(2)
        return near[..., None, None]

    def negatives_like_first(self, index: Tensor, frame: int) -> Tensor:
        first = self.states[False][index, 0, :, None, None].unsqueeze(1)
        return (self.negatives(index, frame) == first).all(dim=(2, 3, 4))

    can_turn = False

    def turned(self, index: Tensor, frame: int, elements: Tensor) -> Tensor:
        raise NotImplementedError


def rotate(elements: Tensor, vectors: Tensor) -> Tensor:
    """Turns vectors `[B, ..., 2]` by as many quarters as the element says; whole numbers stay whole."""
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    powers = torch.stack([torch.linalg.matrix_power(quarter, k) for k in range(4)])
    return torch.einsum("bij,b...j->b...i", powers[elements], vectors)


class PlaneModel(WorldModel):
    """Knows the plane: S and E are the identity, T adds the step. Subclasses spoil one part each."""

    def __init__(self) -> None:
        super().__init__(embedding_shape=(2,), latent_shape=(2,), equivariant=True)
        self.inner = nn.BatchNorm1d(2)
        self.modes: set[tuple[bool, bool]] = set()

    def embed(self, observation: Tensor) -> Tensor:
        self.modes.add((self.inner.training, torch.is_inference_mode_enabled()))
        return observation.flatten(1)

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent + action

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().sum(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        return rotate(elements, embedding)

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        return rotate(elements, latent)


class Standing(PlaneModel):
    """Predicts that nothing ever moves."""

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002
        return latent


class Collapsed(PlaneModel):
    def encode(self, embedding: Tensor) -> Tensor:
        return torch.full_like(embedding, 0.3)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002
        return latent.clone()


class Skewed(PlaneModel):
    """Its embedding shrinks the first axis, so it is neither equivariant nor keeps distances invariant."""

    def embed(self, observation: Tensor) -> Tensor:
        return super().embed(observation) * torch.tensor([0.5, 1.0])


def as_dict(scores: HorizonScores) -> dict[str, Any]:
    return {name: getattr(scores, name) for name in HorizonScores.__dataclass_fields__}
