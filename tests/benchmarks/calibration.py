"""The kernel that benchmarks are measured in units of: fixed work that uses nothing of sen-bench."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

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
        self._parts: tuple[Callable[[], object], ...] = (
            lambda: torch.mm(factor, factor, out=product),
            lambda: np.add(source, 1, out=target),
            # The one sort of numpy that has no vectorised form on any processor.
            lambda: np.sort(keys, kind="heapsort"),
        )

    def seconds(self, rounds: int = 15) -> float:
        """CPU seconds of the kernel: the geometric mean of its parts, the least of all rounds each.

        Args:
            rounds: How often each part is timed, in turn with the others.
        """
        best = [math.inf] * len(self._parts)
        for _ in range(rounds):
            for number, part in enumerate(self._parts):
                began = time.process_time()
                part()
                best[number] = min(best[number], time.process_time() - began)
        return math.prod(best) ** (1 / len(best))
