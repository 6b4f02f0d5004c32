"""The table of a study of data: statistics of each part, and what data a rival needs for the same score."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import frame_of
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.rows import append_rows
from sen_bench.results.sample_efficiency import (
    EfficiencyRow,
    StudiedPart,
    data_needed,
    efficiency_rows,
)
from sen_bench.results.statistics import summarise
from sen_bench.results.study_tables import read_study, write_study
from tests.paths import ROOT
from tests.support.rows import make_row


@pytest.mark.parametrize(
    ("target", "needed", "bound"),
    [
        (0.1, 100.0, "at most"),
        (0.2, 100.0, None),
        (0.4, 1000.0, None),
        (0.3, math.sqrt(100 * 1000), None),
        (0.8, 1000 * 10**0.5, None),
        (1.2, 10_000.0, None),
        (1.3, 10_000.0, "at least"),
    ],
)
def test_data_is_counted_between_parts_on_a_logarithmic_scale(
    target: float, needed: float, bound: str | None
) -> None:
    count, found = data_needed([100, 1000, 10_000], [0.2, 0.4, 1.2], target)
    assert count == pytest.approx(needed)
    assert found == bound


def test_the_first_time_that_a_score_is_reached_counts() -> None:
    count, bound = data_needed([1, 10, 100], [0.0, 0.5, 0.2], 0.5)
    assert count == pytest.approx(10)
    assert bound is None


def _part(model: str, episodes: int, scores: list[float], **changes: Any) -> StudiedPart:
    rows = [
        make_row(model=model, seed=seed, horizon=10, hits_at_1=score, relative_error=1 - score, **changes)
        for seed, score in enumerate(scores)
    ]
    runs = [row.model_dump() for row in rows]
    return StudiedPart(episodes / 1000, episodes, 10 * episodes, 4, 300, "tiny", runs)


PARTS = [
    _part("none", 10, [0.1, 0.2, 0.3]),
    _part("none", 1000, [0.5, 0.6, 0.7]),
    _part("sen", 10, [0.3, 0.4, 0.5]),
    _part("sen", 1000, [0.8, 0.9, 1.0], collapsed=True),
]


def _of(rows: list[EfficiencyRow], model: str, episodes: int, metric: str) -> EfficiencyRow:
    (row,) = [r for r in rows if (r.model, r.episodes, r.metric) == (model, episodes, metric)]
    return row


def test_each_part_has_its_statistics_and_is_compared_with_the_rival() -> None:
    rows = efficiency_rows(PARTS, rival="none")
    sen = _of(rows, "sen", 10, "hits_at_1")
    summary = summarise([0.3, 0.4, 0.5])
    assert (sen.mean, sen.iqm, sen.iqm_low, sen.iqm_high) == (
        summary.mean,
        summary.iqm,
        summary.interval.low,
        summary.interval.high,
    )
    assert (sen.runs, sen.transitions, sen.steps, sen.rival, sen.times_data_bound) == (
        3,
        100,
        300,
        "none",
        None,
    )
    # Half way from 0.2 to 0.6 of the rival, on a logarithmic scale from 100 to 10,000.
    assert sen.times_data == pytest.approx(10)
    # The rival reaches 0.3 with the least data at its best, and 0.5 with all of it at its worst.
    assert (sen.times_data_low, sen.times_data_high) == pytest.approx((1, 100))
    most = _of(rows, "sen", 1000, "hits_at_1")
    assert (most.times_data, most.times_data_bound, most.collapsed) == (1.0, "at least", 3)
    none = _of(rows, "none", 10, "hits_at_1")
    assert none.rival is None
    assert math.isnan(none.times_data)


def test_lower_errors_are_better() -> None:
    error = _of(efficiency_rows(PARTS, rival="none"), "sen", 10, "relative_error")
    assert error.times_data == pytest.approx(10)
    assert error.times_data_bound is None
    assert (error.times_data_low, error.times_data_high) == pytest.approx((1, 100))


def test_the_guide_has_the_columns() -> None:
    rows = "".join(
        f"| `{name}` | {field.description} |\n" for name, field in EfficiencyRow.model_fields.items()
    )
    table = (ROOT / "docs/studies.md").read_text().partition("<!-- columns of studies -->")[2]
    assert table.startswith(f"\n| column | holds |\n|---|---|\n{rows}<!-- end")


def test_without_a_rival_nothing_is_compared() -> None:
    for rows in (efficiency_rows(PARTS, rival=None), efficiency_rows(PARTS[2:], rival="none")):
        assert rows
        assert all(row.rival is None and math.isnan(row.times_data) for row in rows)


def test_of_one_run_there_is_no_interval() -> None:
    parts = [_part("none", 10, [0.1]), _part("none", 1000, [0.5]), _part("sen", 10, [0.3])]
    row = _of(efficiency_rows(parts, rival="none"), "sen", 10, "hits_at_1")
    assert row.times_data == pytest.approx(10)
    assert all(map(math.isnan, (row.std, row.iqm_low, row.times_data_low, row.times_data_high)))


def test_the_table_reads_as_it_was_written(tmp_path: Path) -> None:
    rows = efficiency_rows(PARTS, rival="none")
    path = tmp_path / "studies" / "data" / "toy.csv"
    write_study(path, rows, EfficiencyRow)
    table = pd.read_csv(path)
    assert table.columns.tolist() == list(EfficiencyRow.model_fields)
    assert table["times_data"].dropna().tolist() == [
        r.times_data for r in rows if not math.isnan(r.times_data)
    ]
    assert set(table["times_data_bound"].dropna()) <= {"at least", "at most"}
    assert path.with_name("toy.csv.sha256").exists()
    pd.testing.assert_frame_equal(frame_of(read_study(path, EfficiencyRow), EfficiencyRow), table)


def test_studies_are_found_beside_the_tables_of_their_runs(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert folder.study_tables("data") == []
    path = folder.study_folder("data") / "toy.csv"
    write_study(path, efficiency_rows(PARTS, rival="none"), EfficiencyRow)
    append_rows(ResultsFolder(path.parent).runs_csv, [make_row()])
    assert folder.study_tables("data") == [path]
    assert folder.study_tables("orbit") == []
    with pytest.raises(ResultsError, match=r"runs\.csv is not a table of such a study of this version"):
        read_study(ResultsFolder(path.parent).runs_csv, EfficiencyRow)
