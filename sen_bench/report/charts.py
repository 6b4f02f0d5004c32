"""Charts as geometry: where every line, mark and word is placed. The templates only write them out as SVG.

Lengths are in units of the drawing, about a pixel on a phone. Colours are numbers: the style sheet says what
they are in light and in dark, and every colour goes with a mark and a dash of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sen_bench.report.scales import (
    Scale,
    decades,
    length,
    round_factors,
    round_steps,
    scale_of,
    short_number,
)

WIDTH: Final = 340
"""Width of every chart: as much as a narrow phone shows without making its text smaller."""

_LEFT, _RIGHT, _TOP, _PLOT_HEIGHT, _BELOW = 44, 14, 10, 150, 38
_ROW, _LABEL, _TEXT = 24, 80, 98
_LABEL_LETTERS: Final = 13

STRIP_WIDTH, STRIP_HEIGHT, STRIP_MARGIN = 150, 26, 8
"""The size of a strip, and how far from its sides its axis begins and ends."""

MARKS: Final = ("circle", "square", "triangle", "diamond", "plus")
"""The marks of colours 0, 1, …; there are as many colours as marks."""

DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "12 4")
"""The dashes of lines of colours 0, 1, …"""


@dataclass(frozen=True)
class Tick:
    """A number beside an axis, and its place along it."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A mark: an SVG path around its point."""

    path: str
    colour: int
    hollow: bool = False


@dataclass(frozen=True)
class Line:
    """A line through its points, with a mark and, where it is known, an interval at each.

    Attributes:
        name: What the legend calls it.
        colour: Its colour, dash and mark.
        path: The line, as an SVG path.
        marks: The marks of its points.
        whiskers: Intervals, as an SVG path.
    """

    name: str
    colour: int
    path: str
    marks: tuple[Mark, ...] = ()
    whiskers: str = ""

    @property
    def dash(self) -> str:
        """As SVG writes it."""
        return DASHES[self.colour]

    @property
    def swatch(self) -> str:
        """The mark of the legend, around (14, 6)."""
        return mark_path(self.colour, 14, 6)


@dataclass(frozen=True)
class LineChart:
    """Lines over a plane.

    Attributes:
        x_label: What goes to the right.
        y_label: What goes up.
        x_ticks: Numbers below.
        y_ticks: Numbers on the left, with a rule each.
        lines: What is drawn.
        summary: The same in words.
    """

    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    summary: str
    width: int = WIDTH
    height: int = _TOP + _PLOT_HEIGHT + _BELOW
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = _TOP + _PLOT_HEIGHT


@dataclass(frozen=True)
class Points:
    """What a line goes through.

    Attributes:
        name: Of the line.
        colour: Of the line; beyond the last colour they start again from the first.
        x: To the right.
        y: Upwards; NaN makes a gap.
        low: Lower ends of intervals; empty, or one for each point, NaN where there is none.
        high: Upper ends.
    """

    name: str
    colour: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """What a line of a dot chart shows.

    Attributes:
        label: On the left.
        text: On the right: the numbers.
        colour: Of its dots; beyond the last colour they start again from the first.
        value: Where the dot is; NaN if there is none.
        low: Lower end of its interval, or NaN.
        high: Upper end.
        other: Where a ring in the same colour is, joined to the dot; NaN if there is none.
        published: Where the published number is; NaN if there is none.
        heading: Whether it is a heading, that is, only a label.
    """

    label: str
    text: str = ""
    colour: int = 0
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    other: float = math.nan
    published: float = math.nan
    heading: bool = False


@dataclass(frozen=True)
class PlacedRow:
    """A row and where its parts are."""

    label: str
    text: str
    y: float
    colour: int
    heading: bool
    marks: tuple[Mark, ...]
    whisker: str
    published: str


@dataclass(frozen=True)
class DotChart:
    """Dots along one axis, one row each.

    Attributes:
        x_label: What goes to the right.
        ticks: Numbers below.
        rows: From above.
        summary: The same in words.
        height: Of the drawing.
        bottom: Where the axis is.
        reference: Where the line of what predicting no change scores is, or None.
    """

    x_label: str
    ticks: tuple[Tick, ...]
    rows: tuple[PlacedRow, ...]
    summary: str
    height: float
    bottom: float
    width: int = WIDTH
    left: int = _LABEL
    right: int = WIDTH - _TEXT
    reference: float | None = None


def mark_path(colour: int, x: float, y: float, size: float = 4) -> str:
    """The mark of a colour, around a point."""
    r = size
    at = f"M{length(x)} {length(y)}"
    match MARKS[colour]:
        case "circle":
            return f"{at}m{length(-r)} 0a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
        case "square":
            s = round(0.9 * r, 2)
            return f"{at}m{-s} {-s}h{2 * s}v{2 * s}h{-2 * s}z"
        case "triangle":
            return f"{at}m0 {length(-1.2 * r)}l{length(1.15 * r)} {length(2 * r)}h{length(-2.3 * r)}z"
        case "diamond":
            return diamond_path(x, y, size)
        case _:
            t = round(r / 3, 2)
            out, back = length(r - t), length(t - r)
            return (
                f"{at}m{-t} {-r}h{2 * t}v{out}h{out}v{2 * t}h{back}v{out}h{-2 * t}"
                f"v{back}h{back}v{-2 * t}h{out}z"
            )


def diamond_path(x: float, y: float, size: float = 5) -> str:
    """A diamond around a point: published numbers are hollow ones."""
    r = length(1.2 * size)
    return f"M{length(x)} {length(y)}m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z"


def line_chart(
    lines: Sequence[Points],
    *,
    x_label: str,
    y_label: str,
    summary: str,
    y_limits: tuple[float, float] | None = None,
    logarithmic: bool = False,
    marked: bool = True,
) -> LineChart:
    """Draws lines.

    Args:
        lines: At least one, with at least one point.
        x_label: What goes to the right.
        y_label: What goes up.
        summary: The chart in words.
        y_limits: Ends of the vertical axis; by default those of the numbers.
        logarithmic: Whether the vertical axis is logarithmic; numbers that are not positive are then left
            out.
        marked: Whether points have marks; without, x begins at 0 and is not told point by point.
    """
    right, bottom = WIDTH - _RIGHT, _TOP + _PLOT_HEIGHT
    xs = sorted({x for line in lines for x in line.x})
    ys = [y for line in lines for y in line.y if math.isfinite(y) and (y > 0 or not logarithmic)]
    low, high = y_limits or (min(ys, default=0.1), max(ys, default=1))
    y_values = round_factors(low, high) if logarithmic else round_steps(low, high)
    begin = xs[0] if marked else 0.0
    x_scale = scale_of(begin, max(xs[-1], begin + 1e-9), _LEFT + 4, right - 4)
    y_scale = scale_of(low, high, bottom, _TOP, logarithmic=logarithmic)
    x_values = xs if marked and len(xs) <= 6 else round_steps(begin, xs[-1])
    return LineChart(
        x_label=x_label,
        y_label=y_label,
        x_ticks=tuple(Tick(x_scale(x), short_number(x)) for x in x_values),
        y_ticks=tuple(Tick(y_scale(y), short_number(y)) for y in y_values),
        lines=tuple(
            _line(points, x_scale, y_scale, logarithmic=logarithmic, marked=marked) for points in lines
        ),
        summary=summary,
    )


def _line(points: Points, x_scale: Scale, y_scale: Scale, *, logarithmic: bool, marked: bool) -> Line:
    colour = points.colour % len(MARKS)
    path, marks, pen = "", [], "M"
    for x, y in zip(points.x, points.y, strict=True):
        if not math.isfinite(y) or (logarithmic and y <= 0):
            pen = "M"
            continue
        path += f"{pen}{length(x_scale(x))} {length(y_scale(y))}"
        pen = "L"
        if marked:
            marks.append(Mark(mark_path(colour, x_scale(x), y_scale(y)), colour))
    whiskers = "".join(
        f"M{length(x_scale(x))} {length(y_scale(low))}V{length(y_scale(high))}"
        for x, low, high in zip(points.x, points.low, points.high, strict=False)
        if math.isfinite(low) and math.isfinite(high)
    )
    return Line(points.name, colour, path, tuple(marks), whiskers)


def dot_chart(
    rows: Sequence[Row],
    *,
    x_label: str,
    summary: str,
    limits: tuple[float, float] | None = None,
    reference: float = math.nan,
) -> DotChart:
    """Draws a dot for each row.

    Args:
        rows: From above.
        x_label: What goes to the right.
        summary: The chart in words.
        limits: Ends of the axis; without them it is logarithmic and as long as the numbers need.
        reference: What predicting no change scores; NaN if that is not to be shown.
    """
    right = WIDTH - _TEXT
    bottom = 8 + _ROW * len(rows)
    if limits is None:
        placed = ((row.value, row.low, row.high, row.other, row.published) for row in rows)
        numbers = [number for row in placed for number in row if number > 0]
        values = decades(min(numbers, default=0.1), max(numbers, default=1))
        scale = scale_of(values[0], values[-1], _LABEL + 6, right - 6, logarithmic=True)
    else:
        values = [limits[0], (limits[0] + limits[1]) / 2, limits[1]]
        scale = scale_of(*limits, _LABEL + 6, right - 6)
    return DotChart(
        x_label=x_label,
        ticks=tuple(Tick(scale(x), short_number(x)) for x in values),
        rows=tuple(_placed(row, 8 + _ROW * (k + 0.5), scale) for k, row in enumerate(rows)),
        summary=summary,
        height=bottom + 36,
        bottom=bottom,
        reference=scale(reference) if math.isfinite(reference) else None,
    )


def strip(row: Row, limits: tuple[float, float]) -> PlacedRow:
    """Draws the marks of a row alone, to stand in a cell of a table.

    Args:
        row: What is shown.
        limits: Ends of the axis.

    Returns:
        Where its parts are, in a drawing of `STRIP_WIDTH` by `STRIP_HEIGHT`.
    """
    return _placed(row, STRIP_HEIGHT / 2, strip_scale(limits))


def strip_scale(limits: tuple[float, float]) -> Scale:
    """Where numbers are placed along a strip."""
    return scale_of(*limits, STRIP_MARGIN, STRIP_WIDTH - STRIP_MARGIN)


def _placed(row: Row, y: float, scale: Scale) -> PlacedRow:
    colour = row.colour % len(MARKS)
    marks = []
    whisker = ""
    if math.isfinite(row.low) and math.isfinite(row.high):
        whisker += f"M{length(scale(row.low))} {length(y)}H{length(scale(row.high))}"
    if math.isfinite(row.value) and math.isfinite(row.other):
        whisker += f"M{length(scale(row.value))} {length(y)}H{length(scale(row.other))}"
    if math.isfinite(row.other):
        marks.append(Mark(mark_path(colour, scale(row.other), y, 5), colour, hollow=True))
    if math.isfinite(row.value):
        marks.append(Mark(mark_path(colour, scale(row.value), y, 5), colour))
    published = diamond_path(scale(row.published), y) if math.isfinite(row.published) else ""
    label = row.label
    if len(label) > _LABEL_LETTERS and not row.heading:
        # The end tells models apart: package.module:Class (2).
        label = f"…{label[1 - _LABEL_LETTERS :]}"
    return PlacedRow(label, row.text, y, colour, row.heading, tuple(marks), whisker, published)
