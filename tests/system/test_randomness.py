"""Within a seeded block every global generator is seeded, and after it the caller's go on as they were."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from sen_bench.system import seeded

CPU = torch.device("cpu")


def draws() -> tuple[float, float, float]:
    """The next number of each global generator."""
    return torch.rand(()).item(), float(np.random.rand()), random.random()  # noqa: NPY002, S311


def fails(seed: int) -> None:
    with seeded(seed, CPU):
        raise ZeroDivisionError(draws())


def test_equal_seeds_draw_equal_numbers_and_others_others() -> None:
    drawn = []
    for seed in (3, 3, 2**63 - 1):
        with seeded(seed, CPU):
            drawn.append(draws())
    assert drawn[0] == drawn[1]
    assert all(first != other for first, other in zip(drawn[0], drawn[2], strict=True))


def test_the_caller_goes_on_as_if_nothing_had_been_drawn() -> None:
    with seeded(1, CPU):
        expected = [draws(), draws()]
    with seeded(1, CPU):
        got = [draws()]
        with pytest.raises(ZeroDivisionError):
            fails(2)
        got.append(draws())
    assert got == expected


def test_pytorch_is_seeded_as_by_manual_seed() -> None:
    """Initial weights of earlier versions stay what they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = torch.rand(8)
    with seeded(5, CPU):
        assert torch.equal(torch.rand(8), expected)
