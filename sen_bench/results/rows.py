"""The table of runs, `runs.csv`: a row for each run and horizon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, create_model

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import (
    Amount,
    Count,
    Digest,
    DigestIfAny,
    Text,
    frame_of,
    merge_rows,
    read_rows,
    values,
)
from sen_bench.results.scores import METRICS, Metric


class _Identity(BaseModel):
    """Which run, and which horizon."""

    run_id: Text = Field(description="Name of the run: its folder")
    task: Text = Field(description="Task, as `sen-bench tasks` lists it")
    train_split: Text = Field(description="Split trained on: `train`, or `train-limited` for fewer actions")
    model: Text = Field(
        description="`sen`, `full`, `none` (3D Teapot: `matmul`, `tfn`, `none`), or a model of your own"
    )
    preset: Text = Field(description="Preset the run was configured by: `paper`, `cpu`, `smoke` or your own")
    seed: Count = Field(description="Seed the run was asked for; a restart trains with one derived from it")
    horizon: Annotated[int, Field(ge=1)] = Field(description="Steps predicted ahead")


class _Circumstances(BaseModel):
    """How a run was trained and scored."""

    collapsed: bool = Field(description="Whether the encoder collapsed: `separation` below 0.01")
    restarts: Count = Field(description="How often training was restarted because of a collapse")
    parameters: Count = Field(description="Trainable numbers of the model")
    epochs: Count = Field(description="Epochs trained")
    transitions_seen: Count = Field(description="Transitions trained on, each as often as it was seen")
    train_seconds: Amount = Field(
        description="Seconds of training, over all its resumptions, beside whatever shared the device"
    )
    eval_seconds: Amount = Field(description="Seconds of evaluation, all horizons together")
    eval_episodes: Count = Field(description="Episodes ranked, N; chance is k / N for H@k")
    device: Text = Field(description="Device scored on; `sen-bench run` ends training on it too")
    precision: Text = Field(description="Arithmetic of training and evaluation")
    compiled: bool = Field(description="Whether any of its training ran as compiled code")
    train_dataset_digest: Digest = Field(description="Content digest of the training data")
    eval_dataset_digest: Digest = Field(description="Content digest of the evaluation data")
    train_files_digest: DigestIfAny = Field(description="Digest of the training data's bytes as stored")
    eval_files_digest: DigestIfAny = Field(description="Digest of the evaluation data's bytes as stored")
    config_digest: Digest = Field(description="Digest of the resolved configuration without the seed")
    version: Text = Field(description="Version of sen-bench")
    torch_version: Text = Field(description="Version of PyTorch")


def _columns(metrics: Iterable[Metric]) -> type[BaseModel]:
    """Columns of scores; those that were appended are undefined where a table does not have them."""
    fields: dict[str, Any] = {
        metric.name: (
            metric.column_type,
            Field(default=math.nan if metric.appended else ..., description=metric.description),
        )
        for metric in metrics
    }
    return create_model("_Scores", **fields)


_FirstScores = _columns(metric for metric in METRICS if not metric.appended)
_AppendedScores = _columns(metric for metric in METRICS if metric.appended)


# The columns of the last base come first. Type checkers do not know the scores, which come from a table.
class RunRow(_AppendedScores, _Circumstances, _FirstScores, _Identity):  # type: ignore[misc, valid-type]
    """One run at one horizon: the one definition of the columns of `runs.csv`, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")


COLUMNS: Final = tuple(RunRow.model_fields)
"""Columns of `runs.csv`, in their order."""


KEY: Final = ("run_id", "horizon", "train_dataset_digest", "eval_dataset_digest", "config_digest")
"""What makes two rows the same result; the later one replaces the earlier."""


GROUP: Final = (
    "task",
    "train_split",
    "preset",
    "horizon",
    "model",
    "train_dataset_digest",
    "eval_dataset_digest",
    "eval_episodes",
    "config_digest",
)
"""Runs are averaged only where all of these are equal; also the order of the leaderboard's rows."""


_ROW_ORDER: Final = (
    "task",
    "train_split",
    "preset",
    "model",
    "seed",
    "run_id",
    "horizon",
    "eval_dataset_digest",
)


def append_rows(path: Path, rows: Iterable[RunRow]) -> None:
    """Adds rows to a result table, or replaces those of the same run, horizon, data and configuration.

    Safe with many processes, and if one is killed: see `merge_rows`.

    Args:
        path: The table; it and its folder are created if missing.
        rows: What to add.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    merge_rows(path, RunRow, "runs", rows, key=KEY, order=_ROW_ORDER)


def read_runs(path: Path) -> pd.DataFrame:
    """Reads and checks a result table.

    Args:
        path: The table, as `append_rows` writes it.

    Returns:
        One row per run and horizon with the columns `COLUMNS`, as `pandas.read_csv(path)` gives them.

    Raises:
        ResultsError: There is no such file, it is not such a table, or it has a result twice.
    """
    return frame_of(read_run_rows(path), RunRow)


def read_run_rows(path: Path) -> list[RunRow]:
    """Reads and checks a result table, as rows.

    Raises:
        ResultsError: There is no such file, it is not such a table, or it has a result twice.
    """
    if not path.exists():
        raise ResultsError(f"no results at {path}; `sen-bench run TASK` writes them")
    rows = read_rows(path, RunRow, "runs")
    lines: dict[tuple[Any, ...], int] = {}
    for line, row in enumerate(rows, start=2):
        # As happens when both sides of a merge conflict are kept; it would count as two runs.
        if (first := lines.setdefault(values(row, KEY), line)) != line:
            raise ResultsError(
                f"{path}: line {line} has the result of line {first} again; remove one of them"
            )
    return rows
