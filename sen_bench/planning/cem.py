"""Plans of continuous moves: the cross-entropy method (Rubinstein 1999)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.planning.dynamics import Dynamics
from sen_bench.planning.moves import Moves

_NARROWEST: Final = 0.02
"""The least deviation that moves are drawn with."""


def cross_entropy(
    dynamics: Dynamics,
    moves: Moves,
    latents: Tensor,
    goals: Tensor,
    elements: NDArray[Any],
    generators: Sequence[np.random.Generator],
    *,
    horizon: int,
    samples: int,
    rounds: int,
    elites: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The plans that come nearest to the goals, of 1 to `horizon` moves.

    In the first round sequences are drawn as the world draws actions; in the others from a normal
    distribution with mean and deviation of the elites, the sequences of the round before that come nearest at
    any of their steps. A plan is the best sequence of all rounds, up to the step at which it is nearest.

    Args:
        dynamics: What becomes of latents.
        moves: What can be done.
        latents: Where to start, `[N, ...]`.
        goals: Where to be, `[N, ...]`.
        elements: Which group elements the problems are seen after, `[N, ...]`.
        generators: Where the random numbers of each problem come from.
        horizon: The longest plan.
        samples: Sequences in a round.
        rounds: How many rounds.
        elites: How many sequences the next round is drawn from.

    Returns:
        The moves, `[N, horizon, k]`, and how many of them belong to the plan, `[N]`.
    """
    count, shape = len(latents), (samples, horizon, moves.width)
    best = np.full(count, np.inf)
    plans, lengths = np.zeros((count, horizon, moves.width)), np.ones(count, np.int64)
    mean, deviation = np.zeros((count, 1, *shape[1:])), np.ones((count, 1, *shape[1:]))
    for number in range(rounds):
        if number:
            noise = np.stack([rng.standard_normal(shape) for rng in generators])
            drawn = moves.clipped(mean + deviation * noise)
        else:
            drawn = np.stack(
                [[[moves.draw(rng) for _ in range(horizon)] for _ in range(samples)] for rng in generators]
            )
        far = _distances(dynamics, moves, latents, goals, elements, drawn)
        steps, nearest = far.argmin(axis=2), far.min(axis=2)
        order = np.argsort(nearest, axis=1, kind="stable")
        first = order[:, 0]
        index = np.arange(count)
        better = nearest[index, first] < best
        best = np.where(better, nearest[index, first], best)
        plans[better] = drawn[index, first][better]
        lengths[better] = steps[index, first][better] + 1
        chosen = drawn[index[:, None], order[:, :elites]]
        mean = chosen.mean(axis=1, keepdims=True)
        deviation = np.maximum(chosen.std(axis=1, keepdims=True), _NARROWEST)
    return plans, lengths


def _distances(
    dynamics: Dynamics,
    moves: Moves,
    latents: Tensor,
    goals: Tensor,
    elements: NDArray[Any],
    drawn: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How far sequences `[N, samples, horizon, k]` are from the goals after each step, without the axis k."""
    count, samples, horizon, _ = drawn.shape
    owner = np.repeat(np.arange(count), samples)
    now, wanted = latents.repeat_interleave(samples, 0), goals.repeat_interleave(samples, 0)
    far = []
    for step in range(horizon):
        actions = moves.actions(drawn[:, :, step].reshape(count * samples, -1), elements[owner])
        now = dynamics.predict(now, actions)
        far.append(dynamics.distance(now, wanted).cpu().view(count, samples))
    return np.asarray(torch.stack(far, dim=2).numpy())
