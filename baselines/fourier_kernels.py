"""The compiled loops of C4's Fourier transform: all frequencies in one pass over the numbers.

Regular features are matrices `[N, 4·C]`, the four places of the group axis one after the other. What is in
them says `stored_numbers`. One loop writes into one array, as LLVM vectorises no more at once.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from sen_bench.baselines.stored_numbers import read, rounded
from sen_bench.system import compiled


@compiled
def to_frequencies(
    x: NDArray[Any], sums: NDArray[Any], f_0: NDArray[Any], f_2: NDArray[Any], f_1: NDArray[Any]
) -> None:
    """Writes the frequencies of features.

    Args:
        x: `[N, 4·C]`.
        sums: Room for sums of two numbers each, `[2·C]`.
        f_0: Where frequency 0 is written, `[N, C]`.
        f_2: The same for frequency 2.
        f_1: The real part of frequency 1 and its imaginary part, `[N, 2·C]`.
    """
    rows, channels = f_0.shape
    even, odd = sums[:channels], sums[channels:]
    for row in range(rows):
        front, back = x[row, : 2 * channels], x[row, 2 * channels :]
        out_0, out_2, out_1 = f_0[row], f_2[row], f_1[row]
        for c in range(2 * channels):
            sums[c] = read(front[c]) + read(back[c])
        for c in range(channels):
            out_0[c] = rounded(even[c] + odd[c], out_0[c])
        for c in range(channels):
            out_2[c] = rounded(even[c] - odd[c], out_2[c])
        for c in range(2 * channels):
            out_1[c] = rounded(read(front[c]) - read(back[c]), out_1[c])


@compiled
def from_frequencies(f_0: NDArray[Any], f_2: NDArray[Any], f_1: NDArray[Any], y: NDArray[Any]) -> None:
    """Writes the transpose of `to_frequencies`.

    Args:
        f_0: `[N, C]`.
        f_2: `[N, C]`.
        f_1: `[N, 2·C]`.
        y: Where features are written, `[N, 4·C]`.
    """
    rows, channels = f_0.shape
    for row in range(rows):
        in_0, in_2, real, imaginary = f_0[row], f_2[row], f_1[row, :channels], f_1[row, channels:]
        front, back = y[row, : 2 * channels], y[row, 2 * channels :]
        y_0, y_1, y_2, y_3 = front[:channels], front[channels:], back[:channels], back[channels:]
        for c in range(channels):
            y_0[c] = rounded((read(in_0[c]) + read(in_2[c])) + read(real[c]), y_0[c])
        for c in range(channels):
            y_1[c] = rounded((read(in_0[c]) - read(in_2[c])) + read(imaginary[c]), y_1[c])
        for c in range(channels):
            y_2[c] = rounded((read(in_0[c]) + read(in_2[c])) - read(real[c]), y_2[c])
        for c in range(channels):
            y_3[c] = rounded((read(in_0[c]) - read(in_2[c])) - read(imaginary[c]), y_3[c])
