"""Training: the loss by hand, every transition once an epoch, weights that seeds alone decide."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sen_bench.data.transitions import Batch, Transitions
from sen_bench.errors import ConfigError, NonFiniteError
from sen_bench.training import contrastive_loss
from sen_bench.training.epochs import EpochTraining
from sen_bench.training.log import MetricsLog
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, Affine, log_of, small_sen, train_tiny, weights_of


def test_transitions_are_neighbouring_frames_of_one_episode(transitions: Transitions) -> None:
    frames, actions = transitions._frames, transitions._actions
    assert len(transitions) == 42
    index = torch.tensor([0, 6, 7, 41])
    batch = transitions.batch(index)
    for row, (episode, step) in enumerate([(0, 0), (0, 6), (1, 0), (5, 6)]):
        for got, frame in ((batch.observation, step), (batch.next_observation, step + 1)):
            expected = frames[episode, frame].permute(2, 0, 1).double() / 255
            torch.testing.assert_close(got[row].double(), expected, rtol=0, atol=1e-7)
        assert batch.action[row] == actions[episode, step]


def test_loss_of_a_case_computed_by_hand() -> None:
    """z = (0, 0.5, 1), z' = (0.5, 0.5, 1), actions (0, 0, 1), negatives of the samples (2, 0, 1)."""

    def images(*values: float) -> Tensor:
        return torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2)

    batch = Batch(images(0, 0.5, 1), torch.tensor([0, 0, 1]), images(0.5, 0.5, 1))
    terms = contrastive_loss(Affine(), batch, torch.tensor([2, 0, 1]), hinge=1.0, dtype=torch.float32)
    # d(z + T, z') = 2·(0.25, 0, 1); d(z, z̃) = 2·(1, 0.25, 0.25), short of the margin by (0, 0.5, 0.5).
    assert terms.positive.item() == pytest.approx(2.5 / 3)
    assert terms.negative.item() == pytest.approx(1.0 / 3)
    assert terms.total.item() == pytest.approx(3.5 / 3)
    assert terms.separation.item() == pytest.approx(1.0)


def test_energies_stay_float32_under_autocast(transitions: Transitions) -> None:
    terms = contrastive_loss(
        small_sen(), transitions.batch(torch.arange(8)), torch.arange(8), hinge=1.0, dtype=torch.bfloat16
    )
    assert {term.dtype for term in terms} == {torch.float32}


def test_the_log_names_the_terms_of_the_loss(tmp_path: Path, transitions: Transitions) -> None:
    train_tiny(tmp_path, transitions, epochs=1)
    first = log_of(tmp_path)[0]
    assert first["event"] == "steps"
    assert {"loss", "positive", "negative", "separation"} <= first.keys()
    assert first["loss"] == pytest.approx(first["positive"] + first["negative"])


def test_the_log_counts_a_small_last_batch_by_its_samples(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    watch = EpochTraining.watch

    def watching(training: EpochTraining[Any], row: list[float], log: MetricsLog) -> None:
        losses.append(row[0])
        watch(training, row, log)

    monkeypatch.setattr(EpochTraining, "watch", watching)
    # Of 42 transitions the second batch has two.
    train_tiny(tmp_path, transitions, epochs=1, batch_size=40)
    whole, small = losses
    assert small != pytest.approx(whole, rel=1e-3)
    assert log_of(tmp_path)[0]["loss"] == pytest.approx((40 * whole + 2 * small) / 42, rel=1e-6)


def test_seeds_decide_the_weights_and_nothing_else_does(tmp_path: Path, transitions: Transitions) -> None:
    first = weights_of(train_tiny(tmp_path / "a", transitions, seed=1))
    torch.rand(7)  # the state of the global generator must not matter
    same = weights_of(train_tiny(tmp_path / "b", transitions, seed=1))
    other = weights_of(train_tiny(tmp_path / "c", transitions, seed=2))
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_training_leaves_the_global_generator_alone(tmp_path: Path, transitions: Transitions) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_tiny(tmp_path, transitions, epochs=1)
    assert torch.equal(torch.rand(1), expected)


def test_every_transition_is_seen_once_an_epoch(tmp_path: Path, transitions: Transitions) -> None:
    seen: list[int] = []

    class Counting(Transitions):
        def batch(self, index: Tensor) -> Batch:
            seen.extend(index.tolist())
            return super().batch(index)

    counting = Counting(transitions._frames, transitions._actions, CPU)
    train_tiny(tmp_path, counting, epochs=2)
    assert sorted(seen[:42]) == list(range(42))
    assert sorted(seen[42:]) == list(range(42))
    assert seen[:42] != seen[42:]


def test_a_last_batch_of_one_sample_is_left_out(tmp_path: Path, transitions: Transitions) -> None:
    result = train_tiny(tmp_path, transitions, epochs=1, batch_size=41)
    assert result.transitions_seen == 41


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_reduces_the_loss(tmp_path: Path, precision: str) -> None:
    """On frames that show which action was taken, the loss falls well below that of equal latents."""
    frames = torch.zeros(40, 2, 6, 6, 3, dtype=torch.uint8)
    actions = torch.arange(40)[:, None] % 20
    frames[torch.arange(40), :, torch.arange(40) % 6, torch.arange(40) // 6 % 6] = 255
    recorder = Recorder()
    train_tiny(
        tmp_path,
        Transitions(frames, actions, CPU),
        progress=recorder,
        epochs=60,
        batch_size=20,
        learning_rate=5e-3,
        precision=precision,
    )
    assert recorder.statuses[-1].loss < 0.5


def test_progress_counts_down(tmp_path: Path, transitions: Transitions) -> None:
    recorder = Recorder()
    train_tiny(tmp_path, transitions, progress=recorder)
    assert [(s.epoch, s.step) for s in recorder.statuses] == [(1, 6), (2, 6), (3, 6)]
    assert all(s.steps == 6 and s.epochs == 3 and s.speed > 0 for s in recorder.statuses)
    assert recorder.statuses[-1].seconds_left == 0


def test_a_loss_that_is_no_number_ends_training(tmp_path: Path, transitions: Transitions) -> None:
    with pytest.raises(NonFiniteError, match=r"the loss is nan at step 1 .*learning rate"):
        train_tiny(tmp_path, transitions, lambda: Affine(math.nan))
    assert not (tmp_path / "checkpoint.pt").exists()


def test_training_refuses_a_single_transition(tmp_path: Path, transitions: Transitions) -> None:
    one = Transitions(transitions._frames[:1, :2], transitions._actions[:1, :1], CPU)
    with pytest.raises(ConfigError, match="at least two"):
        train_tiny(tmp_path, one)
