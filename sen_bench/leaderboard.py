"""The result tables: a row for each run and horizon in `runs.csv`, their means in `leaderboard.csv`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import pandas as pd
from filelock import FileLock, Timeout
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sen_bench.errors import ResultsError
from sen_bench.files import write_atomically

LOCK_SECONDS: Final = 60.0
"""How long to wait for another process that is writing the same table; a write takes milliseconds."""

# What `pandas.read_csv` takes for missing by default and `float` does not take for a number.
_MISSING_TO_PANDAS = frozenset(
    {"#N/A", "#NA", "#N/A N/A", "<NA>", "N/A", "NA", "NULL", "None", "n/a", "null"}
)


# What an empty field is read as: a number that is undefined, or a text that is missing.
_EMPTY: Final = "nan"


def _text(value: str) -> str:
    """Refuses text that `pandas.read_csv` without options would read as something else than this text."""
    plain = value.isprintable() and value == value.strip() and value.lower() not in {"", "true", "false"}
    if not plain or value in _MISSING_TO_PANDAS or _is_number(value):
        raise ValueError(f"{value!r} would not come back from a CSV as the text it is")
    return value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _digest(value: str) -> str:
    """Names the digest's kind: bare hexadecimal such as 12e4 would be read as a number."""
    return value if ":" in value else f"sha256:{value}"


Text = Annotated[str, AfterValidator(_text)]
Digest = Annotated[str, AfterValidator(_digest), AfterValidator(_text)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _ratio(value: float) -> float:
    """Refuses an infinite or negative ratio; NaN stands for one that is undefined, an empty field."""
    if value < 0 or math.isinf(value):
        raise ValueError("must be a number of at least 0, or empty where it is undefined")
    return value


Ratio = Annotated[float, AfterValidator(_ratio)]


def _share_if_any(value: float) -> float:
    """Refuses what is no share; NaN stands for one that is undefined, an empty field."""
    if not (0 <= value <= 1 or math.isnan(value)):
        raise ValueError("must be a number in [0, 1], or empty where it is undefined")
    return value


ShareIfAny = Annotated[float, AfterValidator(_share_if_any)]


def _empty_is_none(value: object) -> object:
    return None if value == _EMPTY else value


DigestIfAny = Annotated[Digest | None, BeforeValidator(_empty_is_none)]


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
        description="EE(E∘S): equivariance error of the latents, where the group acts on them"
    )
    die_embedding: Ratio = Field(description="DIE(S): distance invariance error of the embedding network")
    die_model: Ratio = Field(description="DIE(model): distance invariance error of the predictions")
    latent_spread: Amount = Field(description="RMS distance of the true latents from their mean")
    separation: Share = Field(description="Mean over random pairs of latents of min(1, energy / margin)")
    collapsed: bool = Field(description="Whether the encoder collapsed: `separation` below 0.01")
    restarts: Count = Field(description="How often training was restarted because of a collapse")
    parameters: Count = Field(description="Trainable numbers of the model")
    epochs: Count = Field(description="Epochs trained")
    transitions_seen: Count = Field(description="Transitions trained on, each as often as it was seen")
    train_seconds: Amount = Field(description="Seconds of training, over all its resumptions")
    eval_seconds: Amount = Field(description="Seconds of evaluation, all horizons together")
    eval_episodes: Count = Field(description="Episodes ranked, N; chance is k / N for H@k")
    device: Text = Field(description="Device trained on")
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

METRICS: Final = (
    "hits_at_1",
    "hits_at_5",
    "hits_at_10",
    "mrr",
    "hh_at_1",
    "ee_embedding",
    "ee_latent",
    "die_embedding",
    "die_model",
    "latent_spread",
)
"""Metrics of which the leaderboard holds mean and standard deviation over runs."""

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

    Safe with many processes: each holds a lock beside the table (`runs.csv.lock`) while it reads, adds and
    replaces the file as a whole. A process that is killed leaves the table as it was.

    Args:
        path: The table; it and its folder are made where missing.
        rows: What to add.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    with _locked(path):
        merged = {_key(row): row for row in (_read(path) if path.exists() else [])}
        merged.update((_key(row), row) for row in rows)
        ordered = sorted(merged.values(), key=lambda row: [getattr(row, name) for name in _ROW_ORDER])
        _write(path, _frame(ordered))


def read_runs(path: Path) -> pd.DataFrame:
    """Reads and checks a result table.

    Args:
        path: The table, as `append_rows` writes it.

    Returns:
        One row a run and horizon with the columns `COLUMNS`, as `pandas.read_csv(path)` has them.

    Raises:
        ResultsError: There is no such file, or it is not such a table.
    """
    if not path.exists():
        raise ResultsError(f"no results at {path}; `sen-bench run TASK` writes them")
    try:
        return _frame(_read(path))
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror or error}") from error


def aggregate(runs: pd.DataFrame) -> pd.DataFrame:
    """Averages runs over seeds.

    Runs of different data, configuration, horizon or number of evaluation episodes are never averaged. A
    collapsed run counts like any other.

    Args:
        runs: Of `read_runs`.

    Returns:
        One row a group, in the order of `GROUP`: the columns of `GROUP`; `runs` and `seeds`, how many runs
        there are and how many different seeds; `collapsed`, how many of the runs collapsed; `restarts`,
        their sum; for each of `METRICS` `…_mean` and `…_std` (n - 1; empty for one run; both empty where
        the metric is undefined for a run); `parameters`; and the mean `train_seconds`, `eval_seconds` and
        `transitions_seen` of a run.
    """
    table: list[dict[str, Any]] = []
    for key, group in runs.groupby(list(GROUP), sort=True):
        row: dict[str, Any] = dict(zip(GROUP, key, strict=True))
        row["runs"] = len(group)
        row["seeds"] = group["seed"].nunique()
        row["collapsed"] = int(group["collapsed"].sum())
        row["restarts"] = int(group["restarts"].sum())
        for metric in METRICS:
            row[f"{metric}_mean"] = group[metric].mean(skipna=False)
            row[f"{metric}_std"] = group[metric].std(ddof=1, skipna=False)
        row["parameters"] = int(group["parameters"].iloc[0])
        for cost in ("train_seconds", "eval_seconds", "transitions_seen"):
            row[cost] = float(group[cost].mean())
        table.append(row)
    return pd.DataFrame(table, columns=list(LEADERBOARD_COLUMNS))


LEADERBOARD_COLUMNS: Final = (
    *GROUP,
    "runs",
    "seeds",
    "collapsed",
    "restarts",
    *(f"{metric}_{statistic}" for metric in METRICS for statistic in ("mean", "std")),
    "parameters",
    "train_seconds",
    "eval_seconds",
    "transitions_seen",
)
"""Columns of `leaderboard.csv`, in their order."""


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
    with _locked(leaderboard_path):
        table = aggregate(read_runs(runs_path))
        _write(leaderboard_path, table)
    return table


def _key(row: RunRow) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in KEY)


def _frame(rows: Iterable[RunRow]) -> pd.DataFrame:
    records = [{name: _or_nan(value) for name, value in row.model_dump().items()} for row in rows]
    return pd.DataFrame(records, columns=list(COLUMNS))


def _or_nan(value: object) -> object:
    """What pandas reads an empty field as, in place of None."""
    return math.nan if value is None else value


def _read(path: Path) -> list[RunRow]:
    """Reads a result table strictly: whatever is not one is refused, with the line that shows it."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            header = tuple(reader.fieldnames or ())
            if header != COLUMNS:
                strange = next((name for name in header if name not in COLUMNS), None)
                missing = next((name for name in COLUMNS if name not in header), None)
                why = f"column {strange!r} is unknown" if strange else f"column {missing!r} is missing"
                why = why if strange or missing else "columns are in another order"
                raise ResultsError(f"{path} is not a table of runs of this version: {why}; move it aside")
            return [_row(path, reader.line_num, cells) for cells in reader]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ResultsError(f"{path} is not a CSV: {error}; move it aside") from error


def _row(path: Path, line: int, cells: dict[str, Any]) -> RunRow:
    where = f"{path} is not a table of runs: line {line}"
    if None in cells or None in cells.values():
        raise ResultsError(f"{where} has not {len(COLUMNS)} fields; move it aside")
    try:
        return RunRow.model_validate({name: cell or _EMPTY for name, cell in cells.items()})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise ResultsError(f"{where}, column {first['loc'][0]!r}: {message}; move it aside") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Makes the folder of a table and holds the lock beside it; what the system refuses is a ResultsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_SECONDS):
            yield
    except Timeout as error:
        raise ResultsError(
            f"{path} has been locked by another process for {LOCK_SECONDS:.0f} s; try again when it has ended"
        ) from error
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


def _write(path: Path, table: pd.DataFrame) -> None:
    write_atomically(path, lambda part: table.to_csv(part, index=False, lineterminator="\n"))
