"""Rows of runs.csv as a run writes them, shared by the tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sen_bench.results.csv_tables import frame_of
from sen_bench.results.leaderboard import Record, aggregate, aggregate_rows
from sen_bench.results.rows import RunRow

DEFAULTS: dict[str, Any] = {
    "run_id": "3d-blocks/train/sen/smoke/seed-0",
    "task": "3d-blocks",
    "train_split": "train",
    "model": "sen",
    "preset": "smoke",
    "seed": 0,
    "horizon": 10,
    "hits_at_1": 0.1 + 0.2,
    "hits_at_5": 0.75,
    "hits_at_10": 1.0,
    "mrr": 1 / 3,
    "hits_at_1_optimistic": 0.5,
    "mrr_optimistic": 0.5,
    "hh_at_1": 0.25,
    "ee_embedding": 0.02,
    "ee_latent": 0.01,
    "die_embedding": 0.03,
    "die_model": 0.04,
    "relative_error": 0.6,
    "latent_spread": 1.25,
    "separation": 0.9,
    "collapsed": False,
    "restarts": 0,
    "parameters": 1_986_345,
    "epochs": 5,
    "transitions_seen": 500_000,
    "train_seconds": 90.0,
    "eval_seconds": 30.0,
    "eval_episodes": 10_000,
    "device": "cpu",
    "precision": "float32",
    "compiled": False,
    "train_dataset_digest": "sha256:aaaaaaaa",
    "eval_dataset_digest": "sha256:bbbbbbbb",
    "train_files_digest": "sha256:dddddddd",
    "eval_files_digest": "sha256:eeeeeeee",
    "config_digest": "sha256:cccccccc",
    "version": "0.1.0",
    "torch_version": "2.13.0+cpu",
}


def reference_model(task: str) -> str | None:
    """The models that others are compared with, without a look at the tasks."""
    return {"3d-blocks": "sen", "teapot-large": "matmul"}.get(task)


def make_row(**changes: Any) -> RunRow:
    return RunRow(**DEFAULTS | changes)


def make_seed(seed: int, **changes: Any) -> RunRow:
    return make_row(**{"run_id": f"{changes.get('model', 'sen')}-{seed}", "seed": seed} | changes)


def make_rivals(**sen: Any) -> list[RunRow]:
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


def leaderboard_of(rows: Sequence[RunRow]) -> pd.DataFrame:
    return aggregate(frame_of(rows, RunRow), reference_model)


def leaderboard_rows(rows: Sequence[RunRow]) -> list[Record]:
    return aggregate_rows((row.model_dump() for row in rows), reference_model)
