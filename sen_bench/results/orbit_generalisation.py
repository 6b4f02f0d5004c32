"""What models know of the orbit of which they saw a slice: the tables of a study."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from sen_bench.results.csv_tables import (
    Count,
    Digest,
    DigestIfAny,
    Ratio,
    Share,
    ShareIfAny,
    Text,
    merge_rows,
    read_rows,
    values,
)
from sen_bench.results.scores import METRICS, SHOWN
from sen_bench.results.study_tables import (
    Collapsed,
    ConfigDigest,
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
    config_digest: ConfigDigest = None


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
    scores_digest: DigestIfAny = Field(
        default=None,
        description="Digest of the scores of the run in `runs.csv`, which tell its weights from those of"
        " another training; empty in rows that were written before it was recorded",
    )


ORBIT_SCORES: Final = tuple(metric for metric in SHOWN if metric.name in OrbitRunRow.model_fields)
"""The scores that classes of transitions have."""

ORBIT_RUN_KEY: Final = ("run_id", "config_digest", "train_dataset_digest", "eval_dataset_digest")
"""What makes scores by class those of the same run, as far as names, settings and data tell."""

_ORDER: Final = ("task", "train_split", "model", "preset", "seed", "config_digest", "eval_dataset_digest")


def append_orbit_runs(path: Path, rows: Iterable[OrbitRunRow]) -> None:
    """Adds what runs score on classes of transitions to a table, in place of all older rows of these runs.

    Args:
        path: The table, `orbit.csv`; it and its folder are made where missing.
        rows: What to add, the classes of a run in their order.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    merge_rows(path, OrbitRunRow, "scores by class", rows, key=ORBIT_RUN_KEY, order=_ORDER)


def read_orbit_runs(path: Path) -> list[OrbitRunRow]:
    """Reads and checks such a table; no rows if there is no such file.

    Raises:
        ResultsError: The file is not such a table.
    """
    return read_rows(path, OrbitRunRow, "scores by class") if path.exists() else []


# Every row of a run has these, in all versions: they have no defaults.
_RECORDED: Final = (*(metric.name for metric in METRICS if not metric.appended), "collapsed")


def scores_digest(recorded: Iterable[Mapping[str, Any]]) -> str:
    """The digest of what a run scored: another training, whose weights differ, gives another one.

    Args:
        recorded: The rows of the run in the table of runs, of all horizons, by their columns.
    """
    scored = sorted((int(row["horizon"]), *(float(row[name]) for name in _RECORDED)) for row in recorded)
    return f"sha256:{hashlib.sha256(repr(scored).encode()).hexdigest()}"


def classes_of_run(
    classes: Iterable[OrbitRunRow], recorded: Sequence[Mapping[str, Any]]
) -> list[OrbitRunRow]:
    """The scores by class that belong to the weights which a run is recorded with.

    Those of an earlier training of the same run are not among them, as they are left by a process that was
    killed after it had recorded the later one. Rows without a digest are taken if all of them together score
    what the run does one step ahead, or if it was not scored there.

    Args:
        classes: Rows of `orbit.csv`, of any runs.
        recorded: The rows of the run in the table of runs, of all horizons, by their columns.

    Returns:
        A row a class, in their order; none where there are no such scores.
    """
    if not recorded:
        return []
    identity = tuple(recorded[0][name] for name in ORBIT_RUN_KEY)
    own = [row for row in classes if values(row, ORBIT_RUN_KEY) == identity]
    digest = scores_digest(recorded)
    marked = [row for row in own if row.scores_digest == digest]
    unmarked = [row for row in own if row.scores_digest is None]
    return marked or (unmarked if unmarked and _make_up(unmarked, recorded) else [])


def _make_up(classes: Sequence[OrbitRunRow], recorded: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the classes together have the H@1 of the whole."""
    hits = sum(row.transitions * row.hits_at_1 for row in classes)
    total = sum(row.transitions for row in classes)
    whole = [row["hits_at_1"] for row in recorded if row["horizon"] == 1]
    return all(math.isclose(hits, total * each, rel_tol=1e-9, abs_tol=1e-9) for each in whole)


def orbit_rows(runs: Sequence[OrbitRunRow], *, first: str | None = None) -> list[OrbitRow]:
    """The table of a study: a row for each model, class and score.

    Args:
        runs: What every run scores on every class, of one task, split and preset, in any order.
        first: The model that comes first, if it is among them.

    Returns:
        The rows, the other models in alphabetical order and the nearest class first, without scores that are
        undefined for all transitions of a class.
    """
    groups: dict[tuple[str, str], list[OrbitRunRow]] = {}
    for run in runs:
        groups.setdefault((run.model, run.orbit_class), []).append(run)
    rows = []
    for unordered in sorted(groups.values(), key=lambda group: _place(group[0], first)):
        # A sum of floating-point numbers depends on their order.
        group = sorted(unordered, key=lambda run: run.seed)
        one = group[0]
        for metric in ORBIT_SCORES:
            statistics = score_statistics([getattr(run, metric.name) for run in group])
            if math.isnan(statistics["mean"]):
                continue
            unchanged = [_no_change(run, metric.name) for run in group]
            rows.append(
                OrbitRow(
                    task=one.task,
                    train_split=one.train_split,
                    preset=one.preset,
                    model=one.model,
                    orbit_class=one.orbit_class,
                    distance_low=one.distance_low,
                    distance_high=one.distance_high,
                    transitions=one.transitions,
                    metric=metric.name,
                    **statistics,
                    collapsed=sum(run.collapsed for run in group),
                    no_change=sum(unchanged) / len(unchanged),
                    train_dataset_digest=one.train_dataset_digest,
                    eval_dataset_digest=one.eval_dataset_digest,
                    config_digest=one.config_digest,
                )
            )
    return rows


def _place(row: OrbitRunRow, first: str | None) -> tuple[bool, str, float]:
    """What rows are ordered by: the model, then the distance from the slice, beyond the orbit last."""
    return row.model != first, row.model, math.inf if math.isnan(row.distance_high) else row.distance_high


def _no_change(run: OrbitRunRow, metric: str) -> float:
    """What predicting no change scores; the relative error is its own, divided by itself."""
    return 1.0 if metric == "relative_error" else float(getattr(run, f"no_change_{metric}"))
