"""The leaderboard: statistics over seeds of the scores in a table of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from sen_bench.results.rows import GROUP
from sen_bench.results.scores import AVERAGED, COMPARED, Metric
from sen_bench.results.statistics import UNKNOWN, summarise

if TYPE_CHECKING:
    import pandas as pd

STATISTICS: Final = ("mean", "std", "iqm", "iqm_low", "iqm_high")
"""What the leaderboard holds of each score, as `…_mean` and so on."""

ReferenceModel: TypeAlias = Callable[[str], str | None]
"""Names the model that the others of a task are compared with, its symmetric embedding network; None: none.

It is handed in, so that tables need no tasks. `sen_bench.tasks.reference_model` knows the installed ones."""

Record: TypeAlias = dict[str, Any]
"""A row of the leaderboard by column. What is undefined is NaN; what does not apply, as the number of runs
behind a published number, is None."""

_PEERS: Final = tuple(name for name in GROUP if name not in {"model", "config_digest"})


def aggregate(runs: pd.DataFrame, reference_model: ReferenceModel) -> pd.DataFrame:
    """Summarises runs over seeds.

    Runs of different data, configuration, horizon or number of evaluation episodes are never averaged. A
    collapsed run counts like any other.

    Args:
        runs: From `read_runs`.
        reference_model: Names the symmetric embedding network of each task.

    Returns:
        One row a group, in the order of `GROUP`: the columns of `GROUP`; `runs` and `seeds`, how many runs
        there are and how many different seeds; `collapsed`, how many of the runs collapsed; `restarts`,
        their sum; for each of `AVERAGED` the `STATISTICS` of `summarise` (empty where it has NaN); for each
        of `COMPARED` `…_vs_sen`, the relation to the symmetric embedding network; `parameters`; the mean
        `train_seconds`, `eval_seconds` and `transitions_seen` of a run; the different `devices`,
        `precisions` and `versions` of the runs, joined by semicolons; and `external`, how many of them are
        of weights that were trained elsewhere.

        A row is compared with that of its task's reference model in which all of `GROUP` but model and
        configuration is equal, the most epochs and the precision too, if there is exactly one such row.
        `…_vs_sen` is empty in that row itself, where there is none, or where one of the two has no interval.
    """
    import pandas as pd  # noqa: PLC0415 — tables are listed without it

    rows: list[dict[str, Any]] = runs.to_dict("records")  # type: ignore[assignment]
    return pd.DataFrame(aggregate_rows(rows, reference_model), columns=list(LEADERBOARD_COLUMNS))


def aggregate_rows(runs: Iterable[Mapping[str, Any]], reference_model: ReferenceModel) -> list[Record]:
    """Summarises runs over seeds as `aggregate` does, without pandas, which takes half a second to import.

    Args:
        runs: The columns of each row of the table of runs.
        reference_model: Names the symmetric embedding network of each task.

    Returns:
        The rows of `aggregate`.
    """
    together: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in runs:
        together.setdefault(tuple(run[name] for name in GROUP), []).append(run)
    groups = [_ComparableRuns(key, rows) for key, rows in sorted(together.items(), key=lambda item: item[0])]
    names = {task: reference_model(task) for task in {str(group.key["task"]) for group in groups}}
    return [group.row(_reference(group, groups, names[group.key["task"]])) for group in groups]


def metric_columns(metric: Metric) -> list[str]:
    """The columns that the leaderboard has for a score."""
    columns = [f"{metric.name}_{statistic}" for statistic in STATISTICS]
    return [*columns, f"{metric.name}_vs_sen"] if metric in COMPARED else columns


def _score_columns(*, place: object) -> list[str]:
    """The columns of all scores that stand at a place of the table: a value of `Metric.appended`."""
    return [column for metric in AVERAGED if metric.appended == place for column in metric_columns(metric)]


LEADERBOARD_COLUMNS: Final = (
    *GROUP,
    "runs",
    "seeds",
    "collapsed",
    "restarts",
    *_score_columns(place=False),
    "parameters",
    "train_seconds",
    "eval_seconds",
    "transitions_seen",
    "devices",
    "precisions",
    "versions",
    *_score_columns(place="before external"),
    "external",
    *_score_columns(place="last"),
)
"""Columns of `leaderboard.csv`, in their order."""


class _ComparableRuns:
    """Runs that may be averaged, and the statistics of their scores."""

    def __init__(self, key: tuple[Any, ...], runs: Sequence[Mapping[str, Any]]) -> None:
        self.key = dict(zip(GROUP, key, strict=True))
        # Presets may change and keep their name; models trained alike have the same epochs and precision.
        recipe = (max(run["epochs"] for run in runs), *sorted({run["precision"] for run in runs}))
        self.peers = (*(self.key[name] for name in _PEERS), *recipe)
        self._runs = runs
        self.summaries = {metric.name: summarise([run[metric.name] for run in runs]) for metric in AVERAGED}

    def row(self, reference: _ComparableRuns | None) -> Record:
        """The row of the leaderboard, compared with a reference if there is one."""
        runs = self._runs
        row: Record = dict(self.key)
        row["runs"] = len(runs)
        row["seeds"] = len({run["seed"] for run in runs})
        row["collapsed"] = sum(bool(run["collapsed"]) for run in runs)
        row["restarts"] = sum(int(run["restarts"]) for run in runs)
        row["external"] = sum(isinstance(run["external"], str) for run in runs)
        for name, summary in self.summaries.items():
            row[f"{name}_mean"], row[f"{name}_std"] = summary.mean, summary.std
            row[f"{name}_iqm"] = summary.iqm
            row[f"{name}_iqm_low"], row[f"{name}_iqm_high"] = summary.interval.low, summary.interval.high
        for metric in COMPARED:
            mine = self.summaries[metric.name].interval
            other = UNKNOWN if reference is None else reference.summaries[metric.name].interval
            relation = mine.relation(other, higher_is_better=bool(metric.higher_is_better))
            row[f"{metric.name}_vs_sen"] = relation or math.nan
        row["parameters"] = int(runs[0]["parameters"])
        for cost in ("train_seconds", "eval_seconds", "transitions_seen"):
            row[cost] = float(np.mean([float(run[cost]) for run in runs]))
        for name in ("device", "precision", "version"):
            row[f"{name}s"] = ";".join(sorted({run[name] for run in runs}))
        return row


def _reference(
    group: _ComparableRuns, groups: list[_ComparableRuns], model: str | None
) -> _ComparableRuns | None:
    """The group of the reference model that a group is compared with, if there is just one and not itself."""
    found = [other for other in groups if other.peers == group.peers and other.key["model"] == model]
    return found[0] if len(found) == 1 and found[0] is not group else None


def model_title(row: Mapping[Any, Any]) -> str:
    """What the model of a row of the leaderboard is called where people read it: ``sen (external)``."""
    return f"{row['model']} (external)" if row.get("external") else str(row["model"])
