"""Learning rates of the parts of a model: what each weight moves by, from epoch to epoch, and resumed."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sen_bench.data.transitions import Batch, Transitions
from sen_bench.errors import ConfigError
from sen_bench.training import build_seeded
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, Affine, small_sen, train_tiny, weights_of

SLOW: dict[str, Any] = {"learning_rate_of_from_epoch": {2: {"embedding": 0.25, "encoder": 0.5}}}


class Steady(Affine):
    """A model of three weights, on each of which the loss pulls by the same gradient in every step."""

    def __init__(self) -> None:
        super().__init__(100.0)
        self.embedding, self.encoder = (nn.ParameterList([torch.tensor(100.0)]) for _ in range(2))

    def encode(self, embedding: Tensor) -> Tensor:
        total: Tensor = self.weight + self.embedding[0] + self.encoder[0]
        return total.expand_as(embedding)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002 - the gradient must not vary
        return latent + 1

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent + other.detach()).sum(dim=1)

    def values(self) -> tuple[float, ...]:
        return self.embedding[0].item(), self.encoder[0].item(), self.weight.item()


class Weight(nn.Module):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(100.0))


def _steps(folder: Path, transitions: Transitions, **settings: Any) -> list[tuple[float, ...]]:
    """What S, E and T move by in each of 14 steps. Under a steady gradient that is Adam's learning rate."""
    model = Steady()
    seen: list[tuple[float, ...]] = []

    class Watching(Transitions):
        def batch(self, index: Tensor) -> Batch:
            seen.append(model.values())
            return super().batch(index)

    watching = Watching(transitions._frames, transitions._actions, CPU)
    train_tiny(folder, watching, lambda: model, epochs=2, batch_size=6, learning_rate=0.5, **settings)
    seen.append(model.values())
    return [
        tuple(before - after for before, after in zip(*pair, strict=True))
        for pair in itertools.pairwise(seen)
    ]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_each_part_moves_by_its_own_rate(tmp_path: Path, transitions: Transitions, schedule: str) -> None:
    steps = _steps(tmp_path, transitions, schedule=schedule, learning_rate_of={"encoder": 0}, **SLOW)
    for number, moved in enumerate(steps):
        rate = 0.5 * (1 + math.cos(math.pi * number / 14)) / 2 if schedule == "cosine" else 0.5
        factors = (1, 0, 1) if number < 7 else (0.25, 0.5, 1)
        assert moved == pytest.approx([rate * factor for factor in factors], abs=1e-4)


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        ({"codes": 0.1}, {}, [(1, 0.1), (1, 1)]),
        ({"embedding": 0.5}, {"embedding": 0.5, "codes": 0.1}, [(0.5, 0.5), (0.5, 0.1)]),
        ({"embedding": 0.5, "codes": 1}, {"embedding": 0}, [(0.5, 1), (0, 0)]),
    ],
)
def test_codes_move_by_the_rate_of_the_embedding_or_their_own(
    tmp_path: Path,
    transitions: Transitions,
    first: dict[str, float],
    later: dict[str, float],
    expected: list[tuple[float, float]],
) -> None:
    class Coded(Steady):
        def __init__(self) -> None:
            super().__init__()
            self.parts = {name: Weight() for name in ("masks", "codes")}
            self.add_module("embedding", nn.ModuleDict(self.parts))

        def encode(self, embedding: Tensor) -> Tensor:
            total: Tensor = sum((part.weight for part in self.parts.values()), start=self.weight)
            return total.expand_as(embedding)

    network = Coded()
    result = train_tiny(
        tmp_path,
        transitions,
        lambda: network,
        epochs=2,
        batch_size=6,
        learning_rate=0.5,
        learning_rate_of=first,
        learning_rate_of_from_epoch={2: later},
    )
    moved = [100 - weights_of(result)[f"embedding.{part}.weight"].item() for part in ("masks", "codes")]
    # Seven steps an epoch.
    assert moved == pytest.approx([3.5 * sum(factors) for factors in zip(*expected, strict=True)], abs=1e-3)


def test_training_with_rates_of_parts_can_be_interrupted(tmp_path: Path, transitions: Transitions) -> None:
    whole = train_tiny(tmp_path / "whole", transitions, **SLOW)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "parts", transitions, progress=Recorder(2), **SLOW)
    resumed = train_tiny(tmp_path / "parts", transitions, **SLOW)
    plain = train_tiny(tmp_path / "plain", transitions)
    assert all(torch.equal(value, weights_of(resumed)[name]) for name, value in weights_of(whole).items())
    assert any(not torch.equal(value, weights_of(plain)[name]) for name, value in weights_of(whole).items())


def test_the_parts_of_a_model_are_all_there_is(tmp_path: Path, transitions: Transitions) -> None:
    """A rate of 0 for S and E leaves their weights as they were, and T is what is trained."""
    model = build_seeded(small_sen, CPU, seed=0, attempt=0)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    frozen = {"embedding": 0, "encoder": 0}
    result = train_tiny(tmp_path, transitions, lambda: model, learning_rate_of=frozen)
    moved = {
        name.partition(".")[0]
        for name, value in result.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == {"network"}


def test_a_part_that_is_not_there_is_refused(tmp_path: Path, transitions: Transitions) -> None:
    with pytest.raises(ConfigError, match=r"Affine has no part 'encoder' .*its parts are: none"):
        train_tiny(tmp_path, transitions, Affine, learning_rate_of={"encoder": 0.5})
    with pytest.raises(ConfigError, match=r"has no part 'embedding\.codes' .*leave codes out"):
        train_tiny(tmp_path, transitions, learning_rate_of={"codes": 0.5})
    assert not list(tmp_path.iterdir())
