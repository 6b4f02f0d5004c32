"""C4's Fourier transform on a CPU as operators of PyTorch, which counts of operators know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sen_bench.baselines.loops import cpu_operator, in_parts, narrow_arithmetic, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _planes_for(x: Tensor, _sign: int, *, dtype: torch.dtype, **_others: object) -> Tensor:
    """Memory for the planes of features."""
    rows, _, channels = x.shape
    return x.new_empty((5, rows, channels), dtype=dtype)


def _features_for(
    planes: Tensor, *_: object, leading: Sequence[int], dtype: torch.dtype, **_others: object
) -> Tensor:
    """Memory for the features of planes."""
    return planes.new_empty((*leading, 4, planes.shape[2]), dtype=dtype)


@cpu_operator(
    "sen_bench::c4_to_planes",
    "(Tensor x, int sign, *, ScalarType dtype, bool scaled=False) -> Tensor",
    _planes_for,
)
def to_planes(x: Tensor, sign: int, *, dtype: torch.dtype, scaled: bool = False) -> Tensor:
    """Five planes of features `[N, 4, C]`, of some type: with them, three real products do for a complex one.

    They are frequencies 0 and 2, the real and the imaginary part of frequency 1, and the real part plus
    `sign` times the imaginary one. Of products of planes, each with its own, `from_planes` makes features
    with, as their frequency 1,

    * `w · x` with sign -1, of planes of `w` and of `x` with sign -1;
    * `conj(w) · g` with sign 1, of planes of `w` with sign -1 and of `g` with sign 1.

    The first is a layer, the second are its gradients, with the layer's weights or features as `w`.

    Args:
        x: The features.
        sign: -1 or 1.
        dtype: The type of the planes.
        scaled: Whether frequencies 0 and 2 are taken by a quarter and 1 by half, as one of two factors is.

    Returns:
        `[5, N, C]`.
    """
    from sen_bench.baselines import fourier_kernels  # noqa: PLC0415 — it imports Numba

    planes = _planes_for(x, sign, dtype=dtype)
    features, results = numbers(x.contiguous()), numbers(planes)
    terms = _terms(features, sign, scaled=scaled)

    def write(part: slice) -> None:
        fourier_kernels.to_planes(features, part.start, part.stop, *terms, results, part.start)

    in_parts(features, write)
    return planes


@cpu_operator(
    "sen_bench::c4_from_planes",
    "(Tensor planes, Tensor? bias, int sign, *, SymInt[] leading, ScalarType dtype, bool scaled=False)"
    " -> Tensor",
    _features_for,
)
def from_planes(
    planes: Tensor,
    bias: Tensor | None,
    sign: int,
    *,
    leading: Sequence[int],
    dtype: torch.dtype,
    scaled: bool = False,
) -> Tensor:
    """Features of products of planes; see `to_planes`.

    Args:
        planes: The products, `[5, N, C]`.
        bias: What is added to the features, `[C]`.
        sign: That of the planes that were multiplied last.
        leading: The leading axes of the features, N in all. The result should be no view: autograd would make
            a following `relu_` expensive.
        dtype: The type of the features.
        scaled: Whether frequencies 0 and 2 are taken by a quarter and 1 by half.

    Returns:
        `[*leading, 4, C]`.
    """
    from sen_bench.baselines import fourier_kernels  # noqa: PLC0415

    _, rows, channels = planes.shape
    y = _features_for(planes, leading=leading, dtype=dtype)
    features, products = numbers(y, rows, 4, channels), numbers(planes.contiguous())
    terms = _terms(products, sign, scaled=scaled)
    offsets = np.zeros(channels, terms[0].dtype)
    if bias is not None:
        offsets[:] = bias.detach().double().numpy()

    def write(part: slice) -> None:
        fourier_kernels.from_planes(products, offsets, part.start, part.stop, *terms, features, part.start)

    in_parts(features, write)
    return y


def _terms(stored: NDArray[Any], sign: int, *, scaled: bool) -> tuple[np.floating[Any], NDArray[Any]]:
    """The sign; and what frequencies 0 and 2 are multiplied by, and 1. In the type to compute with."""
    wide = narrow_arithmetic(stored)
    return wide(sign), np.array([0.25, 0.5] if scaled else [1, 1], wide)
