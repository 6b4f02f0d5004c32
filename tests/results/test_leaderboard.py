"""The result tables: nothing is lost, nothing foreign is touched, nothing unlike is averaged."""

from __future__ import annotations

import errno
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel, ValidationError

from sen_bench.cli.leaderboard_table import format_table
from sen_bench.errors import ResultsError
from sen_bench.results.curves import CurveRow
from sen_bench.results.leaderboard import LEADERBOARD_COLUMNS, METRICS, aggregate, write_leaderboard
from sen_bench.results.published import PublishedRow
from sen_bench.results.rows import COLUMNS, GROUP, RunRow, append_rows, read_runs
from tests.paths import ROOT
from tests.support.rows import DEFAULTS, make_row, make_seed


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "results" / "runs.csv"


def test_rows_come_back_as_they_went_in(table: Path) -> None:
    rows = [make_seed(0), make_seed(1, model="none", collapsed=True, die_embedding=math.nan)]
    append_rows(table, rows)
    records = read_runs(table).to_dict("records")
    # As text, because NaN is unlike itself; repr tells any two floats apart.
    assert sorted(map(repr, records)) == sorted(repr(row.model_dump()) for row in rows)


def test_pandas_reads_the_tables_without_options(table: Path) -> None:
    digits = "0" * 63 + "1"
    odd = {"config_digest": digits, "train_dataset_digest": "12e4", "eval_dataset_digest": "1" * 64}
    missing = {"die_model": math.nan, "hh_at_1": math.nan, "ee_latent": math.nan, "train_files_digest": None}
    append_rows(table, [make_seed(0, model="none", **missing, **odd), make_seed(1, **odd)])
    leaderboard = table.with_name("leaderboard.csv")
    pd.testing.assert_frame_equal(pd.read_csv(table), read_runs(table))
    pd.testing.assert_frame_equal(write_leaderboard(table, leaderboard), pd.read_csv(leaderboard))
    assert set(pd.read_csv(table)["train_dataset_digest"]) == {"sha256:12e4"}
    append_rows(table, _rivals())
    written = write_leaderboard(table, leaderboard)
    pd.testing.assert_frame_equal(written, pd.read_csv(leaderboard))
    assert written["hits_at_1_iqm_low"].dtype == "float64"
    assert set(written["hits_at_1_vs_sen"].dropna()) == {"overlap", "worse"}


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
    assert sorted(read_runs(table)["mrr"]) == [0.2, 0.3, 0.4, 0.4, 0.4, 0.5]


_APPEND_MANY = """
import sys
from pathlib import Path
from sen_bench.results.leaderboard import append_rows
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
    assert sorted(path.name for path in table.parent.iterdir()) == ["runs.csv", "runs.csv.lock"]


_DIE = """
import os, signal, sys
from pathlib import Path
from sen_bench.results.leaderboard import append_rows
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

    def full(_: pd.DataFrame, path: Path, **__: Any) -> None:
        path.write_text("run_id,ta")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(ResultsError, match=r"cannot write .*runs\.csv: No space left on device"):
        append_rows(table, [make_seed(1)])
    assert table.read_bytes() == before
    assert sorted(path.name for path in table.parent.iterdir()) == ["runs.csv", "runs.csv.lock"]


def test_a_result_that_stands_in_the_table_twice_is_refused(table: Path) -> None:
    """As after a merge of two branches that keeps both sides; it would count as two runs."""
    append_rows(table, [make_seed(0), make_seed(1)])
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([*lines, lines[1]]))
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
        (lambda text: text + "3d-blocks\n", f"line 4 has not {len(COLUMNS)} fields"),
        (lambda text: text[:-1] + ",1\n", f"line 3 has not {len(COLUMNS)} fields"),
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
        lambda: write_leaderboard(table, table.with_name("leaderboard.csv")),
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


def test_mean_and_standard_deviation_are_over_seeds() -> None:
    values = [0.2, 0.5, 0.8]
    rows = [
        make_seed(s, hits_at_1=v, collapsed=s == 1, restarts=s, train_seconds=s) for s, v in enumerate(values)
    ]
    (row,) = aggregate(_frame(rows)).to_dict("records")
    assert row["hits_at_1_mean"] == pytest.approx(0.5)
    assert row["hits_at_1_std"] == pytest.approx(0.3)
    assert (row["runs"], row["seeds"], row["collapsed"], row["restarts"]) == (3, 3, 1, 3)
    assert row["parameters"] == 1_986_345
    assert row["train_seconds"] == 1
    assert tuple(row) == LEADERBOARD_COLUMNS


def test_one_seed_has_no_standard_deviation() -> None:
    (row,) = aggregate(_frame([make_seed(0)])).to_dict("records")
    assert row["mrr_mean"] == pytest.approx(1 / 3)
    assert all(math.isnan(row[f"{metric}_std"]) for metric in METRICS)


def test_metric_undefined_for_a_run_is_undefined_for_the_mean() -> None:
    (row,) = aggregate(_frame([make_seed(0), make_seed(1, die_model=math.nan)])).to_dict("records")
    assert math.isnan(row["die_model_mean"])
    assert math.isnan(row["die_model_std"])
    assert row["die_embedding_mean"] == pytest.approx(0.03)


@pytest.mark.parametrize("column", GROUP)
def test_runs_that_differ_in_anything_but_the_seed_are_never_averaged(column: str) -> None:
    other: Any = 7 if isinstance(DEFAULTS[column], int) else "sha256:other"
    rows = [make_seed(0), make_seed(1), make_seed(2, mrr=1.0, **{column: other})]
    table = aggregate(_frame(rows))
    assert sorted(table["runs"]) == [1, 2]
    assert sorted(table["mrr_mean"]) == pytest.approx([1 / 3, 1.0])


def test_leaderboard_is_rewritten_whole_and_in_one_order(table: Path) -> None:
    leaderboard = table.with_name("leaderboard.csv")
    rows = [make_seed(0, horizon=h, model=m) for h in (10, 1, 5) for m in ("sen", "none", "full")]
    append_rows(table, rows[:2])
    write_leaderboard(table, leaderboard)
    append_rows(table, rows)
    write_leaderboard(table, leaderboard)
    frame = pd.read_csv(leaderboard)
    assert tuple(frame.columns) == LEADERBOARD_COLUMNS
    assert list(zip(frame["horizon"], frame["model"], strict=True)) == [
        (h, m) for h in (1, 5, 10) for m in ("full", "none", "sen")
    ]


def test_table_for_the_terminal_shows_shares_in_percent_and_collapsed_seeds() -> None:
    rows = [make_seed(s, hits_at_1=v, collapsed=s == 1) for s, v in enumerate((0.2, 0.5, 0.8))]
    rows.append(make_seed(0, model="none", hits_at_1=0.1234, die_model=math.nan))
    text = format_table(aggregate(_frame(rows)))
    heading, _, none, sen = text.splitlines()
    assert heading.split()[:2] == ["task", "trained"]
    assert "50.0 ± 30.0" in sen
    assert "3 (1 collapsed)" in sen
    assert "1,986,345" in sen
    assert sen.endswith(" 2.0")
    assert "12.3" in none
    assert "±" not in none
    assert "collapsed" not in none
    assert re.search(r" 0\.6 .* 0\.03 +- +1,986,345", none)
    assert "config" not in text
    assert not any(line != line.rstrip() for line in text.splitlines())
    assert "\x1b" not in text


def test_table_leaves_out_a_metric_that_no_row_has() -> None:
    without = {"hh_at_1": math.nan, "ee_latent": math.nan}
    rows = [make_seed(0, **without), make_seed(1, model="none", **without)]
    assert "HH@1" not in format_table(aggregate(_frame(rows)))
    heading, _, none, sen = format_table(
        aggregate(_frame([*rows[1:], make_seed(0)])),
    ).splitlines()
    assert "HH@1 %" in heading
    assert "EE(z)" in heading
    assert "25.0" in sen
    assert "25.0" not in none


def test_table_tells_rows_of_other_data_or_configuration_apart() -> None:
    rows = [make_seed(0), make_seed(1, config_digest="sha256:dddddddd")]
    text = format_table(aggregate(_frame(rows)))
    assert "aaaaaa / bbbbbb / cccccc" in text
    assert "aaaaaa / bbbbbb / dddddd" in text


def test_table_names_devices_where_they_differ() -> None:
    here, there = make_seed(0), make_seed(0, model="none", device="NVIDIA H200")
    heading, _, none, sen = format_table(aggregate(_frame([here, there]))).splitlines()
    assert heading.endswith(" on")
    assert none.endswith(" NVIDIA H200")
    assert sen.endswith(f" {here.device}")


def test_names_are_printed_as_they_are() -> None:
    assert "[red]mine[/]:smile:" in format_table(
        aggregate(_frame([make_seed(0, model="[red]mine[/]:smile:")]))
    )


def test_no_results_are_a_table_too(table: Path) -> None:
    append_rows(table, [])
    assert read_runs(table).empty
    leaderboard = write_leaderboard(table, table.with_name("leaderboard.csv"))
    assert tuple(leaderboard.columns) == LEADERBOARD_COLUMNS
    assert format_table(leaderboard) == "no results yet"


def _documented(table: str) -> str:
    """The section of the data dictionary about a table."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    return next(part for part in text.split("\n## ") if part.startswith(f"`{table}`"))


@pytest.mark.parametrize(
    ("table", "kind"), [("runs.csv", RunRow), ("curves.csv", CurveRow), ("published.csv", PublishedRow)]
)
def test_every_column_is_documented_as_it_is_defined(table: str, kind: type[BaseModel]) -> None:
    documented = re.findall(r"^\| `(\w+)` \| \w+ \| (.+) \|$", _documented(table), flags=re.MULTILINE)
    assert documented == [(name, field.description) for name, field in kind.model_fields.items()]


def test_every_column_of_the_leaderboard_is_documented() -> None:
    text = _documented("leaderboard.csv")
    for name in LEADERBOARD_COLUMNS:
        metric = next((metric for metric in METRICS if name.startswith(f"{metric}_")), None)
        assert (f"`{name}`" if metric is None else f"`{name.replace(metric, '…')}`") in text
        assert metric is None or f"`{metric}" in text


def test_tables_of_record_are_what_this_version_writes(tmp_path: Path) -> None:
    record = ROOT / "results"
    pd.testing.assert_frame_equal(pd.read_csv(record / "runs.csv"), read_runs(record / "runs.csv"))
    expected = write_leaderboard(record / "runs.csv", tmp_path / "leaderboard.csv")
    pd.testing.assert_frame_equal(pd.read_csv(record / "leaderboard.csv"), expected)


def test_rows_of_record_are_of_the_same_data() -> None:
    runs = read_runs(ROOT / "results" / "runs.csv")
    for split, names in (("train", ["task", "train_split", "preset"]), ("eval", ["task", "preset"])):
        assert runs.groupby(names)[f"{split}_dataset_digest"].nunique().eq(1).all()
    assert runs.groupby(["task", "preset"])["eval_episodes"].nunique().eq(1).all()


def _rivals(**sen: Any) -> list[RunRow]:
    """Three seeds of a SEN and of two others on one task: one scores lower, one about as well."""
    scores = {"sen": (0.9, 0.92, 0.94), "none": (0.2, 0.5, 0.6), "full": (0.91, 0.93, 0.7)}
    return [
        make_seed(
            seed,
            model=model,
            config_digest=f"sha256:{model}",
            hits_at_1=score,
            die_model=1 - score,
            **(sen if model == "sen" else {}),
        )
        for model, values in scores.items()
        for seed, score in enumerate(values)
    ]


def test_models_are_compared_with_the_symmetric_embedding_network() -> None:
    table = aggregate(_frame(_rivals())).set_index("model")
    assert table["hits_at_1_iqm_low"].to_dict() == pytest.approx({"full": 0.7, "none": 0.2, "sen": 0.9})
    assert table["hits_at_1_iqm_high"].to_dict() == pytest.approx({"full": 0.93, "none": 0.6, "sen": 0.94})
    for metric in ("hits_at_1", "die_model"):
        assert table.loc[["full", "none"], f"{metric}_vs_sen"].tolist() == ["overlap", "worse"]
        assert math.isnan(table.loc["sen", f"{metric}_vs_sen"])  # type: ignore[arg-type]
    assert table.loc["none", "mrr_vs_sen"] == "overlap"


def test_teapot_is_compared_with_matmul() -> None:
    scores = {"matmul": 0.5, "tfn": 0.3, "none": 0.7}
    rows = [
        make_seed(seed, task="teapot-large", model=model, hh_at_1=score)
        for model, score in scores.items()
        for seed in range(3)
    ]
    table = aggregate(_frame(rows)).set_index("model")
    assert table.loc[["none", "tfn"], "hh_at_1_vs_sen"].tolist() == ["better", "worse"]


@pytest.mark.parametrize(
    "sen",
    [
        {"train_dataset_digest": "sha256:other"},
        {"eval_dataset_digest": "sha256:other"},
        {"eval_episodes": 100},
        {"horizon": 1},
        {"preset": "paper"},
        {"train_split": "train-limited"},
        {"task": "2d-shapes"},
        {"epochs": 7},
        {"precision": "bfloat16"},
    ],
)
def test_models_are_never_compared_across_data_recipes_or_horizons(sen: dict[str, Any]) -> None:
    assert aggregate(_frame(_rivals(**sen)))["hits_at_1_vs_sen"].isna().all()


def test_preset_that_grew_by_epochs_is_compared_with_its_own() -> None:
    longer = [make_seed(s, config_digest="sha256:longer", epochs=9, hits_at_1=0.99) for s in range(3)]
    table = aggregate(_frame([*_rivals(), *longer])).set_index("model")
    assert table["hits_at_1_vs_sen"].dropna().to_dict() == {"full": "overlap", "none": "worse"}


def test_two_networks_to_compare_with_are_none() -> None:
    rows = [*_rivals(), *(make_seed(seed, config_digest="sha256:newer") for seed in range(3))]
    assert aggregate(_frame(rows))["hits_at_1_vs_sen"].isna().all()


def test_task_that_is_not_installed_has_nothing_to_compare_with() -> None:
    rows = [make_seed(s, task="elsewhere", model=m) for s in range(3) for m in ("sen", "none")]
    table = aggregate(_frame(rows))
    assert table["hits_at_1_vs_sen"].isna().all()
    assert table["hits_at_1_iqm_low"].notna().all()


def test_task_of_ones_own_is_compared_with_the_model_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    task = SimpleNamespace(symmetric_models=("none", "sen"))
    monkeypatch.setattr("sen_bench.tasks.get_task", lambda _: task)
    table = aggregate(_frame(_rivals())).set_index("model")
    assert table["hits_at_1_vs_sen"].dropna().to_dict() == {"full": "better", "sen": "better"}


def test_fewer_than_three_runs_are_not_compared() -> None:
    table = aggregate(_frame([row for row in _rivals() if row.model != "none" or row.seed < 2]))
    assert table.set_index("model")["hits_at_1_vs_sen"].dropna().to_dict() == {"full": "overlap"}


def test_row_says_what_its_runs_ran_on() -> None:
    rows = [
        make_seed(0, device="NVIDIA H100", version="0.2.0"),
        make_seed(1, device="cpu"),
        make_seed(2, device="cpu"),
    ]
    (row,) = aggregate(_frame(rows)).to_dict("records")
    assert (row["devices"], row["precisions"], row["versions"]) == (
        "NVIDIA H100;cpu",
        "float32",
        "0.1.0;0.2.0",
    )


def test_terminal_shows_intervals_and_marks_what_is_apart() -> None:
    table = aggregate(_frame(_rivals()))
    heading, _, full, none, sen, blank, note = format_table(table).splitlines()
    assert "92.0 ± 2.0" in sen
    assert "43.3 ± 20.8 *" in none
    assert "*" not in full + sen + heading + blank
    assert note.startswith("* ")
    _, _, full, none, sen, *_ = format_table(table, iqm=True).splitlines()
    assert "43.3 [20.0, 60.0] *" in none
    assert "84.7 [70.0, 93.0]" in full
    assert "0.08 [0.06, 0.1]" in sen
    single = format_table(aggregate(_frame([make_seed(0)])), iqm=True)
    assert "[" not in single
    assert "*" not in single


def _frame(rows: list[RunRow]) -> pd.DataFrame:
    return pd.DataFrame([row.model_dump() for row in rows])
