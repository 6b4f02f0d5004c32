"""The kernel that benchmarks are measured in units of: fixed work that uses nothing of sen-bench."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch

_SIDE = 320
_STREAM_BYTES = 16 * 2**20
_KEYS = 20_000


class Calibration:
    """Times a mix of what the benchmarks are made of: arithmetic, memory traffic, branches.

    The three parts take about a millisecond or two each. Their times are those of the process's CPU clock,
    the same that `make bench` has the benchmarks measured with.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        factor = torch.from_numpy(rng.standard_normal((_SIDE, _SIDE), dtype=np.float32))
        product = torch.empty_like(factor)
        source = rng.integers(256, size=_STREAM_BYTES, dtype=np.uint8)
        target = np.empty_like(source)
        keys = rng.integers(2**31, size=_KEYS)
        self._parts: dict[str, Callable[[], object]] = {
            "product": lambda: torch.mm(factor, factor, out=product),
            "memory": lambda: np.add(source, 1, out=target),
            # The one sort of numpy that has no vectorised form on any processor.
            "sort": lambda: np.sort(keys, kind="heapsort"),
        }

    def seconds(self, rounds: int = 15) -> dict[str, float]:
        """CPU seconds of each part, the least of all rounds.

        Args:
            rounds: How often each part is timed, in turn with the others.
        """
        best = dict.fromkeys(self._parts, math.inf)
        for _ in range(rounds):
            for name, part in self._parts.items():
                began = time.process_time()
                part()
                best[name] = min(best[name], time.process_time() - began)
        return best


def least(timings: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The least seconds of each part, over several timings of the kernel."""
    best: dict[str, float] = {}
    for timing in timings:
        for name, seconds in timing.items():
            best[name] = min(seconds, best.get(name, math.inf))
    return best


def combined(timing: Mapping[str, float]) -> float:
    """The kernel's seconds: the geometric mean of its parts."""
    return math.prod(timing.values()) ** (1 / len(timing))
