"""The global random generators of a process: PyTorch's, NumPy's and Python's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds every global random generator within the block; the caller's go on as if nothing had been drawn.

    They are what layers such as `torch.nn.Dropout` and the code of other people draw from.

    Args:
        seed: The seed, at least 0.
        device: The device whose generator is seeded too, beside those of the CPU.
    """
    gpus = [device] if device.type == "cuda" else []
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 — the global one is what models use
    with torch.random.fork_rng(devices=gpus):
        # Not `torch.manual_seed`, which seeds all devices, of which only these are restored.
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(np.random.SeedSequence(seed).generate_state(8))  # noqa: NPY002 — likewise
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002 — likewise
