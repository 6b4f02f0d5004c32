"""A small model for grid worlds, and others like it that fail, for the tests of sweeps."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import torch
from torch import Tensor, nn

from sen_bench.baselines.model import WorldModel
from sen_bench.symmetry import Symmetry

VARIABLE = "SEN_BENCH_TESTS_FAULTY"
"""Environment variable: a file with a number. The model that embeds so often dies, and the file is gone."""


class Plain(WorldModel):
    """z is a linear map of a coarse picture; T adds a vector for each action."""

    def __init__(self, *, symmetry: Symmetry, observation_shape: tuple[int, int, int]) -> None:
        super().__init__(embedding_shape=(8,), latent_shape=(8,), equivariant=False)
        assert symmetry.group.order > 1
        self.picture = nn.Linear(25 * observation_shape[2], 8)
        self.moves = nn.Embedding(20, 8)

    def embed(self, observation: Tensor) -> Tensor:
        coarse = nn.functional.adaptive_avg_pool2d(observation, 5)
        embedding: Tensor = self.picture(coarse.flatten(1))
        return embedding

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        moved: Tensor = latent + self.moves(action)
        return moved

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().sum(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        assert len(elements) == len(embedding)
        return torch.full_like(embedding, torch.nan)


class Raising(Plain):
    """Has a bug."""

    def embed(self, observation: Tensor) -> Tensor:
        raise IndexError(f"fell off the edge of {tuple(observation.shape)}")


class Mortal(Plain):
    """Kills its process, once, where a test asks for it."""

    embedded = 0

    def embed(self, observation: Tensor) -> Tensor:
        self.embedded += 1
        order = Path(os.environ[VARIABLE])
        if order.exists() and self.embedded >= int(order.read_text()):
            order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(observation)


class Doomed(Plain):
    """Kills its process, always."""

    def embed(self, observation: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(observation)
