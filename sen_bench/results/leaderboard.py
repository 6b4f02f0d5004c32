"""The result tables: a row for each run and horizon in `runs.csv`, their statistics in `leaderboard.csv`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import pandas as pd

from sen_bench.errors import ExtensionError
from sen_bench.results.csv_tables import (
    locked,
    write_table,
)
from sen_bench.results.rows import GROUP, read_runs
from sen_bench.results.statistics import UNKNOWN, summarise

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
