"""The picture of the paper's illustrative example: a sequence, and the first layers of two networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sen_bench.examples import SequenceExample, TrainedNetwork
from sen_bench.figures.choices import format_of
from sen_bench.figures.style import FAINT, INK, VERMILION, new_figure, save_figure, style

_TITLES = {
    "convolutions": "fully connected, then convolutions",
    "fully-connected": "fully connected layers alone",
}


def draw_sequence_figure(example: SequenceExample) -> Figure:
    """Draws a labelled sequence, and the weights of the first layer of each network beside it.

    Args:
        example: What was trained.
    """
    figure = new_figure(2.5)
    left, *others = figure.subplots(1, 1 + len(example.networks))
    _draw_sequence(left, example)
    for axes, network in zip(others, example.networks, strict=True):
        _draw_weight(figure, axes, network)
    return figure


def _draw_sequence(axes: Axes, example: SequenceExample) -> None:
    samples, peaks = example.samples.numpy(), example.labels.numpy() > 0
    positions = np.arange(len(samples))
    axes.axhline(0, color=FAINT, lw=0.6)
    axes.plot(positions, samples, ".-", color=INK, lw=0.8, ms=4)
    axes.plot(positions[peaks], samples[peaks], "o", color=VERMILION, ms=5, label="label 1")
    axes.set(title="a sequence and its labels", xlabel="position", ylim=(None, 1.35 * samples.max()))
    axes.legend(loc="upper right")


def _draw_weight(figure: Figure, axes: Axes, network: TrainedNetwork) -> None:
    """A matrix: red weights are positive, blue ones negative, white is 0."""
    weight = network.weight.numpy()
    limit = float(np.abs(weight).max())
    image = axes.imshow(weight, cmap="RdBu_r", vmin=-limit, vmax=limit)
    error = f"equivariance error {network.equivariance_error:.2f}"
    axes.set(
        title=f"{_TITLES[network.name]}\n{error}",
        xlabel="position in the input",
        ylabel="position in the output",
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
    bar.outline.set_visible(False)


def save_sequence_figure(example: SequenceExample, paths: Sequence[Path]) -> None:
    """Draws the example into files, each in the format of its suffix; equal examples give equal bytes.

    Args:
        example: What was trained.
        paths: The files.

    Raises:
        ConfigError: If a suffix is that of no format.
        ResultsError: If a file cannot be written.
    """
    kinds = [format_of(path) for path in paths]
    with style():
        figure = draw_sequence_figure(example)
        for path, kind in zip(paths, kinds, strict=True):
            save_figure(figure, path, kind)
