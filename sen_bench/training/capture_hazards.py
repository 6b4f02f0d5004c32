"""What keeps a training step from being repeated as a CUDA graph, found by watching it before it is captured.

A graph repeats what the GPU was told, not what the program around it did. A step that reads a value back, or
whose shapes depend on values, cannot be captured. One that keeps something in Python, or draws from a
generator of the CPU, can be, and would silently do the same thing at every step.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_INDEXING = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
}
_COPYING = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}  # noqa: SLF001 — it has no other name
_PLAIN = (bool, int, float, str, tuple)


def capture_hazard(step: Callable[[], object], network: nn.Module, device: torch.device) -> str | None:
    """Why a step cannot be repeated as a CUDA graph, as the rest of a sentence; None if nothing is seen.

    The step is taken twice, so that what a network prepares at its first call is not held against it. What is
    inside compiled code is not seen; it should be the uncompiled one.

    Args:
        step: Computes the loss of a batch and its gradient.
        network: The network, which is changed as a step changes it.
        device: Where all of it should be.
    """
    step()
    before = _attributes(network)
    drawn = _host_generators()
    with _Watch(device) as watch:
        step()
    found: str | None = watch.found
    if found is not None:
        return found
    for name, generator in _host_generators().items():
        if generator != drawn[name]:
            return f"draws from {name}'s generator on the CPU"
    after = _attributes(network)
    changed = sorted(
        name for name in before.keys() | after.keys() if not _same(before.get(name), after.get(name))
    )
    return f"replaces {changed[0]} at every step" if changed else None


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at every operator of PyTorch, also those of the backward pass.

    Args:
        device: Where all of them should compute.

    Attributes:
        found: The first thing that cannot be captured.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device.type
        self.found: str | None = None

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 — as PyTorch has it
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 — likewise
        del types
        given = kwargs or {}
        out = func(*args, **given)
        if self.found is None:
            self.found = self._hazard(func, args, [*_tensors((args, given)), *_tensors(out)])
        return out

    def _hazard(self, func: Any, args: tuple[Any, ...], touched: list[Tensor]) -> str | None:  # noqa: ANN401
        """What is wrong with a call.

        Args:
            func: The operator.
            args: Its positional arguments.
            touched: All tensors that went in or came out.
        """
        if torch.Tag.data_dependent_output in func.tags:
            return f"reads a value on the host ({func})"
        if func in _INDEXING:
            by_value = any(each.dtype in (torch.bool, torch.uint8) for each in _tensors(args[1]))
        else:
            by_value = torch.Tag.dynamic_output_shape in func.tags
        if by_value:
            return f"makes tensors whose size depends on values ({func})"
        # Single numbers of the CPU are handed to a kernel as such, unless they are copied.
        elsewhere = {each.device.type for each in touched if each.dim() > 0 or func in _COPYING}
        elsewhere -= {self._device}
        return f"computes on {min(elsewhere)} ({func})" if elsewhere else None


def _tensors(values: object) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def _attributes(network: nn.Module) -> dict[str, object]:
    """What the modules of a network refer to, by name; a tensor that is changed in place stays the same."""
    return {
        f"{path}.{name}".strip("."): value
        for path, module in network.named_modules()
        for name, value in (*vars(module).items(), *module.named_buffers(recurse=False))
    }


def _same(before: object, after: object) -> bool:
    """Whether an attribute is what it was: the same object, or a plain value equal to it."""
    return before is after or (isinstance(before, _PLAIN) and type(before) is type(after) and before == after)


def _host_generators() -> dict[str, object]:
    """The states of the generators of the CPU, in forms that can be compared."""
    kind, keys, *others = np.random.get_state(legacy=True)  # noqa: NPY002 — the global one is what models use
    return {
        "Python": random.getstate(),
        "NumPy": (kind, np.asarray(keys).tobytes(), *others),
        "PyTorch": torch.default_generator.get_state().numpy().tobytes(),
    }
