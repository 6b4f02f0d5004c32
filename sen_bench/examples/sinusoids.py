"""Sampled sinusoids, with labels at their peaks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sen_bench.examples.sizes import HIGHEST_FREQUENCY, LENGTH


def sample_sinusoids(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sinusoids of whole numbers of periods, so that a cyclic shift of one is another of the same kind.

    Frequencies are uniform over 1 to `HIGHEST_FREQUENCY` periods a sequence, phases uniform, amplitudes
    uniform over [0.5, 1.5) [ours].

    Args:
        count: N, how many.
        generator: What is drawn from.

    Returns:
        The samples, float32 ``[N, LENGTH]``, and the labels of the same shape: 1 where a sample is larger
        than its two neighbours, otherwise 0. The first and the last sample are neighbours.
    """
    frequency = torch.randint(1, HIGHEST_FREQUENCY + 1, (count, 1), generator=generator)
    phase, amplitude = torch.rand(2, count, 1, generator=generator)
    turns = frequency * torch.arange(LENGTH) / LENGTH + phase
    samples = (0.5 + amplitude) * torch.sin(2 * math.pi * turns)
    peaks = (samples > samples.roll(1, dims=1)) & (samples > samples.roll(-1, dims=1))
    return samples, peaks.float()
