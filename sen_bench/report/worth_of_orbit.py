"""What symmetry is worth beyond what was seen: scores against the distance from a slice of the orbit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sen_bench.report.chart_rows import split_note, trained_title
from sen_bench.report.charts import Points, line_chart
from sen_bench.report.formatting import (
    column_title,
    interval_text,
    preset_parts,
    score_text,
    short_name,
    unit_text,
)
from sen_bench.report.geometry import LineChart
from sen_bench.report.panels import Numbers, Panel
from sen_bench.report.worth import (
    WorthFigure,
    WorthPanel,
    collapse_caution,
    listed,
    no_better_caution,
    place_order,
    preset_caution,
    runs_caution,
)
from sen_bench.results import Metric, OrbitRow, headline_metric, no_better_than_no_change
from sen_bench.tasks import Task

_Lines = dict[str, list[OrbitRow]]
"""The rows of each model, in the order of colours, the nearest class first."""


def orbit_figure(
    rows: Sequence[OrbitRow], tasks: Mapping[str, Task], colours: Mapping[tuple[str, str], int]
) -> WorthFigure | None:
    """What models know of the orbit of which they saw a slice, a chart for each study.

    Args:
        rows: The rows of all studies.
        tasks: The tasks that can be used here.
        colours: From `model_colours`.

    Returns:
        The figure; None where there is no study.
    """
    studies: dict[tuple[str, str, str], list[OrbitRow]] = {}
    for row in rows:
        studies.setdefault((row.task, row.train_split, row.preset), []).append(row)
    panels = [
        _panel(place, studies[place], tasks.get(place[0]), colours)
        for place in sorted(studies, key=lambda place: place_order(tasks, *place))
    ]
    if not panels:
        return None
    return WorthFigure(
        "orbit",
        "Is the rest of the orbit known?",
        "The score one step ahead against how far transitions lie from the slice of the orbit that was"
        " trained on: the angle of the smallest turn that would bring them there. What no turn brings there"
        " is beyond the orbit. Interquartile means over seeds, and their 95 % intervals from three seeds on."
        " Hollow marks are no better than predicting no change.",
        "studies/orbit",
        tuple(panels),
    )


def _panel(
    place: tuple[str, str, str],
    rows: Sequence[OrbitRow],
    known: Task | None,
    colours: Mapping[tuple[str, str], int],
) -> WorthPanel:
    task, split, preset = place
    metric = _metric(known, rows)
    errors = {(row.model, row.orbit_class): row.mean for row in rows if row.metric == "relative_error"}
    lines: _Lines = {}
    for row in sorted(rows, key=lambda row: (colours[task, row.model], _far(row))):
        if row.metric == metric.name:
            lines.setdefault(row.model, []).append(row)
    shown = [row for own in lines.values() for row in own]
    chart = _chart(metric, lines, errors, colours)
    panel = Panel(
        task,
        split,
        preset,
        trained_title(known, task, split),
        lines=(chart,),
        legend=chart.lines,
        numbers=_numbers(metric, lines, errors),
        note=split_note(known, split),
        about=f"{short_name(metric)}, 1 step ahead: {metric.meaning}",
    )
    collapsed = {row.model: row.collapsed for row in shown}
    runs = {row.model: row.runs for row in shown}
    beware = (
        runs_caution(set(runs.values())),
        preset_caution(preset, task),
        no_better_caution(
            {
                model: "everywhere" if len(useless) == len(own) else listed(map(_where, useless))
                for model, own in lines.items()
                if (useless := [row for row in own if _no_better(errors, row)])
            }
        ),
        collapse_caution(sum(collapsed.values()), sum(runs.values())),
    )
    return WorthPanel(
        panel, _says(metric, lines, errors), tuple(text for text in beware if text), preset_parts(preset)[1]
    )


def _metric(known: Task | None, rows: Sequence[OrbitRow]) -> Metric:
    """What the task is judged by first, of what its study has."""
    there = {row.metric for row in rows}
    negatives = known is not None and known.split("eval").negatives and "hh_at_1" in there
    return headline_metric(horizon=1, ranked_locally=False, negatives=negatives)


def _far(row: OrbitRow) -> float:
    """What classes are sorted by: the distance, and what lies beyond the orbit last."""
    return math.inf if math.isnan(row.distance_high) else row.distance_high


def _no_better(errors: Mapping[tuple[str, str], float], row: OrbitRow) -> bool:
    """Whether its model predicts no better there than no change; False where that is unknown."""
    return no_better_than_no_change(errors.get((row.model, row.orbit_class), math.nan))


def _chart(
    metric: Metric,
    lines: _Lines,
    errors: Mapping[tuple[str, str], float],
    colours: Mapping[tuple[str, str], int],
) -> LineChart:
    """A line for each model over the classes; beyond the orbit it is broken, as no distance leads there."""
    classes = {
        row.orbit_class: row for row in sorted((row for own in lines.values() for row in own), key=_far)
    }
    places = {name: float(number) for number, name in enumerate(classes)}
    factor = 100 if metric.is_share else 1
    drawn = []
    for model, own in lines.items():
        # A point without a value breaks the line before what lies beyond the orbit.
        points: list[OrbitRow | None] = []
        for row in own:
            points += [None, row] if math.isnan(row.distance_high) else [row]
        drawn.append(
            Points(
                model,
                colours[own[0].task, model],
                tuple(places[(row or own[-1]).orbit_class] for row in points),
                tuple(factor * row.iqm if row else math.nan for row in points),
                tuple(factor * row.iqm_low if row else math.nan for row in points),
                tuple(factor * row.iqm_high if row else math.nan for row in points),
                tuple(row is not None and _no_better(errors, row) for row in points),
            )
        )
    told = "; ".join(
        f"{model} {', '.join(f'{unit_text(metric, row.iqm)} {_where(row)}' for row in own)}"
        for model, own in lines.items()
    )
    return line_chart(
        drawn,
        x_label="degrees to the slice trained on",
        y_label=column_title(metric),
        y_limits=(0, 100) if metric.is_share else None,
        x_names=[_tick(row) for row in classes.values()],
        summary=f"{short_name(metric)} 1 step ahead by the distance from the slice trained on: {told}.",
    )


def _tick(row: OrbitRow) -> str:
    """A class beside an axis of degrees."""
    if math.isnan(row.distance_high):
        return "beyond"
    if row.distance_low == row.distance_high:
        return f"{row.distance_high:g}" if row.distance_high else "in it"
    return f"{row.distance_low:g}\N{EN DASH}{row.distance_high:g}"


def _where(row: OrbitRow) -> str:
    """A class within a sentence."""
    apart = not math.isnan(row.distance_high) and row.distance_high > 0
    return f"at {row.orbit_class}" if apart else row.orbit_class


def _says(metric: Metric, lines: _Lines, errors: Mapping[tuple[str, str], float]) -> str:
    """From what to what the score and the error go within the orbit, and what the score is beyond.

    The error is said too because rankings alone do not tell a model from one that predicts no change.
    """
    within = {
        model: near
        for model, own in lines.items()
        if (near := [row for row in own if not math.isnan(row.distance_high)])
    }
    beyond = {model: own[-1] for model, own in lines.items() if math.isnan(own[-1].distance_high)}
    parts = []
    if within:
        parts.append(listed(_from_to(metric, model, own) for model, own in within.items()))
    if beyond:
        having = listed(f"`{model}` has {unit_text(metric, row.iqm)}" for model, row in beyond.items())
        parts.append(f"beyond the orbit {having}")
    ends = {
        model: [errors.get((model, row.orbit_class), math.nan) for row in (own[0], own[-1])]
        for model, own in within.items()
    }
    told = [
        f"{near:.2f} to {far:.2f} for `{model}`"
        for model, (near, far) in ends.items()
        if not (math.isnan(near) or math.isnan(far))
    ]
    if told:
        parts.append(f"the relative error (1: as if nothing changed) goes from {listed(told)}")
    return f"{short_name(metric)}, 1 step ahead: {'; '.join(parts)}."


def _from_to(metric: Metric, model: str, rows: Sequence[OrbitRow]) -> str:
    near, far = rows[0], rows[-1]
    if near is far:
        return f"`{model}` has {unit_text(metric, near.iqm)} {_where(near)}"
    first, last = (f"{unit_text(metric, row.iqm)} {_where(row)}" for row in (near, far))
    lowest = min(rows, key=lambda row: row.iqm)
    if lowest.iqm < min(near.iqm, far.iqm):
        last += f" (lowest {unit_text(metric, lowest.iqm)} {_where(lowest)})"
    return f"`{model}` goes from {first} to {last}"


def _numbers(metric: Metric, lines: _Lines, errors: Mapping[tuple[str, str], float]) -> Numbers:
    rows = []
    for model, own in lines.items():
        for row in own:
            error = errors.get((model, row.orbit_class), math.nan)
            rows.append(
                (
                    f"{model}, {row.orbit_class}",
                    score_text(metric, row.iqm),
                    interval_text(metric, row.iqm_low, row.iqm_high),
                    score_text(metric, row.no_change),
                    "–" if math.isnan(error) else f"{error:.2f}",
                    f"{row.transitions:,}",
                    f"{row.runs}",
                )
            )
    headings = (
        "model, class",
        column_title(metric),
        "95 %",
        "no change",
        "rel. error",
        "transitions",
        "runs",
    )
    return Numbers(headings, tuple(rows))
