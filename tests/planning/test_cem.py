"""Plans of the cross-entropy method are the best of all that was tried."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.planning.cem import cross_entropy

PROBLEMS, SAMPLES, ROUNDS, HORIZON = 20, 6, 4, 3


class _Line:
    """A world of its own: a point that moves along a line, and remembers how far from the goals it came."""

    count, width = None, 1

    def __init__(self) -> None:
        self.distances: list[np.ndarray] = []

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(-1, 1, size=1)

    def clipped(self, moves: np.ndarray) -> np.ndarray:
        return moves.clip(-1, 1)

    def actions(self, moves: np.ndarray, elements: np.ndarray) -> np.ndarray:
        assert len(elements) == len(moves)
        return moves

    def predict(self, latents: Tensor, actions: np.ndarray) -> Tensor:
        return latents + torch.from_numpy(actions)

    def distance(self, latents: Tensor, goals: Tensor) -> Tensor:
        far = (latents - goals).abs().sum(dim=1)
        self.distances.append(far.numpy().reshape(PROBLEMS, SAMPLES))
        return far


@pytest.fixture(scope="module")
def searched() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The goals, the plans, their lengths, and all distances `[PROBLEMS, ROUNDS, HORIZON, SAMPLES]`."""
    line: Any = _Line()
    goals = torch.linspace(-1.5, 1.5, PROBLEMS, dtype=torch.float64)[:, None]
    plans, lengths = cross_entropy(
        line,
        line,
        torch.zeros(PROBLEMS, 1, dtype=torch.float64),
        goals,
        np.zeros(PROBLEMS, np.int64),
        [np.random.default_rng(seed) for seed in range(PROBLEMS)],
        horizon=HORIZON,
        samples=SAMPLES,
        rounds=ROUNDS,
        elites=4,
    )
    tried = np.stack(line.distances, axis=1).reshape(PROBLEMS, ROUNDS, HORIZON, SAMPLES)
    return goals.numpy(), plans, lengths, tried


def test_a_plan_ends_where_the_nearest_of_all_rounds_and_steps_was(searched: tuple[np.ndarray, ...]) -> None:
    goals, plans, lengths, tried = searched
    ends = np.array([plan[:length].sum() for plan, length in zip(plans, lengths, strict=True)])
    np.testing.assert_allclose(np.abs(ends - goals[:, 0]), tried.min(axis=(1, 2, 3)), rtol=0, atol=1e-12)


def test_the_nearest_is_in_every_round_and_after_every_step_of_some_problem(
    searched: tuple[np.ndarray, ...],
) -> None:
    _, _, lengths, tried = searched
    assert set(tried.min(axis=(2, 3)).argmin(axis=1)) == set(range(ROUNDS))
    assert set(lengths) == set(range(1, HORIZON + 1))
