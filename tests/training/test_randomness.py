"""Models that draw random numbers in training: the seed alone decides, however often it is interrupted."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines import Decoder, WorldModel
from sen_bench.data.transitions import Transitions
from sen_bench.training import decoder as decoders
from sen_bench.training import train_decoder
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, IDENTITY, Affine, log_of, train_tiny, weights_of


class Dropping(Affine):
    """Has dropout in S."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.rand(108))
        self.drop = nn.Dropout(0.5)

    def embed(self, observation: Tensor) -> Tensor:
        kept: Tensor = self.drop(observation.flatten(1))
        return (kept * self.weights).mean(dim=1)[:, None]


class Noisy(Affine):
    """Draws from the generators of NumPy and Python, as it is built and as it runs."""

    def __init__(self) -> None:
        super().__init__(weight=random.random() + float(np.random.rand()))  # noqa: NPY002, S311

    def encode(self, embedding: Tensor) -> Tensor:
        return super().encode(embedding) * (random.random() + float(np.random.rand()))  # noqa: NPY002, S311


BUILDERS: list[Callable[[], WorldModel]] = [Dropping, Noisy]


def same_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("build", BUILDERS)
def test_equal_seeds_give_equal_weights_and_others_others(
    tmp_path: Path, transitions: Transitions, build: Callable[[], WorldModel]
) -> None:
    first, second, other = (
        weights_of(train_tiny(tmp_path / str(number), transitions, build, seed=seed))
        for number, seed in enumerate((0, 0, 1))
    )
    assert same_weights(first, second)
    assert not same_weights(first, other)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("interrupt_after", [1, 2, 3])
def test_resumed_they_are_those_of_an_undisturbed_training(
    tmp_path: Path, transitions: Transitions, build: Callable[[], WorldModel], interrupt_after: int
) -> None:
    whole = train_tiny(tmp_path / "whole", transitions, build)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "parts", transitions, build, Recorder(interrupt_after))
    torch.rand(7), np.random.rand(7), random.random()  # noqa: NPY002, S311 — as in another process
    resumed = train_tiny(tmp_path / "parts", transitions, build)
    assert same_weights(weights_of(whole), weights_of(resumed))
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")


def test_each_epoch_draws_anew(tmp_path: Path, transitions: Transitions) -> None:
    drawn: list[Tensor] = []

    class Watched(Dropping):
        def embed(self, observation: Tensor) -> Tensor:
            drawn.append(self.drop(torch.ones(64)))
            return super().embed(observation)

    train_tiny(tmp_path, transitions, Watched, epochs=2, batch_size=42)
    assert len(drawn) == 4  # two passes a step, one step an epoch
    assert not any(torch.equal(drawn[a], drawn[b]) for a in range(4) for b in range(a))


def test_the_callers_generators_are_left_alone(tmp_path: Path, transitions: Transitions) -> None:
    def states() -> tuple[bytes, object, object]:
        numpy = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().numpy().tobytes(), str(numpy), random.getstate()

    before = states()
    for build in BUILDERS:
        train_tiny(tmp_path / build.__name__, transitions, build)
    assert states() == before


def test_a_decoder_with_dropout_too(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DroppingDecoder(Decoder):
        def logits(self, latent: Tensor) -> Tensor:
            return super().logits(nn.functional.dropout(latent, 0.5, self.training))

    monkeypatch.setattr(decoders, "Decoder", DroppingDecoder)
    latents = torch.arange(42.0)[:, None]

    def weights(folder: str) -> dict[str, Tensor]:
        given = {"epochs": 1, "seed": 0, "folder": tmp_path / folder, "identity": IDENTITY}
        return train_decoder(latents.to(CPU), transitions, **given).decoder.state_dict()  # type: ignore[arg-type]

    assert same_weights(weights("first"), weights("second"))
