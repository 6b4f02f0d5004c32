"""How much data models need: a study of nested parts of a training split as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from sen_bench.figures.choices import Format
from sen_bench.figures.study_lines import draw_line, draw_title, looks_of
from sen_bench.figures.style import FAINT, new_figure, save_figure, style
from sen_bench.results import EfficiencyRow, Metric
from sen_bench.system import number_of


def draw_efficiency(
    table: Sequence[EfficiencyRow],
    metric: Metric,
    horizon: int,
    path: Path,
    formats: Sequence[Format],
    *,
    models: Sequence[str],
    title: str,
) -> list[Path]:
    """Draws a score against transitions, and how many times its data the rival needs, a line for each model.

    Args:
        table: From `efficiency_rows`.
        metric: The score.
        horizon: Steps ahead.
        path: The files, without their endings.
        formats: The file formats to write.
        models: The models in the order of their colours, which are those of the page of results.
        title: What the study is of.

    Returns:
        The files written; equal tables give equal bytes.

    Raises:
        ResultsError: If a file cannot be written.
    """
    lines: dict[str, list[EfficiencyRow]] = {model: [] for model in models}
    for row in sorted(table, key=lambda row: row.transitions):
        if (row.metric, row.horizon) == (metric.name, horizon):
            lines.setdefault(row.model, []).append(row)
    looks = looks_of(lines)
    lines = {model: rows for model, rows in lines.items() if rows}
    compared = {model: rows for model, rows in lines.items() if rows[0].rival is not None}
    with style():
        figure = new_figure(2.7)
        left, *others = figure.subplots(1, 2 if compared else 1, squeeze=False)[0]
        factor = 100 if metric.is_share else 1
        for model, rows in lines.items():
            points = [(row.iqm, row.iqm_low, row.iqm_high) for row in rows]
            scaled = [tuple(factor * y for y in point) for point in points]
            draw_line(left, [row.transitions for row in rows], scaled, looks[model], model)
        steps = number_of(horizon, "step")
        left.set(ylabel=f"{metric.label}, {steps} ahead{', %' if metric.is_share else ''}")
        if metric.is_share:
            left.set_ylim(-2, 102)
        left.legend(loc="best")
        for right in others:
            right.axhline(1, color=FAINT, lw=0.8, ls=(0, (4, 2)))
            for model, rows in compared.items():
                ratios = [(row.times_data, row.times_data_low, row.times_data_high) for row in rows]
                draw_line(right, [row.transitions for row in rows], ratios, looks[model], model)
                _draw_bounds(right, rows, looks[model]["color"])
            rival = next(rows[0].rival for rows in compared.values())
            right.set(
                yscale="log", ylabel=f"times as many transitions\nthat {rival} needs for the same score"
            )
            right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            right.yaxis.set_minor_formatter(NullFormatter())
            right.legend(loc="best")
        for axes in (left, *others):
            axes.set(xscale="log", xlabel="transitions trained on")
            counts = sorted({row.transitions for rows in lines.values() for row in rows})
            axes.set_xticks(counts, [_short(count) for count in counts])
            axes.xaxis.set_minor_locator(NullLocator())
        draw_title(figure, title)
        paths = [path.with_name(f"{path.name}.{kind}") for kind in formats]
        for target, kind in zip(paths, formats, strict=True):
            save_figure(figure, target, kind)
    return paths


def _short(count: int) -> str:
    """A number of transitions beside an axis: 500, 1.5k, 100k."""
    return f"{count / 1000:g}k" if count >= 1000 else str(count)


def _draw_bounds(axes: Axes, rows: Sequence[EfficiencyRow], colour: str) -> None:
    """An arrow where a ratio is only a bound, up where it is at least so large."""
    for row in rows:
        if row.times_data_bound is not None:
            up = 1 if row.times_data_bound == "at least" else -1
            axes.annotate(
                "",
                (row.transitions, row.times_data),
                (0, 14 * up),
                textcoords="offset points",
                arrowprops={"arrowstyle": "<-", "color": colour, "lw": 1},
            )
