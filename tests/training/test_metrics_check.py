"""The check values of the metrics log: what was changed is refused, and what cannot be proven is said."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from sen_bench.data import Transitions
from sen_bench.errors import CheckpointError
from sen_bench.training.checkpoint import Checkpoint
from sen_bench.training.log import MetricsLog, read_metrics
from sen_bench.training.loss import LOSS_TERMS
from tests.support.trainings import CPU, train_tiny

CHANGED = r"metrics\.jsonl, line \d+, (is not one of|or one before it was changed|is of step)"


@pytest.fixture
def log(tmp_path: Path, transitions: Transitions) -> Path:
    """The log of a training of two epochs."""
    train_tiny(tmp_path, transitions, epochs=2)
    return tmp_path / "metrics.jsonl"


def reached(log: Path) -> Checkpoint:
    return Checkpoint.load(log.with_name("checkpoint.pt"), CPU)


def as_of_an_earlier_version(log: Path) -> None:
    log.write_bytes(re.sub(rb', "check": "[0-9a-f]{16}"', b"", log.read_bytes()))


def test_every_flipped_bit_is_refused(log: Path) -> None:
    whole, until = log.read_bytes(), reached(log)
    lines, remark = read_metrics(log, LOSS_TERMS, until=until)
    assert [line["event"] for line in lines].count("epoch") == 2
    assert remark == ""
    assert "check" not in lines[0]
    for at in range(len(whole)):
        log.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(CheckpointError, match=rf"{CHANGED}|does not reach its checkpoint"):
            read_metrics(log, LOSS_TERMS, until=until)
    sys.stdout.write(f"metrics.jsonl: {len(whole)} single flipped bits: all refused\n")


def test_a_line_left_out_or_exchanged_is_refused(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    until = reached(log)
    for number in range(len(lines)):
        log.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        with pytest.raises(CheckpointError, match=rf"{CHANGED}|does not reach its checkpoint, of epoch 2"):
            read_metrics(log, LOSS_TERMS, until=until)
    log.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(CheckpointError, match=CHANGED):
        read_metrics(log, LOSS_TERMS, until=until)


def test_a_kill_after_any_byte_leaves_a_log_that_goes_on(log: Path) -> None:
    whole = log.read_bytes()
    lines, _ = read_metrics(log)
    first = [line for line in lines if line["epoch"] == 1]
    begun = b"".join(whole.splitlines(keepends=True)[: len(first)])
    for length in range(len(begun), len(whole) + 1):
        log.write_bytes(whole[:length])
        with MetricsLog(log, keep=(0, 2)) as again:
            for line in lines[len(first) :]:
                again.add(**line)
        assert log.read_bytes() == whole


def test_a_log_of_an_earlier_version_is_read_and_what_is_not_proven_is_said(log: Path) -> None:
    until = reached(log)
    lines, _ = read_metrics(log)
    as_of_an_earlier_version(log)
    old, remark = read_metrics(log, until=until)
    assert old == lines
    assert "has no check values, as earlier versions wrote none" in remark
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    _, remark = read_metrics(log, until=until)
    assert "does not reach its checkpoint, of epoch 2: its end is lost" in remark


def test_what_is_added_to_a_log_of_an_earlier_version_proves_all_of_it(
    log: Path, transitions: Transitions
) -> None:
    as_of_an_earlier_version(log)
    old = len(log.read_bytes())
    train_tiny(log.parent, transitions, epochs=3)
    lines, remark = read_metrics(log, LOSS_TERMS, until=reached(log))
    unchecked = sum(line["epoch"] < 3 for line in lines)
    assert remark == f"{log} has no check values in its first {unchecked} lines, from an earlier version"
    whole = log.read_bytes()
    for at in range(0, old, 7):
        log.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CheckpointError, match=CHANGED):
            read_metrics(log, LOSS_TERMS)


def test_a_log_that_was_moved_away_is_said_to_be_missing(log: Path, transitions: Transitions) -> None:
    log.unlink()
    assert read_metrics(log, until=reached(log)) == (
        [], f"{log} is missing or empty: there is no learning curve"
    )  # fmt: skip
    train_tiny(log.parent, transitions, epochs=3)
    _, remark = read_metrics(log, until=reached(log))
    assert remark == f"{log} begins in epoch 3: what was measured before is lost"


def test_a_log_is_on_disk_before_the_checkpoint_that_it_reaches(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, save = MetricsLog.sync, Checkpoint.save

    def noted_sync(log: MetricsLog) -> None:
        order.append("log")
        sync(log)

    def noted_save(checkpoint: Checkpoint, path: Path) -> None:
        order.append("checkpoint")
        save(checkpoint, path)

    monkeypatch.setattr(MetricsLog, "sync", noted_sync)
    monkeypatch.setattr(Checkpoint, "save", noted_save)
    train_tiny(tmp_path, transitions, epochs=2)
    assert order == ["log", "checkpoint", "log", "checkpoint", "log"]
