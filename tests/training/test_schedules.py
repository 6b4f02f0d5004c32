"""Learning rates and batch sizes that change from epoch to epoch, and what of them enters the digests."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sen_bench.config.presets import TaskPreset
from sen_bench.config.settings import RunConfig, TrainingConfig
from sen_bench.data.transitions import Batch, Transitions
from tests.support.configs import config_of
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, Affine, train_tiny, weights_of


class Steady(Affine):
    """A model on whose weight the loss pulls by the same gradient in every step."""

    def encode(self, embedding: Tensor) -> Tensor:
        return self.weight.expand_as(embedding)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:  # noqa: ARG002 - the gradient must not vary
        return latent + 1

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        return 2 * (latent + other.detach()).sum(dim=1)


def test_the_cosine_schedule_is_half_a_wave_down_to_0(tmp_path: Path, transitions: Transitions) -> None:
    """Under a gradient that never changes, Adam moves a weight by just the learning rate in every step."""
    model = Steady(100.0)
    weights: list[float] = []

    class Watching(Transitions):
        def batch(self, index: Tensor) -> Batch:
            weights.append(model.weight.item())
            return super().batch(index)

    watching = Watching(transitions._frames, transitions._actions, CPU)
    train_tiny(
        tmp_path, watching, lambda: model, epochs=2, batch_size=6, learning_rate=0.5, schedule="cosine"
    )
    steps = [before - after for before, after in itertools.pairwise([*weights, model.weight.item()])]
    expected = [0.5 * (1 + math.cos(math.pi * step / 14)) / 2 for step in range(14)]
    assert steps == pytest.approx(expected, abs=1e-4)


def test_training_under_a_schedule_can_be_interrupted(tmp_path: Path, transitions: Transitions) -> None:
    whole = train_tiny(tmp_path / "whole", transitions, schedule="cosine")
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "parts", transitions, progress=Recorder(2), schedule="cosine")
    resumed = train_tiny(tmp_path / "parts", transitions, schedule="cosine")
    constant = train_tiny(tmp_path / "constant", transitions)
    assert all(torch.equal(value, weights_of(resumed)[name]) for name, value in weights_of(whole).items())
    assert any(
        not torch.equal(value, weights_of(constant)[name]) for name, value in weights_of(whole).items()
    )


def test_batches_have_the_size_of_their_epoch(tmp_path: Path, transitions: Transitions) -> None:
    sizes: list[int] = []

    class Watching(Transitions):
        def batch(self, index: Tensor) -> Batch:
            sizes.append(len(index))
            return super().batch(index)

    watching = Watching(transitions._frames, transitions._actions, CPU)
    recorder = Recorder()
    grown: dict[str, Any] = {"batch_size": 8, "batch_size_from_epoch": {4: 41, 3: 20}}
    result = train_tiny(tmp_path, watching, progress=recorder, epochs=4, **grown)
    assert len(transitions) == 42
    assert sizes == 2 * [8, 8, 8, 8, 8, 2] + [20, 20, 2] + [41]
    assert result.transitions_seen == 3 * 42 + 41  # a batch of one sample is left out
    last = {status.epoch: (status.step, status.steps) for status in recorder.statuses}
    assert last == {1: (6, 6), 2: (6, 6), 3: (3, 3), 4: (2, 2)}


def test_training_in_growing_batches_can_be_interrupted(tmp_path: Path, transitions: Transitions) -> None:
    grown: dict[str, Any] = {"epochs": 3, "batch_size": 4, "batch_size_from_epoch": {3: 16}}
    whole = train_tiny(tmp_path / "whole", transitions, **grown)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "parts", transitions, progress=Recorder(5), **grown)
    resumed = train_tiny(tmp_path / "parts", transitions, **grown)
    assert all(torch.equal(value, weights_of(resumed)[name]) for name, value in weights_of(whole).items())


def test_a_constant_learning_rate_leaves_digests_as_they_were_before_there_were_schedules() -> None:
    preset = TaskPreset(training=TrainingConfig(epochs=4, batch_size=128, learning_rate=5e-4))
    config = config_of("3d-blocks", "sen", "train", preset)
    assert config.digest == "0d298f37f16d9256"  # of the first rows of results/runs.csv


def test_digests_say_whether_training_can_go_on_for_more_epochs() -> None:
    def config(**settings: Any) -> RunConfig:
        preset = TaskPreset(training=TrainingConfig(**settings))
        return config_of("3d-blocks", "sen", "train", preset)

    grown = [config(epochs=3, batch_size_from_epoch={2: n}) for n in (3, 4)]
    assert len({c.weights_digest for c in (*grown, config(epochs=3))}) == 3
    assert RunConfig.model_validate_json(grown[0].model_dump_json()).digest == grown[0].digest

    constant, cosine = ({n: config(epochs=n, schedule=s) for n in (3, 4)} for s in ("constant", "cosine"))
    assert constant[3].weights_digest == constant[4].weights_digest
    assert cosine[3].weights_digest != cosine[4].weights_digest
    assert constant[3].weights_digest != cosine[3].weights_digest
    assert len({c.digest for c in (*constant.values(), *cosine.values())}) == 4
