"""The pairs of objects that exchange messages: made in one pass on a CPU, in PyTorch's steps elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from sen_bench.baselines.loops import arithmetic, in_parts, numbers, use_loops

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
        return cast("Tensor", _pairs(to, sent))
    sums = [to + sent.roll(-step, dims=1) for step in range(1, to.shape[1])]
    return torch.stack(sums, dim=1).relu_()


@torch.library.custom_op(
    "sen_bench::relu_pairs",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor to, Tensor sent) -> Tensor",
)
def _pairs(to: Tensor, sent: Tensor) -> Tensor:
    from sen_bench.baselines import pair_kernels as kernels  # noqa: PLC0415 — it imports Numba

    pairs = _pairs_like(to)
    ones, others, results = _features(to, 2), _features(sent, 2), _features(pairs, 3)
    zero = arithmetic(results)(0)
    in_parts(results, lambda part: kernels.pairs(ones[part], others[part], zero, results[part]))
    return pairs


@torch.library.custom_op(
    "sen_bench::relu_pairs_backward",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor gradient, Tensor to, Tensor sent) -> (Tensor, Tensor)",
)
def _pairs_backward(gradient: Tensor, to: Tensor, sent: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of `to` and `sent`; where the ReLU stopped is found again, so pairs need not be kept."""
    from sen_bench.baselines import pair_kernels as kernels  # noqa: PLC0415

    found = _contiguous_like(to), _contiguous_like(sent)
    slopes, inputs = _features(gradient, 3), [_features(each, 2) for each in (to, sent)]
    results = [_features(each, 2) for each in found]

    def write(part: slice) -> None:
        rooms = np.empty((2, *inputs[0].shape[1:]), arithmetic(slopes))
        of_part = *(each[part] for each in inputs), slopes[part]
        kernels.pair_gradients(*of_part, *rooms, *(each[part] for each in results))

    in_parts(slopes, write)
    return found


@_pairs.register_fake
def _(to: Tensor, _sent: Tensor) -> Tensor:
    return _pairs_like(to)


@_pairs_backward.register_fake
def _(_gradient: Tensor, to: Tensor, sent: Tensor) -> tuple[Tensor, Tensor]:
    return _contiguous_like(to), _contiguous_like(sent)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ANN401, ARG001
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    to, sent = ctx.saved_tensors
    return cast("tuple[Tensor, Tensor]", _pairs_backward(gradient.to(to.dtype), to, sent))


torch.library.register_autograd(_pairs, _gradients, setup_context=_keep)


def _pairs_like(to: Tensor) -> Tensor:
    """Memory for the pairs of objects."""
    batch, objects, *rest = to.shape
    return to.new_empty((batch, objects - 1, objects, *rest))


def _contiguous_like(x: Tensor) -> Tensor:
    """Memory of the shape and type of a tensor."""
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _features(x: Tensor, leading: int) -> NDArray[Any]:
    """The numbers of a tensor, the axes behind the leading ones as one."""
    return numbers(x.contiguous(), *x.shape[:leading], -1)
