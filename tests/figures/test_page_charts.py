"""The charts of the page as files: each one, as vectors, in the colours of the page, with equal bytes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from sen_bench.figures.page_charts import COLOURS, _drawn, draw_charts
from sen_bench.report import Page, Panel
from sen_bench.report.charts import Points, Row, dot_chart, line_chart
from sen_bench.report.geometry import MARKS
from sen_bench.report.worth import WorthFigure, WorthPanel
from tests.paths import ROOT

ROWS = [
    Row("sen", "50.0 ± 1.0", 0, 50, 25, 75, published=100),
    Row("own:$x$_{", "1.0 †", 1, 1, other=2),
    Row("none", "not run", 2),
]
DOTS = dot_chart(ROWS, x_label="H@1, %", summary="", limits=(0, 100), reference=18.5)
LINES = tuple(
    line_chart(
        [Points("sen", 0, (1, 5, 10), (100, 90, 80), (90, 80, 70), (100, 100, 90))],
        x_label="steps ahead",
        y_label=label,
        summary="",
    )
    for label in ("H@1, %", "H@10, %")
)
DOT_PANEL = Panel("2d-shapes", "train", "cpu", "2D Shapes", DOTS)
VARIANT_PANEL = Panel("2d-shapes", "train", "cpu+epochs=2", "2D Shapes", DOTS)
LINE_PANEL = Panel("2d-shapes", "train", "cpu", "2D Shapes", lines=LINES, legend=LINES[0].lines)


@pytest.fixture
def page() -> Page:
    empty = Page("1", 0, 0, 0, "", *[()] * 13)
    outside = replace(DOT_PANEL, task="../2d", split="..")
    missing = replace(DOT_PANEL, preset="")
    acting = WorthFigure("acting", "", "", "planning.csv", (WorthPanel(VARIANT_PANEL, "", (), ()),))
    return replace(
        empty, worth=(acting,), glance=(DOT_PANEL, DOT_PANEL, missing, outside), horizons=(LINE_PANEL,)
    )


NAMES = [
    "2d-shapes-train-cpu-scores",
    "2d-shapes-train-cpu-scores-2",
    "..-2d-..-cpu-scores",
    "2d-shapes-train-cpu-horizons-H1",
    "2d-shapes-train-cpu-horizons-H10",
    "2d-shapes-train-cpu-epochs-2-acting",
]


def test_each_chart_has_files_of_its_own_that_are_equal_a_second_time(page: Page, tmp_path: Path) -> None:
    first, second = (draw_charts(page, tmp_path / name, ("svg", "pdf")) for name in ("a", "b"))
    assert [path.relative_to(tmp_path / "a").as_posix() for path in first] == [
        f"{name}.{kind}" for name in NAMES for kind in ("svg", "pdf")
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_files_are_vectors_with_fonts_that_publishers_accept(page: Page, tmp_path: Path) -> None:
    for path in draw_charts(replace(page, glance=(DOT_PANEL,), equivariance=()), tmp_path, ("svg", "pdf")):
        if path.suffix == ".svg":
            text = path.read_text(encoding="utf-8")
            assert text.count("<path ") > 10
            assert "<image" not in text
        else:
            content = path.read_bytes()
            assert content.startswith(b"%PDF")
            assert b"/Subtype /Image" not in content
            assert b"/FontFile2" in content
            assert b"/Type3" not in content


def test_colours_are_those_of_the_page_in_light() -> None:
    style = (ROOT / "sen_bench/report/templates/style.css").read_text()
    light = style[: style.index("@media")]
    assert tuple(re.findall(r"--c\d: (#\w{6})", light)) == COLOURS
    assert len(COLOURS) == len(MARKS)


def _points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_path().vertices)]


def test_what_is_on_the_page_is_in_the_figure() -> None:
    figure = _drawn(replace(DOT_PANEL, note="limited"), DOTS)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    for text in ("2D Shapes", "limited · preset cpu", "sen", "own:$x$_{", "50.0 ± 1.0", "not run", "H@1, %"):
        assert text in texts
    drawn = {_points(line)[0]: line for line in axes.lines}
    sen, own, _ = DOTS.rows
    (mark,) = sen.marks
    assert to_hex(drawn[mark.x, mark.y].get_markerfacecolor()) == COLOURS[0]
    assert drawn[sen.published_at or 0, sen.y].get_markerfacecolor() == "none"
    assert drawn[own.marks[0].x, own.y].get_markerfacecolor() == "white"
    (axes,) = _drawn(LINE_PANEL, LINES[0]).axes
    paths = [_points(line) for line in axes.lines]
    assert all(list(stroke) in paths for stroke in LINES[0].lines[0].strokes)


def test_a_key_says_only_what_is_there() -> None:
    plain = dot_chart([Row("sen", "1", value=50)], x_label="", summary="", limits=(0, 100))
    said = {"95 % interval", "published", "no change, exact latents", "no better than no change"}
    (axes,) = _drawn(DOT_PANEL, plain).axes
    assert not said & {text.get_text() for text in axes.texts}
    with_all = [*ROWS[:1], Row("none", "1.0 †", value=1)]
    chart = dot_chart(with_all, x_label="", summary="", limits=(0, 100), reference=18.5)
    (axes,) = _drawn(DOT_PANEL, chart).axes
    assert said < {text.get_text() for text in axes.texts}


def test_what_a_dot_chart_pairs_and_what_needs_no_model_is_drawn_and_said() -> None:
    rows = [Row("sen", "97.0 (95.0)", 0, 97, other=95), Row("oracle", "100.0", reference=100)]
    chart = dot_chart(rows, x_label="", summary="", limits=(0, 100), pair=("the problems", "their twins"))
    (axes,) = _drawn(VARIANT_PANEL, chart).axes
    said = {text.get_text() for text in axes.texts}
    assert {"the problems", "their twins", "preset cpu + 1 setting"} <= said
    oracle = chart.rows[1]
    assert oracle.reference_at is not None
    vertical = [(oracle.reference_at, oracle.y - 8), (oracle.reference_at, oracle.y + 8)]
    assert vertical in [_points(line) for line in axes.lines]


def test_a_long_purpose_of_a_split_goes_on_in_a_second_line() -> None:
    purpose = "training with one quarter of the board and the direction up only"
    (axes,) = _drawn(replace(LINE_PANEL, note=purpose), LINES[0]).axes
    said = [text.get_text() for text in axes.texts]
    assert said[:3] == [
        "2D Shapes",
        "training with one quarter of the board and the direction up",
        "only · preset cpu",
    ]


def test_hollow_marks_of_lines_are_said_where_there_are_any() -> None:
    for hollow in (True, False):
        points = Points("none", 1, (100, 1000), (1, 2), hollow=(hollow, False))
        chart = line_chart([points], x_label="", y_label="", summary="", x_logarithmic=True)
        (axes,) = _drawn(LINE_PANEL, chart).axes
        assert ("no better than no change" in {text.get_text() for text in axes.texts}) == hollow
        (mark, _) = chart.lines[0].marks
        (drawn,) = [line for line in axes.lines if _points(line) == [(mark.x, mark.y)]]
        assert (drawn.get_markerfacecolor() == "white") == hollow
