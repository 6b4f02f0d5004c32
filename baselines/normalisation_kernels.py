"""The compiled loops of batch normalisation: sums over pixels, and what is done to each number.

Images are matrices whose columns are channels, repeated for as many pixels as form a row; what is in them
says `stored_numbers`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.baselines.stored_numbers import read, rounded
from sen_bench.system import compiled

BLOCK = 128
"""Rows that are summed in the type of the arithmetic, before their sum is added to a total in float64."""


@compiled
def sums(x: NDArray[Any], values: NDArray[Any], squares: NDArray[Any], total: NDArray[np.float64]) -> None:
    """Adds the numbers of each column, and their squares, to a total.

    Args:
        x: `[rows, columns]`.
        values: Zeros of the type of the arithmetic, `[columns]`; left as zeros.
        squares: The same again. Here as below, loops are vectorised only over arrays of one axis.
        total: `[2, columns]`.
    """
    rows, columns = x.shape
    for start in range(0, rows, BLOCK):
        for row in range(start, min(start + BLOCK, rows)):
            for column in range(columns):
                value = read(x[row, column])
                values[column] += value
                squares[column] += value * value
        for column in range(columns):
            total[0, column] += values[column]
            total[1, column] += squares[column]
            values[column] = 0
            squares[column] = 0


@compiled
def normalise(
    x: NDArray[Any],
    mean: NDArray[Any],
    scale: NDArray[Any],
    bias: NDArray[Any],
    least: np.floating[Any],
    out: NDArray[Any],
) -> None:
    """Writes `max((x - mean) · scale + bias, least)`; NaN stays NaN.

    Args:
        x: `[rows, columns]`.
        mean: `[columns]` in the type of the arithmetic, as what follows.
        scale: `[columns]`.
        bias: `[columns]`.
        least: 0 for a ReLU, otherwise -inf.
        out: Where it is written, of the shape and type of `x`.
    """
    rows, columns = x.shape
    for row in range(rows):
        for column in range(columns):
            value = (read(x[row, column]) - mean[column]) * scale[column] + bias[column]
            out[row, column] = rounded(
                least if value < least else value,  # noqa: FURB136 — max() of NaN would be the other
                x[row, column],
            )


@compiled
def gradient_sums(
    x: NDArray[Any],
    gradient: NDArray[Any],
    mean: NDArray[Any],
    scale: NDArray[Any],
    bias: NDArray[Any],
    least: np.floating[Any],
    values: NDArray[Any],
    products: NDArray[Any],
    total: NDArray[np.float64],
) -> None:
    """Adds the gradients of each column, and their products with `x - mean`, to a total.

    Args:
        x: `[rows, columns]`.
        gradient: That of what `normalise` writes, of the shape and type of `x`.
        mean: As for `normalise`.
        scale: The same.
        bias: The same.
        least: The same; no gradient passes to what it has replaced.
        values: Zeros of the type of the arithmetic, `[columns]`; left as zeros.
        products: The same again.
        total: `[2, columns]`.
    """
    rows, columns = x.shape
    zero = values.dtype.type(0)
    for start in range(0, rows, BLOCK):
        for row in range(start, min(start + BLOCK, rows)):
            for column in range(columns):
                distance = read(x[row, column]) - mean[column]
                stopped = distance * scale[column] + bias[column] <= least
                value = zero if stopped else read(gradient[row, column])
                values[column] += value
                products[column] += value * distance
        for column in range(columns):
            total[0, column] += values[column]
            total[1, column] += products[column]
            values[column] = 0
            products[column] = 0


@compiled
def gradients(
    x: NDArray[Any],
    gradient: NDArray[Any],
    mean: NDArray[Any],
    scale: NDArray[Any],
    bias: NDArray[Any],
    least: np.floating[Any],
    along: NDArray[Any],
    offset: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Writes the gradient of `x`: `scale · gradient + along · (x - mean) + offset`.

    Args:
        x: `[rows, columns]`.
        gradient: As for `gradient_sums`.
        mean: As for `normalise`.
        scale: The same.
        bias: The same.
        least: As for `gradient_sums`.
        along: `[columns]` in the type of the arithmetic.
        offset: The same.
        out: Where it is written, of the shape and type of `x`.
    """
    rows, columns = x.shape
    zero = scale.dtype.type(0)
    for row in range(rows):
        for column in range(columns):
            distance = read(x[row, column]) - mean[column]
            stopped = distance * scale[column] + bias[column] <= least
            slope = zero if stopped else read(gradient[row, column])
            value = scale[column] * slope + along[column] * distance + offset[column]
            out[row, column] = rounded(value, x[row, column])
