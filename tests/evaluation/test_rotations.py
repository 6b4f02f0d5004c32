"""Scores where the group is SO(3)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sen_bench.evaluation.protocol import evaluate
from sen_bench.symmetry import SO3
from tests.support.turning import TurnEpisodes, TurnModel


def test_rotations_are_scored_by_their_plain_distance() -> None:
    """EE is not divided by the norm of a rotation, which is always the same."""
    episodes = TurnEpisodes(40)
    (scores,) = evaluate(TurnModel(), episodes, horizons=(1,), chunk=7)
    assert scores.hits_at_1 == scores.mrr == 1
    assert math.isnan(scores.local_hits_at_1)
    assert math.isnan(scores.no_change_local_mrr)
    assert scores.ee_embedding == pytest.approx(0, abs=1e-6)
    assert math.isnan(scores.die_embedding)  # no two twins share a rotation
    assert math.isnan(scores.die_model)

    turn = torch.from_numpy(SO3().sample(np.random.default_rng(1)))
    seen = {twin: (turn @ states[:, 0]).numpy() for twin, states in episodes.states.items()}
    apart = episodes.elements(slice(None)).numpy() @ seen[False] - seen[True]
    expected = np.linalg.norm(apart, axis=(1, 2)).mean()
    (scores,) = evaluate(TurnModel(turn), episodes, horizons=(1,), chunk=7)
    assert scores.ee_embedding == pytest.approx(expected, rel=1e-6)
    assert scores.ee_latent == scores.ee_embedding
    assert scores.ee_embedding_undivided == scores.ee_latent_undivided == scores.ee_embedding
    assert expected > 1
