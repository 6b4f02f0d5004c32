"""The charts of the page: each panel is one task, split and preset, with its numbers in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pandas as pd

from sen_bench.report.charts import DotChart, Line, LineChart, Points, Row, dot_chart, line_chart
from sen_bench.report.entries import Entry, Score, headline
from sen_bench.report.formatting import column_title, score_text, short_name, spread_text
from sen_bench.results import SHOWN, Metric

NOT_RUN = "not run"

_HITS = ("hits_at_1", "hits_at_5", "hits_at_10")


@dataclass(frozen=True)
class Numbers:
    """A small table: the numbers of a chart.

    Attributes:
        headings: Of the columns.
        rows: Their cells, the first of which names the row.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Panel:
    """A figure.

    Attributes:
        task: The task.
        split: The split trained on; empty where it shows several.
        preset: The preset; empty where nothing was run.
        title: What it shows.
        dots: A dot chart, or none.
        lines: Line charts.
        legend: What the lines are.
        numbers: The numbers of the lines, or none.
    """

    task: str
    split: str
    preset: str
    title: str
    dots: DotChart | None = None
    lines: tuple[LineChart, ...] = ()
    legend: tuple[Line, ...] = ()
    numbers: Numbers | None = None


def glance_panels(entries: Sequence[Entry]) -> list[Panel]:
    """The headline metric of every task, split and preset, a row for each model."""
    panels = []
    for (task, split, preset), group in _by_panel(entries):
        metric, shown = _headline_rows(group)
        name = short_name(metric)
        horizon = max(entry.horizon for entry in shown)
        rows = [_dot(metric, entry) for entry in shown]
        words = "; ".join(_words(metric, row) for row in rows)
        panels.append(
            Panel(
                task,
                split,
                preset,
                _title(group[0]),
                dot_chart(
                    [
                        replace(
                            row,
                            value=100 * row.value,
                            low=100 * row.low,
                            high=100 * row.high,
                            published=100 * row.published,
                        )
                        for row in rows
                    ],
                    x_label=f"{name} {_steps(horizon)} ahead, %",
                    summary=f"{name} {_steps(horizon)} ahead: {words}.",
                    limits=(0, 100),
                ),
            )
        )
    return panels


def limited_panels(entries: Sequence[Entry]) -> list[Panel]:
    """For tasks with a split of limited actions: each model trained on all actions, and on a few."""
    panels = []
    for task, of_task in groupby(entries, key=lambda entry: entry.task):
        mine = list(of_task)
        known = mine[0].known
        if known is None or "train-limited" not in known.splits:
            continue
        for preset in sorted({entry.preset for entry in mine} - {""}) or [""]:
            of_preset = [entry for entry in mine if entry.preset == preset]
            horizon = max((e.horizon for e in of_preset if e.runs), default=max(e.horizon for e in mine))
            metric = headline(known, horizon)
            name = short_name(metric)
            rows = []
            for colour, model in sorted({(entry.colour, entry.model) for entry in of_preset}):
                of_model = [entry for entry in of_preset if entry.model == model and entry.runs]
                (full, text), (limited, other) = (
                    _one_score([e for e in of_model if e.split == split], metric, horizon)
                    for split in ("train", "train-limited")
                )
                text = f"{text} → {other}" if of_model else NOT_RUN
                rows.append(Row(model, text, colour, 100 * full, other=100 * limited))
            panels.append(
                Panel(
                    task,
                    "",
                    preset,
                    f"{known.title}: {known.splits['train-limited'].purpose.partition(' (')[0]}",
                    dot_chart(
                        rows,
                        x_label=f"{name} {_steps(horizon)} ahead, %",
                        summary=f"{name} {_steps(horizon)} ahead, trained on all actions → on limited ones: "
                        + "; ".join(f"{row.label} {row.text}" for row in rows)
                        + ".",
                        limits=(0, 100),
                    ),
                )
            )
    return panels


def horizon_panels(entries: Sequence[Entry]) -> list[Panel]:
    """H@1, H@5 and H@10 against steps ahead, if several horizons were scored."""
    panels = []
    for (task, split, preset), group in _by_panel(entries):
        ran = [entry for entry in group if entry.runs]
        horizons = sorted({entry.horizon for entry in ran})
        if len(horizons) < 2:
            continue
        metrics = [metric for metric in SHOWN if metric.name in _HITS]
        labels = {entry.label: entry.colour for entry in ran}
        charts = []
        for metric in metrics:
            lines = []
            for label, colour in labels.items():
                mine = [entry for entry in ran if entry.label == label]
                scores = [entry.scores[metric.name] for entry in mine]
                lines.append(
                    Points(
                        label,
                        colour,
                        tuple(float(entry.horizon) for entry in mine),
                        tuple(100 * score.mean for score in scores),
                        tuple(100 * score.low for score in scores),
                        tuple(100 * score.high for score in scores),
                    )
                )
            charts.append(
                line_chart(
                    lines,
                    x_label="steps ahead",
                    y_label=column_title(metric),
                    y_limits=(0, 100),
                    summary=f"{column_title(metric)} against steps ahead; the numbers are below.",
                )
            )
        rows = tuple(
            (
                f"{label}, {column_title(metric)}",
                *(score_text(metric, _score_at(ran, label, metric, horizon)) for horizon in horizons),
            )
            for label in labels
            for metric in metrics
        )
        panels.append(
            Panel(
                task,
                split,
                preset,
                _title(group[0]),
                lines=tuple(charts),
                legend=charts[0].lines,
                numbers=Numbers(("model", *(_steps(horizon) for horizon in horizons)), rows),
            )
        )
    return panels


def equivariance_panels(entries: Sequence[Entry]) -> list[Panel]:
    """The equivariance errors at the longest horizon."""
    panels = []
    for (task, split, preset), group in _by_panel(entries):
        ran = [entry for entry in group if entry.runs]
        longest = [entry for entry in ran if entry.horizon == max(e.horizon for e in ran)]
        rows: list[Row] = []
        words = []
        for metric in (metric for metric in SHOWN if metric.aspect == "equivariance"):
            mine = [
                _dot(metric, entry) for entry in longest if not math.isnan(entry.scores[metric.name].mean)
            ]
            if mine:
                heading = f"{column_title(metric)}: {metric.meaning}"
                rows += [Row(heading, heading=True), *mine]
                words.append(f"{heading}. {'; '.join(_words(metric, row) for row in mine)}.")
        if rows:
            panels.append(
                Panel(
                    task,
                    split,
                    preset,
                    _title(group[0]),
                    dot_chart(
                        rows, x_label="error, logarithmic; 0 is exactly equivariant", summary=" ".join(words)
                    ),
                )
            )
    return panels


def curve_panels(entries: Sequence[Entry], curves: pd.DataFrame) -> list[Panel]:
    """The loss against transitions seen, a line for each run."""
    by_run = dict(iter(curves.groupby(["run_id", "train_dataset_digest", "config_digest"])))
    panels = []
    for place, group in _by_panel(entries):
        runs = {
            run.identity: entry
            for entry in sorted(group, key=lambda entry: (entry.colour, entry.variant))
            for run in entry.runs
            if run.identity in by_run
        }
        if not runs:
            continue
        shown = [by_run[identity] for identity in runs]
        # Logs of old runs have steps only.
        told = all(curve["transitions"].notna().all() for curve in shown)
        lines, rows = [], []
        for (run_id, *_), entry, curve in zip(runs, runs.values(), shown, strict=True):
            losses = tuple(float(loss) for loss in curve["loss"])
            x = tuple(float(count) for count in curve["transitions"]) if told else _steps_of(curve)
            lines.append(Points(entry.label, entry.colour, x, losses))
            rows.append((run_id, f"{losses[0]:.4g}", f"{losses[-1]:.4g}"))
        x_label = "transitions seen" if told else "optimiser steps"
        chart = line_chart(
            lines,
            x_label=x_label,
            y_label="loss",
            logarithmic=True,
            marked=False,
            summary=f"loss against {x_label}, a line for each run; the ends are in the table below.",
        )
        panels.append(
            Panel(
                *place,
                _title(group[0]),
                lines=(chart,),
                legend=tuple({line.name: line for line in chart.lines}.values()),
                numbers=Numbers(("run", "loss at first", "at last"), tuple(rows)),
            )
        )
    return panels


def _steps_of(curve: pd.DataFrame) -> tuple[float, ...]:
    """Steps at each point of a curve, those of attempts before included."""
    steps: list[float] = []
    for _, attempt in curve.groupby("attempt", sort=True):
        before = steps[-1] if steps else 0.0
        steps += [before + float(step) for step in attempt["step"]]
    return tuple(steps)


def _by_panel(entries: Sequence[Entry]) -> Iterator[tuple[tuple[str, str, str], list[Entry]]]:
    for place, group in groupby(entries, key=lambda entry: (entry.task, entry.split, entry.preset)):
        yield place, list(group)


def _headline_rows(group: Sequence[Entry]) -> tuple[Metric, list[Entry]]:
    """What is shown at a glance: the longest horizon that was run, and the models missing there."""
    horizon = max((e.horizon for e in group if e.runs), default=max(e.horizon for e in group))
    shown = [entry for entry in group if entry.horizon == horizon]
    named = {entry.model for entry in shown}
    for entry in group:
        if entry.model not in named:
            named.add(entry.model)
            shown.append(replace(entry, horizon=horizon, scores=dict.fromkeys(entry.scores, Score())))
    return headline(group[0].known, horizon), sorted(shown, key=lambda e: (e.colour, e.variant))


def _dot(metric: Metric, entry: Entry) -> Row:
    score = entry.scores[metric.name]
    text = spread_text(metric, score.mean, score.std) if entry.runs else NOT_RUN
    published = score.published.mean if score.published else math.nan
    return Row(entry.label, text, entry.colour, score.mean, score.low, score.high, published=published)


def _score_at(entries: Iterable[Entry], label: str, metric: Metric, horizon: int) -> float:
    at = (e.scores[metric.name].mean for e in entries if (e.label, e.horizon) == (label, horizon))
    return next(at, math.nan)


def _one_score(ran: Sequence[Entry], metric: Metric, horizon: int) -> tuple[float, str]:
    """The one score at a horizon as a number and a text; no number where there is none, or several."""
    means = [entry.scores[metric.name].mean for entry in ran if entry.horizon == horizon]
    if len(means) == 1:
        return means[0], score_text(metric, means[0])
    return math.nan, ("several" if means else "–") if ran else NOT_RUN


def _title(entry: Entry) -> str:
    """The task, and what it was trained on if there is a choice."""
    if entry.known is not None and set(entry.known.splits) == {entry.split, "eval"}:
        return entry.title
    trained_on = {"train": "all actions", "train-limited": "limited actions"}
    return f"{entry.title}, {trained_on.get(entry.split, entry.split)}"


def _steps(horizon: int) -> str:
    return "1 step" if horizon == 1 else f"{horizon} steps"


def _words(metric: Metric, row: Row) -> str:
    """Everything that a row shows, for those who cannot see it."""
    known = []
    if not math.isnan(row.low):
        known.append(f"95 %: {score_text(metric, row.low)} to {score_text(metric, row.high)}")
    if not math.isnan(row.published):
        known.append(f"published: {score_text(metric, row.published)}")
    return f"{row.label} {row.text}" + (f" ({'; '.join(known)})" if known else "")
