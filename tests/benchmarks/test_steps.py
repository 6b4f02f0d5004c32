"""What a run spends its time on, at sizes that take a moment: a training step, an evaluation, a ranking.

They are compared with plain forms in test_training_ratio.py, test_layer_ratio.py and test_ranking.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from sen_bench.config.presets import SplitSize
from sen_bench.data.episodes import Episodes
from sen_bench.data.transitions import Batch
from sen_bench.evaluation import local_ranking
from sen_bench.evaluation.metrics import rank_predictions
from sen_bench.evaluation.protocol import evaluate
from sen_bench.generators import generate
from sen_bench.tasks.registry import get_task
from sen_bench.training.loss import contrastive_loss

NARROW = {"embedding_channels": 8, "hidden": 32}


@pytest.mark.gate
@pytest.mark.parametrize(
    ("task", "model", "batch", "options"),
    [
        pytest.param("3d-blocks", "sen", 8, {}, id="3d-blocks-sen"),
        pytest.param("3d-blocks", "none", 8, {}, id="3d-blocks-none"),
        pytest.param("3d-blocks", "full", 4, {}, id="3d-blocks-full"),
        pytest.param("rush-hour", "sen", 8, {}, id="rush-hour-sen"),
        pytest.param("reacher", "sen", 8, {"embedding_channels": 16, "hidden": 32}, id="reacher-sen"),
        pytest.param("reacher", "full", 8, {"embedding_channels": 3, "hidden": 32}, id="reacher-full"),
        pytest.param("teapot-large", "matmul", 64, {}, id="teapot-large-matmul"),
        pytest.param("teapot-large", "tfn", 64, {}, id="teapot-large-tfn"),
    ],
)
def test_step(
    benchmark: BenchmarkFixture, task: str, model: str, batch: int, options: dict[str, int]
) -> None:
    """Loss, gradient and update, at the paper's sizes (Reacher: those of the `cpu` preset)."""
    chosen = get_task(task)
    network = chosen.build_model(model, options)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    world, rng = chosen.world(), np.random.default_rng(0)
    height, width, channels = world.observation_space.shape or ()
    frames = torch.rand(2, batch, height, width, channels * world.frame_stack)
    observation, following = frames.permute(0, 1, 4, 2, 3)  # channels last in memory, as in training
    action = torch.from_numpy(np.stack([world.sample_action(rng) for _ in range(batch)]))
    data, permutation = Batch(observation, action, following), torch.randperm(batch)

    def step() -> None:
        loss = contrastive_loss(network, data, permutation, hinge=1.0, dtype=torch.float32).total
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        optimizer.step()

    benchmark.pedantic(step, rounds=8, warmup_rounds=1)  # type: ignore[no-untyped-call]
    if benchmark.stats is not None:
        benchmark.extra_info["transitions_per_second"] = batch / benchmark.stats.stats.min


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> Episodes:
    recipe = get_task("3d-blocks").recipe("eval", SplitSize(episodes=64))
    target: Path = tmp_path_factory.mktemp("evaluation") / "eval.zarr"
    return Episodes(generate(recipe, target).dataset, torch.device("cpu"))


@pytest.mark.gate
def test_evaluate(benchmark: BenchmarkFixture, episodes: Episodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """All scores at three horizons, of a narrow model: embedding, rollouts, twins, ranks.

    As in the paper's grid worlds, a tenth of the episodes is ranked locally.
    """
    monkeypatch.setattr(local_ranking, "LOCAL_EPISODES", len(episodes) // 10)
    model = get_task("3d-blocks").build_model("sen", NARROW)
    benchmark.pedantic(evaluate, (model, episodes), rounds=5, warmup_rounds=1)  # type: ignore[no-untyped-call]


@pytest.mark.gate
def test_rank(benchmark: BenchmarkFixture) -> None:
    """2,000 episodes with the latents of 3D Blocks."""
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(2000, 5, 4, 2, generator=generator)
    predicted = true + torch.randn(true.shape, generator=generator)
    benchmark.pedantic(rank_predictions, (true, predicted), rounds=8, warmup_rounds=1)  # type: ignore[no-untyped-call]
