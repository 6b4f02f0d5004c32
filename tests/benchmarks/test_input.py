"""How much of a training step is spent on waiting for its data, all in memory or streamed; on one core."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from sen_bench.baselines.objects import build_object_model
from sen_bench.data.streaming import StreamedTransitions
from sen_bench.data.transitions import TrainingData, Transitions
from sen_bench.envs.grid import grid_symmetry
from sen_bench.generators import Recipe, generate
from sen_bench.store import Dataset
from sen_bench.system.device import device_name
from sen_bench.training import contrastive_loss

# Eight files of 2 episodes; a window is one of them, so that a few steps go over its end.
BLOCKS = Recipe(
    task="3d-blocks", split="train", world_id="sen_bench/Blocks3D-v0", episodes=16, horizon=50, seed=0
)
WINDOW = 100
BATCH, STEPS = 32, 7

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return generate(BLOCKS, tmp_path_factory.mktemp("input") / "train.zarr").dataset


def _now(device: torch.device) -> float:
    """The time at which the device has done all it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _held(dataset: Dataset, how: str, device: torch.device) -> AbstractContextManager[TrainingData]:
    if how == "resident":
        return nullcontext(Transitions.from_dataset(dataset, device))
    return StreamedTransitions(dataset, device, buffer=WINDOW)


@pytest.mark.parametrize("how", ["resident", "streamed"])
def test_waiting_for_data(
    benchmark: BenchmarkFixture, dataset: Dataset, how: str, device: torch.device
) -> None:
    """Steps of `sen` at the paper's size. On a GPU nothing overlaps here, so that the share is a bound."""
    model = build_object_model("sen", symmetry=grid_symmetry(5, 5), observation_shape=(50, 50, 3)).to(device)
    waiting: list[float] = []
    steps: list[float] = []

    def train(data: TrainingData) -> None:
        order = data.order(torch.Generator().manual_seed(0))
        for index in torch.split(order[: BATCH * STEPS], BATCH):
            began = _now(device)
            batch = data.batch(index)
            waiting.append(_now(device) - began)
            permutation = torch.arange(BATCH - 1, -1, -1, device=device)
            loss = contrastive_loss(model, batch, permutation, hinge=1.0, dtype=torch.float32)
            torch.autograd.backward([loss.total])
            steps.append(_now(device) - began)

    with _held(dataset, how, device) as data:
        benchmark.pedantic(train, args=(data,), rounds=1)  # type: ignore[no-untyped-call]
    # Without the first step, which waits for the first window of all, and for memory.
    benchmark.extra_info["waiting_share"] = sum(waiting[1:]) / sum(steps[1:])
    benchmark.extra_info["waiting_seconds"] = max(waiting[1:])
    benchmark.extra_info["device"] = device_name(device)
