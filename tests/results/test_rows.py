"""The table of runs: nothing is lost, nothing foreign is touched."""

from __future__ import annotations

import errno
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from sen_bench.errors import ResultsError, SenBenchWarning
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.rows import COLUMNS, append_rows, read_runs
from sen_bench.results.table_digests import digest_file
from tests.paths import ROOT
from tests.support.rows import make_row, make_seed, reference_model

LEFT = ["runs.csv", "runs.csv.lock", "runs.csv.sha256"]
"""What is in the folder when nobody writes."""


def test_rows_come_back_as_they_went_in(table: Path) -> None:
    given = {"external": "sha256:ffffffff"}  # None would come back as NaN
    odd = {"model": "none", "collapsed": True, "die_embedding": math.nan}
    rows = [make_seed(0, **given), make_seed(1, **odd, **given)]
    append_rows(table, rows)
    records = read_runs(table).to_dict("records")
    # As text, because NaN is unlike itself; repr tells any two floats apart.
    assert sorted(map(repr, records)) == sorted(repr(row.model_dump()) for row in rows)


def test_pandas_reads_the_tables_without_options(table: Path) -> None:
    digits = "0" * 63 + "1"
    odd = {"config_digest": digits, "train_dataset_digest": "12e4", "eval_dataset_digest": "1" * 64}
    missing = {"die_model": math.nan, "hh_at_1": math.nan, "ee_latent": math.nan, "train_files_digest": None}
    append_rows(table, [make_seed(0, model="none", **missing, **odd), make_seed(1, **odd)])
    pd.testing.assert_frame_equal(pd.read_csv(table), read_runs(table))
    assert set(pd.read_csv(table)["train_dataset_digest"]) == {"sha256:12e4"}


def test_columns_and_rows_have_one_order_whatever_came_first(table: Path) -> None:
    rows = [make_seed(s, horizon=h, model=m) for s in (1, 0, 10) for h in (10, 1) for m in ("sen", "full")]
    append_rows(table, rows)
    other = table.with_name("other.csv")
    for row in reversed(rows):
        append_rows(other, [row])
    assert table.read_bytes() == other.read_bytes()
    assert tuple(pd.read_csv(table).columns) == COLUMNS
    assert read_runs(table)["seed"].tolist()[:6] == [0, 0, 1, 1, 10, 10]


def test_same_result_is_replaced_and_any_other_kept(table: Path) -> None:
    append_rows(table, [make_row(mrr=0.1), make_row(mrr=0.2, horizon=1)])
    append_rows(table, [make_row(mrr=0.3)])
    assert read_runs(table)["mrr"].tolist() == [0.2, 0.3]
    for name in ("train_dataset_digest", "eval_dataset_digest", "config_digest"):
        append_rows(table, [make_row(mrr=0.4, **{name: "sha256:dddd"})])
    append_rows(table, [make_row(mrr=0.5, run_id="another")])
    with pytest.warns(SenBenchWarning, match="another has no row for horizon 1"):
        runs = read_runs(table)
    assert sorted(runs["mrr"]) == [0.2, 0.3, 0.4, 0.4, 0.4, 0.5]


_APPEND_MANY = """
import sys
from pathlib import Path
from sen_bench.results.rows import append_rows
from tests.support.rows import make_seed
for seed in range(8):
    append_rows(Path(sys.argv[1]), [make_seed(seed, run_id=f"run-{sys.argv[2]}-{seed}")])
"""


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_processes_that_append_at_once_lose_nothing(table: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: _python(_APPEND_MANY, str(table), str(n)), range(4)))
    assert [result.stderr for result in results] == [""] * 4
    assert set(read_runs(table)["run_id"]) == {f"run-{n}-{seed}" for n in range(4) for seed in range(8)}
    assert sorted(path.name for path in table.parent.iterdir()) == LEFT


_DIE = """
import os, signal, sys
from pathlib import Path
from sen_bench.results.rows import append_rows
from tests.support.rows import make_seed
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
append_rows(Path(sys.argv[1]), [make_seed(1)])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_process_killed_at_the_last_moment_leaves_the_old_table_and_no_lock(table: Path) -> None:
    append_rows(table, [make_seed(0)])
    before = table.read_bytes()
    assert _python(_DIE, str(table)).returncode == -9
    assert table.read_bytes() == before
    append_rows(table, [make_seed(2)])
    assert read_runs(table)["seed"].tolist() == [0, 2]


def test_full_disk_leaves_the_old_table_and_no_part(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_rows(table, [make_seed(0)])
    before = table.read_bytes()

    def full(path: Path, _: bytes) -> None:
        path.write_text("run_id,ta")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResultsError, match=r"cannot write .*runs\.csv: No space left on device"):
        append_rows(table, [make_seed(1)])
    assert table.read_bytes() == before
    assert sorted(path.name for path in table.parent.iterdir()) == LEFT


def test_a_result_that_stands_in_the_table_twice_is_refused(table: Path) -> None:
    """As after a merge of two branches that keeps both sides; it would count as two runs."""
    append_rows(table, [make_seed(0), make_seed(1)])
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([*lines, lines[1]]))
    digest_file(table).unlink()
    with pytest.raises(
        ResultsError, match=r"runs.csv: line 4 has the result of line 2 again; remove one of them"
    ):
        read_runs(table)


def test_lock_held_for_long_is_reported(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sen_bench.results.csv_tables.LOCK_SECONDS", 0.05)
    append_rows(table, [make_seed(0)])
    holder = (
        "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, f"{table}.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(ResultsError, match="has been locked by another process"):
            append_rows(table, [make_seed(1)])
        process.communicate(b"")
    append_rows(table, [make_seed(1)])
    assert len(read_runs(table)) == 2


def _good_text(table: Path) -> str:
    append_rows(table, [make_seed(0), make_seed(1)])
    return table.read_text()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _: "", "column 'run_id' is missing"),
        (lambda _: "a,b\n1,2\n", "column 'a' is unknown"),
        (lambda text: text.replace("seed,", "sead,", 1), "column 'sead' is unknown"),
        (lambda text: text.replace("run_id,task", "task,run_id", 1), "columns are in another order"),
        (lambda text: text[:-40], "line 3"),
        (lambda text: text + "3d-blocks\n", f"line 4 does not have {len(COLUMNS)} fields"),
        (lambda text: text[:-1] + ",1\n", f"line 3 does not have {len(COLUMNS)} fields"),
        (lambda text: text.replace("0.75", "0.7x5", 1), "line 2, column 'hits_at_5': "),
        (lambda text: text.replace("0.75", "75", 1), "line 2, column 'hits_at_5': .*less than or equal to 1"),
        (lambda text: text.replace("0.75", "", 1), "line 2, column 'hits_at_5': "),
        (lambda text: text.replace("0.04", "inf", 1), "line 2, column 'die_model': must be a number"),
        (lambda text: text.replace("0.75", '"0.75', 1), "is not a CSV"),
        (lambda _: "\x00\x80\xff", "column .* is unknown"),
    ],
)
def test_table_that_is_not_ours_is_refused_in_one_line_and_left_alone(
    table: Path, spoil: Any, message: str
) -> None:
    text = spoil(_good_text(table))
    table.write_text(text, encoding="utf-8")
    for use in (
        lambda: read_runs(table),
        lambda: append_rows(table, [make_seed(2)]),
        lambda: ResultsFolder(table.parent).write_leaderboard(reference_model),
    ):
        with pytest.raises(ResultsError, match=message) as caught:
            use()
        assert str(caught.value).count("\n") == 0
        assert str(table) in str(caught.value)
    assert table.read_text(encoding="utf-8") == text
    assert not table.with_name("leaderboard.csv").exists()


def test_table_in_another_encoding_is_refused(table: Path) -> None:
    table.parent.mkdir()
    table.write_bytes("täsk\n".encode("latin-1"))
    with pytest.raises(ResultsError, match="is not a CSV"):
        read_runs(table)


def test_missing_table_says_what_would_make_one(table: Path) -> None:
    with pytest.raises(ResultsError, match=r"no results at .*runs\.csv; `sen-bench run TASK` writes them"):
        read_runs(table)


def test_folder_in_the_place_of_the_table_is_refused(table: Path) -> None:
    table.mkdir(parents=True)
    with pytest.raises(ResultsError, match="cannot read"):
        read_runs(table)
    with pytest.raises(ResultsError, match="cannot read"):
        append_rows(table, [make_seed(0)])


@pytest.mark.parametrize("text", ["", " sen", "None", "NA", "nan", "1.0", "1e5", "inf", "True", "a\nb"])
def test_text_that_a_csv_would_not_return_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        make_row(model=text)


@pytest.mark.parametrize("column", ["hits_at_1", "mrr", "latent_spread", "train_seconds"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1])
def test_scores_that_are_no_scores_are_refused(column: str, value: float) -> None:
    with pytest.raises(ValidationError):
        make_row(**{column: value})
