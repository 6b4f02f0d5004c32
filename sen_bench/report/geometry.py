"""What charts are made of: places of lines, marks and words. Templates and figures only write them out.

Lengths are in units of the drawing, about a pixel on a phone. Colours are numbers: the style sheet says what
they are in light and in dark, and every colour goes with a mark and a dash of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sen_bench.report.scales import length

WIDTH: Final = 340
"""Width of every chart: as much as a narrow phone shows without making its text smaller."""

_TOP, _PLOT_HEIGHT, _BELOW = 10, 150, 38
"""Of a line chart: above the plane, the plane, and below it."""

Point = tuple[float, float]
"""A place in a drawing: to the right, and down."""

Segment = tuple[Point, Point]
"""A straight line between two places."""

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
    """A mark around its point.

    Attributes:
        x: Its place to the right.
        y: Its place down.
        colour: Its colour and shape.
        size: Half its width, about.
        hollow: Whether only its outline is drawn.
    """

    x: float
    y: float
    colour: int
    size: float = 4
    hollow: bool = False

    @property
    def path(self) -> str:
        """As SVG writes it."""
        return mark_path(self.colour, self.x, self.y, self.size)


@dataclass(frozen=True)
class Line:
    """A line through its points, with a mark and, where it is known, an interval at each.

    Attributes:
        name: What the legend calls it.
        colour: Its colour, dash and mark.
        strokes: The line: the points of each stretch of it between two gaps.
        marks: The marks of its points.
        bars: Intervals.
    """

    name: str
    colour: int
    strokes: tuple[tuple[Point, ...], ...]
    marks: tuple[Mark, ...] = ()
    bars: tuple[Segment, ...] = ()

    @property
    def path(self) -> str:
        """The line, as SVG writes it."""
        return "".join(f"M{'L'.join(_place(point) for point in stroke)}" for stroke in self.strokes)

    @property
    def whiskers(self) -> str:
        """The intervals, as SVG writes them."""
        return "".join(f"M{_place(begin)}V{length(end[1])}" for begin, end in self.bars)

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
        width: Of the drawing.
        height: Of the drawing.
        left: Where the plane begins.
        right: Where the plane ends.
        top: Its upper edge.
        bottom: Its lower edge.
    """

    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    summary: str
    width: int = WIDTH
    height: int = _TOP + _PLOT_HEIGHT + _BELOW
    left: int = 44
    right: int = WIDTH - 14
    top: int = _TOP
    bottom: int = _TOP + _PLOT_HEIGHT


@dataclass(frozen=True)
class PlacedRow:
    """A row and where its parts are.

    Attributes:
        label: What stands on the left.
        text: What stands on the right.
        y: Its middle.
        colour: Of its marks.
        heading: Whether it is a heading, that is, only a label.
        marks: Of its numbers.
        bars: Its interval, or else what joins a ring to its dot.
        published_at: Where the published number is along the axis, or None.
        reference_at: Where what needs no model is along the axis, or None.
    """

    label: str
    text: str
    y: float
    colour: int
    heading: bool
    marks: tuple[Mark, ...]
    bars: tuple[Segment, ...]
    published_at: float | None
    reference_at: float | None

    @property
    def whisker(self) -> str:
        """The bars, as SVG writes them."""
        return "".join(f"M{_place(begin)}H{length(end[0])}" for begin, end in self.bars)

    @property
    def published(self) -> str:
        """The mark of the published number, as SVG writes it; empty if there is none."""
        return "" if self.published_at is None else diamond_path(self.published_at, self.y)


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
        width: Of the drawing.
        left: Where the axis begins; labels stand before it.
        right: Where the axis ends; numbers stand behind it.
        reference: Where the line of what predicting no change scores is, or None.
        pair: What dots and rings are; None where there are no rings.
    """

    x_label: str
    ticks: tuple[Tick, ...]
    rows: tuple[PlacedRow, ...]
    summary: str
    height: float
    bottom: float
    width: int = WIDTH
    left: int = 80
    right: int = WIDTH - 98
    reference: float | None = None
    pair: tuple[str, str] | None = None


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


def _place(point: Point) -> str:
    """A place, as SVG writes it."""
    return f"{length(point[0])} {length(point[1])}"
