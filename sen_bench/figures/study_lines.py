"""Lines of models in the figures of studies, which look as on the page of results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sen_bench.figures.page_charts import COLOURS, MARKERS
from sen_bench.report import DASHES, MARKS


def looks_of(models: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour, dash and mark of each model, as on the page, in the order of their colours there."""
    return {model: _look(number) for number, model in enumerate(models)}


def draw_title(figure: Figure, title: str) -> None:
    """Writes above a figure what the study is of, in several lines where the name of a preset is long."""
    figure.suptitle(title.replace("+", " + "), fontsize=8, wrap=True)


def _look(number: int) -> dict[str, Any]:
    marker, factor = MARKERS[MARKS[number % len(MARKS)]]
    dashes = tuple(float(part) / 1.8 for part in DASHES[number % len(MARKS)].split())
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": marker,
        "ms": 2.6 * factor,
        "mec": "white",
        "mew": 0.5,
        "ls": (0, dashes) if dashes else "-",
    }


def draw_line(
    axes: Axes,
    x: Sequence[float],
    points: Sequence[Sequence[float]],
    look: Mapping[str, Any],
    label: str = "",
) -> None:
    """A line through points with their intervals.

    Args:
        axes: Where to draw.
        x: Where the points are.
        points: Of each the value, and both ends of its interval, which may be NaN.
        look: From `looks_of`.
        label: What the legend calls it; empty: nothing.
    """
    values, lows, highs = zip(*points, strict=True)
    axes.plot(x, values, label=label or "_", **look)
    axes.vlines(x, lows, highs, color=look["color"], lw=2, alpha=0.5)
