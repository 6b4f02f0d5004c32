"""Kernels that are expanded from parameters: once for all passes of a step, not once a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

# Of each thread by itself: several runs may train side by side in one process.
_EXPANDED: ContextVar[dict[nn.Module, Tensor] | None] = ContextVar("expanded kernels", default=None)


@contextmanager
def kernels_expanded_once() -> Iterator[None]:
    """Within the block a layer expands its kernel at its first pass, and its other passes use the same.

    Gradients of all passes then meet at the kernel and go back through the expansion together. Parameters
    must not change within the block, nor whether gradients are recorded. What is compiled needs no such
    block: the compiler finds by itself what is computed twice.
    """
    token = _EXPANDED.set({})
    try:
        yield
    finally:
        _EXPANDED.reset(token)


def expanded_once(layer: nn.Module, expand: Callable[[], Tensor]) -> Tensor:
    """The kernel of a layer: that of its first pass within `kernels_expanded_once`, elsewhere a new one.

    Args:
        layer: Whose kernel it is.
        expand: Expands it.
    """
    known = None if torch.compiler.is_compiling() else _EXPANDED.get()
    if known is None:
        return expand()
    if layer not in known:
        known[layer] = expand()
    return known[layer]
