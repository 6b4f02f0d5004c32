"""Scores as rows of charts: what stands for a task, split and preset, as marks and in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sen_bench.report.charts import Row
from sen_bench.report.entries import Entry, Score, headline
from sen_bench.report.formatting import score_text, spread_text
from sen_bench.results import Metric
from sen_bench.system import number_of
from sen_bench.tasks import Task

NOT_RUN = "not run"

TRAINED_ON = {
    "train": "all actions",
    "train-limited": "limited actions",
    "train-slice": "a slice of the orbit",
}
"""What models of a split were trained on, in words."""

NO_BETTER_MARK = " †"
"""What follows the score of a model that is no better than no change, by its relative error."""


def headline_rows(group: Sequence[Entry]) -> tuple[Metric, list[Entry]]:
    """What is shown at a glance: the longest horizon that was run, and the models missing there."""
    horizon = max((e.horizon for e in group if e.runs), default=max(e.horizon for e in group))
    shown = [entry for entry in group if entry.horizon == horizon]
    named = {entry.model for entry in shown}
    for entry in group:
        if entry.model not in named:
            named.add(entry.model)
            shown.append(replace(entry, horizon=horizon, scores=dict.fromkeys(entry.scores, Score())))
    return headline(group[0], horizon), sorted(shown, key=lambda e: e.rank)


def dot(metric: Metric, entry: Entry, *, marked: bool = False) -> Row:
    """A row of a chart that shows a score of an entry; `marked`: whether it says if that is worth nothing."""
    score = entry.scores[metric.name]
    text = spread_text(metric, score.mean, score.std) if entry.runs else NOT_RUN
    if marked and entry.no_better:
        text += NO_BETTER_MARK
    published = score.published.mean if score.published else math.nan
    return Row(entry.label, text, entry.colour, score.mean, score.low, score.high, published=published)


def exact_no_change(metric: Metric, entries: Iterable[Entry]) -> float:
    """What predicting no change scores on exact latents; NaN where that is unknown or differs."""
    told = {e.scores[metric.name].exact_no_change for e in entries if e.runs}
    return told.pop() if len(told) == 1 else math.nan


def in_percent(row: Row) -> Row:
    """A row of shares in percent."""
    return replace(
        row,
        value=100 * row.value,
        low=100 * row.low,
        high=100 * row.high,
        published=100 * row.published,
    )


def split_note(known: Task | None, split: str) -> str:
    """What was trained on, in words, where that is not everything.

    Args:
        known: The task; None if it cannot be used here.
        split: The training split.
    """
    if known is None or split == "train" or split not in known.splits:
        return ""
    return known.splits[split].purpose.partition(" (")[0]


def trained_title(known: Task | None, task: str, split: str) -> str:
    """The task, and what it was trained on if there is a choice.

    Args:
        known: The task; None if it cannot be used here.
        task: Its name.
        split: The training split.
    """
    title = known.title if known else task
    if known is not None and known.default_train_splits == [split]:
        return title
    return f"{title}, {TRAINED_ON.get(split, split)}"


def steps_text(horizon: int) -> str:
    """So many steps, in words."""
    return number_of(horizon, "step")


def words_of(metric: Metric, row: Row) -> str:
    """Everything that a row shows, for those who cannot see it."""
    known = ["no better than no change"] if row.text.endswith(NO_BETTER_MARK) else []
    if not math.isnan(row.low):
        known.append(f"95 %: {score_text(metric, row.low)} to {score_text(metric, row.high)}")
    if not math.isnan(row.published):
        known.append(f"published: {score_text(metric, row.published)}")
    return f"{row.label} {row.text.removesuffix(NO_BETTER_MARK)}" + (
        f" ({'; '.join(known)})" if known else ""
    )
