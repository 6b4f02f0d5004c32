"""The leaderboard: nothing unlike is averaged or compared."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sen_bench.results.leaderboard import LEADERBOARD_COLUMNS
from sen_bench.results.rows import GROUP
from sen_bench.results.scores import AVERAGED
from tests.support.rows import DEFAULTS, leaderboard_of, make_rivals, make_seed


def test_mean_and_standard_deviation_are_over_seeds() -> None:
    values = [0.2, 0.5, 0.8]
    rows = [
        make_seed(s, hits_at_1=v, collapsed=s == 1, restarts=s, train_seconds=s) for s, v in enumerate(values)
    ]
    (row,) = leaderboard_of(rows).to_dict("records")
    assert row["hits_at_1_mean"] == pytest.approx(0.5)
    assert row["hits_at_1_std"] == pytest.approx(0.3)
    assert (row["runs"], row["seeds"], row["collapsed"], row["restarts"]) == (3, 3, 1, 3)
    assert row["parameters"] == 1_986_345
    assert row["train_seconds"] == 1
    assert tuple(row) == LEADERBOARD_COLUMNS


def test_one_seed_has_no_standard_deviation() -> None:
    (row,) = leaderboard_of([make_seed(0)]).to_dict("records")
    assert row["mrr_mean"] == pytest.approx(1 / 3)
    assert all(math.isnan(row[f"{metric.name}_std"]) for metric in AVERAGED)


def test_metric_undefined_for_a_run_is_undefined_for_the_mean() -> None:
    (row,) = leaderboard_of([make_seed(0), make_seed(1, die_model=math.nan)]).to_dict("records")
    assert math.isnan(row["die_model_mean"])
    assert math.isnan(row["die_model_std"])
    assert row["die_embedding_mean"] == pytest.approx(0.03)


@pytest.mark.parametrize("column", GROUP)
def test_runs_that_differ_in_anything_but_the_seed_are_never_averaged(column: str) -> None:
    other: Any = 7 if isinstance(DEFAULTS[column], int) else "sha256:other"
    rows = [make_seed(0), make_seed(1), make_seed(2, mrr=1.0, **{column: other})]
    table = leaderboard_of(rows)
    assert sorted(table["runs"]) == [1, 2]
    assert sorted(table["mrr_mean"]) == pytest.approx([1 / 3, 1.0])


def test_models_are_compared_with_the_symmetric_embedding_network() -> None:
    table = leaderboard_of(make_rivals()).set_index("model")
    assert table["hits_at_1_iqm_low"].to_dict() == pytest.approx({"full": 0.7, "none": 0.2, "sen": 0.9})
    assert table["hits_at_1_iqm_high"].to_dict() == pytest.approx({"full": 0.93, "none": 0.6, "sen": 0.94})
    for metric in ("hits_at_1", "die_model"):
        assert table.loc[["full", "none"], f"{metric}_vs_sen"].tolist() == ["overlap", "worse"]
        assert math.isnan(table.loc["sen", f"{metric}_vs_sen"])  # type: ignore[arg-type]
    assert table.loc["none", "mrr_vs_sen"] == "overlap"


def test_the_model_to_compare_with_is_that_of_the_task() -> None:
    scores = {"matmul": 0.5, "tfn": 0.3, "none": 0.7}
    rows = [
        make_seed(seed, task="teapot-large", model=model, hh_at_1=score)
        for model, score in scores.items()
        for seed in range(3)
    ]
    table = leaderboard_of(rows).set_index("model")
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
    assert leaderboard_of(make_rivals(**sen))["hits_at_1_vs_sen"].isna().all()


def test_preset_that_grew_by_epochs_is_compared_with_its_own() -> None:
    longer = [make_seed(s, config_digest="sha256:longer", epochs=9, hits_at_1=0.99) for s in range(3)]
    table = leaderboard_of([*make_rivals(), *longer]).set_index("model")
    assert table["hits_at_1_vs_sen"].dropna().to_dict() == {"full": "overlap", "none": "worse"}


def test_two_networks_to_compare_with_are_none() -> None:
    rows = [*make_rivals(), *(make_seed(seed, config_digest="sha256:newer") for seed in range(3))]
    assert leaderboard_of(rows)["hits_at_1_vs_sen"].isna().all()


def test_a_task_without_a_model_to_compare_with_has_statistics_all_the_same() -> None:
    rows = [make_seed(s, task="elsewhere", model=m) for s in range(3) for m in ("sen", "none")]
    table = leaderboard_of(rows)
    assert table["hits_at_1_vs_sen"].isna().all()
    assert table["hits_at_1_iqm_low"].notna().all()


def test_fewer_than_three_runs_are_not_compared() -> None:
    table = leaderboard_of([row for row in make_rivals() if row.model != "none" or row.seed < 2])
    assert table.set_index("model")["hits_at_1_vs_sen"].dropna().to_dict() == {"full": "overlap"}


def test_row_says_what_its_runs_ran_on() -> None:
    rows = [
        make_seed(0, device="NVIDIA H100", version="0.2.0"),
        make_seed(1, device="cpu"),
        make_seed(2, device="cpu"),
    ]
    (row,) = leaderboard_of(rows).to_dict("records")
    assert (row["devices"], row["precisions"], row["versions"]) == (
        "NVIDIA H100;cpu",
        "float32",
        "0.1.0;0.2.0",
    )
