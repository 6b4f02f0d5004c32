"""Result tables that were made apart become the tables that one machine would have written."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from sen_bench.cli.main import main
from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import locked
from sen_bench.results.curves import record_curve
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.merge import Merged, merge_results
from sen_bench.results.rows import RunRow, append_rows, read_runs
from sen_bench.results.table_digests import digest_file
from tests.support.rows import make_seed, reference_model

TABLES = ("runs.csv", "curves.csv", "leaderboard.csv")


def _record(results: Path, *rows: RunRow) -> Path:
    """What `Run.record` does."""
    folder = ResultsFolder(results)
    for row in rows:
        terms = {"loss": row.mrr, "positive": 0.1, "negative": 0.2, "separation": 0.5}
        line = {"event": "steps", "attempt": 0, "epoch": 1, "step": 10, "samples": 1280, **terms}
        record_curve(folder.curves_csv, row, [line])
        append_rows(folder.runs_csv, [row])
    folder.write_leaderboard(reference_model)
    return results


def _contents(results: Path) -> dict[str, bytes]:
    return {name: (results / name).read_bytes() for name in TABLES if (results / name).exists()}


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["merge", *arguments])


ROWS = [
    make_seed(seed, model=model, horizon=horizon, mrr=0.1 * (seed + 1), die_model=math.nan)
    for seed in range(3)
    for model in ("sen", "none")
    for horizon in (1, 10)
]


@pytest.mark.parametrize("into_nothing", [True, False])
def test_the_tables_are_those_of_one_machine(tmp_path: Path, *, into_nothing: bool) -> None:
    whole = _record(tmp_path / "whole", *ROWS)
    parts = [_record(tmp_path / str(seed), *(row for row in ROWS if row.seed == seed)) for seed in range(3)]
    results = tmp_path / "results" if into_nothing else parts.pop()
    merged = merge_results(parts, results, reference_model)
    assert _contents(results) == _contents(whole)
    seeds = (0, 1, 2) if into_nothing else (0, 1)
    assert sorted(merged.added) == sorted(f"{model}-{seed}" for seed in seeds for model in ("sen", "none"))
    assert merged.replaced == merged.same == ()

    # Again, and what overlaps: nothing is left to do, undefined scores included.
    again = merge_results([*parts, whole], results, reference_model)
    assert (again.added, again.replaced, len(again.same)) == ((), (), 6)
    assert _contents(results) == _contents(whole)


def test_further_horizons_of_a_run_are_added_to_it(tmp_path: Path) -> None:
    here = _record(tmp_path / "here", make_seed(0, horizon=1))
    there = _record(tmp_path / "there", make_seed(0, horizon=1), make_seed(0, horizon=10))
    assert merge_results([there], here, reference_model) == Merged(added=("sen-0",), replaced=(), same=())
    assert _contents(here) == _contents(there)


def test_other_data_or_settings_are_another_result(tmp_path: Path) -> None:
    here = _record(tmp_path / "here", make_seed(0))
    there = _record(tmp_path / "there", make_seed(0, config_digest="sha256:ffff", mrr=0.9))
    assert merge_results([there], here, reference_model).added == ("sen-0",)
    assert len(read_runs(here / "runs.csv")) == 2


@pytest.mark.parametrize("change", [{"mrr": 0.9}, {"train_seconds": 91.0}, {"hh_at_1": 0.5}])
def test_a_result_that_differs_is_replaced_only_where_told_to(
    tmp_path: Path, change: dict[str, float]
) -> None:
    here = _record(tmp_path / "here", make_seed(0), make_seed(1))
    there = _record(tmp_path / "there", make_seed(0, **change), make_seed(2))
    before = _contents(here)
    refused = _invoke(str(there), "--results", str(here))
    assert refused.exit_code == 2
    why = f"the rows in {there} differ from those already there, which have the same data and settings"
    assert refused.stderr == f"error: sen-0: {why}; --replace takes them\n"
    assert _contents(here) == before, "nothing was written, of the other run either"

    told = _invoke(str(there), "--results", str(here), "--replace")
    assert told.exit_code == 0, told.output
    assert told.stderr.splitlines() == ["added sen-2", "replaced sen-0"]
    assert told.stdout == f"{here}: runs added: 1, replaced: 1, there already: 0\n"
    expected = _record(tmp_path / "expected", make_seed(0, **change), make_seed(1), make_seed(2))
    assert _contents(here) == _contents(expected)


def test_sources_that_contradict_each_other_are_refused_too(tmp_path: Path) -> None:
    one = _record(tmp_path / "one", make_seed(0, mrr=0.5))
    two = _record(tmp_path / "two", make_seed(0, mrr=0.6))
    with pytest.raises(ResultsError, match=r"sen-0: the rows in .*two differ"):
        merge_results([one, two], tmp_path / "results", reference_model)
    assert not (tmp_path / "results").exists()
    # The one that is named last counts, also if it is what was there.
    for _ in range(2):
        merge_results([one, two], tmp_path / "results", reference_model, replace=True)
        assert _contents(tmp_path / "results") == _contents(two)


def test_what_is_recorded_at_the_same_time_is_not_replaced_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = _record(tmp_path / "here", make_seed(1))
    there = _record(tmp_path / "there", make_seed(0, mrr=0.9))
    table = here / "runs.csv"
    waiting = Event()

    class Lock(FileLock):
        def acquire(self, *args: Any, **options: Any) -> Any:
            if current_thread() is not main_thread():
                waiting.set()
            return super().acquire(*args, **options)

    monkeypatch.setattr("sen_bench.results.csv_tables.FileLock", Lock)
    with ThreadPoolExecutor(1) as pool:
        with locked(table):
            merging = pool.submit(merge_results, [there], here, reference_model)
            assert waiting.wait(60)
            append_rows(table, [make_seed(0, mrr=0.5)])
        with pytest.raises(ResultsError, match=r"sen-0: the rows in .*there differ"):
            merging.result()
    assert read_runs(table)["mrr"].tolist() == [0.5, make_seed(1).mrr]


def test_runs_without_curves_are_merged_too(tmp_path: Path) -> None:
    there = _record(tmp_path / "there", make_seed(0))
    (there / "curves.csv").unlink()
    assert merge_results([there], tmp_path / "results", reference_model).added == ("sen-0",)
    assert set(_contents(tmp_path / "results")) == {"runs.csv", "leaderboard.csv"}


def test_no_curve_of_another_training_stays_with_a_replaced_result(tmp_path: Path) -> None:
    here = _record(tmp_path / "here", make_seed(0), make_seed(1))
    there = _record(tmp_path / "there", make_seed(0, mrr=0.9))
    (there / "curves.csv").unlink()
    merge_results([there], here, reference_model, replace=True)
    assert set(pd.read_csv(here / "curves.csv")["run_id"]) == {"sen-1"}


def test_the_command_given_again_after_a_kill_renews_the_leaderboard(tmp_path: Path) -> None:
    """As after a kill between the table of runs and the leaderboard."""
    here = _record(tmp_path / "here", make_seed(0))
    there = _record(tmp_path / "there", make_seed(1))
    stale = here / "leaderboard.csv"
    whole = _record(tmp_path / "whole", make_seed(0), make_seed(1))
    merge_results([there], here, reference_model)
    stale.write_text("of an earlier table\n")
    digest_file(stale).unlink()
    assert merge_results([there], here, reference_model).same == ("sen-1",)
    assert _contents(here) == _contents(whole)


def test_what_is_no_folder_of_results_is_refused_in_one_line(tmp_path: Path) -> None:
    here = _record(tmp_path / "here", make_seed(0))
    good = _record(tmp_path / "good", make_seed(1))
    broken = _record(tmp_path / "broken", make_seed(2))
    (broken / "curves.csv").write_text("run_id\n")
    before = _contents(here)
    for source, why in (
        (here, "cannot be merged into itself"),
        (tmp_path / "nowhere", "no results at"),
        (broken, "is not a table of learning curves of this version"),
    ):
        result = _invoke(str(good), str(source), "--results", str(here))
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert why in result.stderr
        assert _contents(here) == before
