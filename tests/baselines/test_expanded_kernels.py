"""Kernels expanded once for all passes of a step: the same function, with less work."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import torch
from torch import Tensor

from sen_bench.baselines.expanded_kernels import expanded_once, kernels_expanded_once
from sen_bench.baselines.steerable import SteerableConvolution
from sen_bench.tasks.registry import get_task
from sen_bench.training.loss import contrastive_loss
from tests.support.batches import world_batch


@pytest.fixture
def expansions(monkeypatch: pytest.MonkeyPatch) -> Counter[SteerableConvolution]:
    """How often each layer has expanded its kernel."""
    counted: Counter[SteerableConvolution] = Counter()
    expand = SteerableConvolution._kernel

    def counting(layer: SteerableConvolution) -> Tensor:
        counted[layer] += 1
        return expand(layer)

    monkeypatch.setattr(SteerableConvolution, "_kernel", counting)
    return counted


def _two_passes(layer: SteerableConvolution) -> list[Tensor]:
    """The results of two passes, and the gradient of the weights."""
    images = [
        torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for seed in (0, 1)
    ]
    results = [layer(each) for each in images]
    loss = sum(each.square().sum() for each in results)
    assert isinstance(loss, Tensor)
    return [*results, *torch.autograd.grad(loss, list(layer.parameters()))]


def test_passes_share_a_kernel_and_give_what_they_gave(expansions: Counter[SteerableConvolution]) -> None:
    layer = SteerableConvolution(3, 2, in_regular=False, out_regular=True).double()
    apart = _two_passes(layer)
    assert expansions[layer] == 2
    with kernels_expanded_once():
        together = _two_passes(layer)
    assert expansions[layer] == 3
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_after_the_block_a_layer_expands_its_weights_as_they_are_then() -> None:
    layer = SteerableConvolution(3, 2, in_regular=False, out_regular=True)
    images = torch.ones(1, 3, 5, 5)
    with kernels_expanded_once():
        before = layer(images)
    with torch.no_grad():
        layer.weights.mul_(2)
    torch.testing.assert_close(layer(images), 2 * before)
    with kernels_expanded_once():
        torch.testing.assert_close(layer(images), 2 * before)


def test_other_threads_have_blocks_of_their_own() -> None:
    layer, made = torch.nn.Identity(), []

    def expand() -> Tensor:
        made.append(torch.ones(1))
        return made[-1]

    with kernels_expanded_once():
        assert expanded_once(layer, expand) is expanded_once(layer, expand)
        other = threading.Thread(target=lambda: expanded_once(layer, expand))
        other.start()
        other.join()
    assert len(made) == 2


def test_a_step_of_training_expands_every_kernel_once(expansions: Counter[SteerableConvolution]) -> None:
    model = get_task("2d-shapes").build_model("full", {"embedding_channels": 2, "hidden": 4})
    batch, permutation = world_batch("2d-shapes", 2, seed=0)
    loss = contrastive_loss(model, batch, permutation, hinge=1.0, dtype=torch.float32)
    assert set(expansions.values()) == {1}
    assert len(expansions) == sum(isinstance(each, SteerableConvolution) for each in model.modules()) > 0
    torch.autograd.backward([loss.total])
    assert all(each.grad is not None for each in model.parameters())
