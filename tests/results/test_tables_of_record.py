"""The tables of record are what this version writes, and docs/results.md describes the columns there are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from pydantic import BaseModel

from sen_bench.results.curves import CurveRow
from sen_bench.results.folder import ResultsFolder
from sen_bench.results.leaderboard import LEADERBOARD_COLUMNS
from sen_bench.results.planning_rows import PlanningRow
from sen_bench.results.published import PublishedRow
from sen_bench.results.references import ReferenceRow
from sen_bench.results.rows import RunRow, read_runs
from sen_bench.results.scores import AVERAGED
from sen_bench.tasks.registry import reference_model
from tests.paths import ROOT


def _documented(table: str) -> str:
    """The section of the data dictionary about a table."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    return next(part for part in text.split("\n## ") if part.startswith(f"`{table}`"))


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ("runs.csv", RunRow),
        ("curves.csv", CurveRow),
        ("planning.csv", PlanningRow),
        ("published.csv", PublishedRow),
        ("references.csv", ReferenceRow),
    ],
)
def test_every_column_is_documented_as_it_is_defined(table: str, kind: type[BaseModel]) -> None:
    documented = re.findall(r"^\| `(\w+)` \| \w+ \| (.+) \|$", _documented(table), flags=re.MULTILINE)
    assert documented == [(name, field.description) for name, field in kind.model_fields.items()]


def test_every_column_of_the_leaderboard_is_documented() -> None:
    text = _documented("leaderboard.csv")
    for name in LEADERBOARD_COLUMNS:
        # The longest, as some scores begin like others.
        metric = max((m.name for m in AVERAGED if name.startswith(f"{m.name}_")), key=len, default=None)
        assert (f"`{name}`" if metric is None else f"`{name.replace(metric, '…')}`") in text
        assert metric is None or f"`{metric}" in text


def test_tables_of_record_are_what_this_version_writes(tmp_path: Path) -> None:
    record = ROOT / "results"
    pd.testing.assert_frame_equal(pd.read_csv(record / "runs.csv"), read_runs(record / "runs.csv"))
    copy = ResultsFolder(tmp_path)
    shutil.copy(record / "runs.csv", copy.runs_csv)
    copy.write_leaderboard(reference_model)
    assert copy.leaderboard_csv.read_bytes() == (record / "leaderboard.csv").read_bytes()


def test_rows_of_record_are_of_the_same_data() -> None:
    runs = read_runs(ROOT / "results" / "runs.csv")
    for split, names in (("train", ["task", "train_split", "preset"]), ("eval", ["task", "preset"])):
        assert runs.groupby(names)[f"{split}_dataset_digest"].nunique().eq(1).all()
    assert runs.groupby(["task", "preset"])["eval_episodes"].nunique().eq(1).all()
