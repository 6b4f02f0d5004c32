"""What symmetry is worth in data: scores against the transitions trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sen_bench.report.chart_rows import split_note, steps_text, trained_title
from sen_bench.report.charts import Points, line_chart
from sen_bench.report.formatting import (
    column_title,
    interval_text,
    preset_parts,
    score_text,
    short_name,
    unit_text,
)
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
from sen_bench.results import EfficiencyRow, Metric, headline_metric, no_better_than_no_change
from sen_bench.tasks import Task, reference_model

_Lines = dict[str, list[EfficiencyRow]]
"""The rows of each model, in the order of colours, with ascending transitions."""


def data_figure(
    rows: Sequence[EfficiencyRow], tasks: Mapping[str, Task], colours: Mapping[tuple[str, str], int]
) -> WorthFigure | None:
    """How much data models need, a chart for each study.

    Args:
        rows: The rows of all studies.
        tasks: The tasks that can be used here.
        colours: From `model_colours`.

    Returns:
        The figure; None where there is no study.
    """
    studies: dict[tuple[str, str, str], list[EfficiencyRow]] = {}
    for row in rows:
        studies.setdefault((row.task, row.train_split, row.preset), []).append(row)
    panels = [
        _panel(place, studies[place], tasks.get(place[0]), colours)
        for place in sorted(studies, key=lambda place: place_order(tasks, *place))
    ]
    if not panels:
        return None
    return WorthFigure(
        "data",
        "How much data does it save?",
        "The score against the transitions trained on: the first episodes of the training split, for as many"
        " steps of the optimiser whatever their number. Interquartile means over seeds, and their 95 %"
        " intervals from three seeds on. Hollow marks are no better than predicting no change.",
        "studies/data",
        tuple(panels),
    )


def _panel(
    place: tuple[str, str, str],
    rows: Sequence[EfficiencyRow],
    known: Task | None,
    colours: Mapping[tuple[str, str], int],
) -> WorthPanel:
    task, split, preset = place
    horizon = max(row.horizon for row in rows)
    at = [row for row in rows if row.horizon == horizon]
    metric = _metric(known, at)
    errors = {(row.model, row.transitions): row.mean for row in at if row.metric == "relative_error"}
    lines: _Lines = {}
    for row in sorted(at, key=lambda row: (colours[task, row.model], row.transitions)):
        if row.metric == metric.name:
            lines.setdefault(row.model, []).append(row)
    useless = {model: [row for row in own if _no_better(errors, row)] for model, own in lines.items()}
    name, steps = short_name(metric), f"{steps_text(horizon)} ahead"
    factor = 100 if metric.is_share else 1
    chart = line_chart(
        [
            Points(
                model,
                colours[task, model],
                tuple(float(row.transitions) for row in own),
                tuple(factor * row.iqm for row in own),
                tuple(factor * row.iqm_low for row in own),
                tuple(factor * row.iqm_high for row in own),
                tuple(row in useless[model] for row in own),
            )
            for model, own in lines.items()
        ],
        x_label="transitions trained on",
        y_label=column_title(metric),
        y_limits=(0, 100) if metric.is_share else None,
        x_logarithmic=True,
        summary=f"{name} {steps} against transitions trained on: {_points_in_words(metric, lines)}.",
    )
    panel = Panel(
        task,
        split,
        preset,
        trained_title(known, task, split),
        lines=(chart,),
        legend=chart.lines,
        numbers=_numbers(metric, lines, errors),
        note=split_note(known, split),
        about=f"{name}, {steps}: {metric.meaning}",
    )
    shown = [row for own in lines.values() for row in own]
    beware = (
        runs_caution({row.runs for row in shown}),
        preset_caution(preset, task),
        no_better_caution(
            {
                model: "with every part"
                if len(own) == len(lines[model])
                else f"with {listed(f'{row.transitions:,}' for row in own)} transitions"
                for model, own in useless.items()
                if own
            }
        ),
        collapse_caution(sum(row.collapsed for row in shown), sum(row.runs for row in shown)),
    )
    return WorthPanel(
        panel,
        _says(name, steps, metric, lines, useless, task),
        tuple(text for text in beware if text),
        preset_parts(preset)[1],
    )


def _metric(known: Task | None, rows: Sequence[EfficiencyRow]) -> Metric:
    """What the task is judged by first, of what its study has; `rows`: of one horizon."""
    there = {row.metric for row in rows}
    horizon = rows[0].horizon
    if known is not None and known.judged_by(horizon).name in there:
        return known.judged_by(horizon)
    return headline_metric(horizon, ranked_locally=False, negatives=False)


def _no_better(errors: Mapping[tuple[str, int], float], row: EfficiencyRow) -> bool:
    """Whether the model of a row predicts motion no better than no change; False where that is unknown."""
    return no_better_than_no_change(errors.get((row.model, row.transitions), math.nan))


def _says(name: str, steps: str, metric: Metric, lines: _Lines, useless: _Lines, task: str) -> str:
    """How many times as many transitions the rival needs, and who has what with all of them."""
    most = max(row.transitions for own in lines.values() for row in own)
    last = {model: own[-1] for model, own in lines.items() if own[-1].transitions == most}
    having = listed(f"`{model}` has {unit_text(metric, row.iqm)}" for model, row in last.items())
    compared = {model: own for model, own in lines.items() if not all(math.isnan(r.times_data) for r in own)}
    if not compared:
        return f"With {most:,} transitions {having} ({name}, {steps})."
    reference = reference_model(task)
    model = reference if reference in compared else next(iter(compared))
    parts = [row for row in compared[model] if not math.isnan(row.times_data)]
    moving = [row for row in parts if row not in useless[model]] or parts
    row = max(moving, key=lambda row: (row.times_data, row.times_data_bound == "at least", -row.transitions))
    score = (
        f"the {name} that `{model}` has with {row.transitions:,} transitions"
        f" ({unit_text(metric, row.iqm)}, {steps})"
    )
    counts = [other.transitions for other in lines.get(row.rival or "", [])]
    return f"{_need(row, score, counts)}{_among(len(moving), len(parts), model)}; with {most:,}, {having}."


def _need(row: EfficiencyRow, score: str, counts: Sequence[int]) -> str:
    """What the rival needs for a score, with its bound and its interval.

    An end of the interval at the rival's first or last part is a bound too: nothing was measured beyond.

    Args:
        row: The score, with what the rival needs for it.
        score: What it is called in the sentence.
        counts: The transitions of the rival's parts.
    """
    if row.times_data_bound == "at least" and row.times_data <= 1:
        reached = round(row.times_data * row.transitions)
        return f"With {reached:,} transitions `{row.rival}` does not reach {score}"
    need = f"For {score}, `{row.rival}` needs {times_text(row.times_data, row.times_data_bound)}"
    low, high = row.times_data_low, row.times_data_high
    if math.isnan(low) or math.isnan(high) or low == high:
        return need
    first, last = (end(counts, default=math.nan) / row.transitions for end in (min, max))
    least = _number_of_times(low, "at most" if low <= first else None)
    most = _number_of_times(high, "at least" if high >= last else None)
    return f"{need} (by the ends of the 95 % intervals {least} to {most} times)"


def _among(moving: int, parts: int, model: str) -> str:
    """Of how many ratios the one that is told is the largest."""
    if moving == 1:
        return "" if parts == 1 else f", the only part with which `{model}` predicts better than no change"
    such = "" if moving == parts else f" with which `{model}` predicts better than no change"
    return f", the largest ratio of the {moving} parts{such}"


def times_text(ratio: float, bound: str | None) -> str:
    """How many times as many, with two digits; a bound is not rounded to what it does not say."""
    return f"{_number_of_times(ratio, bound)} times as many"


def _number_of_times(ratio: float, bound: str | None) -> str:
    if bound is None:
        return _two_digits(ratio)
    digits = 1 - math.floor(math.log10(ratio))
    # Without the error of a division, which would make 10.000000000000002 of 10.
    scaled = round(ratio * 10.0**digits, 6)
    whole = math.floor(scaled) if bound == "at least" else math.ceil(scaled)
    return f"{bound} {_two_digits(whole / 10.0**digits)}"


def _two_digits(value: float) -> str:
    """A number with two digits, without a power of ten."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _points_in_words(metric: Metric, lines: _Lines) -> str:
    return "; ".join(
        f"{model} {', '.join(f'{unit_text(metric, row.iqm)} with {row.transitions:,}' for row in own)}"
        for model, own in lines.items()
    )


def _numbers(metric: Metric, lines: _Lines, errors: Mapping[tuple[str, int], float]) -> Numbers:
    rivals = sorted({row.rival for own in lines.values() for row in own if row.rival})
    needs = tuple(f"data {rival} needs" for rival in rivals)
    rows = []
    for model, own in lines.items():
        for row in own:
            error = errors.get((model, row.transitions), math.nan)
            ratios = (
                times_text(row.times_data, row.times_data_bound)
                if row.rival == rival and not math.isnan(row.times_data)
                else "–"
                for rival in rivals
            )
            rows.append(
                (
                    f"{model}, {row.transitions:,}",
                    score_text(metric, row.iqm),
                    interval_text(metric, row.iqm_low, row.iqm_high),
                    *ratios,
                    "–" if math.isnan(error) else f"{error:.2f}",
                    f"{row.steps:,}",
                    f"{row.runs}",
                )
            )
    return Numbers(
        ("model, transitions", column_title(metric), "95 %", *needs, "rel. error", "steps", "runs"),
        tuple(rows),
    )
