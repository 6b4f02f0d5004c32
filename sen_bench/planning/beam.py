"""Plans of counted moves: breadth-first search that keeps the best sequences of each length."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sen_bench.planning.dynamics import Dynamics
from sen_bench.planning.moves import Moves

_SAME: Final = 0.25
"""Latents that are closer than this part of the mean step from the start count as one."""

_TIE: Final = 1e-5
"""Distances to the goal are compared in units of this part of their mean after one move; within one they tie.

Without it rounding, which differs between a problem and its twin, would choose among equal plans."""

_COMPARED: Final = 4
"""How many times the width of the beam is looked through for latents that are one, at least.

After d moves as many sequences lead to one latent as moves of them can be the last, up to d, so that in a
deeper search it is d times the width."""


def beam_search(
    dynamics: Dynamics,
    moves: Moves,
    latents: Tensor,
    goals: Tensor,
    elements: NDArray[Any],
    *,
    horizon: int,
    width: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The plans that end nearest to the goals, of 1 to `horizon` moves.

    From every sequence that is kept all moves are tried. Of those that lead to one latent, as moves of
    several objects do in any order, the first in rank stays, and of what is left the `width` nearest to the
    goal. Equally near ones are in the order of their moves, and of plans that end equally near the shortest
    is taken: so ties are broken in the same way wherever the moves are the same.

    Args:
        dynamics: What becomes of latents.
        moves: What can be done.
        latents: Where to start, `[N, ...]`.
        goals: Where to be, `[N, ...]`.
        elements: Which group elements the problems are seen after, `[N, ...]`.
        horizon: The longest plan.
        width: How many sequences are kept.

    Returns:
        The moves, `[N, horizon]`, and how many of them belong to the plan, `[N]`.
    """
    count, choices = len(latents), moves.count or 0
    beam = latents.unsqueeze(1)
    alive = torch.ones(count, 1, dtype=torch.bool)
    sequences = torch.zeros(count, 1, 0, dtype=torch.int64)
    best = torch.full((count,), torch.inf, dtype=torch.float64)
    plans = torch.zeros(count, horizon, dtype=torch.int64)
    lengths = torch.ones(count, dtype=torch.int64)
    same, unit = torch.zeros(count), torch.ones(count, 1)
    for depth in range(1, horizon + 1):
        kept = beam.shape[1]
        owner = np.repeat(np.arange(count), kept * choices)
        numbers = np.tile(np.arange(choices), count * kept)
        actions = moves.actions(numbers, elements[owner])
        following = dynamics.predict_each(
            beam.flatten(0, 1), actions.reshape(count * kept, choices, *actions.shape[1:])
        ).flatten(0, 1)
        far = dynamics.distance(following, goals.repeat_interleave(kept * choices, 0)).cpu().view(count, -1)
        following = following.view(count, kept * choices, *latents.shape[1:])
        if depth == 1:
            same = _SAME * _apart(following, beam).mean(1)
            unit = (_TIE * far.mean(1, keepdim=True)).clamp_min(torch.finfo(far.dtype).tiny)
        far = (far / unit).round().masked_fill(~alive.repeat_interleave(choices, 1), torch.inf)
        order = far.argsort(dim=1, stable=True)
        extended = torch.cat(
            [
                sequences.repeat_interleave(choices, 1),
                torch.from_numpy(numbers).view(count, -1, 1),
            ],
            dim=2,
        )
        first = order[:, 0]
        nearest = far.gather(1, first[:, None])[:, 0]
        better = nearest < best
        best = torch.where(better, nearest, best)
        lengths = torch.where(better, depth, lengths)
        rows = better.nonzero()[:, 0]
        plans[rows, :depth] = extended[rows, first[rows]]
        if depth == horizon:
            break
        order = order[:, : max(_COMPARED, depth) * width]
        index = torch.arange(count)[:, None]
        ranked = following[index.to(following.device), order.to(following.device)]
        dropped = _repeats(ranked, same) | far.gather(1, order).isinf()
        place = dropped.long().argsort(dim=1, stable=True)[:, :width]
        chosen = order.gather(1, place)
        alive = ~dropped.gather(1, place)
        sequences = extended[index, chosen]
        beam = following[index.to(following.device), chosen.to(following.device)]
    return plans.numpy(), lengths.numpy()


def _apart(latents: Tensor, other: Tensor) -> Tensor:
    """L2 distances of latents `[N, K, ...]` from others, `[N, K]`, on the CPU."""
    apart: Tensor = torch.linalg.vector_norm((latents - other).double().flatten(2), dim=2)
    return apart.cpu()


def _repeats(ranked: Tensor, same: Tensor) -> Tensor:
    """Which latents `[N, K, ...]` are one with an earlier one, bool `[N, K]`."""
    flat = ranked.double().flatten(2).cpu()
    near = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist") <= same[:, None, None]
    return near.tril(-1).any(dim=2)
