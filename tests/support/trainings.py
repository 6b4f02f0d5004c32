"""Trainings of tiny models on a few frames, shared by the tests of training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.objects import build_object_model
from sen_bench.config.settings import TrainingConfig
from sen_bench.data.transitions import Transitions
from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.trackers import Tracking
from sen_bench.training import TrainingResult, train
from tests.support.recorder import Recorder

CPU = torch.device("cpu")
IDENTITY = {"task": "test", "seed": "0"}


class Affine(WorldModel):
    """The smallest world model: z is the mean of the image, times a weight; T adds the action."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(embedding_shape=(1,), latent_shape=(1,), equivariant=False)
        self.weight = nn.Parameter(torch.tensor(weight))

    def embed(self, observation: Tensor) -> Tensor:
        return observation.mean(dim=(1, 2, 3))[:, None]

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding * self.weight

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent + action[:, None].to(latent.dtype)

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().sum(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        raise NotImplementedError


class Pair(Affine):
    """Two objects, the means of the halves of an image; action a moves object a // 4 (modulo 2)."""

    def __init__(self) -> None:
        super().__init__()
        self._embedding_shape = self._latent_shape = (2,)

    @property
    def factored_latents(self) -> bool:
        return True

    @property
    def acting_objects(self) -> bool:
        return True

    def embed(self, observation: Tensor) -> Tensor:
        halves = observation.chunk(2, dim=3)
        return torch.stack([half.mean(dim=(1, 2, 3)) for half in halves], dim=1)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        return latent + nn.functional.one_hot(action // 4 % 2, 2)

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square().mean(dim=1)

    def object_distances(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent - other).square()

    def bystander_distance(self, latent: Tensor, other: Tensor, action: Tensor) -> Tensor:
        return (latent - other).square()[torch.arange(len(action)), 1 - action // 4 % 2]


def halves(values: np.ndarray) -> Tensor:
    """Images whose halves have these values, `[B, 2]`."""
    return torch.tensor(values)[:, None, None, :].repeat_interleave(2, dim=3).expand(-1, 3, 4, -1)


def small_sen() -> WorldModel:
    symmetry = Blocks3D().symmetry
    return build_object_model(
        "sen", symmetry=symmetry, observation_shape=(6, 6, 3), embedding_channels=2, hidden=4
    )


def train_tiny(
    folder: Path,
    transitions: Transitions,
    build: Callable[[], WorldModel] = small_sen,
    progress: Recorder | None = None,
    *,
    seed: int = 0,
    identity: dict[str, str] = IDENTITY,
    tracking: Tracking | None = None,
    **settings: Any,
) -> TrainingResult:
    """Trains for three epochs in batches of 8, unless the settings say otherwise."""
    config = TrainingConfig(**{"epochs": 3, "batch_size": 8, **settings})
    return train(
        build,
        transitions,
        config,
        seed=seed,
        folder=folder,
        identity=identity,
        progress=progress or Recorder(),
        tracking=tracking,
    )


def weights_of(result: TrainingResult) -> dict[str, Tensor]:
    return dict(result.model.state_dict())


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metrics log, without what differs from one time to the next."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    differing = {"seconds", "check"}
    return [{key: value for key, value in line.items() if key not in differing} for line in lines]
