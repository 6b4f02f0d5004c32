"""A folder of result tables has the leaderboard of its runs, whatever happened in between."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from sen_bench.errors import ResultsError
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.leaderboard import LEADERBOARD_COLUMNS
from sen_bench.results.rows import append_rows, read_runs
from tests.support.rows import make_rivals, make_seed, reference_model


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path / "results")


def test_pandas_reads_the_leaderboard_without_options(folder: ResultsFolder) -> None:
    append_rows(folder.runs_csv, [make_seed(0, model="none", hh_at_1=float("nan")), *make_rivals()])
    written = folder.write_leaderboard(reference_model)
    pd.testing.assert_frame_equal(written, pd.read_csv(folder.leaderboard_csv))
    assert written["hits_at_1_iqm_low"].dtype == "float64"
    assert set(written["hits_at_1_vs_sen"].dropna()) == {"overlap", "worse"}


def test_the_leaderboard_of_a_single_run_is_read_back_too(folder: ResultsFolder) -> None:
    append_rows(folder.runs_csv, [make_seed(0)])
    written = folder.write_leaderboard(reference_model)
    pd.testing.assert_frame_equal(written, pd.read_csv(folder.leaderboard_csv))


def test_leaderboard_is_rewritten_whole_and_in_one_order(folder: ResultsFolder) -> None:
    rows = [make_seed(0, horizon=h, model=m) for h in (10, 1, 5) for m in ("sen", "none", "full")]
    append_rows(folder.runs_csv, rows[:2])
    folder.write_leaderboard(reference_model)
    append_rows(folder.runs_csv, rows)
    folder.write_leaderboard(reference_model)
    frame = pd.read_csv(folder.leaderboard_csv)
    assert tuple(frame.columns) == LEADERBOARD_COLUMNS
    assert list(zip(frame["horizon"], frame["model"], strict=True)) == [
        (h, m) for h in (1, 5, 10) for m in ("full", "none", "sen")
    ]


def test_no_results_are_a_leaderboard_too(folder: ResultsFolder) -> None:
    append_rows(folder.runs_csv, [])
    assert read_runs(folder.runs_csv).empty
    leaderboard = folder.write_leaderboard(reference_model)
    assert tuple(leaderboard.columns) == LEADERBOARD_COLUMNS
    assert leaderboard.empty


def _fresh(folder: ResultsFolder) -> bytes:
    """What the leaderboard of the runs holds, of a folder of its own."""
    other = ResultsFolder(folder.path.with_name("fresh"))
    other.path.mkdir(exist_ok=True)
    shutil.copy(folder.runs_csv, other.runs_csv)
    other.write_leaderboard(reference_model)
    return other.leaderboard_csv.read_bytes()


@pytest.mark.parametrize("newer", [True, False])
def test_a_leaderboard_of_other_runs_is_renewed_whatever_the_clock_says(
    folder: ResultsFolder, *, newer: bool
) -> None:
    append_rows(folder.runs_csv, [make_seed(0)])
    folder.write_leaderboard(reference_model)
    append_rows(folder.runs_csv, [make_seed(1)])
    moment = folder.runs_csv.stat().st_mtime_ns + (1 if newer else -1) * 10**12
    os.utime(folder.leaderboard_csv, ns=(moment, moment))
    table = folder.refresh_leaderboard(reference_model)
    assert table["runs"].tolist() == [2]
    assert folder.leaderboard_csv.read_bytes() == _fresh(folder)


def test_a_missing_leaderboard_is_made(folder: ResultsFolder) -> None:
    append_rows(folder.runs_csv, [make_seed(0)])
    folder.refresh_leaderboard(reference_model)
    assert folder.leaderboard_csv.read_bytes() == _fresh(folder)


def test_a_leaderboard_that_is_right_is_left_alone(folder: ResultsFolder) -> None:
    append_rows(folder.runs_csv, make_rivals())
    written = folder.write_leaderboard(reference_model)
    folder.leaderboard_csv.with_name("leaderboard.csv.lock").unlink()
    os.utime(folder.leaderboard_csv, ns=(0, 0))  # long before the runs
    pd.testing.assert_frame_equal(folder.refresh_leaderboard(reference_model), written)
    assert folder.leaderboard_csv.stat().st_mtime_ns == 0
    assert not folder.leaderboard_csv.with_name("leaderboard.csv.lock").exists()


def test_a_folder_in_the_place_of_the_leaderboard_is_refused(folder: ResultsFolder) -> None:
    append_rows(folder.runs_csv, [make_seed(0)])
    folder.leaderboard_csv.mkdir()
    with pytest.raises(ResultsError, match=r"cannot read .*leaderboard\.csv"):
        folder.refresh_leaderboard(reference_model)
