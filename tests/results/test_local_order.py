"""Tasks whose models are ranked by local H@1, in tables to look at and on the page."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sen_bench.report.chart_rows import headline_rows
from sen_bench.report.entries import entries
from sen_bench.report.page_data import read_page_data
from sen_bench.results.leaderboard_view import read_leaderboard
from sen_bench.results.rows import RunRow, append_rows
from sen_bench.tasks.registry import ranked_locally, task_names
from tests.support.commands import done
from tests.support.rows import make_row, reference_model

SCORES = {"full": 0.2, "none": 0.9, "sen": 0.5}


def _rows(task: str, *, local: dict[str, float] = SCORES) -> list[RunRow]:
    return [
        make_row(
            run_id=f"{task}-{model}",
            task=task,
            model=model,
            horizon=horizon,
            config_digest=f"sha256:{model}",
            local_hits_at_1=score if horizon == 10 else 1 - score,
        )
        for model, score in local.items()
        for horizon in (1, 10)
    ]


def _order(path: Path) -> list[tuple[int, str]]:
    rows = read_leaderboard(path, reference_model, ranked_locally=ranked_locally)
    return [(row["horizon"], row["model"]) for row in rows]


def test_rush_hour_and_reacher_are_ranked_locally_and_names_of_no_task_are_not() -> None:
    assert {task for task in [*task_names(), "elsewhere"] if ranked_locally(task)} == {"rush-hour", "reacher"}


@pytest.mark.parametrize("task", ["rush-hour", "reacher"])
def test_the_best_local_score_comes_first_at_each_horizon(task: str, tmp_path: Path) -> None:
    append_rows(tmp_path / "runs.csv", _rows(task))
    ranked = [(1, "full"), (1, "sen"), (1, "none"), (10, "none"), (10, "sen"), (10, "full")]
    assert _order(tmp_path / "runs.csv") == ranked
    page = entries(read_page_data(tmp_path))
    group = [entry for entry in page if entry.task == task and entry.preset == "smoke"]
    assert [(entry.horizon, entry.model) for entry in group] == ranked[3:] + ranked[:3]
    metric, shown = headline_rows(group)
    assert metric.name == "local_hits_at_1"
    assert [entry.model for entry in shown] == ["none", "sen", "full"]


@pytest.mark.parametrize(
    ("task", "local"), [("rush-hour", SCORES | {"full": math.nan}), ("2d-shapes", SCORES)]
)
def test_other_tasks_and_those_in_which_a_row_lacks_it_are_in_the_order_of_models(
    task: str, local: dict[str, float], tmp_path: Path
) -> None:
    append_rows(tmp_path / "runs.csv", _rows(task, local=local))
    assert _order(tmp_path / "runs.csv") == [(h, model) for h in (1, 10) for model in ("full", "none", "sen")]
    page = entries(read_page_data(tmp_path))
    group = [entry for entry in page if entry.task == task and entry.preset == "smoke"]
    assert [entry.model for entry in group] == ["sen", "full", "none"] * 2
    assert headline_rows(group)[0].name == "hits_at_1"


def test_rows_of_another_preset_or_split_that_lack_it_change_no_order(tmp_path: Path) -> None:
    lacking = dict.fromkeys(SCORES, math.nan)
    elsewhere = [
        row.model_copy(update={"run_id": f"{row.run_id}-{number}"} | place)
        for number, place in enumerate([{"preset": "cpu"}, {"train_split": "train-limited"}])
        for row in _rows("reacher", local=lacking)
    ]
    append_rows(tmp_path / "runs.csv", _rows("reacher") + elsewhere)
    page = entries(read_page_data(tmp_path))
    cards = {card: [e for e in page if e.card == card] for card in dict.fromkeys(e.card for e in page)}
    found = {card[1:]: headline_rows(group) for card, group in cards.items() if card[0] == "reacher"}
    shown = {card: (metric.name, [entry.model for entry in group]) for card, (metric, group) in found.items()}
    models = ["sen", "full", "none"]
    assert shown == {
        ("train", "smoke"): ("local_hits_at_1", ["none", "sen", "full"]),
        ("train", "cpu"): ("hits_at_1", models),
        ("train-limited", "smoke"): ("hits_at_1", models),
    }
    rows = read_leaderboard(tmp_path / "runs.csv", reference_model, ranked_locally=ranked_locally)
    ranked = [row["model"] for row in rows if row["horizon"] == 10]
    assert ranked == ["full", "none", "sen", "none", "sen", "full", "full", "none", "sen"]


def test_a_model_that_was_not_run_comes_last(tmp_path: Path) -> None:
    append_rows(tmp_path / "runs.csv", [row for row in _rows("rush-hour") if row.model != "sen"])
    page = entries(read_page_data(tmp_path))
    group = [entry for entry in page if entry.task == "rush-hour" and entry.preset == "smoke"]
    assert [entry.model for entry in headline_rows(group)[1]] == ["none", "full", "sen"]


def test_the_terminal_has_that_order_and_data_the_one_of_the_table(tmp_path: Path) -> None:
    append_rows(tmp_path / "runs.csv", _rows("rush-hour"))
    printed = {
        kind: done("leaderboard", "--results", str(tmp_path), "--horizon", "10", "--format", kind).output
        for kind in ("table", "csv")
    }
    lines = {
        kind: [line for line in text.splitlines() if line.startswith("rush-hour")]
        for kind, text in printed.items()
    }
    assert [line.split()[4] for line in lines["table"]] == ["none", "sen", "full"]
    assert [line.split(",")[4] for line in lines["csv"]] == ["full", "none", "sen"]
