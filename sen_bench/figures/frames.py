"""Learned rotations beside the true ones."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sen_bench.figures.rotations import best_alignment, geodesic_distance, rotation_angle
from sen_bench.figures.style import BLUE, FAINT, GREEN, INK, VERMILION, new_figure, scatter

FloatArray = NDArray[np.float64]

#: How many states are drawn as arrows.
_STATES = 6
#: The axes of the object, x, y and z.
_AXES = (BLUE, VERMILION, GREEN)


def draw_frames(learned: FloatArray, true: FloatArray, frames: NDArray[np.uint8], *, title: str) -> Figure:
    """Draws learned rotations against true ones, after the best constant alignment.

    Args:
        learned: float64 ``[N, 3, 3]``.
        true: float64 ``[N, 3, 3]``; rows are right, away and up, columns the axes of the object.
        frames: uint8 ``[N, H, W, C]``.
        title: What the run is.
    """
    aligned = learned @ best_alignment(learned, true).T
    error = np.degrees(geodesic_distance(aligned, true))
    figure = new_figure(5.2)
    halves = figure.subfigures(2, 1, height_ratios=[1, 1.15], squeeze=False)
    above, below = halves[:, 0]
    histogram, angles, entries = above.subplots(1, 3)
    _draw_histogram(histogram, error)
    points = np.degrees(np.stack([rotation_angle(true), rotation_angle(aligned)], axis=1))
    _draw_diagonal(angles, points, 180.0)
    angles.set(xlabel="true angle of rotation (°)", ylabel="learned angle (°)", xlim=(0, 180), ylim=(0, 180))
    angles.set(xticks=range(0, 181, 60), yticks=range(0, 181, 60))
    pairs = np.stack([true.ravel(), aligned.ravel()], axis=1)
    scatter(entries, pairs, np.resize(_AXES, len(pairs)), size=1.5)  # columns change fastest
    entries.plot([-1, 1], [-1, 1], color=INK, lw=0.7)
    entries.set(xlabel="entry of the true matrix", ylabel="entry of the learned matrix")
    entries.set_aspect("equal")
    shown = min(_STATES, len(true))
    panels = below.subplots(2, shown, squeeze=False, height_ratios=[1, 1.1])
    for k in range(shown):
        _draw_state(panels[0, k], panels[1, k], frames[k], true[k], aligned[k], float(error[k]))
    below.legend(
        handles=[
            *(
                panels[1, 0].plot([], [], color=colour, label=f"{name} axis")[0]
                for colour, name in zip(_AXES, "xyz", strict=True)
            ),
            panels[1, 0].plot([], [], color=INK, ls=(0, (2, 1.5)), lw=0.9, label="true")[0],
            panels[1, 0].plot([], [], color=INK, label="learned")[0],
        ],
        loc="outside lower center",
        ncols=5,
    )
    figure.suptitle(title, fontsize=8)
    return figure


def _draw_histogram(axes: Axes, error: FloatArray) -> None:
    axes.hist(error, bins=np.linspace(0, 180, 61).tolist(), color=BLUE)
    # The angle between rotations that know nothing of each other: that of a random one.
    angle = np.radians(np.linspace(0, 180, 181))
    expected = len(error) * np.radians(3) * (1 - np.cos(angle)) / np.pi
    axes.plot(np.degrees(angle), expected, color=FAINT, lw=0.9, label="by chance")
    axes.axvline(
        float(np.median(error)), color=INK, lw=0.8, ls=(0, (4, 2)), label=f"median {np.median(error):.1f}°"
    )
    axes.set(xlabel="learned against true (°)", ylabel="frames", xlim=(0, 180), xticks=range(0, 181, 60))
    # Above the axes: whatever the errors, no corner inside is sure to be free.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, columnspacing=1)


def _draw_diagonal(axes: Axes, points: FloatArray, end: float) -> None:
    scatter(axes, points, BLUE, size=3)
    axes.plot([0, end], [0, end], color=INK, lw=0.7)
    axes.set_aspect("equal")


def _draw_state(
    picture: Axes, arrows: Axes, frame: NDArray[np.uint8], true: FloatArray, learned: FloatArray, error: float
) -> None:
    """One state as it is seen; below it the axes of its true and its learned frame, from the same side."""
    picture.imshow(frame[..., 0] if frame.shape[-1] == 1 else frame, cmap="gray", vmin=0, vmax=255)
    picture.set_axis_off()
    arrows.set_axis_off()
    arrows.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
    arrows.set_aspect("equal")
    arrows.set_title(f"{error:.1f}° off", fontsize=7, y=-0.12)
    for axis in np.argsort(-true[1]):  # farthest first, so that nearer ones cover it
        for matrix, style, width in ((learned, "-", 1.4), (true, (0, (2, 1.5)), 0.9)):
            arrows.annotate(
                "",
                xy=(matrix[0, axis], matrix[2, axis]),
                xytext=(0, 0),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": INK if matrix is true else _AXES[axis],
                    "lw": width,
                    "ls": style,
                    "shrinkA": 0,
                    "shrinkB": 0,
                    "mutation_scale": 6,
                },
            )
