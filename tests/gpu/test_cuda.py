"""What only a GPU can show: that steps are captured, replayed, and learn what other steps learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.objects import build_object_model
from sen_bench.config.presets import load_preset
from sen_bench.config.settings import NegativeSampling, TrainingConfig
from sen_bench.data.transitions import Transitions
from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.errors import CompileError
from sen_bench.system import QUIET, float32_products, prepare_device, settings_restored
from sen_bench.tasks.registry import get_task
from sen_bench.training import loop, read_metrics, train
from sen_bench.training.execution import Execution
from sen_bench.training.profile import Stages
from sen_bench.training.static_step import WARM_UP, StaticStep
from sen_bench.training.steps import Steps
from tests.support.batches import world_frames
from tests.support.recorder import Recorder
from tests.support.trainings import IDENTITY, Affine

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    # PyTorch's own, of what it uses itself to compile.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
GPU = torch.device("cuda", 0)
MODELS = [
    *(
        (task, model)
        for task in ("3d-blocks", "2d-shapes", "rush-hour", "reacher")
        for model in ("none", "sen", "full")
    ),
    *(("teapot-large", model) for model in ("matmul", "tfn", "none", "vae")),
]


@pytest.fixture(scope="module", autouse=True)
def prepared() -> Iterator[None]:
    with settings_restored():
        prepare_device(GPU)
        yield


@pytest.fixture(scope="module")
def transitions() -> Transitions:
    """42 of them: batches of 8 leave a last one of two."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (6, 8, 6, 6, 3), dtype=torch.uint8, generator=generator)
    return Transitions(frames, torch.randint(0, 20, (6, 7), generator=generator), GPU)


def small(kind: str) -> Callable[[], WorldModel]:
    return lambda: build_object_model(
        kind, symmetry=Blocks3D().symmetry, observation_shape=(6, 6, 3), embedding_channels=2, hidden=4
    )


def losses(
    folder: Path, transitions: Transitions, build: Callable[[], WorldModel], recorder: Recorder, **how: Any
) -> list[float]:
    # So low a rate that rounding, which differs from one order of sums to the next, stays rounding.
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 8, "learning_rate": 1e-5}
    config = TrainingConfig(**{**settings, **how.pop("settings", {})})
    train(build, transitions, config, seed=0, folder=folder, identity=IDENTITY, progress=recorder, **how)
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl")[0] if "loss" in line]


@pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["eager", "compiled"]
)
@pytest.mark.parametrize("kind", ["none", "sen", "full"])
def test_a_graph_learns_what_other_steps_learn(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch, kind: str, *, compiled: bool
) -> None:
    replays: list[torch.cuda.CUDAGraph] = []
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: torch.cuda.CUDAGraph) -> None:
        replays.append(graph)
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counted)
    settings = {"negatives_from_epoch": {3: {"same_episode": 0.5}}, "schedule": "cosine"}
    recorder = Recorder()
    found = losses(
        tmp_path / "graph",
        transitions,
        small(kind),
        recorder,
        compiled=compiled,
        graph=True,
        settings=settings,
    )
    plain = losses(tmp_path / "plain", transitions, small(kind), Recorder(), settings=settings)
    assert found == pytest.approx(plain, rel=1e-3)
    # Four epochs of five whole batches; the negatives change once, and another graph is captured.
    assert len(replays) == 4 * 5 - 2 * WARM_UP
    assert not [said for said in recorder.messages if "cannot" in said]


@pytest.mark.parametrize(("task", "name"), MODELS)
def test_every_model_can_be_captured(task: str, name: str) -> None:
    torch.manual_seed(0)
    network = get_task(task).build_model(name, load_preset("smoke").for_task(task).models[name]).to(GPU)
    frames, actions = world_frames(task, 8, rng=np.random.default_rng(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5, fused=True)
    steps = Steps(
        network.train(),
        optimizer,
        Transitions(frames, actions[:, None], GPU),
        TrainingConfig(batch_size=8),
        Execution(graph=True, must_graph=True),
        progress=QUIET,
        stages=Stages(),
    )
    index = torch.arange(8, device=GPU)
    for _ in range(WARM_UP + 3):
        terms = steps.replayed(index, index.roll(1), None, NegativeSampling())
        assert terms is not None
        assert terms.isfinite().all()


def test_draws_rates_and_inputs_differ_from_replay_to_replay() -> None:
    weight = torch.nn.Parameter(torch.ones((), device=GPU))
    optimizer = torch.optim.Adam([weight], lr=0.0, fused=True)

    def measure(index: Tensor) -> tuple[Tensor, ...]:
        drawn = torch.rand((), device=GPU)
        return weight * index.float().mean(), drawn

    step = StaticStep(measure, optimizer, [torch.arange(4, device=GPU)])
    drawn = [step.advance(torch.arange(4, device=GPU) + begin).tolist() for begin in range(WARM_UP + 4)]
    assert len({each for _, each in drawn}) == len(drawn)
    assert [each for each, _ in drawn] == [begin + 1.5 for begin in range(WARM_UP + 4)]
    optimizer.param_groups[0]["lr"] = 0.25
    step.advance(torch.arange(4, device=GPU))
    assert weight.item() == pytest.approx(0.75, rel=1e-3)
    again = []
    for _ in range(2):
        torch.cuda.manual_seed(5)
        again.append(step.advance(torch.arange(4, device=GPU))[1].item())
    assert again[0] == again[1]


class Reading(Affine):
    """Branches on a value."""

    def encode(self, embedding: Tensor) -> Tensor:
        return embedding * self.weight if embedding.sum() > 0 else embedding


def test_a_model_that_reads_values_is_trained_step_by_step(
    tmp_path: Path, transitions: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CompileError, match=r"reads a value on the host .*; use --no-cuda-graph"):
        losses(tmp_path / "asked", transitions, Reading, Recorder(), graph=True)
    plain = losses(tmp_path / "plain", transitions, Reading, Recorder())
    monkeypatch.setattr(loop, "choose_execution", lambda *_, **__: Execution(graph=True))
    recorder = Recorder()
    assert losses(tmp_path / "chosen", transitions, Reading, recorder) == pytest.approx(plain, rel=1e-3)
    assert recorder.messages[0].endswith("; steps are executed one by one")


@pytest.mark.parametrize(("precision", "least", "most"), [("float32", 0, 2e-6), ("tf32", 2e-5, 2e-3)])
def test_products_are_what_their_precision_says(precision: str, least: float, most: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(512, 512, device=GPU)
    images = torch.randn(8, 64, 16, 16, device=GPU)
    kernel = torch.randn(64, 64, 3, 3, device=GPU)
    with float32_products(GPU, precision):
        found = x @ x, torch.nn.functional.conv2d(images, kernel)
    exact = x.double() @ x.double(), torch.nn.functional.conv2d(images.double(), kernel.double())
    for computed, wanted in zip(found, exact, strict=True):
        error = float((computed - wanted).norm() / wanted.norm())
        assert least <= error <= most
