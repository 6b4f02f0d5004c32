"""The learning curves of recorded runs, `curves.csv`: their logs, thinned to what a plot can show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import (
    Amount,
    Count,
    CountIfAny,
    Digest,
    Text,
    frame_of,
    merge_rows,
    read_rows,
    values,
)
from sen_bench.results.rows import RunRow

if TYPE_CHECKING:
    import pandas as pd

POINTS: Final = 100
"""The most points that a run has. A longer log is cut into stretches, each the mean of its steps."""

_DIGITS: Final = 6

_LOSSES: Final = ("loss", "positive", "negative", "separation")


class CurveRow(BaseModel):
    """A stretch of a run's training: the one definition of the columns of `curves.csv`, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: Text = Field(description="Name of the run, as in `runs.csv`")
    train_dataset_digest: Digest = Field(description="As in `runs.csv`")
    config_digest: Digest = Field(description="As in `runs.csv`")
    attempt: Count = Field(description="Restarts because of a collapse before it")
    epoch: Annotated[int, Field(ge=1)] = Field(description="Epoch of the attempt that the stretch ends in")
    step: Annotated[int, Field(ge=1)] = Field(description="Optimiser steps of the attempt to its end")
    transitions: CountIfAny = Field(
        description="Transitions seen to its end, by all attempts; empty where the log has none"
    )
    loss: Amount = Field(description="Mean loss of the steps of the stretch")
    positive: Amount = Field(description="Its term of predictions and true latents")
    negative: Amount = Field(description="Its term of random pairs of latents, the hinge")
    separation: Amount = Field(description="Mean energy of those pairs")


CURVE_COLUMNS: Final = tuple(CurveRow.model_fields)
"""Columns of `curves.csv`, in their order."""

CURVE_KEY: Final = ("run_id", "train_dataset_digest", "config_digest")
"""What makes two rows parts of the same curve; the later curve replaces the earlier."""

_ROW_ORDER: Final = (*CURVE_KEY, "attempt", "step")


def curve_of(run: RunRow, lines: Sequence[dict[str, Any]]) -> list[CurveRow]:
    """The learning curve of a run.

    Args:
        run: A row of the run.
        lines: Its metrics log, as `sen_bench.training.read_metrics` returns it.

    Returns:
        At most `POINTS` rows: the means in the log if there are no more of them, else means of stretches of
        the log, weighted by steps. No stretch extends over a restart. Lines that are left over at the end of
        an attempt join its last stretch: a mean over a few steps would stand out as if training had changed.
    """
    logged = [line for line in lines if line["event"] == "steps"]
    attempts = [
        [line for line in logged if line["attempt"] == number]
        for number in sorted({line["attempt"] for line in logged})
    ]
    size = 1
    while sum(math.ceil(len(attempt) / size) for attempt in attempts) > max(POINTS, len(attempts)):
        size += 1
    identity = {name: getattr(run, name) for name in CURVE_KEY}
    return [CurveRow(**identity, **stretch) for attempt in attempts for stretch in _stretches(attempt, size)]


def _stretches(lines: Sequence[dict[str, Any]], size: int) -> Iterator[dict[str, Any]]:
    """Means of `size` lines of an attempt at a time; the last one is of those that are left over, too."""
    ends = np.array([line["step"] for line in lines])
    steps = np.diff(ends, prepend=0)
    count = max(len(lines) // size, 1)
    for number in range(count):
        stretch = slice(number * size, None if number + 1 == count else (number + 1) * size)
        part, weights = lines[stretch], steps[stretch]
        means = {name: np.average([line[name] for line in part], weights=weights) for name in _LOSSES}
        yield {
            "attempt": part[-1]["attempt"],
            "epoch": part[-1]["epoch"],
            "step": part[-1]["step"],
            "transitions": part[-1].get("samples"),
            **{name: float(f"{mean:.{_DIGITS}g}") for name, mean in means.items()},
        }


def record_curve(path: Path, run: RunRow, lines: Sequence[dict[str, Any]]) -> None:
    """Puts the learning curve of a run into a table, replacing an older one of the same data and settings.

    Args:
        path: The table, `results/curves.csv`; it and its folder are created if missing.
        run: A row of the run.
        lines: Its metrics log.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    append_curves(path, curve_of(run, lines), also=[values(run, CURVE_KEY)])


def append_curves(path: Path, rows: Iterable[CurveRow], *, also: Iterable[tuple[Any, ...]] = ()) -> None:
    """Puts whole learning curves into a table, replacing older ones of the same runs, data and settings.

    Safe with many processes, and if one is killed: see `merge_rows`.

    Args:
        path: The table, `results/curves.csv`; it and its folder are created if missing.
        rows: The curves.
        also: By `CURVE_KEY`, runs whose older curves are removed even if there is no new one.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    merge_rows(path, CurveRow, "learning curves", rows, key=CURVE_KEY, order=_ROW_ORDER, also=also)


def read_curves(path: Path) -> pd.DataFrame:
    """Reads and checks a table of learning curves.

    Args:
        path: The table, as `record_curve` writes it.

    Returns:
        One row per run and stretch with the columns `CURVE_COLUMNS`, as `pandas.read_csv(path)` gives them.

    Raises:
        ResultsError: There is no such file, or it is not such a table.
    """
    return frame_of(read_curve_rows(path), CurveRow)


def read_curve_rows(path: Path) -> list[CurveRow]:
    """Reads and checks a table of learning curves, as rows.

    Raises:
        ResultsError: There is no such file, or it is not such a table.
    """
    if not path.exists():
        raise ResultsError(f"no learning curves at {path}; `sen-bench run TASK` writes them")
    return read_rows(path, CurveRow, "learning curves")
