"""Checkpoints: an interrupted training ends as a whole one, and nothing damaged is read."""

from __future__ import annotations

import errno
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from sen_bench.data.transitions import Transitions
from sen_bench.errors import CheckpointError
from sen_bench.training import LOSS_TERMS, Checkpoint, read_metrics
from sen_bench.training.log import MetricsLog
from tests.support.recorder import Recorder
from tests.support.trainings import CPU, log_of, train_tiny, weights_of


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_interrupted_training_ends_with_the_same_weights_and_log(
    tmp_path: Path, transitions: Transitions, precision: str
) -> None:
    options: dict[str, Any] = {"precision": precision, "batch_size": 2}
    whole = train_tiny(tmp_path / "whole", transitions, **options)
    for interrupt_after in (1, 3, 5):
        parts = tmp_path / f"parts-{interrupt_after}"
        with pytest.raises(KeyboardInterrupt):
            train_tiny(parts, transitions, progress=Recorder(interrupt_after), **options)
        resumed = train_tiny(parts, transitions, **options)
        for name, value in weights_of(whole).items():
            assert torch.equal(value, weights_of(resumed)[name]), (name, interrupt_after)
        assert log_of(parts) == log_of(tmp_path / "whole")
        assert resumed.transitions_seen == whole.transitions_seen == 3 * 42


def test_more_epochs_go_on_from_fewer(tmp_path: Path, transitions: Transitions) -> None:
    train_tiny(tmp_path / "a", transitions, epochs=1)
    longer = train_tiny(tmp_path / "a", transitions, epochs=3)
    direct = train_tiny(tmp_path / "b", transitions, epochs=3)
    assert all(torch.equal(v, weights_of(direct)[k]) for k, v in weights_of(longer).items())


def test_finished_training_does_nothing_more(tmp_path: Path, transitions: Transitions) -> None:
    first = train_tiny(tmp_path, transitions)
    before = (tmp_path / "checkpoint.pt").read_bytes(), (tmp_path / "metrics.jsonl").read_bytes()
    recorder = Recorder()
    again = train_tiny(tmp_path, transitions, progress=recorder)
    assert not recorder.statuses
    assert before == ((tmp_path / "checkpoint.pt").read_bytes(), (tmp_path / "metrics.jsonl").read_bytes())
    assert again.seconds == first.seconds
    assert not again.model.training


def test_a_checkpoint_of_another_run_is_refused_by_name(tmp_path: Path, transitions: Transitions) -> None:
    train_tiny(tmp_path, transitions, epochs=1)
    with pytest.raises(CheckpointError, match="with seed 0, not 7"):
        train_tiny(tmp_path, transitions, identity={"task": "test", "seed": "7"})


@pytest.mark.parametrize(
    "damage", ["truncate", "garbage", "foreign", "version", "code", "kind", "model", "optimizer"]
)
def test_damaged_checkpoints_are_refused_in_one_line(
    tmp_path: Path, transitions: Transitions, damage: str
) -> None:
    train_tiny(tmp_path, transitions, epochs=1)
    path = tmp_path / "checkpoint.pt"
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "garbage":
        path.write_bytes(b"not a checkpoint")
    elif damage == "foreign":
        torch.save({"format_version": 1, "weights": torch.zeros(2)}, path)
    elif damage == "code":
        torch.save(Path("anywhere"), path)
    else:
        contents = torch.load(path, weights_only=True)
        other: dict[str, dict[str, Any]] = {
            "version": {"format_version": 99},
            "kind": {"epoch": "1"},
            "model": {"model": {"weight": torch.zeros(2)}},
            "optimizer": {"optimizer": {"state": {}, "param_groups": []}},
        }
        torch.save({**contents, **other[damage]}, path)
    with pytest.raises(CheckpointError) as caught:
        train_tiny(tmp_path, transitions)
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_whatever_is_damaged_in_a_checkpoint_it_is_refused_or_read(
    tmp_path: Path, transitions: Transitions
) -> None:
    train_tiny(tmp_path, transitions, epochs=1)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    chance = random.Random(0)  # noqa: S311 — places, not secrets
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        # Most of a checkpoint are weights, which may be anything: what describes them stands at its ends.
        at = chance.choice((chance.randrange(2000), len(whole) - 1 - chance.randrange(2000)))
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            Checkpoint.load(path, CPU)
        except CheckpointError as error:
            refused += "\n" not in str(error)
    assert refused > 30


def test_a_failed_save_keeps_the_last_checkpoint(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_tiny(tmp_path, transitions, epochs=1)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(path: Path, _archive: memoryview) -> None:
        path.write_bytes(bytes(100))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sen_bench.training.checkpoint.write_sealed", full)
    with pytest.raises(CheckpointError, match="No space left on device; the last one is kept"):
        train_tiny(tmp_path, transitions, epochs=2)
    monkeypatch.undo()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "metrics.jsonl"]


def test_log_drops_what_comes_after_the_checkpoint_and_a_line_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    places = [(0, 3, 9), (1, 1, 1), (1, 2, 2)]
    lines = [{"event": "steps", "attempt": a, "epoch": e, "step": s} for a, e, s in places]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"attempt": 1, "ep')
    with MetricsLog(path, keep=(1, 2)) as log:
        log.add(event="steps", attempt=1, epoch=2, step=2, loss=0.5)
    kept, _ = read_metrics(path)
    assert kept == [*lines[:2], {"event": "steps", "attempt": 1, "epoch": 2, "step": 2, "loss": 0.5}]


@pytest.mark.parametrize(
    "line", ["3", "[]", "{}", '{"event": "steps", "attempt": 0, "epoch": "one", "step": 1}']
)
def test_a_log_with_lines_that_are_none_is_refused_by_its_number(
    tmp_path: Path, transitions: Transitions, line: str
) -> None:
    train_tiny(tmp_path, transitions, epochs=1)
    path = tmp_path / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(f"{line}\n{whole}")
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl, line 1, is not one of a metrics log"):
        train_tiny(tmp_path, transitions, epochs=2)
    assert path.read_text() == f"{line}\n{whole}"


def test_a_log_that_lacks_a_term_is_refused_to_whom_wants_it(
    tmp_path: Path, transitions: Transitions
) -> None:
    train_tiny(tmp_path, transitions, epochs=1)
    path = tmp_path / "metrics.jsonl"
    lines, _ = read_metrics(path, LOSS_TERMS)
    assert lines[0]["event"] == "steps"
    del lines[0]["positive"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_metrics(path)[0] == lines
    with pytest.raises(CheckpointError, match="line 1, is not one of a metrics log"):
        read_metrics(path, LOSS_TERMS)
