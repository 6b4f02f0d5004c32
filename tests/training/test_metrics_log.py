"""A log of measurements that no training gives is refused before training goes on, in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sen_bench.errors import CheckpointError
from sen_bench.training.log import MetricsLog, read_metrics
from sen_bench.training.loss import LOSS_TERMS

_NESTED = "[" * 100_000 + "]" * 100_000


def _line(step: int, **changes: Any) -> str:
    terms = {"loss": 0.5, "positive": 0.1, "negative": 0.4, "separation": 0.2}
    line = {"event": "steps", "attempt": 0, "epoch": 1, "step": step, "samples": 64 * step, **terms}
    return json.dumps(line | changes)


def _write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    "line",
    [
        _line(20, loss=float("inf")),
        _line(20, loss=float("nan")),
        _line(20, negative=float("-inf")),
        _line(20).replace("0.5", "1e999"),
        _line(20).replace("0.5", "1" + "0" * 400),
        _line(20, loss=-0.5),
        _line(20, event=None),
        _line(20, attempt=-1),
        _line(20, samples=-5),
        _line(10),
        _line(5),
        _NESTED,
        "garbage",
    ],
    ids=lambda line: line[:70],
)
def test_lines_that_no_training_writes_are_refused(tmp_path: Path, line: str) -> None:
    path = _write(tmp_path / "metrics.jsonl", _line(10), line, _line(30))
    for use in (lambda: read_metrics(path, LOSS_TERMS), lambda: MetricsLog(path, keep=(0, 9))):
        with pytest.raises(CheckpointError, match=r"line 2, is .*; move the file away$") as caught:
            use()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ['{"event": "st', _NESTED[:5000]])
def test_a_last_line_that_a_crash_cut_off_is_left_out(tmp_path: Path, line: str) -> None:
    path = _write(tmp_path / "metrics.jsonl", _line(10))
    with path.open("a") as file:
        file.write(line)
    assert [entry["step"] for entry in read_metrics(path, LOSS_TERMS)[0]] == [10]


def test_steps_begin_again_with_another_attempt(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "metrics.jsonl", _line(10), _line(20), _line(10, attempt=1), _line(20, attempt=1)
    )
    assert len(read_metrics(path, LOSS_TERMS)[0]) == 4


def test_a_folder_that_cannot_be_written_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("sen_bench.training.log.write_atomically", refuse)
    with pytest.raises(CheckpointError, match=r"cannot write .*metrics\.jsonl: Read-only file system"):
        MetricsLog(tmp_path / "metrics.jsonl", keep=(0, 1))
