"""The tables of a study of the orbit: statistics of each class, and what is read back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sen_bench.results.csv_tables import frame_of
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.orbit_generalisation import (
    OrbitRow,
    OrbitRunRow,
    append_orbit_runs,
    classes_of_run,
    orbit_rows,
    read_orbit_runs,
    scores_digest,
)
from sen_bench.results.rows import read_run_rows
from sen_bench.results.statistics import summarise
from sen_bench.results.study_tables import write_study
from tests.paths import ROOT
from tests.support.rows import make_row

_DIGESTS = {
    "train_dataset_digest": "a" * 64,
    "eval_dataset_digest": "b" * 64,
    "config_digest": "c" * 64,
}


def _run(model: str, seed: int, low: float, high: float, hits: float, **changes: Any) -> OrbitRunRow:
    named = "beyond the orbit" if math.isnan(high) else f"{high:g} degrees" if high else "in the slice"
    given: dict[str, Any] = {
        "run_id": f"toy/train-slice/{model}/tiny/seed-{seed}",
        "task": "toy",
        "train_split": "train-slice",
        "model": model,
        "preset": "tiny",
        "seed": seed,
        "orbit_class": named,
        "distance_low": low,
        "distance_high": high,
        "transitions": 10,
        "hits_at_1": hits,
        "mrr": hits,
        "hh_at_1": math.nan,
        "relative_error": 1 - hits,
        "no_change_hits_at_1": hits / 2,
        "no_change_mrr": hits / 4,
        "no_change_hh_at_1": math.nan,
        "collapsed": seed == 2,
        **_DIGESTS,
        "version": "0.1.0",
        "torch_version": "2.0.0",
    }
    return OrbitRunRow(**{**given, **changes})


RUNS = [
    _run(model, seed, low, high, hits + 0.1 * seed)
    for model in ("sen", "none")
    for seed in (0, 1, 2)
    for low, high, hits in ((math.nan, math.nan, 0.1), (90, 90, 0.3), (0, 0, 0.5))
]


def test_classes_have_their_statistics_the_nearest_first() -> None:
    rows = orbit_rows(RUNS[::-1], first="sen")
    assert rows == orbit_rows(RUNS, first="sen"), "in whatever order they come"
    assert [(row.model, row.orbit_class) for row in rows if row.metric == "mrr"] == [
        (model, name)
        for model in ("sen", "none")
        for name in ("in the slice", "90 degrees", "beyond the orbit")
    ]
    (row,) = [r for r in rows if (r.model, r.orbit_class, r.metric) == ("sen", "90 degrees", "hits_at_1")]
    summary = summarise([0.3, 0.4, 0.5])
    assert (row.runs, row.collapsed, row.transitions) == (3, 1, 10)
    assert (row.mean, row.std, row.iqm) == (summary.mean, summary.std, summary.iqm)
    assert (row.iqm_low, row.iqm_high) == (summary.interval.low, summary.interval.high)
    assert row.no_change == pytest.approx(0.2)


def test_the_error_of_no_change_is_one_and_undefined_scores_have_no_row() -> None:
    rows = orbit_rows(RUNS)
    assert {row.no_change for row in rows if row.metric == "relative_error"} == {1.0}
    assert {row.metric for row in rows} == {"hits_at_1", "mrr", "relative_error"}
    still = _run("sen", 0, 0, 0, 0.5, relative_error=math.nan, hh_at_1=0.5, no_change_hh_at_1=0.25)
    assert {row.metric for row in orbit_rows([still])} == {"hits_at_1", "mrr", "hh_at_1"}


def test_what_was_scored_again_takes_the_place_of_what_was_scored(tmp_path: Path) -> None:
    path = tmp_path / "orbit.csv"
    assert read_orbit_runs(path) == []
    append_orbit_runs(path, RUNS)
    append_orbit_runs(path, [_run("sen", 1, 90, 90, 1.0)])
    found = read_orbit_runs(path)
    (again,) = [r for r in found if (r.model, r.seed) == ("sen", 1)]
    assert (again.orbit_class, again.hits_at_1) == ("90 degrees", 1.0)
    assert len(found) == len(RUNS) - 2


def test_scores_of_other_weights_are_not_those_of_a_run() -> None:
    recorded = [
        make_row(run_id=RUNS[0].run_id, horizon=horizon, hits_at_1=0.3, **_DIGESTS).model_dump()
        for horizon in (1, 10)
    ]
    own = scores_digest(recorded)
    assert scores_digest(recorded[::-1]) == own
    assert scores_digest([recorded[0] | {"train_seconds": 91.0, "mrr_optimistic": 0.4}, recorded[1]]) != own
    assert scores_digest([recorded[0] | {"train_seconds": 91.0}, recorded[1]]) == own
    # The classes of each of the first three rows score 0.1, 0.3 and 0.5: together what the run does.
    unmarked = RUNS[:3]
    assert classes_of_run(RUNS, recorded) == unmarked
    assert classes_of_run(RUNS, [row | {"hits_at_1": 0.4} for row in recorded]) == []
    assert classes_of_run(RUNS, recorded[1:]) == unmarked, "nothing is known one step ahead"
    marked = [row.model_copy(update={"scores_digest": own}) for row in unmarked]
    others = [row.model_copy(update={"scores_digest": "sha256:" + 64 * "0"}) for row in unmarked]
    assert classes_of_run([*unmarked, *others, *marked], recorded) == marked
    assert classes_of_run(others, recorded) == classes_of_run(marked, []) == []


def test_the_table_of_record_is_made_of_the_rows_of_record() -> None:
    folder = ResultsFolder(ResultsFolder(ROOT / "results").study_folder("orbit"))
    runs = read_run_rows(folder.runs_csv)
    classes = read_orbit_runs(folder.orbit_csv)
    own = {
        name: classes_of_run(classes, [row.model_dump() for row in runs if row.run_id == name])
        for name in {row.run_id for row in runs}
    }
    assert all(own.values())
    for path in ResultsFolder(ROOT / "results").study_tables("orbit"):
        table = pd.read_csv(path)
        place = (table["task"][0], table["preset"][0])
        rows = [row for found in own.values() for row in found if (row.task, row.preset) == place]
        made = frame_of(orbit_rows(rows, first=table["model"][0]), OrbitRow)
        pd.testing.assert_frame_equal(made[list(table.columns)], table, check_dtype=False)


def test_the_table_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "orbit" / "toy.csv"
    rows = orbit_rows(RUNS)
    write_study(path, rows, OrbitRow)
    table = pd.read_csv(path)
    assert table.columns.tolist() == list(OrbitRow.model_fields)
    beyond = table[table["orbit_class"] == "beyond the orbit"]
    assert beyond[["distance_low", "distance_high"]].isna().all(axis=None)
    assert table["mean"].tolist() == [row.mean for row in rows]
    assert path.with_name("toy.csv.sha256").exists()


def test_the_guide_has_the_columns() -> None:
    rows = "".join(f"| `{name}` | {field.description} |\n" for name, field in OrbitRow.model_fields.items())
    table = (ROOT / "docs/studies.md").read_text().partition("<!-- columns of orbit studies -->")[2]
    assert table.startswith(f"\n| column | holds |\n|---|---|\n{rows}<!-- end")
