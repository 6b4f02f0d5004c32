"""Charts: marks stand where their numbers are, and axes have round ones."""

from __future__ import annotations

import math

import pytest

from sen_bench.report.charts import Points, Row, dot_chart, line_chart
from sen_bench.report.geometry import MARKS, mark_path


def test_a_line_goes_through_its_points_and_has_gaps_where_there_are_none() -> None:
    points = Points(
        "sen", 0, (1, 5, 10, 11), (100, 0, math.nan, 50), (90, math.nan, 1, 1), (100, 1, math.nan, 2)
    )
    chart = line_chart([points], x_label="", y_label="", summary="", y_limits=(0, 100))
    (line,) = chart.lines
    xs = [tick.at for tick in chart.x_ticks]
    top, bottom = chart.y_ticks[-1].at, chart.y_ticks[0].at
    assert [tick.text for tick in chart.x_ticks] == ["1", "5", "10", "11"]
    assert line.path == (
        f"M{xs[0]:g} {top:g}L{round(xs[1], 1):g} {bottom:g}M{round(xs[3], 1):g} {(top + bottom) / 2:g}"
    )
    assert len(line.marks) == 3
    assert line.whiskers.count("M") == 2


@pytest.mark.parametrize(
    ("losses", "ticks"),
    [
        ((1.0, 0.01), ["0.01", "0.1", "1"]),
        ((0.9, 0.2), ["0.2", "0.5"]),
        ((0.5, 0.5), ["0.5"]),
        ((9.0, 0.0), ["9"]),
    ],
)
def test_logarithmic_axes_have_round_numbers(losses: tuple[float, ...], ticks: list[str]) -> None:
    points = Points("", 0, tuple(float(k) for k in range(len(losses))), losses)
    chart = line_chart([points], x_label="", y_label="", summary="", logarithmic=True, marked=False)
    assert [tick.text for tick in chart.y_ticks] == ticks
    assert "nan" not in chart.lines[0].path


def test_a_dot_stands_at_its_value_and_a_ring_and_a_diamond_at_theirs() -> None:
    rows = [Row("sen", value=50, low=25, high=75, other=0, published=100), Row("none")]
    chart = dot_chart(rows, x_label="", summary="", limits=(0, 100))
    zero, half, full = (tick.at for tick in chart.ticks)
    placed, empty = chart.rows
    ring, dot = placed.marks
    assert ring.hollow
    assert ring.path.startswith(f"M{zero:g} ")
    assert dot.path.startswith(f"M{half:g} ")
    assert placed.published.startswith(f"M{full:g} ")
    assert not empty.marks
    assert not empty.published


def test_every_colour_has_a_mark_of_its_own() -> None:
    assert len({mark_path(colour, 0, 0) for colour in range(len(MARKS))}) == len(MARKS)


def test_a_sixth_model_has_the_colour_of_the_first() -> None:
    first, sixth = (
        line_chart([Points("", colour, (1.0, 2.0), (1.0, 2.0))], x_label="", y_label="", summary="").lines[0]
        for colour in (0, len(MARKS))
    )
    assert sixth == first
    rows = [Row("", value=1, other=2, colour=colour) for colour in (1, 1 + len(MARKS))]
    one, other = dot_chart(rows, x_label="", summary="", limits=(0, 3)).rows
    assert [mark.colour for mark in one.marks] == [mark.colour for mark in other.marks] == [1, 1]
    assert one.colour == other.colour == 1


def test_long_names_are_told_apart_by_their_ends() -> None:
    rows = [Row(f"package.module:{name}") for name in ("Alpha (1)", "Alpha (2)", "Beta (1)")]
    labels = [row.label for row in dot_chart(rows, x_label="", summary="", limits=(0, 1)).rows]
    assert labels == ["…le:Alpha (1)", "…le:Alpha (2)", "…ule:Beta (1)"]


def test_a_logarithmic_axis_to_the_right_has_equal_factors_at_equal_distances() -> None:
    points = Points("", 0, (100.0, 1000.0, 10_000.0), (1.0, 2.0, 3.0))
    chart = line_chart([points], x_label="", y_label="", summary="", x_logarithmic=True)
    assert [tick.text for tick in chart.x_ticks] == ["100", "1k", "10k"]
    first, middle, last = (tick.at for tick in chart.x_ticks)
    assert middle - first == pytest.approx(last - middle)
    many = Points("", 0, tuple(float(100 * k) for k in range(1, 11)), tuple(map(float, range(10))))
    chart = line_chart([many], x_label="", y_label="", summary="", x_logarithmic=True)
    assert [tick.text for tick in chart.x_ticks] == ["100", "200", "500", "1k"]
    one = line_chart([Points("", 0, (5.0,), (1.0,))], x_label="", y_label="", summary="", x_logarithmic=True)
    assert len(one.lines[0].marks) == 1


def test_places_to_the_right_may_have_names() -> None:
    points = Points("", 0, (0.0, 1.0, 1.0), (1.0, math.nan, 3.0))
    chart = line_chart([points], x_label="", y_label="", summary="", x_names=["near", "far"])
    assert [tick.text for tick in chart.x_ticks] == ["near", "far"]
    assert [len(stroke) for stroke in chart.lines[0].strokes] == [1, 1]
