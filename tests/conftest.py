"""What several files of tests begin with."""

from __future__ import annotations

import pytest
import torch

from sen_bench.data.transitions import Transitions


@pytest.fixture(scope="session")
def transitions() -> Transitions:
    """42 transitions: six episodes of seven steps, in frames of noise."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (6, 8, 6, 6, 3), dtype=torch.uint8, generator=generator)
    actions = torch.randint(0, 20, (6, 7), generator=generator)
    return Transitions(frames, actions, torch.device("cpu"))
