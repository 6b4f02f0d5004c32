"""Matrices of representations as PyTorch tensors; PyTorch is imported when the first is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def as_tensor(
    matrices: NDArray[Any], device: torch.device | str | None, dtype: torch.dtype | None
) -> torch.Tensor:
    """Matrices as a tensor in memory of its own.

    Args:
        matrices: Any array; it may be read-only.
        device: Where the tensor is to be; PyTorch's default device where None.
        dtype: Its type; PyTorch's default where None.
    """
    import torch  # noqa: PLC0415 — worlds and datasets need the symmetry, but not PyTorch

    return torch.tensor(matrices, dtype=dtype or torch.get_default_dtype(), device=device)
