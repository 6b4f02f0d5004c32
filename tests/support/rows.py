"""Rows of runs.csv as a run writes them, shared by the tests of what is made of them."""

from __future__ import annotations

from typing import Any

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


def make_row(**changes: Any) -> RunRow:
    return RunRow(**DEFAULTS | changes)


def make_seed(seed: int, **changes: Any) -> RunRow:
    return make_row(**{"run_id": f"{changes.get('model', 'sen')}-{seed}", "seed": seed} | changes)
