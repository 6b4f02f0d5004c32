"""Weights of the paper's public code give our models the public code's predictions."""

from __future__ import annotations

import pytest
import torch

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.public_code import from_public_code
from sen_bench.errors import ConfigError
from sen_bench.tasks.registry import get_task
from tests.oracles.public_code import (
    public_embedding,
    public_prediction,
    public_state,
    steerable_embedding,
)

WIDTHS = {"embedding_channels": 2, "hidden": 3}


@pytest.mark.parametrize("kind", ["sen", "none", "full"])
def test_our_model_computes_what_the_public_code_does(kind: str) -> None:
    torch.manual_seed(0)
    images, actions = torch.rand(3, 3, 50, 50), torch.tensor([0, 7, 18])
    state = public_state(kind, width=2, hidden=3)
    if kind == "full":
        network = steerable_embedding(2)
        state |= {f"embedding.net.{name}": entry for name, entry in network.state_dict().items()}
        with torch.no_grad():
            maps = network(e2cnn_compat.nn.GeometricTensor(images, network.in_type)).tensor
    else:
        maps = public_embedding(state, images)
    model = get_task("3d-blocks").build_model(kind, WIDTHS).eval()
    model.load_state_dict(from_public_code(state, model), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(model.embed(images), maps, rtol=1e-5, atol=1e-6)
        expected = public_prediction(kind, state, maps, actions)
        torch.testing.assert_close(model(images, actions), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.01


def test_what_the_public_code_does_not_have_is_kept_to_be_found_unexpected() -> None:
    model = get_task("3d-blocks").build_model("sen", WIDTHS)
    other = torch.zeros(2)
    odd = {"encoder.fc1.weights": other, "encoder.fc4.weights": other, "transition.node_mlp.0.weights": other}
    assert from_public_code({**odd, "encoder.fc1.mat": other}, model) == {
        "encoder.first.weight": other,
        "encoder.fc4.weights": other,
        "network.node_in.weight": other,
    }


@pytest.mark.parametrize("task", ["2d-shapes", "rush-hour", "reacher"])
def test_of_other_worlds_there_are_no_weights_that_fit(task: str) -> None:
    model = get_task(task).build_model("none", WIDTHS)
    with pytest.raises(ConfigError, match="can be read for sen, none and full of 3d-blocks; it has no other"):
        from_public_code({}, model)
