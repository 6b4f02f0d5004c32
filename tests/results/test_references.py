"""The table of references: what it refuses, and what it holds of record."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from sen_bench.cli.main import main
from sen_bench.errors import ResultsError
from sen_bench.results.references import read_references
from tests.paths import ROOT

RECORD = ROOT / "results" / "references.csv"
REACHER = ROOT / "tests" / "golden" / "format-1" / "reacher" / "eval.zarr"


def test_the_command_writes_references_and_replaces_older_ones(tmp_path: Path) -> None:
    for _ in range(2):
        result = CliRunner().invoke(main, ["references", str(REACHER), "--results", str(tmp_path)])
        assert result.exit_code == 0
        assert "references of reacher" in result.stdout
    table = read_references(tmp_path / "references.csv")
    assert not table.duplicated(["horizon", "reference"]).any()
    assert set(table["reference"]) == {"chance", "no-change", "perfect"}


def test_no_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="sen-bench references STORE"):
        read_references(tmp_path / "references.csv")


def test_references_of_record_are_of_the_data_of_record() -> None:
    table = read_references(RECORD)
    pd.testing.assert_frame_equal(pd.read_csv(RECORD), table)
    runs = pd.read_csv(ROOT / "results" / "runs.csv")
    expected = runs.groupby("task")["eval_dataset_digest"].first().to_dict()
    assert table.groupby("task")["eval_dataset_digest"].first().to_dict() == expected


def test_no_change_hits_locally_as_often_as_nothing_has_changed() -> None:
    """Counted in the stored states of the first 1,000 episodes, after one, five and ten steps."""
    unchanged = {
        "2d-shapes": (0.344, 0.02, 0.005),
        "3d-blocks": (0.344, 0.02, 0.005),
        "rush-hour": (0.337, 0.023, 0.006),
        "reacher": (0.0, 0.0, 0.0),
    }
    table = read_references(RECORD).set_index(["task", "reference", "horizon"])["local_hits_at_1"].to_dict()
    for task, shares in unchanged.items():
        assert tuple(table[task, "no-change", horizon] for horizon in (1, 5, 10)) == pytest.approx(shares)
        assert {table[task, "perfect", horizon] for horizon in (1, 5, 10)} == {1}


@pytest.mark.parametrize(
    ("task", "metric", "percent"),
    [
        ("2d-shapes", "hits_at_1", 18.5),
        ("2d-shapes", "hits_at_10", 64.2),
        ("2d-shapes", "mrr", 35.3),
        ("rush-hour", "hits_at_1", 97.6),
        ("rush-hour", "hits_at_10", 100.0),
        ("rush-hour", "mrr", 98.9),
    ],
)
def test_no_change_of_record_is_what_was_counted_independently(
    task: str, metric: str, percent: float
) -> None:
    """Counted twice before this table was there, on the same episodes, at ten steps."""
    table = read_references(RECORD).set_index(["task", "reference", "horizon"])
    assert round(100 * table[metric].to_dict()[task, "no-change", 10], 1) == percent
