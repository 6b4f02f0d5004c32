"""Decoders: shapes, learning, the same weights however often it was interrupted, nobody else's latents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sen_bench.baselines.decoder import Decoder
from sen_bench.data.transitions import Transitions
from sen_bench.errors import CheckpointError, ConfigError
from sen_bench.training import DecoderResult, train_decoder
from tests.support.recorder import Recorder

CPU = torch.device("cpu")
IDENTITY = {"task": "test", "weights": "a"}


@pytest.fixture(scope="module")
def transitions() -> Transitions:
    """Three steps of 64 episodes; every frame is one of eight plain ones."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randint(0, 8, (64, 4), generator=generator)
    frames = (32 * kinds + 10).to(torch.uint8)[..., None, None, None].expand(64, 4, 6, 7, 1)
    return Transitions(frames.contiguous(), torch.zeros(64, 3, dtype=torch.int64), CPU)


@pytest.fixture(scope="module")
def latents(transitions: Transitions) -> Tensor:
    """They tell exactly which frame it was."""
    values = transitions.observations(torch.arange(len(transitions))).mean(dim=(1, 2, 3))
    return torch.stack([values, values.square()], dim=1)


def _train(
    folder: Path,
    latents: Tensor,
    transitions: Transitions,
    progress: Recorder | None = None,
    *,
    epochs: int = 2,
    seed: int = 0,
    identity: dict[str, str] = IDENTITY,
) -> DecoderResult:
    return train_decoder(
        latents,
        transitions,
        epochs=epochs,
        seed=seed,
        folder=folder,
        identity=identity,
        progress=progress or Recorder(),
    )


def _log(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    differing = {"seconds", "check"}
    return [{key: value for key, value in line.items() if key not in differing} for line in lines]


@pytest.mark.parametrize(
    ("latent", "observation"),
    [((5, 4, 2), (50, 50, 3)), ((3, 3), (64, 64, 1)), ((4, 8), (128, 128, 6)), ((2,), (6, 7, 1))],
)
def test_a_decoder_makes_observations_of_latents(
    latent: tuple[int, ...], observation: tuple[int, int, int]
) -> None:
    height, width, channels = observation
    decoded = Decoder(latent, observation, width=16)(torch.randn(2, *latent))
    assert decoded.shape == (2, channels, height, width)
    assert ((decoded > 0) & (decoded < 1)).all()


@pytest.mark.parametrize("interrupt_after", [1, 2])
def test_interrupted_training_ends_with_the_same_decoder_and_log(
    tmp_path: Path, latents: Tensor, transitions: Transitions, interrupt_after: int
) -> None:
    whole = _train(tmp_path / "whole", latents, transitions, epochs=3)
    parts = tmp_path / "parts"
    for _ in range(5):
        try:
            resumed = _train(parts, latents, transitions, Recorder(interrupt_after), epochs=3)
            break
        except KeyboardInterrupt:
            # An epoch has one report only, so the first one never gets past its checkpoint.
            if interrupt_after == 1:
                resumed = _train(parts, latents, transitions, epochs=3)
                break
    expected = whole.decoder.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.decoder.state_dict().items())
    assert _log(parts) == _log(tmp_path / "whole")
    assert not resumed.decoder.training


def test_more_epochs_go_on_and_fewer_are_refused(
    tmp_path: Path, latents: Tensor, transitions: Transitions
) -> None:
    _train(tmp_path / "a", latents, transitions, epochs=1)
    longer = _train(tmp_path / "a", latents, transitions, epochs=2).decoder.state_dict()
    direct = _train(tmp_path / "b", latents, transitions, epochs=2).decoder.state_dict()
    assert all(torch.equal(value, direct[name]) for name, value in longer.items())
    with pytest.raises(ConfigError, match="trained for 2 epochs, not 1"):
        _train(tmp_path / "a", latents, transitions, epochs=1)


def test_finished_training_does_nothing_more(
    tmp_path: Path, latents: Tensor, transitions: Transitions
) -> None:
    _train(tmp_path, latents, transitions)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    recorder = Recorder()
    _train(tmp_path, latents, transitions, recorder)
    assert not recorder.statuses
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_decoder_learns_what_latents_tell(
    tmp_path: Path, latents: Tensor, transitions: Transitions
) -> None:
    _train(tmp_path, latents, transitions, epochs=40)
    errors = [line["squared_error"] for line in _log(tmp_path) if line["event"] == "steps"]
    variance = latents[:, 0].var().item()
    assert errors[-1] < 0.1 * variance < errors[0]


def test_progress_counts_frames(tmp_path: Path, latents: Tensor, transitions: Transitions) -> None:
    recorder = Recorder()
    _train(tmp_path, latents, transitions, recorder)
    assert [(s.epoch, s.step, s.steps, s.unit) for s in recorder.statuses] == [
        (1, 3, 3, "frames"),
        (2, 3, 3, "frames"),
    ]
    assert not any(status.collapsed for status in recorder.statuses)


def test_the_decoder_of_other_latents_is_refused(
    tmp_path: Path, latents: Tensor, transitions: Transitions
) -> None:
    _train(tmp_path, latents, transitions, epochs=1)
    with pytest.raises(CheckpointError, match="with weights a, not b; --force moves it aside"):
        _train(tmp_path, latents, transitions, identity={**IDENTITY, "weights": "b"})


def test_latents_that_are_no_constants_are_not_trained(
    tmp_path: Path, latents: Tensor, transitions: Transitions
) -> None:
    before = latents.clone()
    _train(tmp_path, latents, transitions, epochs=1)
    assert torch.equal(latents, before)
    assert latents.grad is None
