"""The pairs of objects that exchange messages: made in one pass on a CPU, in PyTorch's steps elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sen_bench.baselines.loops import arithmetic, cpu_operator, in_parts, numbers, use_loops

if TYPE_CHECKING:
    from numpy.typing import NDArray


def relu_pairs(to: Tensor, sent: Tensor) -> Tensor:
    """`relu(to[:, i] + sent[:, j])` of every pair of different objects.

    Args:
        to: `[B, O, ...]`, O at least 2.
        sent: Of the same shape and type.

    Returns:
        `[B, O - 1, O, ...]`: pair (i, i + k mod O) is at `[:, k - 1, i]`; every pair once, and no index
        arrays.
    """
    if use_loops(to, sent):
        pairs: Tensor = _Pairs.apply(to, sent)  # type: ignore[no-untyped-call]
        return pairs
    sums = [to + sent.roll(-step, dims=1) for step in range(1, to.shape[1])]
    return torch.stack(sums, dim=1).relu_()


def _pairs_for(to: Tensor, _sent: Tensor) -> Tensor:
    """Memory for the pairs of objects."""
    batch, objects, *rest = to.shape
    return to.new_empty((batch, objects - 1, objects, *rest))


def _gradients_for(_gradient: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Memory for the gradients of what pairs are made of."""
    to, sent = (torch.empty_like(each, memory_format=torch.contiguous_format) for each in inputs)
    return to, sent


@cpu_operator("sen_bench::relu_pairs", "(Tensor to, Tensor sent) -> Tensor", _pairs_for)
def _pairs(to: Tensor, sent: Tensor) -> Tensor:
    from sen_bench.baselines import pair_kernels as kernels  # noqa: PLC0415 — it imports Numba

    pairs = _pairs_for(to, sent)
    ones, others, results = _features(to, 2), _features(sent, 2), _features(pairs, 3)
    zero = arithmetic(results)(0)
    in_parts(results, lambda part: kernels.pairs(ones[part], others[part], zero, results[part]))
    return pairs


@cpu_operator(
    "sen_bench::relu_pairs_backward",
    "(Tensor gradient, Tensor to, Tensor sent) -> (Tensor, Tensor)",
    _gradients_for,
)
def _pairs_backward(gradient: Tensor, to: Tensor, sent: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of `to` and `sent`; where the ReLU stopped is found again, so pairs need not be kept."""
    from sen_bench.baselines import pair_kernels as kernels  # noqa: PLC0415

    found = _gradients_for(gradient, to, sent)
    slopes, inputs = _features(gradient, 3), [_features(each, 2) for each in (to, sent)]
    results = [_features(each, 2) for each in found]

    def write(part: slice) -> None:
        rooms = np.empty((2, *inputs[0].shape[1:]), arithmetic(slopes))
        of_part = *(each[part] for each in inputs), slopes[part]
        kernels.pair_gradients(*of_part, *rooms, *(each[part] for each in results))

    in_parts(slopes, write)
    return found


class _Pairs(torch.autograd.Function):
    """The operators with their gradients; `torch.library.register_autograd` would take longer."""

    @staticmethod
    def forward(ctx: Any, to: Tensor, sent: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(to, sent)
        return _pairs(to, sent)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        to, sent = ctx.saved_tensors
        return _pairs_backward(gradients[0].to(to.dtype), to, sent)


def _features(x: Tensor, leading: int) -> NDArray[Any]:
    """The numbers of a tensor, the axes behind the leading ones as one."""
    return numbers(x.contiguous(), *x.shape[:leading], math.prod(x.shape[leading:]))
