"""The table of runs, `runs.csv`: a row for each run and horizon."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

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
    say,
    values,
)
from sen_bench.results.scores import METRICS, Metric

if TYPE_CHECKING:
    import pandas as pd


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


class _Origin(BaseModel):
    """Where the weights are from."""

    external: DigestIfAny = Field(
        default=None,
        description="Digest of weights that were trained elsewhere; empty for runs",
    )


_FirstScores = _columns(metric for metric in METRICS if not metric.appended)
_AppendedScores = _columns(metric for metric in METRICS if metric.appended == "before external")
_LastScores = _columns(metric for metric in METRICS if metric.appended == "last")


# The columns of the last base come first, and new ones go into the first base or one before it. Type checkers
# do not know the scores, which come from a table.
class RunRow(
    _LastScores,  # type: ignore[misc, valid-type]
    _Origin,
    _AppendedScores,  # type: ignore[misc, valid-type]
    _Circumstances,
    _FirstScores,  # type: ignore[misc, valid-type]
    _Identity,
):
    """One run at one horizon: the one definition of the columns of `runs.csv`, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")


COLUMNS: Final = tuple(RunRow.model_fields)
"""Columns of `runs.csv`, in their order."""


UNKNOWN_DATA: Final = f"sha256:{16 * '0'}"
"""The digest of the training data of weights that were trained elsewhere, whose data is not known."""


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

    Rows that do not fit together are read with a `SenBenchWarning`: runs without a horizon that others of the
    same settings have, names of runs that do not agree with the columns.

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
    for remark in (_misnamed(path, rows), _without_horizon(path, rows)):
        say(remark)
    return rows


_NAME_COLUMNS: Final = ("task", "train_split", "model", "preset", "seed")


def _misnamed(path: Path, rows: Sequence[RunRow]) -> str:
    """In a line, the rows whose names say other things than their columns; empty if there are none.

    Names of other forms than ours say nothing: whoever adds rows by hand names them as they like.
    """
    found: list[str] = []
    for line, row in enumerate(rows, start=2):
        parts = row.run_id.split("/")
        if len(parts) != len(_NAME_COLUMNS) or not parts[-1].startswith("seed-"):
            continue
        # As `Run.name` has them: no folder of Windows has a colon in its name.
        wanted = [str(value).replace(":", "-") for value in values(row, _NAME_COLUMNS)]
        parts[-1] = parts[-1].removeprefix("seed-")
        found += [
            f"line {line} is named {row.run_id}, but its {name} is {getattr(row, name)}"
            for name, part, value in zip(_NAME_COLUMNS, parts, wanted, strict=True)
            if part != value
        ]
    return _remark(path, found)


def _without_horizon(path: Path, rows: Sequence[RunRow]) -> str:
    """In a line, the runs that lack a horizon which others of the same settings have; empty if none does."""
    # The settings include the horizons.
    settings = ("task", "train_dataset_digest", "eval_dataset_digest", "config_digest")
    run = tuple(name for name in KEY if name != "horizon")
    wanted: dict[tuple[Any, ...], set[int]] = {}
    scored: dict[tuple[Any, ...], tuple[RunRow, set[int]]] = {}
    for row in rows:
        wanted.setdefault(values(row, settings), set()).add(row.horizon)
        scored.setdefault(values(row, run), (row, set()))[1].add(row.horizon)
    found = [
        f"{row.run_id} has no row for horizon {horizon}, which other runs with its settings have"
        for row, horizons in scored.values()
        for horizon in sorted(wanted[values(row, settings)] - horizons)
    ]
    return _remark(path, found)


def _remark(path: Path, found: Sequence[str]) -> str:
    """The first thing that was found in a table, and how many more there are."""
    more = f" ({len(found) - 1} more like it)" if len(found) > 1 else ""
    return f"{path}: {found[0]}{more}" if found else ""
