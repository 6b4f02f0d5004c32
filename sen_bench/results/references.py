"""What scores are worth, `references.csv`: chance, no change and perfect prediction of exact latents."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import (
    Count,
    Digest,
    Share,
    ShareIfAny,
    Text,
    frame_of,
    merge_rows,
    read_rows,
)

if TYPE_CHECKING:
    import pandas as pd


class ReferenceRow(BaseModel):
    """A reference at one horizon: the one definition of the columns of `references.csv`, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Text = Field(description="Task, as `sen-bench tasks` lists it")
    reference: Literal["chance", "no-change", "perfect"] = Field(
        description="Who predicts: `chance`, `no-change` or `perfect`"
    )
    horizon: Annotated[int, Field(ge=1)] = Field(description="Steps predicted ahead")
    latents: Text = Field(description="What the exact latents are made of")
    hits_at_1: Share = Field(description="H@1, as in `runs.csv`")
    hits_at_5: Share = Field(description="H@5, as in `runs.csv`")
    hits_at_10: Share = Field(description="H@10, as in `runs.csv`")
    mrr: Share = Field(description="MRR, as in `runs.csv`")
    hh_at_1: ShareIfAny = Field(description="HH@1, as in `runs.csv`; empty without negatives, and of chance")
    local_hits_at_1: ShareIfAny = Field(description="Local H@1, as in `runs.csv`")
    local_mrr: ShareIfAny = Field(description="Local MRR, as in `runs.csv`")
    eval_episodes: Count = Field(description="Episodes ranked, N")
    eval_dataset_digest: Digest = Field(description="Content digest of the evaluation data")
    hh_at_1_without_first: ShareIfAny = Field(
        default=math.nan,
        description="HH@1 without s, as in `runs.csv`; empty where HH@1 is",
    )
    th_at_1_yaw: ShareIfAny = Field(default=math.nan, description="TH@1 yaw, as in `runs.csv`")
    th_at_1_pitch: ShareIfAny = Field(default=math.nan, description="TH@1 pitch, as in `runs.csv`")
    th_at_1_roll: ShareIfAny = Field(default=math.nan, description="TH@1 roll, as in `runs.csv`")


ReferencePlace: TypeAlias = tuple[str, int, str]
"""Task, horizon and digest of the evaluation data."""

REFERENCE_KEY: Final = ("task", "horizon", "reference")
"""What makes two rows the same reference; the later one replaces the earlier. Also the order of the rows."""


def append_references(path: Path, rows: Iterable[ReferenceRow]) -> None:
    """Adds references to a table, in place of older ones of the same task and horizon.

    Args:
        path: The table, `results/references.csv`; it and its folder are made where missing.
        rows: What to add.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    merge_rows(path, ReferenceRow, "references", rows, key=REFERENCE_KEY, order=REFERENCE_KEY)


def read_exact_no_change(path: Path) -> dict[ReferencePlace, ReferenceRow]:
    """What predicting no change scores on exact latents.

    Args:
        path: The table, as `append_references` writes it; it may be missing.

    Returns:
        The rows of `no-change`, by task, horizon and digest of the evaluation data; none without a table.

    Raises:
        ResultsError: The file is not such a table.
    """
    rows = read_rows(path, ReferenceRow, "references") if path.exists() else []
    return {
        (row.task, row.horizon, row.eval_dataset_digest): row for row in rows if row.reference == "no-change"
    }


def read_references(path: Path) -> pd.DataFrame:
    """Reads and checks a table of references.

    Args:
        path: The table, as `append_references` writes it.

    Returns:
        One row a task, horizon and reference, as `pandas.read_csv(path)` has them.

    Raises:
        ResultsError: There is no such file, or it is not such a table.
    """
    if not path.exists():
        raise ResultsError(f"no references at {path}; `sen-bench references STORE` writes them")
    return frame_of(read_rows(path, ReferenceRow, "references"), ReferenceRow)
