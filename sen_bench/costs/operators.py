"""Counts what PyTorch's operators compute and move, while they run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

_MOVE_NOTHING: Final = ("empty", "new_empty", "_unsafe_view")
"""How the names of operators begin that give memory without writing into it, besides those called views."""

_PICK: Final = frozenset({"embedding", "gather", "index", "index_select"})
"""Operators that read of their first tensor only what they write."""


class OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts the operators that run within the block, on tensors of any device or on fake ones.

    An operator reads each tensor that it is given once, and writes each result once. Expanded axes are in
    memory only once, views move nothing, and where numbers are picked by their places, only those are read.
    Arithmetic is counted as `torch.utils.flop_counter` does: two operations for each product and sum of a
    matrix product or a convolution, and none for all else.

    Attributes:
        operators: Operators that moved anything.
        flops: Floating-point operations of matrix products and convolutions.
        bytes_moved: Bytes that all operators read and wrote.
        product_bytes: Those of matrix products, convolutions and their gradients alone.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators = 0
        self.flops = 0
        self.bytes_moved = 0
        self.product_bytes = 0
        self._formulas = FlopCounterMode(display=False).flop_registry

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 — an operator; torch has no public type for it
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 — what the operator gives
        """Runs an operator and counts it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        moved = sum(map(_size, _moved(func, args, kwargs, result)))
        if moved:
            self.operators += 1
            self.bytes_moved += moved
        formula = self._formulas.get(func.overloadpacket)
        if formula is not None:
            self.product_bytes += moved
            self.flops += formula(*args, **kwargs, out_val=result)
        return result


def _moved(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Iterator[Tensor]:  # noqa: ANN401
    """The tensors that an operator reads, and then those that it writes."""
    name = func.overloadpacket.__name__
    if func.is_view or func.namespace == "prim" or name.startswith(_MOVE_NOTHING):
        return
    # These take shape and type from a tensor, and none of its numbers.
    reads = not name.startswith("new_") and not name.endswith("_like")
    written = _tensors(result)
    for place, argument in enumerate(func._schema.arguments):  # noqa: SLF001 — where torch says what is written
        given = kwargs.get(argument.name, args[place] if place < len(args) else None)
        if reads and not argument.is_out:
            yield from _tensors(result if name in _PICK and place == 0 else given)
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += _tensors(given)
    yield from {id(tensor): tensor for tensor in written}.values()


def _tensors(tree: Any) -> list[Tensor]:  # noqa: ANN401 — tensors in tuples and lists, and other things
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _size(tensor: Tensor) -> int:
    """The bytes of a tensor's numbers in memory."""
    count = min(tensor.numel(), 1)
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else 1
    return count * tensor.element_size()
