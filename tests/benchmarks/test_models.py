"""How much faster our layers and models are than the plain forms of the same functions, on one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.convolutions import ConvolutionalEmbedding
from sen_bench.baselines.layers import c4_linear
from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.objects import KINDS, build_object_model
from sen_bench.baselines.steerable import SteerableEmbedding
from sen_bench.envs.grid import grid_symmetry
from tests.oracles.dense_layers import (
    contrastive_loss,
    dense_c4_linear,
    e2cnn_embedding,
    textbook_interaction,
)

BATCH = 32
ROUNDS = 3


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _compare(benchmark: BenchmarkFixture, ours: Callable[[], object], plain: Callable[[], object]) -> None:
    """Times both forms in turn, so that a change in the machine's load meets both."""
    ours()
    plain()
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(ROUNDS):
        for name, function in (("plain", plain), ("ours", ours)):
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    benchmark.extra_info["plain_seconds"] = min(seconds["plain"])
    benchmark.extra_info["ratio"] = min(seconds["plain"]) / min(seconds["ours"])
    benchmark.pedantic(ours, rounds=ROUNDS)  # type: ignore[no-untyped-call]


def _backward(function: Callable[[], Tensor]) -> Callable[[], None]:
    return lambda: torch.autograd.backward([function().sum()])


def test_c4_linear(benchmark: BenchmarkFixture) -> None:
    x = torch.randn(20 * BATCH, 4, 256, requires_grad=True)
    weight, bias = torch.randn(4, 256, 256, requires_grad=True), torch.randn(256, requires_grad=True)
    _compare(
        benchmark,
        _backward(lambda: c4_linear(x, weight, bias)),
        _backward(lambda: dense_c4_linear(x, weight, bias)),
    )


@pytest.mark.parametrize("kind", ["sen", "none"])
def test_transition(benchmark: BenchmarkFixture, kind: str) -> None:
    model = build_object_model(kind, symmetry=grid_symmetry(5, 5), observation_shape=(50, 50, 3))
    latent = torch.randn(BATCH, *model.latent_shape)
    action = torch.randn(BATCH, *model.latent_shape[:-1], 1 if model.equivariant else 4)
    _compare(
        benchmark,
        _backward(lambda: model.network(latent, action)),
        _backward(lambda: textbook_interaction(model.network, latent, action)),
    )


def test_convolutional_embedding(benchmark: BenchmarkFixture) -> None:
    embedding = ConvolutionalEmbedding(image_channels=3, num_maps=5, channels=32)
    images = torch.rand(BATCH, 3, 50, 50)
    # The same layers on channels-first images, and the same sigmoid.
    plain = nn.Sequential(*embedding.layers, nn.Sigmoid())
    _compare(benchmark, _backward(lambda: embedding(images)), _backward(lambda: plain(images)))


def test_steerable_embedding(benchmark: BenchmarkFixture) -> None:
    embedding = SteerableEmbedding(image_channels=3, num_objects=5, fields=16)
    plain = e2cnn_embedding(embedding)
    images = torch.rand(BATCH // 2, 3, 50, 50)

    def plain_maps() -> Tensor:
        maps: Tensor = plain(e2cnn_compat.nn.GeometricTensor(images, plain.in_type)).tensor
        return torch.sigmoid(maps)

    _compare(benchmark, _backward(lambda: embedding(images)), _backward(plain_maps))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_training_step(benchmark: BenchmarkFixture, kind: str, precision: str) -> None:
    """Transitions a second, forward and backward, in extra_info; which precision wins depends on the CPU."""
    model: WorldModel = build_object_model(kind, symmetry=grid_symmetry(5, 5), observation_shape=(50, 50, 3))
    observation, following = torch.rand(2, BATCH, 50, 50, 3).permute(0, 1, 4, 2, 3)
    action = torch.randint(20, (BATCH,))

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = contrastive_loss(model, observation, action, following)
        torch.autograd.backward([loss])

    benchmark.pedantic(step, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[no-untyped-call]
    if benchmark.stats is not None:
        benchmark.extra_info["transitions_per_second"] = BATCH / benchmark.stats.stats.min
