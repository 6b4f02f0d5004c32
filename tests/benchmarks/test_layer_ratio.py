"""How much faster our layers are than the plain forms of the same functions, forwards and backwards."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from sen_bench.baselines import e2cnn_compat
from sen_bench.baselines.convolutions import ConvolutionalEmbedding
from sen_bench.baselines.group_convolution import c4_linear
from sen_bench.baselines.normalisation import BatchNorm
from sen_bench.baselines.objects import build_object_model
from sen_bench.baselines.steerable import SteerableEmbedding
from sen_bench.envs.grid import grid_symmetry
from tests.benchmarks.ratios import Ratio
from tests.oracles.dense_layers import dense_c4_linear, e2cnn_embedding, textbook_interaction
from tests.oracles.plain_models import plain_layers

BATCH = 32
ROUNDS = 3

Compare = Callable[[str, Callable[[], Tensor], Callable[[], Tensor]], None]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def compare(benchmark: BenchmarkFixture, report_ratio: Callable[[Ratio], None]) -> Compare:
    """Times both forms in turn, so that a change in the machine's load meets both."""

    def seconds(function: Callable[[], Tensor]) -> float:
        began = time.process_time()
        torch.autograd.backward([function().sum()])
        return time.process_time() - began

    def compare(what: str, ours: Callable[[], Tensor], plain: Callable[[], Tensor]) -> None:
        taken: dict[str, list[float]] = {"ours": [], "plain": []}
        if benchmark.enabled:
            seconds(ours)
            seconds(plain)
        benchmark.pedantic(  # type: ignore[no-untyped-call]
            lambda: taken["ours"].append(seconds(ours)),
            setup=lambda: taken["plain"].append(seconds(plain)),
            rounds=ROUNDS,
        )
        best, best_plain = min(taken["ours"]), min(taken["plain"])
        benchmark.extra_info |= {"plain_seconds": best_plain, "ratio": best_plain / best}
        if benchmark.enabled:
            report_ratio(Ratio(what, best_plain / best))

    return compare


def test_c4_linear(compare: Compare) -> None:
    x = torch.randn(20 * BATCH, 4, 256, requires_grad=True)
    weight, bias = torch.randn(4, 256, 256, requires_grad=True), torch.randn(256, requires_grad=True)
    compare(
        "C4 linear layer, 256 to 256",
        lambda: c4_linear(x, weight, bias),
        lambda: dense_c4_linear(x, weight, bias),
    )


@pytest.mark.parametrize("kind", ["sen", "none"])
def test_transition(compare: Compare, kind: str) -> None:
    model = build_object_model(kind, symmetry=grid_symmetry(5, 5), observation_shape=(50, 50, 3))
    latent = torch.randn(BATCH, *model.latent_shape)
    action = torch.randn(BATCH, *model.latent_shape[:-1], 1 if model.equivariant else 4)
    compare(
        f"transition of 3D Blocks {kind}",
        lambda: model.network(latent, action),
        lambda: textbook_interaction(model.network, latent, action),
    )


def test_batch_norm(compare: Compare) -> None:
    norm, images = BatchNorm(32), torch.randn(BATCH, 32, 50, 50, requires_grad=True)
    last = images.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    theirs = nn.BatchNorm2d(32)
    compare("batch normalisation", lambda: norm(last), lambda: theirs(images))


def test_convolutional_embedding(compare: Compare) -> None:
    embedding = ConvolutionalEmbedding(image_channels=3, num_maps=5, channels=32)
    images = torch.rand(BATCH, 3, 50, 50)
    plain = nn.Sequential(plain_layers(*embedding.layers), nn.Sigmoid())
    compare("embedding of 3D Blocks sen", lambda: embedding(images), lambda: plain(images))


def test_steerable_embedding(compare: Compare) -> None:
    embedding = SteerableEmbedding(image_channels=3, num_objects=5, fields=16)
    plain = e2cnn_embedding(embedding)
    images = torch.rand(BATCH // 2, 3, 50, 50)

    def plain_maps() -> Tensor:
        maps: Tensor = plain(e2cnn_compat.nn.GeometricTensor(images, plain.in_type)).tensor
        return torch.sigmoid(maps)

    compare("embedding of 3D Blocks full", lambda: embedding(images), plain_maps)
