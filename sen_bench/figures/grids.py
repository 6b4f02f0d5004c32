"""The latents of objects on a grid, coloured by the cells that the objects are truly in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sen_bench.figures.irreps import Irrep, align_plane, components, irreps, principal_components
from sen_bench.figures.style import FAINT, INK, cell_colours, new_figure, scatter
from sen_bench.symmetry import Representation

FloatArray = NDArray[np.float64]


def cell_vectors(cells: NDArray[np.int64], side: int) -> FloatArray:
    """Cells ``[..., 2]``, row and column, as vectors (right, up) from the middle of the grid."""
    middle = (side - 1) / 2
    return np.stack([cells[..., 1] - middle, middle - cells[..., 0]], axis=-1)


def turning_irrep(action: Representation) -> Irrep | None:
    """The representation by which the turns act on the plane of the grid itself, if there is one."""
    planes = [irrep for irrep in irreps(action.group) if irrep.dim == 2]
    return planes[0] if planes else None


def object_plane(
    latents: FloatArray, cells: NDArray[np.int64], side: int, action: Representation | None
) -> FloatArray:
    """Where the latents of one object lie in a plane.

    With a group it is a plane on which turns of the world act as turns (the copy of that representation in
    which the latents vary most), turned to lie as the grid does. Without one it is the plane of the first two
    principal components, turned or reflected in the same way.

    Args:
        latents: float64 ``[N, ...]``.
        cells: int64 ``[N, 2]``, where the object truly is.
        side: Cells along a side of the grid.
        action: The group's action on the flattened latents.

    Returns:
        float64 ``[N, 2]``.
    """
    flat = latents.reshape(len(latents), -1)
    targets = cell_vectors(cells, side)
    if action is not None:
        irrep = turning_irrep(action)
        if irrep is not None:
            for component in components(flat, action, irrep):
                return align_plane(component.coordinates, targets, reflect=False)
    return align_plane(principal_components(flat), targets - targets.mean(axis=0), reflect=True)


def cell_means(points: FloatArray, cells: NDArray[np.int64], side: int) -> FloatArray:
    """The mean of the points in each cell, float64 ``[side, side, 2]``; NaN for empty cells."""
    means = np.full((side, side, 2), np.nan)
    for row, column in np.ndindex(side, side):
        inside = (cells == (row, column)).all(axis=1)
        if inside.any():
            means[row, column] = points[inside].mean(axis=0)
    return means


def draw_grid_latents(
    latents: FloatArray,
    cells: NDArray[np.int64],
    side: int,
    actions: Sequence[Representation | None],
    *,
    names: Sequence[str],
    title: str,
) -> Figure:
    """Draws a panel per object: its latents, coloured by the true cell, and the mean of every cell as a mesh.

    Args:
        latents: float64 ``[N, O, ...]``.
        cells: int64 ``[N, O, 2]``.
        side: Cells along a side of the grid.
        actions: The group's action on each object's latent, or None for each.
        names: What the objects are called.
        title: What the run is.
    """
    objects = latents.shape[1]
    columns = min(3, objects + 1)
    rows = -(-(objects + 1) // columns)
    figure = new_figure(2.25 * rows + 0.3)
    panels: list[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    colours = cell_colours(side)
    for o in range(objects):
        axes, where = panels[o], cells[:, o]
        points = object_plane(latents[:, o], where, side, actions[o])
        scatter(axes, points, colours[where[:, 0], where[:, 1]], size=7)
        _draw_mesh(axes, cell_means(points, where, side), colours)
        axes.set_title(names[o])
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.08)
        axes.tick_params(labelsize=6)
        axes.locator_params(nbins=5)
    _draw_legend(panels[objects], colours)
    for axes in panels[objects + 1 :]:
        axes.set_axis_off()
    turning = any(action is not None and turning_irrep(action) for action in actions)
    plane = "plane on which turns act as turns" if turning else "principal components"
    figure.supxlabel(f"{plane}, first axis (latent units)", fontsize=8)
    figure.supylabel("second axis (latent units)", fontsize=8)
    figure.suptitle(title, fontsize=8)
    return figure


def _draw_mesh(axes: Axes, means: FloatArray, colours: FloatArray) -> None:
    """Joins neighbouring cells, so that the grid shows even where colours do not."""
    for line in (*means, *means.swapaxes(0, 1)):
        axes.plot(line[:, 0], line[:, 1], color=FAINT, lw=0.6, zorder=2)
    flat = means.reshape(-1, 2)
    axes.scatter(
        flat[:, 0], flat[:, 1], c=colours.reshape(-1, 3), s=16, edgecolors=INK, linewidths=0.5, zorder=3
    )


def _draw_legend(axes: Axes, colours: FloatArray) -> None:
    side = len(colours)
    axes.imshow(colours, extent=(-0.5, side - 0.5, side - 0.5, -0.5))
    axes.set(xlabel="column", ylabel="row", title="true cell", xticks=range(side), yticks=range(side))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_anchor("C")
    axes.set_box_aspect(1)
