"""Negatives of the same episode: which other frame of its episode each transition is compared with."""

from __future__ import annotations

import torch
from torch import Tensor


def other_steps(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """How many steps after the observation of each transition its negative was observed.

    Uniform over the times of the episode but the two of the transition: its observation, which would ask a
    latent to differ from itself, and the next one, which would ask the same of a prediction.

    Args:
        count: N, how many transitions there are: whole episodes.
        steps: T, how many each episode has, at least 2.
        generator: What is drawn from.

    Returns:
        int64 ``[N]``, for transition ``episode * T + step``; less than 0 for earlier times.
    """
    step = torch.arange(count) % steps
    drawn = torch.randint(steps - 1, (count,), generator=generator)
    return (step + 2 + drawn) % (steps + 1) - step
