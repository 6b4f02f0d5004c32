"""What cannot be repeated as a CUDA graph is found before it is captured; ours have none."""

from __future__ import annotations

import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sen_bench.config.presets import load_preset
from sen_bench.data.transitions import Batch
from sen_bench.tasks.registry import get_task
from sen_bench.training.capture_hazards import capture_hazard
from sen_bench.training.evidence import loss_of
from tests.support.batches import world_batch
from tests.support.trainings import CPU

META = torch.device("meta")
MODELS = [
    ("3d-blocks", "sen"),
    ("3d-blocks", "full"),
    ("2d-shapes", "none"),
    ("reacher", "sen"),
    ("reacher", "none"),
    ("teapot-large", "matmul"),
    ("teapot-large", "tfn"),
    ("teapot-large", "vae"),
]


class Faulty(nn.Module):
    """A network with one habit."""

    mean: Tensor

    def __init__(self, habit: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(()))
        self.calls = 0
        self.cache: Tensor | None = None
        self._habit = habit

    def forward(self, x: Tensor) -> Tensor:
        moved: Tensor = getattr(self, f"_{self._habit}")(x * self.weight)
        return moved

    def _none(self, x: Tensor) -> Tensor:
        if self.cache is None:  # prepared at the first call
            self.cache = torch.arange(3)
        self.mean.add_(x.detach().mean())
        return x[:, self.cache]

    def _reading(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum().item() > 0 else x

    def _branching(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x

    def _masking(self, x: Tensor) -> Tensor:
        return x[x > 0]

    def _selecting(self, x: Tensor) -> Tensor:
        return x.flatten()[x.flatten().nonzero()]

    def _counting(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls

    def _replacing(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + x.detach().mean()
        return x

    def _drawing(self, x: Tensor) -> Tensor:
        return x * random.random()  # noqa: S311

    def _drawing_in_numpy(self, x: Tensor) -> Tensor:
        return x * float(np.random.rand())  # noqa: NPY002

    def _drawing_in_torch(self, x: Tensor) -> Tensor:
        return x + torch.randn(3)


def _hazard(habit: str) -> str | None:
    network = Faulty(habit)
    x = torch.ones(2, 3)
    return capture_hazard(lambda: network(x).sum().backward(), network, CPU)


@pytest.mark.parametrize(
    ("habit", "found"),
    [
        ("reading", "reads a value on the host"),
        ("branching", "reads a value on the host"),
        ("masking", "makes tensors whose size depends on values"),
        ("selecting", "makes tensors whose size depends on values"),
        ("counting", "replaces calls at every step"),
        ("replacing", "replaces mean at every step"),
        ("drawing", "draws from Python's generator on the CPU"),
        ("drawing_in_numpy", "draws from NumPy's generator on the CPU"),
        ("drawing_in_torch", "draws from PyTorch's generator on the CPU"),
    ],
)
def test_every_bad_habit_is_named(habit: str, found: str) -> None:
    hazard = _hazard(habit)
    assert hazard is not None
    assert hazard.startswith(found)


def test_what_is_prepared_once_and_changed_in_place_is_fine() -> None:
    assert _hazard("none") is None


@pytest.mark.parametrize(("task", "name"), MODELS)
def test_our_models_read_nothing_and_stay_on_their_device(
    monkeypatch: pytest.MonkeyPatch, task: str, name: str
) -> None:
    """On the device without values, where reading one is an error, and whatever is on the CPU stands out."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which it does not know
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    model = get_task(task).build_model(name, load_preset("smoke").for_task(task).models[name]).to(META)
    batch, permutation = world_batch(task, 2, seed=0)
    permutation = permutation.to(META)
    moved = Batch(*(each.to(META) for each in (batch.observation, batch.action, batch.next_observation)))

    def step() -> None:
        torch.autograd.backward([loss_of(model, moved, permutation, dtype=torch.float32).total])

    assert capture_hazard(step, model, META) is None


def test_what_is_computed_on_the_host_is_named() -> None:
    x = torch.zeros(3, device=META)
    hazard = capture_hazard(lambda: x[torch.arange(2)], nn.Module(), META)
    assert hazard is not None
    assert hazard.startswith("computes on cpu")
