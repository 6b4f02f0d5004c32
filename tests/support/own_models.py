"""Models of a user's own for the fake world Drift, in a few lines; one keeps its claims, others do not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sen_bench.baselines.model import WorldModel
from sen_bench.symmetry import Symmetry


class Mean(WorldModel):
    """z is the mean of the image times a gain; T adds the action times a weight; the group negates all."""

    def __init__(
        self, *, symmetry: Symmetry, observation_shape: tuple[int, int, int], gain: float = 1.0
    ) -> None:
        super().__init__(embedding_shape=(1,), latent_shape=(1,), equivariant=True)
        assert symmetry.group.order == 2
        assert observation_shape == (6, 7, 1)
        self.offset = nn.Parameter(torch.tensor(0.4))
        self.gain = nn.Parameter(torch.tensor(gain))
        self.weight = nn.Parameter(torch.tensor(1.0))

    def embed(self, observation: Tensor) -> Tensor:
        return observation.mean(dim=(1, 2, 3))[:, None] - self.offset

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding * self.gain

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent + self.weight * action

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().sum(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        return embedding * (1 - 2 * elements)[:, None]

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        return self.transform_embedding(elements, latent)


class ShiftedEncoder(Mean):
    """E is off by a constant, which does not change its sign with its input."""

    def encode(self, embedding: Tensor) -> Tensor:
        return super().encode(embedding) + 0.25


class ShiftedTransition(Mean):
    """T is off by a constant likewise."""

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return super().transition(latent, action) + 0.25


class Unknown(Mean):
    """The group acts on nothing in a known way."""

    def __init__(self, *, symmetry: Symmetry, observation_shape: tuple[int, int, int]) -> None:
        super().__init__(symmetry=symmetry, observation_shape=observation_shape)
        self._equivariant = False

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        assert len(elements) == len(embedding)
        return torch.full_like(embedding, torch.nan)


def not_a_model(**_given: object) -> nn.Module:
    return nn.Linear(1, 1)


NUMBER = 3


class Lacking(WorldModel):
    """Has none of the methods of a model."""

    def __init__(self, *, symmetry: Symmetry, observation_shape: tuple[int, int, int]) -> None:
        super().__init__(embedding_shape=(1,), latent_shape=observation_shape, equivariant=False)
        assert symmetry.group.order == 2


class Unsaid(Mean):
    """Does not say how the group acts on embeddings, and not that it does not know."""

    @property
    def equivariant(self) -> bool:
        return False

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        raise NotImplementedError
