"""Runs as the last version with loose modules left them: they open, score and train on as they did.

Never make them anew. They were made at commit 05af193, with one thread on an x86-64 CPU and torch 2.13, by

    sen-bench run --tasks 2d-shapes,reacher,teapot-small --train-split train --preset golden.toml \
      --device cpu --workers 1 --data data --runs runs --results results

in tests/golden/workspace-1, and hold every kind of model of every family. `continued.json` has the mean
losses of all epochs after the same command was given again, in a copy, with `epochs = 5` in place of 3.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sen_bench.checks import verify
from tests.paths import ROOT
from tests.support.commands import done
from tests.support.datasets import tree

GOLDEN = ROOT / "tests" / "golden" / "workspace-1"
TASKS = ("2d-shapes", "reacher", "teapot-small")
RUNS = sorted(path.parent.relative_to(GOLDEN / "runs").as_posix() for path in GOLDEN.rglob("checkpoint.pt"))
OPTIONS = ("--preset", "golden.toml", "--device", "cpu", "--quiet")
ALL = ("run", "--tasks", ",".join(TASKS), "--train-split", "train", *OPTIONS)
KEY = ["run_id", "horizon"]
EXACT = ["config_digest", "train_dataset_digest", "eval_dataset_digest", "parameters", "epochs", "precision"]
EXACT += ["train_files_digest", "eval_files_digest", "transitions_seen", "restarts", "eval_episodes"]
TIMES_AND_PLACES = ["train_seconds", "eval_seconds", "device", "version", "torch_version"]
TOLERANCE = 1e-3
"""Relative, of scores and losses: other CPUs and releases of torch round otherwise, and steps add that up."""


@pytest.fixture
def workspace(here: Path) -> Path:
    """A copy of the golden folder, which the test works in."""
    shutil.copytree(GOLDEN, here, dirs_exist_ok=True)
    return here


def _table(folder: Path, name: str = "runs") -> pd.DataFrame:
    return pd.read_csv(folder / "results" / f"{name}.csv")


def _mean_losses(run: Path) -> list[float]:
    text = (run / "metrics.jsonl").read_text()
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return [line["mean_loss"] for line in lines if line["event"] == "epoch"]


def test_every_kind_of_model_is_there() -> None:
    kinds = {"2d-shapes": "sen full none", "reacher": "sen full none", "teapot-small": "matmul tfn none"}
    expected = {f"{task}/train/{kind}/golden/seed-0" for task, of in kinds.items() for kind in of.split()}
    assert set(RUNS) == expected


@pytest.mark.parametrize("split", ["train", "eval"])
@pytest.mark.parametrize("task", TASKS)
def test_their_datasets_verify(task: str, split: str) -> None:
    digest = verify(GOLDEN / "data" / "golden" / task / f"{split}.zarr").dataset.content_digest
    rows = _table(GOLDEN)
    assert set(rows.loc[rows["task"] == task, f"{split}_dataset_digest"]) == {f"sha256:{digest}"}


def test_they_are_found_done_and_only_the_leaderboard_is_made_anew(workspace: Path) -> None:
    leaderboard = workspace / "results" / "leaderboard.csv"
    leaderboard.unlink()
    before = tree(workspace)
    assert "9 runs: 9 done, 0 to run" in done(*ALL, "--dry-run").output
    done(*ALL, "--workers", "1")
    assert leaderboard.exists()
    after = {name: data for name, data in tree(workspace).items() if not name.endswith(".lock")}
    # New beside them: the leaderboard, and its digest.
    assert {name: data for name, data in after.items() if "leaderboard" not in name} == before
    means, golden = (_table(folder, "leaderboard") for folder in (workspace, GOLDEN))
    pd.testing.assert_frame_equal(means[list(golden)], golden, rtol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_evaluated_again_they_have_the_scores_they_had(task: str, workspace: Path) -> None:
    done("evaluate", task, *OPTIONS, "--results", "again/results")
    before = _table(GOLDEN).set_index(KEY).sort_index()
    before = before[before["task"] == task]
    now = _table(workspace / "again").set_index(KEY).sort_index()[list(before)]
    pd.testing.assert_frame_equal(now[EXACT], before[EXACT])
    # What is 0 but for rounding is that only.
    scores = [name for name in before if name not in {*EXACT, *TIMES_AND_PLACES}]
    assert {"mrr", "hits_at_1", "ee_embedding", "latent_spread"} < set(scores)
    pd.testing.assert_frame_equal(now[scores], before[scores], rtol=TOLERANCE, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_trained_on_they_learn_as_they_would_have(task: str, workspace: Path) -> None:
    preset = workspace / "golden.toml"
    preset.write_text(preset.read_text().replace("epochs = 3", "epochs = 5"))
    done("train", task, *OPTIONS)
    continued = json.loads((GOLDEN / "continued.json").read_text())
    for name in (run for run in RUNS if run.startswith(f"{task}/")):
        losses, before = _mean_losses(workspace / "runs" / name), _mean_losses(GOLDEN / "runs" / name)
        assert losses[:3] == before, f"{name} was begun anew"
        assert losses == pytest.approx(continued[name], rel=TOLERANCE), name
