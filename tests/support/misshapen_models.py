"""Models for 2D Shapes whose tensors are not what they should be; most would train and score unchecked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.support.faulty_models import Plain


class WideEmbedding(Plain):
    def embed(self, observation: Tensor) -> Tensor:
        return super().embed(observation).repeat(1, 2)

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding[:, :8]


class OneEmbedding(Plain):
    def embed(self, observation: Tensor) -> Tensor:
        return super().embed(observation).mean(dim=0, keepdim=True)


class HalfLatents(Plain):
    def encode(self, embedding: Tensor) -> Tensor:
        return embedding.half()

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return super().transition(latent, action).half()

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return super().distance(latent.float(), other.float())


class TupleLatents(Plain):
    def encode(self, embedding: Tensor) -> Tensor:
        return (embedding, embedding)  # type: ignore[return-value]


class OnePrediction(Plain):
    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return super().transition(latent, action)[:1]


class WholePrediction(Plain):
    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return super().transition(latent, action).round().long()


class MatrixDistance(Plain):
    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square()


class ScalarDistance(Plain):
    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return super().distance(latent, other).mean()


class OneTransformed(Plain):
    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        return super().transform_embedding(elements, embedding)[:1]


class InPlace(Plain):
    """T adds to the latents that it is given; written so, it looks harmless."""

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        latent += self.moves(action)
        return latent


class OutOfPlace(Plain):
    """The same numbers in tensors of their own."""


class InPlaceLayer(Plain):
    """T begins with a layer that works in place."""

    def __init__(self, **given: object) -> None:
        super().__init__(**given)  # type: ignore[arg-type]
        self.layers = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(8, 8))

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        moved: Tensor = self.layers(latent) + self.moves(action)
        return moved


class InPlaceView(Plain):
    """T changes a part of the latents."""

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        latent[:, 0].mul_(0.5)
        return super().transition(latent, action)


class Overwriting(Plain):
    """E always answers in the same memory."""

    answer = torch.empty(0)

    def encode(self, embedding: Tensor) -> Tensor:
        if self.answer.shape != embedding.shape:
            self.answer = torch.empty_like(embedding)
        return self.answer.copy_(embedding)


class InPlaceEverywhere(Plain):
    """Every method changes what it is given."""

    def embed(self, observation: Tensor) -> Tensor:
        return super().embed(observation.mul_(0.5))

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding.mul_(2).clone()

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent.add_(self.moves(action))

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        assert len(elements) == len(embedding)
        return embedding.mul_(-1)


class OutOfPlaceEverywhere(Plain):
    """The same numbers in tensors of their own."""

    def embed(self, observation: Tensor) -> Tensor:
        return super().embed(observation * 0.5)

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding * 2

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        assert len(elements) == len(embedding)
        return -embedding
