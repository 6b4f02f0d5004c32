"""The charts of the page of results as files, for papers and slides: the same geometry, in light colours."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sen_bench.figures.choices import Format
from sen_bench.figures.style import INK, new_figure, save_figure, style
from sen_bench.report import DASHES, MARKS, DotChart, LineChart, Mark, Page, Panel, Segment, short_preset
from sen_bench.system import QUIET, Progress

COLOURS: Final = ("#0072b2", "#d55e00", "#00805d", "#a8507f", "#9a6a00")
"""Colours 0, 1, …: those of the page in light, which the style sheet has."""

_SOFT, _RULE = "#585b60", "#dcd9d0"

#: A unit of the page's drawings in inches, so that a chart is as wide as a column of text, and in points.
_INCHES: Final = 0.01
_POINTS: Final = 72 * _INCHES

# Matplotlib's names of the marks, and their size beside the radius of the page's.
MARKERS: Final = {
    "circle": ("o", 2.0),
    "square": ("s", 1.8),
    "triangle": ("^", 2.2),
    "diamond": ("D", 1.7),
    "plus": ("P", 2.0),
}

# Units: the room at either side, of a line of text, of a symbol in a key, and about that of a letter there.
_MARGIN, _LINE, _SYMBOL, _LETTER = 4, 15, 24, 5.7

_Alignment = Literal["left", "center", "right"]


@dataclass(frozen=True)
class _Item:
    """An entry of a key: its symbol, drawn around (12, 0) from a place on, and its words."""

    draw: Callable[[Axes, float, float], None]
    text: str


def draw_charts(
    page: Page, folder: Path, formats: Sequence[Format], progress: Progress = QUIET
) -> list[Path]:
    """Draws each chart of a page into files of its own; charts of what was not run are left out.

    A file is named for task, training split, preset and what the chart shows.

    Args:
        page: The page.
        folder: Where the files go; it is made if it is missing, and files of the same names are replaced.
        formats: The file formats to write.
        progress: Shows how it goes.

    Returns:
        The files written; equal pages give equal bytes.

    Raises:
        ResultsError: If a file cannot be written.
    """
    charts = list(_charts(page))
    paths = []
    with style(), progress.work("draw charts", "charts") as advance:
        for number, (name, panel, chart) in enumerate(charts, start=1):
            figure = _drawn(panel, chart)
            for kind in formats:
                paths.append(folder / f"{name}.{kind}")
                save_figure(figure, paths[-1], kind)
            advance(number, len(charts))
    return paths


def _charts(page: Page) -> Iterator[tuple[str, Panel, DotChart | LineChart]]:
    """The charts of a page, each with the name of its files."""
    kinds: dict[str, Sequence[Panel]] = {
        "scores": page.glance,
        "limited-actions": page.limited,
        "horizons": page.horizons,
        "equivariance": page.equivariance,
        "learning-curves": page.curves,
        **{figure.kind: [worth.panel for worth in figure.panels] for figure in page.worth},
    }
    taken: dict[str, int] = {}
    for kind, panels in kinds.items():
        for panel in panels:
            if not panel.preset:  # nothing of it was run
                continue
            place = [part for part in (panel.task, panel.split, panel.preset, kind) if part]
            charts: list[DotChart | LineChart] = [*panel.lines, *([panel.dots] if panel.dots else [])]
            for chart in charts:
                several = [chart.y_label] if isinstance(chart, LineChart) and len(charts) > 1 else []
                # Names in a table may come from strangers: nothing in one leads out of the folder.
                name = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join([*place, *several]).replace("@", "")).strip(
                    "-"
                )
                taken[name] = taken.get(name, 0) + 1
                yield name if taken[name] == 1 else f"{name}-{taken[name]}", panel, chart


def _drawn(panel: Panel, chart: DotChart | LineChart) -> Figure:
    """A chart with its title above, and its key: of lines above, of marks below."""
    if isinstance(chart, DotChart):
        above, below = [], _dot_key(chart)
    else:
        above, below = [_line_item(line.colour, line.name) for line in panel.legend], _line_key(chart)
    upper, lower = _rows(above, chart.width), _rows(below, chart.width)
    told = " · ".join(part for part in (panel.note, f"preset {short_preset(panel.preset)}") if part)
    below_title = textwrap.wrap(told, round(chart.width / _LETTER))
    head = _LINE * (1 + len(below_title) + len(upper)) + 6
    foot = _LINE * len(lower) + (4 if lower else 0)
    figure = new_figure((head + chart.height + foot) * _INCHES, (chart.width + 2 * _MARGIN) * _INCHES)
    figure.set_layout_engine("none")  # every place is given
    axes = figure.add_axes(
        (0.0, 0.0, 1.0, 1.0), xlim=(-_MARGIN, chart.width + _MARGIN), ylim=(chart.height + foot, -head)
    )
    axes.set_axis_off()
    _text(axes, 0, 12 - head, panel.title, size=11, bold=True)
    for number, line in enumerate(below_title, start=1):
        _text(axes, 0, 12 + _LINE * number - head, line, colour=_SOFT)
    _draw_key(axes, upper, -_LINE * len(upper) + 4)
    if isinstance(chart, DotChart):
        _draw_dots(axes, chart)
    else:
        _draw_lines(axes, chart)
    _draw_key(axes, lower, chart.height + 4)
    return figure


def _draw_dots(axes: Axes, chart: DotChart) -> None:
    for tick in chart.ticks:
        _rule(axes, ((tick.at, 4), (tick.at, chart.bottom)))
        _text(axes, tick.at, chart.bottom + 14, tick.text, "center", colour=_SOFT)
    _text(axes, (chart.left + chart.right) / 2, chart.bottom + 29, chart.x_label, "center", colour=_SOFT)
    if chart.reference is not None:
        _reference(axes, ((chart.reference, 2), (chart.reference, chart.bottom)))
    for row in chart.rows:
        if row.heading:
            _text(axes, 0, row.y + 5, row.label, colour=_SOFT)
            continue
        _text(axes, 0, row.y + 4, row.label, size=10.5)
        _rule(axes, ((chart.left, row.y), (chart.right, row.y)))
        for bar in row.bars:
            _bar(axes, bar, row.colour)
        for mark in row.marks:
            _mark(axes, mark)
        if row.published_at is not None:
            _published(axes, row.published_at, row.y)
        if row.reference_at is not None:
            _reference(axes, ((row.reference_at, row.y - 8), (row.reference_at, row.y + 8)))
        _text(axes, chart.right + 6, row.y + 4, row.text, size=10.5)


def _draw_lines(axes: Axes, chart: LineChart) -> None:
    for tick in chart.y_ticks:
        _rule(axes, ((chart.left, tick.at), (chart.right, tick.at)))
        _text(axes, chart.left - 6, tick.at + 4, tick.text, "right", colour=_SOFT)
    for tick in chart.x_ticks:
        _text(axes, tick.at, chart.bottom + 16, tick.text, "center", colour=_SOFT)
    _text(axes, (chart.left + chart.right) / 2, chart.bottom + 32, chart.x_label, "center", colour=_SOFT)
    _text(axes, 10, chart.bottom / 2, chart.y_label, "center", colour=_SOFT, turned=True)
    for line in chart.lines:
        for stroke in line.strokes:
            _stroke(axes, stroke, line.colour)
        for bar in line.bars:
            _bar(axes, bar, line.colour)
        for mark in line.marks:
            _mark(axes, mark)


def _dot_key(chart: DotChart) -> list[_Item]:
    """What a reader may not know of the marks of a chart; only those that are there."""
    items = []
    colours = [row.colour for row in chart.rows if any(not mark.hollow for mark in row.marks)]
    if chart.pair is not None and any(mark.hollow for row in chart.rows for mark in row.marks):
        colour = colours[0] if colours else 0
        dot, ring = chart.pair
        items += [
            _Item(lambda axes, x, y: _mark(axes, Mark(x, y, colour, 5)), dot),
            _Item(lambda axes, x, y: _mark(axes, Mark(x, y, colour, 5, hollow=True)), ring),
        ]
    elif any(row.bars for row in chart.rows):
        items.append(_Item(lambda axes, x, y: _bar(axes, ((x - 9, y), (x + 9, y)), 0), "95 % interval"))
    if any(row.published_at is not None for row in chart.rows):
        items.append(_Item(_published, "published"))
    if chart.reference is not None:
        items.append(
            _Item(lambda axes, x, y: _reference(axes, ((x, y - 7), (x, y + 7))), "no change, exact latents")
        )
    if any("†" in row.text for row in chart.rows):
        items.append(
            _Item(lambda axes, x, y: _text(axes, x, y + 4, "†", "center"), "no better than no change")
        )
    return items


def _line_key(chart: LineChart) -> list[_Item]:
    """What a reader may not know of the marks of lines; only what is there."""
    hollow = [line.colour for line in chart.lines if any(mark.hollow for mark in line.marks)]
    if not hollow:
        return []
    colour = hollow[0]
    return [
        _Item(lambda axes, x, y: _mark(axes, Mark(x, y, colour, hollow=True)), "no better than no change")
    ]


def _line_item(colour: int, name: str) -> _Item:
    def draw(axes: Axes, x: float, y: float) -> None:
        _stroke(axes, ((x - 12, y), (x + 10, y)), colour)
        _mark(axes, Mark(x - 1, y, colour))

    return _Item(draw, name)


def _rows(items: Sequence[_Item], width: float) -> list[list[tuple[float, _Item]]]:
    """The entries of a key in as many rows as they need, each with where it begins."""
    rows: list[list[tuple[float, _Item]]] = []
    used = width
    for item in items:
        needed = _SYMBOL + _LETTER * len(item.text) + 14
        if not rows or used + needed > width + 14:
            rows.append([])
            used = 0
        rows[-1].append((used, item))
        used += needed
    return rows


def _draw_key(axes: Axes, rows: Sequence[Sequence[tuple[float, _Item]]], top: float) -> None:
    for number, row in enumerate(rows):
        y = top + _LINE * number
        for x, item in row:
            item.draw(axes, x + _SYMBOL / 2, y)
            _text(axes, x + _SYMBOL + 2, y + 3.5, item.text, colour=_SOFT)


def _text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    place: _Alignment = "left",
    *,
    size: float = 9.5,
    colour: str = INK,
    bold: bool = False,
    turned: bool = False,
) -> None:
    """Words with their base line at y; turned: upwards, around the place."""
    axes.text(
        x,
        y,
        text,
        ha=place,
        va="center" if turned else "baseline",
        rotation=90 if turned else 0,
        fontsize=size * _POINTS,
        fontweight="bold" if bold else "normal",
        color=colour,
        parse_math=False,  # names may hold a dollar sign
    )


def _along(segment: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in segment], [y for _, y in segment]


def _rule(axes: Axes, segment: Segment) -> None:
    axes.plot(*_along(segment), color=_RULE, lw=_POINTS)


def _reference(axes: Axes, segment: Segment) -> None:
    axes.plot(*_along(segment), color=_SOFT, lw=1.4 * _POINTS, ls=(0, (3 / 1.4, 2 / 1.4)))


def _bar(axes: Axes, segment: Segment, colour: int) -> None:
    axes.plot(*_along(segment), color=COLOURS[colour], lw=3 * _POINTS, alpha=0.6, solid_capstyle="butt")


def _stroke(axes: Axes, points: Sequence[tuple[float, float]], colour: int) -> None:
    width = 1.8
    dashes = tuple(float(part) / width for part in DASHES[colour].split())
    axes.plot(
        *_along(points),
        color=COLOURS[colour],
        lw=width * _POINTS,
        ls=(0, dashes) if dashes else "-",
        solid_joinstyle="round",
    )


def _mark(axes: Axes, mark: Mark) -> None:
    marker, factor = MARKERS[MARKS[mark.colour]]
    colour = COLOURS[mark.colour]
    axes.plot(
        mark.x,
        mark.y,
        marker=marker,
        ms=factor * mark.size * _POINTS,
        mfc="white" if mark.hollow else colour,
        mec=colour if mark.hollow else "white",
        mew=(1.6 if mark.hollow else 0.7) * _POINTS,
    )


def _published(axes: Axes, x: float, y: float) -> None:
    axes.plot(x, y, marker="D", ms=8.5 * _POINTS, mfc="none", mec=INK, mew=1.6 * _POINTS)
