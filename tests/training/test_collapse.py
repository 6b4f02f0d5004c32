"""Collapse of all latents into one: seen, said, and done with as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sen_bench.baselines.model import WorldModel
from sen_bench.data.transitions import Transitions
from sen_bench.errors import CheckpointError
from sen_bench.training import Checkpoint, read_metrics
from sen_bench.training.collapse import CollapseDetector
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, Affine, log_of, train_tiny, weights_of


@pytest.fixture
def still_frames() -> Transitions:
    """Nothing happens in them, so a model whose weight is 0 stays collapsed."""
    return Transitions(
        torch.zeros(40, 11, 2, 2, 3, dtype=torch.uint8), torch.zeros(40, 10, dtype=torch.int64), CPU
    )


def test_collapse_is_detected_after_patience_and_recovery_noticed() -> None:
    detector = CollapseDetector(hinge=1.0, patience=3)
    assert [detector.update(1.0, 0.0) for _ in range(5)] == [None, None, "collapsed", None, None]
    assert detector.collapsed
    assert detector.update(0.4, 2.0) == "recovered"
    assert not detector.collapsed


@pytest.mark.parametrize(("loss", "separation"), [(0.5, 0.0), (1.0, 0.2), (0.2, 3.0)])
def test_low_loss_or_separated_latents_are_no_collapse(loss: float, separation: float) -> None:
    detector = CollapseDetector(hinge=1.0, patience=1)
    assert detector.update(loss, separation) is None


def test_a_single_healthy_step_starts_the_count_anew() -> None:
    detector = CollapseDetector(hinge=1.0, patience=2)
    assert [detector.update(1.0, s) for s in (0.0, 0.5, 0.0)] == [None, None, None]


def test_collapse_is_said_logged_and_recorded(tmp_path: Path, still_frames: Transitions) -> None:
    recorder = Recorder()
    result = train_tiny(tmp_path, still_frames, Affine, recorder, batch_size=4)
    assert result.collapsed
    assert (result.restarts, result.epochs) == (0, 3)
    assert "COLLAPSED at step 200 (epoch 2)" in recorder.messages[0]
    assert recorder.statuses[-1].collapsed
    events = [line["event"] for line in log_of(tmp_path)]
    assert events.count("collapsed") == 1
    assert Checkpoint.load(tmp_path / "checkpoint.pt", CPU).collapsed


def test_stop_ends_a_collapsed_run_for_good(tmp_path: Path, still_frames: Transitions) -> None:
    for _ in range(2):
        result = train_tiny(tmp_path, still_frames, Affine, batch_size=4, on_collapse="stop")
        assert result.collapsed
        assert result.epochs == 1
        assert result.transitions_seen == 200 * 4
    path, until = tmp_path / "metrics.jsonl", Checkpoint.load(tmp_path / "checkpoint.pt", CPU)
    lines, remark = read_metrics(path, until=until)
    assert (lines[-1]["event"], remark) == ("collapsed", "")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(CheckpointError, match="does not reach its checkpoint"):
        read_metrics(path, until=until)


def test_restart_begins_anew_with_a_derived_seed_and_counts(
    tmp_path: Path, still_frames: Transitions
) -> None:
    drawn: list[float] = []

    def build() -> WorldModel:
        drawn.append(torch.rand(1).item())
        return Affine()

    result = train_tiny(tmp_path, still_frames, build, batch_size=4, on_collapse="restart")
    assert result.restarts == 5
    assert result.collapsed
    assert result.epochs == 3
    assert len(set(drawn)) == 6
    assert result.transitions_seen == 5 * 800 + 3 * 400
    assert {line["attempt"] for line in log_of(tmp_path)} == set(range(6))


def test_restarted_training_resumes_to_the_same_weights(tmp_path: Path, still_frames: Transitions) -> None:
    def build() -> WorldModel:
        return Affine(torch.rand(1).item())

    options: dict[str, Any] = {"batch_size": 4, "on_collapse": "restart"}
    whole = train_tiny(tmp_path / "whole", still_frames, build, **options)
    parts = tmp_path / "parts"
    for _ in range(20):
        try:
            resumed = train_tiny(parts, still_frames, build, Recorder(13), **options)
            break
        except KeyboardInterrupt:
            continue
    assert all(torch.equal(v, weights_of(resumed)[k]) for k, v in weights_of(whole).items())
    assert log_of(parts) == log_of(tmp_path / "whole")
