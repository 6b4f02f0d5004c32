"""The one table of scores, and what must agree with it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from sen_bench.errors import ResultsError
from sen_bench.evaluation.horizon_scores import HorizonScores
from sen_bench.results.csv_tables import Amount, Ratio, Share, ShareIfAny, Text, read_rows
from sen_bench.results.scores import METRICS, SHOWN, Metric, no_better_than_no_change, no_change


def test_evaluation_computes_the_scores_of_the_table() -> None:
    computed = [field.name for field in fields(HorizonScores)]
    assert [name for name in computed if name not in {"horizon", "episodes", "collapsed"}] == [
        metric.name for metric in METRICS
    ]


def test_scores_are_shown_by_what_they_tell() -> None:
    assert [metric.title for metric in SHOWN] == [
        "H@1 %",
        "H@5 %",
        "H@10 %",
        "MRR %",
        "HH@1 %",
        "local H@1 %",
        "local MRR %",
        "HH@1 without s %",
        "TH@1 yaw %",
        "TH@1 pitch %",
        "TH@1 roll %",
        "rel. error",
        "EE(S)",
        "EE(z)",
        "DIE(S)",
        "DIE(model)",
        "DIE(S) turned",
        "DIE(model) turned",
        "EE(S) undivided",
        "EE(z) undivided",
    ]


def test_every_score_of_no_change_is_found_beside_its_score() -> None:
    beside = {metric.name: found.name for metric in SHOWN if (found := no_change(metric))}
    assert beside == {
        name: f"no_change_{name}"
        for name in (
            "hits_at_1",
            "hits_at_5",
            "hits_at_10",
            "mrr",
            "hh_at_1",
            "local_hits_at_1",
            "local_mrr",
            "hh_at_1_without_first",
        )
    }
    assert {name.name for name in METRICS if name.name.startswith("no_change_")} == set(beside.values())


def test_what_is_no_better_than_no_change_has_an_error_of_nearly_one_or_more() -> None:
    assert [no_better_than_no_change(error) for error in (0.0, 0.899, 0.9, 1.2, float("nan"))] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"column_type": Amount, "heading": "new"}, "nothing to show"),
        ({"column_type": Amount, "higher_is_better": True, "averaged": False}, "it is not averaged"),
        ({"column_type": Share, "appended": "last"}, "is undefined in tables that were written before"),
        ({"column_type": Amount, "appended": "last"}, "is undefined in tables that were written before"),
    ],
)
def test_a_score_that_contradicts_itself_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Metric("new", aspect="latents", meaning="something new", **options)


class _OldRow(BaseModel):
    name: Text
    score: Share


class _NewRow(_OldRow):
    ratio: Ratio = float("nan")
    share: ShareIfAny = float("nan")


def test_a_table_without_the_columns_that_were_appended_since_is_read(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("name,score\nsen,0.5\n")
    (row,) = read_rows(table, _NewRow, "scores")
    assert repr(row) == "_NewRow(name='sen', score=0.5, ratio=nan, share=nan)"
    table.write_text("name,score,ratio\nsen,0.5,2\n")
    assert [row.ratio for row in read_rows(table, _NewRow, "scores")] == [2]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name\nsen\n", "column 'score' is missing"),
        ("name,score,share\nsen,0.5,0.5\n", "column 'ratio' is missing"),
        ("name,ratio,score\nsen,2,0.5\n", "columns are in another order|is missing"),
        ("name,score,ratio\nsen,0.5\n", "line 2 does not have 3 fields"),
    ],
)
def test_no_other_column_may_be_missing(tmp_path: Path, text: str, why: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises(ResultsError, match=why):
        read_rows(table, _NewRow, "scores")
