"""The result tables: a row for each run and horizon in `runs.csv`, their statistics in `leaderboard.csv`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from sen_bench.errors import ExtensionError, ResultsError
from sen_bench.statistics import UNKNOWN, summarise
from sen_bench.tables import (
    Amount,
    Count,
    Digest,
    DigestIfAny,
    Ratio,
    Share,
    ShareIfAny,
    Text,
    frame_of,
    locked,
    merge_rows,
    read_rows,
    values,
    write_table,
)


class RunRow(BaseModel):
    """One run at one horizon: the one definition of the columns of `runs.csv`, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: Text = Field(description="Name of the run: its folder")
    task: Text = Field(description="Task, as `sen-bench tasks` lists it")
    train_split: Text = Field(description="Split trained on: `train`, or `train-limited` for fewer actions")
    model: Text = Field(
        description="`sen`, `full`, `none` (3D Teapot: `matmul`, `tfn`, `none`), or a model of your own"
    )
    preset: Text = Field(description="Preset the run was configured by: `paper`, `cpu`, `smoke` or your own")
    seed: Count = Field(description="Seed the run was asked for; a restart trains with one derived from it")
    horizon: Annotated[int, Field(ge=1)] = Field(description="Steps predicted ahead")
    hits_at_1: Share = Field(description="H@1: share of true latents whose prediction ranks first")
    hits_at_5: Share = Field(description="H@5: share ranked fifth or better")
    hits_at_10: Share = Field(description="H@10: share ranked tenth or better")
    mrr: Share = Field(description="Mean of 1 / rank, over all evaluation episodes")
    hits_at_1_optimistic: Share = Field(description="H@1 with the public code's tie rule; not for comparison")
    mrr_optimistic: Share = Field(description="MRR with the public code's tie rule; not for comparison")
    hh_at_1: ShareIfAny = Field(
        description="HH@1: share of predictions nearer to the truth than to any negative"
    )
    ee_embedding: Ratio = Field(description="EE(S): equivariance error of the embedding network")
    ee_latent: Ratio = Field(
        description="EE(E∘S): equivariance error of the latents, where E and T are equivariant"
    )
    die_embedding: Ratio = Field(description="DIE(S): distance invariance error of the embedding network")
    die_model: Ratio = Field(description="DIE(model): distance invariance error of the predictions")
    relative_error: Ratio = Field(
        description="RMS error of the predictions, relative to that of predicting no change"
    )
    latent_spread: Amount = Field(description="RMS distance of the true latents from their mean")
    separation: Share = Field(description="Mean over random pairs of latents of min(1, energy / margin)")
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

HIGHER_IS_BETTER: Final = {
    "hits_at_1": True,
    "hits_at_5": True,
    "hits_at_10": True,
    "mrr": True,
    "hh_at_1": True,
    "ee_embedding": False,
    "ee_latent": False,
    "die_embedding": False,
    "die_model": False,
    "relative_error": False,
}
"""Metrics by which models are compared, and whether a higher score is the better one."""

METRICS: Final = (*HIGHER_IS_BETTER, "latent_spread")
"""Metrics of which the leaderboard holds statistics over runs; the spread is neither good nor bad."""

STATISTICS: Final = ("mean", "std", "iqm", "iqm_low", "iqm_high")
"""What the leaderboard holds of each metric, as `…_mean` and so on."""

_PEERS: Final = tuple(name for name in GROUP if name not in {"model", "config_digest"})

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
        path: The table; it and its folder are made where missing.
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
        One row a run and horizon with the columns `COLUMNS`, as `pandas.read_csv(path)` has them.

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
        # As when both sides of a version control's conflict are kept; it would count as two runs.
        if (first := lines.setdefault(values(row, KEY), line)) != line:
            raise ResultsError(
                f"{path}: line {line} has the result of line {first} again; remove one of them"
            )
    return rows


def aggregate(runs: pd.DataFrame) -> pd.DataFrame:
    """Summarises runs over seeds.

    Runs of different data, configuration, horizon or number of evaluation episodes are never averaged. A
    collapsed run counts like any other.

    Args:
        runs: Of `read_runs`.

    Returns:
        One row a group, in the order of `GROUP`: the columns of `GROUP`; `runs` and `seeds`, how many runs
        there are and how many different seeds; `collapsed`, how many of the runs collapsed; `restarts`,
        their sum; for each of `METRICS` the `STATISTICS` of `summarise` (empty where it has NaN); for each of
        `HIGHER_IS_BETTER` `…_vs_sen`, the relation to the symmetric embedding network; `parameters`; the
        mean `train_seconds`, `eval_seconds` and `transitions_seen` of a run; and the different `devices`,
        `precisions` and `versions` of the runs, joined by semicolons.

        The symmetric embedding network is the first of the task's `symmetric_models`, if all of `GROUP` but
        model and configuration is equal, the most epochs and the precision too, and it has one such row.
        `…_vs_sen` is empty in that row itself, where there is none, or where one of the two has no interval.
    """
    groups = [_Group(key, rows) for key, rows in runs.groupby(list(GROUP), sort=True)]
    headlines = {task: _headline(str(task)) for task in runs["task"].unique()}
    table = [group.row(_rival(group, groups, headlines[group.key["task"]])) for group in groups]
    return pd.DataFrame(table, columns=list(LEADERBOARD_COLUMNS))


LEADERBOARD_COLUMNS: Final = (
    *GROUP,
    "runs",
    "seeds",
    "collapsed",
    "restarts",
    *(
        f"{metric}_{statistic}"
        for metric in METRICS
        for statistic in (*STATISTICS, *(["vs_sen"] if metric in HIGHER_IS_BETTER else []))
    ),
    "parameters",
    "train_seconds",
    "eval_seconds",
    "transitions_seen",
    "devices",
    "precisions",
    "versions",
)
"""Columns of `leaderboard.csv`, in their order."""


class _Group:
    """Runs that may be averaged, and the statistics of their scores."""

    def __init__(self, key: tuple[Any, ...], runs: pd.DataFrame) -> None:
        self.key = dict(zip(GROUP, key, strict=True))
        # Presets change under their name; models of one recipe have as many epochs and the same precision.
        recipe = (runs["epochs"].max(), *sorted(runs["precision"].unique()))
        self.peers = (*(self.key[name] for name in _PEERS), *recipe)
        self._runs = runs
        self.summaries = {metric: summarise(runs[metric]) for metric in METRICS}

    def row(self, rival: _Group | None) -> dict[str, Any]:
        """The row of the leaderboard, compared with a rival where there is one."""
        runs = self._runs
        row: dict[str, Any] = dict(self.key)
        row["runs"] = len(runs)
        row["seeds"] = runs["seed"].nunique()
        row["collapsed"] = int(runs["collapsed"].sum())
        row["restarts"] = int(runs["restarts"].sum())
        for metric, summary in self.summaries.items():
            row[f"{metric}_mean"], row[f"{metric}_std"] = summary.mean, summary.std
            row[f"{metric}_iqm"] = summary.iqm
            row[f"{metric}_iqm_low"], row[f"{metric}_iqm_high"] = summary.interval.low, summary.interval.high
        for metric, higher in HIGHER_IS_BETTER.items():
            mine = self.summaries[metric].interval
            other = UNKNOWN if rival is None else rival.summaries[metric].interval
            row[f"{metric}_vs_sen"] = mine.relation(other, higher_is_better=higher) or math.nan
        row["parameters"] = int(runs["parameters"].iloc[0])
        for cost in ("train_seconds", "eval_seconds", "transitions_seen"):
            row[cost] = float(runs[cost].mean())
        for name in ("device", "precision", "version"):
            row[f"{name}s"] = ";".join(sorted(runs[name].unique()))
        return row


def _rival(group: _Group, groups: list[_Group], headline: str | None) -> _Group | None:
    """The symmetric embedding network that a group is compared with, if there is just one and not itself."""
    found = [other for other in groups if other.peers == group.peers and other.key["model"] == headline]
    return found[0] if len(found) == 1 and found[0] is not group else None


def _headline(task: str) -> str | None:
    """The model of a task that others are compared with; none where the task is missing or broken here."""
    # Imported here and not above, because whoever only reads or adds rows has no use for PyTorch.
    from sen_bench.tasks import get_task, task_names  # noqa: PLC0415

    try:
        models = get_task(task).symmetric_models if task in task_names() else ()
    except ExtensionError:
        return None  # a plugin that is broken keeps nobody from their other results
    return models[0] if models else None


def write_leaderboard(runs_path: Path, leaderboard_path: Path) -> pd.DataFrame:
    """Writes the means over seeds of a result table.

    Args:
        runs_path: Table to read, `results/runs.csv`.
        leaderboard_path: Table to write or replace, `results/leaderboard.csv`.

    Returns:
        What was written, of `aggregate`.

    Raises:
        ResultsError: The runs cannot be read or the leaderboard cannot be written.
    """
    # Read under the lock: of two processes, the one that writes last has also read last.
    with locked(leaderboard_path):
        table = aggregate(read_runs(runs_path))
        write_table(leaderboard_path, table)
    return table
