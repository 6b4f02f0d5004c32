"""Latents under a finite group of the plane, taken apart into its irreducible representations."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sen_bench.figures.irreps import (
    Component,
    components,
    correlation_ratio,
    irreps,
    principal_components,
)
from sen_bench.figures.style import CYCLIC, FAINT, colour_bar, new_figure, scatter
from sen_bench.symmetry import Representation

FloatArray = NDArray[np.float64]

#: How many copies of a representation of dimension 2 are drawn, and of dimension 1.
_PLANES, _LINES = 4, 1
_COLUMNS = 4


def first_components(points: FloatArray, action: Representation) -> list[Component]:
    """The copies in which the points vary most: four of each plane, and one of each line.

    Args:
        points: float64 ``[N, D]``.
        action: The group's action on them.
    """
    return [
        component
        for irrep in sorted(irreps(action.group), key=lambda irrep: -irrep.dim)
        for component in itertools.islice(
            components(points, action, irrep), _PLANES if irrep.dim == 2 else _LINES
        )
    ]


def varying(states: NDArray[np.float64]) -> list[int]:
    """Which entries of states ``[N, K]`` are not the same everywhere."""
    return [int(k) for k in np.flatnonzero(np.ptp(states, axis=0) > 0)]


def period(name: str) -> float | None:
    """After how much an entry of a state repeats, according to its name: "place (modulo 8)"; None: never."""
    found = re.search(r"\bmodulo (?:(2 pi)|(\d+(?:\.\d+)?))", name)
    if found is None:
        return None
    return 2 * np.pi if found[1] else float(found[2]) or None


def draw_irreps(
    latents: FloatArray,
    states: NDArray[np.float64],
    action: Representation,
    *,
    names: Sequence[str],
    title: str,
) -> Figure:
    """Draws the irreducible parts of latents.

    Planes are coloured by the first entry of the state that varies. Lines are drawn against the entry that
    explains most of their variance. All have one scale, so that a part in which latents hardly vary looks it.

    Args:
        latents: float64 ``[N, ...]``.
        states: float64 ``[N, K]``.
        action: The group's action on the flattened latents.
        names: What the entries of a state are.
        title: What the run is.
    """
    flat = latents.reshape(len(latents), -1)
    parts = first_components(flat, action)
    # What no element changes is drawn from its mean, everything else from the origin; shares are too.
    fixed = action.matrix.mean(axis=0) @ flat.mean(axis=0)
    total = float(((flat - fixed) ** 2).sum())
    rows = -(-len(parts) // _COLUMNS)
    figure = new_figure(1.75 * rows + 0.5)
    panels: list[Axes] = figure.subplots(rows, _COLUMNS, squeeze=False).ravel().tolist()
    entries = varying(states) or [0]
    shown, colours = None, states[:, entries[0]]
    reach = 1.1 * max((float(np.abs(part.coordinates).max()) for part in parts), default=0.0) or 1.0
    for axes, part in zip(panels, parts, strict=False):
        share = float((part.coordinates**2).sum()) / total if total else 0.0
        axes.set_title(f"{_symbol(part.irrep.name)}, {100 * share:.1f} %")
        if part.irrep.dim == 2:
            shown = _scatter_state(axes, part.coordinates, colours, names[entries[0]])
            axes.axhline(0, color=FAINT, lw=0.4, zorder=0)
            axes.axvline(0, color=FAINT, lw=0.4, zorder=0)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
            axes.set_aspect("equal")
        else:
            values = part.coordinates[:, 0]
            best = max(entries, key=lambda k: correlation_ratio(values, states[:, k]))
            points = np.stack([states[:, best], values], axis=1)
            shown = _scatter_state(axes, points, colours, names[entries[0]])
            axes.set_xlabel(names[best].partition(",")[0] + (")" if "," in names[best] else ""))
            axes.set_ylim(-reach, reach)
        axes.ticklabel_format(scilimits=(-2, 4))
        axes.locator_params(nbins=4)
    for axes in panels[len(parts) :]:
        axes.set_axis_off()
    if shown is not None:
        colour_bar(figure, shown, panels, names[entries[0]], "right")
    figure.supylabel("component of the latent (latent units)", fontsize=8)
    figure.suptitle(title, fontsize=8)
    return figure


def draw_principal_components(
    latents: FloatArray, states: NDArray[np.float64], *, names: Sequence[str], title: str
) -> Figure:
    """Draws the first two principal components of latents, once for each of the first entries of the state.

    Args:
        latents: float64 ``[N, ...]``.
        states: float64 ``[N, K]``.
        names: What the entries of a state are.
        title: What the run is.
    """
    points = principal_components(latents.reshape(len(latents), -1))
    entries = (varying(states) or [0])[:3]
    figure = new_figure(2.6, width=2.4 * len(entries) + 0.3)
    for axes, k in zip(figure.subplots(1, len(entries), squeeze=False).ravel(), entries, strict=True):
        shown = _scatter_state(axes, points, states[:, k], names[k])
        axes.set_aspect("equal", adjustable="datalim")
        axes.ticklabel_format(scilimits=(-2, 4))
        axes.locator_params(nbins=5)
        colour_bar(figure, shown, [axes], names[k], "top")
    figure.supxlabel("first principal component (latent units)", fontsize=8)
    figure.supylabel("second principal component", fontsize=8)
    figure.suptitle(title, fontsize=8)
    return figure


def _scatter_state(axes: Axes, points: FloatArray, values: NDArray[np.float64], name: str) -> PathCollection:
    """Points coloured by an entry of the state."""
    whole = period(name)
    if whole is not None:
        return scatter(axes, points, values % whole, cmap=CYCLIC, limits=(0, whole))
    return scatter(axes, points, values, cmap="viridis")


def _symbol(name: str) -> str:
    """A name as printed: ``A1`` with a subscript."""
    return rf"$\mathrm{{{name[0]}}}_{{{name[1:]}}}$" if len(name) > 1 else rf"$\mathrm{{{name}}}$"
