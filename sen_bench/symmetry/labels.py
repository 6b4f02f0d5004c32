"""Group elements and actions in words, as shown in pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.symmetry import SO3, Group


def action_label(names: Sequence[str], action: NDArray[Any]) -> str:
    """How to write an action: by its name if it has one, otherwise by its numbers."""
    if action.ndim == 0:
        number = int(action)
        return names[number] if number < len(names) else str(number)
    return _numbers(action)


def element_label(group: Group | SO3, element: NDArray[Any]) -> str:
    """How to write a group element: by its name in a finite group, by angle and axis for a rotation."""
    return group.element_name(int(element)) if isinstance(group, Group) else _numbers(element)


def _numbers(values: NDArray[Any]) -> str:
    """A rotation matrix as its angle and axis, anything else as its numbers."""
    if values.shape != (3, 3):
        return " ".join(f"{value:+.2f}" for value in values.ravel())
    angle = math.acos(float(np.clip((np.trace(values) - 1) / 2, -1, 1)))
    skew = (values - values.T)[[2, 0, 1], [1, 2, 0]]
    norm = float(np.linalg.norm(skew))
    # Adding 0 turns -0.0 into 0.0.
    axis = " ".join(f"{round(value, 1) + 0.0:+.1f}" for value in (skew / norm if norm > 1e-9 else skew))
    return f"{math.degrees(angle):.0f}° about {axis}"
