"""What models know of the orbit of which they saw a slice: the tables of a study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from sen_bench.results.csv_tables import (
    Count,
    Digest,
    Ratio,
    Share,
    ShareIfAny,
    Text,
    merge_rows,
    read_rows,
)
from sen_bench.results.scores import SHOWN
from sen_bench.results.study_tables import (
    Collapsed,
    EvalDigest,
    Iqm,
    IqmHigh,
    IqmLow,
    Mean,
    MetricName,
    Runs,
    Std,
    StudyRow,
    score_statistics,
)

_CLASS: Final = (
    "Where transitions lie: `in the slice`, how far from it (`90 degrees`, `45 to 90 degrees`), or"
    " `beyond the orbit`"
)
_LOW: Final = "Degrees to the slice, from here; empty beyond the orbit"
_HIGH: Final = "Degrees to the slice, up to here; empty beyond the orbit"


class OrbitRow(StudyRow):
    """A score of a model on one class of transitions: the one definition of the columns, in their order."""

    orbit_class: Text = Field(description=_CLASS)
    distance_low: Ratio = Field(description=_LOW)
    distance_high: Ratio = Field(description=_HIGH)
    transitions: Count = Field(description="Evaluation transitions in the class")
    metric: MetricName
    runs: Runs
    collapsed: Collapsed
    mean: Mean
    std: Std
    iqm: Iqm
    iqm_low: IqmLow
    iqm_high: IqmHigh
    no_change: Ratio = Field(
        description="Mean over the same runs of the score of predicting that nothing changes"
    )
    train_dataset_digest: Digest = Field(description="Content digest of the slice")
    eval_dataset_digest: EvalDigest


class OrbitRunRow(BaseModel):
    """A run on one class of transitions: the one definition of the columns of `orbit.csv`, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: Text = Field(description="Name of the run, as in `runs.csv`")
    task: Text = Field(description="As in `runs.csv`")
    train_split: Text = Field(description="As in `runs.csv`")
    model: Text = Field(description="As in `runs.csv`")
    preset: Text = Field(description="As in `runs.csv`")
    seed: Count = Field(description="As in `runs.csv`")
    orbit_class: Text = Field(description=_CLASS)
    distance_low: Ratio = Field(description=_LOW)
    distance_high: Ratio = Field(description=_HIGH)
    transitions: Count = Field(description="Evaluation transitions in the class")
    hits_at_1: Share = Field(description="H@1 of these transitions, among the predictions of all")
    mrr: Share = Field(description="MRR, likewise")
    hh_at_1: ShareIfAny = Field(description="HH@1; empty without negatives")
    relative_error: Ratio = Field(
        description="Error of their predictions over that of no change (RMS); empty where nothing changes"
    )
    no_change_hits_at_1: Share = Field(description="H@1 of predicting that nothing changes")
    no_change_mrr: Share = Field(description="MRR of predicting that nothing changes")
    no_change_hh_at_1: ShareIfAny = Field(description="HH@1 of predicting that nothing changes")
    collapsed: bool = Field(description="Whether the encoder has collapsed")
    train_dataset_digest: Digest = Field(description="As in `runs.csv`")
    eval_dataset_digest: Digest = Field(description="As in `runs.csv`")
    config_digest: Digest = Field(description="As in `runs.csv`")
    version: Text = Field(description="Version of sen-bench")
    torch_version: Text = Field(description="Version of PyTorch")


ORBIT_SCORES: Final = tuple(metric for metric in SHOWN if metric.name in OrbitRunRow.model_fields)
"""The scores that classes of transitions have."""

_KEY: Final = (
    "run_id",
    "config_digest",
    "train_dataset_digest",
    "eval_dataset_digest",
    "orbit_class",
)
_ORDER: Final = ("task", "train_split", "model", "preset", "seed", "config_digest", "eval_dataset_digest")


def append_orbit_runs(path: Path, rows: Iterable[OrbitRunRow]) -> None:
    """Adds what runs score on classes of transitions to a table, in place of older rows of the same.

    Args:
        path: The table, `orbit.csv`; it and its folder are made where missing.
        rows: What to add, the classes of a run in their order.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    merge_rows(path, OrbitRunRow, "scores by class", rows, key=_KEY, order=_ORDER)


def read_orbit_runs(path: Path) -> list[OrbitRunRow]:
    """Reads and checks such a table; no rows if there is no such file.

    Raises:
        ResultsError: The file is not such a table.
    """
    return read_rows(path, OrbitRunRow, "scores by class") if path.exists() else []


def orbit_rows(runs: Sequence[OrbitRunRow]) -> list[OrbitRow]:
    """The table of a study: a row for each model, class and score.

    Args:
        runs: What every run scores on every class, of one task, split and preset.

    Returns:
        The rows, models in the order in which they come and the nearest class first, without scores that are
        undefined for all transitions of a class.
    """
    groups: dict[tuple[str, str], list[OrbitRunRow]] = {}
    for run in runs:
        groups.setdefault((run.model, run.orbit_class), []).append(run)
    models = list(dict.fromkeys(run.model for run in runs))
    rows = []
    for group in sorted(groups.values(), key=lambda group: (models.index(group[0].model), _far(group[0]))):
        first = group[0]
        for metric in ORBIT_SCORES:
            statistics = score_statistics([getattr(run, metric.name) for run in group])
            if math.isnan(statistics["mean"]):
                continue
            unchanged = [_no_change(run, metric.name) for run in group]
            rows.append(
                OrbitRow(
                    task=first.task,
                    train_split=first.train_split,
                    preset=first.preset,
                    model=first.model,
                    orbit_class=first.orbit_class,
                    distance_low=first.distance_low,
                    distance_high=first.distance_high,
                    transitions=first.transitions,
                    metric=metric.name,
                    **statistics,
                    collapsed=sum(run.collapsed for run in group),
                    no_change=sum(unchanged) / len(unchanged),
                    train_dataset_digest=first.train_dataset_digest,
                    eval_dataset_digest=first.eval_dataset_digest,
                )
            )
    return rows


def _far(row: OrbitRunRow) -> float:
    """What classes are ordered by: the distance from the slice, and beyond the orbit last."""
    return math.inf if math.isnan(row.distance_high) else row.distance_high


def _no_change(run: OrbitRunRow, metric: str) -> float:
    """What predicting no change scores; the relative error is its own, divided by itself."""
    return 1.0 if metric == "relative_error" else float(getattr(run, f"no_change_{metric}"))
