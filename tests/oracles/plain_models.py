"""Whole models as the public code builds them, with the parameters of ours, to measure our speed against.

Images channels-first, dense circulant matrices, the whole edge network on every ordered pair of objects,
e2cnn's own layers, no autocast, and Adam as it comes. Each computes the same function as the model that it is
made from, but nothing is shared: parameters and statistics are copies.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.convolutions import ConvolutionalEmbedding, PatchEmbedding
from sen_bench.baselines.layers import orbit_stack
from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.normalisation import BatchNorm
from sen_bench.baselines.objects import ObjectModel
from sen_bench.baselines.reacher import ReacherModel
from sen_bench.baselines.reacher_networks import (
    LATENTS,
    MAPS,
    TORQUES,
    ConvolutionStack,
    OrdinaryTransition,
    SteerableTransition,
)
from sen_bench.baselines.steerable import SteerableEmbedding, SteerablePatchEmbedding
from sen_bench.data.transitions import Batch
from tests.oracles.dense_layers import e2cnn_embedding, textbook_encoder, textbook_interaction
from tests.oracles.e2cnn_networks import e2cnn_stack, field_type

SIGMA, HINGE, LEARNING_RATE = 0.5, 1.0, 5e-4
"""As in the paper."""


class PlainModel(nn.Module, ABC):
    """S, E and T of a model in their plain forms."""

    @abstractmethod
    def embed(self, observation: Tensor) -> Tensor:
        """S: images `[B, C, H, W]` to embeddings."""

    @abstractmethod
    def encode(self, embedding: Tensor) -> Tensor:
        """E: embeddings to latents."""

    @abstractmethod
    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        """T: latents and actions to next latents."""

    @abstractmethod
    def energy(self, latent: Tensor, other: Tensor) -> Tensor:
        """0.5/σ² times the squared distance, `[B]`."""

    def loss(self, batch: Batch, permutation: Tensor) -> Tensor:
        """The contrastive loss, its negatives the latents under a permutation of the batch."""
        latent = self.encode(self.embed(batch.observation.contiguous()))
        following = self.encode(self.embed(batch.next_observation.contiguous()))
        positive = self.energy(self.transition(latent, batch.action), following).mean()
        negative = torch.relu(HINGE - self.energy(latent, latent[permutation])).mean()
        return positive + negative


class PlainObjectModel(PlainModel):
    """A model of 2D Shapes or 3D Blocks: dense linear layers, and every ordered pair of objects."""

    def __init__(self, ours: ObjectModel) -> None:
        super().__init__()
        self.equivariant, self.shape = ours.equivariant, ours.embedding_shape
        embedding = copy.deepcopy(ours.embedding)
        self.steerable: Any = None
        match embedding:
            case SteerableEmbedding() | SteerablePatchEmbedding():
                self.steerable = e2cnn_embedding(embedding)
            case ConvolutionalEmbedding() | PatchEmbedding():
                self.layers = plain_layers(*embedding.layers)
            case _:
                raise AssertionError(embedding)
        self.encoder, self.network = copy.deepcopy(ours.encoder), copy.deepcopy(ours.network)

    def embed(self, observation: Tensor) -> Tensor:
        maps = self.layers(observation) if self.steerable is None else _run(self.steerable, observation)
        return torch.sigmoid(maps).view(-1, *self.shape)

    def encode(self, embedding: Tensor) -> Tensor:
        features = orbit_stack(embedding) if self.equivariant else embedding.flatten(2)
        return textbook_encoder(self.encoder, features)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        moves = nn.functional.one_hot(action, 4 * self.shape[0]).to(latent.dtype).view(len(action), -1, 4)
        if self.equivariant:
            moves = moves[..., None]
        return latent + textbook_interaction(self.network, latent, moves)

    def energy(self, latent: Tensor, other: Tensor) -> Tensor:
        return 0.5 / SIGMA**2 * (latent - other).pow(2).flatten(2).sum(2).mean(1)


class PlainReacherModel(PlainModel):
    """`sen` or `none` of Reacher: ordinary layers channels-first, steerable ones as e2cnn runs them."""

    def __init__(self, ours: ReacherModel) -> None:
        super().__init__()
        self.equivariant = ours.equivariant
        match ours.embedding, ours.encoder, ours.network:
            case ConvolutionStack(), ConvolutionStack(), SteerableTransition():
                self.encoder: Any = e2cnn_stack(ours.encoder, field_type(MAPS, regular=False))
                fields = field_type(LATENTS, regular=True, signs=TORQUES)
                self.network: Any = e2cnn_stack(ours.network.layers, fields)
            case ConvolutionStack(), ConvolutionStack(), OrdinaryTransition():
                self.encoder, self.network = _ordinary(ours.encoder), _ordinary(ours.network)
            case _:
                raise AssertionError(ours)
        self.embedding = _ordinary(ours.embedding)

    def embed(self, observation: Tensor) -> Tensor:
        maps: Tensor = self.embedding(observation)
        return maps

    def encode(self, embedding: Tensor) -> Tensor:
        if self.equivariant:
            return _run(self.encoder, embedding).view(len(embedding), LATENTS, -1)
        latent: Tensor = self.encoder(embedding)
        return latent.flatten(1)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        if self.equivariant:
            pairs = torch.stack([action, -action], dim=2).flatten(1)
            channels = torch.cat([pairs, latent.flatten(1)], dim=1)[:, :, None, None]
            return latent + _run(self.network, channels).view(latent.shape)
        change: Tensor = self.network(torch.cat([latent, action], dim=1))
        return latent + change

    def energy(self, latent: Tensor, other: Tensor) -> Tensor:
        return 0.5 / SIGMA**2 * (latent - other).pow(2).flatten(1).sum(1)


def _run(theirs: Any, channels: Tensor) -> Tensor:
    """A network of e2cnn's on channels ordered by field, then by group element."""
    result: Tensor = theirs(e2cnn_compat.nn.GeometricTensor(channels, theirs.in_type)).tensor
    return result


def plain_layers(*layers: nn.Module) -> nn.Sequential:
    """The layers with PyTorch's own batch normalisation in place of ours."""
    theirs: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, BatchNorm):
            norm = nn.BatchNorm2d(layer.num_features)
            norm.load_state_dict(layer.state_dict())
            theirs.append(norm)
        else:
            theirs.append(layer)
    return nn.Sequential(*theirs)


def _ordinary(stack: ConvolutionStack | OrdinaryTransition) -> nn.Sequential:
    own = copy.deepcopy(stack)
    return plain_layers(*own.hidden, own.last)


def plain_model(ours: WorldModel) -> PlainModel:
    """The plain form of a model, in training mode and on its device."""
    match ours:
        case ObjectModel():
            plain: PlainModel = PlainObjectModel(ours)
        case ReacherModel():
            plain = PlainReacherModel(ours)
        case _:
            raise AssertionError(ours)
    return plain.to(next(ours.parameters()).device).train()


@dataclass
class PlainTraining:
    """Steps of a plain model by Adam."""

    model: PlainModel
    learning_rate: float = LEARNING_RATE

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate)

    def step(self, batch: Batch, permutation: Tensor) -> Tensor:
        """One step; the loss before it, still on the device."""
        loss = self.model.loss(batch, permutation)
        self.optimizer.zero_grad()
        torch.autograd.backward([loss])
        self.optimizer.step()
        return loss.detach()
