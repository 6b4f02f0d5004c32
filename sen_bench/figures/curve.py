"""The learning curve of a run: its loss, how far apart latents are, and where it was collapsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sen_bench.figures.style import BLUE, FAINT, GREEN, INK, ORANGE, VERMILION, new_figure
from sen_bench.training import LOSS_TERMS, SEPARATION_SHARE


@dataclass(frozen=True)
class AttemptCurve:
    """What was logged between two restarts; steps count on from the attempt before.

    Attributes:
        steps: float64 ``[N]``, optimiser steps of all attempts so far.
        terms: By name, float64 ``[N]``: loss, positive, negative, separation.
        epochs: The steps at which epochs ended.
        collapses: The first and the last step of every time that the model was collapsed.
    """

    steps: NDArray[np.float64]
    terms: dict[str, NDArray[np.float64]]
    epochs: tuple[int, ...]
    collapses: tuple[tuple[int, int], ...]


def read_attempts(lines: Sequence[dict[str, Any]]) -> list[AttemptCurve]:
    """The attempts in the lines of a metrics log."""
    attempts, before = [], 0
    for number in sorted({line["attempt"] for line in lines}):
        mine = [line for line in lines if line["attempt"] == number]
        rows = [line for line in mine if line["event"] == "steps"]
        last = max(line["step"] for line in mine)
        starts = [line["step"] for line in mine if line["event"] == "collapsed"]
        ends = [line["step"] for line in mine if line["event"] == "recovered"]
        # Only the last collapse of an attempt may have no end.
        spans = zip(starts, [*ends, last][: len(starts)], strict=True)
        attempts.append(
            AttemptCurve(
                before + np.array([line["step"] for line in rows], dtype=np.float64),
                {name: np.array([line[name] for line in rows], dtype=np.float64) for name in LOSS_TERMS},
                tuple(before + line["step"] for line in mine if line["event"] == "epoch"),
                tuple((before + start, before + end) for start, end in spans),
            )
        )
        before += last
    return attempts


def draw_learning_curve(lines: Sequence[dict[str, Any]], *, title: str, hinge: float | None) -> Figure:
    """Draws loss and separation against optimiser steps.

    Args:
        lines: The lines of the metrics log.
        title: What the run is.
        hinge: Margin of the negative term; it is the loss when all latents are equal. None: the loss is that
            of a generative model, and its terms are a reconstruction and a divergence.
    """
    attempts = read_attempts(lines)
    figure = new_figure(2.5)
    left, right = figure.subplots(1, 2)
    positive, negative = ("positive", "negative") if hinge is not None else ("reconstruction", "divergence")
    names = {
        "loss": ("loss", INK, 1.3),
        "positive": (positive, BLUE, 0.9),
        "negative": (negative, ORANGE, 0.9),
    }
    for number, attempt in enumerate(attempts):
        for term, (name, colour, width) in names.items():
            left.plot(
                attempt.steps, attempt.terms[term], color=colour, lw=width, label=None if number else name
            )
        right.plot(attempt.steps, attempt.terms["separation"], color=GREEN)
        for axes in (left, right):
            for span, (start, end) in enumerate(attempt.collapses):
                axes.axvspan(
                    start,
                    end,
                    color=VERMILION,
                    alpha=0.15,
                    lw=0,
                    label=None if span or number else "collapsed",
                )
            if number:
                axes.axvline(
                    attempts[number - 1].steps[-1],
                    color=VERMILION,
                    lw=0.8,
                    label="restart" if number == 1 else None,
                )
    for axes, label in ((left, "loss and its terms"), (right, "mean energy to\na random other latent")):
        axes.set(xlabel="optimiser step", ylabel=label, yscale="log", xlim=(0, None))
    dashes = (0, (4, 2))
    if hinge is not None:
        left.axhline(hinge, color=FAINT, lw=0.8, ls=dashes, label="all latents equal")
        right.axhline(
            SEPARATION_SHARE * hinge, color=FAINT, lw=0.8, ls=dashes, label="below: counts as collapsed"
        )
        right.legend(loc="best")
    left.legend(loc="best")
    figure.suptitle(title, fontsize=8)
    return figure
