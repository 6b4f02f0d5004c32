"""What models know of the orbit: a study of models that saw a slice of it as a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from sen_bench.figures.choices import Format
from sen_bench.figures.study_lines import draw_line, draw_title, looks_of
from sen_bench.figures.style import FAINT, new_figure, save_figure, style
from sen_bench.results import Metric, OrbitRow


def draw_orbit(
    table: Sequence[OrbitRow],
    metrics: Sequence[Metric],
    path: Path,
    formats: Sequence[Format],
    *,
    models: Sequence[str],
    title: str,
) -> list[Path]:
    """Draws scores against the distance from what was seen, a line for each model, and no change dotted.

    Args:
        table: From `orbit_rows`.
        metrics: The scores, each in axes of its own.
        path: The files, without their endings.
        formats: The file formats to write.
        models: The models in the order of their colours, which are those of the page of results.
        title: What the study is of.

    Returns:
        The files written; equal tables give equal bytes.

    Raises:
        ResultsError: If a file cannot be written.
    """
    counts = {
        row.orbit_class: row.transitions for row in sorted(table, key=lambda row: _degrees(row.distance_high))
    }
    with style():
        figure = new_figure(2.9)
        for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
            _draw(axes, [row for row in table if row.metric == metric.name], metric, list(counts), models)
            labels = [f"{_short(name)}\nn = {count:,}" for name, count in counts.items()]
            axes.set_xticks(range(len(counts)), labels, fontsize=6)
            axes.set(
                xlim=(-0.4, len(counts) - 0.6),
                xlabel="turn to the slice",
                ylabel=f"{metric.label}, 1 step ahead{', %' if metric.is_share else ''}",
            )
            axes.set_ylim(*((-2, 102) if metric.is_share else (0, None)))
            axes.legend(loc="best")
        draw_title(figure, title)
        paths = [path.with_name(f"{path.name}.{kind}") for kind in formats]
        for target, kind in zip(paths, formats, strict=True):
            save_figure(figure, target, kind)
    return paths


def _draw(
    axes: Axes, rows: Sequence[OrbitRow], metric: Metric, classes: Sequence[str], models: Sequence[str]
) -> None:
    """The lines of one score. What lies beyond the orbit stands apart: no distance leads there."""
    factor = 100 if metric.is_share else 1
    for model, look in looks_of(models).items():
        mine = [row for row in rows if row.model == model]
        near = [row for row in mine if not math.isnan(row.distance_high)]
        beyond = [row for row in mine if math.isnan(row.distance_high)]
        for label, part in ((model, near), ("" if near else model, beyond)):
            if not part:
                continue
            x = [float(classes.index(row.orbit_class)) for row in part]
            points = [(row.iqm, row.iqm_low, row.iqm_high) for row in part]
            draw_line(axes, x, [tuple(factor * y for y in point) for point in points], look, label)
            unmoved = {"color": look["color"], "ls": ":", "lw": 0.7, "marker": "_", "ms": 5, "alpha": 0.6}
            axes.plot(x, [factor * row.no_change for row in part], **unmoved)
    axes.plot([], [], color=FAINT, ls=":", lw=0.9, label="no change")


def _short(label: str) -> str:
    """The name of a class below an axis: 45–90°."""
    return label.replace(" degrees", "°").replace(" to ", "–").replace(" the ", "\nthe ")


def _degrees(high: float) -> float:
    """What classes are ordered by; beyond the orbit, which has no distance, last."""
    return math.inf if math.isnan(high) else high
