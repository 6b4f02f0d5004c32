"""The numbers that the paper published, `published.csv`, to compare your own results with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import (
    Amount,
    Ratio,
    Text,
    TextIfAny,
    empty_is_none,
    frame_of,
    read_rows,
    values,
)
from sen_bench.results.scores import AVERAGED

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED_CSV: Final = Path(__file__).with_name("published.csv")
"""The table that comes with the package; `results/published.csv` of the repository is a link to it."""

_METRICS: Final = {metric.name: metric for metric in AVERAGED}

Normalisation: TypeAlias = Literal["mean norm", "undivided", "unclear"]
"""What an error was divided by. "unclear": formulas divide by nothing, the public code by the mean norm."""


class PublishedRow(BaseModel):
    """One published number: the one definition of the columns of `published.csv`, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Text = Field(description="Task, as `sen-bench tasks` lists it")
    train_split: Text = Field(description="Split trained on")
    model: Text = Field(description="Model, as `sen-bench models` lists it")
    metric: Text = Field(description="Metric, as the columns of `runs.csv` are called, in the same unit")
    horizon: Annotated[int, Field(ge=1)] = Field(description="Steps predicted ahead, as published")
    mean: Amount = Field(description="Mean over seeds; of shares, not per cent")
    std: Ratio = Field(description="Standard deviation over seeds; empty where none is given")
    source: Text = Field(description="Where it was published")
    note: TextIfAny = Field(description="What to know before comparing with it")
    normalisation: Annotated[Normalisation | None, BeforeValidator(empty_is_none)] = Field(
        default=None,
        description="What an error was divided by: `mean norm`, `undivided` or `unclear`; empty for scores",
    )

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, value: str) -> str:
        if value not in _METRICS:
            raise ValueError(f"{value!r} is not a metric; there are {', '.join(_METRICS)}")
        return value

    @field_validator("mean")
    @classmethod
    def _check_share(cls, value: float, info: ValidationInfo) -> float:
        metric = _METRICS.get(info.data.get("metric", ""))
        if metric is not None and metric.is_share and value > 1:
            raise ValueError("must be a share of at most 1, not per cent")
        return value


def read_published(path: Path = PUBLISHED_CSV) -> pd.DataFrame:
    """Reads and checks a table of published numbers.

    Args:
        path: The table; by default the one that comes with the package.

    Returns:
        One row a task, training split, model, metric, horizon and source, as `pandas.read_csv(path)` has
        them. Where several sources have a number, the row that comes first is what counts.

    Raises:
        ResultsError: There is no such file, it is not such a table, or it holds a number twice.
    """
    return frame_of(read_published_rows(path), PublishedRow)


def read_published_rows(path: Path = PUBLISHED_CSV) -> list[PublishedRow]:
    """Reads and checks a table of published numbers, as rows.

    Raises:
        ResultsError: As `read_published` has it.
    """
    rows = read_rows(path, PublishedRow, "published numbers")
    seen = set()
    for row in rows:
        place = values(row, ("task", "train_split", "model", "metric", "horizon", "source"))
        if place in seen:
            raise ResultsError(f"{path} has {row.metric} of {row.model} on {row.task} twice")
        seen.add(place)
    return rows
