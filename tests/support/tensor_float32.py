"""TensorFloat32 as the tensor cores of GPUs compute with it, on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# Which arguments of an operator are factors.
_FACTORS = {
    torch.ops.aten.mm.default: (0, 1),
    torch.ops.aten.bmm.default: (0, 1),
    torch.ops.aten.addmm.default: (1, 2),
    torch.ops.aten.baddbmm.default: (1, 2),
    torch.ops.aten.convolution.default: (0, 1),
    # The gradients are products of the gradient of the output with the input and with the weights.
    torch.ops.aten.convolution_backward.default: (0, 1, 2),
}
_DROPPED = 13  # of the 23 bits of a fraction


def rounded(x: Tensor) -> Tensor:
    """float32 numbers to the nearest that TensorFloat32 has; of two, the one that is larger in size."""
    bits = x.contiguous().view(torch.int32)
    kept = ((bits + (1 << (_DROPPED - 1))) >> _DROPPED) << _DROPPED
    return kept.view(torch.float32).view_as(x)


class TensorFloat32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Rounds the factors of every float32 product, and adds up in float32."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        factors = _FACTORS.get(func, ())  # type: ignore[call-overload]
        given = [
            rounded(arg) if number in factors and arg.dtype == torch.float32 else arg
            for number, arg in enumerate(args)
        ]
        return func(*given, **(kwargs or {}))
