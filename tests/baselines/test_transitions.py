"""T for several actions each is T for each of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sen_bench.tasks.registry import get_task


@pytest.mark.parametrize(
    ("task", "kind", "options"),
    [
        ("2d-shapes", "sen", {"hidden": 6}),
        ("2d-shapes", "none", {"hidden": 6}),
        ("rush-hour", "sen", {"hidden": 6}),
        ("rush-hour", "sen", {"hidden": 6, "standard_latents": 1, "regular_latents": 1}),
        ("rush-hour", "none", {"hidden": 6}),
        ("teapot-small", "none", {"embedding_channels": 2, "hidden": 6}),
    ],
)
def test_it_is_what_one_action_after_the_other_gives(task: str, kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = get_task(task).build_model(kind, options).double().eval()
    latents = torch.rand(3, *model.latent_shape, dtype=torch.float64)
    actions = torch.rand(3, 7, 3, 3, dtype=torch.float64) if "teapot" in task else torch.randint(20, (3, 7))
    together = model.transitions(latents, actions)
    for number in range(7):
        expected = model.transition(latents, actions[:, number])
        torch.testing.assert_close(together[:, number], expected, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(together[:, 0], together[:, 1])
