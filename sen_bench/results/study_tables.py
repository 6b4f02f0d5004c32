"""What the tables of studies have in common: who was studied, and the statistics of a score over runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sen_bench.results.csv_tables import (
    Count,
    Digest,
    DigestIfAny,
    Ratio,
    Text,
    frame_of,
    locked,
    read_rows,
    write_table,
)
from sen_bench.results.statistics import summarise

MetricName: TypeAlias = Annotated[Text, Field(description="The score, as `runs.csv` calls it")]
Runs: TypeAlias = Annotated[Count, Field(description="Runs, n")]
Collapsed: TypeAlias = Annotated[Count, Field(description="How many of them collapsed")]
Mean: TypeAlias = Annotated[
    Ratio, Field(description="Mean of the score over runs; empty where it is undefined")
]
Std: TypeAlias = Annotated[Ratio, Field(description="Standard deviation with n - 1; empty for one run")]
Iqm: TypeAlias = Annotated[Ratio, Field(description="Interquartile mean")]
IqmLow: TypeAlias = Annotated[
    Ratio, Field(description="Lower end of its 95 % interval; empty for fewer than three runs")
]
IqmHigh: TypeAlias = Annotated[Ratio, Field(description="Upper end of its 95 % interval")]
EvalDigest: TypeAlias = Annotated[Digest, Field(description="Content digest of the evaluation data")]
ConfigDigest: TypeAlias = Annotated[
    DigestIfAny,
    Field(description="Digest of the settings of the runs; empty in tables of earlier versions"),
]


class StudyRow(BaseModel):
    """What a row of every study begins with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Text = Field(description="Task, as `sen-bench tasks` lists it")
    train_split: Text = Field(description="Split trained on")
    preset: Text = Field(description="Preset, with settings beside it")
    model: Text = Field(description="Model")


RowT = TypeVar("RowT", bound=StudyRow)


def score_statistics(scores: Sequence[float]) -> dict[str, Any]:
    """The columns from `runs` to `iqm_high` that scores give, without `collapsed`.

    Args:
        scores: A score for each run, at least one; NaN where it is undefined, as all statistics then are.
    """
    summary = summarise(scores)
    return {
        "runs": summary.runs,
        "mean": summary.mean,
        "std": summary.std,
        "iqm": summary.iqm,
        "iqm_low": summary.interval.low,
        "iqm_high": summary.interval.high,
    }


def write_study(path: Path, rows: Iterable[RowT], kind: type[RowT]) -> None:
    """Writes the table of a study, with its digest, in place of an older one.

    Args:
        path: The table; its folder is made where missing.
        rows: What it holds.
        kind: What a row is.

    Raises:
        ResultsError: It cannot be written, or stays locked.
    """
    with locked(path):
        write_table(path, frame_of(rows, kind))


def read_study(path: Path, kind: type[RowT]) -> list[RowT]:
    """Reads and checks the table of a study.

    Args:
        path: The table, as `write_study` writes it.
        kind: What a row is.

    Raises:
        ResultsError: It cannot be read, or is not such a table.
    """
    return read_rows(path, kind, "such a study")
