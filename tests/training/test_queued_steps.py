"""What is done otherwise on a GPU so that it never waits: the same log and weights, and fewer checkpoints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sen_bench.data.transitions import Transitions
from sen_bench.training import Checkpoint, epochs
from sen_bench.training.epochs import EpochTraining
from tests.support.recorder import Recorder
from tests.support.trainings import Affine, log_of, train_tiny, weights_of

STEPS = 6
"""Of an epoch of 42 transitions in batches of 8."""


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EpochTraining, "_on_gpu", True)


@pytest.mark.parametrize("batch_size", [2, 41])
def test_losses_that_are_looked_at_later_are_logged_alike(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    """21 steps are fetched three times; of 41 and 1 transitions, the one is left out."""
    results, shown = [], []
    for name in ("at once", "later"):
        recorder = Recorder()
        results.append(train_tiny(tmp_path / name, transitions, Affine, recorder, batch_size=batch_size))
        shown.append([(s.epoch, s.step, s.loss) for s in recorder.statuses])
        monkeypatch.setattr(EpochTraining, "_on_gpu", True)
    assert log_of(tmp_path / "at once") == log_of(tmp_path / "later")
    assert weights_of(results[0]) == weights_of(results[1])
    assert shown[0] == shown[1]


@pytest.mark.usefixtures("as_on_a_gpu")
def test_they_are_looked_at_one_fetch_later(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the next ten steps are under way; where a collapse ends the epoch, nothing is put off."""
    taken: list[int] = []
    advance, watch = EpochTraining.advance, EpochTraining.watch
    when: list[int] = []

    def counted(training: Any, *batch: Any) -> Any:
        taken.append(1)
        return advance(training, *batch)

    def noted(training: Any, row: list[float], log: Any) -> None:
        when.append(len(taken))
        watch(training, row, log)

    monkeypatch.setattr(EpochTraining, "advance", counted)
    monkeypatch.setattr(EpochTraining, "watch", noted)
    for action, expected in (("continue", [20, 21, 21]), ("stop", [10, 20, 21])):
        taken.clear()
        when.clear()
        train_tiny(tmp_path / action, transitions, Affine, epochs=1, batch_size=2, on_collapse=action)
        assert [when[0], when[10], when[20]] == expected


@pytest.mark.usefixtures("as_on_a_gpu")
def test_checkpoints_take_no_more_than_their_share(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes a second, saving five: after 50 s, nine epochs of six steps, the next one is due."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(epochs, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    saved: list[int] = []
    advance, save = EpochTraining.advance, Checkpoint.save

    def step(training: Any, *batch: Any) -> Any:
        clock.now += 1
        return advance(training, *batch)

    def saving(checkpoint: Checkpoint, path: Path) -> None:
        clock.now += 5
        saved.append(checkpoint.epoch)
        save(checkpoint, path)

    monkeypatch.setattr(EpochTraining, "advance", step)
    monkeypatch.setattr(Checkpoint, "save", saving)
    train_tiny(tmp_path, transitions, Affine, epochs=21)
    assert saved == [1, 10, 19, 21]


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_run_goes_on_from_the_last_epoch_that_was_saved(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_tiny(tmp_path / "whole", transitions, Affine, epochs=4)
    due = iter([True, False, False])  # interrupted in the fourth epoch
    with monkeypatch.context() as patch:
        patch.setattr(EpochTraining, "_saving_is_due", property(lambda _training: next(due)))
        with pytest.raises(KeyboardInterrupt):
            train_tiny(tmp_path / "cut", transitions, Affine, Recorder(4), epochs=4)
    resumed = train_tiny(tmp_path / "cut", transitions, Affine, epochs=4)
    assert weights_of(resumed) == weights_of(whole)
    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")
