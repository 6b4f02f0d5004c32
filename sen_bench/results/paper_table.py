"""The leaderboard as the table of a paper: mean ± deviation, and the best of each comparison marked.

It is made of text alone, which `paper_formats` sets in Markdown or LaTeX.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sen_bench.results.leaderboard import Record, model_title
from sen_bench.results.leaderboard_view import is_published
from sen_bench.results.scores import SHOWN, Metric

_DECIMALS: Final = 5
"""The most decimals of an error, so that none fills the page; the CSV has all digits."""


@dataclass(frozen=True)
class Cell:
    """A score in a table.

    Attributes:
        value: Its mean, or interquartile mean; empty if it is undefined.
        spread: Its standard deviation, or the two ends of its interval with a comma; empty if there is none.
        best: Whether it is the best of its comparison, or shares the first place at the digits shown.
    """

    value: str = ""
    spread: str = ""
    best: bool = False


@dataclass(frozen=True)
class ModelLine:
    """A row: a model in one comparison.

    Attributes:
        task: The task.
        split: The split trained on.
        horizon: Steps ahead.
        preset: The preset, or `PUBLISHED`.
        model: The model, and what tells it apart from rows that differ only in data or settings.
        runs: How many runs, and how many of them collapsed; empty for published numbers.
        cells: A score for each metric of the table.
    """

    task: str
    split: str
    horizon: int
    preset: str
    model: str
    runs: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PaperTable:
    """A table for a paper.

    Attributes:
        metrics: The scores, in the order of the columns.
        lines: The rows; those of one task, split and horizon follow each other.
        intervals: Whether scores are interquartile means with intervals, instead of means with deviations.
        presets: Whether rows are of several presets, so that each has to name its own.
        sources: Where published numbers are from.
        notes: What to know before comparing with them.
    """

    metrics: tuple[Metric, ...]
    lines: tuple[ModelLine, ...]
    intervals: bool
    presets: bool
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """What the numbers are, in sentences."""
        what = "Interquartile mean [95 % interval]" if self.intervals else "Mean ± standard deviation"
        text = f"{what} over n runs; the best of each comparison in bold. Trained with sen-bench"
        presets = dict.fromkeys(line.preset for line in self.lines if line.runs)
        text += f", preset {next(iter(presets))}." if len(presets) == 1 else "."
        if self.sources:
            text += f" Published numbers: {'; '.join(self.sources)}."
        return text


def make_paper_table(
    rows: Sequence[Record], metrics: Sequence[Metric] = (), *, intervals: bool = False
) -> PaperTable:
    """Sets out a leaderboard as a table.

    Rows are compared where task, training split, horizon, preset, data and number of evaluation episodes are
    equal. Published numbers are never the best: they are of other runs, and often of another protocol.

    Args:
        rows: Of `read_leaderboard`.
        metrics: The scores, in the order wanted; empty: those that the terminal shows and some row has.
        intervals: Whether to show interquartile means with intervals.
    """
    value = "iqm" if intervals else "mean"
    chosen = tuple(metrics) or tuple(
        metric for metric in SHOWN if any(not _undefined(row, f"{metric.name}_mean") for row in rows)
    )
    ordered = sorted(rows, key=_order)
    ambiguous = _ambiguous(ordered)
    lines = []
    for row in ordered:
        told = is_published(row)
        cells = []
        for metric in chosen:
            text = _number(row.get(f"{metric.name}_{value}"), metric)
            best = not told and text != "" and text == _best(ordered, row, metric, value)
            spread = _interval(row, metric) if intervals else _deviation(row, metric)
            cells.append(Cell(text, "" if text.startswith("<") else spread, best))
        lines.append(
            ModelLine(
                task=row["task"],
                split=row["train_split"],
                horizon=row["horizon"],
                preset=row["preset"],
                model=f"{model_title(row)} {_digests(row)}"
                if _identity(row) in ambiguous
                else model_title(row),
                runs=_runs(row),
                cells=tuple(cells),
            )
        )
    told_rows = [row for row in ordered if is_published(row)]
    sources = dict.fromkeys(part for row in told_rows for part in row["source"].split("; "))
    notes: dict[str, dict[str, None]] = {}
    for row in told_rows:
        if row["note"]:
            notes.setdefault(row["note"], {})[row["task"]] = None
    return PaperTable(
        metrics=chosen,
        lines=tuple(lines),
        intervals=intervals,
        presets=len({row["preset"] for row in ordered if not is_published(row)}) > 1,
        sources=tuple(sources),
        notes=tuple(f"{', '.join(tasks)}: {note}" for note, tasks in notes.items()),
    )


def _order(row: Record) -> tuple[Any, ...]:
    """By comparison: horizons of a task and split one after the other, with the longest first."""
    return row["task"], row["train_split"], -row["horizon"], is_published(row), row["preset"]


def _comparison(row: Record) -> tuple[Any, ...]:
    """What is equal in rows that are compared."""
    names = (
        "task",
        "train_split",
        "horizon",
        "preset",
        "train_dataset_digest",
        "eval_dataset_digest",
        "eval_episodes",
    )
    return tuple(row[name] for name in names)


def _best(rows: Sequence[Record], row: Record, metric: Metric, statistic: str) -> str:
    """The best of the rows that a row is compared with, as it is shown; empty if none stands out."""
    name = f"{metric.name}_{statistic}"
    rivals = [other for other in rows if not is_published(other) and _comparison(other) == _comparison(row)]
    values = [other[name] for other in rivals if not _undefined(other, name)]
    if metric.higher_is_better is None or len({_number(value, metric) for value in values}) < 2:
        return ""
    return _number(max(values) if metric.higher_is_better else min(values), metric)


def _undefined(row: Record, name: str) -> bool:
    value = row.get(name)
    return value is None or math.isnan(value)


def _number(value: float | None, metric: Metric) -> str:
    """A score: in percent with one decimal, or as an error with three digits and at most five decimals."""
    if value is None or math.isnan(value):
        return ""
    if metric.is_share:
        return f"{100 * value:.1f}"
    least = 10.0**-_DECIMALS
    return f"<{least:.{_DECIMALS}f}" if 0 < value < least / 2 else f"{value:.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    """Decimals that show three digits of a number."""
    digits = math.floor(math.log10(abs(value))) if value else 0
    return min(max(0, 2 - digits), _DECIMALS)


def _deviation(row: Record, metric: Metric) -> str:
    """The standard deviation, to the decimals of the mean; without any from 10 % on, as published."""
    mean, std = row.get(f"{metric.name}_mean"), row.get(f"{metric.name}_std")
    if mean is None or std is None or math.isnan(mean) or math.isnan(std):
        return ""
    if metric.is_share:
        return f"{100 * std:.0f}" if std >= 0.0995 else f"{100 * std:.1f}"
    return f"{std:.{_decimals(mean)}f}"


def _interval(row: Record, metric: Metric) -> str:
    low, high = (_number(row.get(f"{metric.name}_iqm_{end}"), metric) for end in ("low", "high"))
    return f"{low}, {high}" if low and high else ""


def _runs(row: Record) -> str:
    if is_published(row):
        return ""
    return f"{row['runs']} ({row['collapsed']} collapsed)" if row["collapsed"] else str(row["runs"])


def _identity(row: Record) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("task", "train_split", "horizon", "preset", "model"))


def _ambiguous(rows: Sequence[Record]) -> set[tuple[Any, ...]]:
    """What more than one row is called."""
    seen: dict[tuple[Any, ...], int] = {}
    for row in rows:
        seen[_identity(row)] = seen.get(_identity(row), 0) + 1
    return {name for name, count in seen.items() if count > 1}


def _digests(row: Mapping[str, Any]) -> str:
    """The beginnings of the digests of training data, evaluation data and settings."""
    names = ("train_dataset_digest", "eval_dataset_digest", "config_digest")
    short = (str(row[name]).rpartition(":")[2][:6] for name in names)
    return f"({', '.join(short)})"
