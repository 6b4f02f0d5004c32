"""Whatever is registered: every model of every task, narrow enough that contracts are checked in no time."""

from __future__ import annotations

import torch

from sen_bench.baselines import WorldModel
from sen_bench.config import ModelOptions, load_preset
from sen_bench.tasks import get_task, task_names

MODELS = [(task, model) for task in task_names() for model in get_task(task).models]
"""Every model of every task, by name."""


def narrow_options(task: str, model: str) -> ModelOptions:
    """The widths of a model in the preset smoke; none where it says nothing of the task."""
    preset = load_preset("smoke")
    return preset.for_task(task).models.get(model, {}) if task in preset.tasks else {}


def narrow_model(task: str, model: str, *, seed: int = 0) -> WorldModel:
    """An untrained model of those widths, in training mode."""
    torch.manual_seed(seed)
    return get_task(task).build_model(model, narrow_options(task, model))
