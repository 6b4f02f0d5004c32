"""How fast a machine can be at most: measured products, copies and launches."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from sen_bench.costs.operators import OperatorCounter
from sen_bench.system import float32_products, settings_restored

_ROUNDS: Final = 5
_STEPS: Final = 50
"""Rounds of what takes a millisecond or two, which a busy machine rarely leaves undisturbed."""
_PRODUCT_SIDES: Final = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices that are multiplied: enough for a machine to be at its limit."""
_COPIED_BYTES: Final = {"cpu": 2**27, "cuda": 2**30}
"""Bytes that are copied: more than the caches of one core hold."""
_CONVOLUTIONS, _LAYERS, _WIDTH, _SIDE = 4, 16, 8, 4
"""The network by whose steps the time of an operator is measured: its layers are as many, and of the kinds,
that models have, and so small that little else than operators takes time."""


@dataclass(frozen=True)
class MachineLimits:
    """The limits of a device with so many threads, in one precision.

    Attributes:
        flops: Floating-point operations a second in a large product of matrices.
        bytes_moved: Bytes read and written a second in a large copy.
        launch: Seconds that an operator of a training step takes however little it does: what Python,
            autograd and memory take around it, too.
        launches_ahead: Whether operators are launched while earlier ones are at work, as on a GPU.
    """

    flops: float
    bytes_moved: float
    launch: float
    launches_ahead: bool


def measured_limits(
    device: torch.device, precision: str = "float32", threads: int | None = None
) -> MachineLimits:
    """Measures the limits of a device; once a process for each device, precision and number of threads.

    It takes a fraction of a second. The fastest of a few rounds counts, and on one thread of a CPU the time
    that it had the core, so that other programs disturb little. With more threads the clock counts, and a
    machine that is always busy has lower limits.

    Args:
        device: The device.
        precision: ``float32``, ``tf32`` or ``bfloat16``.
        threads: Threads on a CPU; None: as many as PyTorch uses now.

    Raises:
        DeviceError: If the device cannot compute in this precision.
    """
    return _measured(device, precision, torch.get_num_threads() if threads is None else threads)


@functools.cache
def _measured(device: torch.device, precision: str, threads: int) -> MachineLimits:
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    side, size = _PRODUCT_SIDES[device.type], _COPIED_BYTES[device.type]
    with settings_restored(), float32_products(device, precision):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            matrix, product = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
            source, target = (torch.ones(size, dtype=torch.uint8, device=device) for _ in range(2))
            flops = 2 * side**3 / _seconds(lambda: torch.mm(matrix, matrix, out=product), device)
            bytes_moved = 2 * size / _seconds(lambda: target.copy_(source), device)
        # Little work is not shared among threads; waiting for a second one takes long on a busy machine.
        torch.set_num_threads(1)
        return MachineLimits(flops, bytes_moved, _launch(device), launches_ahead=device.type != "cpu")


def _launch(device: torch.device) -> float:
    """Seconds for each operator of a training step of a network that is so small that nothing else counts.

    An addition by itself takes a tenth of that: in a step, Python calls operators, autograd notes them down
    and calls their gradients, memory is found for their results, and a convolution is prepared at each call.
    """
    x = torch.ones(2, _WIDTH, _SIDE, _SIDE, device=device).to(memory_format=torch.channels_last)
    kernels = [
        torch.ones(_WIDTH, _WIDTH, 3, 3, device=device, requires_grad=True) for _ in range(_CONVOLUTIONS)
    ]
    weights = [torch.ones(_WIDTH, _WIDTH, device=device, requires_grad=True) for _ in range(_LAYERS)]
    adam = torch.optim.Adam([*kernels, *weights], fused=True)

    def step() -> None:
        adam.zero_grad()
        y = x
        for kernel in kernels:
            y = nn.functional.conv2d(y, kernel, padding=1)
            y = torch.relu(nn.functional.batch_norm(y, None, None, training=True))
        y = y.mean((2, 3))
        for weight in weights:
            y = torch.relu(nn.functional.layer_norm(y @ weight, (_WIDTH,)))
        torch.autograd.backward([y.sum()])
        adam.step()

    step()  # the first one also makes Adam's moments
    with OperatorCounter() as counted:
        step()
    operators: int = counted.operators
    return _seconds(step, device, rounds=_STEPS) / operators


def _seconds(work: Callable[[], object], device: torch.device, rounds: int = _ROUNDS) -> float:
    """The least of some rounds, after one that warms up; on one thread of a CPU, of its own time.

    What other programs take of a core is no limit of the machine, and the clock would count it.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter
    best = math.inf
    for number in range(rounds + 1):
        began = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            best = min(best, clock() - began)
    return best
