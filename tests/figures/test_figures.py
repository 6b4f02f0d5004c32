"""Figures show what is there: parts and colours are exact, equal figures are equal files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from PIL import Image

from sen_bench.errors import ResultsError
from sen_bench.figures.choices import FORMATS, Format
from sen_bench.figures.curve import draw_learning_curve, read_attempts
from sen_bench.figures.grids import draw_grid_latents
from sen_bench.figures.reconstructions import draw_reconstructions
from sen_bench.figures.style import cell_colours, save_figure, style


def test_every_cell_has_a_colour_of_its_own() -> None:
    colours = cell_colours(5)
    assert colours.shape == (5, 5, 3)
    assert ((colours >= 0) & (colours <= 1)).all()
    flat = colours.reshape(-1, 3)
    distance = np.linalg.norm(flat[:, None] - flat, axis=-1)
    assert distance[~np.eye(25, dtype=bool)].min() > 0.05


def test_points_have_the_colour_of_their_true_cell() -> None:
    rng = np.random.default_rng(8)
    cells = rng.integers(5, size=(30, 2, 2))
    with style():
        figure = draw_grid_latents(
            rng.normal(size=(30, 2, 3)), cells, 5, [None, None], names=("a", "b"), title="test"
        )
    for o in range(2):
        points = next(c for c in figure.axes[o].collections if isinstance(c, PathCollection))
        expected = cell_colours(5)[cells[:, o, 0], cells[:, o, 1]]
        assert np.allclose(np.asarray(points.get_facecolor())[:, :3], expected)


def _line(event: str, attempt: int, epoch: int, step: int, **values: float) -> dict[str, Any]:
    return {"event": event, "attempt": attempt, "epoch": epoch, "step": step, **values}


def _steps(attempt: int, epoch: int, step: int, loss: float) -> dict[str, Any]:
    terms = {"loss": loss, "positive": loss / 4, "negative": 3 * loss / 4, "separation": 1 / loss}
    return _line("steps", attempt, epoch, step, **terms)


LOG = [
    _steps(0, 1, 10, 1.0),
    _line("collapsed", 0, 1, 12),
    _line("recovered", 0, 1, 17),
    _steps(0, 1, 20, 0.8),
    _line("epoch", 0, 1, 20),
    _line("collapsed", 0, 2, 25),
    _steps(1, 1, 10, 0.5),
    _line("epoch", 1, 1, 10),
]


def test_a_log_is_read_attempt_by_attempt_with_its_collapses() -> None:
    first, second = read_attempts(LOG)
    assert first.steps.tolist() == [10, 20]
    assert first.terms["loss"].tolist() == [1.0, 0.8]
    assert first.collapses == ((12, 17), (25, 25))
    assert first.epochs == (20,)
    # Steps of the second attempt count on from the last one of the first.
    assert second.steps.tolist() == [35]
    assert second.terms["separation"].tolist() == [2.0]
    assert (second.epochs, second.collapses) == ((35,), ())


@pytest.mark.parametrize("kind", FORMATS)
def test_equal_figures_are_equal_files(tmp_path: Path, kind: Format) -> None:
    names = ("first", "second")
    for name in names:
        with style():
            save_figure(draw_learning_curve(LOG, title="test", hinge=1.0), tmp_path / name, kind)
    first, second = ((tmp_path / name).read_bytes() for name in names)
    assert first == second
    if kind == "svg":
        assert b"<dc:date>" not in first
    elif kind == "pdf":
        assert first.startswith(b"%PDF-")
        assert b"Date" not in first
    else:
        with Image.open(tmp_path / "first") as image:
            assert image.info.keys() <= {"dpi"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("hinge", "terms"),
    [
        (1.0, ["loss", "positive", "negative", "collapsed", "restart", "all latents equal"]),
        (None, ["loss", "reconstruction", "divergence", "collapsed", "restart"]),
    ],
)
def test_a_curve_names_the_terms_of_its_loss(hinge: float | None, terms: list[str]) -> None:
    left, right = draw_learning_curve(LOG, title="test", hinge=hinge).axes
    legend = left.get_legend()
    assert legend is not None
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(terms)
    # Where there is no margin, nothing is drawn at it.
    assert (right.get_legend() is None) == (hinge is None)


def test_drawing_leaves_the_style_of_others_alone() -> None:
    before = dict(mpl.rcParams)
    with style():
        draw_learning_curve(LOG, title="test", hinge=1.0)
    assert dict(mpl.rcParams) == before


def test_a_figure_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with style(), pytest.raises(ResultsError, match="cannot write") as caught:
        save_figure(draw_learning_curve(LOG, title="", hinge=1.0), tmp_path / "file" / "a.png", "png")
    assert "\n" not in str(caught.value)


def test_reconstructions_show_the_images_they_are_given() -> None:
    images = np.random.default_rng(9).random((2, 4, 5, 3))
    with style():
        figure = draw_reconstructions({"a": images, "b": 1 - images}, ["x", "y"], title="test")
    shown = [axes.images[0].get_array() for axes in figure.axes]
    for got, expected in zip(shown, [images[0], 1 - images[0], images[1], 1 - images[1]], strict=True):
        assert got is not None
        assert np.array_equal(got, expected)
