"""How compiled loops are operators of PyTorch, reach the numbers of tensors on a CPU, and share the work."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from sen_bench.system import InterruptiblePool

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])

DTYPES: Final = (torch.bfloat16, torch.float32, torch.float64)
"""The types of tensors that loops read and write."""
THREADS_WORTH: Final = 2**17
"""Numbers that a thread is given at least; for fewer, starting it takes longer than it saves."""


def cpu_operator(name: str, signature: str, fake: Callable[..., object]) -> Callable[[_Function], _Function]:
    """Makes a function an operator of PyTorch on a CPU, which fake tensors and counts of operators know.

    `torch.library.custom_op` does the same with more checks, which take as long as the loops do on a small
    batch: 44 µs for a call that takes 25 with this (one thread of a Xeon with AMX).

    Args:
        name: `sen_bench::` and a name.
        signature: Its arguments and results as a schema of PyTorch.
        fake: The same for tensors without numbers: gives memory for the results.
    """

    def define(function: _Function) -> _Function:
        torch.library.define(name, signature)
        torch.library.impl(name, "cpu", function)
        torch.library.register_fake(name, fake)
        namespace, operator = name.split("::")
        return cast("_Function", getattr(getattr(torch.ops, namespace), operator).default)

    return define


def use_loops(*tensors: Tensor) -> bool:
    """Whether compiled loops can do something with tensors: on a CPU, as they come, of `DTYPES`.

    PyTorch's compiler fuses operators better than it calls foreign code, and a GPU cannot call it. What is
    traced or exported is to run where there is no sen-bench.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if tracing or torch.compiler.is_compiling():
        return False
    return all(each.device.type == "cpu" and each.dtype in DTYPES for each in tensors)


def numbers(x: Tensor, *shape: int) -> NDArray[Any]:
    """The numbers of a tensor as an array in the same memory; those of bfloat16 as their bits, uint16.

    Args:
        x: A tensor that can be viewed in that shape.
        shape: Of the array; -1 is computed. None for that of the tensor.
    """
    viewed = x.detach()
    if shape:
        viewed = viewed.view(shape)
    if x.dtype == torch.bfloat16:
        return cast("NDArray[Any]", viewed.view(torch.int16).numpy().view(np.uint16))
    return viewed.numpy()


def arithmetic(array: NDArray[Any]) -> type[np.floating[Any]]:
    """The type that the numbers of an array are computed with; see `stored_numbers`."""
    return np.float32 if array.dtype == np.uint16 else np.float64


def narrow_arithmetic(array: NDArray[Any]) -> type[np.floating[Any]]:
    """The type that its numbers are computed with by loops that read them with `read_narrow`."""
    return np.float64 if array.dtype == np.float64 else np.float32


def in_parts(matrix: NDArray[Any], work: Callable[[slice], _Result]) -> list[_Result]:
    """Has work done on parts of the rows of a matrix, by as many threads as PyTorch uses."""
    threads = max(1, min(torch.get_num_threads(), matrix.size // THREADS_WORTH))
    if threads == 1:
        return [work(slice(0, len(matrix)))]
    ends = [len(matrix) * number // threads for number in range(threads + 1)]
    return list(_pool(os.getpid(), threads).map(work, map(slice, ends[:-1], ends[1:])))


@functools.cache
def _pool(_process: int, threads: int) -> InterruptiblePool:
    """The threads of this process; one that was forked from it has none of them."""
    return InterruptiblePool(ThreadPoolExecutor(threads, thread_name_prefix="sen-bench-loops"))
