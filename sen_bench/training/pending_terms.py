"""Losses on their way from the device to the log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class PendingTerms:
    """The terms of some steps, on their way from the device.

    Args:
        steps: The terms of each step, ``[terms]`` on the device, and how many samples it had.
        done: How many steps of the epoch were done with them.
        samples: How many samples had been trained on.
    """

    def __init__(self, steps: Sequence[tuple[Tensor, int]], done: int, samples: int) -> None:
        self.done, self.samples = done, samples
        self.sizes = np.array([size for _, size in steps])
        self._terms = torch.stack([terms for terms, _ in steps])
        self._arrived: torch.cuda.Event | None = None
        device = self._terms.device
        if device.type == "cuda":
            # Copied behind these steps, so that fetching them does not wait for the ones that follow.
            self._terms = torch.empty_like(self._terms, device="cpu", pin_memory=True).copy_(
                self._terms, non_blocking=True
            )
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record(torch.cuda.current_stream(device))

    def rows(self) -> list[list[float]]:
        """The terms of each step; waits until they are there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        rows: list[list[float]] = self._terms.tolist()
        return rows
