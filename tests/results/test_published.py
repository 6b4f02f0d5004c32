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


def test_numbers_are_about_tasks_splits_models_and_metrics_there_are() -> None:
    for row in read_published().to_dict("records"):
        task = get_task(str(row["task"]))
        assert row["model"] in task.models
        assert row["horizon"] <= task.split("eval").horizon
        assert str(row["train_split"]) in task.splits
        assert row["metric"] in {metric.name for metric in COMPARED}


def test_the_three_results_that_carry_the_paper_are_there() -> None:
    table = read_published().set_index(["task", "train_split", "metric", "model"])["mean"].to_dict()
    assert table["2d-shapes", "train-limited", "hits_at_10", "sen"] == 1
    assert table["2d-shapes", "train-limited", "hits_at_10", "none"] == 0.028
    assert table["3d-blocks", "train-limited", "hits_at_1", "sen"] == 0.999
    assert table["3d-blocks", "train-limited", "hits_at_1", "none"] == 0.523
    assert table["teapot-large", "train", "hh_at_1", "matmul"] == 1
    assert table["teapot-large", "train", "hh_at_1", "none"] == 0.074
    assert (
        "3d-blocks",
        "train",
        "hits_at_1",
        "sen",
    ) not in table  # the submission's row is a copy of another


def test_results_of_record_hold_the_table_of_the_package() -> None:
    assert (ROOT / "results" / "published.csv").resolve() == PUBLISHED_CSV.resolve()
    pd.testing.assert_frame_equal(pd.read_csv(ROOT / "results" / "published.csv"), read_published())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("0.523", "52.3"), "line 6, column 'mean': must be a share"),
        (
            lambda text: text.replace("hits_at_1,", "hit_at_1,", 1),
            "column 'metric': 'hit_at_1' is not a metric",
        ),
        (lambda text: text.replace(",1,", ",0,", 1), "line 2, column 'horizon'"),
        (lambda text: text.replace("0.006", "-0.006"), "line 2, column 'std'"),
        (lambda text: text + text.splitlines()[1] + "\n", "hits_at_10 of none on 2d-shapes twice"),
        (lambda text: text.replace("source", "origin", 1), "column 'origin' is unknown"),
    ],
)
def test_table_with_a_mistake_is_refused(tmp_path: Path, spoil: Callable[[str], str], message: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(spoil(PUBLISHED_CSV.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ResultsError, match=message):
        read_published(path)
