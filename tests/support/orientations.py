"""Orientations of the teapot, all equally likely."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sen_bench.symmetry import SO3


def orientations(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Rotation matrices, float64 `[count, 3, 3]`."""
    rng = np.random.default_rng(seed)
    return np.stack([SO3().sample(rng) for _ in range(count)])
