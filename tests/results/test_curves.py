"""Learning curves on record are the logs they come from, thinned without loss of their means."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sen_bench.errors import ResultsError
from sen_bench.results.curves import CURVE_COLUMNS, POINTS, curve_of, read_curves, record_curve
from sen_bench.training.loss import LOSS_TERMS
from tests.support.rows import make_seed

RUN = make_seed(0)


def _log(lines: int, *, attempt: int = 0, every: int = 10, epoch: int = 40) -> list[dict[str, Any]]:
    """A log whose loss is the number of its line, with an epoch's last line after fewer steps."""
    log: list[dict[str, Any]] = []
    step = 0
    for number in range(1, lines + 1):
        last = number % epoch == 0
        step += every // 2 if last else every
        where = {"attempt": attempt, "epoch": (number - 1) // epoch + 1, "step": step}
        terms = {"loss": float(number), "positive": number / 4, "negative": 3 * number / 4, "separation": 0.5}
        log.append({"event": "steps", **where, "samples": 128 * step, **terms})
        if last:
            log.append({"event": "epoch", **where, "mean_loss": 1.0, "seconds": 2.0, "collapsed": False})
    return log


def test_short_log_is_kept_line_by_line() -> None:
    rows = curve_of(RUN, _log(50))
    assert [row.loss for row in rows] == list(range(1, 51))
    assert (rows[-1].epoch, rows[-1].step, rows[-1].transitions) == (2, 495, 128 * 495)
    assert {(row.run_id, row.train_dataset_digest, row.config_digest) for row in rows} == {
        ("sen-0", "sha256:aaaaaaaa", "sha256:cccccccc")
    }


@pytest.mark.parametrize("lines", [POINTS, POINTS + 1, 399, 2500])
def test_long_log_is_thinned_to_its_mean_by_steps(lines: int) -> None:
    log = [line for line in _log(lines) if line["event"] == "steps"]
    rows = curve_of(RUN, log)
    assert POINTS / 2 <= len(rows) <= POINTS
    assert rows[-1].step == log[-1]["step"]
    for name in ("loss", "positive", "negative"):
        before = [0, *(line["step"] for line in log)]
        whole = sum(line[name] * (line["step"] - start) for line, start in zip(log, before, strict=False))
        thinned, start = 0.0, 0
        for row in rows:
            thinned, start = thinned + getattr(row, name) * (row.step - start), row.step
        assert thinned == pytest.approx(whole, rel=1e-5)


def test_no_stretch_is_shorter_than_the_others_because_the_log_ends() -> None:
    steps = [row.step for row in curve_of(RUN, _log(805, epoch=1000))]
    assert len(steps) == 89
    assert {after - before for before, after in itertools.pairwise(steps[:-1])} == {90}
    assert steps[-1] - steps[-2] == 90 + 40


def test_no_stretch_reaches_over_a_restart() -> None:
    rows = curve_of(RUN, [*_log(3, attempt=0), *_log(150, attempt=1)])
    assert len(rows) <= POINTS
    assert [row.attempt for row in rows] == sorted(row.attempt for row in rows)
    # Lines 1, 2 and 3 of the first attempt, by twos: the third, left over, joins the first two.
    assert [(row.step, row.loss) for row in rows if row.attempt == 0] == [(30, 2.0)]
    assert next(row for row in rows if row.attempt == 1).loss == 1.5


def test_log_without_counts_of_samples_has_none_on_record(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    old = [{name: value for name, value in line.items() if name != "samples"} for line in _log(4)]
    record_curve(path, RUN, old)
    assert read_curves(path)["transitions"].isna().all()
    record_curve(path, make_seed(1), _log(4))
    again = read_curves(path)
    assert again["transitions"].dropna().tolist() == [1280, 2560, 3840, 5120]
    pd.testing.assert_frame_equal(pd.read_csv(path), again)


def test_run_recorded_again_replaces_its_curve_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "results" / "curves.csv"
    others = [
        make_seed(1),
        make_seed(0, config_digest="sha256:dddd"),
        make_seed(0, train_dataset_digest="ff"),
    ]
    for run in (RUN, *others):
        record_curve(path, run, _log(20))
    before = path.read_bytes()
    record_curve(path, RUN, _log(7))
    assert read_curves(path).groupby(["run_id", "train_dataset_digest", "config_digest"]).size().tolist() == [
        7,
        20,
        20,
        20,
    ]
    record_curve(path, RUN, _log(20))
    assert path.read_bytes() == before
    record_curve(path, RUN, [])
    assert len(read_curves(path)) == 60


def test_curves_have_every_term_of_the_loss() -> None:
    names = [name for name in CURVE_COLUMNS if name in LOSS_TERMS]
    assert names == list(LOSS_TERMS)


def test_pandas_reads_curves_without_options(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    record_curve(path, RUN, _log(300))
    frame = pd.read_csv(path)
    assert tuple(frame.columns) == CURVE_COLUMNS
    pd.testing.assert_frame_equal(frame, read_curves(path))
    kinds = {name: frame[name].dtype.kind for name in ("attempt", "epoch", "step", "transitions", "loss")}
    assert kinds == {"attempt": "i", "epoch": "i", "step": "i", "transitions": "i", "loss": "f"}


def test_table_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    with pytest.raises(ResultsError, match="no learning curves at"):
        read_curves(path)
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ResultsError, match="not a table of learning curves of this version: column 'a'"):
        record_curve(path, RUN, _log(3))
    assert path.read_text(encoding="utf-8") == "a,b\n1,2\n"
    path.unlink()
    log = _log(3)
    log[1]["loss"] = math.inf
    with pytest.raises(ValueError, match="loss"):
        record_curve(path, RUN, log)
    assert not path.exists()
