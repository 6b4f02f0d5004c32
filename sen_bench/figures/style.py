"""How every figure looks, and how it is written: the same bytes for the same data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sen_bench.errors import ResultsError
from sen_bench.figures.choices import Format
from sen_bench.system import write_atomically

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

#: Okabe and Ito's colours (2008), which people of all kinds of colour vision tell apart.
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
INK, FAINT = "#222222", "#9a9a9a"

#: For angles: begins and ends with the same colour.
CYCLIC = LinearSegmentedColormap.from_list("cyclic", [BLUE, GREEN, "#F0E442", VERMILION, PURPLE, BLUE])

#: Inches: the width of a text in two columns.
WIDTH = 6.9

_STYLE: dict[RcKeyType, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlepad": 4,
    "axes.labelsize": 8,
    "axes.labelpad": 2,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7,
    # Lines that cross a figure do not cross what its legend says.
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "lines.linewidth": 1.1,
    "image.interpolation": "nearest",
    # Ids in an SVG are random otherwise.
    "svg.hashsalt": "sen-bench",
    "svg.fonttype": "path",
    # TrueType: publishers refuse the Type 3 fonts that Matplotlib embeds by default.
    "pdf.fonttype": 42,
}

#: Libraries record the time and their version unless they are told not to.
_METADATA: dict[Format, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextmanager
def style() -> Iterator[None]:
    """The look of all figures; make and save them inside this context."""
    with mpl.rc_context(_STYLE):
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of a size in inches, for Agg: no display, and nothing shared with pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, kind: Format) -> None:
    """Writes a figure; equal figures give equal bytes.

    Raises:
        ResultsError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda part: figure.savefig(part, format=kind, metadata=_METADATA[kind]))
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


def scatter(
    axes: Axes,
    points: NDArray[Any],
    colours: str | NDArray[Any],
    size: float = 5,
    *,
    cmap: str | Colormap | None = None,
    limits: tuple[float | None, float | None] = (None, None),
) -> PathCollection:
    """Points ``[N, 2]`` as small discs, kept as pixels in an SVG, which would be megabytes otherwise.

    Args:
        axes: Where to draw.
        points: float64 ``[N, 2]``.
        colours: One for all, or one for each, which may be a number.
        size: The area of a disc, in square points.
        cmap: The colours of numbers.
        limits: The numbers at the ends of `cmap`.
    """
    low, high = limits
    return axes.scatter(
        points[:, 0],
        points[:, 1],
        c=colours,
        s=size,
        alpha=0.75,
        linewidths=0,
        rasterized=True,
        cmap=cmap,
        vmin=low,
        vmax=high,
    )


def colour_bar(figure: Figure, shown: PathCollection, axes: Sequence[Axes], label: str, place: str) -> None:
    """What the colours of points mean, beside the axes (``right``) or above them (``top``)."""
    bar = figure.colorbar(
        ScalarMappable(shown.norm, shown.cmap), ax=axes, location=place, shrink=0.8, aspect=30, pad=0.02
    )
    bar.set_label(label)
    bar.outline.set_visible(False)


def cell_colours(side: int) -> NDArray[np.float64]:
    """A colour for each cell of a square grid, ``[side, side, 3]``: bluer to the left, lighter downwards.

    People who confuse red and green can tell blue from orange; everybody sees lightness.
    """
    corners = np.array(
        [[[0.02, 0.20, 0.50], [0.58, 0.22, 0.00]], [[0.45, 0.78, 1.00], [1.00, 0.75, 0.25]]]  # [down, right]
    )
    ramp = np.linspace(0, 1, side) if side > 1 else np.zeros(1)
    weight = np.stack([1 - ramp, ramp])
    return np.asarray(np.einsum("ar,bc,abk->rck", weight, weight, corners))
