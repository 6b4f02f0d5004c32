"""Cards: of each task, split and preset the scores to read first, with their marks on a common axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sen_bench.report.chart_rows import (
    TRAINED_ON,
    dot,
    exact_no_change,
    headline_rows,
    in_percent,
    split_note,
    steps_text,
)
from sen_bench.report.charts import STRIP_HEIGHT, STRIP_WIDTH, strip, strip_scale
from sen_bench.report.entries import Entry, Score
from sen_bench.report.geometry import PlacedRow, Tick
from sen_bench.results import Metric

_LIMITS: Final = (0.0, 100.0)


@dataclass(frozen=True)
class CardRow:
    """A model.

    Attributes:
        entry: Its row of the leaderboard, at the horizon of the card.
        score: What it scored in the metric of the card.
        strip: Its marks.
    """

    entry: Entry
    score: Score
    strip: PlacedRow


@dataclass(frozen=True)
class Card:
    """What a task is judged by first, a row for each model.

    Attributes:
        task: The task.
        split: The split trained on.
        preset: The preset; empty where nothing was run.
        title: The split, in words; empty where the task has no other.
        note: What the split is for, where that is not plain.
        metric: What is scored.
        steps: How far ahead, in words.
        rows: The models.
        ticks: Of the axis of all strips.
        exact_no_change: What predicting no change scores on exact latents, or NaN.
        reference: Where that is along the axis, or None.
    """

    task: str
    split: str
    preset: str
    title: str
    note: str
    metric: Metric
    steps: str
    rows: tuple[CardRow, ...]
    ticks: tuple[Tick, ...]
    exact_no_change: float
    reference: float | None
    width: int = STRIP_WIDTH
    height: int = STRIP_HEIGHT


def cards(entries: Sequence[Entry]) -> list[Card]:
    """A card for every task, split and preset, in the order of the entries."""
    scale = strip_scale(_LIMITS)
    ticks = tuple(Tick(scale(value), f"{value:g}") for value in (0, 50, 100))
    made = []
    for (task, split, preset), of_card in groupby(entries, key=lambda e: (e.task, e.split, e.preset)):
        group = list(of_card)
        metric, shown = headline_rows(group)
        exact = exact_no_change(metric, shown)
        made.append(
            Card(
                task=task,
                split=split,
                preset=preset,
                title=_title(group[0]),
                note=split_note(group[0].known, split),
                metric=metric,
                steps=steps_text(shown[0].horizon),
                rows=tuple(
                    CardRow(entry, entry.scores[metric.name], strip(in_percent(dot(metric, entry)), _LIMITS))
                    for entry in shown
                ),
                ticks=ticks,
                exact_no_change=exact,
                reference=None if math.isnan(exact) else scale(100 * exact),
            )
        )
    return made


def _title(entry: Entry) -> str:
    if entry.known is not None and entry.known.default_train_splits == [entry.split]:
        return ""
    return TRAINED_ON[entry.split].capitalize() if entry.split in TRAINED_ON else entry.split
