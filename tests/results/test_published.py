"""The published numbers are those of the paper, about things that exist, in the units of our own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sen_bench.errors import ResultsError
from sen_bench.results.published import PUBLISHED_CSV, read_published
from sen_bench.results.scores import COMPARED
from sen_bench.tasks.registry import get_task
from tests.paths import ROOT

POSTER, SUBMISSION = "Park et al., ICML 2022 poster", "Park et al., ICLR 2022 submission"


def test_numbers_are_about_tasks_splits_models_and_metrics_there_are() -> None:
    for row in read_published().to_dict("records"):
        task = get_task(str(row["task"]))
        assert row["model"] in task.models
        assert row["horizon"] <= task.split("eval").horizon
        assert str(row["train_split"]) in task.splits
        assert row["metric"] in {metric.name for metric in COMPARED}


def test_the_three_results_that_carry_the_paper_are_the_posters() -> None:
    table = read_published()
    first = table.drop_duplicates(["task", "train_split", "metric", "model"])
    told = first.set_index(["task", "train_split", "metric", "model"]).to_dict("index")
    for place, mean, horizon in (
        (("2d-shapes", "train-limited", "hits_at_1", "sen"), 1.0, 10),
        (("2d-shapes", "train-limited", "hits_at_1", "none"), 0.028, 10),
        (("3d-blocks", "train-limited", "hits_at_1", "sen"), 0.999, 10),
        (("3d-blocks", "train-limited", "hits_at_1", "none"), 0.523, 10),
        (("teapot-large", "train", "hh_at_1", "matmul"), 1.0, 1),
        (("teapot-large", "train", "hh_at_1", "none"), 0.939, 1),
        (("teapot-large", "train", "th_at_1_pitch", "none"), 0.6, 1),
    ):
        row = told[place]
        assert (row["mean"], row["horizon"], row["source"]) == (mean, horizon, POSTER)
    # The submission's row of 3D Blocks with all actions is a copy of another task's.
    assert not len(table.query("task == '3d-blocks' and train_split == 'train'"))


def test_the_submission_stands_where_the_poster_says_nothing_and_beside_it_where_both_do() -> None:
    table = read_published()
    assert list(table["source"].unique()) == [POSTER, SUBMISSION]
    both = table.query("task == 'teapot-large' and model == 'none' and metric == 'hh_at_1'")
    assert list(zip(both["source"], both["mean"], strict=True)) == [(POSTER, 0.939), (SUBMISSION, 0.074)]
    assert set(table.query("task in ('rush-hour', 'reacher', 'teapot-small')")["source"]) == {SUBMISSION}
    # What the submission printed of 2D Shapes, for one step, was of ten.
    assert set(table.query("task == '2d-shapes'")["horizon"]) == {10}


def test_errors_and_only_errors_say_what_they_were_divided_by() -> None:
    table = read_published()
    errors = table["metric"].str.match("ee_|die_")
    assert table[errors]["normalisation"].notna().all()
    assert table[~errors]["normalisation"].isna().all()
    of_rotations = table["task"].str.startswith("teapot") & (table["metric"] == "ee_embedding")
    assert set(table[of_rotations]["normalisation"]) == {"undivided"}


def test_results_of_record_hold_the_table_of_the_package() -> None:
    assert (ROOT / "results" / "published.csv").resolve() == PUBLISHED_CSV.resolve()
    pd.testing.assert_frame_equal(pd.read_csv(ROOT / "results" / "published.csv"), read_published())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("0.523", "52.3"), "column 'mean': must be a share"),
        (
            lambda text: text.replace("hits_at_1,", "hit_at_1,", 1),
            "column 'metric': 'hit_at_1' is not a metric",
        ),
        (lambda text: text.replace(",10,", ",0,", 1), "line 2, column 'horizon'"),
        (lambda text: text.replace("0.939", "93.9"), "column 'mean': must be a share"),
        (lambda text: text.replace("unclear", "perhaps", 1), "column 'normalisation': Input should be"),
        (lambda text: text.replace("0.006", "-0.006"), "line 2, column 'std'"),
        (lambda text: text + text.splitlines()[1] + "\n", "hits_at_1 of none on 2d-shapes twice"),
        (lambda text: text.replace("source", "origin", 1), "column 'origin' is unknown"),
    ],
)
def test_table_with_a_mistake_is_refused(tmp_path: Path, spoil: Callable[[str], str], message: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(spoil(PUBLISHED_CSV.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ResultsError, match=message):
        read_published(path)
