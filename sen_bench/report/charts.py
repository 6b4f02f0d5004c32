"""Charts from numbers: where every line, mark and word of one is placed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sen_bench.report.geometry import (
    MARKS,
    DotChart,
    Line,
    LineChart,
    Mark,
    PlacedRow,
    Point,
    Tick,
)
from sen_bench.report.scales import (
    Scale,
    decades,
    round_factors,
    round_steps,
    scale_of,
    short_number,
)

_ROW: Final = 24
_LABEL_LETTERS: Final = 13

STRIP_WIDTH, STRIP_HEIGHT, STRIP_MARGIN = 150, 26, 8
"""The size of a strip, and how far from its sides its axis begins and ends."""


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
        hollow: Whether only the outline of each mark is drawn; empty: of none.
    """

    name: str
    colour: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    hollow: tuple[bool, ...] = ()


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
        other: Where a ring in the same colour is, joined to the dot if that has no interval; NaN if there is
            none.
        published: Where the published number is; NaN if there is none.
        reference: Where what needs no model stands, in no colour; NaN if it is not that.
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
    reference: float = math.nan
    heading: bool = False


def line_chart(
    lines: Sequence[Points],
    *,
    x_label: str,
    y_label: str,
    summary: str,
    y_limits: tuple[float, float] | None = None,
    logarithmic: bool = False,
    x_logarithmic: bool = False,
    x_names: Sequence[str] = (),
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
        x_logarithmic: Whether the horizontal axis is logarithmic; all that goes there is positive then.
        x_names: What stands below each place that a point has along the horizontal axis; empty: its number.
        marked: Whether points have marks; without, x begins at 0 and is not told point by point.
    """
    xs = sorted({x for line in lines for x in line.x})
    ys = [y for line in lines for y in line.y if math.isfinite(y) and (y > 0 or not logarithmic)]
    low, high = y_limits or (min(ys, default=0.1), max(ys, default=1))
    y_values = round_factors(low, high) if logarithmic else round_steps(low, high)
    begin = xs[0] if marked else 0.0
    end = max(xs[-1], begin + 1e-9)
    x_scale = scale_of(
        begin, end, LineChart.left + 4, LineChart.right - 4, logarithmic=x_logarithmic and end > begin
    )
    y_scale = scale_of(low, high, LineChart.bottom, LineChart.top, logarithmic=logarithmic)
    if x_names or (marked and len(xs) <= 6):
        x_values = xs
    else:
        x_values = (round_factors if x_logarithmic else round_steps)(begin, xs[-1])
    return LineChart(
        x_label=x_label,
        y_label=y_label,
        x_ticks=tuple(
            Tick(x_scale(x), name)
            for x, name in zip(x_values, x_names or map(short_number, x_values), strict=True)
        ),
        y_ticks=tuple(Tick(y_scale(y), short_number(y)) for y in y_values),
        lines=tuple(
            _line(points, x_scale, y_scale, logarithmic=logarithmic, marked=marked) for points in lines
        ),
        summary=summary,
    )


def _line(points: Points, x_scale: Scale, y_scale: Scale, *, logarithmic: bool, marked: bool) -> Line:
    colour = points.colour % len(MARKS)
    strokes: list[list[Point]] = [[]]
    marks = []
    hollow = points.hollow or (False,) * len(points.x)
    for x, y, outlined in zip(points.x, points.y, hollow, strict=True):
        if not math.isfinite(y) or (logarithmic and y <= 0):
            strokes.append([])
            continue
        place = (x_scale(x), y_scale(y))
        strokes[-1].append(place)
        if marked:
            marks.append(Mark(*place, colour, hollow=outlined))
    bars = tuple(
        ((x_scale(x), y_scale(low)), (x_scale(x), y_scale(high)))
        for x, low, high in zip(points.x, points.low, points.high, strict=False)
        if math.isfinite(low) and math.isfinite(high)
    )
    drawn = tuple(tuple(stroke) for stroke in strokes if stroke)
    return Line(points.name, colour, drawn, tuple(marks), bars)


def dot_chart(
    rows: Sequence[Row],
    *,
    x_label: str,
    summary: str,
    limits: tuple[float, float] | None = None,
    reference: float = math.nan,
    pair: tuple[str, str] | None = None,
) -> DotChart:
    """Draws a dot for each row.

    Args:
        rows: From above.
        x_label: What goes to the right.
        summary: The chart in words.
        limits: Ends of the axis; without them it is logarithmic and as long as the numbers need.
        reference: What predicting no change scores; NaN if that is not to be shown.
        pair: What dots and rings are; None where there are no rings.
    """
    left, right = DotChart.left + 6, DotChart.right - 6
    bottom = 8 + _ROW * len(rows)
    if limits is None:
        placed = ((row.value, row.low, row.high, row.other, row.published, row.reference) for row in rows)
        numbers = [number for row in placed for number in row if number > 0]
        values = decades(min(numbers, default=0.1), max(numbers, default=1))
        scale = scale_of(values[0], values[-1], left, right, logarithmic=True)
    else:
        values = [limits[0], (limits[0] + limits[1]) / 2, limits[1]]
        scale = scale_of(*limits, left, right)
    return DotChart(
        x_label=x_label,
        ticks=tuple(Tick(scale(x), short_number(x)) for x in values),
        rows=tuple(_placed(row, 8 + _ROW * (k + 0.5), scale) for k, row in enumerate(rows)),
        summary=summary,
        height=bottom + 36,
        bottom=bottom,
        reference=scale(reference) if math.isfinite(reference) else None,
        pair=pair,
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
    marks, bars = [], []
    if math.isfinite(row.low) and math.isfinite(row.high):
        bars.append(((scale(row.low), y), (scale(row.high), y)))
    # On the line of an interval it would be taken for a part of it.
    elif math.isfinite(row.value) and math.isfinite(row.other):
        bars.append(((scale(row.value), y), (scale(row.other), y)))
    if math.isfinite(row.other):
        marks.append(Mark(scale(row.other), y, colour, 5, hollow=True))
    if math.isfinite(row.value):
        marks.append(Mark(scale(row.value), y, colour, 5))
    published, reference = (
        scale(value) if math.isfinite(value) else None for value in (row.published, row.reference)
    )
    label = row.label
    if len(label) > _LABEL_LETTERS and not row.heading:
        # The end tells models apart: package.module:Class (2).
        label = f"…{label[1 - _LABEL_LETTERS :]}"
    return PlacedRow(label, row.text, y, colour, row.heading, tuple(marks), tuple(bars), published, reference)
