"""The compiled loops of C4's Fourier transform: all frequencies in one pass over the numbers.

What is in the arrays says `stored_numbers`. One loop writes into one array: LLVM vectorises no more at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.baselines.stored_numbers import read_narrow, rounded
from sen_bench.system import compiled


@compiled
def to_planes(
    x: NDArray[Any],
    first: int,
    last: int,
    sign: np.floating[Any],
    scales: NDArray[Any],
    planes: NDArray[Any],
    begin: int,
) -> None:
    """Writes the planes of some features: frequencies 0 and 2, the real and imaginary part of 1, and a mix.

    Args:
        x: Features, `[N, 4, C]`.
        first: The first row that is read.
        last: The row behind the last one that is read.
        sign: The mix is the real part plus this times the imaginary one; in the type of the arithmetic.
        scales: What frequencies 0 and 2 are multiplied by, and then 1; `[2]`, in the type of the arithmetic.
        planes: `[5, M, C]`.
        begin: The first row of `planes` that is written.
    """
    channels = x.shape[2]
    outer, inner = scales[0], scales[1]
    for row in range(first, last):
        x_0, x_1, x_2, x_3 = x[row, 0], x[row, 1], x[row, 2], x[row, 3]
        written = begin + row - first
        f_0, f_2 = planes[0, written], planes[1, written]
        real, imaginary, mix = planes[2, written], planes[3, written], planes[4, written]
        for c in range(channels):
            even, odd = read_narrow(x_0[c]) + read_narrow(x_2[c]), read_narrow(x_1[c]) + read_narrow(x_3[c])
            f_0[c] = rounded(outer * (even + odd), f_0[c])
        for c in range(channels):
            even, odd = read_narrow(x_0[c]) + read_narrow(x_2[c]), read_narrow(x_1[c]) + read_narrow(x_3[c])
            f_2[c] = rounded(outer * (even - odd), f_2[c])
        for c in range(channels):
            real[c] = rounded(inner * (read_narrow(x_0[c]) - read_narrow(x_2[c])), real[c])
        for c in range(channels):
            imaginary[c] = rounded(inner * (read_narrow(x_1[c]) - read_narrow(x_3[c])), imaginary[c])
        for c in range(channels):
            front, side = read_narrow(x_0[c]) - read_narrow(x_2[c]), read_narrow(x_1[c]) - read_narrow(x_3[c])
            mix[c] = rounded(inner * (front + sign * side), mix[c])


@compiled
def from_planes(
    planes: NDArray[Any],
    bias: NDArray[Any],
    first: int,
    last: int,
    sign: np.floating[Any],
    scales: NDArray[Any],
    y: NDArray[Any],
    begin: int,
) -> None:
    """Writes features whose frequencies are products of planes: a complex one of three real ones.

    Args:
        planes: Products, `[5, N, C]`.
        bias: What every feature is greater by, `[C]`, in the type of the arithmetic.
        first: The first row that is read.
        last: The row behind the last one that is read.
        sign: That of the planes that were multiplied last; in the type of the arithmetic.
        scales: What frequencies 0 and 2 are multiplied by, and then 1; `[2]`, in the type of the arithmetic.
        y: Features, `[M, 4, C]`.
        begin: The first row of `y` that is written.
    """
    channels = y.shape[2]
    outer, inner = scales[0], scales[1]
    for row in range(first, last):
        f_0, f_2 = planes[0, row], planes[1, row]
        reals, imaginaries, mixes = planes[2, row], planes[3, row], planes[4, row]
        written = begin + row - first
        y_0, y_1, y_2, y_3 = y[written, 0], y[written, 1], y[written, 2], y[written, 3]
        for c in range(channels):
            even = outer * (read_narrow(f_0[c]) + read_narrow(f_2[c])) + bias[c]
            real = inner * (read_narrow(reals[c]) + sign * read_narrow(imaginaries[c]))
            y_0[c] = rounded(even + real, y_0[c])
        for c in range(channels):
            even = outer * (read_narrow(f_0[c]) + read_narrow(f_2[c])) + bias[c]
            real = inner * (read_narrow(reals[c]) + sign * read_narrow(imaginaries[c]))
            y_2[c] = rounded(even - real, y_2[c])
        for c in range(channels):
            odd = outer * (read_narrow(f_0[c]) - read_narrow(f_2[c])) + bias[c]
            rest = sign * (read_narrow(reals[c]) - read_narrow(mixes[c]))
            y_1[c] = rounded(odd + inner * (read_narrow(imaginaries[c]) - rest), y_1[c])
        for c in range(channels):
            odd = outer * (read_narrow(f_0[c]) - read_narrow(f_2[c])) + bias[c]
            rest = sign * (read_narrow(reals[c]) - read_narrow(mixes[c]))
            y_3[c] = rounded(odd - inner * (read_narrow(imaginaries[c]) - rest), y_3[c])
