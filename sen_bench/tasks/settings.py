"""From a model, a split and a preset to the settings of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sen_bench.config import RunConfig
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.tasks.models import choose_models

if TYPE_CHECKING:
    from sen_bench.config import TaskPreset
    from sen_bench.tasks.models import ResolvedModel
    from sen_bench.tasks.task import Task


def check_preset(task: Task, preset: TaskPreset) -> None:
    """Refuses what a preset says about a task where the task does not have it.

    Raises:
        UnknownNameError: If it names a model or a split that the task does not have.
        ConfigError: If a horizon is longer than the episodes it is measured on.
    """
    if preset.models:
        choose_models(task, preset.models)
    for split in preset.data:
        task.split(split)
    steps = task.recipe("eval", preset.data.get("eval")).horizon
    longest = max(preset.evaluation.horizons)
    if longest > steps:
        raise ConfigError(
            f"{task.name} is to be evaluated {longest} steps ahead, but its eval episodes have {steps};"
            " shorten evaluation.horizons or lengthen data.eval.horizon in the preset"
        )


def run_config(model: ResolvedModel, train_split: str, preset: TaskPreset) -> RunConfig:
    """The settings of a run of a model, with the options that it was resolved with.

    Args:
        model: The model.
        train_split: The split to train on.
        preset: What is said of training and evaluation; `check_preset` looks at the rest.

    Raises:
        UnknownNameError: If the task has no such training split.
    """
    task = model.task
    if train_split not in task.train_splits:
        raise UnknownNameError(f"training split of {task.name}", train_split, task.train_splits)
    return RunConfig(
        task=task.name,
        train_split=train_split,
        model=model.name,
        model_options=dict(model.options),
        model_code=model.code,
        training=preset.training,
        evaluation=preset.evaluation,
    )
