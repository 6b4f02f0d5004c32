"""Hidden layers of E and T, linear-LayerNorm-ReLU, of objects and of their pairs.

On a CPU those of C4 make their features from the products of planes (see `group_convolution`), normalise
them and have done with them while they are in the processor's cache: neither pairs nor features are written,
and gradients make them again.
"""

from __future__ import annotations

from typing import Any, Final, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sen_bench.baselines.group_convolution import (
    gradient_of_weight,
    is_small,
    no_autocast,
    type_of_products,
    weight_to_planes,
)
from sen_bench.baselines.hidden_operators import (
    normalised,
    normalised_gradients,
    relu_gradients,
    relu_to_planes,
)
from sen_bench.baselines.layers import C4Linear
from sen_bench.baselines.loops import DTYPES, use_loops
from sen_bench.baselines.pair_operators import relu_pairs

_HOOKS: Final = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def hidden_layer(x: Tensor, linear: nn.Linear | C4Linear, norm: nn.LayerNorm) -> Tensor:
    """`relu(norm(linear(relu(x))))`.

    Args:
        x: Features, `[..., in]`; of C4 layers `[..., 4, in]`.
        linear: The linear layer; it has a bias.
        norm: The layer norm over channels; it has weights and biases.

    Returns:
        Features, `[..., out]`; of C4 layers `[..., 4, out]`.
    """
    if _by_loops(linear, x, norm):
        return _apply(x, None, linear, norm)
    return _modules(x.relu(), linear, norm)


def summed_pairs(to: Tensor, sent: Tensor, linear: nn.Linear | C4Linear, norm: nn.LayerNorm) -> Tensor:
    """`Σ_{j≠i} relu(norm(linear(relu(to_i + sent_j))))` for every object i.

    Args:
        to: What objects receive with, `[B, O, ..., in]`, O at least 2.
        sent: What they send, of the same shape and type.
        linear: As for `hidden_layer`.
        norm: The same.

    Returns:
        `[B, O, ..., out]`.
    """
    if to.dtype == sent.dtype and _by_loops(linear, to, norm):
        return _apply(to, sent, linear, norm)
    return _modules(relu_pairs(to, sent), linear, norm).sum(dim=1)


def _modules(x: Tensor, linear: nn.Linear | C4Linear, norm: nn.LayerNorm) -> Tensor:
    """`relu(norm(linear(x)))`, by one module after the other."""
    normed: Tensor = norm(linear(x))
    # With backward hooks it is a view, which autograd does not let us change.
    return normed.relu_() if _as_they_come(norm, nn.LayerNorm) else normed.relu()


def _by_loops(linear: nn.Linear | C4Linear, x: Tensor, norm: nn.LayerNorm) -> TypeGuard[C4Linear]:
    """Whether a layer is C4's, loops can do it, and nobody listens to its modules."""
    if not isinstance(linear, C4Linear) or is_small(linear.weight):
        return False
    if not _as_they_come(linear, C4Linear) or not _as_they_come(norm, nn.LayerNorm):
        return False
    if not use_loops(x, linear.weight, linear.bias, norm.weight):
        return False
    dtype = type_of_products(x, linear.weight)
    return dtype in DTYPES and norm.weight.dtype == torch.promote_types(dtype, torch.float32)


def _as_they_come(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module does no more than one of its kind: it is of no other class, and has no hooks."""
    return type(module) is kind and not any(getattr(module, hooks) for hooks in _HOOKS)


def _apply(x: Tensor, sent: Tensor | None, linear: C4Linear, norm: nn.LayerNorm) -> Tensor:
    """The layer by loops; with `sent` its sum over pairs."""
    dtype = type_of_products(x, linear.weight)
    parameters = linear.weight, linear.bias, norm.weight, norm.bias
    with no_autocast("cpu"):
        y: Tensor = _Hidden.apply(x, sent, *parameters, norm.eps, dtype)  # type: ignore[no-untyped-call]
    return y


class _Hidden(torch.autograd.Function):
    """`hidden_layer` or, with `sent`, `summed_pairs`, for C4 layers with their products in `dtype`."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        sent: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        eps: float,
        dtype: torch.dtype,
    ) -> Tensor:
        planes = relu_to_planes(x, sent, dtype=dtype)
        maps = weight_to_planes(weight, dtype)
        products = torch.bmm(planes, maps.mT)
        ctx.save_for_backward(planes, maps, products, bias, norm_weight, norm_bias, x, sent)
        ctx.eps, ctx.weight_dtype = eps, weight.dtype
        return normalised(products, bias, norm_weight, norm_bias, eps, leading=x.shape[:-2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        planes, maps, products, bias, norm_weight, norm_bias, x, sent = ctx.saved_tensors
        need_x, need_sent, need_weight, need_bias, *_ = ctx.needs_input_grad
        grad_x = grad_sent = grad_weight = grad_bias = None
        with no_autocast("cpu"):
            slopes, *of_norm = normalised_gradients(
                products, bias, norm_weight, norm_bias, ctx.eps, gradients[0]
            )
            if need_x or need_sent:
                grad_x, of_sent = relu_gradients(torch.bmm(slopes, maps), x, sent)
                grad_sent = of_sent if need_sent else None
            if need_weight:
                grad_weight = gradient_of_weight(slopes, planes, ctx.weight_dtype)
            if need_bias:
                grad_bias = slopes[0].sum(dim=0, dtype=ctx.weight_dtype)
        return grad_x, grad_sent, grad_weight, grad_bias, *of_norm, None, None
