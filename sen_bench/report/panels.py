"""The charts of the page: each panel is one task, split and preset, with its numbers in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import median

import pandas as pd

from sen_bench.report.chart_rows import (
    NOT_RUN,
    dot,
    exact_no_change,
    headline_rows,
    in_percent,
    split_note,
    steps_text,
    trained_title,
    words_of,
)
from sen_bench.report.charts import Points, Row, dot_chart, line_chart
from sen_bench.report.entries import Entry, headline
from sen_bench.report.formatting import column_title, score_text, short_name
from sen_bench.report.geometry import DotChart, Line, LineChart
from sen_bench.results import SHOWN, Metric
from sen_bench.system import number_of

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
        note: What the split is for, where that is not plain.
        about: What score it shows, in words, or an empty text.
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
    note: str = ""
    about: str = ""


def glance_panels(entries: Sequence[Entry]) -> list[Panel]:
    """The headline metric of every task, split and preset, a row for each model."""
    panels = []
    for (task, split, preset), group in _by_panel(entries):
        metric, shown = headline_rows(group)
        name = short_name(metric)
        horizon = max(entry.horizon for entry in shown)
        rows = [dot(metric, entry, marked=True) for entry in shown]
        words = "; ".join(words_of(metric, row) for row in rows)
        exact = exact_no_change(metric, shown)
        if not math.isnan(exact):
            words += f"; predicting no change from exact latents {score_text(metric, exact)}"
        panels.append(
            Panel(
                task,
                split,
                preset,
                _title(group[0]),
                dot_chart(
                    [in_percent(row) for row in rows],
                    x_label=f"{name} {steps_text(horizon)} ahead, %",
                    summary=f"{name} {steps_text(horizon)} ahead: {words}.",
                    limits=(0, 100),
                    reference=100 * exact,
                ),
                note=split_note(group[0].known, group[0].split),
                about=f"{name}: {metric.meaning}",
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
            metric = headline(mine[0], horizon)
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
                        x_label=f"{name} {steps_text(horizon)} ahead, %",
                        summary=f"{name} {steps_text(horizon)} ahead, trained on all actions → on limited"
                        f" ones: {'; '.join(f'{row.label} {row.text}' for row in rows)}.",
                        limits=(0, 100),
                        pair=("trained on all actions", "on limited ones"),
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
                mine = sorted((e for e in ran if e.label == label), key=lambda entry: entry.horizon)
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
                numbers=Numbers(("model", *(steps_text(horizon) for horizon in horizons)), rows),
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
            mine = [dot(metric, entry) for entry in longest if not math.isnan(entry.scores[metric.name].mean)]
            if mine:
                heading = f"{column_title(metric)}: {metric.meaning}"
                # Small errors with their deviations are longer than a phone is wide: the table has those.
                means = [replace(row, text=score_text(metric, row.value)) for row in mine]
                rows += [Row(heading, heading=True), *means]
                words.append(f"{heading}. {'; '.join(words_of(metric, row) for row in mine)}.")
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
        shown = [_without_short_ends(by_run[identity]) for identity in runs]
        # Logs of old runs have steps only.
        told = all(curve["transitions"].notna().all() for curve in shown)
        lines, rows = [], []
        for (run_id, *_), entry, curve in zip(runs, runs.values(), shown, strict=True):
            losses = tuple(float(loss) for loss in curve["loss"])
            x = tuple(float(count) for count in curve["transitions"]) if told else _steps_of(curve)
            lines.append(Points(entry.label, entry.colour, x, losses))
            rows.append((run_id, f"{losses[0]:.4g}", f"{losses[-1]:.4g}"))
        x_label = "transitions seen" if told else "optimiser steps"
        summary = f"loss against {x_label}, a line for each run; the ends are in the table below."
        limits = loss_limits(lines)
        beyond = sum(any(y > limits[1] or 0 < y < limits[0] for y in line.y) for line in lines)
        if beyond:
            summary += (
                f" {beyond} of {number_of(len(lines), 'line')} leave the scale and are drawn at its edge."
            )
        chart = line_chart(
            lines,
            x_label=x_label,
            y_label="loss",
            y_limits=limits,
            logarithmic=True,
            marked=False,
            summary=summary,
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


def loss_limits(lines: Sequence[Points]) -> tuple[float, float]:
    """Ends of a logarithmic axis that shows most lines well: one line cannot flatten the others.

    The axis covers all points, but goes at most a factor of ten beyond the range of the median line.
    """
    ranges = [(min(ys), max(ys)) for line in lines if (ys := [y for y in line.y if 0 < y < math.inf])]
    if not ranges:
        return 0.1, 1.0
    lows, highs = zip(*ranges, strict=True)
    return max(min(lows), median(lows) / 10), min(max(highs), 10 * median(highs))


def _without_short_ends(curve: pd.DataFrame) -> pd.DataFrame:
    """A curve without stretches that are short because an attempt ended there.

    Tables of earlier versions have them. Such a mean over fewer steps, one of them of a batch that was not
    full, does not belong to the same line.
    """
    kept = []
    for _, attempt in curve.groupby("attempt", sort=True):
        steps = attempt["step"].diff().iloc[-2:].tolist()
        kept.append(attempt.iloc[:-1] if len(attempt) > 2 and steps[1] < steps[0] else attempt)
    return pd.concat(kept)


def _steps_of(curve: pd.DataFrame) -> tuple[float, ...]:
    """Steps at each point of a curve, those of attempts before included."""
    steps: list[float] = []
    for _, attempt in curve.groupby("attempt", sort=True):
        before = steps[-1] if steps else 0.0
        steps += [before + float(step) for step in attempt["step"]]
    return tuple(steps)


def _title(entry: Entry) -> str:
    return trained_title(entry.known, entry.task, entry.split)


def _by_panel(entries: Sequence[Entry]) -> Iterator[tuple[tuple[str, str, str], list[Entry]]]:
    for place, group in groupby(entries, key=lambda entry: (entry.task, entry.split, entry.preset)):
        yield place, list(group)


def _score_at(entries: Iterable[Entry], label: str, metric: Metric, horizon: int) -> float:
    at = (e.scores[metric.name].mean for e in entries if (e.label, e.horizon) == (label, horizon))
    return next(at, math.nan)


def _one_score(ran: Sequence[Entry], metric: Metric, horizon: int) -> tuple[float, str]:
    """The one score at a horizon as a number and a text; no number where there is none, or several."""
    means = [entry.scores[metric.name].mean for entry in ran if entry.horizon == horizon]
    if len(means) == 1:
        return means[0], score_text(metric, means[0])
    return math.nan, ("several" if means else "–") if ran else NOT_RUN
