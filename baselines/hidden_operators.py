"""What is done to C4 features between two products, as operators of PyTorch; they are made and not kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sen_bench.baselines.loops import cpu_operator, in_parts, narrow_arithmetic, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _planes_for(x: Tensor, sent: Tensor | None, *, dtype: torch.dtype) -> Tensor:
    """Memory for the planes of features or of pairs of objects."""
    terms = 1 if sent is None else x.shape[1] - 1
    rows = math.prod(x.shape[:-2]) * terms
    return x.new_empty((5, rows, x.shape[-1]), dtype=dtype)


def _gradients_for(_products: Tensor, x: Tensor, sent: Tensor | None) -> tuple[Tensor, Tensor]:
    """Memory for the gradients of features, or of what pairs are made of."""
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    return grad_x, grad_x.new_empty(0) if sent is None else torch.empty_like(grad_x)


def _normalised_for(
    _products: Tensor, _bias: Tensor, weight: Tensor, *_: object, leading: Sequence[int]
) -> Tensor:
    """Memory for sums of normalised features."""
    return weight.new_empty((*leading, 4, len(weight)))


def _gradients_of_normalised_for(
    products: Tensor, _bias: Tensor, weight: Tensor, *_: object
) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for the gradients of `normalised`."""
    return torch.empty_like(products), torch.empty_like(weight), torch.empty_like(weight)


@cpu_operator(
    "sen_bench::c4_relu_to_planes",
    "(Tensor x, Tensor? sent, *, ScalarType dtype) -> Tensor",
    _planes_for,
)
def relu_to_planes(x: Tensor, sent: Tensor | None, *, dtype: torch.dtype) -> Tensor:
    """The planes, with sign -1, of `relu(x)`, or of the pairs `pair_operators.relu_pairs(x, sent)`.

    Args:
        x: Features `[..., 4, C]`; of pairs `[B, O, 4, C]`.
        sent: Of the same shape and type; None if there are no pairs.
        dtype: The type of the planes.

    Returns:
        See `fourier_operators.to_planes`: `[5, N, C]`, N being the product of the leading axes, or of pairs
        B·(O - 1)·O.
    """
    from sen_bench.baselines import hidden_kernels as kernels  # noqa: PLC0415 — it imports Numba

    planes = _planes_for(x, sent, dtype=dtype)
    features, results = _by_sample(x), numbers(planes)
    others = None if sent is None else _by_sample(sent)
    wide = narrow_arithmetic(features)

    def write(part: slice) -> None:
        room = np.empty(features.shape[1:], wide)
        kernels.relu_to_planes(features, others, np.ones(2, wide), part.start, part.stop, room, results)

    in_parts(features, write)
    return planes


@cpu_operator(
    "sen_bench::c4_relu_to_planes_backward",
    "(Tensor products, Tensor x, Tensor? sent) -> (Tensor, Tensor)",
    _gradients_for,
)
def relu_gradients(products: Tensor, x: Tensor, sent: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gradients of `x` and `sent`, of what `relu_to_planes` has the planes of.

    The gradients of that have products of planes as frequencies.

    Args:
        products: Of planes, the last ones with sign 1; `[5, N, C]`.
        x: As for `relu_to_planes`.
        sent: The same.

    Returns:
        Both gradients; the second has no numbers if there are no pairs.
    """
    from sen_bench.baselines import hidden_kernels as kernels  # noqa: PLC0415

    found = _gradients_for(products, x, sent)
    planes, features = numbers(products.contiguous()), _by_sample(x)
    of_x = _by_sample(found[0])
    wide = narrow_arithmetic(features)
    terms = np.ones(2, wide), np.zeros(features.shape[-1], wide)

    def write(part: slice) -> None:
        limits = part.start, part.stop
        if sent is None:
            room = np.empty(features.shape[1:], wide)
            kernels.relu_gradients(planes, features, *terms, *limits, room, of_x)
        else:
            rooms = np.empty((3, *features.shape[1:]), wide)
            others, of_sent = _by_sample(sent), _by_sample(found[1])
            kernels.pair_gradients(planes, features, others, *terms, *limits, rooms, of_x, of_sent)

    in_parts(features, write)
    return found


@cpu_operator(
    "sen_bench::c4_normalised",
    "(Tensor products, Tensor bias, Tensor weight, Tensor shift, float eps, *, SymInt[] leading) -> Tensor",
    _normalised_for,
)
def normalised(
    products: Tensor, bias: Tensor, weight: Tensor, shift: Tensor, eps: float, *, leading: Sequence[int]
) -> Tensor:
    """Sums of layer norms over channels, with ReLU, of features that have products of planes as frequencies.

    Args:
        products: Of planes with sign -1, for T terms of each sum, those of a sample one after the other;
            `[5, B·T·O, C]`.
        bias: What features are greater by, `[C]`.
        weight: The weights of the layer norm, `[C]`, of the type to compute with.
        shift: Its biases, `[C]`.
        eps: What is added to variances.
        leading: The leading axes of the sums, B·O in all; O is the last of them.

    Returns:
        `[*leading, 4, C]`, of the type of `weight`.
    """
    from sen_bench.baselines import hidden_kernels as kernels  # noqa: PLC0415

    y = _normalised_for(products, bias, weight, leading=leading)
    sums = _by_sample(y)
    given = _layer(products, bias, weight, shift, eps)

    def write(part: slice) -> None:
        room = np.empty(sums.shape[1:], sums.dtype)
        factors = np.empty(sums.shape[1:3], sums.dtype)
        kernels.normalised(*given, part.start, part.stop, room, factors, sums)

    in_parts(sums, write)
    return y


@cpu_operator(
    "sen_bench::c4_normalised_backward",
    "(Tensor products, Tensor bias, Tensor weight, Tensor shift, float eps, Tensor gradient)"
    " -> (Tensor, Tensor, Tensor)",
    _gradients_of_normalised_for,
)
def normalised_gradients(
    products: Tensor, bias: Tensor, weight: Tensor, shift: Tensor, eps: float, gradient: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `normalised`: of features their planes, with sign 1; of `weight`; and of `shift`."""
    from sen_bench.baselines import hidden_kernels as kernels  # noqa: PLC0415

    slopes, of_weight, of_shift = _gradients_of_normalised_for(products, bias, weight)
    changes, results = _by_sample(gradient), numbers(slopes)
    given = _layer(products, bias, weight, shift, eps)

    def write(part: slice) -> NDArray[np.float64]:
        rooms = np.empty((2, *changes.shape[1:]), changes.dtype)
        factors = np.empty(changes.shape[1:3], changes.dtype)
        total = np.zeros((2, changes.shape[-1]))
        sums = total.astype(changes.dtype)
        kernels.normalised_gradients(
            *given, changes, part.start, part.stop, rooms, factors, results, sums, total
        )
        return total

    totals = torch.from_numpy(np.sum(in_parts(changes, write), axis=0))
    of_weight.copy_(totals[0])
    of_shift.copy_(totals[1])
    return slopes, of_weight, of_shift


def _by_sample(x: Tensor) -> NDArray[Any]:
    """The numbers of features `[..., O, 4, C]`, or `[N, 4, C]`, as `[B, O, 4, C]`, or `[N, 1, 4, C]`."""
    objects = x.shape[-3] if x.dim() > 3 else 1
    return numbers(x.contiguous(), -1, objects, *x.shape[-2:])


def _layer(
    products: Tensor, bias: Tensor, weight: Tensor, shift: Tensor, eps: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], np.floating[Any]]:
    """What the loops of `normalised` and of its gradients take of a layer, in the type to compute with."""
    planes = numbers(products.contiguous())
    wide = narrow_arithmetic(planes)
    of_bias, of_weight, of_shift = (each.detach().numpy().astype(wide) for each in (bias, weight, shift))
    return planes, np.ones(2, wide), of_bias, of_weight, of_shift, wide(eps)
