"""C4's Fourier transform on a CPU as operators of PyTorch, which counts of operators know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sen_bench.baselines.loops import in_parts, numbers


@torch.library.custom_op(
    "sen_bench::c4_to_frequencies",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor x, ScalarType dtype) -> (Tensor, Tensor, Tensor)",
)
def to_frequencies(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Frequencies 0, 2 (`[N, C]` each) and 1 (`[N, 2·C]`) of features `[N, 4, C]`, of some type."""
    from sen_bench.baselines import fourier_kernels  # noqa: PLC0415 — it imports Numba

    rows, _, channels = x.shape
    features = numbers(x.contiguous(), rows, 4 * channels)
    frequencies = _frequencies(x, dtype)
    parts = [numbers(each, *each.shape) for each in frequencies]

    def write(part: slice) -> None:
        # As wide as what is read, where that is no bfloat16: wider sums of two numbers would change no digit
        # of float32 that counts, and take twice as long.
        sums = np.empty(2 * channels, np.float64 if x.dtype == torch.float64 else np.float32)
        fourier_kernels.to_frequencies(features[part], sums, *(each[part] for each in parts))

    in_parts(features, write)
    return frequencies


@torch.library.custom_op(
    "sen_bench::c4_from_frequencies",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor f_0, Tensor f_2, Tensor f_1, SymInt[] leading, ScalarType dtype) -> Tensor",
)
def from_frequencies(
    f_0: Tensor, f_2: Tensor, f_1: Tensor, leading: Sequence[int], dtype: torch.dtype
) -> Tensor:
    """The transpose of `to_frequencies`: features `[*leading, 4, C]`, of some type.

    It is told of the leading axes because its result should be no view: autograd would make a following
    `relu_` expensive.
    """
    from sen_bench.baselines import fourier_kernels  # noqa: PLC0415

    rows, channels = f_0.shape
    y = f_0.new_empty((*leading, 4, channels), dtype=dtype)
    features = numbers(y, rows, 4 * channels)
    of_0, of_2, of_1 = (numbers(each.contiguous(), *each.shape) for each in (f_0, f_2, f_1))

    def write(part: slice) -> None:
        fourier_kernels.from_frequencies(of_0[part], of_2[part], of_1[part], features[part])

    in_parts(features, write)
    return y


@to_frequencies.register_fake
def _(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    return _frequencies(x, dtype)


@from_frequencies.register_fake
def _(f_0: Tensor, _f_2: Tensor, _f_1: Tensor, leading: Sequence[int], dtype: torch.dtype) -> Tensor:
    return f_0.new_empty((*leading, 4, f_0.shape[1]), dtype=dtype)


def _frequencies(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for the frequencies of features."""
    rows, _, channels = x.shape
    f_0, f_2 = (x.new_empty((rows, channels), dtype=dtype) for _ in range(2))
    return f_0, f_2, x.new_empty((rows, 2 * channels), dtype=dtype)
