"""What is shown of a leaderboard: some tasks, horizons and scores, and the published numbers beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.results.leaderboard import (
    LEADERBOARD_COLUMNS,
    STATISTICS,
    Record,
    ReferenceModel,
    aggregate_rows,
    metric_columns,
)
from sen_bench.results.published import PublishedRow, read_published_rows
from sen_bench.results.rows import read_run_rows
from sen_bench.results.scores import AVERAGED, Metric
from sen_bench.system import number_of

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED: Final = "published"
"""What rows of published numbers have instead of the name of a preset."""

_LOCAL: Final = "local_hits_at_1_mean"

_Place: TypeAlias = tuple[str, str, int]

_WHOLE: Final = ("eval_episodes", "runs", "seeds", "collapsed", "restarts", "parameters", "external")
_NAMED: Final = {name: metric for metric in AVERAGED for name in (metric.name, metric.heading) if name}


@dataclass(frozen=True)
class LeaderboardView:
    """What of a leaderboard is wanted.

    Attributes:
        tasks: Names of tasks; None: all.
        horizons: Numbers of steps; empty: all.
        metrics: Scores; empty: all.
        with_published: Whether the published numbers of the same tasks, splits and horizons are wanted too.
    """

    tasks: Collection[str] | None = None
    horizons: Sequence[int] = ()
    metrics: Sequence[Metric] = ()
    with_published: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns that are left of `LEADERBOARD_COLUMNS`, and two more with published numbers."""
        dropped = {
            column
            for metric in AVERAGED
            if self.metrics and metric not in self.metrics
            for column in metric_columns(metric)
        }
        columns = [name for name in LEADERBOARD_COLUMNS if name not in dropped]
        return [*columns, "source", "note"] if self.with_published else columns


def find_metric(name: str) -> Metric:
    """The score of a name, as a column or a table calls it: "hits_at_1" or "H@1".

    Raises:
        UnknownNameError: If the leaderboard has none of that name.
    """
    if name not in _NAMED:
        raise UnknownNameError(
            "metric", name, [metric.label for metric in AVERAGED], also=[metric.name for metric in AVERAGED]
        )
    return _NAMED[name]


def read_leaderboard(
    runs_csv: Path,
    reference_model: ReferenceModel,
    view: LeaderboardView | None = None,
    *,
    ranked_locally: Callable[[str], bool] = lambda _task: False,
) -> list[Record]:
    """The leaderboard of the runs in a table, or what is wanted of it.

    Args:
        runs_csv: The table of runs.
        reference_model: Names the symmetric embedding network of each task.
        view: What is wanted; None: all.
        ranked_locally: Which tasks to rank by local H@1, by their names. Where all rows of such a task with
            the same split and preset have it, those of one horizon stand with the best first. It is handed
            in, so that tables need no tasks: `sen_bench.tasks.ranked_locally`.

    Returns:
        A row for each group of runs, otherwise in the order of `aggregate_rows`, with the columns of the
        view. A row of published numbers follows the last row of the same task, training split and horizon:
        its preset is `PUBLISHED`, it has means and standard deviations, `source` says where they are from,
        and `note` what to know before comparing. What a paper does not say is None or NaN there.

    Raises:
        ResultsError: The table cannot be read.
        ConfigError: No run has one of the horizons.
    """
    chosen = view or LeaderboardView()
    rows = aggregate_rows((row.model_dump() for row in read_run_rows(runs_csv)), reference_model)
    rows = [row for row in rows if chosen.tasks is None or row["task"] in chosen.tasks]
    rows = _ranked(rows, ranked_locally)
    there = sorted({row["horizon"] for row in rows})
    for horizon in chosen.horizons if rows else ():
        if horizon not in there:
            raise ConfigError(
                f"no run was scored {number_of(horizon, 'step')} ahead; there are {_listed(there)}"
            )
    rows = [row for row in rows if not chosen.horizons or row["horizon"] in chosen.horizons]
    if chosen.with_published:
        rows = _with_published(rows, _published(chosen.metrics or AVERAGED))
    return [{name: row.get(name) for name in chosen.columns} for row in rows]


def leaderboard_frame(rows: Iterable[Record], view: LeaderboardView) -> pd.DataFrame:
    """Rows of `read_leaderboard` as a frame; counts that published numbers lack are missing values."""
    import pandas as pd  # noqa: PLC0415 — tables are listed without it

    frame = pd.DataFrame(list(rows), columns=view.columns)
    whole = [name for name in _WHOLE if name in frame and frame[name].isna().any()]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def leaderboard_records(frame: pd.DataFrame) -> list[Record]:
    """The rows of a leaderboard that pandas holds, as `read_leaderboard` has them."""
    import pandas as pd  # noqa: PLC0415 — tables are listed without it

    return [
        {
            str(name): (None if name in _WHOLE else math.nan) if pd.isna(value) else value
            for name, value in record.items()
        }
        for record in frame.to_dict("records")
    ]


def is_published(row: Mapping[str, Any]) -> bool:
    """Whether a row of a leaderboard holds published numbers: no run is behind it."""
    return row["runs"] is None


def _ranked(rows: Sequence[Record], ranked_locally: Callable[[str], bool]) -> list[Record]:
    """Puts the best local H@1 of a task, split, preset and horizon first, in tasks to rank by it."""
    without = {_together(row) for row in rows if math.isnan(row[_LOCAL])}

    def order(row: Record) -> tuple[tuple[str, str, str], int, float]:
        ranked = ranked_locally(row["task"]) and _together(row) not in without
        return _together(row), row["horizon"], -row[_LOCAL] if ranked else 0.0

    return sorted(rows, key=order)


def _together(row: Record) -> tuple[str, str, str]:
    return row["task"], row["train_split"], row["preset"]


def _with_published(rows: Sequence[Record], published: Mapping[_Place, Sequence[Record]]) -> list[Record]:
    """Puts what was published after the rows of the same task, split and horizon."""
    # Rows are sorted by preset before horizon: what was published stands once, after the last of them.
    last = {_place(row): number for number, row in enumerate(rows)}
    made: list[Record] = []
    for number, row in enumerate(rows):
        made.append(row)
        if last[_place(row)] == number:
            made += published.get(_place(row), [])
    return made


def _place(row: Record) -> _Place:
    return row["task"], row["train_split"], row["horizon"]


def _published(metrics: Collection[Metric]) -> dict[_Place, list[Record]]:
    """The published numbers of some scores, a row for each model, by task, training split and horizon."""
    wanted = {metric.name: metric for metric in metrics}
    told: dict[_Place, dict[str, list[PublishedRow]]] = {}
    for number in read_published_rows():
        if number.metric in wanted:
            place = (number.task, number.train_split, number.horizon)
            numbers = told.setdefault(place, {}).setdefault(number.model, [])
            # Where several sources have a number, the first is what counts.
            if number.metric not in {other.metric for other in numbers}:
                numbers.append(number)
    return {
        place: [_published_row(numbers, wanted) for numbers in models.values()]
        for place, models in told.items()
    }


_DIVIDED: Final = {
    "undivided": "not divided by the mean norm, as ours",
    "unclear": "unclear whether divided by the mean norm, as ours",
}


def _published_row(numbers: Sequence[PublishedRow], metrics: Mapping[str, Metric]) -> Record:
    """What was published of a model in one place, as a row of the leaderboard."""
    first = numbers[0]
    row: Record = dict.fromkeys(LEADERBOARD_COLUMNS)
    row |= {f"{metric.name}_{name}": math.nan for metric in AVERAGED for name in STATISTICS}
    row |= {name: getattr(first, name) for name in ("task", "train_split", "horizon", "model")}
    notes: dict[str, list[str]] = {}
    for number in numbers:
        row[f"{number.metric}_mean"], row[f"{number.metric}_std"] = number.mean, number.std
        told = (_DIVIDED.get(number.normalisation or ""), number.note)
        for note in told:
            if isinstance(note, str):
                notes.setdefault(note, []).append(metrics[number.metric].label)
    sources = dict.fromkeys(number.source for number in numbers)
    note = "; ".join(f"{', '.join(labels)}: {note}" for note, labels in notes.items())
    return row | {"preset": PUBLISHED, "source": "; ".join(sources), "note": note}


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def chosen_metrics(columns: Iterable[str]) -> tuple[Metric, ...]:
    """The scores that a leaderboard has of which some columns are; empty if it has them all."""
    there = set(columns)
    metrics = tuple(metric for metric in AVERAGED if f"{metric.name}_mean" in there)
    return () if metrics == AVERAGED else metrics
