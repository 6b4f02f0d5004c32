"""Stored episodes as evaluation sees them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sen_bench.data.episodes import Episodes
from sen_bench.generators import Recipe, generate
from sen_bench.store import Dataset
from tests.support.fake_worlds import WIDE


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Several files of episodes with their twins."""
    recipe = Recipe(task="drift", split="eval", world_id=WIDE, episodes=130, horizon=4, seed=3, twin=True)
    return generate(recipe, tmp_path_factory.mktemp("stored") / "eval.zarr").dataset


DEVICES = [
    torch.device("cpu"),
    pytest.param(
        torch.device("cuda", 0),
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    ),
]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("memory", [0, None])
def test_episodes_are_shown_as_they_are_stored_wherever_their_frames_are(
    stored: Dataset, device: torch.device, memory: int | None
) -> None:
    some = Episodes(stored, device, times=(0, 3), memory=memory)
    index = torch.tensor([129, 0, 57, 57], device=device)
    for twin, name in ((False, "observation"), (True, "twin/observation")):
        frames = stored.load(name)
        for time in (0, 3):
            shown = some.observations(index, time, twin=twin)
            assert shown.device == device
            expected = frames[index.cpu().numpy(), time].transpose(0, 3, 1, 2) / np.float32(255)
            np.testing.assert_allclose(shown.cpu().numpy(), expected, rtol=0, atol=1e-7)
    kept = [frames.shape[1] for frames in some._frames.values()]
    assert kept == [2, 2]
