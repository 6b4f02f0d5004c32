"""From a model, a split and a preset to the settings of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sen_bench.config import RunConfig, setting_path
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.system import is_object_name, number_of
from sen_bench.tasks.models import choose_models, resolve_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sen_bench.config import TaskPreset
    from sen_bench.tasks.models import ResolvedModel
    from sen_bench.tasks.task import Task


def check_preset(task: Task, preset: TaskPreset) -> None:
    """Refuses what a preset says about a task where the task does not have it.

    Raises:
        UnknownNameError: If it names a model or a split that the task does not have.
        ExtensionError: If a model that it names as ``package.module:Class`` cannot be imported.
        ConfigError: If such a model does not have an option that is set, or a horizon is longer than the
            episodes it is measured on.
    """
    if preset.models:
        choose_models(task, preset.models)
    for name, options in preset.models.items():
        if is_object_name(name):  # any such name may be right, until it is looked for
            resolve_model(task, name, options)
    for split in preset.data:
        task.split(split)
    steps = task.recipe("eval", preset.data.get("eval")).horizon
    longest = max(preset.evaluation.horizons)
    if longest > steps:
        raise ConfigError(
            f"{task.name} is to be evaluated {number_of(longest, 'step')} ahead, but its eval episodes have"
            f" {steps};"
            " shorten evaluation.horizons or lengthen data.eval.horizon in the preset"
        )


def concerns(setting: str, models: Iterable[str], train_splits: Iterable[str]) -> bool:
    """Whether a setting beside a preset is about something that is used.

    Args:
        setting: Its dotted name.
        models: The models that are run.
        train_splits: The splits that are trained on.
    """
    section, name, *_ = setting_path(setting)
    if section == "models":
        return name in models
    return section != "data" or name in (*train_splits, "eval")


def check_settings(settings: Iterable[str], models: Iterable[str], train_splits: Iterable[str]) -> None:
    """Refuses settings beside a preset that would change only the name of what is run.

    Args:
        settings: Their dotted names.
        models: The models that are run.
        train_splits: The splits that are trained on.

    Raises:
        ConfigError: If one is about a model or a split that is not used.
    """
    models, train_splits = tuple(dict.fromkeys(models)), tuple(dict.fromkeys(train_splits))
    for setting in settings:
        if concerns(setting, models, train_splits):
            continue
        section, name, *_ = setting_path(setting)
        if section == "data":
            used = f"only splits {', '.join(dict.fromkeys((*train_splits, 'eval')))} are used"
            raise ConfigError(f"settings of split {name!r} change nothing: {used}")
        one = len(models) == 1
        used = f"the run has model {models[0]}" if one else f"only models {', '.join(models)} are run"
        raise ConfigError(f"settings of model {name!r} change nothing: {used}")


def check_setting_names(task: Task, settings: Iterable[str]) -> None:
    """Refuses settings beside a preset of models and splits that a task does not have.

    Raises:
        UnknownNameError: If there is one.
    """
    for setting in settings:
        section, name, *_ = setting_path(setting)
        if section == "models":
            choose_models(task, [name])
        elif section == "data":
            task.split(name)


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
